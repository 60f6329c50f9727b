//! The attempts table: how it went, a row for each lease of a shard. The one table that differs between two runs of
//! the same run file.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, Int8Array, StringArray, TimestampMillisecondArray, UInt32Array,
    UInt64Array,
};
use arrow_schema::{DataType, TimeUnit};

use crate::error::TableError;
use crate::format::{ColumnLayout, Metadata, Packing, in_batches, word_list, write_batches};
use crate::scan::{floats, milliseconds, open_batches, texts, unsigned};
use crate::trials::PartReceipt;

/// The columns of an attempts table, in order, and what each holds.
pub const ATTEMPT_COLUMNS: [(&str, &str); 11] = [
    ("first_trial", "the first trial of the shard"),
    ("trials", "how many trials it has"),
    ("attempt", "how often the shard had been leased before, from 0"),
    ("worker", "the worker that held the lease"),
    ("host", "the machine it ran on"),
    ("granted_at", "when the lease was granted"),
    ("ended_at", "when the report came, or the lease was given up"),
    ("evaluate_ms", "how long the worker says it evaluated; null without a report"),
    ("outcome", "`reported`, `returned`, `lost`, `expired`, `duplicate` or `disagreed`"),
    ("bytes_down", "bytes sent to the worker for it"),
    ("bytes_up", "bytes that came back"),
];

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum AttemptOutcome {
    /// Its outcomes were taken.
    Reported = 0,
    /// The worker gave the shard back.
    Returned = 1,
    /// The worker was lost.
    Lost = 2,
    /// The lease was given up, for the worker had been silent for too long.
    Expired = 3,
    /// Another attempt had reported the same before.
    Duplicate = 4,
    /// Another attempt had reported something else before: the evaluator is not deterministic.
    Disagreed = 5,
}

impl AttemptOutcome {
    /// In the order of their numbers, which are the keys of the dictionary.
    const ALL: [AttemptOutcome; 6] = [
        AttemptOutcome::Reported,
        AttemptOutcome::Returned,
        AttemptOutcome::Lost,
        AttemptOutcome::Expired,
        AttemptOutcome::Duplicate,
        AttemptOutcome::Disagreed,
    ];

    /// As the `outcome` column spells it.
    pub fn name(self) -> &'static str {
        match self {
            AttemptOutcome::Reported => "reported",
            AttemptOutcome::Returned => "returned",
            AttemptOutcome::Lost => "lost",
            AttemptOutcome::Expired => "expired",
            AttemptOutcome::Duplicate => "duplicate",
            AttemptOutcome::Disagreed => "disagreed",
        }
    }
}

/// One lease of a shard.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRow {
    /// The first trial of the shard.
    pub first_trial: u64,
    /// How many trials it has.
    pub trials: u64,
    /// How often it had been leased before.
    pub attempt: u32,
    /// The worker that held the lease.
    pub worker: String,
    /// The machine it ran on.
    pub host: String,
    /// When the lease was granted, in milliseconds since 1970.
    pub granted_at_ms: i64,
    /// When the report came, or the lease was given up.
    pub ended_at_ms: i64,
    /// How long the worker says it evaluated; NaN without a report.
    pub evaluate_ms: f64,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Bytes sent to the worker for it.
    pub bytes_down: u64,
    /// Bytes that came back.
    pub bytes_up: u64,
}

/// Writes the attempts table.
pub fn write_attempts(
    path: &Path,
    metadata: &Metadata,
    rows: impl IntoIterator<Item = AttemptRow>,
) -> Result<PartReceipt, TableError> {
    let batches = in_batches(rows).map(|rows| arrays(&rows));
    let written = write_batches(path, metadata, &columns(), false, batches)?;
    Ok(PartReceipt { rows: written.rows, bytes: written.bytes })
}

fn columns() -> Vec<ColumnLayout> {
    let column = |(name, _): (&str, &str)| match name {
        "first_trial" => ColumnLayout::required(name, DataType::UInt64, Packing::Delta),
        "attempt" => ColumnLayout::required(name, DataType::UInt32, Packing::Words),
        "worker" | "host" => ColumnLayout::required(name, DataType::Utf8, Packing::Words),
        "granted_at" | "ended_at" => ColumnLayout::required(name, timestamp(), Packing::Delta),
        "evaluate_ms" => ColumnLayout::nullable(name, DataType::Float64, Packing::Numbers),
        "outcome" => ColumnLayout::required(name, word_list(), Packing::Words),
        _ => ColumnLayout::required(name, DataType::UInt64, Packing::Integers),
    };
    ATTEMPT_COLUMNS.into_iter().map(column).collect()
}

/// A time in UTC: without the zone, readers would take it for local time.
fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn arrays(rows: &[AttemptRow]) -> Result<Vec<ArrayRef>, TableError> {
    let u64s =
        |value: fn(&AttemptRow) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(rows.iter().map(value))) };
    let times = |value: fn(&AttemptRow) -> i64| -> ArrayRef {
        Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(value)).with_timezone("UTC"))
    };
    let keys = Int8Array::from_iter_values(rows.iter().map(|row| row.outcome as i8));
    let words = StringArray::from_iter_values(AttemptOutcome::ALL.map(AttemptOutcome::name));
    let outcomes = DictionaryArray::try_new(keys, Arc::new(words));
    let evaluate = rows.iter().map(|row| Some(row.evaluate_ms).filter(|ms| !ms.is_nan()));
    Ok(vec![
        u64s(|row| row.first_trial),
        u64s(|row| row.trials),
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.attempt))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.worker))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.host))),
        times(|row| row.granted_at_ms),
        times(|row| row.ended_at_ms),
        Arc::new(Float64Array::from_iter(evaluate)),
        Arc::new(outcomes.expect("every outcome is a key of the dictionary")),
        u64s(|row| row.bytes_down),
        u64s(|row| row.bytes_up),
    ])
}

/// Reads an attempts table back.
pub fn read_attempts(path: &Path) -> Result<Vec<AttemptRow>, TableError> {
    let names = ATTEMPT_COLUMNS.map(|(name, _)| name);
    let mut rows = Vec::new();
    for batch in open_batches(path, &names)? {
        let batch = batch?;
        let u64s = |column: usize| unsigned(path, names[column], batch.column(column));
        let words = |column: usize| texts(path, names[column], batch.column(column));
        let times = |column: usize| milliseconds(path, names[column], batch.column(column));
        let (first, trials, attempts, down, up) = (u64s(0)?, u64s(1)?, u64s(2)?, u64s(9)?, u64s(10)?);
        let (workers, hosts, outcomes) = (words(3)?, words(4)?, words(8)?);
        let (granted, ended) = (times(5)?, times(6)?);
        let evaluate = floats(path, names[7], batch.column(7))?;
        for row in 0..batch.num_rows() {
            let outcome = outcomes[row].as_deref().unwrap_or_default();
            rows.push(AttemptRow {
                first_trial: first[row],
                trials: trials[row],
                attempt: u32::try_from(attempts[row])
                    .map_err(|_| TableError::column(path, "attempt", "it is past 32 bits"))?,
                worker: workers[row].as_deref().unwrap_or_default().to_owned(),
                host: hosts[row].as_deref().unwrap_or_default().to_owned(),
                granted_at_ms: granted[row],
                ended_at_ms: ended[row],
                evaluate_ms: evaluate[row],
                outcome: AttemptOutcome::ALL
                    .into_iter()
                    .find(|known| known.name() == outcome)
                    .ok_or_else(|| TableError::column(path, "outcome", format!("`{outcome}` is no outcome")))?,
                bytes_down: down[row],
                bytes_up: up[row],
            });
        }
    }
    Ok(rows)
}
