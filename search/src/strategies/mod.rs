//! The shelf of strategies: one list, from which runs are checked, built and restored.
//!
//! To add a strategy, write its file and put it in `SHELF`; the suite at the end then runs on it as on the others.

mod ars;
mod cma_es;
mod csa_es;
mod cumulation;
mod differential_evolution;
mod eggroll;
mod eggroll_int8;
mod ending;
mod frame;
mod ga;
mod given;
mod lm_ma_es;
mod members;
mod memory;
mod meta_es;
mod one_plus_one;
mod open_ai_es;
mod optimiser;
mod pgpe;
mod pso;
mod random;
mod recombination;
mod rungs;
mod self_adaptive_es;
mod sep_cma_es;
mod snes;
#[cfg(test)]
mod suite;
mod tlbo;
mod tlbo_pso;
mod vectors;
mod xnes;
#[cfg(test)]
mod yardstick;

use std::sync::LazyLock;

pub use self::given::{GIVEN_CANDIDATES_MAX, GIVEN_NUMBERS_MAX, check_size as check_given_size};
pub use self::memory::Memory;
use self::memory::Numbers;
pub use self::rungs::{POINTS_MAX, rungs};
pub(crate) use self::rungs::{read_points, write_points};

use tumble_domain::nearest::nearest;
use tumble_domain::seed::Stream;
use tumble_domain::{Evolve, Kind, Parameter, Seed, Shape, Start, Value};

use crate::bounds::Bounds;
use crate::codec::{Reader, Writer};
use crate::grain::{Grain, GrainKind, all_real};
use crate::noise;
use crate::proposal::{DIMENSION_MAX, TENSORS_MAX};
use crate::space::BOUNDS;
use crate::strategy::{Problem, SnapshotError, StateHash, Strategy, StrategyDescription, StrategyError};

/// The version of snapshots.
const VERSION: u16 = 1;

/// The most candidates of a generation.
pub const POPULATION_MAX: u32 = 1 << 24;

/// A strategy on the shelf.
struct Entry {
    describe: fn() -> StrategyDescription,
    /// The population when the run file is silent.
    population: fn(dimension: usize, settings: &Settings) -> u32,
    /// What it holds for a dimension and a population.
    memory: fn(dimension: u64, population: u64, settings: &Settings) -> Numbers,
    build: fn(order: Order) -> Result<Box<dyn Strategy>, StrategyError>,
    restore: fn(from: &mut Reader<'_>) -> Result<Box<dyn Strategy>, SnapshotError>,
}

static SHELF: &[Entry] = &[
    cma_es::ENTRY,
    sep_cma_es::ENTRY,
    lm_ma_es::ENTRY,
    csa_es::ENTRY,
    one_plus_one::ENTRY,
    self_adaptive_es::ENTRY,
    meta_es::ENTRY,
    xnes::ENTRY,
    snes::ENTRY,
    open_ai_es::ENTRY,
    eggroll::ENTRY,
    eggroll_int8::ENTRY,
    pgpe::ENTRY,
    ars::ENTRY,
    ga::ENTRY,
    differential_evolution::ENTRY,
    pso::ENTRY,
    tlbo::ENTRY,
    tlbo_pso::ENTRY,
    random::ENTRY,
];

static DESCRIPTIONS: LazyLock<Vec<StrategyDescription>> =
    LazyLock::new(|| SHELF.iter().map(|entry| (entry.describe)()).collect());

static GIVEN_ENTRY: Entry = given::ENTRY;
static GIVEN_DESCRIPTION: LazyLock<StrategyDescription> = LazyLock::new(|| (given::ENTRY.describe)());

/// What a strategy is built from, checked.
struct Order {
    seed: Seed,
    population: u32,
    bounds: Option<Bounds>,
    /// The tensors that a candidate is made of; a candidate that is one vector has one.
    shapes: Vec<Shape>,
    /// The first centre, inside the bounds.
    start: Vec<f64>,
    /// Where the centre of a restart is drawn from; without it, every restart begins where the first run began.
    redraw: Option<(f64, f64)>,
    settings: Settings,
    /// How each element is divided; empty where all are real. Only kinds that the strategy searches.
    grains: Vec<Grain>,
}

/// What strategies search beside real coordinates, which all do. It stands here and not in the descriptions, for `build`
/// asks it before any strategy is asked, and most have nothing to say.
const BESIDE_REALS: &[(&str, &[GrainKind])] = &[
    ("cma-es", &[GrainKind::Integer]),
    ("ga", &[GrainKind::Integer, GrainKind::Category]),
    ("differential-evolution", &[GrainKind::Integer]),
    ("pso", &[GrainKind::Integer]),
    ("random", &[GrainKind::Integer, GrainKind::Category]),
];

/// The kinds of coordinates that the strategy of this name searches.
pub fn searches(name: &str) -> Vec<GrainKind> {
    let beside = BESIDE_REALS.iter().filter(|(strategy, _)| *strategy == name).flat_map(|(_, kinds)| *kinds);
    std::iter::once(GrainKind::Real).chain(beside.copied()).collect()
}

/// The strategies that search all of these kinds of coordinates.
pub fn searching(kinds: &[GrainKind]) -> Vec<&'static str> {
    let able = |name: &str| kinds.iter().all(|kind| searches(name).contains(kind));
    all().iter().map(|description| description.name).filter(|name| able(name)).collect()
}

/// Every strategy, in the order that help pages show them.
pub fn all() -> &'static [StrategyDescription] {
    &DESCRIPTIONS
}

/// What `strategy = "given"` is: it searches nothing, so it is none of [`all`].
pub fn given() -> &'static StrategyDescription {
    &GIVEN_DESCRIPTION
}

/// The strategy of this name.
pub fn describe(name: &str) -> Option<&'static StrategyDescription> {
    all().iter().chain([given()]).find(|description| description.name == name)
}

/// How many candidates a generation has when the run file is silent.
pub fn default_population(name: &str, dimension: usize, settings: &[(String, Value)]) -> Result<u32, StrategyError> {
    let (entry, description) = find(name)?;
    Ok((entry.population)(dimension, &Settings::try_new(description, settings)?))
}

/// Whether the strategy exists and its settings make sense, as far as that shows without the problem.
pub fn check(evolve: &Evolve) -> Result<(), StrategyError> {
    let (_, description) = find(&evolve.strategy)?;
    Settings::try_new(description, &evolve.settings).map(drop)
}

/// The strategy that a run file asks for, before its first generation.
pub fn build(evolve: &Evolve, problem: &Problem) -> Result<Box<dyn Strategy>, StrategyError> {
    let (entry, description) = find(&evolve.strategy)?;
    let settings = Settings::try_new(description, &evolve.settings)?;
    if problem.dimension == 0 || problem.dimension > DIMENSION_MAX {
        return Err(StrategyError::Setting(format!(
            "a candidate has {} numbers, but a strategy searches 1 to {DIMENSION_MAX}",
            problem.dimension
        )));
    }
    let population = evolve.population.unwrap_or_else(|| (entry.population)(problem.dimension, &settings));
    if population == 0 || population > POPULATION_MAX {
        return Err(StrategyError::Setting(format!(
            "`population` is {population}, but it must be 1 to {POPULATION_MAX}"
        )));
    }
    let bounds = problem.bounds.map(|(low, high)| Bounds::try_new(low, high)).transpose()?;
    let shapes = shapes(problem)?;
    let start = first_centre(problem, bounds)?;
    let redraw = match problem.start {
        Start::Uniform(low, high) => Some((low, high)),
        Start::Middle => problem.bounds,
        Start::Everywhere(_) | Start::At(_) => None,
    };
    let grains = divided(problem, description.name, &settings)?;
    (entry.build)(Order { seed: problem.seed, population, bounds, shapes, start, redraw, settings, grains })
}

/// Whether the strategy that a run file asks for takes candidates of so many numbers: those that keep points take a bounded
/// number of numbers in all. Nothing is built for it, however large the run is.
pub fn check_size(evolve: &Evolve, dimension: usize) -> Result<(), StrategyError> {
    let (entry, description) = find(&evolve.strategy)?;
    let settings = Settings::try_new(description, &evolve.settings)?;
    let population = evolve.population.unwrap_or_else(|| (entry.population)(dimension, &settings));
    match description.name {
        name if members::KEEPERS.contains(&name) => members::check_size(name, population, dimension),
        ga::NAME => ga::check_size(ga::parents_max(&settings, population), dimension),
        _ => Ok(()),
    }
}

/// How much memory the strategy that a run file asks for would take, without building it.
pub fn memory(evolve: &Evolve, dimension: usize) -> Result<Memory, StrategyError> {
    let (entry, description) = find(&evolve.strategy)?;
    let settings = Settings::try_new(description, &evolve.settings)?;
    let population = evolve.population.unwrap_or_else(|| (entry.population)(dimension, &settings));
    let (n, population) = (dimension.min(DIMENSION_MAX) as u64, population.min(POPULATION_MAX));
    Ok((entry.memory)(n, u64::from(population), &settings).bytes(n))
}

/// The strategy whose [`Strategy::snapshot`] these bytes are; it continues bit for bit.
pub fn restore(bytes: &[u8]) -> Result<Box<dyn Strategy>, SnapshotError> {
    let mut from = Reader::new(bytes);
    let version = from.u16()?;
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let Some(body) = bytes.len().checked_sub(16) else {
        return Err(SnapshotError::Damaged("it ends too early"));
    };
    if StateHash::of(&bytes[..body]).0 != bytes[body..] {
        return Err(SnapshotError::Damaged("its checksum is wrong"));
    }
    let mut from = Reader::new(&bytes[2..body]);
    let length = usize::from(from.u8()?);
    let name = from.raw(length)?;
    if name == rungs::NAME.as_bytes() {
        let strategy = rungs::restore(&mut from)?;
        from.end()?;
        return Ok(strategy);
    }
    let (entry, _) = std::str::from_utf8(name)
        .ok()
        .and_then(|name| find(name).ok())
        .ok_or(SnapshotError::Damaged("no strategy has its name"))?;
    let strategy = (entry.restore)(&mut from)?;
    from.end()?;
    Ok(strategy)
}

/// Begins the snapshot of the strategy `name`; the strategy writes its state, and [`seal`] ends it.
fn snapshot_of(name: &str) -> Writer {
    let mut out = Writer::default();
    out.u16(VERSION);
    out.u8(name.len() as u8);
    out.raw(name.as_bytes());
    out
}

/// Ends a snapshot with its checksum.
fn seal(out: Writer) -> Vec<u8> {
    let mut bytes = out.into_bytes();
    let checksum = StateHash::of(&bytes);
    bytes.extend_from_slice(&checksum.0);
    bytes
}

fn find(name: &str) -> Result<(&'static Entry, &'static StrategyDescription), StrategyError> {
    SHELF
        .iter()
        .zip(all())
        .chain([(&GIVEN_ENTRY, given())])
        .find(|(_, description)| description.name == name)
        .ok_or_else(|| StrategyError::Unknown(name.to_owned()))
}

/// The tensors of a candidate, at least one.
fn shapes(problem: &Problem) -> Result<Vec<Shape>, StrategyError> {
    let Problem { dimension, shapes, .. } = problem;
    if shapes.is_empty() {
        return Ok(vec![Shape::vector(*dimension as u32)]);
    }
    let elements = shapes.iter().map(|shape| shape.elements()).fold(0u64, u64::saturating_add);
    if elements == *dimension as u64 && shapes.len() <= TENSORS_MAX {
        return Ok(shapes.clone());
    }
    Err(StrategyError::Setting(format!(
        "a candidate has {dimension} numbers, but its {} tensors have {elements}: the pipeline's description is wrong",
        shapes.len()
    )))
}

/// The grains of a problem that has any but real ones, if the strategy can search them.
fn divided(problem: &Problem, strategy: &str, settings: &Settings) -> Result<Vec<Grain>, StrategyError> {
    if all_real(&problem.grains) {
        return Ok(Vec::new());
    }
    if problem.grains.len() != problem.dimension || problem.bounds != Some(BOUNDS) {
        return Err(StrategyError::Setting("divided coordinates lie between 0 and 1, each with its grain".into()));
    }
    let kinds: Vec<GrainKind> = problem.grains.iter().map(|grain| grain.kind()).collect();
    if let Some(kind) = kinds.iter().find(|kind| !searches(strategy).contains(kind)) {
        return Err(StrategyError::Grain {
            strategy: strategy.to_owned(),
            grain: kind.name(),
            able: searching(&kinds).join(", "),
        });
    }
    if kinds.contains(&GrainKind::Category) && settings.number("sigma").is_some() {
        return Err(StrategyError::Setting(
            "`sigma` is a distance from the start, and choices without an order have none: leave it out".into(),
        ));
    }
    Ok(problem.grains.clone())
}

/// The first centre, one number for each element.
fn first_centre(problem: &Problem, bounds: Option<Bounds>) -> Result<Vec<f64>, StrategyError> {
    let centre = match &problem.start {
        Start::Middle => vec![bounds.map_or(0.0, Bounds::middle); problem.dimension],
        Start::Everywhere(x) => vec![*x; problem.dimension],
        Start::At(numbers) if numbers.len() == problem.dimension => numbers.clone(),
        Start::Uniform(low, high) if low < high && (high - low).is_finite() => {
            drawn_centre(problem.seed, 0, (*low, *high), problem.dimension)
        }
        Start::Uniform(low, high) => {
            return Err(StrategyError::Setting(format!(
                "`start` is drawn from [{low:?}, {high:?}]: give the smaller number first, both finite"
            )));
        }
        Start::At(numbers) => {
            return Err(StrategyError::StartLength { given: numbers.len(), dimension: problem.dimension });
        }
    };
    for (i, x) in centre.iter().enumerate() {
        if !x.is_finite() {
            return Err(StrategyError::Setting(format!("`start` has {x:?} at element {i}: give a finite number")));
        }
        if let Some(bounds) = bounds
            && !bounds.contains(*x)
        {
            return Err(StrategyError::Setting(format!(
                "`start` has {x:?} at element {i}, outside the bounds [{:?}, {:?}]",
                bounds.low(),
                bounds.high()
            )));
        }
    }
    Ok(centre)
}

/// The tensor of drawn centres; the first members of a strategy that keeps members have lower ones.
const OF_CENTRES: u32 = 0xFF_FFFF;

/// The centre of restart `restart` (0 for the first run), drawn evenly from an interval.
fn drawn_centre(seed: Seed, restart: u32, (low, high): (f64, f64), dimension: usize) -> Vec<f64> {
    let mut centre = vec![0.0; dimension];
    noise::uniforms(seed, Stream::Init, OF_CENTRES, 0, restart, &mut centre);
    // Rounding may step over the upper end.
    centre.iter_mut().for_each(|x| *x = (low + (high - low) * *x).clamp(low, high));
    centre
}

/// The settings of one strategy: what the run file sets, else the default.
struct Settings {
    values: Vec<(String, Value)>,
}

impl Settings {
    /// Checks names, kinds, bounds and choices against the description.
    fn try_new(description: &StrategyDescription, given: &[(String, Value)]) -> Result<Settings, StrategyError> {
        let refuse = |text: String| Err(StrategyError::Setting(text));
        let mut values: Vec<(String, Value)> = description
            .parameters
            .iter()
            .filter_map(|parameter| parameter.default.clone().map(|value| (parameter.name.clone(), value)))
            .collect();
        for (name, value) in given {
            let Some(parameter) = description.parameters.iter().find(|p| p.name == *name) else {
                let known = description.parameters.iter().map(|p| p.name.as_str());
                let hint = nearest(name, known).map_or(String::new(), |meant| format!(": did you mean `{meant}`?"));
                return refuse(format!("the strategy `{}` has no setting `{name}`{hint}", description.name));
            };
            let Some(value) = value.coerced(parameter.kind) else {
                return refuse(format!(
                    "`{name}` takes a value of kind {}, but {value} is a {}",
                    parameter.kind.name(),
                    value.kind_name()
                ));
            };
            if let (Some((low, high)), Some(x)) = (parameter.bounds, value.as_f64())
                && !(low <= x && x <= high)
            {
                return refuse(format!("`{name}` is {value}, but it must be {low:?} to {high:?}"));
            }
            if let Some(word) = value.as_text()
                && !parameter.choices.is_empty()
                && !parameter.choices.iter().any(|choice| choice == word)
            {
                return refuse(format!("`{name}` is {value}, but it must be one of {}", parameter.choices.join(", ")));
            }
            values.retain(|(other, _)| other != name);
            values.push((name.clone(), value));
        }
        Ok(Settings { values })
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// A number, if it is set or has a default.
    fn number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Value::as_f64)
    }

    /// A number that has a default.
    fn default_number(&self, name: &str) -> f64 {
        self.number(name).expect("the description gives this setting a default")
    }

    /// A whole number that is not negative, if it is set or has a default.
    fn count(&self, name: &str) -> Option<u64> {
        self.number(name).map(|count| count as u64)
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).expect("the description gives this flag a default")
    }

    fn word(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_text).expect("the description gives this word a default")
    }
}

/// A number among a strategy's settings; `default: None` where the summary states a formula.
fn number(name: &str, default: Option<f64>, bounds: (f64, f64), summary: &str) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind: Kind::Float,
        unit: String::new(),
        default: default.map(Value::Float),
        bounds: Some(bounds),
        choices: Vec::new(),
        summary: summary.to_owned(),
    }
}

/// A whole number among a strategy's settings.
fn integer(name: &str, default: Option<i64>, bounds: (f64, f64), summary: &str) -> Parameter {
    Parameter { kind: Kind::Integer, default: default.map(Value::Integer), ..number(name, None, bounds, summary) }
}

/// A switch among a strategy's settings.
fn flag(name: &str, default: bool, summary: &str) -> Parameter {
    Parameter {
        kind: Kind::Boolean,
        default: Some(Value::Boolean(default)),
        bounds: None,
        ..number(name, None, (0.0, 0.0), summary)
    }
}

/// A word among a strategy's settings; the first choice is the default.
fn word(name: &str, choices: &[&str], summary: &str) -> Parameter {
    Parameter {
        kind: Kind::Text,
        default: choices.first().map(|choice| Value::text(choice)),
        bounds: None,
        choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
        ..number(name, None, (0.0, 0.0), summary)
    }
}

/// Step sizes that make sense.
const SIGMA_BOUNDS: (f64, f64) = (1e-100, 1e100);

/// 4 + ⌊3 ln n⌋, the population of CMA-ES for dimension n (Hansen, arXiv:1604.00772, table 1).
fn four_plus_three_ln(dimension: usize) -> u32 {
    4 + (3.0 * libm::log(dimension as f64)).floor() as u32
}
