//! Axes that are there at some points only: `when = { rule = "hebb" }`.

use tumble_domain::{Axis, AxisTarget, AxisValues, Condition, Parameter, Value};
use tumble_search::designs::DECIDING_VALUES_MAX;

use crate::problem::Notes;
use crate::settings::checked;
use crate::tree::{Entry, Item, Node};
use crate::typed::TypedAxis;
use crate::wording::instead_of;

/// An axis before this one that is right: what a condition may name.
pub(crate) struct Earlier<'a> {
    pub(crate) axis: &'a Axis,
    pub(crate) parameter: &'a Parameter,
}

/// The condition of an axis, if it has one that is right. `axis` will stand at position `earlier.len()`; `all` are the
/// names of every axis, for one that stands too late.
pub(crate) fn of(
    typed: &TypedAxis<'_>,
    target: &AxisTarget,
    parameter: &Parameter,
    earlier: &[Earlier<'_>],
    all: &[TypedAxis<'_>],
    notes: &mut Notes<'_>,
) -> Option<Condition> {
    let Item::Table(table) = &typed.node.item else { return None };
    let when = table.get("when")?;
    let path = format!("{}.when", typed.path());
    let on = deciding(typed, when, &path, notes)?;
    let Some((position, before)) = earlier.iter().enumerate().find(|(_, before)| before.axis.name == on.0) else {
        let later = all.iter().any(|axis| axis.name == on.0);
        let (message, fix) = if on.0 == typed.name {
            (format!("axis `{}` depends on itself", typed.name), "name another axis, or remove `when`".to_owned())
        } else if later {
            // It may be one whose own problem is noted; moving it is right in any case.
            let message = format!("axis `{}` depends on `{}`, which does not stand before it", typed.name, on.0);
            (message, format!("write `{}` above `{}`", on.0, typed.name))
        } else {
            let known: Vec<&str> = earlier.iter().map(|before| before.axis.name.as_str()).collect();
            let fix = match known.is_empty() {
                true => "write the axis that it depends on above it".to_owned(),
                false => instead_of(&on.0, &known),
            };
            (format!("axis `{}` depends on `{}`, which is no axis", typed.name, on.0), fix)
        };
        notes.report(&when.at, &path, message, fix);
        return None;
    };
    let deciding = before.axis;
    let few = deciding.values.len().is_some_and(|values| values <= DECIDING_VALUES_MAX);
    if !few || matches!(deciding.values, AxisValues::Linear { .. } | AxisValues::Log { .. }) {
        let message = format!("axis `{}` depends on `{}`, which runs over an interval", typed.name, deciding.name);
        let fix = format!("list the values of `{}`; integers may be up to {DECIDING_VALUES_MAX}", deciding.name);
        notes.report(&when.at, &path, message, fix);
        return None;
    }
    if !has_fallback(target, parameter) {
        let message =
            format!("axis `{}` is not there at every point, but `{0}` has no default to fall back on", typed.name);
        notes.report(&when.at, &path, message, "remove `when`, so that every point has a value");
        return None;
    }
    let nodes: Vec<&Node> = match &on.1.item {
        Item::List(nodes) => nodes.iter().collect(),
        _ => vec![on.1],
    };
    if nodes.is_empty() {
        let message = format!("axis `{}` is nowhere: `when` lists no value of `{}`", typed.name, deciding.name);
        notes.report(&on.1.at, &path, message, "name a value, or remove the axis");
        return None;
    }
    let mut values = Vec::new();
    for node in nodes {
        let value = checked(node, before.parameter, &path, notes)?;
        if !takes(&deciding.values, &value) {
            let message = format!("axis `{}` waits for `{} = {value}`, which never comes", typed.name, deciding.name);
            notes.report(&node.at, &path, message, instead_of_value(&deciding.values, &value));
            return None;
        }
        if !values.contains(&value) {
            values.push(value);
        }
    }
    Some(Condition { axis: earlier.len(), on: position, values })
}

/// The one axis that `when` names, and what stands for its values.
fn deciding<'t>(
    typed: &TypedAxis<'_>,
    when: &'t Entry,
    path: &str,
    notes: &mut Notes<'_>,
) -> Option<(String, &'t Node)> {
    let fix = "write `when = { axis = value }`, or `{ axis = [value, value] }`";
    let Item::Table(table) = &when.node.item else {
        let found = when.node.item.kind_name();
        let message = format!("`when` of axis `{}` has the wrong type: expected section, found {found}", typed.name);
        notes.report(&when.node.at, path, message, fix);
        return None;
    };
    let mut named = Vec::new();
    for entry in &table.entries {
        match &entry.node.item {
            Item::Table(inner) if entry.name == "evolve" => {
                named.extend(inner.entries.iter().map(|e| (format!("evolve.{}", e.name), &e.node)));
            }
            _ => named.push((entry.name.clone(), &entry.node)),
        }
    }
    if named.len() != 1 {
        let message = format!("`when` of axis `{}` names {} axes instead of one", typed.name, named.len());
        let fix = "an axis hangs on one other; that one may hang on a third";
        notes.report(&when.at, path, message, fix);
        return None;
    }
    named.pop()
}

/// Whether an axis is there at some points only.
pub(crate) fn is_conditional(typed: &TypedAxis<'_>) -> bool {
    matches!(&typed.node.item, Item::Table(table) if table.get("when").is_some())
}

/// Whether an axis is there for a strategy, as far as its `when` speaks of strategies.
pub(crate) fn is_there_for(typed: &TypedAxis<'_>, strategy: &str) -> bool {
    let Item::Table(axis) = &typed.node.item else { return true };
    let Some(Item::Table(when)) = axis.get("when").map(|entry| &entry.node.item) else { return true };
    let nested = when.get("evolve").and_then(|entry| match &entry.node.item {
        Item::Table(evolve) => evolve.get("strategy"),
        _ => None,
    });
    match when.get("evolve.strategy").or(nested).map(|entry| &entry.node.item) {
        Some(Item::Text(word)) => word == strategy,
        Some(Item::List(items)) => items.iter().any(|item| matches!(&item.item, Item::Text(word) if word == strategy)),
        _ => true,
    }
}

/// Whether something holds where the axis is not there.
fn has_fallback(target: &AxisTarget, parameter: &Parameter) -> bool {
    match target {
        AxisTarget::Parameter(_) => parameter.default.is_some(),
        // An element without an axis is 0; a setting, a population and a start without one follow from the strategy.
        AxisTarget::Genome(_) | AxisTarget::StrategySetting(_) | AxisTarget::Population | AxisTarget::Start => true,
        AxisTarget::Strategy => false,
    }
}

fn takes(values: &AxisValues, value: &Value) -> bool {
    match (values, value) {
        (AxisValues::List(values), value) => values.contains(value),
        (AxisValues::Integers { from, to }, Value::Integer(i)) => (from..=to).contains(&i),
        _ => false,
    }
}

fn instead_of_value(values: &AxisValues, value: &Value) -> String {
    match values {
        AxisValues::List(values) => match value.as_text() {
            Some(word) => instead_of(word, &values.iter().filter_map(Value::as_text).collect::<Vec<_>>()),
            None => {
                let shown: Vec<String> = values.iter().take(12).map(|value| format!("`{value}`")).collect();
                format!("it takes {}{}", shown.join(", "), if values.len() > 12 { ", …" } else { "" })
            }
        },
        AxisValues::Integers { from, to } => format!("it runs from {from} to {to}"),
        AxisValues::Linear { .. } | AxisValues::Log { .. } | AxisValues::Any(_) => "list its values".to_owned(),
    }
}
