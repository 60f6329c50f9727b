//! A worker's replica of a run's strategy: told what the coordinator's own was told, it goes the same way, and proposes
//! the same candidates.
//!
//! After every step the hash of its state is compared with the one that the coordinator has. If they differ nothing is
//! proposed: the replica is forgotten.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tumble_domain::Plan;
use tumble_search::{Problem, Proposal, StateHash, Strategy, Told, strategies};

use crate::worker::OpenRun;

/// What brings a replica from one generation to another.
#[derive(Clone, Debug)]
pub enum Step {
    /// It begins here, whatever it was before.
    Begin {
        /// The generation.
        generation: u32,
        /// The strategy's snapshot; none for the first state, which the run file makes.
        snapshot: Vec<u8>,
        /// The hash of the state.
        hash: StateHash,
    },
    /// The strategy was told.
    Tell {
        /// Of which generation.
        generation: u32,
        /// What, encoded.
        told: Vec<u8>,
        /// The hash of its state after that.
        hash_after: StateHash,
    },
}

/// Steps to be taken, with what they are taken on; taken away from where messages are read, for it may be long.
pub struct Update {
    pub(crate) ticket: u64,
    pub(crate) run: Arc<OpenRun>,
    /// Where the replica stands, if there is one.
    pub strategy: Option<Box<dyn Strategy>>,
    pub(crate) steps: Vec<Step>,
}

/// What came of an update.
pub struct Updated {
    pub(crate) ticket: u64,
    pub(crate) run: Arc<str>,
    pub(crate) outcome: Result<(Box<dyn Strategy>, Proposal), Drift>,
}

/// A replica has another state than it should have, or none can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// In which generation it was noticed.
    pub generation: u32,
    /// What was noticed, for a person.
    pub why: String,
}

impl Update {
    /// Takes the steps. What it proposes in the end is made here, from the very state that was compared.
    pub fn carry_out(self) -> Updated {
        let Update { ticket, run, strategy, steps } = self;
        let generation = steps.first().map_or(0, Step::generation);
        let take = || {
            let mut strategy = strategy;
            for step in steps {
                strategy = Some(step.take(strategy, &run)?);
            }
            let strategy = strategy.ok_or(Drift { generation, why: "there is no replica".to_owned() })?;
            let proposal = strategy.ask();
            Ok((strategy, proposal))
        };
        // A state that makes no sense may do anything, and costs the replica, not the worker.
        let outcome = catch_unwind(AssertUnwindSafe(take))
            .unwrap_or_else(|_| Err(Drift { generation, why: "it panicked".to_owned() }));
        Updated { ticket, run: run.id.clone(), outcome }
    }
}

impl Step {
    /// The generation at whose end or beginning this stands.
    fn generation(&self) -> u32 {
        match self {
            Step::Begin { generation, .. } | Step::Tell { generation, .. } => *generation,
        }
    }

    /// Takes a strategy one step on, and compares.
    fn take(self, strategy: Option<Box<dyn Strategy>>, run: &OpenRun) -> Result<Box<dyn Strategy>, Drift> {
        let generation = self.generation();
        let drift = |why: String| Drift { generation, why };
        let (strategy, hash) = match self {
            Step::Begin { snapshot, hash, .. } if snapshot.is_empty() => (first(run).map_err(drift)?, hash),
            Step::Begin { snapshot, hash, .. } => {
                (strategies::restore(&snapshot).map_err(|error| drift(error.to_string()))?, hash)
            }
            Step::Tell { generation, told, hash_after } => {
                let fitness = Told::decode(&told).map_err(|error| drift(error.to_string()))?;
                let elsewhere = || drift("what was told is of another generation".to_owned());
                let mut strategy = strategy.ok_or_else(elsewhere)?;
                if strategy.generation() != generation || strategy.population() as usize != fitness.candidates() {
                    return Err(elsewhere());
                }
                strategy.tell(&fitness.fitness());
                (strategy, hash_after)
            }
        };
        if strategy.state_hash() == hash {
            Ok(strategy)
        } else {
            Err(drift("the hash of its state is another".to_owned()))
        }
    }
}

/// The strategy as the run file makes it.
fn first(run: &OpenRun) -> Result<Box<dyn Strategy>, String> {
    if let (Some(stopping), Some(design)) = (run.spec.plan.stopping(), &run.design) {
        return strategies::rungs(stopping, design.points()).map_err(|error| error.to_string());
    }
    let Plan::Evolve(evolve) = &run.spec.plan else { return Err("the run does not evolve".to_owned()) };
    let problem = Problem::of(evolve, run.pipeline.description(), &run.spec.config, run.spec.seed)
        .map_err(|error| error.to_string())?;
    strategies::build(evolve, &problem).map_err(|error| error.to_string())
}

impl std::fmt::Debug for Update {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Update").field("run", &self.run.id).field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Updated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let outcome = self.outcome.as_ref().map(|(strategy, _)| strategy.generation());
        f.debug_struct("Updated").field("run", &self.run).field("outcome", &outcome).finish_non_exhaustive()
    }
}
