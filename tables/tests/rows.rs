//! The generations and attempts tables, written and read back.

mod common;

use std::fs;

use common::{metadata, noise};
use tumble_tables::{
    AttemptOutcome, AttemptRow, Column, GenerationRow, TableError, column_names, read_attempts, read_generations,
    read_metadata, scan_file, write_attempts, write_generations,
};

fn generation(generation: u32) -> GenerationRow {
    let number = |n: u64| noise(u64::from(generation) * 10 + n);
    GenerationRow {
        generation,
        evaluations: (u64::from(generation) + 1) * 128,
        failed: u64::from(generation % 3),
        best: number(0),
        mean: number(1),
        median: number(2),
        q05: number(3),
        q25: number(4),
        q75: number(5),
        q95: number(6),
        best_candidate: Some(generation % 128),
        state_hash: format!("{:032x}", u128::from(generation) * 0x9E37_79B9_7F4A_7C15),
        scalars: vec![number(7), number(8)],
    }
}

fn names() -> Vec<String> {
    vec!["sigma".to_owned(), "condition".to_owned()]
}

#[test]
fn generations_come_back_as_they_went() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("generations.parquet");
    // More than one batch.
    let rows: Vec<GenerationRow> = (0..5000).map(generation).collect();
    let receipt = write_generations(&path, &metadata(), &names(), rows.clone()).unwrap();
    assert_eq!((receipt.rows, receipt.bytes), (5000, fs::metadata(&path).unwrap().len()));
    let read = read_generations(&path).unwrap();
    assert_eq!(read.scalar_names, names());
    assert!(read.rows == rows);
    assert_eq!(read_metadata(&path).unwrap(), metadata());

    let bytes = fs::read(&path).unwrap();
    write_generations(&path, &metadata(), &names(), rows).unwrap();
    assert!(fs::read(&path).unwrap() == bytes, "the same rows give the same bytes");
}

#[test]
fn a_generation_in_which_nothing_scored_has_no_best() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("generations.parquet");
    let nan = f64::NAN;
    let none = GenerationRow {
        best: nan,
        mean: nan,
        median: nan,
        q05: nan,
        q25: nan,
        q75: nan,
        q95: nan,
        best_candidate: None,
        ..generation(1)
    };
    write_generations(&path, &metadata(), &names(), [generation(0), none.clone()]).unwrap();
    let rows = read_generations(&path).unwrap().rows;
    assert_eq!(rows[0], generation(0));
    assert!(rows[1].best.is_nan() && rows[1].q95.is_nan());
    assert_eq!((rows[1].best_candidate, &rows[1].scalars), (None, &none.scalars));
}

#[test]
fn a_run_without_generations_has_an_empty_table() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("generations.parquet");
    assert_eq!(write_generations(&path, &metadata(), &names(), []).unwrap().rows, 0);
    let read = read_generations(&path).unwrap();
    assert_eq!((read.scalar_names, read.rows.len()), (names(), 0));
    assert_eq!(column_names(&path).unwrap().len(), 14);
}

#[test]
fn numbers_of_the_strategy_have_names_of_their_own_and_are_all_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("generations.parquet");
    let clash = write_generations(&path, &metadata(), &["best".to_owned(), "sigma".to_owned()], [generation(0)]);
    assert!(matches!(clash, Err(TableError::Unfit(_))));
    let short = write_generations(&path, &metadata(), &["sigma".to_owned()], [generation(0)]).unwrap_err();
    assert_eq!(short.to_string(), "lay out the table: generation 0 has 2 numbers of the strategy for 1 names");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn attempts_come_back_as_they_went() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("attempts.parquet");
    let outcomes = [
        AttemptOutcome::Reported,
        AttemptOutcome::Returned,
        AttemptOutcome::Lost,
        AttemptOutcome::Expired,
        AttemptOutcome::Duplicate,
        AttemptOutcome::Disagreed,
    ];
    let row = |n: u64| AttemptRow {
        first_trial: n * 256,
        trials: 256,
        attempt: (n % 4) as u32,
        worker: format!("w{}", n % 9),
        host: "node-17".to_owned(),
        granted_at_ms: 1_760_000_000_000 + n as i64 * 17,
        ended_at_ms: 1_760_000_000_500 + n as i64 * 17,
        evaluate_ms: 480.5 + n as f64,
        outcome: outcomes[(n % 6) as usize],
        bytes_down: 96,
        bytes_up: 2048 + n,
    };
    let rows: Vec<AttemptRow> = (0..6000).map(row).collect();
    assert_eq!(write_attempts(&path, &metadata(), rows.clone()).unwrap().rows, 6000);
    assert!(read_attempts(&path).unwrap() == rows);
    let first = scan_file(&path, &["ended_at", "outcome"]).next().unwrap().unwrap();
    let Column::Integer(ended) = &first.columns[0] else { panic!("a time is an integer") };
    assert_eq!(ended[..2], [1_760_000_000_500, 1_760_000_000_517]);

    let lost = AttemptRow { evaluate_ms: f64::NAN, ..row(2) };
    write_attempts(&path, &metadata(), [lost]).unwrap();
    assert!(read_attempts(&path).unwrap()[0].evaluate_ms.is_nan());
    write_attempts(&path, &metadata(), []).unwrap();
    assert_eq!(read_attempts(&path).unwrap(), []);
}
