//! Damaged files: every read gives an error or rows, and never panics.

mod common;

use std::fs;

use common::{metadata, noise, sweep_layout};
use tumble_domain::TrialRange;
use tumble_domain::outcome::{Outcomes, Status, TrialError};
use tumble_tables::{
    AxisColumn, ColumnKind, TableError, TrialsPart, TrialsSchema, read_metadata, scan, trial_count, write_trials_part,
};

fn write(dir: &std::path::Path) -> Vec<u8> {
    let schema = TrialsSchema {
        evolves: false,
        rungs: false,
        exits: false,
        axes: vec![("snr".to_owned(), ColumnKind::Float), ("rule".to_owned(), ColumnKind::Text)],
        conditional: Vec::new(),
        metrics: vec!["accuracy".to_owned()],
    };
    let mut statuses = vec![Status::Scored; 200];
    statuses[13] = Status::Failed;
    let outcomes = Outcomes {
        trials: 200,
        metrics: 1,
        statuses,
        values: (0..200).map(noise).collect(),
        errors: vec![TrialError { offset: 13, message: "it diverged".to_owned() }],
    };
    let axes = vec![
        AxisColumn::Float((0..200).map(f64::from).collect()),
        AxisColumn::Text((0..200).map(|t| if t % 2 == 0 { "hebb".into() } else { "delta".into() }).collect()),
    ];
    let layout = sweep_layout(200, 1);
    let part =
        TrialsPart { layout, range: TrialRange::new(0, 200), axes, points: Vec::new(), outcomes: vec![outcomes] };
    write_trials_part(dir, 0, &schema, &metadata(), &part).unwrap();
    fs::read(dir.join("part-00000.parquet")).unwrap()
}

/// Reads everything that there is to read, and says whether all of it could be read.
fn read_all(dir: &std::path::Path) -> Result<(), TableError> {
    trial_count(dir)?;
    read_metadata(&dir.join("part-00000.parquet"))?;
    for block in scan(dir, &["trial", "replicate", "seed", "snr", "rule", "accuracy", "outcome", "error"])? {
        block?;
    }
    Ok(())
}

#[test]
fn a_file_cut_short_anywhere_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = write(dir.path());
    read_all(dir.path()).unwrap();
    let path = dir.path().join("part-00000.parquet");
    for length in (0..bytes.len()).step_by(29).chain([bytes.len() - 1]) {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = read_all(dir.path()).unwrap_err();
        assert!(error.to_string().contains("part-00000.parquet"), "{error}");
    }
}

#[test]
fn a_byte_that_changed_anywhere_never_panics_the_reader() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = write(dir.path());
    let path = dir.path().join("part-00000.parquet");
    let (mut refused, changes) = (0, [0x01, 0x80, 0xFF]);
    for place in (0..bytes.len()).step_by(5) {
        let mut damaged = bytes.clone();
        damaged[place] ^= changes[place / 5 % changes.len()];
        fs::write(&path, &damaged).unwrap();
        refused += usize::from(read_all(dir.path()).is_err());
    }
    // Most of the file is the embedded schema and the noise of seeds and metrics, where a change is not noticed.
    assert!(refused > bytes.len() / 25, "{refused} of {} changes were noticed", bytes.len() / 5);
}
