//! What a pipeline takes and gives, said by two structs: `#[derive(Parameters)]` makes a parameter of each field,
//! `#[derive(Metrics)]` a metric.
//!
//! ```
//! use tumble_pipelines::declare::{self, Metrics, Parameters};
//!
//! #[derive(Parameters)]
//! #[tumble(crate = tumble_pipelines)]
//! struct Settings {
//!     /// How strong the spring is.
//!     #[parameter(default = 1.0, min = 0.0, unit = "N/m")]
//!     strength: f64,
//! }
//!
//! #[derive(Metrics)]
//! #[tumble(crate = tumble_pipelines)]
//! struct Scores {
//!     /// What it takes to stretch it by a metre.
//!     #[metric(unit = "J")]
//!     energy: f64,
//! }
//!
//! let description = declare::described::<Settings, Scores>("spring", 1, "A spring.");
//! let mut metrics = [0.0];
//! let settings = Settings::read(&[declare::Value::Float(3.0)]).unwrap();
//! Scores { energy: 0.5 * settings.strength }.write(&mut metrics);
//! assert_eq!((description.metrics[0].name.as_str(), metrics), ("energy", [1.5]));
//! ```

use tumble_domain::{Direction, Kind, Objective, PipelineDescription};

pub use tumble_derive::{Metrics, Parameters};
pub use tumble_domain::{Failure, Metric, Parameter, Value};

/// Settings of a pipeline, by name. To be derived.
pub trait Parameters: Sized {
    /// The parameters, in the order of the fields.
    fn parameters() -> Vec<Parameter>;

    /// Reads one value for each parameter, in their order.
    fn read(settings: &[Value]) -> Result<Self, Failure>;
}

/// What a trial gives back, by name. To be derived.
pub trait Metrics {
    /// The metrics, in the order of the fields.
    fn metrics() -> Vec<Metric>;

    /// Writes one number for each metric, in their order.
    fn write(&self, metrics: &mut [f64]);
}

/// A type that a field of [`Parameters`] may have.
pub trait Setting: Sized {
    /// The kind of its values.
    const KIND: Kind;
    /// The least and the greatest value that it has; none where every value of its kind will do.
    const BOUNDS: Option<(f64, f64)> = None;

    /// As a value of a run file.
    fn into_value(self) -> Value;

    /// From a value of a run file, if it is one of this type.
    fn of(value: &Value) -> Option<Self>;
}

/// A type that a field of [`Metrics`] may have.
pub trait Number {
    /// The number of a table.
    fn number(self) -> f64;
}

/// The description of a pipeline with these parameters and metrics. The first metric steers, upwards, and there is nothing to
/// evolve; who wants it otherwise takes the rest from here (`PipelineDescription { objective, ..described(…) }`).
pub fn described<P: Parameters, M: Metrics>(name: &str, version: u32, summary: &str) -> PipelineDescription {
    let metrics = M::metrics();
    let first = metrics.first().map_or(String::new(), |metric| metric.name.clone());
    PipelineDescription {
        name: name.into(),
        version,
        summary: summary.into(),
        source: "your own".into(),
        parameters: P::parameters(),
        metrics,
        objective: Objective { metric: first, direction: Direction::Maximise },
        genome: None,
        prolongs: None,
    }
}

/// One parameter. A bound that is not given is that of the type, or none.
pub fn parameter<T: Setting>(
    name: &str,
    default: T,
    bounds: (Option<f64>, Option<f64>),
    unit: &str,
    choices: &[&str],
    summary: &str,
) -> Parameter {
    let of_type = T::BOUNDS.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    let is_bounded = T::BOUNDS.is_some() || bounds != (None, None);
    Parameter {
        name: name.into(),
        kind: T::KIND,
        unit: unit.into(),
        default: Some(default.into_value()),
        bounds: is_bounded.then(|| (bounds.0.unwrap_or(of_type.0), bounds.1.unwrap_or(of_type.1))),
        choices: choices.iter().map(|choice| choice.to_string()).collect(),
        summary: summary.into(),
    }
}

/// One metric.
pub fn metric(name: &str, unit: &str, summary: &str) -> Metric {
    Metric { name: name.into(), unit: unit.into(), summary: summary.into() }
}

/// The setting at this position.
pub fn setting<T: Setting>(settings: &[Value], index: usize) -> Result<T, Failure> {
    settings.get(index).and_then(T::of).ok_or_else(|| crate::settings::misfit(index))
}

impl Setting for f64 {
    const KIND: Kind = Kind::Float;

    fn into_value(self) -> Value {
        Value::Float(self)
    }

    fn of(value: &Value) -> Option<f64> {
        value.as_f64()
    }
}

impl Setting for bool {
    const KIND: Kind = Kind::Boolean;

    fn into_value(self) -> Value {
        Value::Boolean(self)
    }

    fn of(value: &Value) -> Option<bool> {
        value.as_bool()
    }
}

impl Setting for String {
    const KIND: Kind = Kind::Text;

    fn into_value(self) -> Value {
        Value::text(&self)
    }

    fn of(value: &Value) -> Option<String> {
        value.as_text().map(str::to_owned)
    }
}

impl Setting for Vec<i64> {
    const KIND: Kind = Kind::Integers;

    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(Value::Integer).collect())
    }

    fn of(value: &Value) -> Option<Vec<i64>> {
        value.as_integers()
    }
}

impl Setting for i64 {
    const KIND: Kind = Kind::Integer;

    fn into_value(self) -> Value {
        Value::Integer(self)
    }

    fn of(value: &Value) -> Option<i64> {
        value.as_i64()
    }
}

/// Whole numbers of fewer values than a run file has.
macro_rules! narrow {
    ($($type:ty: $greatest:expr;)*) => {$(
        impl Setting for $type {
            const KIND: Kind = Kind::Integer;
            const BOUNDS: Option<(f64, f64)> = Some((<$type>::MIN as f64, $greatest));

            fn into_value(self) -> Value {
                // Beyond is out of bounds, and that is told of a default.
                Value::Integer(i64::try_from(self).unwrap_or(i64::MAX))
            }

            fn of(value: &Value) -> Option<$type> {
                <$type>::try_from(value.as_i64()?).ok()
            }
        }
    )*};
}

/// The greatest whole number that a real number tells from its neighbours: bounds are real numbers.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

narrow! {
    i32: i32::MAX as f64;
    u32: u32::MAX as f64;
    u64: WHOLE_MAX;
    usize: WHOLE_MAX;
}

/// Numbers of a table are real.
macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn number(self) -> f64 {
                self as f64
            }
        }
    )*};
}

numbers!(f64, f32, i32, i64, u32, u64, usize);

impl Number for bool {
    fn number(self) -> f64 {
        f64::from(u8::from(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound;

    #[derive(Debug, PartialEq, Parameters)]
    #[tumble(crate = crate)]
    struct All {
        /// A real number.
        #[parameter(default = 0.5, min = 0, unit = "m")]
        real: f64,
        /// A whole number.
        #[parameter(default = 3)]
        whole: i64,
        /// A count.
        #[parameter(default = 7, max = 9)]
        count: usize,
        /// A word.
        #[parameter(choices = ["slow", "fast"])]
        word: String,
        /// A switch.
        #[parameter(default = true)]
        switch: bool,
        /// A list.
        #[parameter(default = vec![1, 2])]
        list: Vec<i64>,
    }

    #[derive(Metrics)]
    #[tumble(crate = crate)]
    struct Scores {
        /// How warm it is.
        #[metric(unit = "K")]
        heat: f64,
        /// How often it rang.
        rings: u32,
        /// Whether it came to an end.
        ended: bool,
    }

    #[test]
    fn parameters_are_described_by_the_fields_and_read_back_into_them() {
        let d = described::<All, Scores>("all", 1, "Everything.");
        assert_eq!(sound::problems(&d), Vec::<String>::new());
        let said = |i: usize| {
            let p = &d.parameters[i];
            (p.name.as_str(), p.kind, p.unit.as_str(), p.bounds, p.choices.len(), p.summary.as_str())
        };
        assert_eq!(said(0), ("real", Kind::Float, "m", Some((0.0, f64::INFINITY)), 0, "A real number."));
        assert_eq!(said(1), ("whole", Kind::Integer, "", None, 0, "A whole number."));
        assert_eq!(said(2), ("count", Kind::Integer, "", Some((0.0, 9.0)), 0, "A count."));
        assert_eq!(said(3), ("word", Kind::Text, "", None, 2, "A word."));
        assert_eq!(said(5), ("list", Kind::Integers, "", None, 0, "A list."));
        let defaults: Vec<Value> = d.parameters.iter().map(|p| p.default.clone().expect("each has one")).collect();
        let expected = All { real: 0.5, whole: 3, count: 7, word: "slow".into(), switch: true, list: vec![1, 2] };
        assert_eq!(All::read(&defaults), Ok(expected));
        assert!(matches!(All::read(&defaults[..5]), Err(Failure::Failed(why)) if why.contains("setting 5")));
    }

    #[test]
    fn metrics_are_written_in_the_order_of_the_fields() {
        let d = described::<All, Scores>("all", 1, "Everything.");
        let names: Vec<(&str, &str)> = d.metrics.iter().map(|m| (&*m.name, &*m.unit)).collect();
        assert_eq!(names, [("heat", "K"), ("rings", ""), ("ended", "")]);
        let mut metrics = [f64::NAN; 3];
        Scores { heat: 1.5, rings: 2, ended: true }.write(&mut metrics);
        assert_eq!(metrics, [1.5, 2.0, 1.0]);
    }

    #[test]
    fn a_default_beyond_what_its_type_has_is_no_sound_description() {
        let p = parameter::<u64>("n", u64::MAX, (None, None), "", &[], "A count.");
        let d = described::<All, Scores>("all", 1, "Everything.");
        let d = PipelineDescription { parameters: vec![p], ..d };
        assert!(sound::problems(&d)[0].contains("`n` has the default"), "{:?}", sound::problems(&d));
    }
}
