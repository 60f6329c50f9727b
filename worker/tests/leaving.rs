//! A worker that is asked to leave, told by talking to the deciding half: no socket, no thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tumble_domain::{Failure, Outcomes, PipelineDescription, TrialRange};
use tumble_pipelines::benchmark_functions::BenchmarkFunctions;
use tumble_pipelines::{Evaluator, Pipeline, Trial};
use tumble_worker::evaluate::Slot;
use tumble_worker::worker::{Action, Event, Grant, Job, Piece, Say, Worker};

const RUN_TOML: &str = r#"
name = "leaving"
pipeline = "benchmark-functions"
[config]
dimension = 2
[sweep]
design = "random"
points = 100
[sweep.axes]
x0 = [-1.0, 1.0]
"#;

/// A worker of one slot, told of a run.
fn worker() -> (Worker, Arc<str>) {
    let pipelines: Vec<Arc<dyn Pipeline>> = vec![Arc::new(BenchmarkFunctions::new())];
    let (mut worker, run) = (Worker::new(pipelines, 1), Arc::<str>::from("leaving-1"));
    assert!(worker.handle(Event::Opened { run: run.clone(), run_toml: RUN_TOML.to_owned() }).is_empty());
    (worker, run)
}

fn granted(lease: u64, run: &Arc<str>, first: u64, trials: u64) -> Event {
    let range = TrialRange::new(first, first + trials);
    Event::Granted(Grant { lease, run: run.clone(), generation: 0, generation_start: 0, range })
}

fn evaluated(first: u64, trials: u64, last: bool) -> Event {
    let range = TrialRange::new(first, first + trials);
    let outcomes =
        Outcomes { trials: trials as u32, metrics: 1, values: vec![0.5; trials as usize], ..Outcomes::default() };
    Event::Evaluated { slot: 0, piece: Piece { range, outcomes, evaluate_ms: 1.0, last, refused: None } }
}

fn started(actions: &[Action]) -> Job {
    let [Action::Start { job, .. }] = actions else { panic!("a slot was to start: {actions:?}") };
    job.clone()
}

/// What it wants, in short: reports as lease, trials and whether it is the last; words; the end.
fn shortly(actions: &[Action]) -> Vec<String> {
    let of = |action: &Action| match action {
        Action::Say(Say::Report { lease, piece, .. }) => {
            format!("report {lease} {}{}", piece.range.len(), if piece.last { " last" } else { "" })
        }
        Action::Say(Say::Leaving) => "leaving".to_owned(),
        Action::Quit => "quit".to_owned(),
        other => format!("{other:?}"),
    };
    actions.iter().map(of).collect()
}

#[test]
fn who_is_asked_to_leave_reports_what_is_finished_and_hands_back_the_rest() {
    let (mut worker, run) = worker();
    let job = started(&worker.handle(granted(1, &run, 0, 10)));
    assert!(worker.handle(granted(2, &run, 10, 10)).is_empty());
    // What waits goes back at once, what is being evaluated is given up.
    assert_eq!(shortly(&worker.handle(Event::LeaveRequested)), ["leaving", "report 2 0 last"]);
    assert!(job.abandon.load(Ordering::Relaxed));
    assert!(worker.handle(Event::Farewell).is_empty());
    assert_eq!(shortly(&worker.handle(evaluated(0, 3, true))), ["report 1 3 last", "quit"]);
}

/// A worker went when its slots were idle. A grant that was on its way then was answered by nobody, and its lease lost.
#[test]
fn who_leaves_answers_every_grant_that_was_on_its_way() {
    let (mut worker, run) = worker();
    let _job = started(&worker.handle(granted(1, &run, 0, 10)));
    assert_eq!(shortly(&worker.handle(Event::LeaveRequested)), ["leaving"]);
    // Also while its slot is busy still, which may take long.
    assert_eq!(shortly(&worker.handle(granted(2, &run, 10, 10))), ["report 2 0 last"]);
    assert_eq!(shortly(&worker.handle(evaluated(0, 0, true))), ["report 1 0 last"], "a grant may be on its way yet");
    assert_eq!(shortly(&worker.handle(granted(3, &run, 20, 10))), ["report 3 0 last"]);
    assert_eq!(shortly(&worker.handle(Event::Farewell)), ["quit"]);
}

#[test]
fn who_has_nothing_to_do_waits_for_the_farewell_alone() {
    let (mut worker, _) = worker();
    assert_eq!(shortly(&worker.handle(Event::LeaveRequested)), ["leaving"]);
    assert_eq!(shortly(&worker.handle(Event::Farewell)), ["quit"]);
}

/// Scores three trials, has its worker asked to leave in the fourth, and does not come to its end before it is given up.
struct Endless {
    description: PipelineDescription,
    abandon: Arc<AtomicBool>,
}

impl Pipeline for Endless {
    fn description(&self) -> &PipelineDescription {
        &self.description
    }

    fn evaluator(&self) -> Box<dyn Evaluator> {
        Box::new(EndlessFourth { trials: 0, abandon: self.abandon.clone() })
    }
}

struct EndlessFourth {
    trials: u32,
    abandon: Arc<AtomicBool>,
}

impl Evaluator for EndlessFourth {
    fn evaluate(&mut self, trial: &Trial<'_>, metrics: &mut [f64]) -> Result<(), Failure> {
        self.trials += 1;
        if self.trials == 4 {
            self.abandon.store(true, Ordering::Relaxed);
            loop {
                trial.watch.check()?;
            }
        }
        metrics[0] = 0.25;
        Ok(())
    }
}

#[test]
fn a_slot_that_is_to_stop_in_a_trial_gives_out_those_that_are_finished() {
    let abandon = Arc::<AtomicBool>::default();
    let description = BenchmarkFunctions::new().description().clone();
    let pipelines: Vec<Arc<dyn Pipeline>> = vec![Arc::new(Endless { description, abandon: abandon.clone() })];
    let (mut worker, run) = (Worker::new(pipelines, 1), Arc::<str>::from("leaving-1"));
    assert!(worker.handle(Event::Opened { run: run.clone(), run_toml: RUN_TOML.to_owned() }).is_empty());
    let job = Job { abandon, ..started(&worker.handle(granted(1, &run, 20, 10))) };
    let mut pieces = Vec::new();
    Slot::default().evaluate(&job, |piece| pieces.push(piece));
    let all: Vec<f64> = pieces.iter().flat_map(|piece| piece.outcomes.values.clone()).collect();
    assert_eq!(all, [0.25; 3]);
    let last = pieces.last().expect("it says that it is done");
    assert!(last.last && last.range.end == 23, "{last:?}");
}
