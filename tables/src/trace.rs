//! The trace of one trial: a table of numbers, as Parquet or as CSV.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, UInt64Array};
use arrow_schema::DataType;

use crate::atomic::write_atomically;
use crate::error::TableError;
use crate::format::{ColumnLayout, Metadata, Packing, canonical, in_batches, write_batches};
use crate::schema::check_names;

/// What a trace is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFormat {
    /// Parquet, with the run file in its metadata.
    Parquet,
    /// Comma-separated values under a line of names.
    Csv,
}

impl TraceFormat {
    /// The format that a file's name asks for; `None` for any other.
    pub fn of(path: &Path) -> Option<TraceFormat> {
        match path.extension()?.to_str()? {
            "parquet" => Some(TraceFormat::Parquet),
            "csv" => Some(TraceFormat::Csv),
            _ => None,
        }
    }
}

/// Writes a trace: named columns, of which the first counts the steps, and a row for each step.
pub fn write_trace<'a>(
    path: &Path,
    format: TraceFormat,
    metadata: &Metadata,
    columns: &[String],
    steps: impl IntoIterator<Item = &'a [f64]>,
) -> Result<(), TableError> {
    check_names(columns.iter().map(String::as_str))?;
    match format {
        TraceFormat::Csv => write_atomically(path, |file| {
            let mut text = columns.join(",") + "\n";
            for step in steps {
                for (column, value) in step.iter().enumerate() {
                    // Rust writes the shortest digits that are read back to the same bits.
                    let _ = write!(text, "{}{value}", if column == 0 { "" } else { "," });
                }
                text.push('\n');
            }
            file.write_all(text.as_bytes())
        }),
        TraceFormat::Parquet => {
            let layout = |(column, name): (usize, &String)| match column {
                0 => ColumnLayout::required(name, DataType::UInt64, Packing::Delta),
                _ => ColumnLayout::required(name, DataType::Float64, Packing::Numbers),
            };
            let layouts: Vec<ColumnLayout> = columns.iter().enumerate().map(layout).collect();
            let batches = in_batches(steps).map(|steps| {
                let column = |column: usize| -> ArrayRef {
                    match column {
                        0 => Arc::new(UInt64Array::from_iter_values(steps.iter().map(|step| step[0] as u64))),
                        _ => Arc::new(Float64Array::from_iter_values(steps.iter().map(|step| canonical(step[column])))),
                    }
                };
                Ok((0..columns.len()).map(column).collect())
            });
            write_batches(path, metadata, &layouts, true, batches).map(|_| ())
        }
    }
}
