//! Formats are promised for years: tables of an earlier time are read in every test run, and what they were made from
//! still gives their bytes.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{metadata, noise, sweep_layout};
use tumble_domain::TrialRange;
use tumble_domain::outcome::{Outcomes, Status, TrialError};
use tumble_tables::{
    AxisColumn, Column, ColumnKind, GenerationRow, TrialsPart, TrialsSchema, column_names, read_column,
    read_generations, read_metadata, write_generations, write_trials_part,
};

/// The folder of the frozen tables.
fn frozen() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/history/v1")
}

fn schema() -> TrialsSchema {
    TrialsSchema {
        evolves: false,
        rungs: false,
        exits: false,
        axes: vec![
            ("snr".to_owned(), ColumnKind::Float),
            ("layers".to_owned(), ColumnKind::Integer),
            ("bias".to_owned(), ColumnKind::Boolean),
            ("rule".to_owned(), ColumnKind::Text),
        ],
        conditional: Vec::new(),
        metrics: vec!["accuracy".to_owned()],
    }
}

fn part() -> TrialsPart {
    let layout = sweep_layout(50, 1);
    let words: [Arc<str>; 2] = ["hebb".into(), "delta".into()];
    let axes = vec![
        AxisColumn::Float((0..50).map(|t| f64::from(t / 10) / 4.0).collect()),
        AxisColumn::Integer((0..50).map(|t| t % 10).collect()),
        AxisColumn::Boolean((0..50).map(|t| t >= 25).collect()),
        AxisColumn::Text((0..50).map(|t| words[t % 2].clone()).collect()),
    ];
    let mut statuses = vec![Status::Scored; 50];
    (statuses[13], statuses[31]) = (Status::Failed, Status::TimedOut);
    let mut values: Vec<f64> = (0..50).map(noise).collect();
    values[20] = f64::NAN;
    let errors = vec![TrialError { offset: 13, message: "it diverged".to_owned() }];
    let outcomes = vec![Outcomes { trials: 50, metrics: 1, statuses, values, errors }];
    TrialsPart { layout, range: TrialRange::new(0, 50), axes, points: Vec::new(), outcomes }
}

fn generations() -> Vec<GenerationRow> {
    let row = |generation: u32| {
        let number = |n: u64| noise(u64::from(generation) * 10 + n);
        GenerationRow {
            generation,
            evaluations: u64::from(generation + 1) * 10,
            failed: 0,
            best: number(0),
            mean: number(1),
            median: number(2),
            q05: number(3),
            q25: number(4),
            q75: number(5),
            q95: number(6),
            best_candidate: (generation != 3).then_some(generation),
            state_hash: format!("{generation:032x}"),
            scalars: vec![number(7)],
        }
    };
    (0..8).map(row).collect()
}

#[test]
fn tables_of_version_1_are_read() {
    let path = frozen().join("part-00000.parquet");
    assert_eq!(read_metadata(&path).unwrap(), metadata());
    assert_eq!(column_names(&path).unwrap(), schema().columns());
    let read = |name: &str| read_column(&frozen(), name).unwrap();
    assert_eq!(read("trial"), Column::Unsigned((0..50).collect()));
    let AxisColumn::Integer(layers) = part().axes.swap_remove(1) else { unreachable!() };
    assert_eq!(read("layers"), Column::Integer(layers));
    let Column::Float(accuracy) = read("accuracy") else { panic!("a metric holds numbers") };
    for (trial, value) in accuracy.iter().enumerate() {
        match trial {
            13 | 20 | 31 => assert!(value.is_nan()),
            _ => assert_eq!(*value, noise(trial as u64)),
        }
    }
    let Column::Text(errors) = read("error") else { panic!("an error is text") };
    assert_eq!(errors[13].as_deref(), Some("it diverged"));
    assert_eq!(errors.iter().flatten().count(), 1);
    let table = read_generations(&frozen().join("generations.parquet")).unwrap();
    assert_eq!((table.scalar_names, table.rows), (vec!["sigma".to_owned()], generations()));
}

/// When a library's new version changes these bytes, tables of one run file differ between two versions of Tumble:
/// that is allowed, and worth a line in the change log. Then a folder `v2` joins `v1`, whose reading stays tested.
#[test]
fn the_same_rows_still_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    write_trials_part(dir.path(), 0, &schema(), &metadata(), &part()).unwrap();
    let path = dir.path().join("generations.parquet");
    write_generations(&path, &metadata(), &["sigma".to_owned()], generations()).unwrap();
    for name in ["part-00000.parquet", "generations.parquet"] {
        let (now, then) = (fs::read(dir.path().join(name)).unwrap(), fs::read(frozen().join(name)).unwrap());
        assert!(now == then, "{name} has other bytes than in version 1");
    }
}
