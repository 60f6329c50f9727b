//! Whether a description holds together: what run files and tables take for granted of every pipeline.

use std::collections::BTreeSet;

use tumble_domain::{Kind, Parameter, PipelineDescription, Value};

/// Columns that every trials table has besides a pipeline's own: a parameter or metric of that name would clash.
const TAKEN: [&str; 7] = ["trial", "generation", "candidate", "replicate", "seed", "outcome", "error"];

/// Everything that is wrong with a description, each problem with the name that it is about; nothing where it is sound.
pub fn problems(d: &PipelineDescription) -> Vec<String> {
    let mut problems = Vec::new();
    let mut broken = |is_broken: bool, problem: String| problems.extend(is_broken.then_some(problem));
    broken(!is_name(&d.name, '-'), "a pipeline's name is small letters, digits and -".to_owned());
    broken(d.version == 0, "versions count from 1".to_owned());
    broken(d.summary.is_empty(), "it has no summary".to_owned());
    broken(d.metrics.is_empty(), "it has no metrics".to_owned());
    let objective = &d.objective.metric;
    broken(d.metric_index(objective).is_none(), format!("the objective `{objective}` is none of its metrics"));
    let mut names = BTreeSet::from(TAKEN);
    for name in d.parameters.iter().map(|p| &p.name).chain(d.metrics.iter().map(|m| &m.name)) {
        broken(!is_name(name, '_'), format!("`{name}` is no name: use small letters, digits and _"));
        broken(TAKEN.contains(&&**name), format!("`{name}` is a column that every table has"));
        broken(!names.insert(name) && !TAKEN.contains(&&**name), format!("`{name}` names two columns"));
    }
    if let Some(name) = &d.prolongs {
        let kind = d.parameter_index(name).map(|i| d.parameters[i].kind);
        broken(kind != Some(Kind::Integer), format!("`{name}` prolongs a trial and is no integer parameter"));
    }
    for parameter in &d.parameters {
        if let Err(problem) = default(parameter) {
            broken(true, format!("the parameter `{}` {problem}", parameter.name));
        }
    }
    problems
}

/// Looks whether the default is one of the values that the parameter takes.
fn default(p: &Parameter) -> Result<(), String> {
    if let Some((low, high)) = p.bounds.filter(|(low, high)| low.partial_cmp(high).is_none_or(|order| order.is_gt())) {
        return Err(format!("has no value between {low} and {high}"));
    }
    let default = p.default.as_ref().ok_or("has no default")?;
    if default.coerced(p.kind).as_ref() != Some(default) {
        return Err(format!("is a {} and has the default {default}", p.kind.name()));
    }
    if let (Some((low, high)), Some(x)) = (p.bounds, default.as_f64())
        && !(low <= x && x <= high)
    {
        return Err(format!("has the default {default}, not between {low} and {high}"));
    }
    if let (false, Value::Text(word)) = (p.choices.is_empty(), default)
        && !p.choices.iter().any(|choice| **choice == **word)
    {
        return Err(format!("has the default {default}, which is none of its choices"));
    }
    Ok(())
}

fn is_name(name: &str, joint: char) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == joint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    #[test]
    fn each_thing_that_does_not_hold_together_is_named() {
        let sound = || registry::find("tiny-networks").expect("it is built in").description().clone();
        assert_eq!(problems(&sound()), Vec::<String>::new());
        type Break = fn(&mut PipelineDescription);
        let breaks: [(Break, &str); 12] = [
            (|d| d.name = "Tiny Networks".into(), "small letters"),
            (|d| d.version = 0, "count from 1"),
            (|d| d.summary.clear(), "no summary"),
            (|d| d.objective.metric = "loss".into(), "`loss` is none of its metrics"),
            (|d| d.parameters[1].name = "seed".into(), "`seed` is a column"),
            (|d| d.parameters[1].name = "f1".into(), "`f1` names two columns"),
            (|d| d.metrics[1].name = "F1 score".into(), "`F1 score` is no name"),
            (|d| d.prolongs = Some("noise".into()), "`noise` prolongs"),
            (|d| d.parameters[1].default = None, "`width` has no default"),
            (|d| d.parameters[1].default = Some(Value::Float(1.5)), "`width` is a integer and has the default 1.5"),
            (|d| d.parameters[1].default = Some(Value::Integer(0)), "`width` has the default 0, not between 1 and"),
            (|d| d.parameters[0].default = Some(Value::text("9v4")), "`pair` has the default \"9v4\", which is none"),
        ];
        for (change, expected) in breaks {
            let mut description = sound();
            change(&mut description);
            let problems = problems(&description);
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{expected}: {problems:?}");
        }
    }
}
