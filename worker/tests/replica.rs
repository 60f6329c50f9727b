//! A worker and its replica of a strategy, told by talking to the deciding half: no socket, no thread.

use std::sync::Arc;

use tumble_domain::{Fitness, Plan, TrialRange};
use tumble_pipelines::Pipeline;
use tumble_pipelines::benchmark_functions::BenchmarkFunctions;
use tumble_search::{Problem, StateHash, Strategy, Told, strategies};
use tumble_worker::replica::Update;
use tumble_worker::worker::{Action, Event, Grant, Lesson, OpenRun, Say, Worker};

const RUN_TOML: &str = r#"
name = "replica"
pipeline = "benchmark-functions"
[config]
function = "sphere"
dimension = 3
[evolve]
strategy = "cma-es"
population = 8
generations = 20
start = 1.0
"#;

/// A worker, and the strategy as the coordinator has it.
struct Desk {
    worker: Worker,
    strategy: Box<dyn Strategy>,
    run: Arc<str>,
}

impl Desk {
    /// A worker that was told of the run and began its replica with it.
    fn new() -> Desk {
        let pipelines: Vec<Arc<dyn Pipeline>> = vec![Arc::new(BenchmarkFunctions::new())];
        let run: Arc<str> = "replica-1".into();
        let open = OpenRun::try_new(&run, RUN_TOML, &pipelines).expect("it is understood");
        let Plan::Evolve(evolve) = &open.spec.plan else { panic!("it evolves") };
        let problem = Problem::of(evolve, open.pipeline.description(), &open.spec.config, open.spec.seed);
        let problem = problem.expect("it can be searched");
        let strategy = strategies::build(evolve, &problem).expect("it can be built");
        let mut desk = Desk { worker: Worker::new(pipelines, 2), strategy, run: run.clone() };
        assert!(desk.worker.handle(Event::Opened { run, run_toml: RUN_TOML.to_owned() }).is_empty());
        desk
    }

    fn lesson(&mut self, lesson: Lesson, generation: u32, hash: StateHash, bytes: Vec<u8>) -> Vec<Action> {
        let (run, length) = (self.run.clone(), bytes.len() as u64);
        let hash = hash.0.to_vec();
        self.worker.handle(Event::LessonPiece { lesson, run, generation, hash, length, offset: 0, bytes })
    }

    /// The replica begins, with a snapshot or (without one) as the run file makes it.
    fn begin(&mut self, snapshot: Vec<u8>) -> Update {
        let (generation, hash) = (self.strategy.generation(), self.strategy.state_hash());
        update(self.lesson(Lesson::Snapshot, generation, hash, snapshot))
    }

    /// The strategy is told of a generation, and the worker of that.
    fn tell(&mut self) -> Vec<Action> {
        let generation = self.strategy.generation();
        let fitness: Vec<Fitness> = (0..8).map(|i| Fitness::Scored(f64::from((i * 5 + generation) % 8))).collect();
        let told = Told::of(self.strategy.told_as(), &fitness);
        self.strategy.tell(&fitness);
        let hash = self.strategy.state_hash();
        self.lesson(Lesson::Tell, generation, hash, told.encode())
    }

    fn grant(&mut self, generation: u32) -> Vec<Action> {
        let start = u64::from(generation) * 8;
        let range = TrialRange::new(start + 2, start + 4);
        let run = self.run.clone();
        self.worker.handle(Event::Granted(Grant { lease: 1, run, generation, generation_start: start, range }))
    }

    fn updated(&mut self, update: Update) -> Vec<Action> {
        self.worker.handle(Event::Updated(update.carry_out()))
    }

    /// A slot starts on what the strategy proposes now.
    fn starts_rightly(&self, actions: &[Action]) {
        match actions {
            [Action::Start { job, .. }] => {
                let proposal = job.proposal.as_ref().expect("an evolution proposes");
                assert_eq!(**proposal, self.strategy.ask());
                assert_eq!(job.address(job.grant.range.start).candidate, 2);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn update(mut actions: Vec<Action>) -> Update {
    match (actions.pop(), actions.is_empty()) {
        (Some(Action::Update(update)), true) => update,
        other => panic!("{other:?} {actions:?}"),
    }
}

/// Flips one bit of what lies in memory; no checksum guards that.
fn flip(update: &mut Update, bit: usize) {
    let bytes = update.strategy.as_ref().expect("it has a state").snapshot();
    let mut body = bytes[..bytes.len() - 16].to_vec();
    body[bit / 8] ^= 1 << (bit % 8);
    let checksum = StateHash::of(&body);
    body.extend_from_slice(&checksum.0);
    update.strategy = Some(strategies::restore(&body).expect("it is a state as well"));
}

/// The lowest bit of the first step size, which is in every state and which no step overwrites.
fn bit_of_sigma(strategy: &dyn Strategy) -> usize {
    let bytes = strategy.snapshot();
    let sigma = strategy.scalars().iter().find(|(name, _)| *name == "sigma").expect("it has one").1.to_le_bytes();
    8 * bytes.windows(8).position(|window| window == sigma).expect("it is in the snapshot")
}

#[test]
fn a_replica_that_is_told_what_the_strategy_was_told_proposes_the_same() {
    let mut desk = Desk::new();
    let first = desk.begin(Vec::new());
    assert!(desk.grant(0).is_empty(), "what is granted waits for the replica");
    let actions = desk.updated(first);
    desk.starts_rightly(&actions);
    for generation in 1..6 {
        let step = update(desk.tell());
        assert!(desk.updated(step).is_empty());
        let mut fresh = Desk { worker: Worker::new(vec![Arc::new(BenchmarkFunctions::new())], 1), ..desk };
        // A worker that comes late begins with a snapshot.
        fresh.worker.handle(Event::Opened { run: fresh.run.clone(), run_toml: RUN_TOML.to_owned() });
        let begin = fresh.begin(fresh.strategy.snapshot());
        assert!(fresh.updated(begin).is_empty());
        let actions = fresh.grant(generation);
        fresh.starts_rightly(&actions);
        desk = fresh;
    }
}

#[test]
fn a_flipped_bit_is_caught_before_anything_is_evaluated() {
    let mut desk = Desk::new();
    let first = desk.begin(Vec::new());
    desk.updated(first);
    let mut step = update(desk.tell());
    assert!(desk.grant(1).is_empty());
    let bit = bit_of_sigma(&**step.strategy.as_ref().expect("it has a state"));
    flip(&mut step, bit);
    match &desk.updated(step)[..] {
        [Action::Say(Say::Drifted { generation: 0, .. })] => {}
        other => panic!("{other:?}"),
    }
    // What the coordinator sends before it hears of that leads nowhere.
    assert!(desk.tell().is_empty());
    assert!(desk.grant(2).is_empty());
    let begin = desk.begin(desk.strategy.snapshot());
    match &desk.updated(begin)[..] {
        [Action::Say(Say::Report { piece, .. }), Action::Start { job, .. }] => {
            assert!(piece.range.is_empty(), "the grant of a generation that is over goes back");
            assert_eq!(job.proposal.as_deref(), Some(&desk.strategy.ask()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_makes_no_sense_costs_the_replica_and_not_the_worker() {
    let says_drifted = |actions: &[Action]| matches!(actions, [Action::Say(Say::Drifted { .. })]);
    // Told without a replica; with bytes that are nothing; of another generation; of too few candidates.
    let mut desk = Desk::new();
    assert!(says_drifted(&desk.tell()));
    let few = Told::of(tumble_search::ToldAs::Places, &[Fitness::Worst; 3]).encode();
    for (generation, bytes) in [(0, vec![1, 2, 3]), (7, few.clone()), (0, few)] {
        let mut desk = Desk::new();
        let first = desk.begin(Vec::new());
        desk.updated(first);
        let step = update(desk.lesson(Lesson::Tell, generation, StateHash([0; 16]), bytes));
        assert!(says_drifted(&desk.updated(step)));
    }
    // A snapshot that is none, and one of another state than was promised.
    let mut desk = Desk::new();
    let begin = desk.begin(vec![1, 0, 9]);
    assert!(says_drifted(&desk.updated(begin)));
    let begin = update(desk.lesson(Lesson::Snapshot, 0, StateHash([7; 16]), Vec::new()));
    assert!(says_drifted(&desk.updated(begin)));
    // A proposal is always a way out.
    let bytes = desk.strategy.ask().encode();
    assert!(desk.grant(0).is_empty());
    let actions = desk.lesson(Lesson::Proposal, 0, StateHash::of(&bytes), bytes);
    desk.starts_rightly(&actions);
}

#[test]
fn an_update_of_a_run_that_was_closed_meanwhile_comes_to_nothing() {
    let mut desk = Desk::new();
    let first = desk.begin(Vec::new());
    let run = desk.run.clone();
    desk.worker.handle(Event::Closed { run: run.clone() });
    desk.worker.handle(Event::Opened { run, run_toml: RUN_TOML.to_owned() });
    assert!(desk.updated(first).is_empty());
    assert!(matches!(desk.grant(0)[..], [Action::Say(Say::CannotRun { .. })]));
}
