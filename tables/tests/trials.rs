//! The trials table, written and read back.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{chunked, evolve_layout, metadata, noise, sweep_layout};
use tumble_domain::Value;
use tumble_domain::outcome::{Outcomes, Status, TrialError};
use tumble_domain::{TrialRange, TrialSeeds};
use tumble_tables::{
    AxisColumn, Column, ColumnKind, TableError, TrialsPart, TrialsSchema, column_names, part_paths, read_column,
    read_metadata, scan, trial_count, write_trials_part,
};

fn sweep_schema() -> TrialsSchema {
    TrialsSchema {
        evolves: false,
        rungs: false,
        exits: false,
        axes: vec![
            ("snr".to_owned(), ColumnKind::Float),
            ("layers".to_owned(), ColumnKind::Integer),
            ("bias".to_owned(), ColumnKind::Boolean),
            ("evolve.rule".to_owned(), ColumnKind::Text),
        ],
        conditional: Vec::new(),
        metrics: vec!["accuracy".to_owned(), "spikes".to_owned()],
    }
}

/// Trials of a sweep over every kind of axis, some of which failed: the whole of a run of `points` points.
fn sweep_part(points: u64) -> TrialsPart {
    let layout = sweep_layout(points, 2);
    let trials = layout.trials();
    let candidates = || (0..trials).map(|t| t / 2);
    let words: [Arc<str>; 3] = ["hebb".into(), "delta".into(), "naïve – β".into()];
    let axes = vec![
        AxisColumn::Float(candidates().map(|c| c as f64 / 7.0).collect()),
        AxisColumn::Integer(candidates().map(|c| i64::MIN + (c % 5) as i64).collect()),
        AxisColumn::Boolean(candidates().map(|c| c % 3 == 0).collect()),
        AxisColumn::Text(candidates().map(|c| words[(c % 3) as usize].clone()).collect()),
    ];
    let mut whole = Outcomes {
        trials: trials as u32,
        metrics: 2,
        statuses: (0..trials).map(status).collect(),
        values: (0..trials).map(noise).chain((0..trials).map(|t| (t % 10) as f64)).collect(),
        errors: (0..trials)
            .filter(|t| status(*t) == Status::Failed)
            .map(|t| TrialError { offset: t as u32, message: format!("trial {t} diverged") })
            .collect(),
    };
    // A scored trial may have a NaN metric, of whatever bits; it is not the same as having none.
    whole.values[3] = f64::from_bits(0xFFF8_0000_0000_1234);
    whole.values[4] = f64::NEG_INFINITY;
    whole.values[5] = -0.0;
    TrialsPart { layout, range: TrialRange::new(0, trials), axes, points: Vec::new(), outcomes: vec![whole] }
}

fn status(trial: u64) -> Status {
    match trial % 11 {
        7 => Status::Failed,
        9 => Status::TimedOut,
        _ => Status::Scored,
    }
}

fn texts(column: Column) -> Vec<Option<String>> {
    match column {
        Column::Text(words) => words.into_iter().map(|word| word.map(|w| w.to_string())).collect(),
        other => panic!("not text: {other:?}"),
    }
}

fn write(dir: &Path, schema: &TrialsSchema, part: &TrialsPart) -> Vec<u8> {
    let receipt = write_trials_part(dir, 0, schema, &metadata(), part).unwrap();
    let bytes = fs::read(dir.join("part-00000.parquet")).unwrap();
    assert_eq!((receipt.rows, receipt.bytes), (part.range.len(), bytes.len() as u64));
    bytes
}

#[test]
fn every_kind_of_column_comes_back_as_it_went() {
    let dir = tempfile::tempdir().unwrap();
    let (schema, part) = (sweep_schema(), sweep_part(500));
    write(dir.path(), &schema, &part);
    let read = |name: &str| read_column(dir.path(), name).unwrap();

    assert_eq!(trial_count(dir.path()).unwrap(), 1000);
    assert_eq!(column_names(&dir.path().join("part-00000.parquet")).unwrap(), schema.columns());
    assert_eq!(read("trial"), Column::Unsigned((0..1000).collect()));
    assert_eq!(read("replicate"), Column::Unsigned((0..1000).map(|t| t % 2).collect()));
    let seeds = (0..1000).map(|t| part.layout.trial_seed(part.layout.address(t)).0).collect();
    assert_eq!(read("seed"), Column::Unsigned(seeds));
    let AxisColumn::Float(snr) = &part.axes[0] else { unreachable!() };
    assert_eq!(read("snr"), Column::Float(snr.clone()));
    let AxisColumn::Integer(layers) = &part.axes[1] else { unreachable!() };
    assert_eq!(read("layers"), Column::Integer(layers.clone()));
    let AxisColumn::Boolean(bias) = &part.axes[2] else { unreachable!() };
    assert_eq!(read("bias"), Column::Boolean(bias.clone()));
    let AxisColumn::Text(rules) = &part.axes[3] else { unreachable!() };
    assert_eq!(texts(read("evolve.rule")), rules.iter().map(|w| Some(w.to_string())).collect::<Vec<_>>());

    let Column::Float(accuracy) = read("accuracy") else { panic!("a metric holds numbers") };
    for (trial, value) in accuracy.iter().enumerate() {
        match status(trial as u64) {
            Status::Scored if trial == 3 => assert!(value.is_nan()),
            Status::Scored => assert_eq!(value.to_bits(), part.outcomes[0].value(0, trial).to_bits()),
            _ => assert!(value.is_nan(), "a trial that did not score has no metric"),
        }
    }
    assert_eq!(texts(read("outcome")), (0..1000).map(|t| Some(status(t).name().to_owned())).collect::<Vec<_>>());
    let expected = (0..1000).map(|t| (status(t) == Status::Failed).then(|| format!("trial {t} diverged")));
    assert_eq!(texts(read("error")), expected.collect::<Vec<_>>());
    assert_eq!(read_metadata(&dir.path().join("part-00000.parquet")).unwrap(), metadata());
}

#[test]
fn columns_of_more_values_than_their_dictionaries_hold_come_back_as_they_went() {
    let dir = tempfile::tempdir().unwrap();
    let mut part = sweep_part(2000);
    let words: Vec<Arc<str>> = (0..4000).map(|t| Arc::from(format!("{t}").repeat(100))).collect();
    let integers: Vec<i64> = (0..4000).map(|t| (noise(t) * 1e18) as i64 - 500_000_000_000_000_000).collect();
    part.axes[1] = AxisColumn::Integer(integers.clone());
    part.axes[3] = AxisColumn::Text(words.clone());
    write(dir.path(), &sweep_schema(), &part);
    let AxisColumn::Float(snr) = &part.axes[0] else { unreachable!() };
    assert_eq!(read_column(dir.path(), "snr").unwrap(), Column::Float(snr.clone()));
    assert_eq!(read_column(dir.path(), "layers").unwrap(), Column::Integer(integers));
    let read = read_column(dir.path(), "evolve.rule").unwrap();
    assert_eq!(read, Column::Text(words.into_iter().map(Some).collect()));
}

#[test]
fn a_nan_that_was_scored_is_a_number_and_a_missing_metric_is_null() {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &sweep_schema(), &sweep_part(10));
    let file = fs::File::open(dir.path().join("part-00000.parquet")).unwrap();
    let mut batches = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 100).unwrap();
    let batch = batches.next().unwrap().unwrap();
    let accuracy = batch.column_by_name("accuracy").unwrap().as_primitive::<Float64Type>();
    let nulls: Vec<usize> = (0..20).filter(|row| accuracy.is_null(*row)).collect();
    assert_eq!(nulls, [7, 9, 18], "trials 7 and 18 failed, trial 9 timed out");
    assert_eq!(accuracy.value(3).to_bits(), 0x7FF8_0000_0000_0000, "every NaN is written with the same bits");
}

#[test]
fn an_evolution_has_generations_and_candidates() {
    let dir = tempfile::tempdir().unwrap();
    let layout = evolve_layout(100, 50, 3, TrialSeeds::PerGeneration);
    assert_eq!((layout.trials(), layout.part_rows()), (15_000, 4096));
    let schema = TrialsSchema {
        evolves: true,
        rungs: false,
        exits: false,
        axes: Vec::new(),
        conditional: Vec::new(),
        metrics: vec!["value".to_owned()],
    };
    // The run stops after 40 generations, in the middle of its third part.
    for part in 0..3 {
        let range = layout.part(part, 12_000);
        let values = (range.start..range.end).map(noise).collect();
        let outcomes = Outcomes { trials: range.len() as u32, metrics: 1, values, ..Outcomes::default() };
        let data = TrialsPart {
            layout: layout.clone(),
            range,
            axes: Vec::new(),
            points: Vec::new(),
            outcomes: vec![outcomes],
        };
        write_trials_part(dir.path(), part, &schema, &metadata(), &data).unwrap();
    }
    assert_eq!(part_paths(dir.path()).unwrap().len(), 3);
    assert_eq!(trial_count(dir.path()).unwrap(), 12_000);

    let mut trial = 0;
    for block in scan(dir.path(), &["value", "candidate", "generation", "trial", "seed", "candidate"]).unwrap() {
        let block = block.unwrap();
        let [Column::Float(values), candidates, generations, trials, seeds, again] = &block.columns[..] else {
            panic!("the columns come in the order that they were asked for")
        };
        let unsigned = |column: &Column, row: usize| match column {
            Column::Unsigned(values) => values[row],
            other => panic!("{other:?}"),
        };
        assert_eq!(candidates, again);
        for (row, value) in values.iter().enumerate() {
            let at = layout.address(trial);
            assert_eq!(*value, noise(trial));
            assert_eq!(unsigned(trials, row), trial);
            assert_eq!(unsigned(generations, row), u64::from(at.generation));
            assert_eq!(unsigned(candidates, row), at.candidate);
            assert_eq!(unsigned(seeds, row), layout.trial_seed(at).0);
            trial += 1;
        }
    }
    assert_eq!(trial, 12_000);
}

#[test]
fn however_the_outcomes_are_cut_the_bytes_are_the_same() {
    // More rows than a block has, so that cuts of the outcomes and of the blocks cross.
    let layout = sweep_layout(2_500_000, 2);
    let range = layout.part(1, layout.trials());
    let rows = range.len() as usize;
    assert!(rows > 64 * 1024 && !rows.is_multiple_of(1024), "{rows} rows");
    let schema = TrialsSchema {
        evolves: false,
        rungs: false,
        exits: false,
        axes: vec![("snr".to_owned(), ColumnKind::Float)],
        conditional: Vec::new(),
        metrics: vec!["accuracy".to_owned(), "spikes".to_owned()],
    };
    let whole = Outcomes {
        trials: rows as u32,
        metrics: 2,
        statuses: (0..rows as u64).map(|t| if t < 40_000 { Status::Scored } else { status(t) }).collect(),
        values: (0..2 * rows as u64).map(noise).collect(),
        errors: (40_000..rows as u32)
            .filter(|t| status(u64::from(*t)) == Status::Failed)
            .map(|offset| TrialError { offset, message: format!("trial {offset} diverged") })
            .collect(),
    };
    let axes = vec![AxisColumn::Float((0..rows).map(|row| (row / 40) as f64).collect())];
    let mut first: Option<Vec<u8>> = None;
    let mut without_statuses = 0;
    for sizes in [&[rows][..], &[1, 10, 4096, 65_536, 3, 0, 7919], &[1024], &[65_537]] {
        let dir = tempfile::tempdir().unwrap();
        let outcomes = chunked(&whole, sizes);
        without_statuses += outcomes.iter().filter(|o| o.statuses.is_empty()).count();
        let data = TrialsPart { layout: layout.clone(), range, axes: axes.clone(), points: Vec::new(), outcomes };
        write_trials_part(dir.path(), 1, &schema, &metadata(), &data).unwrap();
        let bytes = fs::read(dir.path().join("part-00001.parquet")).unwrap();
        match &first {
            None => first = Some(bytes),
            Some(first) => assert!(*first == bytes, "outcomes cut into {sizes:?} give other bytes"),
        }
    }
    assert!(without_statuses > 40, "chunks whose trials all scored leave their statuses out");
}

#[test]
fn the_bits_of_a_nan_leave_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let mut part = sweep_part(20);
    let bytes = write(dir.path(), &sweep_schema(), &part);
    part.outcomes[0].values[3] = f64::from_bits(0x7FF8_0000_0000_0001);
    // Nor does what stands in the place of a metric that is not there.
    assert_eq!(status(7), Status::Failed);
    part.outcomes[0].values[7] = 5.0;
    assert!(write(dir.path(), &sweep_schema(), &part) == bytes);
    part.outcomes[0].values[8] += 1.0;
    assert!(write(dir.path(), &sweep_schema(), &part) != bytes);
}

#[test]
fn an_empty_part_is_a_table_without_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut part = sweep_part(4);
    part.range = TrialRange::new(0, 0);
    part.axes = sweep_schema().axes.iter().map(|(_, kind)| AxisColumn::with_capacity(*kind, 0)).collect();
    part.outcomes.clear();
    write(dir.path(), &sweep_schema(), &part);
    assert_eq!(trial_count(dir.path()).unwrap(), 0);
    assert!(read_column(dir.path(), "accuracy").unwrap().is_empty());
}

#[test]
fn a_part_says_that_it_is_sorted_and_keeps_statistics() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &sweep_schema(), &sweep_part(500));
    let file = fs::File::open(dir.path().join("part-00000.parquet")).unwrap();
    let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let metadata = builder.metadata();
    assert_eq!(metadata.file_metadata().created_by(), Some("tumble 0.1.0"));
    assert_eq!(metadata.num_row_groups(), 1);
    let group = metadata.row_group(0);
    let sorting = group.sorting_columns().unwrap();
    assert_eq!((sorting.len(), sorting[0].column_idx, sorting[0].descending), (1, 0, false));
    let statistics = group.column(0).statistics().unwrap();
    assert_eq!(statistics.max_bytes_opt().unwrap(), 999u64.to_le_bytes());
    let accuracy = group.columns().iter().find(|c| c.column_descr().name() == "accuracy").unwrap();
    assert_eq!(
        accuracy.statistics().unwrap().null_count_opt(),
        Some((0..1000).filter(|t| status(*t) != Status::Scored).count() as u64)
    );
}

#[test]
fn rows_that_do_not_fit_are_refused_and_leave_no_file() {
    let good = sweep_part(10);
    type Spoil = fn(&mut TrialsSchema, &mut TrialsPart);
    let cases: [(&str, Spoil); 9] = [
        ("two columns have the name `trial`", |s, _| s.axes[0].0 = "trial".to_owned()),
        ("the axis `snr` has values of kind number, not integer", |s, _| s.axes[0].1 = ColumnKind::Integer),
        ("the axis `snr` has 19 values for 20 trials", |_, p| p.axes[0] = AxisColumn::Float(vec![0.0; 19])),
        ("there are 3 columns for 4 axes", |_, p| p.axes.truncate(3)),
        ("there are 0 outcomes for 20 trials", |_, p| p.outcomes.clear()),
        ("the outcomes from trial 0 on do not have", |s, _| s.metrics.truncate(1)),
        ("the outcomes from trial 0 on do not have", |_, p| p.outcomes[0].values.truncate(39)),
        ("the trials 0..21 are not all of a run of 20 trials", |_, p| p.range.end = 21),
        ("the trials 1..20 are not those of part 0", |_, p| p.range.start = 1),
    ];
    for (message, spoil) in cases {
        let dir = tempfile::tempdir().unwrap();
        let (mut schema, mut part) = (sweep_schema(), good.clone());
        spoil(&mut schema, &mut part);
        let error = write_trials_part(dir.path(), 0, &schema, &metadata(), &part).unwrap_err();
        assert!(matches!(error, TableError::Unfit(_)), "{error}");
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_missing_part_or_column_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &sweep_schema(), &sweep_part(10));
    let error = read_column(dir.path(), "acuracy").unwrap_err().to_string();
    assert!(error.ends_with("; did you mean `accuracy`?"), "{error}");
    fs::copy(dir.path().join("part-00000.parquet"), dir.path().join("part-00002.parquet")).unwrap();
    let error = scan(dir.path(), &["trial"]).err().unwrap();
    assert!(matches!(error, TableError::PartMissing { part: 1, .. }), "{error}");
    let error = trial_count(&dir.path().join("gone")).unwrap_err();
    assert!(matches!(&error, TableError::Read { .. }) && error.to_string().contains("gone"), "{error}");
}

/// An axis that is not there at every point has nothing in those rows, of whatever kind it is; the other columns stay as
/// they are, and so do the bytes of a table without such an axis.
#[test]
fn an_axis_that_is_not_there_has_no_value_in_its_column() {
    let dir = tempfile::tempdir().unwrap();
    let (mut schema, mut part) = (sweep_schema(), sweep_part(500));
    schema.conditional = vec!["layers".to_owned(), "evolve.rule".to_owned(), "bias".to_owned()];
    let there = |row: usize| row % 3 != 1;
    for axis in 1..4 {
        let kind = part.axes[axis].kind();
        let mut column = AxisColumn::conditional(kind, 1000);
        for row in 0..1000 {
            let value = match &part.axes[axis] {
                AxisColumn::Integer(values) => Value::Integer(values[row]),
                AxisColumn::Boolean(values) => Value::Boolean(values[row]),
                AxisColumn::Text(values) => Value::Text(values[row].clone()),
                _ => unreachable!("these three are conditional"),
            };
            column.push_point(Some(&value).filter(|_| there(row))).unwrap();
        }
        assert_eq!((column.kind(), column.len()), (kind, 1000));
        part.axes[axis] = column;
    }
    write(dir.path(), &schema, &part);
    let all = sweep_part(500);
    let AxisColumn::Integer(layers) = &all.axes[1] else { unreachable!() };
    let Column::Float(read) = read_column(dir.path(), "layers").unwrap() else { panic!("some are missing") };
    for (row, (read, written)) in read.iter().zip(layers).enumerate() {
        assert!(if there(row) { *read == *written as f64 } else { read.is_nan() }, "row {row}: {read}");
    }
    let AxisColumn::Text(rules) = &all.axes[3] else { unreachable!() };
    let expected: Vec<_> = rules.iter().enumerate().map(|(r, w)| there(r).then(|| w.to_string())).collect();
    assert_eq!(texts(read_column(dir.path(), "evolve.rule").unwrap()), expected);
    let Column::Float(bias) = read_column(dir.path(), "bias").unwrap() else { panic!("some are missing") };
    assert!(bias.iter().enumerate().all(|(row, b)| b.is_nan() != there(row)));
    // What is conditional in one of schema and values alone is refused.
    schema.conditional.pop();
    let error = write_trials_part(dir.path(), 0, &schema, &metadata(), &part).unwrap_err().to_string();
    assert!(
        error.contains("the axis `bias` is there at some points only, in one of schema and values alone"),
        "{error}"
    );
}
