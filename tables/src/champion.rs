//! The champion: the best candidate of a run, for people and for NumPy.
//!
//! Source: the NumPy documentation, `numpy.lib.format`, "Format Version 1.0".

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value as Json, json};
use tumble_domain::Value;

use crate::atomic::write_atomically;
use crate::error::TableError;

/// The file that says what the champion is.
const DESCRIPTION: &str = "champion.json";
/// The file that holds its vector.
const GENOME: &str = "champion.npy";

/// The best candidate of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Champion {
    /// Its trial; the first one, if it has several replicates.
    pub trial: u64,
    /// Its generation; `None` in a sweep.
    pub generation: Option<u32>,
    /// The candidate within its generation, or the point of the sweep.
    pub candidate: u64,
    /// How good it is: larger is better.
    pub fitness: f64,
    /// The metric that steered.
    pub metric: String,
    /// The metric's value, in its own direction.
    pub value: f64,
    /// The axes of the sweep, or of `[evolve.axes]`, with the champion's values.
    pub settings: Vec<(String, Value)>,
    /// The vector that the strategy searched; empty in a sweep.
    pub genome: Vec<f64>,
}

/// Writes `champion.json` into a run's folder, and `champion.npy` when there is a vector. The description comes last,
/// so the vector that it names is there.
pub fn write_champion(dir: &Path, champion: &Champion) -> Result<(), TableError> {
    let vector = dir.join(GENOME);
    if champion.genome.is_empty() {
        // One that an earlier champion left would be taken for this one's.
        match fs::remove_file(&vector) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(TableError::write(&vector, e)),
            _ => {}
        }
    } else {
        write_atomically(&vector, |file| write_npy(file, &champion.genome))?;
    }
    let mut text = serde_json::to_string_pretty(&description(champion)).expect("a tree of plain values is JSON");
    text.push('\n');
    write_atomically(&dir.join(DESCRIPTION), |file| file.write_all(text.as_bytes()))
}

fn description(champion: &Champion) -> Json {
    let settings: Map<String, Json> =
        champion.settings.iter().map(|(name, value)| (name.clone(), json_value(value))).collect();
    let genome = match champion.genome.len() {
        0 => Json::Null,
        elements => json!({ "file": GENOME, "elements": elements }),
    };
    json!({
        "trial": champion.trial,
        "generation": champion.generation,
        "candidate": champion.candidate,
        "fitness": json_number(champion.fitness),
        "metric": champion.metric,
        "value": json_number(champion.value),
        "settings": settings,
        "genome": genome,
    })
}

fn json_value(value: &Value) -> Json {
    match value {
        Value::Float(x) => json_number(*x),
        Value::Integer(i) => json!(i),
        Value::Boolean(b) => json!(b),
        Value::Text(word) => json!(**word),
        Value::List(items) => items.iter().map(json_value).collect(),
    }
}

/// JSON has no infinity and no NaN; as a word of the run file it still reads back, in Python by `float(...)`.
fn json_number(x: f64) -> Json {
    if x.is_finite() { json!(x) } else { json!(Value::Float(x).to_string()) }
}

/// A vector of little-endian doubles with the header that `numpy.load` expects.
fn write_npy(file: &mut File, values: &[f64]) -> io::Result<()> {
    let mut out = io::BufWriter::new(file);
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({},), }}", values.len());
    // Magic, version and length take 10 bytes; with the line's end the data starts at a multiple of 64.
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for value in values {
        out.write_all(&value.to_le_bytes())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn champion() -> Champion {
        Champion {
            trial: 4711,
            generation: Some(36),
            candidate: 103,
            fitness: -0.25,
            metric: "cost".to_owned(),
            value: 0.25,
            settings: Vec::new(),
            genome: vec![0.1, -2.0, f64::MIN_POSITIVE],
        }
    }

    /// The data of a `.npy` file of version 1.0, read as its specification says.
    fn parse_npy(bytes: &[u8]) -> (String, Vec<f64>) {
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!((10 + length) % 64, 0);
        let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
        assert!(header.ends_with('\n'));
        let data = bytes[10 + length..].chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        (header.trim_end().to_owned(), data)
    }

    #[test]
    fn a_champion_is_described_and_its_vector_is_an_npy_file() {
        let dir = tempfile::tempdir().unwrap();
        write_champion(dir.path(), &champion()).unwrap();
        let text = fs::read_to_string(dir.path().join("champion.json")).unwrap();
        assert_eq!(
            text,
            r#"{
  "trial": 4711,
  "generation": 36,
  "candidate": 103,
  "fitness": -0.25,
  "metric": "cost",
  "value": 0.25,
  "settings": {},
  "genome": {
    "file": "champion.npy",
    "elements": 3
  }
}
"#
        );
        let (header, data) = parse_npy(&fs::read(dir.path().join("champion.npy")).unwrap());
        assert_eq!(header, "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }");
        assert_eq!(data, champion().genome);
    }

    #[test]
    fn a_champion_without_a_vector_removes_the_one_of_an_earlier() {
        let dir = tempfile::tempdir().unwrap();
        write_champion(dir.path(), &champion()).unwrap();
        let settings = vec![
            ("snr".to_owned(), Value::Float(f64::INFINITY)),
            ("rule".to_owned(), Value::text("hebb")),
            ("layers".to_owned(), Value::List(vec![Value::Integer(8), Value::Integer(4)])),
            ("bias".to_owned(), Value::Boolean(true)),
        ];
        let point = Champion { generation: None, genome: Vec::new(), value: f64::NAN, settings, ..champion() };
        write_champion(dir.path(), &point).unwrap();
        assert!(!dir.path().join("champion.npy").exists());
        let text = fs::read_to_string(dir.path().join("champion.json")).unwrap();
        let json: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(json["generation"], Json::Null);
        assert_eq!(json["value"], "nan");
        assert_eq!(json["settings"].to_string(), r#"{"snr":"inf","rule":"hebb","layers":[8,4],"bias":true}"#);
        assert_eq!(json["genome"], Json::Null);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_champion(&dir.path().join("gone"), &champion()).unwrap_err();
        assert!(error.to_string().contains("champion.npy"), "{error}");
    }
}
