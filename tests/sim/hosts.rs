//! Hosts and what goes wrong on them: each runs a worker's process, which has one session at a time.
//!
//! The machine in a session is the real one, its slots are the real computing half of a worker; only their time is ours.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tumble_core::{Event, Hello, LeaseId, Message, Report, RunId, WorkerId};
use tumble_domain::{Outcomes, Status, TrialRange};
use tumble_search::{StateHash, strategies};
use tumble_worker::evaluate::Slot;
use tumble_worker::replica::Update;
use tumble_worker::worker::{Action, Event as Happened, Grant, Job, Lesson, Piece, Say, Worker};

use crate::chance::Chance;
use crate::run_file::{descriptions, pipelines};
use crate::world::{Happening, World};

pub(crate) struct Host {
    pub(crate) slots: usize,
    /// How long a trial takes.
    pub(crate) trial_us: u64,
    /// Nothing moves on it until then.
    pub(crate) stalled_until_ms: u64,
    /// It says things that are not so; never a wrong number, for that nobody could tell.
    pub(crate) lies: bool,
    /// What it evaluates is something else.
    pub(crate) wrong_numbers: bool,
    /// So many bits will flip yet in its replicas.
    pub(crate) flips: u32,
    /// Its process lives, or will soon live again.
    pub(crate) present: bool,
    pub(crate) session: Option<WorkerId>,
}

impl Host {
    pub(crate) fn new(slots: usize, trial_us: u64) -> Host {
        Host {
            slots,
            trial_us,
            stalled_until_ms: 0,
            lies: false,
            wrong_numbers: false,
            flips: 0,
            present: true,
            session: None,
        }
    }
}

pub(crate) struct Session {
    host: usize,
    machine: Worker,
    slots: Vec<(Slot, Option<Busy>)>,
    pub(crate) down: VecDeque<Message>,
    up: VecDeque<Up>,
    updates: VecDeque<Update>,
}

struct Busy {
    job: Job,
    front: u64,
}

enum Up {
    Event(Event),
    Bye,
}

/// What brings a worker to a generation travels in pieces of so many bytes here.
const CHUNK_BYTES: usize = 48;

impl World {
    pub(crate) fn join(&mut self, host: usize) {
        if !self.hosts[host].present || self.hosts[host].session.is_some() {
            return;
        }
        if self.process.is_none() {
            return self.in_ms(100, Happening::Join(host));
        }
        let worker = WorkerId(self.next_session);
        self.next_session += 1;
        let slots = self.hosts[host].slots;
        self.hosts[host].session = Some(worker);
        let session = Session {
            host,
            machine: Worker::new(pipelines(), slots),
            slots: (0..slots).map(|_| (Slot::default(), None)).collect(),
            down: VecDeque::new(),
            up: VecDeque::new(),
            updates: VecDeque::new(),
        };
        self.sessions.insert(worker, session);
        let name = format!("host-{host}");
        let hello = Hello { host: name, process: worker.0 as u32, slots: slots as u32, pipelines: descriptions() };
        self.put(Event::WorkerJoined { worker, hello });
        self.in_ms(self.limits.heartbeat_ms, Happening::Heartbeat(worker));
    }

    /// A session ends in the middle, with all that was on its way. `noticed` says when the coordinator hears of it (if
    /// it does), `back` when the worker's process connects again (if it does).
    pub(crate) fn break_session(&mut self, worker: WorkerId, noticed: Option<u64>, back: Option<u64>) {
        let Some(session) = self.sessions.remove(&worker) else { return };
        self.tell(|| format!("{worker:?} on host {} is cut off", session.host));
        self.hosts[session.host].session = None;
        if let Some(ms) = noticed {
            self.in_ms(ms, Happening::Noticed(worker));
        }
        match back {
            Some(ms) => self.in_ms(ms, Happening::Join(session.host)),
            None => self.hosts[session.host].present = false,
        }
    }

    pub(crate) fn leave(&mut self, host: usize) {
        if let Some(worker) = self.hosts[host].session {
            self.tell(|| format!("{worker:?} on host {host} is asked to leave"));
            self.happened(worker, Happened::LeaveRequested);
        }
    }

    /// Whether the host of this session stands still; what was to happen then happens later.
    fn stalls(&mut self, worker: WorkerId, happening: Happening) -> bool {
        let Some(session) = self.sessions.get(&worker) else { return true };
        let until = self.hosts[session.host].stalled_until_ms;
        if until > self.now_ms {
            self.in_ms(until - self.now_ms, happening);
            return true;
        }
        false
    }

    pub(crate) fn heartbeat(&mut self, worker: WorkerId) {
        if !self.stalls(worker, Happening::Heartbeat(worker)) {
            self.say(worker, Up::Event(Event::Heartbeat { worker }));
            self.in_ms(self.limits.heartbeat_ms, Happening::Heartbeat(worker));
        }
    }

    pub(crate) fn carry_to_worker(&mut self, worker: WorkerId) {
        if self.stalls(worker, Happening::ToWorker(worker)) {
            return;
        }
        let session = self.sessions.get_mut(&worker).expect("it does not stall");
        let Some(message) = session.down.pop_front() else { return };
        let name = |run: &RunId| run.0.clone();
        let events: Vec<Happened> = match &message {
            Message::Welcome { .. } | Message::Dismiss { .. } => Vec::new(),
            Message::OpenRun { run, run_toml } => {
                vec![Happened::Opened { run: name(run), run_toml: run_toml.to_string() }]
            }
            Message::Proposal { run, generation, bytes, hash } => {
                pieces(Lesson::Proposal, name(run), *generation, bytes, *hash)
            }
            Message::Snapshot { run, generation, bytes, hash } => {
                pieces(Lesson::Snapshot, name(run), *generation, bytes, *hash)
            }
            Message::Tell { run, generation, bytes, hash_after } => {
                pieces(Lesson::Tell, name(run), *generation, bytes, *hash_after)
            }
            Message::Grant(grant) => vec![Happened::Granted(Grant {
                lease: grant.lease.0,
                run: name(&grant.run),
                generation: grant.generation,
                generation_start: grant.generation_start,
                range: grant.range,
            })],
            Message::CloseRun { run } => vec![Happened::Closed { run: name(run) }],
        };
        for event in events {
            self.happened(worker, event);
        }
    }

    /// Something happens to a worker's machine, and what it wants done is done.
    fn happened(&mut self, worker: WorkerId, event: Happened) {
        let session = self.sessions.get_mut(&worker).expect("only sessions that are there are told");
        for action in session.machine.handle(event) {
            match action {
                Action::Start { slot, job } => {
                    let front = job.grant.range.start;
                    let session = self.sessions.get_mut(&worker).expect("it was there a line ago");
                    session.slots[slot].1 = Some(Busy { job, front });
                    self.evaluate_on(worker, slot);
                }
                Action::Update(update) => self.start_update(worker, update),
                Action::Say(words) => self.write(worker, words),
                Action::Quit => {
                    // What it said before arrives before the end of the session does.
                    self.say(worker, Up::Bye);
                }
            }
        }
    }

    /// Has the thread that updates replicas take what comes next, in virtual time.
    fn start_update(&mut self, worker: WorkerId, update: Update) {
        let session = self.sessions.get_mut(&worker).expect("its machine has just asked for this");
        session.updates.push_back(update);
        if session.updates.len() == 1 {
            let ms = self.chance.below(self.update_ms + 1);
            self.in_ms(ms, Happening::Updated(worker));
        }
    }

    pub(crate) fn updated(&mut self, worker: WorkerId) {
        if self.stalls(worker, Happening::Updated(worker)) {
            return;
        }
        let session = self.sessions.get_mut(&worker).expect("it does not stall");
        let mut update = session.updates.pop_front().expect("it stays until it is carried out");
        let more = !session.updates.is_empty();
        let bad_memory = &mut self.hosts[session.host].flips;
        if *bad_memory > 0 && flip_a_bit(&mut update, &mut self.chance) {
            *bad_memory -= 1;
            self.flipped += 1;
            self.tell(|| format!("a bit flips in the replica of {worker:?}"));
        }
        self.happened(worker, Happened::Updated(update.carry_out()));
        if more && self.sessions.contains_key(&worker) {
            let ms = self.chance.below(self.update_ms + 1);
            self.in_ms(ms, Happening::Updated(worker));
        }
    }

    /// Has a slot evaluate some more of its job, in virtual time.
    fn evaluate_on(&mut self, worker: WorkerId, slot: usize) {
        let session = &self.sessions[&worker];
        let busy = session.slots[slot].1.as_ref().expect("it has a job");
        let (front, left) = (busy.front, busy.job.grant.range.end - busy.front);
        let trial_us = self.hosts[session.host].trial_us;
        let trials = if left > 1 && self.chance.one_in(4) { self.chance.between(1, left - 1) } else { left };
        self.in_ms(trials * trial_us / 1_000, Happening::Evaluated { worker, slot, upto: front + trials });
    }

    pub(crate) fn evaluated(&mut self, worker: WorkerId, slot: usize, upto: u64) {
        if self.stalls(worker, Happening::Evaluated { worker, slot, upto }) {
            return;
        }
        let session = self.sessions.get_mut(&worker).expect("it does not stall");
        let trial_us = self.hosts[session.host].trial_us;
        let (computing, busy) = &mut session.slots[slot];
        let Busy { job, front } = busy.as_mut().expect("it was given a job");
        let abandoned = job.abandon.load(Ordering::Relaxed);
        // An abandoned job ends after the trial at hand, or within it.
        let end = if abandoned { *front + self.chance.below(2).min(upto - *front) } else { upto };
        let range = TrialRange::new(*front, end);
        // By its name: a run is evaluated before its client has heard under which id it is kept.
        let is_of = |name: &str| job.grant.run.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
        let kills = self.runs.iter().find(|known| is_of(&known.name));
        if kills.is_some_and(|known| known.file.killers.iter().any(|trial| (range.start..range.end).contains(trial))) {
            let (noticed, back) = (self.chance.below(30), self.chance.between(1, 100));
            return self.break_session(worker, Some(noticed), Some(back));
        }
        let last = abandoned || end == job.grant.range.end;
        // The watch of an abandoned job would end this one, and a real clock may cut it in several pieces.
        let part = Job { grant: Grant { range, ..job.grant.clone() }, abandon: Arc::default(), ..job.clone() };
        let mut pieces = Vec::new();
        computing.evaluate(&part, |piece| pieces.push(piece));
        let evaluate_ms = (range.len() * trial_us) as f64 / 1_000.0;
        let mut outcomes = joined(pieces);
        if self.hosts[session.host].wrong_numbers {
            outcomes.values.iter_mut().for_each(|value| *value += 1.0);
        }
        let piece = Piece { range, outcomes, evaluate_ms, last, refused: None };
        *front = end;
        if last {
            *busy = None;
        }
        self.happened(worker, Happened::Evaluated { slot, piece });
        if !last {
            self.evaluate_on(worker, slot);
        }
    }

    fn write(&mut self, worker: WorkerId, words: Say) {
        let event = match words {
            Say::Leaving => Event::Leaving { worker },
            Say::Drifted { run, generation, why } => {
                let bad_memory = self.flipped > 0;
                assert!(bad_memory, "the replica of {worker:?} drifted in generation {generation} of `{run}`: {why}");
                self.drifted += 1;
                Event::Drifted { worker, run: RunId(run), generation }
            }
            Say::CannotRun { run, reason } => {
                // Our workers can evaluate every run: if one says otherwise, somebody confused it.
                let lies = self.sessions.get(&worker).is_some_and(|session| self.hosts[session.host].lies);
                assert!(lies, "an honest {worker:?} cannot evaluate `{run}`: {reason}");
                Event::CannotRun { worker, run: RunId(run), reason }
            }
            Say::Report { lease, run, piece } => {
                let report = Report {
                    lease: LeaseId(lease),
                    run: RunId(run),
                    range: piece.range,
                    outcomes: Arc::new(piece.outcomes),
                    evaluate_ms: piece.evaluate_ms,
                    last: piece.last,
                    bytes: 32 + 8 * piece.range.len(),
                };
                return self.report(worker, report);
            }
        };
        self.say(worker, Up::Event(event));
    }

    fn report(&mut self, worker: WorkerId, mut report: Report) {
        let lies = self.sessions.get(&worker).is_some_and(|session| self.hosts[session.host].lies);
        let mut times = 1;
        if lies && self.chance.one_in(5) {
            self.lies += 1;
            match self.chance.below(10) {
                0 if report.range.len() > 1 => {
                    report.outcomes = Arc::new(report.outcomes.slice(1, report.outcomes.trials - 1));
                    report.range.start += 1;
                }
                1 => {
                    let more = report.outcomes.trials as usize;
                    let mut wider = (*report.outcomes).clone();
                    wider.metrics += 1;
                    wider.values.extend(std::iter::repeat_n(0.5, more));
                    report.outcomes = Arc::new(wider);
                }
                2 => report.lease = LeaseId(u64::MAX),
                3 => report.run = RunId("nobody-knows".into()),
                4 => {
                    // Without outcomes: those of one run, said of another, would be wrong numbers.
                    let other = self.chance.below(self.runs.len() as u64) as usize;
                    report.run = self.runs[other].id.clone().unwrap_or(report.run);
                    report.range.end = report.range.start;
                    report.outcomes = Arc::default();
                }
                5 => times = 2,
                6 => {
                    let leases: Vec<LeaseId> = match &self.process {
                        Some(process) => process.core.leases().keys().copied().collect(),
                        None => Vec::new(),
                    };
                    if !leases.is_empty() {
                        report.lease = self.chance.pick(&leases);
                    }
                }
                7 => times = 0,
                8 => report.last = true,
                _ => report.range = TrialRange::new(report.range.start + (1 << 40), report.range.end + (1 << 40)),
            }
        }
        for _ in 0..times {
            self.say(worker, Up::Event(Event::Reported { worker, report: report.clone() }));
        }
    }

    fn say(&mut self, worker: WorkerId, words: Up) {
        let delay = self.chance.below(self.delay_ms + 1);
        let Some(session) = self.sessions.get_mut(&worker) else { return };
        session.up.push_back(words);
        self.in_ms(delay, Happening::FromWorker(worker));
    }

    pub(crate) fn carry_from_worker(&mut self, worker: WorkerId) {
        let Some(session) = self.sessions.get_mut(&worker) else { return };
        match session.up.pop_front() {
            Some(Up::Event(event)) => self.put(event),
            Some(Up::Bye) => {
                let host = session.host;
                self.sessions.remove(&worker);
                self.hosts[host].session = None;
                self.hosts[host].present = self.is_calm;
                self.put(Event::WorkerLeft { worker });
                self.in_ms(100, Happening::Join(host));
            }
            None => {}
        }
    }
}

fn pieces(lesson: Lesson, run: Arc<str>, generation: u32, bytes: &[u8], hash: StateHash) -> Vec<Happened> {
    let piece = |offset: usize| Happened::LessonPiece {
        lesson,
        run: run.clone(),
        generation,
        hash: hash.0.to_vec(),
        length: bytes.len() as u64,
        offset: offset as u64,
        bytes: bytes[offset..bytes.len().min(offset + CHUNK_BYTES)].to_vec(),
    };
    (0..bytes.len().max(1)).step_by(CHUNK_BYTES).map(piece).collect()
}

/// Flips one bit of the replica that is about to be told, in the state that counts; not if there is none.
fn flip_a_bit(update: &mut Update, chance: &mut Chance) -> bool {
    let Some(strategy) = &update.strategy else { return false };
    let (before, bytes) = (strategy.state_hash(), strategy.snapshot());
    // Its checksum is of the bytes that travel. What lies in memory has none.
    let mut body = bytes[..bytes.len() - 16].to_vec();
    let bit = chance.below(8 * body.len() as u64) as usize;
    body[bit / 8] ^= 1 << (bit % 8);
    let checksum = StateHash::of(&body);
    body.extend_from_slice(&checksum.0);
    match strategies::restore(&body) {
        Ok(flipped) if flipped.state_hash() != before => {
            update.strategy = Some(flipped);
            true
        }
        _ => false,
    }
}

/// The outcomes of pieces that follow each other.
fn joined(pieces: Vec<Piece>) -> Outcomes {
    let mut pieces = pieces.into_iter().map(|piece| piece.outcomes).filter(|outcomes| outcomes.trials > 0);
    let Some(mut all) = pieces.next() else { return Outcomes::default() };
    for piece in pieces {
        let (before, metrics) = (all.trials, all.metrics as usize);
        let column = |of: &Outcomes, m: usize| of.values[m * of.trials as usize..(m + 1) * of.trials as usize].to_vec();
        let status = |of: &Outcomes| (0..of.trials as usize).map(|t| of.status(t)).collect::<Vec<Status>>();
        let later = piece.errors.iter().map(|error| (before + error.offset, error.message.clone()));
        let errors = later.map(|(offset, message)| tumble_domain::TrialError { offset, message });
        all = Outcomes {
            trials: before + piece.trials,
            metrics: all.metrics,
            statuses: [status(&all), status(&piece)].concat(),
            values: (0..metrics).flat_map(|m| [column(&all, m), column(&piece, m)].concat()).collect(),
            errors: all.errors.iter().cloned().chain(errors).collect(),
        };
    }
    all
}
