//! A coordinator on a desk: events are put before it by hand, what it wants done is looked at by hand, and its records
//! are kept. After every event the invariants are checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tumble_core::{
    AttemptOutcome, Coordinator, Difference, Effects, Event, Grant, Held, Hello, LeaseId, Limits, Message, Phase,
    Record, Report, RequestId, Run, RunId, RunRecord, RunView, Submission, TableWork, Timestamp, WorkerId,
};
use tumble_domain::{
    Axis, AxisTarget, AxisValues, Bundle, Direction, Evolve, Genome, GenomeLength, Limits as RunLimits, Metric,
    Objective, OnFailure, Outcomes, PipelineDescription, Plan, RangeSet, RunSpec, Seed, Start, Status, StopRule, Sweep,
    TrialError, TrialRange, TrialSeeds, Value,
};

use crate::check;

pub(crate) struct Desk {
    pub(crate) core: Coordinator,
    pub(crate) records: Vec<RunRecord>,
    /// What was sent and not looked at yet.
    messages: Vec<(WorkerId, Message)>,
    pub(crate) work: Vec<TableWork>,
    /// After each event: how many records there were, and what they were to bring back.
    pub(crate) moments: Vec<(usize, String)>,
    limits: Limits,
    now_ms: u64,
    requests: u64,
    runs: u64,
    epoch: u32,
}

pub(crate) fn worker(number: u64) -> WorkerId {
    WorkerId(number)
}

/// The metric of a trial: any function of it will do.
pub(crate) fn value_of(trial: u64) -> f64 {
    ((trial * 7_919) % 1_009) as f64 / 1_009.0
}

pub(crate) fn outcomes(range: TrialRange) -> Outcomes {
    Outcomes {
        trials: range.len() as u32,
        metrics: 1,
        values: (range.start..range.end).map(value_of).collect(),
        ..Outcomes::default()
    }
}

/// As [`outcomes`], but this trial failed.
pub(crate) fn outcomes_but(range: TrialRange, failed: u64) -> Outcomes {
    let mut outcomes = outcomes(range);
    let offset = (failed - range.start) as usize;
    outcomes.statuses = vec![Status::Scored; range.len() as usize];
    outcomes.statuses[offset] = Status::Failed;
    outcomes.values[offset] = f64::NAN;
    outcomes.errors = vec![TrialError { offset: offset as u32, message: "it fell over".into() }];
    outcomes
}

pub(crate) fn pipeline() -> PipelineDescription {
    PipelineDescription {
        name: "walk".into(),
        version: 1,
        summary: String::new(),
        source: String::new(),
        parameters: Vec::new(),
        metrics: vec![Metric { name: "height".into(), unit: String::new(), summary: String::new() }],
        objective: Objective { metric: "height".into(), direction: Direction::Maximise },
        prolongs: None,
        genome: Some(Genome { name: "x".into(), length: GenomeLength::Fixed(2), bounds: None, summary: String::new() }),
    }
}

fn spec(plan: Plan) -> RunSpec {
    RunSpec {
        code: None,
        bundle: None,
        name: "walk".into(),
        pipeline: "walk".into(),
        seed: Seed(5),
        replicates: 1,
        objective: pipeline().objective,
        config: Vec::new(),
        plan,
        limits: RunLimits::default(),
    }
}

/// A sweep of so many points.
pub(crate) fn sweep(points: u64) -> RunSpec {
    let values = AxisValues::Linear { from: 0.0, to: 1.0, points: None };
    let axes = vec![Axis { name: "x0".into(), target: AxisTarget::Genome(0), values }];
    spec(Plan::Sweep(Sweep { design: "random".into(), points: Some(points), axes, ..Sweep::default() }))
}

/// An evolution by CMA-ES.
pub(crate) fn evolution(population: u32, generations: u32) -> RunSpec {
    spec(Plan::Evolve(Evolve {
        strategy: "cma-es".into(),
        population: Some(population),
        generations,
        settings: vec![("sigma".into(), Value::Float(0.5))],
        start: Start::Everywhere(0.5),
        trial_seeds: TrialSeeds::Fresh,
        axes: Vec::new(),
        stop: StopRule::default(),
    }))
}

/// A run whose candidates a client gives, at most `population` at once.
pub(crate) fn given(population: u32, generations: u32) -> RunSpec {
    let mut spec = evolution(population, generations);
    if let Plan::Evolve(evolve) = &mut spec.plan {
        (evolve.strategy, evolve.settings, evolve.start) = ("given".into(), Vec::new(), Start::Middle);
    }
    spec
}

pub(crate) fn aborting(spec: RunSpec) -> RunSpec {
    RunSpec { limits: RunLimits { on_failure: OnFailure::Abort, ..spec.limits.clone() }, ..spec }
}

pub(crate) fn with_wall(spec: RunSpec, seconds: u64) -> RunSpec {
    RunSpec { limits: RunLimits { wall: Some(Duration::from_secs(seconds)), ..spec.limits.clone() }, ..spec }
}

/// The same, with files that travel.
pub(crate) fn with_files(spec: RunSpec) -> RunSpec {
    RunSpec { bundle: Some(Bundle { paths: vec!["model.py".into()], hash: "00".repeat(32) }), ..spec }
}

/// The coordinator that these records make.
pub(crate) fn replay(limits: &Limits, epoch: u32, mono_ms: u64, records: &[RunRecord]) -> Coordinator {
    let now = Timestamp { mono_ms, unix_ms: mono_ms };
    let core = Coordinator::replay(limits.clone(), |_| 10, epoch, now, records.iter().cloned());
    core.unwrap_or_else(|error| panic!("the records of a coordinator can be replayed: {error}"))
}

/// How this trial is found to differ.
pub(crate) fn difference(trial: u64) -> Difference {
    Difference { trial, column: "height".into(), recorded: "0".into(), again: "-1".into() }
}

/// All that its records are to bring back of a coordinator, as text.
pub(crate) fn durable(core: &Coordinator) -> String {
    let of_run = |run: &Run| {
        let view = core.view(&run.id, Timestamp::default()).expect("it is there");
        let evolution = run.evolution.as_ref();
        let evolution = evolution.map(|evolution| (evolution.generation(), evolution.proposal(), &evolution.champion));
        let numbers =
            (view.trials_done, view.trials_failed, view.best, view.bytes_down, view.bytes_up, view.disagreements);
        let open: Vec<TrialRange> = match run.phase {
            Phase::Open => open_trials(run).iter().collect(),
            _ => Vec::new(),
        };
        format!("{:?} {numbers:?} parts {} end {} open {open:?} {evolution:?}", run.phase, run.parts, run.trials_end)
    };
    core.runs().iter().map(|run| format!("{}: {}\n", run.id, of_run(run))).collect()
}

pub(crate) fn open_trials(run: &Run) -> RangeSet {
    let mut open = RangeSet::new();
    open.insert(run.scope());
    run.done.iter().for_each(|done| open.remove(done));
    open
}

impl Desk {
    pub(crate) fn new() -> Desk {
        Desk::with(|_| {})
    }

    pub(crate) fn with(limit: impl FnOnce(&mut Limits)) -> Desk {
        let mut limits = Limits { leases_per_slot: 1, ..Limits::default() };
        limit(&mut limits);
        Desk {
            core: replay(&limits, 1, 0, &[]),
            records: Vec::new(),
            messages: Vec::new(),
            work: Vec::new(),
            moments: Vec::new(),
            limits,
            now_ms: 0,
            requests: 0,
            runs: 0,
            epoch: 1,
        }
    }

    /// The coordinator is killed and starts again from its records.
    pub(crate) fn restart(&mut self) {
        self.epoch += 1;
        self.core = replay(&self.limits, self.epoch, self.now_ms, &self.records);
        self.messages.clear();
        self.work.clear();
        self.event(Event::Tick);
    }

    pub(crate) fn event(&mut self, event: Event) -> Vec<RunView> {
        let now = Timestamp { mono_ms: self.now_ms, unix_ms: self.now_ms };
        let effects: Effects = self.core.handle(now, event);
        check::invariants(&self.core);
        check::memory(&self.core);
        let records = &mut self.records;
        let outgoing = effects.settle(|new| {
            records.extend(new);
            Ok::<_, std::convert::Infallible>(())
        });
        let outgoing = outgoing.unwrap_or_else(|never| match never {});
        self.messages.extend(outgoing.messages);
        self.work.extend(outgoing.work);
        self.moments.push((self.records.len(), durable(&self.core)));
        outgoing.replies.into_iter().map(|reply| reply.result.expect("it is not refused")).collect()
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.event(Event::Tick);
    }

    // Clients ---------------------------------------------------------------------------------------------------------

    pub(crate) fn submit(&mut self, spec: RunSpec) -> RunId {
        let (submission, request) = (self.submission(spec), self.request());
        let replies = self.event(Event::Submitted { request, submission: Box::new(submission) });
        replies[0].run.clone()
    }

    /// Why a run is refused.
    pub(crate) fn refusal(&mut self, spec: RunSpec) -> String {
        let (submission, request) = (self.submission(spec), self.request());
        let now = Timestamp { mono_ms: self.now_ms, unix_ms: self.now_ms };
        let effects = self.core.handle(now, Event::Submitted { request, submission: Box::new(submission) });
        let outgoing = effects.settle(|new| if new.is_empty() { Ok(()) } else { Err("a refusal leaves no record") });
        let replies = outgoing.expect("nothing is recorded").replies;
        replies[0].result.as_ref().expect_err("it is refused").to_string()
    }

    fn submission(&mut self, spec: RunSpec) -> Submission {
        self.runs += 1;
        Submission {
            run: RunId(format!("walk-{}", self.runs).into()),
            key: self.runs.to_string(),
            spec: Arc::new(spec),
            pipeline: Arc::new(pipeline()),
            run_toml: "".into(),
            folder: PathBuf::new(),
        }
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    pub(crate) fn cancel(&mut self, run: &RunId) {
        let request = self.request();
        self.event(Event::CancelRequested { request, run: run.clone() });
    }

    /// A client gives candidates of two numbers; why they are refused, if they are.
    pub(crate) fn give(&mut self, run: &RunId, generation: u32, points: &[f64]) -> Result<(), String> {
        let (request, points) = (self.request(), points.into());
        self.asked(Event::Given { request, run: run.clone(), generation, points })
    }

    /// A client gives no more; why it may not say so, if it may not.
    pub(crate) fn finish(&mut self, run: &RunId) -> Result<(), String> {
        let request = self.request();
        self.asked(Event::FinishRequested { request, run: run.clone() })
    }

    /// An event that is answered, or refused without a trace.
    fn asked(&mut self, event: Event) -> Result<(), String> {
        let now = Timestamp { mono_ms: self.now_ms, unix_ms: self.now_ms };
        let effects = self.core.handle(now, event);
        check::invariants(&self.core);
        let records = &mut self.records;
        let before = records.len();
        let outgoing = effects.settle(|new| {
            records.extend(new);
            Ok::<_, std::convert::Infallible>(())
        });
        let outgoing = outgoing.unwrap_or_else(|never| match never {});
        let reply = outgoing.replies.into_iter().next().expect("it is answered").result;
        assert!(reply.is_ok() || self.records.len() == before, "a refusal leaves no record");
        self.messages.extend(outgoing.messages);
        self.work.extend(outgoing.work);
        self.moments.push((self.records.len(), durable(&self.core)));
        reply.map(drop).map_err(|refusal| refusal.to_string())
    }

    pub(crate) fn resume(&mut self, run: &RunId) {
        let request = self.request();
        self.event(Event::ResumeRequested { request, run: run.clone() });
    }

    // Workers ---------------------------------------------------------------------------------------------------------

    pub(crate) fn join(&mut self, number: u64) {
        self.join_with(number, 1);
    }

    pub(crate) fn join_with(&mut self, number: u64, slots: u32) {
        let hello = Hello {
            host: "host".into(),
            process: number as u32,
            slots,
            pipelines: vec![pipeline()],
            instance: 0,
            held: Vec::new(),
        };
        self.event(Event::WorkerJoined { worker: worker(number), hello });
    }

    /// A process of one slot opens a session and says what it holds.
    pub(crate) fn come_back(&mut self, number: u64, instance: u64, held: Vec<Held>) {
        let (host, process) = ("host".into(), number as u32);
        let hello = Hello { host, process, slots: 1, pipelines: vec![pipeline()], instance, held };
        self.event(Event::WorkerJoined { worker: worker(number), hello });
    }

    pub(crate) fn vanish(&mut self, number: u64) {
        self.event(Event::WorkerLeft { worker: worker(number) });
        self.messages.retain(|(to, _)| *to != worker(number));
    }

    pub(crate) fn heartbeat(&mut self, number: u64) {
        self.event(Event::Heartbeat { worker: worker(number) });
    }

    /// What this worker was told since it was last asked.
    pub(crate) fn told(&mut self, number: u64) -> Vec<Message> {
        let (told, others) = std::mem::take(&mut self.messages).into_iter().partition(|(to, _)| *to == worker(number));
        self.messages = others;
        let told: Vec<(WorkerId, Message)> = told;
        told.into_iter().map(|(_, message)| message).collect()
    }

    /// The grants among them.
    pub(crate) fn grants(&mut self, number: u64) -> Vec<Grant> {
        let told = self.told(number).into_iter();
        told.filter_map(|message| if let Message::Grant(grant) = message { Some(grant) } else { None }).collect()
    }

    /// The one grant among them.
    pub(crate) fn grant(&mut self, number: u64) -> Grant {
        let grants = self.grants(number);
        assert_eq!(grants.len(), 1, "worker {number} was to be granted one shard: {grants:?}");
        grants[0].clone()
    }

    /// All of a grant, as it is.
    pub(crate) fn report(&mut self, number: u64, grant: &Grant) {
        self.report_as(number, grant, grant.range, outcomes(grant.range), true);
    }

    pub(crate) fn report_as(&mut self, number: u64, grant: &Grant, range: TrialRange, outcomes: Outcomes, last: bool) {
        let run = grant.run.clone();
        self.report_under(number, grant.lease, run, range, outcomes, last);
    }

    pub(crate) fn report_under(
        &mut self,
        number: u64,
        lease: LeaseId,
        run: RunId,
        range: TrialRange,
        outcomes: Outcomes,
        last: bool,
    ) {
        let (outcomes, evaluate_ms) = (Arc::new(outcomes), range.len() as f64);
        let report = Report { lease, run, range, outcomes, evaluate_ms, last, bytes: 100 };
        self.event(Event::Reported { worker: worker(number), report });
    }

    /// These trials go back unevaluated.
    pub(crate) fn hand_back(&mut self, number: u64, grant: &Grant) {
        let nothing = TrialRange::new(grant.range.start, grant.range.start);
        self.report_as(number, grant, nothing, Outcomes::default(), true);
    }

    /// The same, beginning with what it was told.
    pub(crate) fn work_off_of(&mut self, number: u64, told: &[Message]) {
        for message in told {
            if let Message::Grant(grant) = message {
                self.report(number, grant);
            }
        }
        self.work_off(number);
    }

    /// The worker evaluates whatever it is granted until nothing is left for it.
    pub(crate) fn work_off(&mut self, number: u64) {
        loop {
            let grants = self.grants(number);
            if grants.is_empty() {
                return;
            }
            grants.iter().for_each(|grant| self.report(number, grant));
        }
    }

    // Tables ----------------------------------------------------------------------------------------------------------

    /// Whatever is to be written is written.
    pub(crate) fn write_tables(&mut self) {
        while let Some(position) = self.work.iter().position(|work| !matches!(work, TableWork::Compare { .. })) {
            let event = match self.work.remove(position) {
                TableWork::Part { run, part, range } => {
                    Event::PartWritten { run, part, rows: range.len(), bytes: range.len() }
                }
                TableWork::Complete { run } => Event::TablesCompleted { run },
                TableWork::Compare { .. } => unreachable!("it was passed over"),
            };
            self.event(event);
        }
    }

    /// What was asked to be compared, and is found to be the same.
    pub(crate) fn comparisons(&mut self) -> Vec<(u64, Outcomes)> {
        self.compared_with(&[])
    }

    /// What was asked to be compared; these trials are found to differ.
    pub(crate) fn compared_with(&mut self, differing: &[u64]) -> Vec<(u64, Outcomes)> {
        let (asked, others) =
            std::mem::take(&mut self.work).into_iter().partition(|work| matches!(work, TableWork::Compare { .. }));
        self.work = others;
        let asked: Vec<TableWork> = asked;
        let mut compared = Vec::new();
        for work in asked {
            let TableWork::Compare { run, attempt, known, first_trial, outcomes } = work else { continue };
            let slice = |range: &TrialRange| outcomes.slice((range.start - first_trial) as u32, range.len() as u32);
            compared.extend(known.iter().map(|range| (range.start, slice(range))));
            let named: Vec<Difference> = differing.iter().map(|trial| difference(*trial)).collect();
            self.event(Event::Compared { run, attempt, differing: named.len() as u64, named });
        }
        compared
    }

    // What tests look at ----------------------------------------------------------------------------------------------

    pub(crate) fn run(&self, id: &RunId) -> &Run {
        self.core.runs().get(id).expect("it was submitted")
    }

    pub(crate) fn view(&self, id: &RunId) -> RunView {
        self.core.view(id, Timestamp { mono_ms: self.now_ms, unix_ms: 0 }).expect("it was submitted")
    }

    /// The trials whose outcomes are recorded, each as often as it is.
    pub(crate) fn recorded(&self, id: &RunId) -> Vec<u64> {
        let scored = self.records.iter().filter(|record| record.run == *id).filter_map(|record| match &record.record {
            Record::Scored { range, .. } => Some(*range),
            _ => None,
        });
        let mut trials: Vec<u64> = scored.flat_map(|range| range.start..range.end).collect();
        trials.sort_unstable();
        trials
    }

    /// How the attempts went that are recorded, in their order.
    pub(crate) fn attempts(&self, id: &RunId) -> Vec<AttemptOutcome> {
        let of_run = self.records.iter().filter(|record| record.run == *id);
        let attempts = of_run.filter_map(|record| match &record.record {
            Record::Attempted(attempt) => Some(attempt.outcome),
            _ => None,
        });
        attempts.collect()
    }

    /// The one outcome that is recorded of a trial.
    pub(crate) fn outcome(&self, id: &RunId, trial: u64) -> (Status, f64, Vec<TrialError>) {
        let found = self.records.iter().filter(|record| record.run == *id).find_map(|record| match &record.record {
            Record::Scored { range, outcomes } if (range.start..range.end).contains(&trial) => {
                Some(outcomes.slice((trial - range.start) as u32, 1))
            }
            _ => None,
        });
        let outcomes = found.unwrap_or_else(|| panic!("trial {trial} of `{id}` has no outcome"));
        (outcomes.status(0), outcomes.value(0, 0), outcomes.errors)
    }
}
