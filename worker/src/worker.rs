//! The deciding half of a worker: messages and finished work go in, what to do comes out. No socket, thread or clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tumble_domain::{Layout, Outcomes, RunSpec, TrialAddress, TrialRange};
use tumble_pipelines::Pipeline;
use tumble_search::memory::{Need, Place};
use tumble_search::{Design, Proposal, Space, StateHash, Strategy};

use crate::files::LaidOut;
use crate::replica::{Drift, Step, Update, Updated};

/// What reaches a worker.
#[derive(Debug)]
pub enum Event {
    /// What a run is.
    Opened {
        /// Its id.
        run: Arc<str>,
        /// Its canonical run file.
        run_toml: String,
    },
    /// What a run is whose files travel with it, now that they are here; or why they are not.
    OpenedWithFiles {
        /// Its id.
        run: Arc<str>,
        /// Its canonical run file.
        run_toml: String,
        /// The files.
        files: Result<Arc<LaidOut>, String>,
    },
    /// A piece of what brings this worker to a generation.
    LessonPiece {
        /// What the whole is.
        lesson: Lesson,
        /// Whose.
        run: Arc<str>,
        /// Which generation.
        generation: u32,
        /// The hash of the whole, or of the state that comes of it.
        hash: Vec<u8>,
        /// The length of the whole.
        length: u64,
        /// Where this piece belongs.
        offset: u64,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// Trials to evaluate.
    Granted(Grant),
    /// An update of a replica is carried out.
    Updated(Updated),
    /// A run is over.
    Closed {
        /// Which.
        run: Arc<str>,
    },
    /// A slot has evaluated some trials of its job.
    Evaluated {
        /// Which slot.
        slot: usize,
        /// What came out.
        piece: Piece,
    },
    /// This process is to leave.
    LeaveRequested,
    /// The coordinator has read that it leaves: nothing more is on its way to it.
    Farewell,
    /// So many reports of this session were taken.
    Acknowledged {
        /// From the session's first on.
        reports: u64,
    },
    /// What it holds from an earlier session is in other hands.
    Revoked {
        /// The leases.
        leases: Vec<u64>,
    },
    /// The connection is lost. The slots go on; [`Worker::rejoin`] begins the next session.
    Disconnected,
}

/// What a worker is sent so that it can make the candidates of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// The proposal itself.
    Proposal,
    /// The strategy's state, for a replica of it.
    Snapshot,
    /// What the strategy was told, for a replica that stands where it stood.
    Tell,
}

/// A range of trials to evaluate, all of one generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The lease.
    pub lease: u64,
    /// The run.
    pub run: Arc<str>,
    /// The generation.
    pub generation: u32,
    /// Its first trial.
    pub generation_start: u64,
    /// The trials.
    pub range: TrialRange,
}

/// Some trials of a job, evaluated.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The trials, from the front of what was left; empty if the job ended without any.
    pub range: TrialRange,
    /// Their outcomes.
    pub outcomes: Outcomes,
    /// How long they took, in milliseconds.
    pub evaluate_ms: f64,
    /// The slot is done with the job.
    pub last: bool,
    /// Why this worker cannot evaluate the run after all; then the slot is done as well.
    pub refused: Option<String>,
}

/// What a worker wants done.
#[derive(Debug)]
pub enum Action {
    /// A slot is to evaluate.
    Start {
        /// Which slot.
        slot: usize,
        /// What.
        job: Job,
    },
    /// A replica is to be updated. It may take long.
    Update(Update),
    /// The coordinator is to be told.
    Say(Say),
    /// The session can end: nothing is left to say.
    Quit,
}

/// How a session begins.
#[derive(Debug, Default)]
pub struct Rejoined {
    /// What the hello says: what is being evaluated, what waits, and what is finished and was not acknowledged.
    pub held: Vec<Grant>,
    /// What is said right after the hello: every report that was not acknowledged, once more.
    pub again: Vec<Say>,
}

/// What a worker says.
#[derive(Clone, Debug)]
pub enum Say {
    /// Outcomes of trials of a lease.
    Report {
        /// The lease.
        lease: u64,
        /// The run.
        run: Arc<str>,
        /// The outcomes and their trials.
        piece: Piece,
    },
    /// A replica has drifted and is forgotten; what is granted of its generation waits.
    Drifted {
        /// Of which run.
        run: Arc<str>,
        /// In which generation.
        generation: u32,
        /// What was noticed, for a person.
        why: String,
    },
    /// It wants no more grants.
    Leaving,
    /// It has the files that travel with a run, and can be granted trials of it.
    Ready {
        /// Which.
        run: Arc<str>,
    },
    /// It cannot evaluate a run.
    CannotRun {
        /// Which.
        run: Arc<str>,
        /// Why.
        reason: String,
    },
}

/// A run as this worker knows it.
pub struct OpenRun {
    /// Its id.
    pub id: Arc<str>,
    /// The run as it was understood here.
    pub spec: RunSpec,
    /// The shape of the run. Where a trial of an evolution stands is its grant's to say: populations may change, and
    /// nobody tells a worker of generations that it has no part in.
    pub layout: Layout,
    /// The design, if it sweeps.
    pub design: Option<Design>,
    /// What evaluates it.
    pub pipeline: Arc<dyn Pipeline>,
    /// The space of the axes that it evolves, if it has any.
    pub space: Option<Space>,
    /// How many numbers are recorded of a trial: one for each axis of the space, then the metrics.
    pub metrics: usize,
    /// The files that travelled with it, for as long as anybody evaluates it here.
    pub files: Option<Arc<LaidOut>>,
}

impl OpenRun {
    /// The run that this canonical run file describes, if one of the pipelines can evaluate it; else why not.
    pub fn try_new(run: &Arc<str>, run_toml: &str, pipelines: &[Arc<dyn Pipeline>]) -> Result<OpenRun, String> {
        OpenRun::with_files(run, run_toml, pipelines, None)
    }

    /// The same, of a run whose files are laid out here. Without those that it names it cannot be evaluated.
    pub fn with_files(
        run: &Arc<str>,
        run_toml: &str,
        pipelines: &[Arc<dyn Pipeline>],
        files: Option<Arc<LaidOut>>,
    ) -> Result<OpenRun, String> {
        let descriptions: Vec<_> = pipelines.iter().map(|p| p.description().clone()).collect();
        let understood =
            tumble_runfile::parse(run_toml, run, &[], &descriptions).map_err(|problems| problems.to_string())?;
        let spec = understood.spec;
        let named = spec.bundle.as_ref().map(|bundle| bundle.hash.clone());
        if named != files.as_ref().map(|files| files.hash()) {
            return Err("the files here are not those that the run file names".to_owned());
        }
        let design = match spec.plan.sweep() {
            Some(sweep) => Some(Design::try_new(sweep, spec.seed).map_err(|error| error.to_string())?),
            None => None,
        };
        let space = match spec.plan.evolved_axes() {
            [] => None,
            axes => Some(Space::try_new(axes).map_err(|error| error.to_string())?),
        };
        let pipeline = pipelines.iter().find(|p| p.description().name == spec.pipeline);
        let pipeline = pipeline.ok_or_else(|| format!("this worker has no pipeline `{}`", spec.pipeline))?.clone();
        // Of the user's own code the run file says what it takes and gives.
        let pipeline = pipeline
            .bound(&spec, &understood.inner, files.as_ref().map(|files| files.folder()))
            .unwrap_or(Ok(pipeline))?;
        let metrics = understood.description.metrics.len();
        let layout = Layout::of(&spec, design.as_ref().map_or(0, Design::points));
        Ok(OpenRun { id: run.clone(), spec, layout, design, pipeline, space, metrics, files })
    }
}

impl std::fmt::Debug for OpenRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenRun").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a slot evaluates.
#[derive(Clone, Debug)]
pub struct Job {
    /// The grant.
    pub grant: Grant,
    /// The run.
    pub run: Arc<OpenRun>,
    /// What its generation tries, if the run evolves.
    pub proposal: Option<Arc<Proposal>>,
    /// Set when the job is to be given up: the trials evaluated so far are reported.
    pub abandon: Arc<AtomicBool>,
}

impl Job {
    /// Where a trial of the grant stands.
    pub fn address(&self, trial: u64) -> TrialAddress {
        self.run.layout.address_in(self.grant.generation, trial - self.grant.generation_start)
    }
}

/// A slot at work.
struct Busy {
    job: Job,
    /// The first trial that it has not given out.
    front: u64,
}

/// A report that may not have arrived.
struct Sent {
    grant: Grant,
    piece: Piece,
}

/// A replica of a run's strategy, and what is on its way to it.
#[derive(Default)]
struct Replica {
    /// `None` while it is being updated, and before.
    strategy: Option<Box<dyn Strategy>>,
    /// The update that is being carried out.
    ticket: Option<u64>,
    /// What comes after that.
    steps: Vec<Step>,
    /// It was forgotten, and the coordinator is asked to begin anew.
    drifted: bool,
}

/// A lesson as it arrives.
struct Arriving {
    lesson: Lesson,
    generation: u32,
    hash: Vec<u8>,
    length: u64,
    bytes: Vec<u8>,
}

/// The largest lesson a worker accepts, in bytes: the state of a strategy that keeps four vectors of 10^8 parameters.
const LESSON_BYTES_MAX: u64 = 1 << 32;

/// The deciding half of a worker.
pub struct Worker {
    pipelines: Vec<Arc<dyn Pipeline>>,
    runs: BTreeMap<Arc<str>, Arc<OpenRun>>,
    proposals: BTreeMap<Arc<str>, (u32, Arc<Proposal>)>,
    arriving: BTreeMap<Arc<str>, Arriving>,
    replicas: BTreeMap<Arc<str>, Replica>,
    next_ticket: u64,
    slots: Vec<Option<Busy>>,
    queue: VecDeque<Grant>,
    /// In a session. Out of one it evaluates what it has, and says nothing.
    connected: bool,
    /// Reports of this session that were not acknowledged, in order, and how many were. They take no more than the
    /// outcomes of the leases that a worker may hold.
    sent: VecDeque<Sent>,
    acknowledged: u64,
    leaving: bool,
    /// Before it comes a grant may be on its way, and who granted it waits for an answer.
    farewell: bool,
    memory_bytes_max: u64,
}

impl Worker {
    /// A worker with these pipelines and so many slots.
    pub fn new(pipelines: Vec<Arc<dyn Pipeline>>, slots: usize) -> Worker {
        Worker {
            pipelines,
            runs: BTreeMap::new(),
            proposals: BTreeMap::new(),
            arriving: BTreeMap::new(),
            replicas: BTreeMap::new(),
            next_ticket: 0,
            slots: (0..slots).map(|_| None).collect(),
            queue: VecDeque::new(),
            connected: true,
            sent: VecDeque::new(),
            acknowledged: 0,
            leaving: false,
            farewell: false,
            memory_bytes_max: u64::MAX,
        }
    }

    /// The same, but it refuses runs whose strategy would need more memory, in bytes.
    pub fn with_memory(self, memory_bytes_max: u64) -> Worker {
        Worker { memory_bytes_max, ..self }
    }

    /// Takes one event. The only way in.
    pub fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Opened { run, run_toml } => match self.open(&run, &run_toml, None) {
                Ok(open) => drop(self.runs.insert(run, Arc::new(open))),
                Err(reason) => actions.push(Action::Say(Say::CannotRun { run, reason })),
            },
            Event::OpenedWithFiles { run, run_toml, files } => {
                match files.and_then(|files| self.open(&run, &run_toml, Some(files))) {
                    Ok(open) => {
                        self.runs.insert(run.clone(), Arc::new(open));
                        actions.push(Action::Say(Say::Ready { run }));
                    }
                    Err(reason) => actions.push(Action::Say(Say::CannotRun { run, reason })),
                }
            }
            Event::LessonPiece { lesson, run, generation, hash, length, offset, bytes } => {
                let piece = Arriving { lesson, generation, hash, length, bytes };
                let taken = match self.take_piece(&run, piece, offset) {
                    Ok(Some(whole)) => self.learn(&run, whole, &mut actions),
                    other => other.map(drop),
                };
                if let Err(reason) = taken {
                    actions.push(Action::Say(Say::CannotRun { run, reason }));
                }
            }
            Event::Updated(updated) => self.updated(updated, &mut actions),
            Event::Granted(grant) if self.leaving => self.give_back(grant, &mut actions),
            Event::Granted(grant) => {
                self.queue.push_back(grant);
                self.fill_slots(&mut actions);
            }
            Event::Closed { run } => self.close(&run),
            Event::Evaluated { slot, piece } => self.evaluated(slot, piece, &mut actions),
            Event::LeaveRequested => {
                self.leaving = true;
                actions.push(Action::Say(Say::Leaving));
                self.slots.iter().flatten().for_each(Busy::abandon);
                let waiting = std::mem::take(&mut self.queue);
                waiting.into_iter().for_each(|grant| self.give_back(grant, &mut actions));
                self.quit_when_idle(&mut actions);
            }
            Event::Farewell => {
                self.farewell = true;
                self.quit_when_idle(&mut actions);
            }
            Event::Acknowledged { reports } => {
                while self.acknowledged < reports && self.sent.pop_front().is_some() {
                    self.acknowledged += 1;
                }
            }
            Event::Revoked { leases } => {
                self.queue.retain(|grant| !leases.contains(&grant.lease));
                let held = self.slots.iter().flatten().filter(|busy| leases.contains(&busy.job.grant.lease));
                held.for_each(Busy::abandon);
            }
            Event::Disconnected => self.connected = false,
        }
        if !self.connected {
            // Reports are kept, and everything else is for the session that is over.
            actions.retain(|action| !matches!(action, Action::Say(_)));
        }
        actions
    }

    /// Begins a session, the first one or another after a connection was lost. The coordinator has forgotten what it sent
    /// in the one before: what is held without all that its evaluation takes is let go, and so are runs of which nothing
    /// is held.
    pub fn rejoin(&mut self) -> Rejoined {
        (self.connected, self.acknowledged) = (true, 0);
        self.arriving.clear();
        self.replicas.clear();
        let (runs, proposals) = (&self.runs, &self.proposals);
        self.queue.retain(|grant| {
            let has_proposal = || proposals.get(&grant.run).is_some_and(|(at, _)| *at == grant.generation);
            runs.get(&grant.run).is_some_and(|run| !run.spec.plan.has_generations() || has_proposal())
        });
        self.sent.retain(|sent| !sent.piece.range.is_empty() && runs.contains_key(&sent.grant.run));
        let going_on = self.slots.iter().flatten().filter(|busy| !busy.is_abandoned());
        let going_on = going_on.filter(|busy| runs.contains_key(&busy.job.grant.run));
        let mut held: Vec<Grant> = going_on.map(Busy::rest).chain(self.queue.iter().cloned()).collect();
        for Sent { grant, piece } in &self.sent {
            // Reports of a lease follow each other, and what is left of it follows them.
            match held.iter_mut().find(|held| held.lease == grant.lease) {
                Some(held) => {
                    held.range =
                        TrialRange::new(held.range.start.min(piece.range.start), held.range.end.max(piece.range.end));
                }
                None => held.push(Grant { range: piece.range, ..grant.clone() }),
            }
        }
        self.runs.retain(|run, _| held.iter().any(|held| held.run == *run));
        self.proposals.retain(|run, _| held.iter().any(|held| held.run == *run));
        let again = self.sent.iter().map(|sent| say(sent.grant.clone(), sent.piece.clone())).collect();
        Rejoined { held, again }
    }

    /// Whether it holds nothing at all: no trial and no outcome.
    pub fn is_idle(&self) -> bool {
        self.slots.iter().all(Option::is_none) && self.queue.is_empty() && self.sent.is_empty()
    }

    fn report(&mut self, grant: Grant, piece: Piece, actions: &mut Vec<Action>) {
        self.sent.push_back(Sent { grant: grant.clone(), piece: piece.clone() });
        actions.push(Action::Say(say(grant, piece)));
    }

    /// A report without trials: the whole grant goes back.
    fn give_back(&mut self, grant: Grant, actions: &mut Vec<Action>) {
        let range = TrialRange::new(grant.range.start, grant.range.start);
        let piece = Piece { range, outcomes: Outcomes::default(), evaluate_ms: 0.0, last: true, refused: None };
        self.report(grant, piece, actions);
    }

    /// Adds a piece; gives the whole when it is complete.
    fn take_piece(&mut self, run: &Arc<str>, piece: Arriving, offset: u64) -> Result<Option<Arriving>, String> {
        if piece.length > LESSON_BYTES_MAX {
            let (what, length) = (piece.lesson, piece.length);
            return Err(format!("the {what:?} has {length} bytes, more than {LESSON_BYTES_MAX}"));
        }
        let arriving = if offset == 0 {
            self.arriving.insert(run.clone(), piece);
            self.arriving.get_mut(run).expect("it was inserted a line ago")
        } else {
            let arriving = self.arriving.get_mut(run).filter(|a| a.bytes.len() as u64 == offset);
            let arriving = arriving.ok_or("a piece of what leads to a generation is missing")?;
            arriving.bytes.extend(piece.bytes);
            arriving
        };
        let complete = arriving.bytes.len() as u64 >= arriving.length;
        Ok(if complete { self.arriving.remove(run) } else { None })
    }

    fn learn(&mut self, run: &Arc<str>, whole: Arriving, actions: &mut Vec<Action>) -> Result<(), String> {
        let Arriving { lesson, generation, hash, bytes, .. } = whole;
        let hash = StateHash(hash.try_into().map_err(|_| "a hash has another length than 16 bytes")?);
        match lesson {
            Lesson::Proposal => {
                if StateHash::of(&bytes) != hash {
                    return Err("the proposal arrived damaged".to_owned());
                }
                let proposal = Proposal::decode(&bytes).map_err(|error| error.to_string())?;
                self.proposals.insert(run.clone(), (generation, Arc::new(proposal)));
                // Nobody will tell it anything any more.
                self.replicas.remove(run);
                self.fill_slots(actions);
            }
            Lesson::Snapshot => {
                let begin = Step::Begin { generation, snapshot: bytes, hash };
                self.replicas.insert(run.clone(), Replica { steps: vec![begin], ..Replica::default() });
                self.update(run, actions);
            }
            Lesson::Tell => match self.replicas.get_mut(run) {
                // Sent before the coordinator heard of it.
                Some(replica) if replica.drifted => {}
                Some(replica) => {
                    replica.steps.push(Step::Tell { generation, told: bytes, hash_after: hash });
                    self.update(run, actions);
                }
                None => self.drifted(run, generation, "there is no replica to be told".to_owned(), actions),
            },
        }
        Ok(())
    }

    /// Has the next steps of a replica taken, unless it is being updated.
    fn update(&mut self, run: &Arc<str>, actions: &mut Vec<Action>) {
        let (Some(open), Some(replica)) = (self.runs.get(run), self.replicas.get_mut(run)) else { return };
        if replica.ticket.is_some() || replica.steps.is_empty() {
            return;
        }
        replica.ticket = Some(self.next_ticket);
        actions.push(Action::Update(Update {
            ticket: self.next_ticket,
            run: open.clone(),
            strategy: replica.strategy.take(),
            steps: std::mem::take(&mut replica.steps),
        }));
        self.next_ticket += 1;
    }

    fn updated(&mut self, updated: Updated, actions: &mut Vec<Action>) {
        let Updated { ticket, run, outcome } = updated;
        // The run may be closed by now, or its replica begun anew.
        let Some(replica) = self.replicas.get_mut(&run).filter(|replica| replica.ticket == Some(ticket)) else {
            return;
        };
        replica.ticket = None;
        match outcome {
            Ok((strategy, proposal)) => {
                // With more steps to take, the run has left this generation already.
                if replica.steps.is_empty() {
                    self.proposals.insert(run.clone(), (strategy.generation(), Arc::new(proposal)));
                }
                replica.strategy = Some(strategy);
                self.update(&run, actions);
                self.fill_slots(actions);
            }
            Err(Drift { generation, why }) => self.drifted(&run, generation, why, actions),
        }
    }

    fn drifted(&mut self, run: &Arc<str>, generation: u32, why: String, actions: &mut Vec<Action>) {
        self.replicas.insert(run.clone(), Replica { drifted: true, ..Replica::default() });
        actions.push(Action::Say(Say::Drifted { run: run.clone(), generation, why }));
    }

    /// Whether a grant has to wait until a replica has come to its generation.
    fn awaits(&self, grant: &Grant) -> bool {
        let on_its_way = |replica: &Replica| replica.ticket.is_some() || replica.drifted;
        let is_there = self.proposals.get(&grant.run).is_some_and(|(generation, _)| *generation >= grant.generation);
        !is_there && self.replicas.get(&grant.run).is_some_and(on_its_way)
    }

    fn close(&mut self, run: &Arc<str>) {
        self.runs.remove(run);
        self.proposals.remove(run);
        self.arriving.remove(run);
        self.replicas.remove(run);
        self.queue.retain(|grant| grant.run != *run);
        let held = self.slots.iter().flatten().filter(|busy| busy.job.grant.run == *run);
        held.for_each(Busy::abandon);
        for sent in self.sent.iter_mut().filter(|sent| sent.grant.run == *run) {
            // It is counted yet, but nobody will ask for it again.
            sent.piece.range = TrialRange::new(0, 0);
            sent.piece.outcomes = Outcomes::default();
        }
    }

    fn evaluated(&mut self, slot: usize, mut piece: Piece, actions: &mut Vec<Action>) {
        let busy = self.slots[slot].as_mut().expect("only a busy slot evaluates");
        let (grant, last) = (busy.job.grant.clone(), piece.last);
        busy.front = piece.range.end;
        // A run that is closed wants no more reports.
        if self.runs.contains_key(&grant.run) {
            match piece.refused.take() {
                None => self.report(grant, piece, actions),
                Some(reason) => {
                    // What is done counts; the rest of the lease, and all others of the run, go back with the refusal.
                    let run = grant.run.clone();
                    if !piece.range.is_empty() {
                        self.report(grant, Piece { last: false, ..piece }, actions);
                    }
                    self.queue.retain(|grant| grant.run != run);
                    actions.push(Action::Say(Say::CannotRun { run, reason }));
                }
            }
        }
        if last {
            self.slots[slot] = None;
            self.fill_slots(actions);
            self.quit_when_idle(actions);
        }
    }

    fn fill_slots(&mut self, actions: &mut Vec<Action>) {
        while let Some(slot) = self.slots.iter().position(Option::is_none) {
            let ready = self.queue.iter().position(|grant| !self.awaits(grant));
            let Some(grant) = ready.and_then(|at| self.queue.remove(at)) else { return };
            // It waited here while other workers scored its trials, and the run has gone on: nobody needs it any more.
            if self.proposals.get(&grant.run).is_some_and(|(generation, _)| *generation > grant.generation) {
                self.give_back(grant, actions);
                continue;
            }
            match self.job(grant) {
                Ok(job) => {
                    self.slots[slot] = Some(Busy { job: job.clone(), front: job.grant.range.start });
                    actions.push(Action::Start { slot, job });
                }
                Err((grant, reason)) => {
                    actions.push(Action::Say(Say::CannotRun { run: grant.run.clone(), reason }));
                }
            }
        }
    }

    fn open(&self, run: &Arc<str>, run_toml: &str, files: Option<Arc<LaidOut>>) -> Result<OpenRun, String> {
        let open = OpenRun::with_files(run, run_toml, &self.pipelines, files)?;
        if let Some(need) = Need::of(&open.spec, open.pipeline.description()) {
            let place = Place::Worker { slots: self.slots.len() as u64 };
            need.check(place, self.memory_bytes_max).map_err(|too_large| too_large.to_string())?;
        }
        Ok(open)
    }

    fn job(&self, grant: Grant) -> Result<Job, (Grant, String)> {
        let Some(run) = self.runs.get(&grant.run).cloned() else {
            return Err((grant, "a grant came before its run".to_owned()));
        };
        let proposal = match (run.spec.plan.has_generations(), self.proposals.get(&grant.run)) {
            (true, Some((generation, proposal))) if *generation == grant.generation => Some(proposal.clone()),
            (true, _) => return Err((grant, "a grant came before its proposal".to_owned())),
            _ => None,
        };
        let candidates = proposal.as_ref().map_or(run.layout.candidates, |p| u64::from(p.candidates()));
        let trials = candidates.saturating_mul(u64::from(run.layout.replicates));
        let start = grant.generation_start;
        if !TrialRange::new(start, start.saturating_add(trials)).contains(grant.range) {
            return Err((grant, "a grant reaches beyond its generation".to_owned()));
        }
        Ok(Job { grant, run, proposal, abandon: Arc::default() })
    }

    fn quit_when_idle(&self, actions: &mut Vec<Action>) {
        if self.leaving && self.farewell && self.slots.iter().all(Option::is_none) {
            actions.push(Action::Quit);
        }
    }
}

impl Busy {
    fn abandon(&self) {
        self.job.abandon.store(true, Ordering::Relaxed);
    }

    fn is_abandoned(&self) -> bool {
        self.job.abandon.load(Ordering::Relaxed)
    }

    /// The trials that it has not given out.
    fn rest(&self) -> Grant {
        let grant = self.job.grant.clone();
        Grant { range: TrialRange::new(self.front, grant.range.end), ..grant }
    }
}

fn say(grant: Grant, piece: Piece) -> Say {
    Say::Report { lease: grant.lease, run: grant.run, piece }
}
