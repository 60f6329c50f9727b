//! The trials table: a row for each trial, in parts that are complete ranges of trials.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int8Array, Int64Array, StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::DataType;
use tumble_domain::code::{EXIT_COLUMNS, Exit};
use tumble_domain::layout::PART_ROWS_MAX;
use tumble_domain::outcome::{Outcomes, Status};
use tumble_domain::{Layout, TrialAddress, TrialRange};

use crate::atomic::sync_folder;
use crate::error::TableError;
use crate::format::{ColumnLayout, Metadata, Packing, canonical, word_list, write_columns};
use crate::schema::{AxisColumn, ColumnKind, RUNG_COLUMN, TrialsSchema};

/// The rows of one part.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialsPart {
    /// The layout of the run.
    pub layout: Layout,
    /// The trials of this part.
    pub range: TrialRange,
    /// A value for each trial of `range`, for each axis of the schema.
    pub axes: Vec<AxisColumn>,
    /// Of a sweep with rungs the point of each trial, which is its candidate; empty for every other run, where the layout
    /// says which candidate a trial is of.
    pub points: Vec<u32>,
    /// Consecutive outcomes that cover `range` exactly, in order. How they are cut leaves no trace in the file.
    pub outcomes: Vec<Outcomes>,
}

/// What a part came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartReceipt {
    /// Its rows.
    pub rows: u64,
    /// Its size on disk.
    pub bytes: u64,
}

/// The file name of a part.
pub fn part_name(part: u64) -> String {
    format!("part-{part:05}.parquet")
}

/// Writes one part of the trials table into `dir` (made if it is not there). It appears whole or not at all, and its
/// bytes follow from the arguments' values alone.
pub fn write_trials_part(
    dir: &Path,
    part: u64,
    schema: &TrialsSchema,
    metadata: &Metadata,
    data: &TrialsPart,
) -> Result<PartReceipt, TableError> {
    check(part, schema, data)?;
    make_folder(dir)?;
    let columns = columns(schema);
    let starts = starts(&data.outcomes);
    let written = write_columns(&dir.join(part_name(part)), metadata, &layouts(&columns), rows(data), |c, rows| {
        let pieces = Pieces { outcomes: &data.outcomes, starts: &starts, rows: rows.clone() };
        let trials = data.range.start + rows.start as u64..data.range.start + rows.end as u64;
        columns[c].1.values(data, rows, trials, pieces)
    })?;
    Ok(PartReceipt { rows: written.rows, bytes: written.bytes })
}

/// Whether this part of the trials table stands in `dir` with so many rows of this run: the end of the file, which is
/// written last and says where everything is, tells.
pub fn part_stands(dir: &Path, part: u64, rows: u64, run_toml: &str) -> Result<(), String> {
    let path = dir.join(part_name(part));
    if !path.exists() {
        return Err("is gone".to_owned());
    }
    let found = crate::scan::row_count(&path).map_err(|error| format!("cannot be used: failed to {error}"))?;
    let metadata = crate::scan::read_metadata(&path).map_err(|error| format!("cannot be used: failed to {error}"))?;
    if found != rows {
        return Err(format!("has {found} rows instead of {rows}"));
    }
    if metadata.run_toml != run_toml {
        return Err("is of another run".to_owned());
    }
    Ok(())
}

/// What a column is filled from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Trial,
    Generation,
    Candidate,
    Replicate,
    Seed,
    Axis(usize),
    Metric(usize),
    Outcome,
    Exit(fn(Exit) -> Option<i32>),
    Error,
}

/// The columns of the table, each with where its values come from.
fn columns(schema: &TrialsSchema) -> Vec<(ColumnLayout, Source)> {
    use DataType::{Boolean, Float64, Int64, UInt32, UInt64, Utf8};
    let mut columns = vec![(ColumnLayout::required("trial", UInt64, Packing::Delta), Source::Trial)];
    if schema.evolves {
        let name = if schema.rungs { RUNG_COLUMN.0 } else { "generation" };
        columns.push((ColumnLayout::required(name, UInt32, Packing::Words), Source::Generation));
        columns.push((ColumnLayout::required("candidate", UInt32, Packing::Delta), Source::Candidate));
    }
    columns.push((ColumnLayout::required("replicate", UInt32, Packing::Words), Source::Replicate));
    columns.push((ColumnLayout::required("seed", UInt64, Packing::Noise), Source::Seed));
    for (axis, (name, kind)) in schema.axes.iter().enumerate() {
        let (data_type, packing) = match kind {
            ColumnKind::Float => (Float64, Packing::Numbers),
            ColumnKind::Integer => (Int64, Packing::Integers),
            ColumnKind::Boolean => (Boolean, Packing::Words),
            ColumnKind::Text => (Utf8, Packing::Words),
        };
        let layout = match schema.conditional.contains(name) {
            true => ColumnLayout::nullable(name, data_type, packing),
            false => ColumnLayout::required(name, data_type, packing),
        };
        columns.push((layout, Source::Axis(axis)));
    }
    for (metric, name) in schema.metrics.iter().enumerate() {
        columns.push((ColumnLayout::nullable(name, Float64, Packing::Numbers), Source::Metric(metric)));
    }
    columns.push((ColumnLayout::required("outcome", word_list(), Packing::Words), Source::Outcome));
    if schema.exits {
        for ((name, _), part) in EXIT_COLUMNS.into_iter().zip([Exit::code, Exit::signal]) {
            columns.push((ColumnLayout::nullable(name, Int64, Packing::Integers), Source::Exit(part)));
        }
    }
    columns.push((ColumnLayout::nullable("error", Utf8, Packing::Words), Source::Error));
    columns
}

fn layouts(columns: &[(ColumnLayout, Source)]) -> Vec<ColumnLayout> {
    columns.iter().map(|(layout, _)| layout.clone()).collect()
}

impl Source {
    /// The column's values for some rows of the part, which are these trials of the run.
    fn values(
        self,
        data: &TrialsPart,
        rows: Range<usize>,
        trials: Range<u64>,
        pieces: Pieces<'_>,
    ) -> Result<ArrayRef, TableError> {
        let addresses = |value: fn(TrialAddress) -> u32| -> ArrayRef {
            Arc::new(UInt32Array::from_iter_values(trials.clone().map(|t| value(data.layout.address(t)))))
        };
        Ok(match self {
            Source::Candidate if !data.points.is_empty() => {
                Arc::new(UInt32Array::from_iter_values(data.points[rows].iter().copied()))
            }
            Source::Seed if !data.points.is_empty() => {
                let seed = |(trial, point): (u64, &u32)| {
                    data.layout.rung_seed(u64::from(*point), data.layout.address(trial).replicate).0
                };
                Arc::new(UInt64Array::from_iter_values(trials.zip(&data.points[rows]).map(seed)))
            }
            Source::Trial => Arc::new(UInt64Array::from_iter_values(trials)),
            Source::Generation => addresses(|at| at.generation),
            // A population is a u32, so the candidate of an evolution fits; a sweep has no such column.
            Source::Candidate => addresses(|at| at.candidate as u32),
            Source::Replicate => addresses(|at| at.replicate),
            Source::Seed => Arc::new(UInt64Array::from_iter_values(
                trials.map(|t| data.layout.trial_seed(data.layout.address(t)).0),
            )),
            Source::Axis(axis) => axis_values(&data.axes[axis], rows)?,
            Source::Metric(metric) => metric_values(metric, rows.len(), pieces),
            Source::Outcome => outcome_values(rows.len(), pieces)?,
            Source::Exit(part) => exit_values(part, rows.len(), pieces),
            Source::Error => error_values(rows.len(), pieces)?,
        })
    }
}

fn axis_values(column: &AxisColumn, rows: Range<usize>) -> Result<ArrayRef, TableError> {
    Ok(match column {
        AxisColumn::Float(values) => {
            let mut array = Float64Builder::with_capacity(rows.len());
            values[rows].iter().for_each(|x| array.append_value(canonical(*x)));
            Arc::new(array.finish())
        }
        AxisColumn::Integer(values) => {
            let mut array = Int64Builder::with_capacity(rows.len());
            array.append_slice(&values[rows]);
            Arc::new(array.finish())
        }
        AxisColumn::Boolean(values) => {
            let mut array = BooleanBuilder::with_capacity(rows.len());
            array.append_slice(&values[rows]);
            Arc::new(array.finish())
        }
        AxisColumn::Text(values) => {
            check_text(values[rows.clone()].iter().map(|word| word.len()))?;
            Arc::new(StringArray::from_iter_values(&values[rows]))
        }
        AxisColumn::Conditional(values, is_there) => {
            let there = |row: &usize| is_there[*row];
            match &**values {
                AxisColumn::Float(values) => Arc::new(Float64Array::from_iter(
                    rows.map(|row| Some(row).filter(there).map(|row| canonical(values[row]))),
                )),
                AxisColumn::Integer(values) => {
                    Arc::new(Int64Array::from_iter(rows.map(|row| Some(row).filter(there).map(|row| values[row]))))
                }
                AxisColumn::Boolean(values) => {
                    Arc::new(BooleanArray::from_iter(rows.map(|row| Some(row).filter(there).map(|row| values[row]))))
                }
                AxisColumn::Text(values) => {
                    check_text(values[rows.clone()].iter().map(|word| word.len()))?;
                    Arc::new(StringArray::from_iter(rows.map(|row| Some(row).filter(there).map(|row| &*values[row]))))
                }
                AxisColumn::Conditional(..) => {
                    return Err(TableError::Unfit("an axis has two conditions".to_owned()));
                }
            }
        }
    })
}

/// A metric; null where the trial did not score, whatever number stands there.
fn metric_values(metric: usize, rows: usize, pieces: Pieces<'_>) -> ArrayRef {
    let mut array = Float64Builder::with_capacity(rows);
    pieces.each(|outcomes, offsets| {
        for offset in offsets {
            match outcomes.status(offset) {
                Status::Scored => array.append_value(canonical(outcomes.value(metric, offset))),
                Status::Failed | Status::TimedOut => array.append_null(),
            }
        }
    });
    Arc::new(array.finish())
}

/// The statuses in the order of their numbers, which are the keys of the dictionary.
const STATUSES: [Status; 3] = [Status::Scored, Status::Failed, Status::TimedOut];

fn outcome_values(rows: usize, pieces: Pieces<'_>) -> Result<ArrayRef, TableError> {
    let mut keys = Vec::with_capacity(rows);
    pieces.each(|outcomes, offsets| keys.extend(offsets.map(|offset| outcomes.status(offset) as i8)));
    let words = StringArray::from_iter_values(STATUSES.map(Status::name));
    let array = DictionaryArray::try_new(Int8Array::from(keys), Arc::new(words));
    Ok(Arc::new(array.expect("every status is a key of the dictionary")))
}

/// How each trial's program ended: one that scored has exited with code 0, and the error of any other tells.
fn exit_values(part: fn(Exit) -> Option<i32>, rows: usize, pieces: Pieces<'_>) -> ArrayRef {
    let mut array = Int64Builder::with_capacity(rows);
    pieces.each(|outcomes, offsets| {
        let mut errors = errors_within(outcomes, offsets.clone()).iter().peekable();
        for offset in offsets {
            let error = errors.next_if(|error| error.offset as usize == offset);
            let exit = match outcomes.status(offset) {
                Status::Scored => Some(Exit::Code(0)),
                Status::Failed => error.and_then(|error| Exit::of_error(&error.message)),
                // What we end ends as it happens.
                Status::TimedOut => None,
            };
            array.append_option(exit.and_then(part).map(i64::from));
        }
    });
    Arc::new(array.finish())
}

fn error_values(rows: usize, pieces: Pieces<'_>) -> Result<ArrayRef, TableError> {
    let mut lengths = Vec::new();
    pieces.each(|outcomes, offsets| {
        lengths.extend(errors_within(outcomes, offsets).iter().map(|error| error.message.len()));
    });
    check_text(lengths.iter().copied())?;
    let mut array = StringBuilder::with_capacity(rows, lengths.iter().sum());
    pieces.each(|outcomes, offsets| {
        let mut next = offsets.start;
        for error in errors_within(outcomes, offsets.clone()) {
            let offset = error.offset as usize;
            array.append_nulls(offset - next);
            array.append_value(&error.message);
            next = offset + 1;
        }
        array.append_nulls(offsets.end - next);
    });
    Ok(Arc::new(array.finish()))
}

/// The errors of some trials; they stand by rising offset.
fn errors_within(outcomes: &Outcomes, offsets: Range<usize>) -> &[tumble_domain::TrialError] {
    let from = outcomes.errors.partition_point(|e| (e.offset as usize) < offsets.start);
    let to = outcomes.errors.partition_point(|e| (e.offset as usize) < offsets.end);
    &outcomes.errors[from..to]
}

/// An array of text counts its bytes in an `i32`, and would panic past that.
fn check_text(lengths: impl Iterator<Item = usize>) -> Result<(), TableError> {
    let bytes: usize = lengths.sum();
    match i32::try_from(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(TableError::Unfit(format!("a block of rows has {bytes} bytes of text, more than 2 GiB"))),
    }
}

/// Some rows of a part, found in the outcomes that cover it.
#[derive(Clone)]
struct Pieces<'a> {
    outcomes: &'a [Outcomes],
    /// The row at which each of the outcomes starts.
    starts: &'a [usize],
    rows: Range<usize>,
}

impl Pieces<'_> {
    /// Calls `f` with each of the outcomes that hold some of the rows, in order, and which of its trials they are.
    fn each(&self, mut f: impl FnMut(&Outcomes, Range<usize>)) {
        let first = self.starts.partition_point(|start| *start <= self.rows.start).saturating_sub(1);
        for (outcomes, start) in self.outcomes[first..].iter().zip(&self.starts[first..]) {
            if *start >= self.rows.end {
                break;
            }
            let from = self.rows.start.max(*start) - start;
            let to = (self.rows.end - start).min(outcomes.trials as usize);
            if from < to {
                f(outcomes, from..to);
            }
        }
    }
}

fn starts(outcomes: &[Outcomes]) -> Vec<usize> {
    let mut row = 0;
    outcomes
        .iter()
        .map(|o| {
            let start = row;
            row += o.trials as usize;
            start
        })
        .collect()
}

fn rows(data: &TrialsPart) -> usize {
    data.range.len() as usize
}

/// Refuses rows that do not fit the schema or the part: what comes from workers was checked where it arrived, but a
/// table that is wrong in silence would be found years later.
fn check(part: u64, schema: &TrialsSchema, data: &TrialsPart) -> Result<(), TableError> {
    schema.check()?;
    let unfit = |reason: String| Err(TableError::Unfit(reason));
    let (range, layout) = (data.range, &data.layout);
    if range.len() > PART_ROWS_MAX {
        return unfit(format!("the trials {range} are more than the {PART_ROWS_MAX} of a part"));
    }
    if range.end > layout.trials() {
        return unfit(format!("the trials {range} are not all of a run of {} trials", layout.trials()));
    }
    if part.checked_mul(layout.part_rows()).is_none() || layout.part(part, range.end) != range {
        return unfit(format!("the trials {range} are not those of part {part}"));
    }
    if data.axes.len() != schema.axes.len() {
        return unfit(format!("there are {} columns for {} axes", data.axes.len(), schema.axes.len()));
    }
    for ((name, kind), column) in schema.axes.iter().zip(&data.axes) {
        if column.kind() != *kind {
            let (kind, found) = (kind.name(), column.kind().name());
            return unfit(format!("the axis `{name}` has values of kind {found}, not {kind}"));
        }
        if matches!(column, AxisColumn::Conditional(..)) != schema.conditional.contains(name) {
            return unfit(format!("the axis `{name}` is there at some points only, in one of schema and values alone"));
        }
        if column.len() as u64 != range.len() {
            return unfit(format!("the axis `{name}` has {} values for {} trials", column.len(), range.len()));
        }
    }
    if data.points.len() as u64 != if schema.rungs { range.len() } else { 0 } {
        return unfit(format!("there are {} points for the {} trials of {range}", data.points.len(), range.len()));
    }
    let mut covered = 0;
    for outcomes in &data.outcomes {
        if !outcomes.is_consistent() || outcomes.metrics as usize != schema.metrics.len() {
            let trial = range.start + covered;
            return unfit(format!("the outcomes from trial {trial} on do not have the columns that they promise"));
        }
        covered += u64::from(outcomes.trials);
    }
    if covered != range.len() {
        return unfit(format!("there are {covered} outcomes for {} trials", range.len()));
    }
    Ok(())
}

/// Makes the folder, and its name durable, so that a part that was reported as written survives a power cut.
fn make_folder(dir: &Path) -> Result<(), TableError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(|e| TableError::write(dir, e))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent).map_err(|e| TableError::write(parent, e)),
        _ => Ok(()),
    }
}
