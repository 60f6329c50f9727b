//! The driver: gathers events, has the core handle them, makes the records durable, lets the rest out.
//!
//! It runs on a thread of its own and owns the core and the journal; everything reaches it through one bounded queue, so a
//! flood of reports slows its senders down instead of filling the memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tonic::Status;
use tumble_bundle::Hash;
use tumble_core::{
    Coordinator, DIFFERENCES_NAMED_MAX, Effects, Event, Hello, Message, Outgoing, Phase, Record, Refusal, ReplayError,
    RequestId, RunId, RunRecord, RunView, Submission, TableWork, Timestamp, WorkerId,
};
use tumble_domain::{Outcomes, PipelineDescription, TrialRange};

use crate::audit;
use crate::blobs::Blobs;
use crate::bounds::{ANNOUNCED_MAX, COMPARISONS_MAX, Room, TURN_EVENTS_MAX};
use crate::compare::Comparison;
use crate::folder::{self, Folders};
use crate::journal::{Journal, JournalError};
use crate::outbox::{NotTaken, Outbox};
use crate::outlet::{Done, Job, RunTables};
use crate::owner::Lost;
use crate::wire;

/// The driver looks around at least this often, and never more often than the second when only time passes.
const LOOK_AROUND: Duration = Duration::from_secs(1);
const LOOK_AROUND_MIN: Duration = Duration::from_millis(50);

/// What reaches the driver.
pub(crate) enum Input {
    /// A worker has said hello; messages to it go into `outbox`.
    Joined { worker: WorkerId, hello: Hello, outbox: Outbox },
    /// A worker has said something else; it takes room until it is dealt with.
    FromWorker { event: Event, room: Room },
    /// Something else has happened.
    Event(Event),
    /// A client submits.
    Submit { submission: Box<Submission>, reply: oneshot::Sender<Answer> },
    /// A client asks for an end.
    Cancel { run: String, reply: oneshot::Sender<Answer> },
    /// A client asks to go on.
    Resume { run: String, reply: oneshot::Sender<Answer> },
    /// A client gives the candidates of a generation.
    Give { run: String, generation: u32, points: Arc<[f64]>, reply: oneshot::Sender<Answer> },
    /// A client asks for the outcomes of candidates that it gave, if they are all there.
    Answered {
        run: RunId,
        generation: u32,
        points: Arc<[f64]>,
        reply: oneshot::Sender<Result<Option<Arc<Outcomes>>, Refusal>>,
    },
    /// A client gives no more.
    Finish { run: String, reply: oneshot::Sender<Answer> },
    /// A client follows a run.
    Watch { run: String, reply: oneshot::Sender<Result<watch::Receiver<RunView>, Refusal>> },
    /// A client asks for all runs.
    List { reply: oneshot::Sender<Listing> },
    /// A worker asks for the files of a run: their hash and the run's folder, if it is not finished and files travel with it.
    Bundle { run: RunId, reply: oneshot::Sender<Option<(String, PathBuf)>> },
    /// A client asks what workers announce.
    Pipelines { reply: oneshot::Sender<Vec<PipelineDescription>> },
    /// A table is written, or could not be.
    Written(Result<Done, tumble_tables::TableError>),
    /// The state folder is not ours any more.
    Lost(Lost),
    /// The process is leaving.
    Stop,
}

/// A run as it is now, or why not.
pub(crate) type Answer = Result<RunView, Refusal>;

/// All runs and the workers of the moment.
pub(crate) struct Listing {
    pub(crate) runs: Vec<RunView>,
    pub(crate) workers: u32,
    pub(crate) slots: u32,
}

/// Why the coordinator cannot go on. Everything acknowledged is in the journal.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The journal cannot be written or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal is there but makes no sense.
    #[error("failed to replay the journal: {0}")]
    Replay(#[from] ReplayError),
    /// A table cannot be written.
    #[error("failed to write a table: {0}")]
    Table(#[from] tumble_tables::TableError),
    /// Trials that the core knows as scored are not in the journal.
    #[error("the journal has no outcomes for trials {range} of run `{run}`, though they were recorded")]
    Gap {
        /// Whose trials.
        run: RunId,
        /// Which.
        range: TrialRange,
    },
}

pub(crate) struct Driver {
    core: Coordinator,
    journal: Journal,
    inputs: mpsc::Receiver<Input>,
    jobs: std::sync::mpsc::Sender<Job>,
    blobs: Arc<Blobs>,
    outboxes: BTreeMap<WorkerId, Outbox>,
    /// What the messages of this turn take until they are durable.
    rooms: Vec<Room>,
    waiting: BTreeMap<RequestId, oneshot::Sender<Answer>>,
    watched: BTreeMap<RunId, watch::Sender<RunView>>,
    next_request: u64,
    /// Comparisons that the tables' thread has yet to make.
    comparing: usize,
    started: Instant,
}

impl Driver {
    /// Replays the journal, and tidies what a killed process left unfinished in the folders of open runs.
    pub(crate) fn restore(
        mut journal: Journal,
        folders: &Folders,
        limits: tumble_core::Limits,
        inputs: mpsc::Receiver<Input>,
        jobs: std::sync::mpsc::Sender<Job>,
        blobs: Arc<Blobs>,
    ) -> Result<Driver, DriveError> {
        let started = Instant::now();
        for repair in journal.repair()? {
            tracing::warn!(run = %repair.run, "{}", repair.what);
        }
        let replayed = |journal: &Journal| {
            let mut records = journal.replay()?;
            if let Folders::Exactly(here, _) = folders {
                // The folder may have been moved since, or be named by another path.
                for RunRecord { record, .. } in &mut records {
                    if let Record::Submitted { folder, .. } = record {
                        folder.clone_from(here);
                    }
                }
            }
            let (limits, now) = (limits.clone(), timestamp(started));
            Ok::<_, DriveError>(Coordinator::replay(limits, wire::length, journal.epoch(), now, records)?)
        };
        let mut core = replayed(&journal)?;
        if audit::audit(&core, &mut journal)? {
            core = replayed(&journal)?;
        }
        for run in core.runs().iter().filter(|run| !matches!(run.phase, Phase::Finished(_))) {
            for folder in [run.folder.clone(), run.folder.join("trials")] {
                // A folder that is gone is noticed when a table is written.
                if folder.is_dir() {
                    tumble_tables::remove_leftovers(&folder)?;
                }
            }
        }
        blobs.sweep(bundles(&core));
        Ok(Driver {
            core,
            journal,
            inputs,
            jobs,
            blobs,
            outboxes: BTreeMap::new(),
            rooms: Vec::new(),
            waiting: BTreeMap::new(),
            watched: BTreeMap::new(),
            next_request: 0,
            comparing: 0,
            started,
        })
    }

    /// Drives until told to stop, or until it cannot go on.
    pub(crate) fn drive(mut self, runtime: &tokio::runtime::Handle) -> Result<(), DriveError> {
        let mut events = VecDeque::from([Event::Tick]);
        let mut looked_around = Instant::now();
        loop {
            let mut stop = false;
            if events.is_empty() {
                let patience = self.patience();
                match runtime.block_on(async { tokio::time::timeout(patience, self.inputs.recv()).await }) {
                    Ok(Some(input)) => stop = self.admit(input, &mut events)?,
                    Ok(None) => return Ok(()),
                    Err(_) => {} // time alone has passed
                }
            }
            while events.len() < TURN_EVENTS_MAX && !stop {
                match self.inputs.try_recv() {
                    Ok(input) => stop = self.admit(input, &mut events)?,
                    Err(_) => break,
                }
            }
            // Time passes as well while there is always something to do.
            if looked_around.elapsed() >= LOOK_AROUND_MIN && (self.is_time() || looked_around.elapsed() >= LOOK_AROUND)
            {
                events.push_back(Event::Tick);
                looked_around = Instant::now();
            }
            self.turn(&mut events)?;
            if stop {
                return Ok(());
            }
        }
    }

    /// One turn: handle, make durable, let out.
    fn turn(&mut self, events: &mut VecDeque<Event>) -> Result<(), DriveError> {
        let now = timestamp(self.started);
        let mut effects = Effects::default();
        for event in events.drain(..) {
            effects.append(self.core.handle(now, event));
        }
        let (journal, mut covered) = (&mut self.journal, Vec::new());
        let outgoing = effects.settle(|records: Vec<RunRecord>| {
            journal.append(&records)?;
            covered.extend(records.into_iter().filter_map(covering));
            Ok::<_, JournalError>(())
        })?;
        self.release(outgoing, events)?;
        for (run, finished) in covered {
            match self.core.runs().get(&run) {
                Some(known) if finished => {
                    let had_files = known.spec.bundle.is_some();
                    self.journal.forget(&run)?;
                    if had_files {
                        self.blobs.sweep(bundles(&self.core));
                    }
                }
                Some(known) => self.journal.retire(&run, known.written_end())?,
                None => {}
            }
        }
        self.rooms.clear();
        self.publish(now);
        Ok(())
    }

    /// Whether the moment that the core asked for has come.
    fn is_time(&self) -> bool {
        self.core.next_wakeup().is_some_and(|at| at <= timestamp(self.started).mono_ms)
    }

    fn patience(&self) -> Duration {
        let now = timestamp(self.started).mono_ms;
        let until = self.core.next_wakeup().map_or(LOOK_AROUND, |at| Duration::from_millis(at.saturating_sub(now)));
        until.clamp(LOOK_AROUND_MIN, LOOK_AROUND)
    }

    /// Turns an input into events, or answers it at once if it only asks. `true` when the driver is to stop.
    fn admit(&mut self, input: Input, events: &mut VecDeque<Event>) -> Result<bool, DriveError> {
        let now = timestamp(self.started);
        match input {
            Input::Joined { worker, hello, outbox } => {
                self.outboxes.insert(worker, outbox);
                events.push_back(Event::WorkerJoined { worker, hello });
            }
            Input::FromWorker { event, room } => {
                self.rooms.push(room);
                if let Event::Drifted { worker, run, generation } = &event {
                    let name = self.core.roster().get(worker).map(tumble_core::Worker::name).unwrap_or_default();
                    tracing::warn!(worker = name, %run, generation, "a worker's replica of the strategy had drifted");
                }
                events.push_back(event);
            }
            Input::Event(event) => {
                if let Event::WorkerLeft { worker } = &event {
                    self.outboxes.remove(worker);
                }
                events.push_back(event);
            }
            Input::Submit { submission, reply } => {
                let request = self.wait(reply);
                events.push_back(Event::Submitted { request, submission });
            }
            Input::Cancel { run, reply } => {
                let request = self.wait(reply);
                events.push_back(Event::CancelRequested { request, run: self.find(&run) });
            }
            Input::Resume { run, reply } => {
                let request = self.wait(reply);
                events.push_back(Event::ResumeRequested { request, run: self.find(&run) });
            }
            Input::Give { run, generation, points, reply } => {
                let request = self.wait(reply);
                events.push_back(Event::Given { request, run: self.find(&run), generation, points });
            }
            Input::Finish { run, reply } => {
                let request = self.wait(reply);
                events.push_back(Event::FinishRequested { request, run: self.find(&run) });
            }
            Input::Answered { run, generation, points, reply } => {
                let answer = match self.core.runs().get(&run) {
                    None => Err(Refusal::UnknownRun(run)),
                    Some(run) => run.answer_to(generation, &points),
                };
                let _ = reply.send(answer);
            }
            Input::Watch { run, reply } => {
                let run = self.find(&run);
                let answer = match self.core.view(&run, now) {
                    None => Err(Refusal::UnknownRun(run)),
                    Some(view) => {
                        let shown = self.watched.entry(run).or_insert_with(|| watch::channel(view.clone()).0);
                        // News for who has just come, and for nobody else.
                        shown.send_if_modified(|shown| {
                            *shown = view;
                            false
                        });
                        Ok(shown.subscribe())
                    }
                };
                let _ = reply.send(answer);
            }
            Input::List { reply } => {
                let _ = reply.send(Listing {
                    runs: self.core.runs().iter().filter_map(|run| self.core.view(&run.id, now)).collect(),
                    workers: self.core.roster().len() as u32,
                    slots: self.core.roster().values().map(|w| w.hello.slots).sum(),
                });
            }
            Input::Bundle { run, reply } => {
                let run = self.core.runs().get(&run).filter(|run| is_unfinished(run));
                let bundle = run.and_then(|run| Some((run.spec.bundle.as_ref()?.hash.clone(), run.folder.clone())));
                let _ = reply.send(bundle);
            }
            Input::Pipelines { reply } => {
                let _ = reply.send(announced(self.core.roster().values().map(|worker| &worker.hello)));
            }
            Input::Written(Ok(Done::Part { run, part, rows, bytes })) => {
                events.push_back(Event::PartWritten { run, part, rows, bytes });
            }
            Input::Written(Ok(Done::Complete { run })) => events.push_back(Event::TablesCompleted { run }),
            Input::Written(Ok(Done::Compared(found))) => {
                self.comparing -= 1;
                events.push_back(self.compared(found));
            }
            Input::Written(Err(error)) => return Err(error.into()),
            Input::Lost(lost) => return Err(JournalError::Lost(lost).into()),
            Input::Stop => return Ok(true),
        }
        Ok(false)
    }

    fn wait(&mut self, reply: oneshot::Sender<Answer>) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.waiting.insert(request, reply);
        request
    }

    /// The run that a person means: an id, the newest of a name, or `last`.
    fn find(&self, word: &str) -> RunId {
        let newest = |wanted: &dyn Fn(&tumble_core::Run) -> bool| {
            self.core.runs().iter().rev().find(|run| wanted(run)).map(|run| run.id.clone())
        };
        newest(&|run| *run.id.0 == *word)
            .or_else(|| newest(&|run| run.spec.name == word))
            .or_else(|| newest(&|_| word == "last"))
            .unwrap_or_else(|| RunId(word.into()))
    }

    /// Lets out what a turn held back. What is noticed on the way is an event of the next turn.
    fn release(&mut self, outgoing: Outgoing, events: &mut VecDeque<Event>) -> Result<(), DriveError> {
        for (worker, message) in outgoing.messages {
            if let Message::Dismiss { reason } = &message {
                tracing::warn!(worker = worker.0, reason, "a worker is dismissed");
                if let Some(outbox) = self.outboxes.remove(&worker) {
                    outbox.close(Status::aborted(reason));
                }
            }
            let Some(outbox) = self.outboxes.get(&worker) else { continue };
            let taken = wire::to_worker(&message).into_iter().try_for_each(|piece| outbox.send(piece));
            // Where its session is over already, `WorkerLeft` is on its way.
            if taken == Err(NotTaken::Full) {
                let reason = "it does not read what it is sent";
                tracing::warn!(worker = worker.0, reason, "a worker is dismissed");
                outbox.close(Status::aborted(reason));
                self.outboxes.remove(&worker);
                events.push_back(Event::WorkerLeft { worker });
            }
        }
        for (worker, reports) in outgoing.acknowledged {
            if let Some(outbox) = self.outboxes.get(&worker) {
                let _ = outbox.send(wire::acknowledged(reports));
            }
        }
        for reply in outgoing.replies {
            if let Some(waiting) = self.waiting.remove(&reply.request) {
                let _ = waiting.send(reply.result);
            }
        }
        for work in outgoing.work {
            match work {
                TableWork::Part { run, part, range } => self.start_part(&run, part, range, events)?,
                TableWork::Complete { run } => self.start_completion(&run)?,
                TableWork::Compare { run, attempt, known, first_trial, outcomes } => {
                    let found = Comparison::new(run, attempt);
                    self.compare(found, &known, first_trial, outcomes, events)?;
                }
            }
        }
        Ok(())
    }

    fn start_part(
        &self,
        id: &RunId,
        part: u64,
        range: TrialRange,
        events: &mut VecDeque<Event>,
    ) -> Result<(), DriveError> {
        let run = self.core.runs().get(id).expect("the core has just named it");
        let pieces = self.journal.outcomes(id, range)?;
        let mut expected = range.start;
        for (piece, _) in &pieces {
            if piece.start != expected {
                break;
            }
            expected = piece.end;
        }
        if expected != range.end && RunTables::of(run).part_stands(part, range).is_ok() {
            // It was written before a part in front of it was lost: what the journal let go of stands in it.
            events.push_back(Event::PartWritten { run: id.clone(), part, rows: range.len(), bytes: 0 });
            return Ok(());
        }
        if expected != range.end {
            return Err(DriveError::Gap { run: id.clone(), range: TrialRange::new(expected, range.end) });
        }
        let outcomes = pieces.into_iter().map(|(_, outcomes)| outcomes).collect();
        self.start(Job::Part { tables: RunTables::of(run), part, range, outcomes });
        Ok(())
    }

    fn start_completion(&self, id: &RunId) -> Result<(), DriveError> {
        let run = self.core.runs().get(id).expect("the core has just named it");
        let generations = match &run.evolution {
            Some(_) => {
                let names = run.scalar_names().into_iter().map(str::to_owned).collect();
                Some((names, self.journal.generations(id)?))
            }
            None => None,
        };
        let view = self.core.view(id, timestamp(self.started)).expect("the core has just named it");
        self.start(Job::Complete {
            tables: RunTables::of(run),
            trials_end: run.trials_end,
            generations,
            attempts: self.journal.attempts(id)?,
            champion: run.evolution.as_ref().and_then(|e| e.champion.clone()),
            view: Box::new(view),
        });
        Ok(())
    }

    fn start(&self, job: Job) {
        // The outlet ends only after the driver has.
        let _ = self.jobs.send(job);
    }

    /// Compares a second evaluation with what the journal has of it, and has the rest compared with the parts that took it
    /// from there.
    fn compare(
        &mut self,
        mut found: Comparison,
        known: &[TrialRange],
        first_trial: u64,
        second: Arc<Outcomes>,
        events: &mut VecDeque<Event>,
    ) -> Result<(), DriveError> {
        let Some(run) = self.core.runs().get(&found.run) else { return Ok(()) };
        let columns: Vec<String> = run.recorded.metrics.iter().map(|metric| metric.name.clone()).collect();
        let mut written = tumble_domain::RangeSet::new();
        for range in known {
            written.insert(*range);
            for (piece, recorded) in self.journal.outcomes(&found.run, *range)? {
                found.look(&columns, piece, &recorded, first_trial, &second);
                written.remove(piece);
            }
        }
        // What this very report recorded stands in the journal; the rest of it was written before.
        let written: Vec<TrialRange> = written.iter().collect();
        if written.is_empty() {
            events.push_back(self.compared(found));
        } else if self.comparing >= COMPARISONS_MAX {
            tracing::warn!(run = %found.run, "more trials came twice than can be compared; some of them are not");
            events.push_back(self.compared(found));
        } else {
            let tables = RunTables::of(run);
            self.comparing += 1;
            self.start(Job::Compare { tables, found, written, first_trial, second });
        }
        Ok(())
    }

    /// A second evaluation is compared: what was found is said at once, for no one may look at the tables for days.
    fn compared(&self, found: Comparison) -> Event {
        let Comparison { run, attempt, differing, named } = found;
        let said = self.core.runs().get(&run).map_or(0, |run| run.differing.len());
        for difference in named.iter().take(DIFFERENCES_NAMED_MAX.saturating_sub(said)) {
            tracing::error!(
                %run,
                worker = attempt.worker,
                "trial {} differs when it is evaluated again: `{}` was recorded as {} and came back as {}",
                difference.trial,
                difference.column,
                difference.recorded,
                difference.again
            );
        }
        if differing > 0 {
            tracing::error!(%run, worker = attempt.worker, "{differing} trials of a report differ in all");
        }
        Event::Compared { run, attempt, differing, named }
    }

    /// Shows every watched run as it is now, and forgets those that nobody watches.
    fn publish(&mut self, now: Timestamp) {
        let core = &self.core;
        self.watched.retain(|run, sender| {
            if let Some(view) = core.view(run, now) {
                sender.send_if_modified(|shown| {
                    // That time passes is no news more than once a second.
                    let elapsed_ms = shown.elapsed_ms;
                    let is_news =
                        view.elapsed_ms >= elapsed_ms + 1000 || *shown != RunView { elapsed_ms, ..view.clone() };
                    if is_news {
                        *shown = view;
                    }
                    is_news
                });
            }
            sender.receiver_count() > 0
        });
    }
}

fn is_unfinished(run: &tumble_core::Run) -> bool {
    !matches!(run.phase, Phase::Finished(_))
}

/// The bundles that unfinished runs name.
fn bundles(core: &Coordinator) -> BTreeSet<Hash> {
    let unfinished = core.runs().iter().filter(|run| is_unfinished(run));
    unfinished.filter_map(|run| Hash::parse(&run.spec.bundle.as_ref()?.hash)).collect()
}

/// What workers announce, each description once, and no more of them than a client is told of.
fn announced<'a>(hellos: impl Iterator<Item = &'a Hello>) -> Vec<PipelineDescription> {
    let mut all: Vec<PipelineDescription> = Vec::new();
    for description in hellos.flat_map(|hello| &hello.pipelines) {
        if all.len() < ANNOUNCED_MAX && !all.contains(description) {
            all.push(description.clone());
        }
    }
    all
}

/// A run whose journal can be tidied after this record, and whether it is finished.
fn covering(record: RunRecord) -> Option<(RunId, bool)> {
    match record.record {
        Record::Checkpoint(_) => Some((record.run, false)),
        Record::Finished => Some((record.run, true)),
        _ => None,
    }
}

/// The moment: a monotonic clock since `started`, and the wall clock.
fn timestamp(started: Instant) -> Timestamp {
    Timestamp {
        mono_ms: started.elapsed().as_millis() as u64,
        unix_ms: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_millis() as u64),
    }
}

/// Prepares the folder of a run that is about to be submitted.
pub(crate) fn prepare_folder(submission: &Submission) -> std::io::Result<()> {
    folder::prepare(&submission.folder, &submission.run_toml)
}
