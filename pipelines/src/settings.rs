//! Short forms for describing parameters, and for reading their values in an evaluator.

use tumble_domain::{Failure, Kind, Metric, Parameter, Value};

/// A parameter that takes a real number between two bounds, both included.
pub(crate) fn float(name: &str, default: f64, bounds: (f64, f64), summary: &str) -> Parameter {
    parameter(name, Kind::Float, Value::Float(default), Some(bounds), &[], summary)
}

/// A parameter that takes a whole number between two bounds, both included.
pub(crate) fn integer(name: &str, default: i64, bounds: (i64, i64), summary: &str) -> Parameter {
    let bounds = (bounds.0 as f64, bounds.1 as f64);
    parameter(name, Kind::Integer, Value::Integer(default), Some(bounds), &[], summary)
}

/// A parameter that takes one of a few words; the first is the default.
pub(crate) fn choice(name: &str, choices: &[&str], summary: &str) -> Parameter {
    parameter(name, Kind::Text, Value::text(choices[0]), None, choices, summary)
}

/// A metric without a unit.
pub(crate) fn metric(name: &str, summary: &str) -> Metric {
    Metric { name: name.into(), unit: String::new(), summary: summary.into() }
}

fn parameter(
    name: &str,
    kind: Kind,
    default: Value,
    bounds: Option<(f64, f64)>,
    choices: &[&str],
    summary: &str,
) -> Parameter {
    Parameter {
        name: name.into(),
        kind,
        unit: String::new(),
        default: Some(default),
        bounds,
        choices: choices.iter().map(|c| c.to_string()).collect(),
        summary: summary.into(),
    }
}

/// The number at this position of the settings.
pub(crate) fn f64_at(settings: &[Value], index: usize) -> Result<f64, Failure> {
    settings.get(index).and_then(Value::as_f64).ok_or_else(|| misfit(index))
}

/// The whole number, at least 0, at this position of the settings.
pub(crate) fn usize_at(settings: &[Value], index: usize) -> Result<usize, Failure> {
    settings.get(index).and_then(Value::as_i64).and_then(|i| usize::try_from(i).ok()).ok_or_else(|| misfit(index))
}

/// The word at this position of the settings.
pub(crate) fn text_at(settings: &[Value], index: usize) -> Result<&str, Failure> {
    settings.get(index).and_then(Value::as_text).ok_or_else(|| misfit(index))
}

/// Settings are checked before a trial is granted; what still does not fit came from a peer of another version.
pub(crate) fn misfit(index: usize) -> Failure {
    Failure::Failed(format!("setting {index} is missing or of another kind than the pipeline describes"))
}
