//! A worker that loses its session and comes back, told by talking to the deciding half: no socket, no thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tumble_domain::{Outcomes, TrialRange};
use tumble_pipelines::Pipeline;
use tumble_pipelines::benchmark_functions::BenchmarkFunctions;
use tumble_worker::worker::{Action, Event, Grant, Job, Piece, Rejoined, Say, Worker};

const RUN_TOML: &str = r#"
name = "sessions"
pipeline = "benchmark-functions"
[config]
dimension = 2
[sweep]
design = "random"
points = 100
[sweep.axes]
x0 = [-1.0, 1.0]
"#;

/// What it says it holds: leases and their trials.
type Claims = Vec<(u64, TrialRange)>;

/// What it says again: leases, the trials of their reports, and whether they are the last ones.
type Reports = Vec<(u64, TrialRange, bool)>;

struct Desk {
    worker: Worker,
    run: Arc<str>,
}

impl Desk {
    fn with_slots(slots: usize) -> Desk {
        let pipelines: Vec<Arc<dyn Pipeline>> = vec![Arc::new(BenchmarkFunctions::new())];
        let mut desk = Desk { worker: Worker::new(pipelines, slots), run: "sessions-1".into() };
        assert!(desk.worker.rejoin().held.is_empty());
        desk.open();
        desk
    }

    fn open(&mut self) {
        let opened = Event::Opened { run: self.run.clone(), run_toml: RUN_TOML.to_owned() };
        assert!(self.worker.handle(opened).is_empty());
    }

    fn grant(&mut self, lease: u64, first: u64, trials: u64) -> Vec<Action> {
        let range = TrialRange::new(first, first + trials);
        self.worker.handle(Event::Granted(Grant {
            lease,
            run: self.run.clone(),
            generation: 0,
            generation_start: 0,
            range,
        }))
    }

    fn start(&mut self, lease: u64, first: u64, trials: u64) -> Job {
        match &self.grant(lease, first, trials)[..] {
            [Action::Start { job, .. }] => job.clone(),
            other => panic!("a slot was to start: {other:?}"),
        }
    }

    fn evaluated(&mut self, slot: usize, first: u64, trials: u64, last: bool) -> Vec<Action> {
        let range = TrialRange::new(first, first + trials);
        let values = (range.start..range.end).map(|trial| trial as f64).collect();
        let outcomes = Outcomes { trials: trials as u32, metrics: 1, values, ..Outcomes::default() };
        self.worker
            .handle(Event::Evaluated { slot, piece: Piece { range, outcomes, evaluate_ms: 1.0, last, refused: None } })
    }

    fn lose_the_session(&mut self) {
        assert!(self.worker.handle(Event::Disconnected).is_empty());
    }

    fn rejoin(&mut self) -> (Claims, Reports) {
        let Rejoined { held, again } = self.worker.rejoin();
        let again = again.into_iter().map(|words| match words {
            Say::Report { lease, piece, .. } => {
                let expected: Vec<f64> = (piece.range.start..piece.range.end).map(|trial| trial as f64).collect();
                assert_eq!(piece.outcomes.values, expected, "outcomes are those of their trials");
                (lease, piece.range, piece.last)
            }
            other => panic!("{other:?}"),
        });
        (held.into_iter().map(|grant| (grant.lease, grant.range)).collect(), again.collect())
    }
}

fn trials(start: u64, end: u64) -> TrialRange {
    TrialRange::new(start, end)
}

#[test]
fn who_comes_back_holds_what_was_not_acknowledged_and_says_it_again() {
    let mut desk = Desk::with_slots(1);
    let job = desk.start(1, 0, 10);
    assert!(desk.grant(2, 10, 10).is_empty() && desk.grant(3, 20, 5).is_empty());
    assert_eq!(desk.evaluated(0, 0, 2, false).len(), 1);
    assert_eq!(desk.evaluated(0, 2, 2, false).len(), 1);
    assert!(desk.worker.handle(Event::Acknowledged { reports: 1 }).is_empty());
    desk.lose_the_session();
    // The slot goes on, and nothing is said.
    assert!(desk.evaluated(0, 4, 1, false).is_empty());
    assert!(!job.abandon.load(Ordering::Relaxed), "a lost session is no reason to give anything up");
    let (held, again) = desk.rejoin();
    assert_eq!(held, [(1, trials(2, 10)), (2, trials(10, 20)), (3, trials(20, 25))]);
    assert_eq!(again, [(1, trials(2, 4), false), (1, trials(4, 5), false)]);
    // Acknowledgements are counted from the session's first report on.
    assert!(desk.worker.handle(Event::Acknowledged { reports: 2 }).is_empty());
    desk.lose_the_session();
    assert_eq!(desk.rejoin(), (vec![(1, trials(5, 10)), (2, trials(10, 20)), (3, trials(20, 25))], Vec::new()));
}

#[test]
fn out_of_a_session_slots_go_on_to_what_waits_and_what_is_finished_is_kept() {
    let mut desk = Desk::with_slots(1);
    desk.start(1, 0, 10);
    assert!(desk.grant(2, 10, 10).is_empty());
    desk.lose_the_session();
    let actions = desk.evaluated(0, 0, 10, true);
    assert!(matches!(&actions[..], [Action::Start { job, .. }] if job.grant.lease == 2), "{actions:?}");
    assert!(desk.evaluated(0, 10, 10, true).is_empty());
    let (held, again) = desk.rejoin();
    assert_eq!(held, [(1, trials(0, 10)), (2, trials(10, 20))]);
    assert_eq!(again, [(1, trials(0, 10), true), (2, trials(10, 20), true)]);
    // It holds them until they are acknowledged, however often it comes back.
    desk.lose_the_session();
    assert_eq!(desk.rejoin().1.len(), 2);
    assert!(!desk.worker.is_idle());
    desk.worker.handle(Event::Acknowledged { reports: 2 });
    assert!(desk.worker.is_idle());
    assert_eq!(desk.rejoin(), (Vec::new(), Vec::new()));
}

#[test]
fn what_is_in_other_hands_is_let_go() {
    let mut desk = Desk::with_slots(1);
    let job = desk.start(1, 0, 10);
    desk.grant(2, 10, 10);
    desk.grant(3, 20, 10);
    desk.lose_the_session();
    desk.rejoin();
    assert!(desk.worker.handle(Event::Revoked { leases: vec![1, 2] }).is_empty());
    assert!(job.abandon.load(Ordering::Relaxed));
    // What is finished of it is said all the same: somebody may want it.
    let actions = desk.evaluated(0, 0, 3, true);
    let [Action::Say(Say::Report { lease: 1, piece, .. }), Action::Start { job, .. }] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!((piece.range.len(), job.grant.lease), (3, 3));
}

#[test]
fn a_run_of_which_nothing_is_held_is_forgotten_with_the_session() {
    let mut desk = Desk::with_slots(1);
    desk.lose_the_session();
    assert_eq!(desk.rejoin(), (Vec::new(), Vec::new()));
    // A grant of it would be one before its run.
    let actions = desk.grant(1, 0, 10);
    assert!(matches!(&actions[..], [Action::Say(Say::CannotRun { .. })]), "{actions:?}");
    desk.open();
    desk.start(2, 0, 10);
}

#[test]
fn a_run_that_is_closed_leaves_nothing_behind() {
    let mut desk = Desk::with_slots(1);
    desk.start(1, 0, 10);
    desk.evaluated(0, 0, 4, false);
    desk.worker.handle(Event::Closed { run: desk.run.clone() });
    assert!(desk.evaluated(0, 4, 0, true).is_empty());
    // Also when it is opened again, as one that was suspended is: those trials may be in other hands.
    desk.open();
    desk.lose_the_session();
    assert_eq!(desk.rejoin(), (Vec::new(), Vec::new()));
    assert!(desk.worker.is_idle());
}
