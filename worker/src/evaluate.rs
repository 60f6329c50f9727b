//! The computing half of a worker: rebuilds the candidates of a shard and evaluates them, trial after trial.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tumble_domain::outcome::ERROR_BYTES_MAX;
use tumble_domain::{AxisTarget, Failure, Outcomes, Plan, Seed, Status, TrialAddress, TrialError, TrialRange, Value};
use tumble_pipelines::{BatchEvaluator, Evaluator, NestedEvolution, Trace, Trial, Watch};
use tumble_search::Proposal;

use crate::worker::{Job, OpenRun, Piece};

/// Finished trials are reported at least this often, so that little is lost with a worker.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Runs whose evaluators a slot keeps: what is dear to build is built once, and a slot serves few runs at a time.
const EVALUATORS_MAX: usize = 4;

/// One slot: evaluates one shard at a time and keeps the evaluators of the runs it has served last.
#[derive(Default)]
pub struct Slot {
    kept: Vec<(Kept, Bound)>,
}

/// Whose evaluator is kept: the run, and the folder of its files. A run that is opened again may have them in another one, and what
/// was bound to the folder that is gone is of no use.
type Kept = (Arc<str>, Option<PathBuf>);

fn kept_as(run: &OpenRun) -> Kept {
    (run.id.clone(), run.files.as_ref().map(|files| files.folder().to_owned()))
}

/// An evaluator bound to a run.
enum Bound {
    Plain(Box<dyn Evaluator>),
    Nested(Box<NestedEvolution>),
}

impl Bound {
    fn place(&mut self, trial: u64, at: TrialAddress) {
        match self {
            Bound::Plain(evaluator) => evaluator.place(trial, at),
            Bound::Nested(nested) => nested.place(trial, at),
        }
    }

    fn refusal(&mut self) -> Option<String> {
        match self {
            Bound::Plain(evaluator) => evaluator.refusal(),
            Bound::Nested(nested) => nested.refusal(),
        }
    }
}

impl Slot {
    /// Evaluates a job; `report` is called with what is finished, from the front of the range on, the last time with
    /// `last` set. An abandoned job ends early.
    pub fn evaluate(&mut self, job: &Job, report: impl FnMut(Piece)) {
        self.evaluate_and_trace(job, None, report);
    }

    /// Evaluates a job of one trial as [`Slot::evaluate`] does, and has its evaluator tell what happens on the way, if it
    /// can; otherwise `trace` stays as it is.
    pub fn trace(&mut self, job: &Job, trace: &mut Trace, report: impl FnMut(Piece)) {
        self.evaluate_and_trace(job, Some(trace), report);
    }

    fn evaluate_and_trace(&mut self, job: &Job, mut trace: Option<&mut Trace>, mut report: impl FnMut(Piece)) {
        let mut bound = self.take(&job.run);
        let mut candidate = CandidateBuffer::new(&job.run);
        let mut columns = Columns::new(job.grant.range.start, job.run.metrics);
        let mut metrics = vec![f64::NAN; job.run.metrics];
        let watch = Watch::new(job.abandon.clone(), job.run.spec.limits.timeout);
        let timeout = job.run.spec.limits.timeout;
        let mut clock = Stride::new();
        if let Ok(Bound::Plain(evaluator)) = &mut bound
            && let Some(batches) = evaluator.batch()
        {
            evaluate_in_batches(batches, job, &mut candidate, &mut columns, &mut clock, &mut report);
            let refused = evaluator.refusal();
            report(Piece { refused, ..columns.take(clock.restart_ms(), true) });
            if let Ok(bound) = bound {
                self.keep(&job.run, bound);
            }
            return;
        }
        for trial in job.grant.range.start..job.grant.range.end {
            let address = job.address(trial);
            candidate.set(job, address.candidate);
            // What a trial was given is told whether it scores or not.
            let (given, scores) = metrics.split_at_mut(candidate.reported.len());
            given.copy_from_slice(&candidate.reported);
            scores.fill(f64::NAN);
            let seed = candidate.seed(job, address);
            // A deadline is the trial's own; without one the watch is the same for all.
            let own = timeout.map(|t| Watch::new(job.abandon.clone(), Some(t)));
            let watch = own.as_ref().unwrap_or(&watch);
            if let Ok(bound) = &mut bound {
                bound.place(
                    trial,
                    TrialAddress { candidate: candidate.rung_point.unwrap_or(address.candidate), ..address },
                );
            }
            let result = bound
                .as_mut()
                .map_err(|reason| Failure::Failed(reason.clone()))
                .and_then(|bound| evaluate_one(bound, job, &mut candidate, seed, watch, scores, trace.as_deref_mut()));
            if !columns.push_result(result, &candidate.reported, &metrics) {
                break;
            }
            if clock.strikes() && trial + 1 < job.grant.range.end {
                report(columns.take(clock.restart_ms(), false));
            }
            // Checked here as well, for evaluators too short to look themselves.
            if job.abandon.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
        }
        let refused = bound.as_mut().ok().and_then(Bound::refusal);
        report(Piece { refused, ..columns.take(clock.restart_ms(), true) });
        if let Ok(bound) = bound {
            self.keep(&job.run, bound);
        }
    }

    fn take(&mut self, run: &OpenRun) -> Result<Bound, String> {
        if let Some(position) = self.kept.iter().position(|(kept, _)| *kept == kept_as(run)) {
            return Ok(self.kept.remove(position).1);
        }
        match &run.spec.plan {
            Plan::SweepOfEvolutions(_, evolve) => {
                let policy = run.spec.limits.on_failure;
                NestedEvolution::try_new(&*run.pipeline, evolve, &run.spec.objective, policy)
                    .map(|nested| Bound::Nested(Box::new(nested)))
                    .map_err(|error| error.to_string())
            }
            _ => Ok(Bound::Plain(run.pipeline.evaluator())),
        }
    }

    fn keep(&mut self, run: &OpenRun, bound: Bound) {
        self.kept.retain(|((id, _), _)| *id != run.id);
        self.kept.insert(0, (kept_as(run), bound));
        self.kept.truncate(EVALUATORS_MAX);
    }
}

/// Evaluates the trials of a job by an evaluator that takes many at once; what is finished and not yet reported is in `columns`.
fn evaluate_in_batches(
    batches: &mut dyn BatchEvaluator,
    job: &Job,
    candidate: &mut CandidateBuffer,
    columns: &mut Columns,
    clock: &mut Stride,
    report: &mut impl FnMut(Piece),
) {
    // The limit is each trial's own, and whoever evaluates them knows when each begins.
    let (watch, timeout) = (Watch::new(job.abandon.clone(), None), job.run.spec.limits.timeout);
    let reported = candidate.reported.len();
    let mut metrics = vec![f64::NAN; job.run.metrics];
    let (mut next, last) = (job.grant.range.start, job.grant.range.end);
    while next < last {
        let end = last.min(next.saturating_add(batches.wanted() as u64));
        let mut given = Vec::new();
        for trial in next..end {
            let address = job.address(trial);
            candidate.set(job, address.candidate);
            candidate.make(job);
            given.extend_from_slice(&candidate.reported);
            let seed = candidate.seed(job, address);
            batches.add(&Trial { genome: &candidate.genome, settings: &candidate.settings, seed, watch: &watch });
        }
        let came = batches.evaluate(&watch, timeout);
        let scores = job.run.metrics - reported;
        let finished = came.results.len();
        for (i, result) in came.results.into_iter().enumerate() {
            // What a trial was given is told whether it scores or not.
            let given = &given[i * reported..(i + 1) * reported];
            metrics[..reported].copy_from_slice(given);
            metrics[reported..].copy_from_slice(&came.metrics[i * scores..(i + 1) * scores]);
            columns.push_result(result, given, &metrics);
        }
        let is_interrupted = next + (finished as u64) < end;
        next = end;
        if is_interrupted || job.abandon.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        if clock.strikes_now() && next < last {
            report(columns.take(clock.restart_ms(), false));
        }
    }
}

/// An evaluator that panics costs its trial, not the worker.
#[allow(clippy::too_many_arguments, reason = "one trial has these facts, and they come together here alone")]
fn evaluate_one(
    bound: &mut Bound,
    job: &Job,
    candidate: &mut CandidateBuffer,
    seed: Seed,
    watch: &Watch,
    metrics: &mut [f64],
    trace: Option<&mut Trace>,
) -> Result<(), Failure> {
    let evaluate = AssertUnwindSafe(|| match bound {
        Bound::Plain(evaluator) => {
            if let Some(trace) = trace {
                candidate.make(job);
                let trial = Trial { genome: &candidate.genome, settings: &candidate.settings, seed, watch };
                if let Some(result) = evaluator.evaluate_traced(&trial, metrics, trace) {
                    return result;
                }
            }
            if let Some((proposal, index)) = candidate.proposed(job) {
                // A long candidate need not exist as a whole, if the evaluator can do without.
                let trial = Trial { genome: &[], settings: &candidate.settings, seed, watch };
                if let Some(result) = evaluator.evaluate_proposed(proposal, index, &trial, metrics) {
                    return result;
                }
            }
            candidate.make(job);
            let trial = Trial { genome: &candidate.genome, settings: &candidate.settings, seed, watch };
            evaluator.evaluate(&trial, metrics)
        }
        Bound::Nested(nested) => {
            nested.evaluate_traced(&candidate.settings, &candidate.overrides, seed, watch, metrics, trace)
        }
    });
    catch_unwind(evaluate).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Failure::Failed(format!("the evaluator panicked: {text}")))
    })
}

/// The candidate at hand, rebuilt when the next one's turn comes; its replicates share it.
struct CandidateBuffer {
    at: Option<u64>,
    /// The candidate of a proposal that `genome` holds; it is made when an evaluator wants it.
    made: Option<u64>,
    genome: Vec<f64>,
    settings: Vec<Value>,
    overrides: Vec<(AxisTarget, Value)>,
    /// Where it stands in the space of evolved axes, and what is reported of that.
    point: Vec<f64>,
    reported: Vec<f64>,
    /// Which point of the design is at hand, at a rung.
    rung_point: Option<u64>,
}

impl CandidateBuffer {
    fn new(run: &OpenRun) -> CandidateBuffer {
        let dimension = run.pipeline.description().dimension(&run.spec.config) as usize;
        CandidateBuffer {
            at: None,
            made: None,
            // Of a proposal's candidates only those that are made take memory.
            genome: if run.spec.plan.sweep().is_some() { vec![0.0; dimension] } else { Vec::new() },
            settings: run.spec.config.clone(),
            overrides: Vec::new(),
            point: vec![0.0; run.spec.plan.evolved_axes().len()],
            reported: vec![f64::NAN; run.spec.plan.reported().len()],
            rung_point: None,
        }
    }

    /// The proposal and which of its candidates is at hand, if a candidate is what an evaluator takes: a point of a space
    /// is made into settings.
    fn proposed<'a>(&self, job: &'a Job) -> Option<(&'a Proposal, u32)> {
        let is_vector = job.run.space.is_none() && job.run.design.is_none();
        Some((job.proposal.as_deref().filter(|_| is_vector)?, self.at? as u32))
    }

    /// The seed of a trial of the candidate at hand.
    fn seed(&self, job: &Job, address: TrialAddress) -> Seed {
        match self.rung_point {
            Some(point) => job.run.layout.rung_seed(point, address.replicate),
            None => job.run.layout.trial_seed(address),
        }
    }

    /// Makes the vector of a proposal's candidate, if it is not there.
    fn make(&mut self, job: &Job) {
        let Some((proposal, index)) = self.proposed(job).filter(|_| self.made != self.at) else { return };
        self.genome.resize(proposal.dimension(), 0.0);
        proposal.candidate(index, &mut self.genome);
        self.made = self.at;
    }

    fn set(&mut self, job: &Job, candidate: u64) {
        if self.at == Some(candidate) {
            return;
        }
        self.at = Some(candidate);
        if let (Some(proposal), Some(space)) = (&job.proposal, &job.run.space) {
            proposal.candidate(candidate as u32, &mut self.point);
            space.apply(&self.point, job.run.pipeline.description(), &mut self.settings, &mut self.genome);
            space.reported(&self.point, &mut self.reported);
            self.made = self.at;
            return;
        }
        let (Some(sweep), Some(design)) = (job.run.spec.plan.sweep(), &job.run.design) else { return };
        self.rung_point = job.proposal.as_ref().and_then(|rung| rung.point(candidate as u32)).map(u64::from);
        let candidate = self.rung_point.unwrap_or(candidate);
        if let (Some(stopping), Some(point)) = (&sweep.stopping, self.rung_point) {
            self.reported[0] = point as f64;
            let steps = stopping.rungs.get(job.grant.generation as usize).copied();
            self.settings[stopping.steps] = steps.map_or(Value::Integer(0), Value::Integer);
        }
        self.overrides.clear();
        let mut reshaped = false;
        for (axis, description) in sweep.axes.iter().enumerate() {
            let Some(value) = design.value(candidate, axis) else {
                // Where an axis is not there its default holds, and not what the candidate before had.
                match &description.target {
                    AxisTarget::Parameter(index) => {
                        self.settings[*index] = job.run.spec.config[*index].clone();
                        reshaped = true;
                    }
                    AxisTarget::Genome(element) => self.genome.iter_mut().skip(*element).take(1).for_each(|x| *x = 0.0),
                    _ => {}
                }
                continue;
            };
            match &description.target {
                AxisTarget::Parameter(index) => {
                    self.settings[*index] = value;
                    reshaped = true;
                }
                AxisTarget::Genome(element) => {
                    if let (Some(place), Some(x)) = (self.genome.get_mut(*element), value.as_f64()) {
                        *place = x;
                    }
                }
                target => self.overrides.push((target.clone(), value)),
            }
        }
        if reshaped {
            // A swept parameter may be the very length of the vector; elements without an axis are 0 in any case.
            let dimension = job.run.pipeline.description().dimension(&self.settings) as usize;
            self.genome.resize(dimension, 0.0);
        }
    }
}

/// Outcomes as they are made, row by row; reports have them column by column.
struct Columns {
    start: u64,
    metrics: usize,
    rows: Vec<f64>,
    statuses: Vec<Status>,
    errors: Vec<TrialError>,
}

impl Columns {
    fn new(start: u64, metrics: usize) -> Columns {
        Columns { start, metrics, rows: Vec::new(), statuses: Vec::new(), errors: Vec::new() }
    }

    /// Takes how a trial ended; `false` if it did not end, for it was interrupted.
    fn push_result(&mut self, result: Result<(), Failure>, reported: &[f64], metrics: &[f64]) -> bool {
        match result {
            Err(Failure::Interrupted) => return false,
            Err(Failure::TimedOut) => {
                self.push_failure(Status::TimedOut, reported, "the trial outlasted limits.timeout");
            }
            Err(Failure::Failed(message)) => self.push_failure(Status::Failed, reported, &message),
            Ok(()) => self.push(metrics),
        }
        true
    }

    fn push(&mut self, metrics: &[f64]) {
        self.rows.extend_from_slice(metrics);
        self.statuses.push(Status::Scored);
    }

    /// A trial without metrics; `reported` is what it was given of the evolved axes.
    fn push_failure(&mut self, status: Status, reported: &[f64], message: &str) {
        let mut from = message.len().saturating_sub(ERROR_BYTES_MAX);
        while !message.is_char_boundary(from) {
            from += 1;
        }
        self.errors.push(TrialError { offset: self.statuses.len() as u32, message: message[from..].to_owned() });
        self.rows.extend_from_slice(reported);
        self.rows.extend(std::iter::repeat_n(f64::NAN, self.metrics - reported.len()));
        self.statuses.push(status);
    }

    fn take(&mut self, evaluate_ms: f64, last: bool) -> Piece {
        let trials = self.statuses.len();
        let range = TrialRange::new(self.start, self.start + trials as u64);
        let rows = std::mem::take(&mut self.rows);
        let values = (0..self.metrics).flat_map(|m| rows.iter().skip(m).step_by(self.metrics)).copied().collect();
        let statuses = std::mem::take(&mut self.statuses);
        let all_scored = statuses.iter().all(|status| *status == Status::Scored);
        self.start = range.end;
        Piece {
            range,
            outcomes: Outcomes {
                trials: trials as u32,
                metrics: self.metrics as u32,
                statuses: if all_scored { Vec::new() } else { statuses },
                values,
                errors: std::mem::take(&mut self.errors),
            },
            evaluate_ms,
            last,
            refused: None,
        }
    }
}

/// Says when it is time to report, looking at the clock seldom enough that tiny trials do not notice.
struct Stride {
    started: Instant,
    looked: Instant,
    trials: u32,
    since: u32,
}

impl Stride {
    fn new() -> Stride {
        let now = Instant::now();
        Stride { started: now, looked: now, trials: 1, since: 0 }
    }

    fn strikes(&mut self) -> bool {
        self.since += 1;
        if self.since < self.trials {
            return false;
        }
        self.since = 0;
        let now = Instant::now();
        if now - self.looked < Duration::from_millis(1) {
            self.trials = self.trials.saturating_mul(2);
        } else {
            self.trials = (self.trials / 2).max(1);
        }
        self.looked = now;
        now - self.started >= REPORT_EVERY
    }

    /// The same for what takes long enough that the clock costs nothing.
    fn strikes_now(&self) -> bool {
        self.started.elapsed() >= REPORT_EVERY
    }

    fn restart_ms(&mut self) -> f64 {
        let now = Instant::now();
        let elapsed = (now - self.started).as_secs_f64() * 1000.0;
        self.started = now;
        elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::Grant;
    use tumble_domain::{Direction, Extent, Genome, GenomeLength, Metric, Objective, PipelineDescription, Tensor};
    use tumble_pipelines::Pipeline;
    use tumble_search::{Problem, strategies};

    /// A pipeline that tells which way a trial went, and the candidate's first number.
    struct TwoWays(PipelineDescription);

    impl TwoWays {
        fn new() -> TwoWays {
            let metric = |name: &str| Metric { name: name.into(), unit: String::new(), summary: String::new() };
            let matrix = Tensor { name: "w".into(), rows: Extent::Fixed(2), columns: Extent::Fixed(2) };
            TwoWays(PipelineDescription {
                name: "two-ways".into(),
                version: 1,
                summary: String::new(),
                source: String::new(),
                parameters: Vec::new(),
                metrics: vec![metric("proposed"), metric("first")],
                objective: Objective { metric: "proposed".into(), direction: Direction::Maximise },
                prolongs: None,
                genome: Some(Genome {
                    name: "w".into(),
                    length: GenomeLength::Tensors(vec![matrix]),
                    bounds: None,
                    summary: String::new(),
                }),
            })
        }
    }

    impl Pipeline for TwoWays {
        fn description(&self) -> &PipelineDescription {
            &self.0
        }

        fn evaluator(&self) -> Box<dyn Evaluator> {
            Box::new(TwoWay)
        }
    }

    struct TwoWay;

    impl Evaluator for TwoWay {
        fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
            metrics.copy_from_slice(&[0.0, trial.genome[0]]);
            Ok(())
        }

        fn evaluate_proposed(
            &mut self,
            proposal: &Proposal,
            index: u32,
            trial: &Trial<'_>,
            metrics: &mut [f64],
        ) -> Option<Result<(), Failure>> {
            assert!(trial.genome.is_empty(), "the candidate was written out for nothing");
            let perturbed = proposal.perturbed(index)?;
            let mut own = [0.0; 4];
            perturbed.tensor(0, &mut own);
            metrics.copy_from_slice(&[1.0, own[0]]);
            Some(Ok(()))
        }
    }

    fn evaluated(run_toml: &str) -> (Arc<OpenRun>, Option<Arc<Proposal>>, Outcomes) {
        let pipeline: Arc<dyn tumble_pipelines::Pipeline> = Arc::new(TwoWays::new());
        let description = pipeline.description().clone();
        let run = Arc::new(OpenRun::try_new(&"two-ways".into(), run_toml, &[pipeline]).unwrap());
        let proposal = match &run.spec.plan {
            Plan::Evolve(evolve) => {
                let problem = Problem {
                    dimension: 4,
                    shapes: description.tensors(&[]),
                    bounds: None,
                    start: evolve.start.clone(),
                    seed: run.spec.seed,
                    grains: Vec::new(),
                };
                Some(Arc::new(strategies::build(evolve, &problem).unwrap().ask()))
            }
            _ => None,
        };
        let range = TrialRange::new(0, run.layout.trials());
        let grant = Grant { lease: 0, run: run.id.clone(), generation: 0, generation_start: 0, range };
        let job = Job { grant, run: run.clone(), proposal: proposal.clone(), abandon: Arc::default() };
        let mut outcomes = Outcomes::default();
        Slot::default().evaluate(&job, |piece| outcomes = piece.outcomes);
        (run, proposal, outcomes)
    }

    #[test]
    fn a_candidate_is_written_out_only_where_its_evaluator_asks_for_it() {
        for (strategy, proposed) in [("eggroll", 1.0), ("eggroll-int8", 1.0), ("open-ai-es", 0.0)] {
            let (run, proposal, outcomes) = evaluated(&format!(
                "name = \"a\"\npipeline = \"two-ways\"\nreplicates = 3\n\
                 [evolve]\nstrategy = \"{strategy}\"\npopulation = 4\ngenerations = 1\n"
            ));
            let mut candidate = [0.0; 4];
            for trial in 0..run.layout.trials() {
                proposal.as_ref().unwrap().candidate(run.layout.address(trial).candidate as u32, &mut candidate);
                let metrics = [0, 1].map(|metric| outcomes.value(metric, trial as usize));
                assert_eq!(metrics, [proposed, candidate[0]], "{strategy}, trial {trial}");
            }
        }
    }

    #[test]
    fn a_nested_evolution_goes_the_same_way_as_a_plain_one() {
        let (_, _, outcomes) = evaluated(
            "name = \"a\"\npipeline = \"two-ways\"\n[evolve]\ngenerations = 2\npopulation = 4\n\
             [sweep]\ndesign = \"list\"\n[sweep.axes]\n\"evolve.strategy\" = [\"eggroll\", \"open-ai-es\"]\n",
        );
        assert_eq!([outcomes.value(0, 0), outcomes.value(0, 1)], [1.0, 0.0]);
    }
}
