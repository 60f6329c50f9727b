//! The generations table: how an evolution went, a row for each generation.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray, UInt32Array, UInt64Array};
use arrow_schema::DataType;

use crate::error::TableError;
use crate::format::{ColumnLayout, Metadata, Packing, canonical, in_batches, write_batches};
use crate::scan::{column_names, floats, open_batches, optional_u32, texts, unsigned};
use crate::schema::check_names;
use crate::trials::PartReceipt;

/// The columns that every generations table has, in order, and what each holds; the strategy's own numbers follow.
pub const GENERATION_COLUMNS: [(&str, &str); 12] = [
    ("generation", "its number, from 0"),
    ("evaluations", "trials evaluated up to its end"),
    ("failed", "its trials that did not score"),
    ("best", "the objective of its best candidate; null where no candidate scored, as are the next six"),
    ("mean", "the mean of the objective over its scored candidates"),
    ("median", "the median"),
    ("q05", "the 5 % quantile"),
    ("q25", "the 25 % quantile"),
    ("q75", "the 75 % quantile"),
    ("q95", "the 95 % quantile"),
    ("best_candidate", "which candidate was the best"),
    ("state_hash", "the hash of the strategy's state that proposed it"),
];

/// One generation. The numbers are of the objective's metric, in its own direction.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationRow {
    /// Its number.
    pub generation: u32,
    /// Trials evaluated up to its end.
    pub evaluations: u64,
    /// Its trials that did not score.
    pub failed: u64,
    /// The objective of the best candidate; NaN, as the next six, where no candidate scored.
    pub best: f64,
    /// The mean over the scored candidates.
    pub mean: f64,
    /// The median.
    pub median: f64,
    /// The 5 % quantile.
    pub q05: f64,
    /// The 25 % quantile.
    pub q25: f64,
    /// The 75 % quantile.
    pub q75: f64,
    /// The 95 % quantile.
    pub q95: f64,
    /// Which candidate was the best, if any scored.
    pub best_candidate: Option<u32>,
    /// The hash of the state that proposed the generation.
    pub state_hash: String,
    /// The strategy's own numbers, in the order of their names.
    pub scalars: Vec<f64>,
}

/// A whole generations table.
#[derive(Clone, Debug, PartialEq)]
pub struct Generations {
    /// The names of the strategy's own numbers.
    pub scalar_names: Vec<String>,
    /// The generations, in order.
    pub rows: Vec<GenerationRow>,
}

/// The column of one number of the row.
type Number = fn(&GenerationRow) -> f64;
const NUMBERS: [Number; 7] = [|r| r.best, |r| r.mean, |r| r.median, |r| r.q05, |r| r.q25, |r| r.q75, |r| r.q95];

/// Writes the generations table. Its bytes follow from the rows alone.
pub fn write_generations(
    path: &Path,
    metadata: &Metadata,
    scalar_names: &[String],
    rows: impl IntoIterator<Item = GenerationRow>,
) -> Result<PartReceipt, TableError> {
    check_names(GENERATION_COLUMNS.iter().map(|(name, _)| *name).chain(scalar_names.iter().map(String::as_str)))?;
    let batches = in_batches(rows).map(|rows| arrays(&rows, scalar_names));
    let written = write_batches(path, metadata, &columns(scalar_names), true, batches)?;
    Ok(PartReceipt { rows: written.rows, bytes: written.bytes })
}

fn columns(scalar_names: &[String]) -> Vec<ColumnLayout> {
    let mut columns = Vec::with_capacity(GENERATION_COLUMNS.len() + scalar_names.len());
    for (name, _) in GENERATION_COLUMNS {
        columns.push(match name {
            "generation" => ColumnLayout::required(name, DataType::UInt32, Packing::Delta),
            "evaluations" => ColumnLayout::required(name, DataType::UInt64, Packing::Delta),
            "failed" => ColumnLayout::required(name, DataType::UInt64, Packing::Words),
            "best_candidate" => ColumnLayout::nullable(name, DataType::UInt32, Packing::Words),
            "state_hash" => ColumnLayout::required(name, DataType::Utf8, Packing::Words),
            _ => ColumnLayout::nullable(name, DataType::Float64, Packing::Numbers),
        });
    }
    columns.extend(scalar_names.iter().map(|name| ColumnLayout::required(name, DataType::Float64, Packing::Numbers)));
    columns
}

fn arrays(rows: &[GenerationRow], scalar_names: &[String]) -> Result<Vec<ArrayRef>, TableError> {
    if let Some(row) = rows.iter().find(|row| row.scalars.len() != scalar_names.len()) {
        return Err(TableError::Unfit(format!(
            "generation {} has {} numbers of the strategy for {} names",
            row.generation,
            row.scalars.len(),
            scalar_names.len()
        )));
    }
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|r| r.generation))),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|r| r.evaluations))),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|r| r.failed))),
    ];
    for number in NUMBERS {
        // Numbers of no candidate at all are null, so that an aggregate over generations skips them.
        let values = rows.iter().map(|row| Some(number(row)).filter(|x| !x.is_nan()));
        arrays.push(Arc::new(Float64Array::from_iter(values)));
    }
    arrays.push(Arc::new(UInt32Array::from_iter(rows.iter().map(|r| r.best_candidate))));
    arrays.push(Arc::new(StringArray::from_iter_values(rows.iter().map(|r| &r.state_hash))));
    for scalar in 0..scalar_names.len() {
        arrays.push(Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| canonical(r.scalars[scalar])))));
    }
    Ok(arrays)
}

/// Reads a generations table back.
pub fn read_generations(path: &Path) -> Result<Generations, TableError> {
    let names = column_names(path)?;
    let fixed = GENERATION_COLUMNS.map(|(name, _)| name);
    let scalar_names: Vec<String> = names.into_iter().filter(|name| !fixed.contains(&name.as_str())).collect();
    let wanted: Vec<&str> = fixed.into_iter().chain(scalar_names.iter().map(String::as_str)).collect();
    let mut rows = Vec::new();
    for batch in open_batches(path, &wanted)? {
        let batch = batch?;
        let u64s = |column: usize| unsigned(path, wanted[column], batch.column(column));
        let f64s = |column: usize| floats(path, wanted[column], batch.column(column));
        let (generations, evaluations, failed) = (u64s(0)?, u64s(1)?, u64s(2)?);
        let numbers = (3..10).map(f64s).collect::<Result<Vec<_>, _>>()?;
        let best_candidates = optional_u32(path, wanted[10], batch.column(10))?;
        let hashes = texts(path, wanted[11], batch.column(11))?;
        let scalars = (12..wanted.len()).map(f64s).collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            rows.push(GenerationRow {
                generation: u32::try_from(generations[row])
                    .map_err(|_| TableError::column(path, "generation", "it is past 32 bits"))?,
                evaluations: evaluations[row],
                failed: failed[row],
                best: numbers[0][row],
                mean: numbers[1][row],
                median: numbers[2][row],
                q05: numbers[3][row],
                q25: numbers[4][row],
                q75: numbers[5][row],
                q95: numbers[6][row],
                best_candidate: best_candidates[row],
                state_hash: hashes[row].as_deref().unwrap_or_default().to_owned(),
                scalars: scalars.iter().map(|column| column[row]).collect(),
            });
        }
    }
    Ok(Generations { scalar_names, rows })
}
