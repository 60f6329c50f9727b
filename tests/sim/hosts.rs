//! Hosts and what goes wrong on them: each runs a worker's process, which has one session at a time, and outlives it.
//!
//! The machine in a process is the real one, its slots are the real computing half of a worker; only their time is ours.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tumble_core::{Event, Held, Hello, LeaseId, Message, Report, RunId, WorkerId};
use tumble_domain::{Outcomes, Status, TrialRange};
use tumble_search::{StateHash, strategies};
use tumble_worker::evaluate::Slot;
use tumble_worker::replica::Update;
use tumble_worker::worker::{Action, Event as Happened, Grant, Job, Lesson, Piece, Rejoined, Say, Worker as Machine};

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
    pub(crate) worker: Option<Worker>,
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
            worker: None,
            session: None,
        }
    }
}

/// A worker's process. It outlives its sessions.
pub(crate) struct Worker {
    instance: u64,
    machine: Machine,
    slots: Vec<(Slot, Option<Busy>)>,
    updates: VecDeque<Update>,
    leaving: bool,
    /// Sessions of it that were lost.
    cuts: u64,
}

impl Worker {
    fn new(instance: u64, slots: usize) -> Worker {
        Worker {
            instance,
            machine: Machine::new(pipelines(), slots),
            slots: (0..slots).map(|_| (Slot::default(), None)).collect(),
            updates: VecDeque::new(),
            leaving: false,
            cuts: 0,
        }
    }

    /// Whether it holds nothing at all.
    pub(crate) fn is_idle(&self) -> bool {
        self.machine.is_idle()
    }
}

pub(crate) struct Session {
    host: usize,
    pub(crate) down: VecDeque<Down>,
    up: VecDeque<Up>,
}

impl Session {
    /// Whether nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.down.is_empty() && self.up.is_empty()
    }
}

struct Busy {
    job: Job,
    front: u64,
}

pub(crate) enum Down {
    Message(Message),
    Acknowledged(u64),
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
        let session = WorkerId(self.next_session);
        self.next_session += 1;
        let slots = self.hosts[host].slots;
        let worker = self.hosts[host].worker.get_or_insert_with(|| Worker::new(session.0 + 1, slots));
        let (instance, Rejoined { held, again }) = (worker.instance, worker.machine.rejoin());
        self.hosts[host].session = Some(session);
        self.sessions.insert(session, Session { host, down: VecDeque::new(), up: VecDeque::new() });
        let mut held: Vec<Held> = held.into_iter().map(held_by).collect();
        if self.hosts[host].lies {
            self.lie_about(&mut held);
        }
        self.held += held.len() as u64;
        self.put(Event::WorkerJoined {
            worker: session,
            hello: Hello {
                host: format!("host-{host}"),
                process: instance as u32,
                slots: slots as u32,
                pipelines: descriptions(),
                instance,
                held,
            },
        });
        again.into_iter().for_each(|words| self.write(session, words));
        self.in_ms(self.limits.heartbeat_ms, Happening::Heartbeat(session));
    }

    /// Claims of what it does not hold, or not so.
    fn lie_about(&mut self, held: &mut Vec<Held>) {
        for at in 0..held.len() {
            if !self.chance.one_in(3) {
                continue;
            }
            self.lies += 1;
            let claim = &mut held[at];
            match self.chance.below(8) {
                0 => claim.range.start = claim.range.start.saturating_sub(self.chance.between(1, 20)),
                1 => claim.range.end += self.chance.between(1, 20),
                2 => claim.generation += 1,
                3 => claim.generation_start += 1,
                4 => claim.run = RunId("nobody-knows".into()),
                5 => claim.lease = LeaseId(u64::MAX),
                6 => claim.range = TrialRange::new(0, 1 << 50),
                _ => {
                    let again = claim.clone();
                    held.push(again);
                }
            }
        }
        let others: Vec<Held> = match &self.process {
            Some(process) => {
                let leases = process.core.leases().iter();
                let claims = leases.map(|(id, lease)| {
                    let run = process.core.runs().get(&lease.run).expect("a lease has a run");
                    Held {
                        lease: *id,
                        run: lease.run.clone(),
                        generation: run.generation(),
                        generation_start: run.layout.generation(run.generation()).start,
                        range: lease.range,
                    }
                });
                claims.collect()
            }
            None => Vec::new(),
        };
        if !others.is_empty() && self.chance.one_in(3) {
            self.lies += 1;
            let mut other = self.chance.pick(&others);
            if self.chance.one_in(2) {
                other.lease = LeaseId(other.lease.0.saturating_sub(1));
            }
            held.push(other);
        }
    }

    /// A worker's process ends in the middle, with all that was on its way. `noticed` says when the coordinator hears of
    /// it (if it does), `back` when another process comes in its place (if one does).
    pub(crate) fn kill(&mut self, worker: WorkerId, noticed: Option<u64>, back: Option<u64>) {
        if let Some(session) = self.sessions.get(&worker) {
            self.hosts[session.host].worker = None;
        }
        self.cut(worker, noticed, back);
    }

    /// A session is lost with what was on its way; the worker's process goes on. What it said may come yet, and late.
    pub(crate) fn cut(&mut self, worker: WorkerId, noticed: Option<u64>, back: Option<u64>) {
        let Some(session) = self.sessions.remove(&worker) else { return };
        self.tell(|| format!("{worker:?} on host {} is cut off", session.host));
        let host = &mut self.hosts[session.host];
        host.session = None;
        if let Some(left) = &mut host.worker {
            left.cuts += 1;
            let said = left.machine.handle(Happened::Disconnected);
            assert!(said.is_empty(), "nobody listens: {said:?}");
            if left.leaving {
                // Nobody is there to say anything to.
                host.worker = None;
                host.present = self.is_calm;
            }
        }
        if self.process.is_some() && self.chance.one_in(3) {
            let mut ms = 0;
            for words in session.up {
                let Up::Event(event) = words else { break };
                ms += self.chance.below(200);
                self.late.push(Some(event));
                self.in_ms(ms, Happening::Late { epoch: self.epoch, event: self.late.len() - 1 });
            }
        }
        if let Some(ms) = noticed {
            self.in_ms(ms, Happening::Noticed(worker));
        }
        match back {
            Some(ms) => self.in_ms(ms, Happening::Join(session.host)),
            None => self.hosts[session.host].present = false,
        }
    }

    pub(crate) fn late(&mut self, epoch: u32, event: usize) {
        let event = self.late[event].take().expect("it comes once");
        if self.is_life(epoch) {
            self.tell(|| "something comes from an old session".to_owned());
            self.put(event);
        }
    }

    pub(crate) fn leave(&mut self, host: usize) {
        self.tell(|| format!("the worker on host {host} is asked to leave"));
        let asked = &mut self.hosts[host];
        match (&mut asked.worker, asked.session) {
            (Some(worker), Some(_)) => {
                worker.leaving = true;
                self.happened(host, Happened::LeaveRequested);
            }
            (Some(_), None) => {
                asked.worker = None;
                asked.present = false;
            }
            (None, _) => {}
        }
    }

    /// Whether this process is still there; what was to happen on a host that stands still happens later.
    fn is_there(&mut self, host: usize, instance: u64, happening: Happening) -> bool {
        if self.hosts[host].worker.as_ref().is_none_or(|worker| worker.instance != instance) {
            return false;
        }
        let until = self.hosts[host].stalled_until_ms;
        if until > self.now_ms {
            self.in_ms(until - self.now_ms, happening);
        }
        until <= self.now_ms
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
        let host = session.host;
        let message = match session.down.pop_front() {
            Some(Down::Message(message)) => message,
            Some(Down::Acknowledged(reports)) => return self.happened(host, Happened::Acknowledged { reports }),
            None => return,
        };
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
            Message::Farewell => vec![Happened::Farewell],
            Message::Revoke { leases } => {
                vec![Happened::Revoked { leases: leases.iter().map(|lease| lease.0).collect() }]
            }
        };
        for event in events {
            self.happened(host, event);
        }
    }

    /// Something happens to a worker's machine, and what it wants done is done.
    fn happened(&mut self, host: usize, event: Happened) {
        let worker = self.hosts[host].worker.as_mut().expect("only a process that is there is told");
        for action in worker.machine.handle(event) {
            match action {
                Action::Start { slot, job } => {
                    let front = job.grant.range.start;
                    let worker = self.hosts[host].worker.as_mut().expect("it was there a line ago");
                    worker.slots[slot].1 = Some(Busy { job, front });
                    self.evaluate_on(host, slot);
                }
                Action::Update(update) => self.start_update(host, update),
                Action::Say(words) => {
                    let session = self.hosts[host].session.expect("out of a session nothing is said");
                    self.write(session, words);
                }
                Action::Quit => {
                    // What it said before arrives before the end of the session does.
                    let session = self.hosts[host].session.expect("out of a session it is killed");
                    self.say(session, Up::Bye);
                }
            }
        }
    }

    /// Has the thread that updates replicas take what comes next, in virtual time.
    fn start_update(&mut self, host: usize, update: Update) {
        let worker = self.hosts[host].worker.as_mut().expect("its machine has just asked for this");
        worker.updates.push_back(update);
        let instance = worker.instance;
        if worker.updates.len() == 1 {
            let ms = self.chance.below(self.update_ms + 1);
            self.in_ms(ms, Happening::Updated { host, instance });
        }
    }

    pub(crate) fn updated(&mut self, host: usize, instance: u64) {
        if !self.is_there(host, instance, Happening::Updated { host, instance }) {
            return;
        }
        let worker = self.hosts[host].worker.as_mut().expect("it is there");
        let mut update = worker.updates.pop_front().expect("it stays until it is carried out");
        let more = !worker.updates.is_empty();
        let bad_memory = &mut self.hosts[host].flips;
        if *bad_memory > 0 && flip_a_bit(&mut update, &mut self.chance) {
            *bad_memory -= 1;
            self.flipped += 1;
            self.tell(|| format!("a bit flips in the replica of host {host}"));
        }
        self.happened(host, Happened::Updated(update.carry_out()));
        if more {
            let ms = self.chance.below(self.update_ms + 1);
            self.in_ms(ms, Happening::Updated { host, instance });
        }
    }

    /// Has a slot evaluate some more of its job, in virtual time.
    fn evaluate_on(&mut self, host: usize, slot: usize) {
        let worker = self.hosts[host].worker.as_ref().expect("it was told so");
        let busy = worker.slots[slot].1.as_ref().expect("it has a job");
        let (instance, front, left) = (worker.instance, busy.front, busy.job.grant.range.end - busy.front);
        let trial_us = self.hosts[host].trial_us;
        let trials = if left > 1 && self.chance.one_in(4) { self.chance.between(1, left - 1) } else { left };
        self.in_ms(trials * trial_us / 1_000, Happening::Evaluated { host, instance, slot, upto: front + trials });
    }

    pub(crate) fn evaluated(&mut self, host: usize, instance: u64, slot: usize, upto: u64) {
        if !self.is_there(host, instance, Happening::Evaluated { host, instance, slot, upto }) {
            return;
        }
        let Host { trial_us, wrong_numbers, .. } = self.hosts[host];
        let worker = self.hosts[host].worker.as_mut().expect("it is there");
        let (computing, busy) = &mut worker.slots[slot];
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
            return match self.hosts[host].session {
                Some(session) => self.kill(session, Some(noticed), Some(back)),
                // It was to come back at some moment, and another one will.
                None => self.hosts[host].worker = None,
            };
        }
        let last = abandoned || end == job.grant.range.end;
        // The watch of an abandoned job would end this one, and a real clock may cut it in several pieces.
        let part = Job { grant: Grant { range, ..job.grant.clone() }, abandon: Arc::default(), ..job.clone() };
        let mut pieces = Vec::new();
        computing.evaluate(&part, |piece| pieces.push(piece));
        self.evaluated += range.len();
        let evaluate_ms = (range.len() * trial_us) as f64 / 1_000.0;
        let mut outcomes = joined(pieces);
        if wrong_numbers {
            outcomes.values.iter_mut().for_each(|value| *value += 1.0);
        }
        let piece = Piece { range, outcomes, evaluate_ms, last, refused: None };
        *front = end;
        if last {
            *busy = None;
        }
        self.happened(host, Happened::Evaluated { slot, piece });
        if !last {
            self.evaluate_on(host, slot);
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
            Say::Ready { run } => Event::Ready { worker, run: RunId(run) },
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
                let left = self.hosts[host].worker.take().expect("it has just said so");
                if !self.hosts[host].lies && left.cuts == 0 {
                    self.left.insert(format!("host-{host}/{}", left.instance));
                }
                self.hosts[host].session = None;
                self.hosts[host].present = self.is_calm;
                self.put(Event::WorkerLeft { worker });
                self.in_ms(100, Happening::Join(host));
            }
            None => {}
        }
    }
}

fn held_by(grant: Grant) -> Held {
    Held {
        lease: LeaseId(grant.lease),
        run: RunId(grant.run),
        generation: grant.generation,
        generation_start: grant.generation_start,
        range: grant.range,
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
