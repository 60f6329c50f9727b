//! `tumble pipelines`, `tumble strategies`, `tumble designs`: pages made from the same descriptions that check run files.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tumble_domain::nearest::nearest;
use tumble_domain::{Extent, GenomeLength, Parameter, PipelineDescription, Tensor, Value};
use tumble_pipelines::Pipeline;
use tumble_search::{GrainKind, StrategyDescription, designs, strategies};

use crate::args::PipelinesArgs;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::own::Known;
use crate::runfile;

pub(crate) fn pipelines(args: &PipelinesArgs, output: Output) -> Result<Exit, Failure> {
    let known = Known::of(args.own.worker.as_deref())?;
    let all = known.descriptions();
    match args.name.as_deref() {
        None => list("pipeline", all.iter().map(|p| (p.name.as_str(), p.summary.as_str())), output),
        Some(name) => {
            let found = find("pipeline", name, all, |p| &p.name)?;
            // What a description does not say, a binary of the user's own does not tell.
            let pipeline = if known.worker().is_some() { None } else { evaluated_here(name)? };
            let traces = pipeline.as_ref().map_or(&[][..], |pipeline| pipeline.traces());
            let timeout = pipeline.as_ref().map_or("", |pipeline| pipeline.timeout());
            let json = || {
                let mut json = pipeline_json(found);
                json["timeout"] = timeout.into();
                json["trace"] =
                    traces.iter().map(|(name, summary)| json!({ "name": name, "summary": summary })).collect();
                json
            };
            let page = if found.is_open() { open_page(found) } else { pipeline_page(found) };
            let end = if timeout.is_empty() { String::new() } else { format!("\nlimits.timeout: {timeout}\n") };
            output.result(page + &trace_list(traces) + &end, json);
        }
    }
    Ok(Exit::Complete)
}

/// The pipeline of this name, as a worker on this machine has it.
pub(crate) fn evaluated_here(name: &str) -> Result<Option<Arc<dyn Pipeline>>, Failure> {
    let here = runfile::surroundings(Path::new("."), None)?;
    Ok(tumble_worker::pipelines(&here).into_iter().find(|pipeline| pipeline.description().name == name))
}

pub(crate) fn strategies(name: Option<&str>, output: Output) -> Result<Exit, Failure> {
    let all = strategies::all();
    match name {
        None => list("strategy", all.iter().map(|s| (s.name, s.summary)), output),
        Some(name) => {
            let found = match strategies::given() {
                given if given.name == name => given,
                _ => find("strategy", name, all, |s| s.name)?,
            };
            output.result(strategy_page(found), || {
                json!({
                    "name": found.name, "summary": found.summary, "advice": found.advice, "source": found.source,
                    "cost": found.cost, "memory": found.memory, "population": found.population,
                    "searches": searches(found.name),
                    "parameters": found.parameters.iter().map(parameter_json).collect::<Vec<_>>(),
                })
            });
        }
    }
    Ok(Exit::Complete)
}

pub(crate) fn designs(name: Option<&str>, output: Output) -> Result<Exit, Failure> {
    let all = designs::descriptions();
    match name {
        None => list("design", all.iter().map(|d| (d.name, d.summary)), output),
        Some(name) => {
            let d = find("design", name, all, |d| d.name)?;
            let text = format!(
                "{}: {}\n\nuse for  {}\nneeds    {}\nsource   {}\n",
                d.name, d.summary, d.advice, d.needs, d.source
            );
            output.result(text, || {
                json!({ "name": d.name, "summary": d.summary, "advice": d.advice, "needs": d.needs, "source": d.source })
            });
        }
    }
    Ok(Exit::Complete)
}

fn list<'a>(noun: &str, rows: impl Iterator<Item = (&'a str, &'a str)> + Clone, output: Output) {
    let width = rows.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text: String = rows.clone().map(|(name, summary)| format!("{name:width$}  {summary}\n")).collect();
    let plural = if noun == "strategy" { "strategies".to_owned() } else { format!("{noun}s") };
    let _ = writeln!(text, "\n`tumble {plural} NAME` describes one.");
    output.result(text, || rows.map(|(name, summary)| json!({ "name": name, "summary": summary })).collect());
}

fn find<'a, T>(noun: &str, name: &str, all: &'a [T], name_of: impl Fn(&T) -> &str) -> Result<&'a T, Failure> {
    all.iter().find(|item| name_of(item) == name).ok_or_else(|| {
        let hint = match nearest(name, all.iter().map(&name_of)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!("there are {}", all.iter().map(|i| format!("`{}`", name_of(i))).collect::<Vec<_>>().join(", "))
            }
        };
        Failure::usage(format!("unknown {noun} `{name}`; {hint}"))
    })
}

/// Of a pipeline that a run file describes: what its section may hold.
fn open_page(p: &PipelineDescription) -> String {
    let mut text = format!("{} (version {}): {}\n\n", p.name, p.version, p.summary);
    text += "What it takes and gives, the run file says: every key of [config] and every axis is a setting of it,\n";
    text += "`metrics` are its metrics, and the first of them is the objective unless `objective` says more.\n";
    let _ = writeln!(text, "\nkeys of [{}]", p.name);
    for key in tumble_runfile::KEYS.iter().filter(|key| key.section == p.name) {
        let _ = writeln!(text, "  {}  {} (default: {}): {}", key.name, key.takes, key.default, key.summary);
    }
    text
}

fn pipeline_page(p: &PipelineDescription) -> String {
    let mut text = format!("{} (version {}): {}\n\nsource     {}\n", p.name, p.version, p.summary, p.source);
    let _ = writeln!(text, "objective  {} (by default)", p.objective.as_written());
    if let Some(genome) = &p.genome {
        let length = match &genome.length {
            GenomeLength::Fixed(n) => format!("{n} numbers"),
            GenomeLength::Parameter(name) => format!("`{name}` numbers"),
            GenomeLength::Tensors(tensors) => {
                let one = |t: &Tensor| format!("{} ({} × {})", t.name, extent(&t.rows), extent(&t.columns));
                tensors.iter().map(one).collect::<Vec<_>>().join(", ")
            }
        };
        let bounds = genome.bounds.map_or("unbounded".to_owned(), |(lo, hi)| format!("{} to {}", bound(lo), bound(hi)));
        let _ = writeln!(text, "evolves    `{}`, {length}, {bounds}: {}", genome.name, genome.summary);
    }
    if let Some(name) = &p.prolongs {
        let _ =
            writeln!(text, "prolongs   `{name}`: a sweep can stop candidates early at rungs of it, [sweep.stopping]");
    }
    text += "\nparameters of [config], and axes of [sweep.axes]\n";
    text += &parameter_list(&p.parameters);
    text += "\nmetrics\n";
    let width = p.metrics.iter().map(|m| m.name.len()).max().unwrap_or(0);
    for metric in &p.metrics {
        let unit = if metric.unit.is_empty() { String::new() } else { format!(" ({})", metric.unit) };
        let _ = writeln!(text, "  {:width$}  {}{unit}", metric.name, metric.summary);
    }
    text
}

/// What `tumble replay --trace` writes of a trial.
fn trace_list(columns: &[(&str, &str)]) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let width = columns.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = columns.iter().map(|(name, summary)| format!("  {name:width$}  {summary}\n"));
    format!("\ntrace of a trial, `tumble replay DIR --trial N --trace FILE`\n{}", lines.collect::<String>())
}

fn strategy_page(s: &StrategyDescription) -> String {
    format!(
        "{}: {}\n\nuse for     {}\nsource      {}\ncost        {}\nmemory      numbers of 8 bytes: {}\npopulation  {}\n\
         searches    {}\n\nparameters of [evolve]\n{}",
        s.name,
        s.summary,
        s.advice,
        s.source,
        s.cost,
        s.memory,
        s.population,
        searches(s.name).join(", "),
        parameter_list(&s.parameters)
    )
}

/// The kinds of coordinates that a strategy searches, in words.
fn searches(name: &str) -> Vec<&'static str> {
    strategies::searches(name).into_iter().map(GrainKind::name).collect()
}

fn parameter_list(parameters: &[Parameter]) -> String {
    let heads: Vec<String> = parameters
        .iter()
        .map(|p| {
            let unit = if p.unit.is_empty() { String::new() } else { format!(" {}", p.unit) };
            let default = p.default.as_ref().map_or("formula".to_owned(), Value::to_string);
            format!("{} = {default}{unit}", p.name)
        })
        .collect();
    let width = heads.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (parameter, head) in parameters.iter().zip(heads) {
        let bounds = parameter.bounds.map_or(String::new(), |(lo, hi)| format!(", {} to {}", bound(lo), bound(hi)));
        let choices = match parameter.choices.len() {
            0 => String::new(),
            1..=12 => format!(" [{}]", parameter.choices.join(", ")),
            n => format!(" [{}, … {n} in all]", parameter.choices[..4].join(", ")),
        };
        let _ = writeln!(text, "  {head:width$}  {}{bounds}{choices}: {}", parameter.kind.name(), parameter.summary);
    }
    text
}

/// How far a tensor goes: a number, or the parameter that says it.
fn extent(extent: &Extent) -> String {
    match extent {
        Extent::Fixed(n) => n.to_string(),
        Extent::Parameter(name) => format!("`{name}`"),
    }
}

fn extent_json(extent: &Extent) -> Json {
    match extent {
        Extent::Fixed(n) => json!(n),
        Extent::Parameter(name) => json!(name),
    }
}

/// A bound in few characters: `2`, `0.5`, `1e-64`.
fn bound(x: f64) -> String {
    if x == 0.0 || (1e-4..1e7).contains(&x.abs()) { x.to_string() } else { format!("{x:e}") }
}

fn pipeline_json(p: &PipelineDescription) -> Json {
    json!({
        "name": p.name,
        "version": p.version,
        "summary": p.summary,
        "source": p.source,
        "objective": p.objective.as_written(),
        "prolongs": p.prolongs,
        "open": p.is_open(),
        "genome": p.genome.as_ref().map(|g| json!({
            "name": g.name,
            "length": match &g.length {
                GenomeLength::Fixed(n) => json!(n),
                GenomeLength::Parameter(name) => json!(name),
                GenomeLength::Tensors(tensors) => tensors.iter()
                    .map(|t| json!({
                        "name": t.name,
                        "rows": extent_json(&t.rows),
                        "columns": extent_json(&t.columns),
                    }))
                    .collect(),
            },
            "bounds": g.bounds.map(|(lo, hi)| [lo, hi]),
            "summary": g.summary,
        })),
        "parameters": p.parameters.iter().map(parameter_json).collect::<Vec<_>>(),
        "metrics": p.metrics.iter()
            .map(|m| json!({ "name": m.name, "unit": m.unit, "summary": m.summary }))
            .collect::<Vec<_>>(),
    })
}

fn parameter_json(p: &Parameter) -> Json {
    json!({
        "name": p.name,
        "type": p.kind.name(),
        "unit": p.unit,
        "default": p.default.as_ref().map(value_json),
        "bounds": p.bounds.map(|(lo, hi)| [lo, hi]),
        "choices": p.choices,
        "summary": p.summary,
    })
}

/// A value as JSON.
pub(crate) fn value_json(value: &Value) -> Json {
    match value {
        // JSON has no infinity: it is written as the run file spells it.
        Value::Float(x) if !x.is_finite() => json!(value.to_string()),
        Value::Float(x) => json!(x),
        Value::Integer(i) => json!(i),
        Value::Boolean(b) => json!(b),
        Value::Text(s) => json!(&**s),
        Value::List(items) => items.iter().map(value_json).collect(),
    }
}
