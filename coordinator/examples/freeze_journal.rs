//! Makes the frozen journal of `tests/history`: `cargo run -p tumble-coordinator --example freeze_journal -- FOLDER`.
//!
//! It drives the core as the driver does, without clock and sockets, so every kind of record is in it that a coordinator
//! of today writes. Once a version of Tumble is out, its frozen journal is never made again: a new format gets a folder
//! of its own beside it.

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{bowl, given_points, outcomes, submission};
use tumble_coordinator::journal::Journal;
use tumble_core::{
    Attempt, AttemptOutcome, Coordinator, Difference, Event, Grant, Hello, Limits, Message, Record, Report, RequestId,
    RunId, RunRecord, Submission, TableWork, Timestamp, WorkerId,
};
use tumble_domain::TrialRange;

struct World {
    core: Coordinator,
    journal: Journal,
    mono_ms: u64,
    grants: VecDeque<(WorkerId, Grant)>,
    work: VecDeque<TableWork>,
}

impl World {
    fn event(&mut self, event: Event) {
        self.mono_ms += 10;
        let now = Timestamp { mono_ms: self.mono_ms, unix_ms: 1_700_000_000_000 + self.mono_ms };
        let mut covered = Vec::new();
        let journal = &mut self.journal;
        let outgoing = self
            .core
            .handle(now, event)
            .settle(|records: Vec<RunRecord>| {
                journal.append(&records)?;
                covered.extend(records.into_iter().filter_map(|record| match record.record {
                    Record::Checkpoint(_) => Some((record.run, false)),
                    Record::Finished => Some((record.run, true)),
                    _ => None,
                }));
                Ok::<_, tumble_coordinator::journal::JournalError>(())
            })
            .expect("the journal can be written");
        for (run, finished) in covered {
            let written_end = self.core.runs().get(&run).expect("it has a record").written_end();
            let tidied = if finished { journal.forget(&run) } else { journal.retire(&run, written_end) };
            tidied.expect("the journal can be written");
        }
        self.grants.extend(outgoing.messages.into_iter().filter_map(|(worker, message)| match message {
            Message::Grant(grant) => Some((worker, grant)),
            _ => None,
        }));
        self.work.extend(outgoing.work);
    }

    fn submit(&mut self, submission: Submission) -> RunId {
        let run = submission.run.clone();
        self.event(Event::Submitted { request: RequestId(0), submission: Box::new(submission) });
        run
    }

    fn join(&mut self, worker: u64) {
        let hello = Hello {
            host: "somewhere".into(),
            process: worker as u32,
            slots: 1,
            pipelines: vec![bowl()],
            instance: 0,
            held: Vec::new(),
        };
        self.event(Event::WorkerJoined { worker: WorkerId(worker), hello });
    }

    /// Reports until so many trials of the run are done and no more, and has its parts written.
    fn evaluate(&mut self, run: &RunId, enough: u64) {
        loop {
            let done = self.core.runs().get(run).expect("it was submitted").done.len();
            if done >= enough {
                break;
            }
            let (worker, grant) = self.grants.pop_front().expect("there is always a grant");
            if self.core.leases().get(&grant.lease).is_none() {
                continue; // it was lost with its worker, or its run is over
            }
            let most = if grant.run == *run { 1500.min(enough - done) } else { 1 };
            let end = grant.range.end.min(grant.range.start + most);
            let range = TrialRange::new(grant.range.start, end);
            let report = Report {
                lease: grant.lease,
                run: grant.run.clone(),
                range,
                outcomes: Arc::new(outcomes(range)),
                evaluate_ms: 0.25 * range.len() as f64,
                last: true,
                bytes: 100 + 16 * range.len(),
            };
            self.event(Event::Reported { worker, report });
            self.write(|work| matches!(work, TableWork::Part { run: of, .. } if of == run));
        }
    }

    /// A second evaluation of a trial has been compared, and differs.
    fn compare(&mut self, run: &RunId, trial: u64) {
        let attempt = Attempt {
            range: TrialRange::new(trial, trial + 1),
            attempt: 1,
            worker: "somewhere/2".into(),
            host: "somewhere".into(),
            granted_unix_ms: 1_700_000_000_000,
            ended_unix_ms: 1_700_000_000_500,
            evaluate_ms: 0.25,
            outcome: AttemptOutcome::Duplicate,
            bytes_down: 0,
            bytes_up: 100,
        };
        let (column, recorded, again) = ("height".into(), "0.5".into(), "0.25".into());
        let named = vec![Difference { trial, column, recorded, again }];
        self.event(Event::Compared { run: run.clone(), attempt: Box::new(attempt), differing: 1, named });
    }

    /// Answers what the tables were asked for, as far as `wanted` says.
    fn write(&mut self, wanted: impl Fn(&TableWork) -> bool) {
        while let Some(position) = self.work.iter().position(&wanted) {
            match self.work.remove(position).expect("it was found") {
                TableWork::Part { run, part, range } => {
                    self.event(Event::PartWritten { run, part, rows: range.len(), bytes: 1000 + range.len() });
                }
                TableWork::Complete { run } => self.event(Event::TablesCompleted { run }),
                TableWork::Compare { .. } => {}
            }
        }
    }
}

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("the folder for the journal"));
    // `given` behind the folder: a journal of its own, for the first one was frozen before there was such a run.
    let is_given = std::env::args().nth(2).is_some_and(|word| word == "given");
    let path = folder.join(if is_given { "given.sqlite" } else { "journal.sqlite" });
    assert!(!path.exists(), "{} is frozen", path.display());
    let journal = Journal::open(&path).expect("the folder can be written");
    // Few generations between two checkpoints, so that the file is small and has both.
    let limits = Limits { checkpoint_generations: 4, ..Limits::default() };
    let length = |message: &Message| match message {
        Message::Proposal { bytes, .. } | Message::Snapshot { bytes, .. } | Message::Tell { bytes, .. } => {
            bytes.len() as u64
        }
        _ => 60,
    };
    let now = Timestamp { mono_ms: 0, unix_ms: 1_700_000_000_000 };
    let core = Coordinator::replay(limits, length, journal.epoch(), now, []).expect("there is nothing to replay");
    let mut world = World { core, journal, mono_ms: 0, grants: VecDeque::new(), work: VecDeque::new() };

    world.join(1);
    if is_given {
        // Seven generations of different sizes; the last is half evaluated, and a checkpoint has the first ones.
        let run = world.submit(submission("given", "[evolve]\nstrategy = \"given\"\n"));
        for (generation, end) in (0..7).zip([3, 8, 10, 13, 18, 20, 22]) {
            let points = given_points(generation).into();
            world.event(Event::Given { request: RequestId(0), run: run.clone(), generation, points });
            world.evaluate(&run, end);
        }
        return end(world, &path);
    }
    // Complete, and forgotten but for its checkpoint.
    let finished =
        world.submit(submission("finished", "[sweep]\ndesign = \"grid\"\n[sweep.axes]\nx0 = [1.0, 2.0, 3.0]"));
    world.evaluate(&finished, 3);
    world.write(|_| true);

    // A part stands; a worker was lost, results differed, the wall was reached, and it went on.
    let sweep = "[sweep]\ndesign = \"grid\"\n[sweep.axes]\nx0 = { linear = [0.0, 1.0], points = 4200 }\n";
    let swept = world.submit(submission("swept", &format!("{sweep}[limits]\nwall = \"1h\"")));
    world.evaluate(&swept, 2000);
    world.event(Event::WorkerLeft { worker: WorkerId(1) });
    world.join(2);
    world.evaluate(&swept, 4096);
    world.compare(&swept, 7);
    world.compare(&swept, 4097);
    world.mono_ms += 3_600_000;
    world.event(Event::Heartbeat { worker: WorkerId(2) });
    world.event(Event::Tick);
    world.event(Event::ResumeRequested { request: RequestId(0), run: swept.clone() });
    world.evaluate(&swept, 4120);

    // In the middle of a generation, some of them behind a checkpoint and some not.
    let evolve = "seed = 9\nreplicates = 2\n[evolve]\nstrategy = \"cma-es\"\npopulation = 8\ngenerations = 1000\n";
    let evolved = world.submit(submission("evolved", &format!("{evolve}start = 0.5\nsigma = 0.25")));
    world.evaluate(&evolved, 16 * 6 + 5);

    // Cancelled; its part stands, the other tables do not.
    let cancelled = world.submit(submission("cancelled", sweep));
    world.evaluate(&cancelled, 40);
    world.event(Event::CancelRequested { request: RequestId(0), run: cancelled });
    world.write(|work| matches!(work, TableWork::Part { .. }));

    // Stopped by its wall limit.
    let suspended = world.submit(submission("suspended", &format!("{sweep}[limits]\nwall = \"1s\"")));
    world.evaluate(&suspended, 20);
    world.mono_ms += 2_000;
    world.event(Event::Heartbeat { worker: WorkerId(2) });
    world.event(Event::Tick);

    // Nobody has begun with it.
    world.event(Event::WorkerLeft { worker: WorkerId(2) });
    world.submit(submission("untouched", sweep));
    end(world, &path);
}

/// The journal as one file.
fn end(world: World, path: &Path) {
    drop(world);
    let connection = rusqlite::Connection::open(path).expect("it was just written");
    connection.execute_batch("PRAGMA journal_mode=DELETE; VACUUM;").expect("it can be written");
}
