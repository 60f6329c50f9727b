//! The run written back as TOML, with every default filled in: one run, one text.

use std::fmt::Write;

use tumble_domain::code::ResultPlace;
use tumble_domain::{
    Axis, AxisTarget, AxisValues, Code, Condition, Evolve, PipelineDescription, Plan, Program, Python, RunSpec, Start,
    Stopping, StoppingRule, Sweep, Value,
};
use tumble_search::strategies;

use crate::bytes::format_bytes;
use crate::duration::format_duration;
use crate::program::FILE;
use crate::wording::number_list;
use crate::words::{CRITERIA, ON_FAILURE, RULES, STDIN, TRIAL_SEEDS, word_for};

/// Writes a run as a run file in which every default stands; the same run always gives the same bytes, and reading them
/// back gives the same run. What a formula decides stands as a comment.
///
/// `description` is the pipeline's; the nested one of a sweep of evolutions has the same parameters and will do as well.
pub fn canonical(spec: &RunSpec, description: &PipelineDescription) -> String {
    let mut out = Text::default();
    out.key("name", Value::text(&spec.name));
    out.key("pipeline", Value::text(&spec.pipeline));
    out.key("seed", spec.seed.0);
    out.key("replicates", spec.replicates);
    out.key("objective", Value::text(&spec.objective.as_written()));
    if let Some(bundle) = &spec.bundle {
        out.key("bundle", Value::List(bundle.paths.iter().map(|path| Value::text(path)).collect()));
        out.key("bundle_hash", Value::text(&bundle.hash));
    }
    if let Some(Code::Program(program)) = &spec.code {
        program_section(program, &mut out);
    }
    if let Some(Code::Python(python)) = &spec.code {
        python_section(python, &mut out);
    }
    // An axis that is there at some points only leaves the others to its section.
    let always: Vec<Axis> = spec.plan.sweep().map_or(Vec::new(), |sweep| {
        let is_conditional = |position| sweep.conditions.iter().any(|condition| condition.axis == position);
        sweep.axes.iter().enumerate().filter(|(i, _)| !is_conditional(*i)).map(|(_, axis)| axis.clone()).collect()
    });
    let evolved = match &spec.plan {
        Plan::Evolve(evolve) | Plan::SweepOfEvolutions(_, evolve) => &evolve.axes[..],
        Plan::Sweep(_) => &[],
    };
    let is_axis = |i: usize| always.iter().chain(evolved).any(|axis| axis.target == AxisTarget::Parameter(i));
    let is_prolonging = |i: usize| spec.plan.stopping().is_some_and(|stopping| stopping.steps == i);
    out.section("config");
    for (i, (parameter, value)) in description.parameters.iter().zip(&spec.config).enumerate() {
        // A parameter that is an axis has no place of its own: it would seem to be set twice.
        if !is_axis(i) && !is_prolonging(i) {
            out.key(&parameter.name, value);
        }
    }
    match &spec.plan {
        Plan::Evolve(evolve) => evolve_section(evolve, &always, &mut out),
        Plan::Sweep(sweep) => sweep_section(sweep, description, &mut out),
        Plan::SweepOfEvolutions(sweep, evolve) => {
            evolve_section(evolve, &always, &mut out);
            sweep_section(sweep, description, &mut out);
        }
    }
    out.section("limits");
    if let Some(timeout) = spec.limits.timeout {
        out.key("timeout", Value::text(&format_duration(timeout)));
    }
    if let Some(wall) = spec.limits.wall {
        out.key("wall", Value::text(&format_duration(wall)));
    }
    out.key("attempts", spec.limits.attempts);
    out.key("on_failure", Value::text(word_for(spec.limits.on_failure, &ON_FAILURE)));
    out.0
}

fn program_section(program: &Program, out: &mut Text) {
    let texts = |texts: &[String]| Value::List(texts.iter().map(|text| Value::text(text)).collect());
    out.section("program");
    out.key("command", texts(&program.command));
    out.key("metrics", texts(&program.metrics));
    let result = match &program.result {
        ResultPlace::Stdout => "stdout".to_owned(),
        ResultPlace::File(name) => format!("{FILE}{name}"),
    };
    out.key("result", Value::text(&result));
    out.key("stdin", Value::text(word_for(program.stdin, &STDIN)));
    if let Some(bytes) = program.memory {
        out.key("memory", Value::text(&format_bytes(bytes)));
    }
    out.key("keep", program.keep);
    if !program.environment.is_empty() {
        out.section("program.environment");
        for (name, text) in &program.environment {
            out.key(name, Value::text(text));
        }
    }
}

fn python_section(python: &Python, out: &mut Text) {
    out.section("python");
    out.key("entry", Value::text(&python.entry));
    if let Some(interpreter) = &python.interpreter {
        out.key("interpreter", Value::text(interpreter));
    }
    out.key("metrics", Value::List(python.metrics.iter().map(|metric| Value::text(metric)).collect()));
    out.key("batch", python.batch);
    if let Some(length) = python.genome {
        out.key("genome", length);
    }
}

fn evolve_section(evolve: &Evolve, axes: &[Axis], out: &mut Text) {
    let is_axis = |target: &AxisTarget| axes.iter().any(|axis| axis.target == *target);
    let strategy_is_axis = is_axis(&AxisTarget::Strategy);
    out.section("evolve");
    if !strategy_is_axis {
        out.key("strategy", Value::text(&evolve.strategy));
    }
    let description = strategies::describe(&evolve.strategy).filter(|_| !strategy_is_axis);
    match (evolve.population, description) {
        (Some(population), _) => out.key("population", population),
        (None, _) if is_axis(&AxisTarget::Population) => {}
        (None, Some(strategy)) => out.comment("population", strategy.population),
        (None, None) => out.comment("population", "the formula of each strategy"),
    }
    out.key("generations", evolve.generations);
    for (name, value) in &evolve.settings {
        out.key(name, value);
    }
    for parameter in description.map_or(&[][..], |d| &d.parameters) {
        let is_set = evolve.settings.iter().any(|(name, _)| *name == parameter.name);
        if !is_set && !is_axis(&AxisTarget::StrategySetting(parameter.name.clone())) {
            out.comment(&parameter.name, &parameter.summary);
        }
    }
    match &evolve.start {
        _ if is_axis(&AxisTarget::Start) || evolve.is_given() => {}
        Start::Middle => out.comment("start", "the middle of the bounds, or 0 where there are none"),
        Start::Everywhere(x) => out.key("start", Value::Float(*x)),
        Start::At(numbers) => out.key("start", number_list(numbers)),
        Start::Uniform(low, high) => out.key("start", format!("{{ uniform = {} }}", number_list(&[*low, *high]))),
    }
    out.key("trial_seeds", Value::text(word_for(evolve.trial_seeds, &TRIAL_SEEDS)));
    let objective = evolve.stop.objective.map(|x| format!("objective = {}", Value::Float(x)));
    let evaluations = evolve.stop.evaluations.map(|n| format!("evaluations = {n}"));
    let stop: Vec<String> = objective.into_iter().chain(evaluations).collect();
    if !stop.is_empty() {
        out.key("stop", format!("{{ {} }}", stop.join(", ")));
    }
    if !evolve.axes.is_empty() {
        axes_section("evolve.axes", &evolve.axes, &[], out);
    }
}

fn sweep_section(sweep: &Sweep, pipeline: &PipelineDescription, out: &mut Text) {
    out.section("sweep");
    out.key("design", Value::text(&sweep.design));
    if let Some(points) = sweep.points {
        out.key("points", points);
    }
    if let Some(criterion) = sweep.criterion {
        out.key("criterion", Value::text(word_for(criterion, &CRITERIA)));
    }
    if let Some(Stopping { rule, steps, rungs, factor }) = &sweep.stopping {
        out.section("sweep.stopping");
        out.key("rule", Value::text(word_for(*rule, &RULES)));
        out.key("steps", Value::text(&pipeline.parameters[*steps].name));
        out.key("rungs", Value::List(rungs.iter().map(|rung| Value::Integer(*rung)).collect()));
        if *rule != StoppingRule::Median {
            out.key("factor", factor);
        }
    }
    axes_section("sweep.axes", &sweep.axes, &sweep.conditions, out);
}

fn axes_section(name: &str, axes: &[Axis], conditions: &[Condition], out: &mut Text) {
    out.section(name);
    for (position, axis) in axes.iter().enumerate() {
        let condition = conditions.iter().find(|condition| condition.axis == position);
        let when = condition.map_or(String::new(), |condition| {
            let on = name_as_key(&axes[condition.on].name);
            format!(", when = {{ {on} = {} }}", Value::List(condition.values.clone()))
        });
        let interval = |form: &str, from: f64, to: f64, points: &Option<u64>| {
            let points = points.map_or(String::new(), |points| format!(", points = {points}"));
            format!("{{ {form} = {}{points}{when} }}", number_list(&[from, to]))
        };
        match &axis.values {
            AxisValues::List(values) if condition.is_none() => out.key(&axis.name, Value::List(values.clone())),
            AxisValues::List(values) => {
                out.key(&axis.name, format!("{{ values = {}{when} }}", Value::List(values.clone())));
            }
            AxisValues::Linear { from, to, points } => out.key(&axis.name, interval("linear", *from, *to, points)),
            AxisValues::Log { from, to, points } => out.key(&axis.name, interval("log", *from, *to, points)),
            AxisValues::Integers { from, to } => out.key(&axis.name, format!("{{ integers = [{from}, {to}]{when} }}")),
            AxisValues::Any(kind) => out.key(&axis.name, format!("{{ any = {} }}", Value::text(kind.name()))),
        }
    }
}

/// A name as the key of a line, in quotes if it needs them.
fn name_as_key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { name.to_owned() } else { Value::text(name).to_string() }
}

/// TOML in the making.
#[derive(Default)]
struct Text(String);

impl Text {
    fn section(&mut self, name: &str) {
        self.line(format_args!("\n[{name}]"));
    }

    fn key(&mut self, name: &str, value: impl std::fmt::Display) {
        self.line(format_args!("{} = {value}", name_as_key(name)));
    }

    /// What holds without being set.
    fn comment(&mut self, name: &str, rule: &str) {
        let rule: String = rule.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.line(format_args!("# {name}: {rule}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("writing to a string never fails");
    }
}
