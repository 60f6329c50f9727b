//! One axis of a sweep: from a step number or a fraction of the axis to its value.

use tumble_domain::{Axis, AxisValues, Kind, Value};

use super::DesignError;
use crate::noise::{part_of, unit};

/// An axis that was checked.
#[derive(Clone, Debug)]
pub(crate) enum Scale {
    /// These values.
    Values(Vec<Value>),
    /// The whole numbers from `from` on.
    Integers { from: i64, count: u64 },
    /// Equal steps.
    Linear { from: f64, to: f64, points: Option<u64> },
    /// Equal ratios.
    Log { from: f64, to: f64, points: Option<u64> },
    /// Whatever is given, of this kind.
    Any(Kind),
}

impl Scale {
    pub(crate) fn try_new(axis: &Axis) -> Result<Scale, DesignError> {
        let name = || axis.name.clone();
        match &axis.values {
            AxisValues::List(values) if values.is_empty() => Err(DesignError::EmptyAxis { axis: name() }),
            AxisValues::List(values) => Ok(Scale::Values(values.clone())),
            AxisValues::Integers { from, to } if from > to => {
                Err(DesignError::Backwards { axis: name(), from: from.to_string(), to: to.to_string() })
            }
            AxisValues::Integers { from, to } => match to.abs_diff(*from).checked_add(1) {
                Some(count) => Ok(Scale::Integers { from: *from, count }),
                None => Err(DesignError::TooManyPoints { axis: name() }),
            },
            AxisValues::Linear { from, to, points } => {
                check_interval(&axis.name, *from, *to, *points)?;
                Ok(Scale::Linear { from: *from, to: *to, points: *points })
            }
            AxisValues::Log { from, to, points } => {
                check_interval(&axis.name, *from, *to, *points)?;
                // The smaller end stands first, so it alone can be the culprit.
                if *from <= 0.0 {
                    return Err(DesignError::LogNotPositive { axis: name(), end: *from });
                }
                Ok(Scale::Log { from: *from, to: *to, points: *points })
            }
            AxisValues::Any(kind) => Ok(Scale::Any(*kind)),
        }
    }

    /// How many steps there are; `None` for an interval that only knows its ends.
    pub(super) fn steps(&self) -> Option<u64> {
        match self {
            Scale::Values(values) => Some(values.len() as u64),
            Scale::Integers { count, .. } => Some(*count),
            Scale::Linear { points, .. } | Scale::Log { points, .. } => *points,
            Scale::Any(_) => None,
        }
    }

    /// The value at a step; the last one for any step beyond.
    pub(crate) fn step(&self, step: u64) -> Value {
        match self {
            Scale::Values(values) => values[(step as usize).min(values.len() - 1)].clone(),
            Scale::Integers { from, count } => Value::Integer(from.wrapping_add_unsigned(step.min(count - 1))),
            Scale::Linear { from, to, points } => {
                let last = points.map_or(1, |points| points - 1);
                Value::Float(linear(*from, *to, step.min(last), last))
            }
            Scale::Log { from, to, points } => {
                let last = points.map_or(1, |points| points - 1);
                Value::Float(log_step(*from, *to, step.min(last), last))
            }
            Scale::Any(kind) => any(*kind, step as f64),
        }
    }

    /// The value at a fraction of the axis, in units of 2⁻⁶⁴.
    pub(super) fn at(&self, fraction: u64) -> Value {
        match (self, self.steps()) {
            (_, Some(steps)) => self.step(part_of(fraction, steps)),
            (Scale::Log { from, to, .. }, None) => Value::Float(log(*from, *to, unit(fraction))),
            (Scale::Linear { from, to, .. }, None) => {
                Value::Float((from + (to - from) * unit(fraction)).clamp(*from, *to))
            }
            // Lists and integers always know their steps.
            (Scale::Values(_) | Scale::Integers { .. }, None) => self.step(0),
            // No design lays out what is only ever given.
            (Scale::Any(_), None) => self.step(0),
        }
    }
}

/// A number as a value of this kind, which takes numbers.
pub(crate) fn any(kind: Kind, x: f64) -> Value {
    match kind {
        Kind::Integer => Value::Integer(x as i64),
        _ => Value::Float(x),
    }
}

fn check_interval(axis: &str, from: f64, to: f64, points: Option<u64>) -> Result<(), DesignError> {
    // The width is multiplied by a step number below.
    let reach = (to - from) * points.unwrap_or(1) as f64;
    if !from.is_finite() || !to.is_finite() || !reach.is_finite() {
        return Err(DesignError::NotFinite { axis: axis.to_owned() });
    }
    if from > to {
        return Err(DesignError::Backwards { axis: axis.to_owned(), from: format!("{from:?}"), to: format!("{to:?}") });
    }
    match points {
        Some(0) => Err(DesignError::EmptyAxis { axis: axis.to_owned() }),
        Some(1) => Err(DesignError::TooFewPointsOnAxis { axis: axis.to_owned(), points: 1 }),
        _ => Ok(()),
    }
}

/// Step `step` of `last` equal steps. The product comes before the quotient, so 0, 1, … 100 in 101 points is whole.
fn linear(from: f64, to: f64, step: u64, last: u64) -> f64 {
    match step {
        0 => from,
        step if step == last => to,
        step => (from + (to - from) * step as f64 / last as f64).clamp(from, to),
    }
}

/// Step `step` of `last` equal ratios; both ends exactly.
fn log_step(from: f64, to: f64, step: u64, last: u64) -> f64 {
    match step {
        0 => from,
        step if step == last => to,
        step => {
            let (a, b) = (libm::log10(from), libm::log10(to));
            libm::exp10(linear(a, b, step, last)).clamp(from, to)
        }
    }
}

/// The point at `t` of the way in equal ratios. Powers of ten, for `libm` gives whole ones exactly.
pub(crate) fn log(from: f64, to: f64, t: f64) -> f64 {
    if t == 0.0 {
        return from;
    }
    let (a, b) = (libm::log10(from), libm::log10(to));
    libm::exp10(a + (b - a) * t).clamp(from, to)
}
