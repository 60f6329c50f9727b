//! Points of other programs: the columns of a Parquet file in whatever width they were written.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int16Array, Int32Array, ListArray,
    RecordBatch, StringArray, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use tumble_domain::Value;
use tumble_tables::read_points;

fn file(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn numbers_integers_booleans_and_words_are_read_in_any_width() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("points.parquet");
    let words: DictionaryArray<arrow_array::types::Int32Type> = vec![Some("a"), None, Some("b")].into_iter().collect();
    file(
        &path,
        vec![
            ("half", Arc::new(Float32Array::from(vec![0.5, 0.25, -1.0])) as ArrayRef),
            ("whole", Arc::new(Float64Array::from(vec![Some(1.0), None, Some(3.0)]))),
            ("count", Arc::new(UInt64Array::from(vec![0, 1, i64::MAX as u64]))),
            ("small", Arc::new(Int16Array::from(vec![-1, 0, 1]))),
            ("is", Arc::new(BooleanArray::from(vec![true, false, true]))),
            ("word", Arc::new(words)),
            ("name", Arc::new(StringArray::from(vec!["x", "y", "z"]))),
        ],
    );
    let columns = read_points(&path).unwrap();
    let shown = |values: &[Option<Value>]| {
        let shown = values.iter().map(|v| v.as_ref().map_or("-".to_owned(), |v| format!("{} {v}", v.kind_name())));
        shown.collect::<Vec<_>>().join(", ")
    };
    let shown: Vec<String> = columns.iter().map(|(name, values)| format!("{name}: {}", shown(values))).collect();
    assert_eq!(
        shown,
        [
            "half: number 0.5, number 0.25, number -1.0",
            "whole: number 1.0, -, number 3.0",
            "count: integer 0, integer 1, integer 9223372036854775807",
            "small: integer -1, integer 0, integer 1",
            "is: boolean true, boolean false, boolean true",
            "word: text \"a\", -, text \"b\"",
            "name: text \"x\", text \"y\", text \"z\"",
        ]
    );
}

#[test]
fn a_column_that_no_axis_could_take_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("points.parquet");
    let lists = ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>([Some([Some(1)]), None]);
    assert_eq!(lists.len(), 2);
    file(&path, vec![("k", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef), ("lists", Arc::new(lists))]);
    let error = read_points(&path).unwrap_err().to_string();
    assert!(error.contains("read the column `lists`") && error.contains("points are numbers or words"), "{error}");
    file(&path, vec![("count", Arc::new(UInt64Array::from(vec![u64::MAX])) as ArrayRef)]);
    assert!(read_points(&path).unwrap_err().to_string().contains("a value is above 2^63 - 1"));
    assert!(read_points(&dir.path().join("none.parquet")).is_err());
}
