//! A run as it was understood: every default filled in, every name resolved.

use std::time::Duration;

use crate::code::{Bundle, Code};
use crate::describe::Objective;
use crate::seed::Seed;
use crate::value::{Kind, Value};

/// What a user submits, validated. The run-file room makes it from TOML and writes it back as canonical TOML.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSpec {
    /// Lower-case letters, digits and `-`; part of the run's folder.
    pub name: String,
    /// Which pipeline evaluates.
    pub pipeline: String,
    /// The user's own code that evaluates; `None` for a pipeline that workers have built in.
    pub code: Option<Code>,
    /// The files that travel to workers with the run; `None` where nothing does.
    pub bundle: Option<Bundle>,
    /// The root of all randomness.
    pub seed: Seed,
    /// Trials for each candidate, each under its own seed; at least 1.
    pub replicates: u32,
    /// What steers.
    pub objective: Objective,
    /// One value for each parameter of the pipeline, in the description's order. A parameter that is an axis holds its
    /// default here.
    pub config: Vec<Value>,
    /// What is tried.
    pub plan: Plan,
    /// What bounds it.
    pub limits: Limits,
}

/// What a run tries: a population that evolves, a sweep, or an evolution at every point of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// A strategy proposes a population, generation after generation.
    Evolve(Evolve),
    /// A design lays out all candidates at once.
    Sweep(Sweep),
    /// Every point of the sweep is a whole evolution, run inside one trial.
    SweepOfEvolutions(Sweep, Evolve),
}

impl Plan {
    /// The sweep, if there is one.
    pub fn sweep(&self) -> Option<&Sweep> {
        match self {
            Plan::Evolve(_) => None,
            Plan::Sweep(sweep) | Plan::SweepOfEvolutions(sweep, _) => Some(sweep),
        }
    }

    /// How a sweep's candidates are stopped early, if they are. A sweep of evolutions has no rungs.
    pub fn stopping(&self) -> Option<&Stopping> {
        match self {
            Plan::Sweep(sweep) => sweep.stopping.as_ref(),
            Plan::Evolve(_) | Plan::SweepOfEvolutions(..) => None,
        }
    }

    /// Whether trials come generation after generation, each following from the fitness of the one before: an evolution,
    /// or a sweep with rungs, whose generations they are.
    pub fn has_generations(&self) -> bool {
        matches!(self, Plan::Evolve(_)) || self.stopping().is_some()
    }

    /// The names of what a worker reports of a trial in front of its metrics: the axes that an evolution searches, or
    /// which point of the design a trial of a rung is of.
    pub fn reported(&self) -> Vec<&str> {
        match self.stopping() {
            Some(_) => vec![CANDIDATE],
            None => self.evolved_axes().iter().map(|axis| axis.name.as_str()).collect(),
        }
    }

    /// Whether the candidates of each generation are given by a client; see [`GIVEN`].
    pub fn is_given(&self) -> bool {
        matches!(self, Plan::Evolve(evolve) if evolve.is_given())
    }

    /// The axes that an evolution searches and its table records. An evolution inside a trial records none of its own.
    pub fn evolved_axes(&self) -> &[Axis] {
        match self {
            Plan::Evolve(evolve) => &evolve.axes,
            Plan::Sweep(_) | Plan::SweepOfEvolutions(..) => &[],
        }
    }
}

impl RunSpec {
    /// Whether its table tells of each trial how its program ended: a whole evolution has many of them.
    pub fn tells_of_exits(&self) -> bool {
        matches!(self.code, Some(Code::Program(_))) && !matches!(self.plan, Plan::SweepOfEvolutions(..))
    }
}

/// The column that tells which point of its design a trial of a rung is of.
pub const CANDIDATE: &str = "candidate";

/// The strategy that proposes nothing: a client gives the candidates of each generation as they are, and is answered with
/// their outcomes.
pub const GIVEN: &str = "given";

/// The `[evolve]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Evolve {
    /// The strategy's name.
    pub strategy: String,
    /// Candidates in a generation. `None` only inside a sweep, where the strategy's formula decides at each point.
    pub population: Option<u32>,
    /// The most generations.
    pub generations: u32,
    /// The strategy's own parameters that the run file sets, by name, in the strategy's order. What is absent has the
    /// strategy's default (a `None` default is a formula of dimension and population).
    pub settings: Vec<(String, Value)>,
    /// The first centre.
    pub start: Start,
    /// What each trial's seed derives from.
    pub trial_seeds: TrialSeeds,
    /// When to stop before the last generation.
    pub stop: StopRule,
    /// What is searched, one coordinate for each axis; empty for the pipeline's genome.
    pub axes: Vec<Axis>,
}

impl Evolve {
    /// Whether a client gives the candidates.
    pub fn is_given(&self) -> bool {
        self.strategy == GIVEN
    }
}

/// The first centre of an evolution.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// The middle of the bounds, or 0 where there are none.
    Middle,
    /// The same number in every element.
    Everywhere(f64),
    /// One number for each element.
    At(Vec<f64>),
    /// Drawn evenly between these, each element for itself; another draw for each restart.
    Uniform(f64, f64),
}

/// What each trial's seed derives from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialSeeds {
    /// Generation, candidate and replicate: every trial has its own.
    Fresh,
    /// Generation and replicate: all candidates of a generation meet the same environments.
    PerGeneration,
    /// The replicate alone: the same environments throughout.
    Fixed,
}

impl TrialSeeds {
    /// The seed of one trial of a run whose root is `root`.
    pub fn seed(self, root: Seed, generation: u32, candidate: u64, replicate: u32) -> Seed {
        match self {
            TrialSeeds::Fresh => root.derive(generation, candidate, replicate),
            TrialSeeds::PerGeneration => root.derive(generation, 0, replicate),
            TrialSeeds::Fixed => root.derive(0, 0, replicate),
        }
    }
}

/// When an evolution stops before its last generation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StopRule {
    /// The objective's metric reached this value (at least, or at most when it is minimised).
    pub objective: Option<f64>,
    /// So many evaluations were spent: no generation begins after that.
    pub evaluations: Option<u64>,
}

/// The `[sweep]` section.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sweep {
    /// The design's name: `grid`, `random`, `latin-hypercube`, `sobol` or `list`.
    pub design: String,
    /// How many points a sampling design lays out. `None` for grid and list, whose axes say it.
    pub points: Option<u64>,
    /// What a sampling design makes its points good at, beyond what it is; `None` for nothing in particular.
    pub criterion: Option<Criterion>,
    /// The axes, in the order of the run file; in a grid the last one varies fastest.
    pub axes: Vec<Axis>,
    /// Which axes are there at some points only, by rising axis; at most one condition for each.
    pub conditions: Vec<Condition>,
    /// How candidates are stopped early; `None` where all are evaluated in full.
    pub stopping: Option<Stopping>,
}

/// The `[sweep.stopping]` section: every candidate is evaluated for the first rung's steps, those that a rule keeps for the
/// second's, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// Which candidates go on.
    pub rule: StoppingRule,
    /// The position of the pipeline's parameter that says how long a trial goes on.
    pub steps: usize,
    /// The values of that parameter, rising; at least one.
    pub rungs: Vec<i64>,
    /// About one in so many candidates goes on; at least 2.
    pub factor: u32,
}

/// A rule of early stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoppingRule {
    /// The best `1 / factor` of a rung go on, rounded up.
    SuccessiveHalving,
    /// A candidate goes on if it is among the best `1 / factor` of those up to itself, rounded down but at least 1.
    Asha,
    /// A candidate goes on if it is at least as good as the median of those before it; the first few always.
    Median,
}

/// What a sampling design makes its points good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// The closest two points are far apart.
    Maximin,
}

/// An axis that is there only where another one has certain values.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The position of the axis that is there at some points only.
    pub axis: usize,
    /// The position of the axis that decides: an earlier one, of listed values or integers.
    pub on: usize,
    /// The values of that axis at which this one is there; at least one.
    pub values: Vec<Value>,
}

/// One swept parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The name of its column.
    pub name: String,
    /// What it sets.
    pub target: AxisTarget,
    /// What it runs over.
    pub values: AxisValues,
}

/// What an axis sets.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisTarget {
    /// The pipeline's parameter at this position.
    Parameter(usize),
    /// This element of the candidate's vector; elements without an axis are 0.
    Genome(usize),
    /// A setting of the strategy (`evolve.<name>`), inside a sweep of evolutions.
    StrategySetting(String),
    /// `evolve.population`.
    Population,
    /// `evolve.strategy`.
    Strategy,
    /// `evolve.start`, the same number in every element.
    Start,
}

/// What an axis runs over.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisValues {
    /// These values, in this order; all of one kind.
    List(Vec<Value>),
    /// From `from` to `to`, both included, in equal steps; `points` is `None` where the design samples.
    Linear {
        /// The first value.
        from: f64,
        /// The last value.
        to: f64,
        /// How many values, at least 2.
        points: Option<u64>,
    },
    /// As `Linear`, in equal ratios; both ends positive.
    Log {
        /// The first value.
        from: f64,
        /// The last value.
        to: f64,
        /// How many values, at least 2.
        points: Option<u64>,
    },
    /// The whole numbers from `from` to `to`, both included.
    Integers {
        /// The first value.
        from: i64,
        /// The last value.
        to: i64,
    },
    /// Whatever is given, of this kind: real numbers or whole ones. Only where candidates are [`GIVEN`].
    Any(Kind),
}

impl AxisValues {
    /// How many values there are; `None` for an interval without points, which only a sampling design takes, and for
    /// whatever is given.
    pub fn len(&self) -> Option<u64> {
        match self {
            AxisValues::List(values) => Some(values.len() as u64),
            AxisValues::Linear { points, .. } | AxisValues::Log { points, .. } => *points,
            AxisValues::Integers { from, to } => Some(to.abs_diff(*from).saturating_add(1)),
            AxisValues::Any(_) => None,
        }
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }
}

/// The `[limits]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The longest a single trial may take.
    pub timeout: Option<Duration>,
    /// The longest the run may take before it stops as if interrupted.
    pub wall: Option<Duration>,
    /// How many workers a trial may take down before it is recorded as failed.
    pub attempts: u32,
    /// What a failed trial counts as.
    pub on_failure: OnFailure,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { timeout: None, wall: None, attempts: 3, on_failure: OnFailure::Worst }
    }
}

/// What a failed trial, or one whose objective is not a finite number, counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Worse than every scored candidate.
    Worst,
    /// As if never asked.
    Drop,
    /// The run stops.
    Abort,
}
