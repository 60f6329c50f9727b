//! What the run file means: names looked up, defaults filled in, sections held against each other.

use tumble_domain::{
    Axis, AxisTarget, AxisValues, Condition, Direction, Evolve, Kind, Limits, Objective, OnFailure,
    PipelineDescription, Plan, RunSpec, Seed, Sweep, Value,
};
use tumble_search::space::BOUNDS;
use tumble_search::{Space, SpaceError, StrategyDescription, strategies};

use crate::Understood;
use crate::axes::Sweepable;
use crate::bundle;
use crate::conditions::{self, Earlier};
use crate::evolve::{self, Strategies};
use crate::keys;
use crate::problem::{At, Notes, UNKNOWN_PIPELINE};
use crate::program::{self, PROGRAM, is_of_exits, open_pipelines};
use crate::python;
use crate::settings::checked;
use crate::stopping;
use crate::sweep;
use crate::typed::{Given, Typed, TypedAxis};
use crate::wording::{example, instead_of, one_of};
use crate::words::{ON_FAILURE, word_of};

/// Columns that every trials table has.
pub const RESERVED_COLUMNS: [&str; 7] = ["trial", "generation", "candidate", "replicate", "seed", "outcome", "error"];

/// The most characters of a run's name.
const NAME_CHARS_MAX: usize = 64;

/// Makes the run of a typed file, or notes why there is none.
pub(crate) fn understand(
    typed: &Typed<'_>,
    pipelines: &[PipelineDescription],
    notes: &mut Notes<'_>,
) -> Option<Understood> {
    let all = strategies::all();
    let own = program::of(typed, notes).or_else(|| python::of(typed, notes));
    let pipeline = match &own {
        Some(own) => own.description.as_ref(),
        None => pipeline(typed, pipelines, notes),
    };
    let bundle = bundle::of(typed, own.as_ref().and_then(|own| own.code.as_ref()), notes);
    unknown_keys(typed, pipeline, all, notes);
    let name = name(typed, pipeline, notes);
    let objective = objective(typed, pipeline, notes);
    let limits = limits(typed, notes);
    check_plan_is_given(typed, pipeline, notes);

    let typed_axes = typed.sweep.value().and_then(|s| s.axes.value()).map_or(&[][..], |axes| &axes[..]);
    let strategy_axis = typed_axes.iter().find(|axis| axis.name == "evolve.strategy");
    let found = typed.evolve.written().map(|section| evolve::strategies_of(section, strategy_axis, all, notes));
    let (axes, conditions) = axes(typed, typed_axes, pipeline, found.as_ref(), all, notes);
    let typed_evolved = typed.evolve.value().and_then(|e| e.axes.value()).map_or(&[][..], |axes| &axes[..]);
    let given = found.as_ref().is_some_and(Strategies::are_given);
    if let (true, Some(section)) = (given, typed.sweep.written()) {
        let message = "an evolution of a sweep runs inside a trial, where nobody gives it candidates";
        notes.report(&section.at, "sweep", message, "remove [sweep], or take a strategy that proposes candidates");
    }
    let evolved = evolved_axes(typed, typed_evolved, pipeline, (&axes, given), notes);
    check_columns(typed, pipeline, objective.as_ref(), &axes, &evolved, notes);
    let plain_axes: Vec<Axis> = axes.iter().map(|(axis, _)| axis.clone()).collect();
    let all_axes: Vec<(Axis, At)> = axes.iter().chain(&evolved).cloned().collect();
    let all_typed: Vec<&TypedAxis<'_>> = typed_axes.iter().chain(typed_evolved).collect();
    let config = config(typed, pipeline, &all_typed, &all_axes, notes);

    let mut meant = typed.evolve.written().zip(found.as_ref()).map(|(section, found)| {
        let meant = evolve::meant(section, found, &plain_axes, all, pipeline, notes);
        (section, found, meant)
    });
    let swept = typed.sweep.written().and_then(|section| sweep::meant(section, &axes, conditions.clone(), notes));
    let (pipeline, config) = (pipeline?, config?);
    let stopping = stopping::meant(typed, pipeline, pipelines, &axes, notes);
    let swept = swept.map(|sweep| Sweep { stopping, ..sweep });
    let all_plain: Vec<Axis> = all_axes.iter().map(|(axis, _)| axis.clone()).collect();
    let dimensions = evolve::dimensions(pipeline, &config, &all_plain, &conditions);
    check_genome_axes(pipeline, "sweep.axes", &axes, dimensions, notes);
    check_genome_axes(pipeline, "evolve.axes", &evolved, dimensions, notes);
    // What is searched: the axes of [evolve.axes] once all are right, else the genome.
    let searches_axes = typed.evolve.value().is_some_and(|e| !e.axes.is_absent());
    let searched = match (&pipeline.genome, dimensions) {
        _ if searches_axes && evolved.len() == typed_evolved.len() && !evolved.is_empty() => {
            Some(((evolved.len() as u32, evolved.len() as u32), Some(BOUNDS)))
        }
        (Some(genome), Some(dimensions)) if !searches_axes => Some((dimensions, genome.bounds)),
        _ => None,
    };
    if let (Some((section, found, meant)), Some((dimensions, bounds))) = (&mut meant, searched) {
        meant.evolve.axes = evolved.iter().map(|(axis, _)| axis.clone()).collect();
        if given {
            evolve::check_no_start(&section.value.start, notes);
        } else {
            evolve::check_start(&section.value.start, dimensions, bounds, notes);
        }
        let length_is_right = evolve::check_dimensions(dimensions, pipeline, &section.at, notes);
        if length_is_right && found.complete {
            if typed.sweep.is_absent() && section.value.population.is_absent() {
                let Evolve { strategy, settings, .. } = &meant.evolve;
                let formula = strategies::default_population(strategy, dimensions.0 as usize, settings);
                // What it refuses is told when the strategy is built.
                meant.evolve.population = formula.ok();
            }
            evolve::check_builds(meant, found, &axes, &conditions, &evolved, (dimensions.0, bounds), notes);
        }
    }
    let config: Vec<Value> = config.into_iter().collect::<Option<_>>()?;
    if !notes.is_clean() {
        return None;
    }
    let plan = match (meant, swept) {
        (Some((_, _, meant)), None) => Plan::Evolve(meant.evolve),
        (Some((_, _, meant)), Some(sweep)) => Plan::SweepOfEvolutions(sweep, meant.evolve),
        (None, Some(sweep)) => Plan::Sweep(sweep),
        (None, None) => return None,
    };
    let objective = objective?;
    let spec = RunSpec {
        name: name?,
        pipeline: pipeline.name.clone(),
        code: own.as_ref().and_then(|own| own.code.clone()),
        bundle,
        seed: Seed(typed.seed.value().copied().unwrap_or(0)),
        replicates: typed.replicates.value().copied().unwrap_or(1),
        objective: objective.clone(),
        config,
        plan,
        limits,
    };
    sweep::check_size(&spec, typed, notes);
    let description = pipeline.recorded(&spec.plan, &objective);
    notes.is_clean().then(|| Understood {
        spec,
        description,
        inner: pipeline.clone(),
        warnings: std::mem::take(&mut notes.warnings),
    })
}

fn pipeline<'p>(
    typed: &Typed<'_>,
    pipelines: &'p [PipelineDescription],
    notes: &mut Notes<'_>,
) -> Option<&'p PipelineDescription> {
    let open = open_pipelines();
    let is_given = |name: &str| pipelines.iter().any(|p| p.name == name);
    let open = open.iter().map(|p| p.name.as_str()).filter(|name| !is_given(name));
    let names: Vec<&str> = pipelines.iter().map(|p| p.name.as_str()).chain(open).collect();
    match &typed.pipeline {
        Given::Absent => {
            notes.report(&At::Nowhere, "pipeline", "missing `pipeline`", one_of(&names));
            None
        }
        Given::Broken => None,
        Given::Written(written) => {
            let found = pipelines.iter().find(|p| p.name == written.value);
            if found.is_none() {
                let mut fix = instead_of(&written.value, &names);
                if fix != one_of(&names) {
                    fix = format!("{fix} known: `{}`", names.join("`, `"));
                }
                notes.report(&written.at, "pipeline", format!("{UNKNOWN_PIPELINE} `{}`", written.value), fix);
            }
            found
        }
    }
}

fn unknown_keys(
    typed: &Typed<'_>,
    pipeline: Option<&PipelineDescription>,
    all: &[StrategyDescription],
    notes: &mut Notes<'_>,
) {
    for (section, entry) in &typed.unknown {
        let fix = keys::instead_of(&entry.name, section, &keys::names(section), pipeline, all);
        let place = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
        let message = format!("unknown key `{}`{place}", entry.name);
        notes.report(&entry.at, &keys::path(section, &entry.name), message, fix);
    }
}

fn name(typed: &Typed<'_>, pipeline: Option<&PipelineDescription>, notes: &mut Notes<'_>) -> Option<String> {
    let Some(written) = typed.name.written() else {
        // Silent when the name is broken: the problem is noted.
        return typed.name.is_absent().then_some(pipeline?.name.clone());
    };
    let name = &written.value;
    let (fault, fix) = if name.is_empty() {
        ("is empty", "leave it out to use the pipeline's name".to_owned())
    } else if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') || name.starts_with('-') {
        let tame = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let tamed: String = name.chars().map(tame).collect();
        let tamed = tamed.trim_matches('-');
        let example = if tamed.is_empty() { "my-run" } else { tamed };
        ("has bad characters", format!("use only a-z, 0-9 and -, and no - in front: `name = {example:?}`"))
    } else if name.len() > NAME_CHARS_MAX {
        ("is too long", format!("use at most {NAME_CHARS_MAX} characters"))
    } else {
        return Some(name.clone());
    };
    notes.report(&written.at, "name", format!("`name` {fault}: {name:?}"), fix);
    None
}

fn objective(typed: &Typed<'_>, pipeline: Option<&PipelineDescription>, notes: &mut Notes<'_>) -> Option<Objective> {
    let pipeline = pipeline?;
    let Some(written) = typed.objective.written() else { return Some(pipeline.objective.clone()) };
    let (metric, direction) = match written.value.strip_prefix('-') {
        Some(metric) => (metric, Direction::Minimise),
        None => (written.value.as_str(), Direction::Maximise),
    };
    if pipeline.metric_index(metric).is_none() {
        let known: Vec<&str> = pipeline.metrics.iter().map(|m| m.name.as_str()).collect();
        let message = format!("`objective` names no metric of `{}`: {metric:?}", pipeline.name);
        notes.report(&written.at, "objective", message, instead_of(metric, &known));
        return None;
    }
    let own = &pipeline.objective;
    if own.metric == metric && own.direction != direction {
        let (found, usual) = (&written.value, own.as_written());
        let aim = if direction == Direction::Maximise { "maximises" } else { "minimises" };
        notes.warnings.push(format!("`objective = {found:?}` {aim} `{metric}`; the pipeline's own is `{usual}`"));
    }
    Some(Objective { metric: metric.to_owned(), direction })
}

fn limits(typed: &Typed<'_>, notes: &mut Notes<'_>) -> Limits {
    let limits = &typed.limits;
    let word = limits.on_failure.written();
    let on_failure = word.and_then(|w| word_of(w, "on_failure", "limits.on_failure", &ON_FAILURE, notes));
    Limits {
        timeout: limits.timeout.value().copied(),
        wall: limits.wall.value().copied(),
        attempts: limits.attempts.value().copied().unwrap_or(3),
        on_failure: on_failure.unwrap_or(OnFailure::Worst),
    }
}

/// A run needs something to try, and an evolution something to search.
fn check_plan_is_given(typed: &Typed<'_>, pipeline: Option<&PipelineDescription>, notes: &mut Notes<'_>) {
    let has_axes = typed.evolve.value().is_some_and(|e| !e.axes.is_absent());
    let cannot_evolve = pipeline.is_some_and(|p| p.genome.is_none()) && !has_axes;
    if typed.evolve.is_absent() && typed.sweep.is_absent() {
        let fix = if cannot_evolve {
            "add [sweep] with [sweep.axes] to lay out candidates, or [evolve] with [evolve.axes] to search settings"
        } else {
            "add [evolve] to search a vector, or [sweep] with [sweep.axes] to lay out candidates"
        };
        notes.report(&At::Nowhere, "", "neither [evolve] nor [sweep]: there is nothing to try", fix);
    }
    if let (Some(section), Some(pipeline), true) = (typed.evolve.written(), pipeline, cannot_evolve) {
        let message = format!("pipeline `{}` has no genome, so [evolve] has nothing to search", pipeline.name);
        notes.report(&section.at, "evolve", message, "add [evolve.axes] with the settings to search, or use [sweep]");
    }
}

/// The axes that are right, each with the place of its key, and the conditions of those that are there at some points
/// only.
fn axes(
    typed: &Typed<'_>,
    typed_axes: &[TypedAxis<'_>],
    pipeline: Option<&PipelineDescription>,
    found: Option<&Strategies>,
    all: &[StrategyDescription],
    notes: &mut Notes<'_>,
) -> (Vec<(Axis, At)>, Vec<Condition>) {
    let strategy_names: Vec<&str> = all.iter().map(|s| s.name).collect();
    let design = typed.sweep.value().and_then(|s| s.design.value());
    let strategies: Option<&[&'static StrategyDescription]> = match found {
        Some(found) => Some(&found.chosen),
        // A broken [evolve] still is one: its axes are not to blame.
        None if !typed.evolve.is_absent() => Some(&[]),
        None => None,
    };
    let sweepable = Sweepable {
        pipeline,
        strategies,
        strategies_known: found.is_some_and(|f| f.complete),
        strategy_names: &strategy_names,
        samples: design.and_then(|name| sweep::samples(name)),
        given: false,
    };
    let mut axes: Vec<(Axis, At)> = Vec::new();
    let (mut parameters, mut conditions) = (Vec::new(), Vec::new());
    for typed_axis in typed_axes {
        let Some(target) = sweepable.target(typed_axis, notes) else { continue };
        if let Some((_, first)) = axes.iter().find(|(axis, _)| axis.target == target.target) {
            let message = format!("axis `{}` is there twice, first at {}", typed_axis.name, notes.name_of(first));
            notes.report(&typed_axis.at, &typed_axis.path(), message, "remove one of the two");
            continue;
        }
        // What a section sets holds where a conditional axis is not there.
        let set_at = set_elsewhere(typed, &typed_axis.name, &target.target);
        if let Some(other) = set_at.filter(|_| !conditions::is_conditional(typed_axis)) {
            let section = if typed_axis.name.starts_with("evolve.") { "[evolve]" } else { "[config]" };
            let message =
                format!("`{}` is an axis, and {section} sets it at {}", typed_axis.name, notes.name_of(&other));
            notes.report(&typed_axis.at, &typed_axis.path(), message, "remove one of the two");
        }
        let Some(values) = sweepable.values(typed_axis, &target, notes) else { continue };
        let earlier: Vec<Earlier<'_>> =
            axes.iter().zip(&parameters).map(|((axis, _), parameter)| Earlier { axis, parameter }).collect();
        let condition = conditions::of(typed_axis, &target.target, &target.parameter, &earlier, typed_axes, notes);
        conditions.extend(condition);
        parameters.push(target.parameter);
        axes.push((Axis { name: typed_axis.name.clone(), target: target.target, values }, typed_axis.at.clone()));
    }
    (axes, conditions)
}

/// The axes of `[evolve.axes]` that are right, each with the place of its key.
fn evolved_axes(
    typed: &Typed<'_>,
    typed_axes: &[TypedAxis<'_>],
    pipeline: Option<&PipelineDescription>,
    (swept, given): (&[(Axis, At)], bool),
    notes: &mut Notes<'_>,
) -> Vec<(Axis, At)> {
    let section = typed.evolve.value().and_then(|e| e.axes.written());
    if let Some(section) = section.filter(|section| section.value.is_empty()) {
        let fix = "add an entry for each setting to search, such as `noise = { linear = [0.0, 0.5] }`, or remove it";
        notes.report(&section.at, "evolve.axes", "[evolve.axes] has no axes", fix);
    }
    let sweepable = Sweepable {
        pipeline,
        strategies: None,
        strategy_names: &[],
        strategies_known: true,
        samples: Some(true),
        given,
    };
    let mut axes: Vec<(Axis, At)> = Vec::new();
    for typed_axis in typed_axes {
        let (name, path) = (&typed_axis.name, typed_axis.path());
        if name.starts_with("evolve.") {
            let message = format!("`{name}` is a setting of the strategy, which [evolve] cannot search");
            notes.report(&typed_axis.at, &path, message, "put it in [sweep.axes], to run an evolution for each value");
            continue;
        }
        let Some(target) = sweepable.target(typed_axis, notes) else { continue };
        if let Some((_, first)) = axes.iter().chain(swept).find(|(axis, _)| axis.target == target.target) {
            let message = format!("axis `{name}` is there twice, first at {}", notes.name_of(first));
            notes.report(&typed_axis.at, &path, message, "remove one of the two");
            continue;
        }
        if let Some(other) = set_elsewhere(typed, name, &target.target) {
            let message = format!("`{name}` is searched, and [config] sets it at {}", notes.name_of(&other));
            notes.report(&typed_axis.at, &path, message, "remove one of the two");
        }
        let Some(values) = sweepable.values(typed_axis, &target, notes) else { continue };
        let axis = Axis { name: name.clone(), target: target.target, values };
        if let Err(error) = Space::try_new(std::slice::from_ref(&axis)) {
            let fix = match &error {
                SpaceError::OneValue { .. } => format!("set `{name}` in [config], or give several values"),
                _ => "give an interval, or fewer values".to_owned(),
            };
            notes.report(&typed_axis.at, &path, error.to_string(), fix);
            continue;
        }
        axes.push((axis, typed_axis.at.clone()));
    }
    axes
}

/// Where a section sets what is an axis as well.
fn set_elsewhere(typed: &Typed<'_>, name: &str, target: &AxisTarget) -> Option<At> {
    let evolve = typed.evolve.value();
    match target {
        AxisTarget::Parameter(_) => typed.config.value()?.get(name).map(|e| e.at.clone()),
        AxisTarget::Genome(_) => None,
        AxisTarget::Population => evolve?.population.written().map(|w| w.at.clone()),
        AxisTarget::Start => evolve?.start.written().map(|w| w.at.clone()),
        AxisTarget::Strategy => evolve?.strategy.written().map(|w| w.at.clone()),
        AxisTarget::StrategySetting(name) => evolve?.settings.iter().find(|e| e.name == *name).map(|e| e.at.clone()),
    }
}

/// Every column of the trials table has its own name.
fn check_columns(
    typed: &Typed<'_>,
    pipeline: Option<&PipelineDescription>,
    objective: Option<&Objective>,
    axes: &[(Axis, At)],
    evolved: &[(Axis, At)],
    notes: &mut Notes<'_>,
) {
    let Some(pipeline) = pipeline else { return };
    let metrics: Vec<String> = match (typed.evolve.is_absent() || typed.sweep.is_absent(), objective) {
        (false, Some(objective)) => pipeline.nested(objective).metrics.into_iter().map(|m| m.name).collect(),
        _ => pipeline.metrics.iter().map(|m| m.name.clone()).collect(),
    };
    if let Some(metric) = metrics.iter().find(|m| RESERVED_COLUMNS.contains(&m.as_str())) {
        let at = typed.pipeline.written().map_or(At::Nowhere, |w| w.at.clone());
        let message = format!("metric `{metric}` of `{}` has the name of a column that every table has", pipeline.name);
        notes.report(&at, "pipeline", message, "the pipeline must call its metric something else");
    }
    // What an evolution inside a trial searches has no columns.
    let evolved = if typed.sweep.is_absent() { evolved } else { &[] };
    let sections = [("sweep.axes", axes), ("evolve.axes", evolved)];
    for (section, (axis, at)) in sections.iter().flat_map(|(section, axes)| axes.iter().map(move |a| (section, a))) {
        let clash = if RESERVED_COLUMNS.contains(&axis.name.as_str()) {
            "a column that every table has"
        } else if pipeline.name == PROGRAM && is_of_exits(&axis.name) {
            "what is told of how the program ended"
        } else if metrics.contains(&axis.name) {
            "a metric"
        } else {
            continue;
        };
        let message = format!("axis `{}` would share its column with {clash}", axis.name);
        let fix = format!("set `{}` in [config] instead", axis.name);
        notes.report(at, &format!("{section}.{}", axis.name), message, fix);
    }
}

/// One value for each parameter: what is written, else the default, else the first value of its axis; `None` for one
/// whose problem is noted.
fn config(
    typed: &Typed<'_>,
    pipeline: Option<&PipelineDescription>,
    typed_axes: &[&TypedAxis<'_>],
    axes: &[(Axis, At)],
    notes: &mut Notes<'_>,
) -> Option<Vec<Option<Value>>> {
    let pipeline = pipeline?;
    let table = typed.config.value();
    for entry in table.map_or(&[][..], |t| &t.entries) {
        if pipeline.parameter_index(&entry.name).is_some() {
            continue;
        }
        let known: Vec<&str> = pipeline.parameters.iter().map(|p| p.name.as_str()).collect();
        let fix = keys::instead_of(&entry.name, "config", &known, None, strategies::all());
        let message = format!("unknown key `{}` in [config] of `{}`", entry.name, pipeline.name);
        notes.report(&entry.at, &format!("config.{}", entry.name), message, fix);
    }
    let mut values = Vec::with_capacity(pipeline.parameters.len());
    for (i, parameter) in pipeline.parameters.iter().enumerate() {
        let key = format!("config.{}", parameter.name);
        let written = table.and_then(|t| t.get(&parameter.name));
        let axis = axes.iter().find(|(axis, _)| axis.target == AxisTarget::Parameter(i));
        let is_swept = typed_axes.iter().any(|a| a.name == parameter.name);
        let value = match (written, &parameter.default, axis) {
            (Some(entry), _, _) => checked(&entry.node, parameter, &key, notes),
            // An axis that is itself wrong has its own problem, and its values are not known.
            (None, _, None) if is_swept => None,
            (None, Some(default), _) => Some(default.clone()),
            (None, None, Some((axis, _))) => first_of(&axis.values),
            (None, None, None) => {
                if !matches!(typed.config, Given::Broken) {
                    let at = typed.config.written().map_or(At::Nowhere, |w| w.at.clone());
                    let message = format!("missing `{}` in [config]", parameter.name);
                    notes.report(&at, &key, message, format!("for example `{}`", example(parameter)));
                }
                None
            }
        };
        values.push(value);
    }
    Some(values)
}

fn first_of(values: &AxisValues) -> Option<Value> {
    match values {
        AxisValues::List(values) => values.first().cloned(),
        AxisValues::Linear { from, .. } | AxisValues::Log { from, .. } => Some(Value::Float(*from)),
        AxisValues::Integers { from, .. } => Some(Value::Integer(*from)),
        AxisValues::Any(kind) => Some(if *kind == Kind::Integer { Value::Integer(0) } else { Value::Float(0.0) }),
    }
}

/// An element that is swept must be there in every candidate.
fn check_genome_axes(
    pipeline: &PipelineDescription,
    section: &str,
    axes: &[(Axis, At)],
    dimensions: Option<(u32, u32)>,
    notes: &mut Notes<'_>,
) {
    let (Some(genome), Some((fewest, _))) = (&pipeline.genome, dimensions) else { return };
    for (axis, at) in axes {
        if let AxisTarget::Genome(index) = axis.target
            && index >= fewest as usize
        {
            let message = format!("axis `{}` lies beyond a candidate of {fewest} elements", axis.name);
            let fix = match fewest {
                0 => "set the length of a candidate in [config]".to_owned(),
                _ => format!("the last element is `{}{}`", genome.name, fewest - 1),
            };
            notes.report(at, &format!("{section}.{}", axis.name), message, fix);
        }
    }
}
