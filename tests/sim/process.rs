//! The coordinator's process: the real core, and a driver that does what `coordinator/src/driver.rs` does, but may die
//! between any two of its steps.

use std::collections::{BTreeSet, VecDeque};

use tumble_core::{
    Coordinator, Difference, Effects, Event, Message, Outgoing, Phase, Record, Run, RunId, RunRecord, TableWork, Worker,
};
use tumble_domain::{Outcomes, TrialRange};

use crate::check;
use crate::disk::Completion;
use crate::hosts::Down;
use crate::rows::Rows;
use crate::world::{Happening, World};

/// The most events of a turn: few, so that there are many moments to die in.
const TURN_EVENTS_MAX: u64 = 6;

pub(crate) struct Process {
    pub(crate) core: Coordinator,
    pub(crate) inbox: VecDeque<Event>,
    pub(crate) turn_is_due: bool,
    jobs: VecDeque<Job>,
    /// What is let out when the disk has taken the records of its turn.
    held_back: Option<(Outgoing, Vec<(RunId, bool)>)>,
}

/// What the thread that writes tables is to do.
enum Job {
    Part { run: RunId, part: u64, range: TrialRange, rows: Rows },
    Complete { run: RunId, completion: Box<Completion> },
}

/// The coordinator died in the middle of a turn.
struct Died;

impl Process {
    /// Whether all that the core knows is on disk.
    pub(crate) fn is_durable(&self) -> bool {
        self.held_back.is_none()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.jobs.is_empty() && self.held_back.is_none()
    }
}

impl World {
    pub(crate) fn start_coordinator(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.epoch += 1;
        self.tell(|| "the coordinator starts".to_owned());
        let core = self.replayed();
        check::invariants(&core);
        let inbox = VecDeque::from([Event::Tick]);
        self.process = Some(Process { core, inbox, turn_is_due: true, jobs: VecDeque::new(), held_back: None });
        self.now(Happening::Turn { epoch: self.epoch });
        self.now(Happening::Tick { epoch: self.epoch });
        self.ask_all_again();
    }

    /// The coordinator that the journal alone makes.
    fn replayed(&self) -> Coordinator {
        let records = self.disk.journal.replay();
        Coordinator::replay(self.limits.clone(), |_| 32, self.epoch, self.timestamp(), records)
            .unwrap_or_else(|error| panic!("the journal can be replayed: {error}"))
    }

    /// The coordinator is killed.
    pub(crate) fn crash(&mut self) {
        self.dies_in = None;
        let Some(mut process) = self.process.take() else { return };
        self.tell(|| "the coordinator is killed".to_owned());
        // A table that is being written appears, or it does not.
        if let Some(job) = process.jobs.pop_front()
            && self.chance.one_in(2)
        {
            self.put_on_disk(job);
        }
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        for worker in sessions {
            let ms = self.chance.between(1, 300);
            self.cut(worker, None, Some(ms));
        }
    }

    fn put_on_disk(&mut self, job: Job) -> Event {
        match job {
            Job::Part { run, part, range, rows } => {
                let count = rows.len();
                self.disk.tables.put_part(&run, part, range, rows);
                Event::PartWritten { run, part, rows: count, bytes: 8 * count }
            }
            Job::Complete { run, completion } => {
                self.disk.tables.put_completion(&run, *completion);
                Event::TablesCompleted { run }
            }
        }
    }

    pub(crate) fn table_written(&mut self, epoch: u32) {
        if !self.is_life(epoch) {
            return;
        }
        let process = self.process.as_mut().expect("it lives");
        let job = process.jobs.pop_front().expect("the job is there until it is done");
        let more = !process.jobs.is_empty();
        let event = self.put_on_disk(job);
        if more {
            self.start_writing();
        }
        self.put(event);
    }

    fn start_writing(&mut self) {
        let ms = self.chance.between(1, 60);
        self.in_ms(ms, Happening::TableWritten { epoch: self.epoch });
    }

    fn add_job(&mut self, process: &mut Process, job: Job) {
        let run_of = |job: &Job| match job {
            Job::Part { run, .. } | Job::Complete { run, .. } => run.clone(),
        };
        let twice = process.jobs.iter().any(|other| run_of(other) == run_of(&job));
        assert!(!twice, "two tables of `{}` are being written at once", run_of(&job));
        process.jobs.push_back(job);
        if process.jobs.len() == 1 {
            self.start_writing();
        }
    }

    /// One turn of the driver: handle, make durable, let out, tidy.
    pub(crate) fn turn(&mut self, epoch: u32) {
        if !self.is_life(epoch) {
            return;
        }
        let mut process = self.process.take().expect("it lives");
        if process.held_back.is_some() {
            self.process = Some(process);
            return; // it is due again when the disk is done
        }
        process.turn_is_due = false;
        let died = self.turn_of(&mut process).is_err();
        self.end_turn(epoch, process, died);
    }

    /// The disk has taken the records of a turn.
    pub(crate) fn committed(&mut self, epoch: u32) {
        if !self.is_life(epoch) {
            return;
        }
        let mut process = self.process.take().expect("it lives");
        let (outgoing, covered) = process.held_back.take().expect("the driver waits for it");
        let died = self.let_out(&mut process, outgoing, covered).is_err();
        self.end_turn(epoch, process, died);
    }

    fn end_turn(&mut self, epoch: u32, process: Process, died: bool) {
        let more = !process.inbox.is_empty() && process.held_back.is_none();
        self.process = Some(process);
        if died {
            self.crash();
            let ms = self.chance.between(1, 500);
            self.in_ms(ms, Happening::Restart);
        } else if more {
            self.process.as_mut().expect("it lives").turn_is_due = true;
            self.now(Happening::Turn { epoch });
        }
    }

    fn step(&mut self) -> Result<(), Died> {
        match &mut self.dies_in {
            Some(0) => Err(Died),
            Some(steps) => {
                *steps -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn turn_of(&mut self, process: &mut Process) -> Result<(), Died> {
        let now = self.timestamp();
        let mut effects = Effects::default();
        let most = self.chance.between(1, TURN_EVENTS_MAX);
        for _ in 0..most {
            let Some(event) = process.inbox.pop_front() else { break };
            self.tell(|| format!("event {}", shortly(&event)));
            let ticks = matches!(event, Event::Tick);
            let names = |core: &Coordinator| core.roster().values().map(Worker::name).collect::<BTreeSet<_>>();
            let before = if ticks { names(&process.core) } else { BTreeSet::new() };
            effects.append(process.core.handle(now, event));
            if ticks {
                self.given_up.extend(before.difference(&names(&process.core)).cloned());
            }
            check::invariants(&process.core);
            if self.lies == 0 {
                check::memory(&process.core);
            }
        }
        let (mut covered, mut wrote) = (Vec::new(), false);
        let outgoing = effects.settle(|records: Vec<RunRecord>| {
            self.step()?;
            if self.now_ms < self.full_until_ms {
                self.refused_commits += 1;
                return Err(Died); // the driver stops; somebody starts it again
            }
            wrote = true;
            self.disk.journal.append(records.clone());
            covered.extend(records.into_iter().filter_map(covering));
            self.step()
        })?;
        let ms = if wrote { self.chance.below(self.commit_ms + 1) } else { 0 };
        if ms > 0 {
            process.held_back = Some((outgoing, covered));
            self.in_ms(ms, Happening::Committed { epoch: self.epoch });
            return Ok(());
        }
        self.let_out(process, outgoing, covered)
    }

    fn let_out(&mut self, process: &mut Process, outgoing: Outgoing, covered: Vec<(RunId, bool)>) -> Result<(), Died> {
        self.release(process, outgoing)?;
        for (run, finished) in covered {
            self.step()?;
            if finished {
                self.disk.journal.forget(&run);
            } else {
                let written = process.core.runs().get(&run).expect("it has records").written_end();
                self.disk.journal.retire(&run, written);
            }
        }
        self.step()?;
        if self.chance.one_in(16) {
            let replayed = self.replayed();
            check::invariants(&replayed);
            for (run, other) in process.core.runs().iter().zip(replayed.runs().iter()) {
                assert_eq!(durable(run), durable(other), "`{}` is not what its records make of it", run.id);
            }
        }
        Ok(())
    }

    fn release(&mut self, process: &mut Process, outgoing: Outgoing) -> Result<(), Died> {
        for (worker, message) in outgoing.messages {
            self.step()?;
            self.tell(|| format!("to {worker:?} {}", told(&message)));
            if let Message::Dismiss { .. } = message {
                let ms = self.chance.between(1, 200);
                self.cut(worker, Some(0), Some(ms));
            } else {
                self.send(worker, message);
            }
        }
        for (worker, reports) in outgoing.acknowledged {
            self.step()?;
            self.carry_down(worker, Down::Acknowledged(reports));
        }
        for reply in outgoing.replies {
            self.step()?;
            self.answer(reply.request, reply.result);
        }
        for work in outgoing.work {
            self.step()?;
            match work {
                TableWork::Part { run, part, range } => {
                    let mut rows = Rows::default();
                    let mut expected = range.start;
                    for (piece, outcomes) in self.disk.journal.outcomes(&run, range) {
                        assert_eq!(piece.start, expected, "the journal has every trial of part {part} of `{run}`");
                        expected = piece.end;
                        rows.extend(&outcomes);
                    }
                    assert_eq!(expected, range.end, "the journal has every trial of part {part} of `{run}`");
                    self.add_job(process, Job::Part { run, part, range, rows });
                }
                TableWork::Complete { run } => {
                    let known = process.core.runs().get(&run).expect("the core has just named it");
                    let Phase::Ending(reason) = &known.phase else {
                        panic!("`{run}` is completed as {:?}", known.phase)
                    };
                    let completion = Box::new(Completion {
                        generations: self.disk.journal.generations(&run),
                        champion: known.evolution.as_ref().and_then(|evolution| evolution.champion.clone()),
                        reason: reason.clone(),
                    });
                    self.add_job(process, Job::Complete { run, completion });
                }
                TableWork::Compare { run, attempt, known: _, first_trial, outcomes } => {
                    let named = self.compare(&run, first_trial, &outcomes);
                    process.inbox.push_front(Event::Compared { run, attempt, differing: named.len() as u64, named });
                }
            }
        }
        Ok(())
    }

    fn compare(&self, run: &RunId, first: u64, second: &Outcomes) -> Vec<Difference> {
        let range = TrialRange::new(first, first + u64::from(second.trials));
        let row = |outcomes: &Outcomes, at: u64| {
            let mut row = Rows::default();
            row.extend(&outcomes.slice(at as u32, 1));
            (row.statuses, row.values)
        };
        let recorded = self.disk.journal.outcomes(run, range);
        let trials =
            recorded.iter().flat_map(|(range, outcomes)| (range.start..range.end).map(move |t| (range, outcomes, t)));
        trials
            .filter(|(range, outcomes, trial)| row(outcomes, trial - range.start) != row(second, trial - first))
            .map(|(_, _, trial)| Difference {
                trial,
                column: String::new(),
                recorded: String::new(),
                again: String::new(),
            })
            .collect()
    }
}

/// A run whose journal can be tidied after this record, and whether it is finished.
fn covering(record: RunRecord) -> Option<(RunId, bool)> {
    match record.record {
        Record::Checkpoint(_) => Some((record.run, false)),
        Record::Finished => Some((record.run, true)),
        _ => None,
    }
}

/// All of a run that its records are to bring back, as text.
fn durable(run: &Run) -> String {
    let evolution =
        run.evolution.as_ref().map(|evolution| (evolution.generation(), evolution.proposal().1, &evolution.champion));
    format!(
        "{} {} {:?} {:?} failed {} end {} parts {} {evolution:?} best {:?} bytes {} {} disagreements {} resyncs {}",
        run.id,
        run.key,
        run.phase,
        run.done,
        run.failed,
        run.trials_end,
        run.parts,
        run.best.map(f64::to_bits),
        run.bytes_down,
        run.bytes_up,
        run.disagreements,
        run.resyncs
    )
}

fn shortly(event: &Event) -> String {
    match event {
        Event::Reported { worker, report } => {
            format!("{worker:?} reports {:?} {} {} last {}", report.lease, report.run, report.range, report.last)
        }
        Event::Submitted { submission, .. } => format!("submitted {}", submission.run),
        Event::WorkerJoined { worker, .. } => format!("{worker:?} joins"),
        event => format!("{event:?}"),
    }
}

fn told(message: &Message) -> String {
    match message {
        Message::OpenRun { run, .. } => format!("open {run}"),
        Message::Proposal { run, generation, .. } => format!("proposal {run} {generation}"),
        Message::Snapshot { run, generation, .. } => format!("snapshot {run} {generation}"),
        Message::Tell { run, generation, .. } => format!("tell {run} {generation}"),
        message => format!("{message:?}"),
    }
}
