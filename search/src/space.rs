//! The space of `[evolve.axes]`: from the coordinates that a strategy searches to the values that a trial is given.
//!
//! Each axis is one coordinate from 0 to 1: a logarithmic axis on its logarithm, a list or whole numbers in equal cells. An axis
//! of what a client gives is the value itself.
//! This is the one place where a coordinate becomes a value; workers, tables and `tumble verify` all ask here.

use tumble_domain::nearest::nearest;
use tumble_domain::{Axis, AxisTarget, AxisValues, Kind, PipelineDescription, Value};

use crate::designs::DesignError;
use crate::designs::axis::{Scale, any, log};
use crate::grain::{CELLS_MAX, Grain, cell, middle};

/// The bounds of every coordinate, but for those of what a client gives.
pub const BOUNDS: (f64, f64) = (0.0, 1.0);

/// Whole numbers are given up to this, beyond which a double does not tell them apart.
const INTEGER_MAX: u64 = 1 << 53;

/// Axes that were checked.
#[derive(Clone, Debug)]
pub struct Space {
    axes: Vec<Coordinate>,
}

#[derive(Clone, Debug)]
struct Coordinate {
    name: String,
    target: AxisTarget,
    scale: Scale,
    grain: Grain,
}

/// Why axes make no space.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpaceError {
    /// The axis makes no sense in a sweep either.
    #[error(transparent)]
    Axis(#[from] DesignError),
    /// Nothing to choose from.
    #[error("axis `{axis}` has one value, so there is nothing to search")]
    OneValue {
        /// The axis.
        axis: String,
    },
    /// More steps than a coordinate can tell apart.
    #[error("axis `{axis}` has {values} values, but a search tells at most {CELLS_MAX} apart")]
    TooFine {
        /// The axis.
        axis: String,
        /// How many it has.
        values: u64,
    },
}

impl Space {
    /// The space of these axes.
    pub fn try_new(axes: &[Axis]) -> Result<Space, SpaceError> {
        let coordinate = |axis: &Axis| {
            let scale = Scale::try_new(axis)?;
            match axis.values.len() {
                Some(1) => Err(SpaceError::OneValue { axis: axis.name.clone() }),
                Some(values) if values > CELLS_MAX => Err(SpaceError::TooFine { axis: axis.name.clone(), values }),
                _ => Ok(Coordinate {
                    name: axis.name.clone(),
                    target: axis.target.clone(),
                    scale,
                    grain: Grain::of(&axis.values),
                }),
            }
        };
        Ok(Space { axes: axes.iter().map(coordinate).collect::<Result<_, _>>()? })
    }

    /// How many coordinates there are.
    pub fn dimension(&self) -> usize {
        self.axes.len()
    }

    /// The grain of each coordinate.
    pub fn grains(&self) -> Vec<Grain> {
        self.axes.iter().map(|axis| axis.grain).collect()
    }

    /// The value of an axis at a coordinate: the ends of an interval at 0 and 1 exactly, and never beyond them.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn value(&self, axis: usize, x: f64) -> Value {
        let Coordinate { scale, grain, .. } = &self.axes[axis];
        match (scale, grain.cells()) {
            (_, Some(cells)) => scale.step(u64::from(cell(x, cells))),
            (Scale::Any(kind), None) => any(*kind, x),
            (Scale::Linear { from, .. } | Scale::Log { from, .. }, None) if x <= 0.0 => Value::Float(*from),
            (Scale::Linear { to, .. } | Scale::Log { to, .. }, None) if x >= 1.0 => Value::Float(*to),
            (Scale::Linear { from, to, .. }, None) => Value::Float((from + (to - from) * x).clamp(*from, *to)),
            (Scale::Log { from, to, .. }, None) => Value::Float(log(*from, *to, x)),
            // Every other scale has steps.
            (_, None) => scale.step(0),
        }
    }

    /// Where a candidate stands at which an axis has this value: [`Space::value`] gives it back. Or why it is no value of the
    /// axis.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn coordinate(&self, axis: usize, value: &Value) -> Result<f64, String> {
        let Coordinate { name, scale, grain, .. } = &self.axes[axis];
        let x = match (scale, value, grain.cells()) {
            (Scale::Any(Kind::Integer), Value::Integer(i), _) if i.unsigned_abs() <= INTEGER_MAX => Some(*i as f64),
            (Scale::Any(Kind::Integer), Value::Integer(i), _) => {
                return Err(format!("`{name}` is {i}, and whole numbers are given up to 2^53"));
            }
            (Scale::Any(Kind::Float), _, _) => value.as_f64(),
            (Scale::Values(values), _, Some(cells)) => {
                let same = |known: &Value| match (known.as_f64(), value.as_f64()) {
                    (Some(known), Some(x)) => known == x,
                    _ => known == value,
                };
                let at = values.iter().position(same);
                if at.is_none() {
                    let words: Vec<String> = values.iter().map(Value::to_string).collect();
                    let hint = value.as_text().and_then(|word| nearest(word, values.iter().filter_map(Value::as_text)));
                    let hint = hint.map_or(String::new(), |meant| format!(": did you mean \"{meant}\"?"));
                    return Err(format!("`{name}` is {value}, but it is one of {}{hint}", words.join(", ")));
                }
                at.map(|at| middle(at as u32, cells))
            }
            _ => None,
        };
        x.ok_or_else(|| format!("`{name}` is {value}, which is no {}", self.kind(axis)))
    }

    /// What an axis takes, in a word.
    fn kind(&self, axis: usize) -> &'static str {
        match &self.axes[axis].scale {
            Scale::Any(kind) => kind.name(),
            scale => scale.step(0).kind_name(),
        }
    }

    /// Why a candidate that a client gives cannot be evaluated, if it cannot: a whole number that is none, or a value outside
    /// the bounds of its parameter.
    pub fn refusal(&self, point: &[f64], pipeline: &PipelineDescription) -> Option<String> {
        self.axes.iter().zip(point).enumerate().find_map(|(i, (axis, x))| {
            let Coordinate { name, target, scale, .. } = axis;
            if matches!(scale, Scale::Any(Kind::Integer)) && (x.fract() != 0.0 || x.abs() > INTEGER_MAX as f64) {
                return Some(format!("`{name}` is {x:?}, but it takes whole numbers up to 2^53"));
            }
            let AxisTarget::Parameter(index) = target else { return None };
            let (low, high) = pipeline.parameters[*index].bounds?;
            let value = self.value(i, *x).as_f64()?;
            (!(low <= value && value <= high))
                .then(|| format!("`{name}` is {value:?}, outside its bounds [{low:?}, {high:?}]"))
        })
    }

    /// The names of the axes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.axes.iter().map(|axis| axis.name.as_str())
    }

    /// The values of a point by the names of their axes.
    pub fn values(&self, point: &[f64]) -> Vec<(String, Value)> {
        let named = |(i, x): (usize, &f64)| (self.axes[i].name.clone(), self.value(i, *x));
        point.iter().enumerate().map(named).collect()
    }

    /// What a worker reports of a point, a number for each axis: the value itself of a real one, else which step or choice
    /// it is, from 0. So even a word and an integer of 64 bits travel as a number without loss.
    pub fn reported(&self, point: &[f64], into: &mut [f64]) {
        for ((i, x), number) in point.iter().enumerate().zip(into) {
            *number = match self.axes[i].grain.cells() {
                Some(cells) => f64::from(cell(*x, cells)),
                None => self.value(i, *x).as_f64().unwrap_or(f64::NAN),
            };
        }
    }

    /// The value that was [reported](Space::reported) so; the nearest there is for a number that never was.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn read(&self, axis: usize, number: f64) -> Value {
        let Coordinate { scale, grain, .. } = &self.axes[axis];
        match grain.cells() {
            // A cast takes what is no step to the nearest, and the scale to its last one.
            Some(_) => scale.step(number as u64),
            None => match scale {
                Scale::Any(kind) => any(*kind, number),
                _ => Value::Float(number),
            },
        }
    }

    /// What a worker reports of a point at which an axis has this value; NaN for one that it never has.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn report_of(&self, axis: usize, value: &Value) -> f64 {
        let Coordinate { scale, grain, .. } = &self.axes[axis];
        match (scale, value, grain.cells()) {
            (_, _, None) => value.as_f64().unwrap_or(f64::NAN),
            (Scale::Integers { from, .. }, Value::Integer(i), _) => i.wrapping_sub(*from) as f64,
            (_, _, Some(cells)) => {
                (0..cells).find(|step| scale.step(u64::from(*step)) == *value).map_or(f64::NAN, f64::from)
            }
        }
    }

    /// Gives a trial the point's values: parameters first, for they may say how long the genome is, then its elements.
    /// Elements without an axis are 0.
    pub fn apply(&self, point: &[f64], pipeline: &PipelineDescription, settings: &mut [Value], genome: &mut Vec<f64>) {
        for (i, x) in point.iter().enumerate() {
            if let AxisTarget::Parameter(index) = self.axes[i].target {
                settings[index] = self.value(i, *x);
            }
        }
        genome.clear();
        genome.resize(pipeline.dimension(settings) as usize, 0.0);
        for (i, x) in point.iter().enumerate() {
            if let AxisTarget::Genome(element) = self.axes[i].target
                && let (Some(place), Some(number)) = (genome.get_mut(element), self.value(i, *x).as_f64())
            {
                *place = number;
            }
        }
    }
}

/// An axis in a few words, for people: `0.0001 to 1.0 (log)`, `1 to 64`, `"hebb", "delta" or "oja"`.
pub fn wording(values: &AxisValues) -> String {
    let interval = |from: f64, to: f64, form: &str, points: &Option<u64>| {
        let points = points.map_or(String::new(), |points| format!(" in {points} steps"));
        format!("{} to {}{points}{form}", Value::Float(from), Value::Float(to))
    };
    match values {
        AxisValues::Linear { from, to, points } => interval(*from, *to, "", points),
        AxisValues::Log { from, to, points } => interval(*from, *to, " (log)", points),
        AxisValues::Integers { from, to } => format!("{from} to {to}"),
        AxisValues::Any(kind) => format!("any {}", kind.name()),
        AxisValues::List(values) => {
            let words: Vec<String> = values.iter().map(Value::to_string).collect();
            match words.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                _ => words.concat(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, target: AxisTarget, values: AxisValues) -> Axis {
        Axis { name: name.to_owned(), target, values }
    }

    fn mixed() -> Space {
        let words = ["hebb", "delta", "oja"].map(Value::text).to_vec();
        Space::try_new(&[
            axis("rate", AxisTarget::Parameter(0), AxisValues::Log { from: 1e-4, to: 0.3, points: None }),
            axis("units", AxisTarget::Parameter(1), AxisValues::Integers { from: -3, to: 3 }),
            axis("rule", AxisTarget::Parameter(2), AxisValues::List(words)),
            axis("x1", AxisTarget::Genome(1), AxisValues::Linear { from: 0.1, to: 0.7, points: None }),
            axis(
                "large",
                AxisTarget::Parameter(3),
                AxisValues::List([i64::MAX, i64::MAX - 1].map(Value::Integer).into()),
            ),
        ])
        .unwrap()
    }

    #[test]
    fn every_point_is_a_value_of_its_axis_exactly_and_ends_are_ends() {
        let space = mixed();
        let at = |axis, x| space.value(axis, x);
        assert_eq!([at(0, 0.0), at(0, 1.0)], [1e-4, 0.3].map(Value::Float));
        assert_eq!([at(3, 0.0), at(3, 1.0)], [0.1, 0.7].map(Value::Float));
        // Most ends are missed by a digit where they are computed.
        for digits in 1..200 {
            let (from, to) = (f64::from(digits) / 70.0, f64::from(digits) / 7.0 + 1e-3);
            for values in [AxisValues::Linear { from, to, points: None }, AxisValues::Log { from, to, points: None }] {
                let space = Space::try_new(&[axis("a", AxisTarget::Parameter(0), values)]).unwrap();
                assert_eq!([0.0, 1.0].map(|x| space.value(0, x)), [from, to].map(Value::Float));
            }
        }
        for step in -50..=150 {
            let x = f64::from(step) / 100.0;
            assert!(matches!(at(0, x), Value::Float(rate) if (1e-4..=0.3).contains(&rate)));
            assert!(matches!(at(1, x), Value::Integer(-3..=3)));
            assert!(matches!(at(3, x), Value::Float(y) if (0.1..=0.7).contains(&y)));
        }
        assert_eq!([0.0, 0.5, 0.999, 1.0].map(|x| at(1, x)), [-3, 0, 3, 3].map(Value::Integer));
        assert_eq!([0.1, 0.5, 0.9].map(|x| at(2, x)), ["hebb", "delta", "oja"].map(Value::text));
        // Half way along a logarithmic axis is the geometric mean of its ends.
        let Value::Float(half) = at(0, 0.5) else { panic!("a real number") };
        assert!((half / (1e-4f64 * 0.3).sqrt() - 1.0).abs() < 1e-12, "{half}");
    }

    #[test]
    fn what_is_reported_reads_back_as_the_value() {
        let space = mixed();
        let mut reported = [0.0; 5];
        for step in 0..=100 {
            let point = [f64::from(step) / 100.0; 5];
            space.reported(&point, &mut reported);
            for (axis, (_, value)) in space.values(&point).into_iter().enumerate() {
                assert_eq!(space.read(axis, reported[axis]), value);
                assert_eq!(space.report_of(axis, &value), reported[axis]);
            }
        }
        assert_eq!(space.read(2, f64::NAN), Value::text("hebb"));
    }

    #[test]
    fn what_is_given_is_the_value_to_the_bit_and_what_is_none_is_refused_by_name() {
        let words = ["hebb", "delta"].map(Value::text).to_vec();
        let space = Space::try_new(&[
            axis("load", AxisTarget::Parameter(0), AxisValues::Any(Kind::Float)),
            axis("units", AxisTarget::Parameter(1), AxisValues::Any(Kind::Integer)),
            axis("rule", AxisTarget::Parameter(2), AxisValues::List(words)),
        ])
        .unwrap();
        let given = [Value::Float(-0.1 - 0.2), Value::Integer(-(1 << 53)), Value::text("delta")];
        let point: Vec<f64> = given.iter().enumerate().map(|(i, value)| space.coordinate(i, value).unwrap()).collect();
        let mut reported = [0.0; 3];
        space.reported(&point, &mut reported);
        for (axis, value) in given.iter().enumerate() {
            assert_eq!((&space.value(axis, point[axis]), &space.read(axis, reported[axis])), (value, value));
        }
        assert_eq!(reported[0].to_bits(), (-0.1f64 - 0.2).to_bits());
        // Whatever number is given is the value, the smallest and the largest among them.
        for x in [-0.0, f64::MIN_POSITIVE / 4.0, f64::MAX, 1.0 + f64::EPSILON] {
            assert!(matches!(space.value(0, x), Value::Float(y) if y.to_bits() == x.to_bits()), "{x}");
        }
        let refused = |axis, value: &Value| space.coordinate(axis, value).unwrap_err();
        assert!(refused(0, &Value::text("much")).contains("`load` is \"much\", which is no number"));
        assert!(refused(1, &Value::Integer(1 << 54)).contains("2^53"));
        assert!(refused(1, &Value::Float(1.5)).contains("no integer"));
        assert!(refused(2, &Value::text("hebbb")).contains("did you mean \"hebb\"?"));
    }

    #[test]
    fn axes_that_leave_nothing_to_search_are_refused() {
        let refused = |values| Space::try_new(&[axis("a", AxisTarget::Parameter(0), values)]).unwrap_err().to_string();
        assert!(refused(AxisValues::List(vec![Value::Float(1.0)])).contains("`a` has one value"));
        assert!(refused(AxisValues::Integers { from: 0, to: 1 << 40 }).contains("at most 2147483648"));
        assert!(refused(AxisValues::Log { from: 0.0, to: 1.0, points: None }).contains("greater than 0"));
    }
}
