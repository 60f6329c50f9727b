//! Reading tables back, a block of rows at a time: for `tumble show`, for `tumble verify` and for tests.

use std::fs::{self, File};
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float64Type, Int8Type, Int64Type, TimestampMillisecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use tumble_domain::nearest::nearest;

use crate::error::TableError;
use crate::format::{Metadata, RUN_KEY, VERSION_KEY};

/// Rows of a block: small enough that a scan of many columns stays in a processor's cache.
const SCAN_ROWS: usize = 16 * 1024;

/// Some values of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Real numbers; NaN also where the table has none. So are the integers and booleans of a column that may hold none:
    /// those of an axis that is not there at every point.
    Float(Vec<f64>),
    /// Whole numbers, and times as milliseconds since 1970.
    Integer(Vec<i64>),
    /// Indices, counts and seeds.
    Unsigned(Vec<u64>),
    /// `true` or `false`.
    Boolean(Vec<bool>),
    /// Words; `None` where the table has none.
    Text(Vec<Option<Arc<str>>>),
}

impl Column {
    /// How many values.
    pub fn len(&self) -> usize {
        match self {
            Column::Float(values) => values.len(),
            Column::Integer(values) => values.len(),
            Column::Unsigned(values) => values.len(),
            Column::Boolean(values) => values.len(),
            Column::Text(values) => values.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as numbers, `false` and `true` as 0 and 1; `None` for words.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        match self {
            Column::Float(values) => Some(values.clone()),
            Column::Integer(values) => Some(values.iter().map(|i| *i as f64).collect()),
            Column::Unsigned(values) => Some(values.iter().map(|u| *u as f64).collect()),
            Column::Boolean(values) => Some(values.iter().map(|b| f64::from(u8::from(*b))).collect()),
            Column::Text(_) => None,
        }
    }

    /// Adds the values of a later block of the same column.
    fn append(&mut self, later: Column) -> Result<(), &'static str> {
        match (self, later) {
            (Column::Float(values), Column::Float(later)) => values.extend(later),
            (Column::Integer(values), Column::Integer(later)) => values.extend(later),
            (Column::Unsigned(values), Column::Unsigned(later)) => values.extend(later),
            (Column::Boolean(values), Column::Boolean(later)) => values.extend(later),
            (Column::Text(values), Column::Text(later)) => values.extend(later),
            _ => return Err("it is of another kind than in the parts before"),
        }
        Ok(())
    }
}

/// Consecutive rows of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// How many rows.
    pub rows: usize,
    /// The columns that were asked for, in that order.
    pub columns: Vec<Column>,
}

/// The part files of a trials table, in order. A run that goes on has a prefix of them.
pub fn part_paths(dir: &Path) -> Result<Vec<PathBuf>, TableError> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| TableError::read(dir, e))? {
        let path = entry.map_err(|e| TableError::read(dir, e))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let digits = name.strip_prefix("part-").and_then(|n| n.strip_suffix(".parquet"));
        if let Some(part) = digits.and_then(|d| d.parse::<u64>().ok()) {
            parts.push((part, path));
        }
    }
    parts.sort();
    if let Some((expected, _)) = (0..).zip(&parts).find(|(expected, (part, _))| expected != part) {
        return Err(TableError::PartMissing { dir: dir.to_owned(), part: expected });
    }
    Ok(parts.into_iter().map(|(_, path)| path).collect())
}

/// The names of a table's columns, in order. `path` is a Parquet file.
pub fn column_names(path: &Path) -> Result<Vec<String>, TableError> {
    Ok(open(path)?.schema().fields().iter().map(|field| field.name().clone()).collect())
}

/// What a table says of itself. `path` is a Parquet file.
pub fn read_metadata(path: &Path) -> Result<Metadata, TableError> {
    let builder = open(path)?;
    let pairs = builder.metadata().file_metadata().key_value_metadata();
    let value = |key: &str| {
        let pair = pairs.into_iter().flatten().find(|pair| pair.key == key);
        pair.and_then(|pair| pair.value.clone())
            .ok_or_else(|| TableError::column(path, key, "the file's metadata have no such entry"))
    };
    Ok(Metadata { run_toml: value(RUN_KEY)?, version: value(VERSION_KEY)? })
}

/// How many trials a trials table has, from the ends of its files alone.
pub fn trial_count(dir: &Path) -> Result<u64, TableError> {
    part_paths(dir)?.iter().try_fold(0, |trials, path| Ok(trials + row_count(path)?))
}

/// How many rows a file has, from its end alone.
pub(crate) fn row_count(path: &Path) -> Result<u64, TableError> {
    let rows = open(path)?.metadata().file_metadata().num_rows();
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Reads some columns of a trials table, part by part; no more than one block is in memory.
pub fn scan(dir: &Path, columns: &[&str]) -> Result<Scan, TableError> {
    Ok(Scan::over(part_paths(dir)?, columns))
}

/// Reads some columns of one Parquet file.
pub fn scan_file(path: &Path, columns: &[&str]) -> Scan {
    Scan::over(vec![path.to_owned()], columns)
}

/// Reads some columns of some rows of one Parquet file: what lies before and behind them is passed over.
pub fn scan_rows(path: &Path, columns: &[&str], rows: Range<u64>) -> Result<Scan, TableError> {
    let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let batches = open_rows(path, columns, Some((count(rows.start), count(rows.end.saturating_sub(rows.start)))))?;
    Ok(Scan { open: Some(batches), ..Scan::over(Vec::new(), columns) })
}

/// Reads a whole column of a trials table.
pub fn read_column(dir: &Path, column: &str) -> Result<Column, TableError> {
    let mut whole: Option<Column> = None;
    for block in scan(dir, &[column])? {
        let values = block?.columns.swap_remove(0);
        match &mut whole {
            None => whole = Some(values),
            Some(whole) => whole.append(values).map_err(|reason| TableError::column(dir, column, reason))?,
        }
    }
    Ok(whole.unwrap_or(Column::Float(Vec::new())))
}

/// The blocks of a scan, in the order of the table.
pub struct Scan {
    /// The files still to be opened, the next one last.
    paths: Vec<PathBuf>,
    columns: Vec<String>,
    open: Option<Batches>,
}

impl Scan {
    fn over(mut paths: Vec<PathBuf>, columns: &[&str]) -> Scan {
        paths.reverse();
        Scan { paths, columns: columns.iter().map(|c| c.to_string()).collect(), open: None }
    }

    fn block(&mut self) -> Result<Option<Block>, TableError> {
        loop {
            if let Some(batches) = &mut self.open {
                if let Some(batch) = batches.next() {
                    return batches.block(&batch?, &self.columns).map(Some);
                }
                self.open = None;
            }
            match self.paths.pop() {
                None => return Ok(None),
                Some(path) => {
                    let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
                    self.open = Some(open_batches(&path, &columns)?);
                }
            }
        }
    }
}

impl Iterator for Scan {
    type Item = Result<Block, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.block().transpose();
        if matches!(block, Some(Err(_))) {
            // What follows a damaged place is not a continuation of the table.
            self.paths.clear();
            self.open = None;
        }
        block
    }
}

/// The rows of one file, with the wanted columns in the wanted order.
pub(crate) struct Batches {
    path: PathBuf,
    /// Where each wanted column stands among those that are read.
    places: Vec<usize>,
    reader: ParquetRecordBatchReader,
}

impl Batches {
    fn block(&self, batch: &RecordBatch, names: &[String]) -> Result<Block, TableError> {
        let schema = batch.schema();
        let columns = names.iter().zip(batch.columns()).zip(schema.fields());
        let columns = columns
            .map(|((name, array), field)| column(&self.path, name, array, field.is_nullable()))
            .collect::<Result<_, _>>()?;
        Ok(Block { rows: batch.num_rows(), columns })
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = decode(&self.path, || Ok(self.reader.next().transpose()?));
        let ordered = batch
            .transpose()?
            .and_then(|batch| batch.project(&self.places).map_err(|e| TableError::damaged(&self.path, e)));
        Some(ordered)
    }
}

/// Opens a file for reading some of its columns.
pub(crate) fn open_batches(path: &Path, columns: &[&str]) -> Result<Batches, TableError> {
    open_rows(path, columns, None)
}

/// Opens a file for reading some of its columns, and so many rows behind so many others, or all of them.
fn open_rows(path: &Path, columns: &[&str], rows: Option<(usize, usize)>) -> Result<Batches, TableError> {
    let builder = open(path)?;
    let fields = builder.schema().fields();
    let mut roots = Vec::with_capacity(columns.len());
    for column in columns {
        let place = fields.iter().position(|field| field.name() == column);
        roots.push(place.ok_or_else(|| TableError::NoSuchColumn {
            path: path.to_owned(),
            column: column.to_string(),
            nearest: nearest(column, fields.iter().map(|field| field.name().as_str())).map(str::to_owned),
        })?);
    }
    // The reader gives the columns in the order of the file, and each of them once.
    let mut read = roots.clone();
    read.sort_unstable();
    read.dedup();
    let places = roots.iter().map(|root| read.partition_point(|r| r < root)).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), read);
    let builder = builder.with_projection(mask).with_batch_size(SCAN_ROWS);
    let builder = match rows {
        Some((offset, count)) => builder.with_offset(offset).with_limit(count),
        None => builder,
    };
    let reader = decode(path, || builder.build())?;
    Ok(Batches { path: path.to_owned(), places, reader })
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, TableError> {
    let file = File::open(path).map_err(|e| TableError::read(path, e))?;
    decode(path, || ParquetRecordBatchReaderBuilder::try_new(file))
}

/// Decodes something of a file. The decoder panics on some damaged files (a shift past 64 bits in its run lengths is
/// one); for us that is one more way to say so, and what it was reading is dropped.
fn decode<T>(path: &Path, decode: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, TableError> {
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    let decoded = decoded.unwrap_or_else(|_| Err(ParquetError::General("the decoder gave up".to_owned())));
    decoded.map_err(|e| TableError::damaged(path, e))
}

/// An array as one of our columns.
fn column(path: &Path, name: &str, array: &ArrayRef, is_nullable: bool) -> Result<Column, TableError> {
    Ok(match array.data_type() {
        DataType::Float64 => Column::Float(floats(path, name, array)?),
        DataType::Int64 if is_nullable => {
            let array = array.as_primitive::<Int64Type>();
            Column::Float(array.iter().map(|i| i.map_or(f64::NAN, |i| i as f64)).collect())
        }
        DataType::Boolean if is_nullable => {
            let array = array.as_boolean();
            Column::Float(array.iter().map(|b| b.map_or(f64::NAN, |b| f64::from(u8::from(b)))).collect())
        }
        DataType::Int64 => Column::Integer(primitives::<Int64Type>(path, name, array)?),
        DataType::Timestamp(TimeUnit::Millisecond, _) => Column::Integer(milliseconds(path, name, array)?),
        DataType::UInt32 | DataType::UInt64 => Column::Unsigned(unsigned(path, name, array)?),
        DataType::Boolean => {
            refuse_nulls(path, name, array)?;
            Column::Boolean(array.as_boolean().values().iter().collect())
        }
        _ => Column::Text(texts(path, name, array)?),
    })
}

/// Numbers; a missing one is NaN.
pub(crate) fn floats(path: &Path, name: &str, array: &ArrayRef) -> Result<Vec<f64>, TableError> {
    let array = array.as_primitive_opt::<Float64Type>().ok_or_else(|| other_kind(path, name, array))?;
    Ok(match array.null_count() {
        0 => array.values().to_vec(),
        _ => array.iter().map(|x| x.unwrap_or(f64::NAN)).collect(),
    })
}

/// Indices and counts of either width, none missing.
pub(crate) fn unsigned(path: &Path, name: &str, array: &ArrayRef) -> Result<Vec<u64>, TableError> {
    match array.data_type() {
        DataType::UInt32 => Ok(primitives::<UInt32Type>(path, name, array)?.into_iter().map(u64::from).collect()),
        _ => primitives::<UInt64Type>(path, name, array),
    }
}

/// Indices, some of which may be missing.
pub(crate) fn optional_u32(path: &Path, name: &str, array: &ArrayRef) -> Result<Vec<Option<u32>>, TableError> {
    let array = array.as_primitive_opt::<UInt32Type>().ok_or_else(|| other_kind(path, name, array))?;
    Ok(array.iter().collect())
}

/// Times since 1970.
pub(crate) fn milliseconds(path: &Path, name: &str, array: &ArrayRef) -> Result<Vec<i64>, TableError> {
    primitives::<TimestampMillisecondType>(path, name, array)
}

/// Words; equal neighbours share one allocation.
pub(crate) fn texts(path: &Path, name: &str, array: &ArrayRef) -> Result<Vec<Option<Arc<str>>>, TableError> {
    if let Some(words) = array.as_string_opt::<i32>() {
        let mut last: Option<Arc<str>> = None;
        return Ok(words
            .iter()
            .map(|word| {
                let word = word?;
                if last.as_deref() != Some(word) {
                    last = Some(Arc::from(word));
                }
                last.clone()
            })
            .collect());
    }
    let dictionary = array.as_dictionary_opt::<Int8Type>().ok_or_else(|| other_kind(path, name, array))?;
    let words = texts(path, name, dictionary.values())?;
    let word = |key: Option<i8>| usize::try_from(key?).ok().and_then(|key| words.get(key).cloned().flatten());
    Ok(dictionary.keys().iter().map(word).collect())
}

/// Values none of which is missing.
fn primitives<T: ArrowPrimitiveType>(path: &Path, name: &str, array: &ArrayRef) -> Result<Vec<T::Native>, TableError> {
    refuse_nulls(path, name, array)?;
    let array = array.as_primitive_opt::<T>().ok_or_else(|| other_kind(path, name, array))?;
    Ok(array.values().to_vec())
}

fn refuse_nulls(path: &Path, name: &str, array: &ArrayRef) -> Result<(), TableError> {
    match array.null_count() {
        0 => Ok(()),
        missing => Err(TableError::column(path, name, format!("{missing} values are missing"))),
    }
}

fn other_kind(path: &Path, name: &str, array: &ArrayRef) -> TableError {
    TableError::column(path, name, format!("it holds {}, which no table of ours does there", array.data_type()))
}
