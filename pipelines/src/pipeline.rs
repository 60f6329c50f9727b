//! What a pipeline is, and what it is given to evaluate one trial.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tumble_domain::{Failure, PipelineDescription, Seed, Value};
use tumble_search::Proposal;

/// A named computation.
pub trait Pipeline: Send + Sync {
    /// What it takes and gives.
    fn description(&self) -> &PipelineDescription;

    /// An evaluator for one slot of a worker. It may keep what is dear to build (data, buffers) from trial to trial,
    /// and nothing that would make a trial's numbers depend on the trials before it.
    fn evaluator(&self) -> Box<dyn Evaluator>;
}

/// The code that scores.
pub trait Evaluator: Send {
    /// Scores one trial: writes one number for each metric of the description, in its order.
    ///
    /// The numbers depend on `trial.genome`, `trial.settings` and `trial.seed` alone. Long evaluations call
    /// [`Watch::check`] every few milliseconds and pass its failure on.
    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure>;

    /// Scores candidate `index` of a proposal without being given its vector, if it can: `trial.genome` is empty here. For
    /// `None` the vector is made and [`Evaluator::evaluate`] called.
    ///
    /// Which way is taken depends on the proposal and `trial.settings` alone, and the numbers are those of
    /// [`Evaluator::evaluate`] to the bit.
    fn evaluate_proposed(
        &mut self,
        _proposal: &Proposal,
        _index: u32,
        _trial: &Trial<'_>,
        _metrics: &mut [f64],
    ) -> Option<Result<(), Failure>> {
        None
    }
}

/// One trial, as an evaluator sees it.
pub struct Trial<'a> {
    /// The candidate's vector; empty for a pipeline without a genome.
    pub genome: &'a [f64],
    /// One value for each parameter of the description, in its order; kinds, bounds and choices are already checked.
    pub settings: &'a [Value],
    /// The key of everything the trial draws.
    pub seed: Seed,
    /// Whether to give up.
    pub watch: &'a Watch,
}

/// Tells an evaluation when to give up: because the trial's time is over, or because the worker is leaving.
pub struct Watch {
    leaving: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Watch {
    /// A watch over one trial that begins now.
    pub fn new(leaving: Arc<AtomicBool>, timeout: Option<Duration>) -> Watch {
        Watch { leaving, deadline: timeout.map(|t| Instant::now() + t) }
    }

    /// A watch that never calls.
    pub fn unlimited() -> Watch {
        Watch { leaving: Arc::default(), deadline: None }
    }

    /// `Err` when the evaluation is to stop here.
    pub fn check(&self) -> Result<(), Failure> {
        if self.leaving.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Failure::TimedOut),
            _ => Ok(()),
        }
    }
}
