//! One written value against the parameter it is for: kind, finiteness, bounds, choices.

use tumble_domain::{Kind, Parameter, Value};

use crate::problem::{At, Notes};
use crate::tree::{Item, Node};
use crate::wording::{example, instead_of, range};

/// The value as the parameter's kind, or `None` once its problem is noted.
pub(crate) fn checked(node: &Node, parameter: &Parameter, key: &str, notes: &mut Notes<'_>) -> Option<Value> {
    let value = plain(node, parameter, key, notes)?;
    let Some(value) = value.coerced(parameter.kind) else {
        wrong_type(node, parameter, key, notes);
        return None;
    };
    is_allowed(&value, &node.at, parameter, key, notes).then_some(value)
}

/// Whether a value of the right kind is finite, within the bounds and among the choices.
pub(crate) fn is_allowed(value: &Value, at: &At, parameter: &Parameter, key: &str, notes: &mut Notes<'_>) -> bool {
    let name = &parameter.name;
    let numbers: &[Value] = match value {
        Value::List(items) => items,
        one => std::slice::from_ref(one),
    };
    for number in numbers.iter().filter_map(Value::as_f64) {
        if !number.is_finite() {
            notes.report(
                at,
                key,
                format!("`{name}` is not a finite number"),
                format!("for example `{}`", example(parameter)),
            );
            return false;
        }
        if let Some((low, high)) = parameter.bounds
            && !(low <= number && number <= high)
        {
            let shown =
                if parameter.kind == Kind::Float { Value::Float(number) } else { Value::Integer(number as i64) };
            let message = format!("`{name}` is out of bounds: {shown}");
            notes.report(at, key, message, format!("write a value {}", range((low, high), parameter.kind)));
            return false;
        }
    }
    if let Some(word) = value.as_text()
        && !parameter.choices.is_empty()
        && !parameter.choices.iter().any(|c| c == word)
    {
        let known: Vec<&str> = parameter.choices.iter().map(String::as_str).collect();
        notes.report(at, key, format!("`{name}` has no choice {value}"), instead_of(word, &known));
        return false;
    }
    true
}

/// The written value as it is, without a kind in mind.
fn plain(node: &Node, parameter: &Parameter, key: &str, notes: &mut Notes<'_>) -> Option<Value> {
    match &node.item {
        Item::Boolean(b) => Some(Value::Boolean(*b)),
        Item::Float(x) => Some(Value::Float(*x)),
        Item::Text(s) => Some(Value::text(s)),
        Item::Integer(i) => match i64::try_from(*i) {
            Ok(i) => Some(Value::Integer(i)),
            Err(_) => {
                huge(&i.to_string(), node, parameter, key, notes);
                None
            }
        },
        Item::HugeInteger(written) => {
            huge(written, node, parameter, key, notes);
            None
        }
        Item::List(items) => {
            // Elements that no list of ours can hold are told where they stand.
            let inner = items.iter().map(|item| match &item.item {
                Item::List(_) | Item::Table(_) | Item::Time(_) => {
                    wrong_type(item, parameter, key, notes);
                    None
                }
                _ => plain(item, parameter, key, notes),
            });
            inner.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>().map(Value::List)
        }
        Item::Time(_) | Item::Table(_) => {
            wrong_type(node, parameter, key, notes);
            None
        }
    }
}

fn huge(written: &str, node: &Node, parameter: &Parameter, key: &str, notes: &mut Notes<'_>) {
    let message = format!("`{}` is out of bounds: {written} has more than 64 bits", parameter.name);
    notes.report(&node.at, key, message, format!("for example `{}`", example(parameter)));
}

fn wrong_type(node: &Node, parameter: &Parameter, key: &str, notes: &mut Notes<'_>) {
    // For a list of integers the element to blame is what helps.
    let culprit = match (&node.item, parameter.kind) {
        (Item::List(items), Kind::Integers) => {
            items.iter().find(|i| !matches!(i.item, Item::Integer(_))).unwrap_or(node)
        }
        _ => node,
    };
    let expected = if std::ptr::eq(culprit, node) { parameter.kind.name() } else { "integers in the list" };
    let found = culprit.item.kind_name();
    let message = format!("`{}` has the wrong type: expected {expected}, found {found}", parameter.name);
    let fix = match (&culprit.item, parameter.kind) {
        (Item::Float(x), Kind::Integer) if x.is_finite() && x.floor() == *x && x.abs() < 9.0e15 => {
            format!("write `{} = {}`", parameter.name, *x as i64)
        }
        (Item::Integer(i), Kind::Text) => format!("write `{} = \"{i}\"`", parameter.name),
        _ => format!("for example `{}`", example(parameter)),
    };
    notes.report(&culprit.at, key, message, fix);
}
