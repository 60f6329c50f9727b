//! The values that settings and axes take.

use std::fmt;
use std::sync::Arc;

/// One value of a setting or an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A real number.
    Float(f64),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A word, such as the name of a function.
    Text(Arc<str>),
    /// Several numbers or words, such as a pair of digits. Never an axis value's column by itself.
    List(Vec<Value>),
}

/// What kind of [`Value`] a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A real number; whole numbers are accepted and become real.
    Float,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A word.
    Text,
    /// A list of whole numbers.
    Integers,
}

impl Kind {
    /// The word that messages and help pages use.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Float => "number",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
            Kind::Text => "text",
            Kind::Integers => "list of integers",
        }
    }
}

impl Value {
    /// Builds a text value.
    pub fn text(word: &str) -> Value {
        Value::Text(Arc::from(word))
    }

    /// The word for what this value is, as messages say it.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Value::Float(_) => "number",
            Value::Integer(_) => "integer",
            Value::Boolean(_) => "boolean",
            Value::Text(_) => "text",
            Value::List(_) => "list",
        }
    }

    /// This value as `kind`, if it can be that without loss: an integer may stand for a number, and nothing else changes.
    pub fn coerced(&self, kind: Kind) -> Option<Value> {
        match (self, kind) {
            (Value::Integer(i), Kind::Float) => Some(Value::Float(*i as f64)),
            (Value::Float(_), Kind::Float)
            | (Value::Integer(_), Kind::Integer)
            | (Value::Boolean(_), Kind::Boolean)
            | (Value::Text(_), Kind::Text) => Some(self.clone()),
            (Value::List(items), Kind::Integers) if items.iter().all(|v| matches!(v, Value::Integer(_))) => {
                Some(self.clone())
            }
            _ => None,
        }
    }

    /// The number, if this is a number or an integer.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(x) => Some(*x),
            Value::Integer(i) => Some(*i as f64),
            _ => None,
        }
    }

    /// The integer, if this is one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Integer(i) => Some(*i),
            _ => None,
        }
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(b) => Some(*b),
            _ => None,
        }
    }

    /// The word, if this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(s) => Some(s),
            _ => None,
        }
    }

    /// The integers, if this is a list of them.
    pub fn as_integers(&self) -> Option<Vec<i64>> {
        match self {
            Value::List(items) => items.iter().map(Value::as_i64).collect(),
            _ => None,
        }
    }
}

/// Writes the value as TOML, in the one form that a run file read back gives the same value.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Float(x) if x.is_nan() => f.write_str("nan"),
            Value::Float(x) if x.is_infinite() => f.write_str(if *x > 0.0 { "inf" } else { "-inf" }),
            // The shortest digits that read back as the same number; always with a point or an exponent.
            Value::Float(x) => write!(f, "{x:?}"),
            Value::Integer(i) => write!(f, "{i}"),
            Value::Boolean(b) => write!(f, "{b}"),
            Value::Text(s) => write_toml_string(f, s),
            Value::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}

fn write_toml_string(f: &mut fmt::Formatter<'_>, s: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in s.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04X}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
