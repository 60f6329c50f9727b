//! The phrases that problems share.

use tumble_domain::nearest::nearest;
use tumble_domain::{Kind, Parameter, Value};

/// What to write instead of an unknown word: the nearest known one, else all of them.
pub(crate) fn instead_of(word: &str, known: &[&str]) -> String {
    match guess(word, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => one_of(known),
    }
}

/// The known word that was probably meant. The only one that begins with what was written, such as `linear` for `lin`,
/// comes before one that is closer by its letters.
pub(crate) fn guess<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let mut longer = known.iter().filter(|name| word.len() > 1 && name.starts_with(word));
    match (longer.next(), longer.next()) {
        (Some(only), None) => Some(only),
        _ => nearest(word, known.iter().copied()),
    }
}

/// All known words.
pub(crate) fn one_of(known: &[&str]) -> String {
    match known {
        [] => "there is nothing to choose from".to_owned(),
        [only] => format!("write `{only}`"),
        [most @ .., last] => format!("write one of `{}` or `{last}`", most.join("`, `")),
    }
}

/// A bound as messages print it, without a point for whole numbers of an integer setting.
pub(crate) fn bound(value: f64, kind: Kind) -> String {
    match kind {
        Kind::Integer | Kind::Integers if value.abs() < 9.0e15 => Value::Integer(value as i64).to_string(),
        _ => Value::Float(value).to_string(),
    }
}

/// `from 0.0 to 1.0`, or the one side that is bounded.
pub(crate) fn range((low, high): (f64, f64), kind: Kind) -> String {
    match (low.is_finite(), high.is_finite()) {
        (true, false) => format!("of at least {}", bound(low, kind)),
        (false, true) => format!("of at most {}", bound(high, kind)),
        _ => format!("from {} to {}", bound(low, kind), bound(high, kind)),
    }
}

/// How a value for this setting looks.
pub(crate) fn example(parameter: &Parameter) -> String {
    let (low, high) = parameter.bounds.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    let value = match (&parameter.default, parameter.kind) {
        (Some(default), _) => default.to_string(),
        (None, Kind::Float) => bound(0.5f64.max(low).min(high), Kind::Float),
        (None, Kind::Integer) => bound(1.0f64.max(low).min(high), Kind::Integer),
        (None, Kind::Boolean) => "true".to_owned(),
        (None, Kind::Text) => Value::text(parameter.choices.first().map_or("word", String::as_str)).to_string(),
        (None, Kind::Integers) => "[0, 1]".to_owned(),
    };
    format!("{} = {value}", parameter.name)
}

/// Numbers as a TOML list.
pub(crate) fn number_list(numbers: &[f64]) -> String {
    Value::List(numbers.iter().map(|x| Value::Float(*x)).collect()).to_string()
}
