//! Whether an evolution fits in memory: what it needs where, and which strategies would need less.

use std::fmt;

use tumble_domain::{AxisTarget, Evolve, PipelineDescription, Plan, RunSpec, Value};

use crate::designs::Design;
use crate::strategies::{self, Memory};

/// The most points of a sweep of evolutions that are looked at; of more, as many that lie evenly among them.
const POINTS_MAX: u64 = 4096;

/// For long candidates, in the order in which they are recommended: what they need grows no faster than n ln n.
const FOR_LONG_CANDIDATES: [&str; 7] = ["sep-cma-es", "lm-ma-es", "snes", "pgpe", "open-ai-es", "csa-es", "ars"];

/// Where memory is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a coordinator.
    Coordinator,
    /// In a worker process.
    Worker {
        /// Shards it evaluates at once.
        slots: u64,
    },
    /// On a machine that runs a coordinator and workers of one slot.
    Machine {
        /// How many.
        workers: u64,
    },
}

/// What the evolution of a run needs, or the largest of a sweep of evolutions.
#[derive(Clone, Debug)]
pub struct Need {
    evolve: Evolve,
    dimension: usize,
    /// Inside a trial, where the worker holds the strategy itself.
    nested: bool,
    memory: Memory,
}

/// Why an evolution does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TooLarge(String);

impl Need {
    /// What a run needs; `None` for a sweep without a strategy, which needs next to nothing, and for what cannot be built.
    pub fn of(spec: &RunSpec, pipeline: &PipelineDescription) -> Option<Need> {
        let need = |evolve: Evolve, settings: &[Value], nested| {
            let dimension = pipeline.dimension(settings) as usize;
            let memory = strategies::memory(&evolve, dimension).ok()?;
            Some(Need { evolve, dimension, nested, memory })
        };
        match &spec.plan {
            Plan::Sweep(_) => None,
            Plan::Evolve(evolve) => need(evolve.clone(), &spec.config, false),
            Plan::SweepOfEvolutions(sweep, evolve) => {
                let design = Design::try_new(sweep, spec.seed).ok()?;
                let last = design.points().checked_sub(1)?;
                let looked_at = design.points().min(POINTS_MAX);
                let point = |i: u64| {
                    if looked_at == 1 {
                        0
                    } else {
                        (u128::from(last) * u128::from(i) / u128::from(looked_at - 1)) as u64
                    }
                };
                (0..looked_at)
                    .filter_map(|i| {
                        let (mut evolve, mut settings) = (evolve.clone(), spec.config.clone());
                        for (axis, description) in sweep.axes.iter().enumerate() {
                            if let Some(value) = design.value(point(i), axis) {
                                set(&mut evolve, &mut settings, &description.target, value);
                            }
                        }
                        need(evolve, &settings, true)
                    })
                    .reduce(|a, b| if b.memory.nested() > a.memory.nested() { b } else { a })
            }
        }
    }

    /// How many bytes it needs there at most.
    pub fn bytes(&self, place: Place) -> u64 {
        let inside = |slots: u64| self.memory.nested().saturating_mul(slots);
        match (place, self.nested) {
            (Place::Coordinator, false) => self.memory.coordinator(),
            (Place::Coordinator, true) => 0,
            (Place::Worker { slots }, false) => self.memory.worker(slots),
            (Place::Worker { slots }, true) => inside(slots),
            (Place::Machine { workers }, false) => {
                self.memory.coordinator().saturating_add(self.memory.worker(1).saturating_mul(workers))
            }
            (Place::Machine { workers }, true) => inside(workers),
        }
    }

    /// Whether it fits there; if not, why, and what would.
    pub fn check(&self, place: Place, limit: u64) -> Result<(), TooLarge> {
        let bytes = self.bytes(place);
        if bytes <= limit {
            return Ok(());
        }
        let would_fit: Vec<String> = FOR_LONG_CANDIDATES
            .into_iter()
            .filter(|name| *name != self.evolve.strategy)
            .filter(|name| {
                let other =
                    Evolve { strategy: (*name).to_owned(), settings: vec![], population: None, ..self.evolve.clone() };
                let memory = strategies::memory(&other, self.dimension);
                memory.is_ok_and(|memory| Need { memory, ..self.clone() }.bytes(place) <= limit)
            })
            .map(|name| format!("`{name}`"))
            .collect();
        let advice = match would_fit.as_slice() {
            [] => {
                "no strategy for so long a candidate would fit: make it shorter, or allow more with --memory".to_owned()
            }
            names => format!("{} would fit, with its own population, or allow more with --memory", names.join(", ")),
        };
        let population = self.evolve.population.map_or(String::new(), |n| format!(" and a population of {n}"));
        Err(TooLarge(format!(
            "`{}` needs about {} {place} for candidates of {} numbers{population}, but {} is the limit: {advice}",
            self.evolve.strategy,
            size(bytes),
            self.dimension,
            size(limit),
        )))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Coordinator => write!(f, "in the coordinator"),
            Place::Worker { slots } => write!(f, "in a worker with {slots} slots"),
            Place::Machine { workers } => write!(f, "on a machine with {workers} workers"),
        }
    }
}

/// Gives one value of an axis to an evolution within a trial.
fn set(evolve: &mut Evolve, settings: &mut [Value], target: &AxisTarget, value: Value) {
    match target {
        AxisTarget::Parameter(index) => settings[*index] = value,
        AxisTarget::Genome(_) | AxisTarget::Start => {}
        AxisTarget::Strategy => evolve.strategy = value.as_text().unwrap_or_default().to_owned(),
        AxisTarget::Population => evolve.population = value.as_i64().and_then(|n| u32::try_from(n).ok()),
        AxisTarget::StrategySetting(name) => {
            evolve.settings.retain(|(known, _)| known != name);
            evolve.settings.push((name.clone(), value));
        }
    }
}

/// A size as people read it.
fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..1e6 => format!("{:.1} kB", bytes / 1e3),
        1e6..1e9 => format!("{:.1} MB", bytes / 1e6),
        1e9..1e15 => format!("{:.1} GB", bytes / 1e9),
        _ => "more than a petabyte".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tumble_domain::{Start, StopRule, TrialSeeds};

    fn need(strategy: &str, dimension: usize, population: Option<u32>, nested: bool) -> Need {
        let evolve = Evolve {
            strategy: strategy.to_owned(),
            population,
            generations: 1,
            settings: vec![],
            start: Start::Middle,
            trial_seeds: TrialSeeds::Fresh,
            stop: StopRule::default(),
            axes: Vec::new(),
        };
        let memory = strategies::memory(&evolve, dimension).unwrap();
        Need { evolve, dimension, nested, memory }
    }

    /// By hand: a state of two matrices of 80 GB each, a proposal of one, twice; beside them a checkpoint of two states.
    #[test]
    fn what_does_not_fit_is_refused_with_its_size_and_with_what_would() {
        let cma = need("cma-es", 100_000, None, false);
        let refused = cma.check(Place::Coordinator, 16_000_000_000).unwrap_err().to_string();
        for word in ["`cma-es`", "640.0 GB", "in the coordinator", "16.0 GB is the limit", "--memory"] {
            assert!(refused.contains(word), "{refused}");
        }
        for name in ["sep-cma-es", "lm-ma-es", "snes", "open-ai-es"] {
            assert!(refused.contains(&format!("`{name}`")), "{refused}");
        }
        assert_eq!(cma.check(Place::Coordinator, 700_000_000_000), Ok(()));
        let tight =
            need("lm-ma-es", 1 << 20, None, false).check(Place::Coordinator, 100_000_000).unwrap_err().to_string();
        assert!(tight.contains("`snes`") && !tight.contains("`sep-cma-es`"), "{tight}");
        let hopeless = cma.check(Place::Coordinator, 1000).unwrap_err().to_string();
        assert!(hopeless.contains("no strategy"), "{hopeless}");
    }

    #[test]
    fn an_evolution_within_a_trial_needs_nothing_in_the_coordinator_and_a_state_in_every_slot() {
        let (outside, inside) = (need("snes", 1000, None, false), need("snes", 1000, None, true));
        assert_eq!(inside.bytes(Place::Coordinator), 0);
        // State, proposal, the next proposal and a candidate, of 2, 2, 2 and 1 vectors.
        assert_eq!(inside.bytes(Place::Worker { slots: 4 }), 4 * 7 * 8000);
        // Three proposals, and a candidate in each slot.
        assert_eq!(outside.bytes(Place::Worker { slots: 4 }), (6 + 4) * 8000);
        // State and proposal twice, and a checkpoint of two states; two workers.
        assert_eq!(outside.bytes(Place::Machine { workers: 2 }), (2 + 4 + 4 + 2 * 7) * 8000);
    }
}
