//! The `[evolve]` section: which strategies run, with which settings, and whether they can be built at all.

use tumble_domain::{
    Axis, AxisTarget, AxisValues, Condition, Evolve, Extent, GIVEN, GenomeLength, Kind, PipelineDescription, Seed,
    Start, StopRule, TrialSeeds, Value,
};
use tumble_search::proposal::DIMENSION_MAX;
use tumble_search::{Grain, GrainKind, Problem, StrategyDescription, StrategyError, strategies};

use crate::keys;
use crate::problem::{At, Notes};
use crate::settings::checked;
use crate::tree::Item;
use crate::typed::{Given, TypedAxis, TypedEvolve, TypedStart, Written};
use crate::wording::{bound, instead_of, one_of, range};
use crate::words::{TRIAL_SEEDS, word_of};

/// The strategies that `[evolve]` names: one, or those along the axis `evolve.strategy`.
pub(crate) struct Strategies {
    /// Those that are known, in the order of the file.
    pub(crate) chosen: Vec<&'static StrategyDescription>,
    /// Whether an axis names them.
    pub(crate) is_axis: bool,
    /// Whether every name was known, so that a setting can be held against them.
    pub(crate) complete: bool,
}

impl Strategies {
    /// Whether a client gives the candidates.
    pub(crate) fn are_given(&self) -> bool {
        self.chosen.iter().any(|strategy| strategy.name == GIVEN)
    }
}

/// The section once everything but its axes is understood.
pub(crate) struct Meant {
    pub(crate) evolve: Evolve,
    /// Where each setting of `[evolve]` stands, for problems that only building a strategy brings out.
    places: Vec<(String, At)>,
    /// Where the strategy stands, for those that concern no setting.
    strategy_at: At,
}

/// The strategies of this section.
pub(crate) fn strategies_of(
    section: &Written<TypedEvolve<'_>>,
    axis: Option<&TypedAxis<'_>>,
    all: &'static [StrategyDescription],
    notes: &mut Notes<'_>,
) -> Strategies {
    let names: Vec<&str> = all.iter().map(|s| s.name).collect();
    let mut found = Strategies { chosen: Vec::new(), is_axis: axis.is_some(), complete: true };
    match (&section.value.strategy, axis) {
        (Given::Written(written), _) => match strategies::describe(&written.value) {
            Some(strategy) => found.chosen.push(strategy),
            None => {
                let message = format!("unknown strategy `{}`", written.value);
                notes.report(&written.at, "evolve.strategy", message, instead_of(&written.value, &names));
            }
        },
        (Given::Broken, _) => {}
        (Given::Absent, Some(axis)) => {
            let words: Vec<&Item> = match &axis.node.item {
                Item::List(items) => items.iter().map(|node| &node.item).collect(),
                item => vec![item],
            };
            // What is no word or no strategy is told when the values of the axis are checked.
            let named = words.iter().map(|item| match item {
                Item::Text(word) => all.iter().find(|s| s.name == *word),
                _ => None,
            });
            for strategy in named {
                match strategy {
                    Some(strategy) => found.chosen.push(strategy),
                    None => found.complete = false,
                }
            }
        }
        (Given::Absent, None) => {
            notes.report(&section.at, "evolve.strategy", "missing `strategy` in [evolve]", one_of(&names));
        }
    }
    found.complete &= !found.chosen.is_empty();
    found
}

/// What the section says, apart from its axes; these only decide which settings are left to them.
pub(crate) fn meant(
    section: &Written<TypedEvolve<'_>>,
    found: &Strategies,
    axes: &[Axis],
    all: &'static [StrategyDescription],
    pipeline: Option<&PipelineDescription>,
    notes: &mut Notes<'_>,
) -> Meant {
    let typed = &section.value;
    let mut places = Vec::new();
    let settings = settings(typed, found, axes, all, pipeline, &mut places, notes);
    let start = match typed.start.value() {
        None => Start::Middle,
        Some(TypedStart::Everywhere(x)) => Start::Everywhere(*x),
        Some(TypedStart::At(numbers)) => Start::At(numbers.iter().map(|n| n.value).collect()),
        Some(TypedStart::Uniform([low, high])) => Start::Uniform(low.value, high.value),
    };
    if let Some(written) = typed.population.written() {
        places.push(("population".to_owned(), written.at.clone()));
    }
    let strategy_at = typed.strategy.written().map_or_else(|| section.at.clone(), |w| w.at.clone());
    let trial_seeds = match typed.trial_seeds.written() {
        None => TrialSeeds::Fresh,
        Some(written) => {
            word_of(written, "trial_seeds", "evolve.trial_seeds", &TRIAL_SEEDS, notes).unwrap_or(TrialSeeds::Fresh)
        }
    };
    let evolve = Evolve {
        strategy: found.chosen.first().map_or_else(String::new, |s| s.name.to_owned()),
        population: typed.population.value().copied(),
        generations: typed.generations.value().copied().unwrap_or(match found.are_given() {
            true => GENERATIONS_GIVEN,
            false => GENERATIONS_DEFAULT,
        }),
        settings,
        start,
        trial_seeds,
        stop: StopRule {
            objective: typed.stop_objective.value().copied(),
            evaluations: typed.stop_evaluations.value().copied(),
        },
        axes: Vec::new(),
    };
    Meant { evolve, places, strategy_at }
}

/// What holds when `generations` is absent.
const GENERATIONS_DEFAULT: u32 = 1000;

/// The same where a client gives candidates, who knows when it has enough.
const GENERATIONS_GIVEN: u32 = 1_000_000;

/// The settings that hold: those written, and with a single strategy every concrete default beside them. Along an axis
/// of strategies each has its own defaults, so there only what is written is kept.
fn settings(
    typed: &TypedEvolve<'_>,
    found: &Strategies,
    axes: &[Axis],
    all: &'static [StrategyDescription],
    pipeline: Option<&PipelineDescription>,
    places: &mut Vec<(String, At)>,
    notes: &mut Notes<'_>,
) -> Vec<(String, Value)> {
    let mut written = Vec::new();
    for entry in &typed.settings {
        let path = format!("evolve.{}", entry.name);
        // With a strategy that is not known, only a name that no strategy knows is sure to be wrong.
        let candidates = if found.complete { found.chosen.clone() } else { all.iter().collect() };
        let of = |s: &StrategyDescription| s.parameters.iter().find(|p| p.name == entry.name).cloned();
        let Some(parameter) = candidates.iter().find_map(|s| of(s)) else {
            unknown_setting(entry.name.as_str(), &entry.at, &candidates, pipeline, notes);
            continue;
        };
        if !found.complete {
            continue;
        }
        if let Some(stranger) = found.chosen.iter().find(|s| of(s).is_none()) {
            let message =
                format!("`{}` is no setting of `{}`, which `evolve.strategy` lists", entry.name, stranger.name);
            notes.report(&entry.at, &path, message, "remove it, or that strategy");
            continue;
        }
        places.push((entry.name.clone(), entry.node.at.clone()));
        if let Some(value) = checked(&entry.node, &parameter, &path, notes) {
            written.push((entry.name.clone(), value));
        }
    }
    let Some(first) = found.chosen.first() else { return Vec::new() };
    let is_axis = |name: &str| axes.iter().any(|a| a.target == AxisTarget::StrategySetting(name.to_owned()));
    let settings = first.parameters.iter().filter_map(|parameter| {
        let given = written.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| value.clone());
        let default = parameter.default.clone().filter(|_| !found.is_axis && !is_axis(&parameter.name));
        given.or(default).map(|value| (parameter.name.clone(), value))
    });
    settings.collect()
}

fn unknown_setting(
    name: &str,
    at: &At,
    candidates: &[&StrategyDescription],
    pipeline: Option<&PipelineDescription>,
    notes: &mut Notes<'_>,
) {
    let mut known = keys::names("evolve");
    for parameter in candidates.iter().flat_map(|s| &s.parameters) {
        if !known.contains(&parameter.name.as_str()) {
            known.push(&parameter.name);
        }
    }
    let fix = keys::instead_of(name, "evolve", &known, pipeline, &[]);
    notes.report(at, &format!("evolve.{name}"), format!("unknown key `{name}` in [evolve]"), fix);
}

/// The fewest and the most elements that a candidate has anywhere in the run; `None` where the pipeline has no genome or
/// its length is not known. `config` has a value for each parameter that is right.
pub(crate) fn dimensions(
    pipeline: &PipelineDescription,
    config: &[Option<Value>],
    axes: &[Axis],
    conditions: &[Condition],
) -> Option<(u32, u32)> {
    match &pipeline.genome.as_ref()?.length {
        GenomeLength::Fixed(length) => Some((*length, *length)),
        GenomeLength::Parameter(name) => lengths(name, pipeline, config, axes, conditions),
        GenomeLength::Tensors(tensors) => {
            let extent = |extent: &Extent| match extent {
                Extent::Fixed(length) => Some((*length, *length)),
                Extent::Parameter(name) => lengths(name, pipeline, config, axes, conditions),
            };
            // More of any extent is more of the whole, so the ends of the parts are those of the sum.
            let (mut fewest, mut most) = (0u32, 0u32);
            for tensor in tensors {
                let (rows, columns) = (extent(&tensor.rows)?, extent(&tensor.columns)?);
                fewest = fewest.saturating_add(rows.0.saturating_mul(columns.0));
                most = most.saturating_add(rows.1.saturating_mul(columns.1));
            }
            Some((fewest, most))
        }
    }
}

/// The least and the most that an integer parameter is anywhere in the run, as a length.
fn lengths(
    name: &str,
    pipeline: &PipelineDescription,
    config: &[Option<Value>],
    axes: &[Axis],
    conditions: &[Condition],
) -> Option<(u32, u32)> {
    let index = pipeline.parameter_index(name)?;
    let position = axes.iter().position(|a| a.target == AxisTarget::Parameter(index));
    let axis = position.map(|position| &axes[position]);
    let mut lengths: Vec<i64> = match axis.map(|axis| &axis.values) {
        None => config[index].iter().filter_map(Value::as_i64).collect(),
        Some(AxisValues::List(values)) => values.iter().filter_map(Value::as_i64).collect(),
        Some(AxisValues::Integers { from, to }) => vec![*from, *to],
        Some(AxisValues::Linear { .. } | AxisValues::Log { .. } | AxisValues::Any(_)) => Vec::new(),
    };
    // Where the axis is not there, the default holds.
    if conditions.iter().any(|condition| Some(condition.axis) == position) {
        lengths.extend(config[index].iter().filter_map(Value::as_i64));
    }
    let inside = |n: &i64| u32::try_from(*n).unwrap_or(if *n < 0 { 0 } else { u32::MAX });
    Some((inside(lengths.iter().min()?), inside(lengths.iter().max()?)))
}

/// Whether a candidate has as many elements as a strategy can search.
pub(crate) fn check_dimensions(
    (fewest, most): (u32, u32),
    pipeline: &PipelineDescription,
    at: &At,
    notes: &mut Notes<'_>,
) -> bool {
    let (message, fix) = if fewest == 0 {
        ("no elements, so [evolve] has nothing to search".to_owned(), "at least 1".to_owned())
    } else if most as usize > DIMENSION_MAX {
        (format!("{most} elements, more than any strategy searches"), format!("at most {DIMENSION_MAX}"))
    } else {
        return true;
    };
    let message = format!("a candidate of `{}` has {message}", pipeline.name);
    notes.report(at, "evolve", message, format!("set the length of a candidate in [config] to {fix}"));
    false
}

/// Holds the first centre against the genome.
pub(crate) fn check_start(
    start: &Given<TypedStart>,
    dimensions: (u32, u32),
    bounds: Option<(f64, f64)>,
    notes: &mut Notes<'_>,
) {
    let Some(written) = start.written() else { return };
    let numbers = match &written.value {
        TypedStart::Everywhere(x) => vec![Written { at: written.at.clone(), value: *x }],
        TypedStart::Uniform(ends) => ends.to_vec(),
        TypedStart::At(numbers) => {
            let (fewest, most) = dimensions;
            let given = numbers.len();
            if given != fewest as usize || given != most as usize {
                let wanted = if fewest == most { fewest.to_string() } else { format!("{fewest} to {most}") };
                let message = format!("`start` has {given} numbers, but a candidate has {wanted}");
                let fix = "write one number for each element, or a single number for all";
                notes.report(&written.at, "evolve.start", message, fix);
                return;
            }
            numbers.clone()
        }
    };
    let Some((low, high)) = bounds else { return };
    for number in numbers.iter().filter(|n| !(low <= n.value && n.value <= high)) {
        let kind = Kind::Float;
        let message = format!("`start` is out of bounds: {}", bound(number.value, kind));
        notes.report(&number.at, "evolve.start", message, format!("write a value {}", range((low, high), kind)));
    }
}

/// What a client gives begins nowhere.
pub(crate) fn check_no_start(start: &Given<TypedStart>, notes: &mut Notes<'_>) {
    if let Some(written) = start.written() {
        let message = "`start` has no meaning with `given`: a client gives all candidates";
        notes.report(&written.at, "evolve.start", message, "remove it");
    }
}

/// The longest candidate, and the most numbers of a population, that are built only to see whether they can be: a check
/// of a run file stays small, however large the run.
const BUILD_DIMENSION_MAX: u32 = 1 << 20;
const BUILD_NUMBERS_MAX: u32 = 1 << 22;

/// Builds every strategy of the section once with each value of each axis (the other axes at their first value), and
/// notes what the strategy itself finds wrong with its settings.
#[allow(
    clippy::too_many_arguments,
    reason = "they are what was understood of the section, and one caller has them all"
)]
pub(crate) fn check_builds(
    meant: &Meant,
    found: &Strategies,
    axes: &[(Axis, At)],
    conditions: &[Condition],
    evolved: &[(Axis, At)],
    (dimension, bounds): (u32, Option<(f64, f64)>),
    notes: &mut Notes<'_>,
) {
    if let (true, Some(strategy)) = (found.are_given(), found.chosen.first()) {
        // Nothing is drawn, so nothing is built: what counts is how much may be given at once.
        let population = u64::from(meant.evolve.population.unwrap_or(1));
        if let Err(why) = strategies::check_given_size(population, dimension as usize) {
            report_build(meant, strategy, &[], &StrategyError::Setting(why), notes);
        }
        return;
    }
    // The start was checked before, and its length may be another than the dimension built here.
    let (whole, dimension) = (dimension as usize, dimension.min(BUILD_DIMENSION_MAX) as usize);
    let grains: Vec<Grain> = evolved.iter().map(|(axis, _)| Grain::of(&axis.values)).collect();
    // As one vector: what a strategy wants of tensors is right for any genome.
    let problem = |evolve: &Evolve| Problem {
        dimension,
        shapes: Vec::new(),
        bounds,
        start: evolve.start.clone(),
        seed: Seed(0),
        grains: grains.clone(),
    };
    for strategy in &found.chosen {
        if !check_grains(strategy, evolved, notes) {
            continue;
        }
        let mut first = Evolve { strategy: strategy.name.to_owned(), start: Start::Middle, ..meant.evolve.clone() };
        let axes: Vec<&(Axis, At)> = (0..axes.len())
            .filter(|position| is_there_for(*position, strategy.name, axes, conditions))
            .map(|position| &axes[position])
            .collect();
        for (axis, _) in &axes {
            if let Some(value) = samples(&axis.values).first() {
                set(&mut first, axis, value);
            }
        }
        if let Err(error) = build(&first, &problem(&first), whole) {
            report_build(meant, strategy, &axes, &error, notes);
            continue;
        }
        // One axis at a time: what only a combination breaks is left to the trial that meets it.
        for (axis, at) in axes {
            for value in samples(&axis.values) {
                let mut evolve = first.clone();
                set(&mut evolve, axis, &value);
                if let Err(error) = build(&evolve, &problem(&evolve), whole) {
                    let message = format!("axis `{}` at {value}: {error}", axis.name);
                    notes.report(at, &format!("sweep.axes.{}", axis.name), message, "remove that value from the axis");
                    break;
                }
            }
        }
    }
}

/// Whether an axis is there for a strategy, as far as its own condition speaks of strategies.
fn is_there_for(position: usize, strategy: &str, axes: &[(Axis, At)], conditions: &[Condition]) -> bool {
    let condition = conditions.iter().find(|condition| condition.axis == position);
    condition.is_none_or(|condition| {
        axes[condition.on].0.target != AxisTarget::Strategy
            || condition.values.iter().any(|value| value.as_text() == Some(strategy))
    })
}

/// Whether a strategy can search all of these axes; notes the first that it cannot.
fn check_grains(strategy: &StrategyDescription, evolved: &[(Axis, At)], notes: &mut Notes<'_>) -> bool {
    let grains: Vec<Grain> = evolved.iter().map(|(axis, _)| Grain::of(&axis.values)).collect();
    let kinds: Vec<GrainKind> = grains.iter().map(|grain| grain.kind()).collect();
    let known = strategies::searches(strategy.name);
    let Some(i) = kinds.iter().position(|kind| !known.contains(kind)) else { return true };
    let (axis, at) = &evolved[i];
    let what = match grains[i] {
        Grain::Category { choices } => format!("whose {choices} words have no order"),
        grain => format!("which has {} steps", grain.cells().unwrap_or(0)),
    };
    let message = format!("`{}` does not search axis `{}`, {what}", strategy.name, axis.name);
    let able = strategies::searching(&kinds).join("`, `");
    let fix = format!("take a strategy that searches all axes, of `{able}`, or remove the axis");
    notes.report(at, &format!("evolve.axes.{}", axis.name), message, fix);
    false
}

/// Gives one value of an axis to the evolution, as a trial at that point of the sweep does.
fn set(evolve: &mut Evolve, axis: &Axis, value: &Value) {
    match &axis.target {
        AxisTarget::Population => evolve.population = value.as_i64().and_then(|n| u32::try_from(n).ok()),
        AxisTarget::StrategySetting(name) => {
            evolve.settings.retain(|(known, _)| known != name);
            evolve.settings.push((name.clone(), value.clone()));
        }
        AxisTarget::Start => evolve.start = value.as_f64().map_or(Start::Middle, Start::Everywhere),
        // Strategies are tried one by one; the rest is no concern of theirs.
        AxisTarget::Strategy | AxisTarget::Parameter(_) | AxisTarget::Genome(_) => {}
    }
}

/// `dimension` is that of the run; what is built may be smaller.
fn build(evolve: &Evolve, problem: &Problem, dimension: usize) -> Result<(), StrategyError> {
    strategies::check_size(evolve, dimension)?;
    let most = (BUILD_NUMBERS_MAX / problem.dimension as u32).max(16);
    // The same remainder by 4, for strategies that want pairs.
    let population = evolve.population.map(|n| if n > most { most / 4 * 4 + n % 4 } else { n });
    strategies::build(&Evolve { population, ..evolve.clone() }, problem).map(drop)
}

/// The values of an axis that are tried: the first of a list, or the ends.
fn samples(values: &AxisValues) -> Vec<Value> {
    const VALUES_TRIED_MAX: usize = 64;
    match values {
        AxisValues::List(values) => values.iter().take(VALUES_TRIED_MAX).cloned().collect(),
        AxisValues::Linear { from, to, .. } | AxisValues::Log { from, to, .. } => {
            vec![Value::Float(*from), Value::Float(*to)]
        }
        AxisValues::Integers { from, to } => vec![Value::Integer(*from), Value::Integer(*to)],
        AxisValues::Any(_) => Vec::new(),
    }
}

/// Puts what a strategy says to the key that it names.
fn report_build(
    meant: &Meant,
    strategy: &StrategyDescription,
    axes: &[&(Axis, At)],
    error: &StrategyError,
    notes: &mut Notes<'_>,
) {
    let message = error.to_string();
    let names = |name: &str| message.contains(&format!("`{name}`")) || message.contains(&format!("`{name} "));
    let axis = axes.iter().find(|(axis, _)| axis.name.strip_prefix("evolve.").is_some_and(names));
    let (key, at) = match (meant.places.iter().find(|(name, _)| names(name)), axis) {
        (Some((name, at)), _) => (format!("evolve.{name}"), at),
        (None, Some((axis, at))) => (format!("sweep.axes.{}", axis.name), at),
        (None, None) => ("evolve.strategy".to_owned(), &meant.strategy_at),
    };
    let fix = format!("`tumble strategies {}` lists what it takes", strategy.name);
    notes.report(at, &key, message, fix);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tumble_domain::{Direction, Genome, Metric, Objective, Parameter, Tensor};

    fn layers() -> PipelineDescription {
        let units = Parameter {
            name: "units".into(),
            kind: Kind::Integer,
            unit: String::new(),
            default: Some(Value::Integer(4)),
            bounds: None,
            choices: Vec::new(),
            summary: String::new(),
        };
        let tensor = |rows, columns| Tensor { name: "w".into(), rows, columns };
        let units_of = || Extent::Parameter("units".into());
        let tensors = vec![tensor(Extent::Fixed(7), units_of()), tensor(units_of(), units_of())];
        PipelineDescription {
            name: "layers".into(),
            version: 1,
            summary: String::new(),
            source: String::new(),
            parameters: vec![units],
            metrics: vec![Metric { name: "loss".into(), unit: String::new(), summary: String::new() }],
            objective: Objective { metric: "loss".into(), direction: Direction::Minimise },
            prolongs: None,
            genome: Some(Genome {
                name: "w".into(),
                length: GenomeLength::Tensors(tensors),
                bounds: None,
                summary: String::new(),
            }),
        }
    }

    #[test]
    fn a_genome_of_tensors_is_as_long_as_all_of_them_wherever_a_sweep_takes_them() {
        let of = |value, axes: &[Axis]| dimensions(&layers(), &[value], axes, &[]);
        let axis = |values| [Axis { name: "units".into(), target: AxisTarget::Parameter(0), values }];
        assert_eq!(of(Some(Value::Integer(4)), &[]), Some((28 + 16, 28 + 16)));
        let listed = axis(AxisValues::List(vec![Value::Integer(5), Value::Integer(2), Value::Integer(3)]));
        assert_eq!(of(None, &listed), Some((14 + 4, 35 + 25)));
        assert_eq!(of(None, &axis(AxisValues::Integers { from: 0, to: 1 << 40 })), Some((0, u32::MAX)));
        assert_eq!(of(None, &[]), None);
    }
}
