//! What a pipeline is, and what it is given to evaluate one trial.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tumble_domain::{Failure, PipelineDescription, RunSpec, Seed, TrialAddress, Value};
use tumble_search::Proposal;

use crate::trace::Trace;

/// A named computation.
pub trait Pipeline: Send + Sync {
    /// What it takes and gives.
    fn description(&self) -> &PipelineDescription;

    /// An evaluator for one slot of a worker. It may keep what is dear to build (data, buffers) from trial to trial,
    /// and nothing that would make a trial's numbers depend on the trials before it.
    fn evaluator(&self) -> Box<dyn Evaluator>;

    /// What `limits.timeout` comes to for a trial of it, in the words of help pages. The default is that of an evaluator that
    /// looks at its [`Watch`], as all must that cannot be interrupted from outside.
    fn timeout(&self) -> &'static str {
        "a trial looks at the clock itself every few milliseconds and gives up; one that is done before it looks is scored, \
         and nothing interrupts it from outside"
    }

    /// The columns of a trace of one of its trials, each with what it holds, the steps' count first; none, which is the
    /// default, if nothing happens inside a trial that could be told.
    fn traces(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The pipeline of one run, where the run file says what it takes and gives: `description` is what follows from it. The
    /// reason why this worker cannot evaluate the run is for a person. `None`, which is the default, for a pipeline that is
    /// the same in all runs. `files` is the folder of the files that travelled with the run, if any did.
    fn bound(
        &self,
        run: &RunSpec,
        description: &PipelineDescription,
        files: Option<&Path>,
    ) -> Option<Result<Arc<dyn Pipeline>, String>> {
        let _ = (run, description, files);
        None
    }
}

/// The code that scores.
pub trait Evaluator: Send {
    /// Is told where the next trial stands, before it is evaluated: its index in the run and its address. Inside a nested
    /// evolution, generation and candidate are those of the evolution. Code of the user's own is told of it.
    fn place(&mut self, trial: u64, at: TrialAddress) {
        let _ = (trial, at);
    }

    /// Scores one trial: writes one number for each metric of the description, in its order.
    ///
    /// The numbers depend on `trial.genome`, `trial.settings` and `trial.seed` alone. Long evaluations call
    /// [`Watch::check`] every few milliseconds and pass its failure on.
    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure>;

    /// Scores one trial of an evolution from the proposal, without candidate `index` written out; `trial.genome` is empty.
    /// `None`, which is the default, asks for the candidate and [`Evaluator::evaluate`].
    ///
    /// Which of the two it is depends on the pipeline, its settings and the proposal's law alone, never on the worker or on
    /// what came before, for the two may differ in their last bits: every trial of a run goes the same way everywhere.
    fn evaluate_proposed(
        &mut self,
        proposal: &Proposal,
        index: u32,
        trial: &Trial<'_>,
        metrics: &mut [f64],
    ) -> Option<Result<(), Failure>> {
        let _ = (proposal, index, trial, metrics);
        None
    }

    /// Scores one trial as [`Evaluator::evaluate`] does, to the bit, and tells on the way what [`Pipeline::traces`]
    /// promises. `None`, which is the default, for an evaluator that has nothing to tell. It may cost more.
    fn evaluate_traced(
        &mut self,
        trial: &Trial<'_>,
        metrics: &mut [f64],
        trace: &mut Trace,
    ) -> Option<Result<(), Failure>> {
        let _ = (trial, metrics, trace);
        None
    }

    /// The same evaluator for many trials at once, if that is how it is to be asked.
    fn batch(&mut self) -> Option<&mut dyn BatchEvaluator> {
        None
    }

    /// Why this worker cannot evaluate the run after all, if a trial was [interrupted](Failure::Interrupted) for that. It is
    /// told once, and no trial's fault.
    fn refusal(&mut self) -> Option<String> {
        None
    }
}

/// An evaluator for which one trial alone is too little to be worth asking, such as one in another process.
pub trait BatchEvaluator {
    /// How many trials it would have next, at least 1.
    fn wanted(&self) -> usize;

    /// Takes one more trial; its watch is not looked at.
    fn add(&mut self, trial: &Trial<'_>);

    /// Scores the trials that were added since the last time, in their order, each as [`Evaluator::evaluate`] would and with its
    /// metrics behind those of the others. `timeout` is each trial's own. Fewer results than trials: it was interrupted.
    fn evaluate(&mut self, watch: &Watch, timeout: Option<Duration>) -> BatchResults;
}

/// What came of a batch.
#[derive(Debug, Default)]
pub struct BatchResults {
    /// How each trial ended, from the first on.
    pub results: Vec<Result<(), Failure>>,
    /// The metrics of each of them, NaN where it failed.
    pub metrics: Vec<f64>,
}

/// One trial, as an evaluator sees it.
pub struct Trial<'a> {
    /// The candidate's vector; empty for a pipeline without a genome, and where the candidate is not written out.
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
