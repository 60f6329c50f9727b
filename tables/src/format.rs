//! How every table is laid out as Parquet: encodings, compression, and what the file says of itself.
//!
//! Source: the Apache Parquet format specification, Encodings.md (DELTA_BINARY_PACKED, BYTE_STREAM_SPLIT,
//! RLE_DICTIONARY) and parquet.thrift (SortingColumn, KeyValue).

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::compute_leaves;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use tumble_domain::layout::PART_ROWS_MAX;

use crate::atomic::write_atomically;
use crate::error::TableError;

/// Where a file says which run it belongs to.
pub(crate) const RUN_KEY: &str = "tumble.run";
/// Where a file says which version wrote it.
pub(crate) const VERSION_KEY: &str = "tumble.version";

/// Rows that are laid out at a time. The cuts follow from the row's place in its file, never from how the rows came.
pub(crate) const BLOCK_ROWS: usize = 64 * 1024;

/// The dictionary of a column of numbers gives up at this size, 1024 values. With the library's own limit of 1 MiB, a
/// noisy column of a small part would be kept as a dictionary of all its values and their numbers beside.
const NUMBERS_DICTIONARY_BYTES: usize = 8 * 1024;

/// Rows of a table that comes row by row that are laid out at a time.
const BATCH_ROWS: usize = 4 * 1024;

/// What every table says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The run file as it was understood.
    pub run_toml: String,
    /// The version of Tumble that wrote the table.
    pub version: String,
}

/// How a column is encoded before it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Differences of neighbours: next to nothing for an index that counts.
    Delta,
    /// As it is, without statistics: noise has no shorter form and no useful smallest value.
    Noise,
    /// The distinct values once, then their numbers; as it is where the values are too many.
    Words,
    /// As `Words`, but where the values are more than a few the bytes of equal weight stand together, for the exponents
    /// of numbers in one column are alike and compress well.
    Numbers,
    /// As `Words`, but differences of neighbours where the values are more than a few.
    Integers,
}

/// One column of a table.
#[derive(Clone, Debug)]
pub(crate) struct ColumnLayout {
    pub(crate) field: Field,
    packing: Packing,
}

impl ColumnLayout {
    pub(crate) fn required(name: &str, data_type: DataType, packing: Packing) -> ColumnLayout {
        ColumnLayout { field: Field::new(name, data_type, false), packing }
    }

    pub(crate) fn nullable(name: &str, data_type: DataType, packing: Packing) -> ColumnLayout {
        ColumnLayout { field: Field::new(name, data_type, true), packing }
    }
}

/// What the few words of a closed list are kept as; readers show a category.
pub(crate) fn word_list() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))
}

/// The one bit pattern that a NaN is written as. Which one an operation makes differs between compilers and
/// instructions, and the tables' bytes may not.
pub(crate) const NAN: f64 = f64::from_bits(0x7FF8_0000_0000_0000);

/// The number as it is written.
#[inline]
pub(crate) fn canonical(x: f64) -> f64 {
    if x.is_nan() { NAN } else { x }
}

/// What a written file came to.
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Writes a table a column at a time, so that no more than a block of one column is laid out beside the caller's data.
/// `block(column, rows)` makes the values of some rows of a column.
pub(crate) fn write_columns(
    path: &Path,
    metadata: &Metadata,
    columns: &[ColumnLayout],
    rows: usize,
    block: impl Fn(usize, Range<usize>) -> Result<ArrayRef, TableError>,
) -> Result<Written, TableError> {
    // An error of the caller's own passes through the atomic write, which knows `io::Error` alone.
    let mut unfit = None;
    let written = write_atomically(path, |file| {
        let (mut writer, factory) = open(file, metadata, columns, true)?.into_serialized_writer()?;
        if rows > 0 {
            let mut group = writer.next_row_group()?;
            for (number, mut column) in factory.create_column_writers(0)?.into_iter().enumerate() {
                for start in (0..rows).step_by(BLOCK_ROWS) {
                    let array = block(number, start..(start + BLOCK_ROWS).min(rows)).map_err(|e| {
                        unfit = Some(e);
                        io::Error::other("the rows do not fit the table")
                    })?;
                    for leaf in compute_leaves(&columns[number].field, &array)? {
                        column.write(&leaf)?;
                    }
                }
                column.close()?.append_to_row_group(&mut group)?;
            }
            group.close()?;
        }
        writer.finish()?;
        Ok(Written { rows: rows as u64, bytes: writer.bytes_written() as u64 })
    });
    match unfit {
        Some(error) => Err(error),
        None => written,
    }
}

/// Writes a table as its rows come, a batch at a time.
pub(crate) fn write_batches(
    path: &Path,
    metadata: &Metadata,
    columns: &[ColumnLayout],
    sorted: bool,
    batches: impl Iterator<Item = Result<Vec<ArrayRef>, TableError>>,
) -> Result<Written, TableError> {
    let mut unfit = None;
    let written = write_atomically(path, |file| {
        let schema = schema(columns);
        let mut writer = open(file, metadata, columns, sorted)?;
        for arrays in batches {
            let arrays = arrays.map_err(|e| {
                unfit = Some(e);
                io::Error::other("the rows do not fit the table")
            })?;
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(ParquetError::from)?)?;
        }
        let rows = writer.finish()?.file_metadata().num_rows() as u64;
        Ok(Written { rows, bytes: writer.bytes_written() as u64 })
    });
    match unfit {
        Some(error) => Err(error),
        None => written,
    }
}

/// Cuts rows into batches of a fixed size, the last one shorter.
pub(crate) fn in_batches<R>(rows: impl IntoIterator<Item = R>) -> impl Iterator<Item = Vec<R>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let batch: Vec<R> = rows.by_ref().take(BATCH_ROWS).collect();
        (!batch.is_empty()).then_some(batch)
    })
}

fn schema(columns: &[ColumnLayout]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|c| c.field.clone()).collect::<Vec<_>>()))
}

fn open<'a>(
    file: &'a mut File,
    metadata: &Metadata,
    columns: &[ColumnLayout],
    sorted: bool,
) -> Result<ArrowWriter<&'a mut File>> {
    // Nothing here may depend on the time, the host or the number of threads; the default `created_by` would change
    // the bytes with the version of a library.
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("tumble {}", metadata.version))
        .set_key_value_metadata(Some(vec![
            KeyValue::new(RUN_KEY.to_owned(), metadata.run_toml.clone()),
            KeyValue::new(VERSION_KEY.to_owned(), metadata.version.clone()),
        ]))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(PART_ROWS_MAX as usize));
    if sorted {
        let first = SortingColumn { column_idx: 0, descending: false, nulls_first: false };
        properties = properties.set_sorting_columns(Some(vec![first]));
    }
    for column in columns {
        let path = ColumnPath::from(column.field.name().as_str());
        properties = match column.packing {
            Packing::Delta => properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            Packing::Noise => properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::PLAIN)
                .set_column_statistics_enabled(path, EnabledStatistics::None),
            Packing::Words => properties,
            Packing::Numbers => properties
                .set_column_dictionary_page_size_limit(path.clone(), NUMBERS_DICTIONARY_BYTES)
                .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT),
            Packing::Integers => properties
                .set_column_dictionary_page_size_limit(path.clone(), NUMBERS_DICTIONARY_BYTES)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
        };
    }
    ArrowWriter::try_new(file, schema(columns), Some(properties.build()))
}
