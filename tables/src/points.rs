//! Reads the points of a sweep from a Parquet file that another program wrote.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use tumble_domain::Value;

use crate::error::TableError;
use crate::scan::{column_names, open_batches};

/// The most values of such a file: more than a run may take of it.
pub const POINT_VALUES_MAX: usize = 1 << 22;

/// The columns of a Parquet file, each with its name and a value for each row; `None` where there is none. Numbers,
/// integers, booleans and words are taken in any of their widths.
pub fn read_points(path: &Path) -> Result<Vec<(String, Vec<Option<Value>>)>, TableError> {
    let names = column_names(path)?;
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut columns: Vec<(String, Vec<Option<Value>>)> = names.iter().map(|name| (name.clone(), Vec::new())).collect();
    for batch in open_batches(path, &wanted)? {
        let batch = batch?;
        for ((name, values), array) in columns.iter_mut().zip(batch.columns()) {
            append(path, name, array, values)?;
            if values.len() * wanted.len() > POINT_VALUES_MAX {
                return Err(TableError::column(
                    path,
                    name,
                    format!("the file has more than {POINT_VALUES_MAX} values"),
                ));
            }
        }
    }
    Ok(columns)
}

fn append(path: &Path, name: &str, array: &ArrayRef, values: &mut Vec<Option<Value>>) -> Result<(), TableError> {
    macro_rules! integers {
        ($kind:ty) => {
            values.extend(array.as_primitive::<$kind>().iter().map(|i| i.map(|i| Value::Integer(i64::from(i)))))
        };
    }
    let word = |word: Option<&str>| word.map(Value::text);
    match array.data_type() {
        DataType::Float64 => values.extend(array.as_primitive::<Float64Type>().iter().map(|x| x.map(Value::Float))),
        DataType::Float32 => {
            values.extend(array.as_primitive::<Float32Type>().iter().map(|x| x.map(|x| Value::Float(f64::from(x)))));
        }
        DataType::Int64 => integers!(Int64Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int8 => integers!(Int8Type),
        DataType::UInt32 => integers!(UInt32Type),
        DataType::UInt16 => integers!(UInt16Type),
        DataType::UInt8 => integers!(UInt8Type),
        DataType::UInt64 => {
            for value in array.as_primitive::<UInt64Type>() {
                let integer = value.map(i64::try_from).transpose();
                let integer = integer.map_err(|_| TableError::column(path, name, "a value is above 2^63 - 1"))?;
                values.push(integer.map(Value::Integer));
            }
        }
        DataType::Boolean => values.extend(array.as_boolean().iter().map(|b| b.map(Value::Boolean))),
        DataType::Utf8 => values.extend(array.as_string::<i32>().iter().map(word)),
        DataType::LargeUtf8 => values.extend(array.as_string::<i64>().iter().map(word)),
        DataType::Utf8View => values.extend(array.as_string_view().iter().map(word)),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let mut words = Vec::new();
            append(path, name, dictionary.values(), &mut words)?;
            let keys = dictionary.normalized_keys();
            values.extend((0..array.len()).map(|row| match array.is_null(row) {
                true => None,
                false => words.get(keys[row]).cloned().flatten(),
            }));
        }
        other => {
            return Err(TableError::column(path, name, format!("it holds {other}; points are numbers or words")));
        }
    }
    Ok(())
}
