//! The deciding half of a worker: messages and finished work go in, what to do comes out. No socket, thread or clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tumble_domain::{Layout, Outcomes, Plan, RunSpec, TrialAddress, TrialRange};
use tumble_pipelines::Pipeline;
use tumble_search::memory::{Need, Place};
use tumble_search::{Design, Proposal, Space, StateHash};

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
    /// A piece of what a generation tries.
    ProposalPiece {
        /// Whose.
        run: Arc<str>,
        /// Which generation.
        generation: u32,
        /// The hash of the whole.
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
    /// The coordinator is to be told.
    Say(Say),
    /// The session can end: nothing is left to say.
    Quit,
}

/// What a worker says.
#[derive(Debug)]
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
    /// It wants no more grants.
    Leaving,
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
}

impl OpenRun {
    /// The run that this canonical run file describes, if one of the pipelines can evaluate it; else why not.
    pub fn try_new(run: &Arc<str>, run_toml: &str, pipelines: &[Arc<dyn Pipeline>]) -> Result<OpenRun, String> {
        let descriptions: Vec<_> = pipelines.iter().map(|p| p.description().clone()).collect();
        let understood =
            tumble_runfile::parse(run_toml, run, &[], &descriptions).map_err(|problems| problems.to_string())?;
        let spec = understood.spec;
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
        let metrics = understood.description.metrics.len();
        let layout = Layout::of(&spec, design.as_ref().map_or(0, Design::points));
        Ok(OpenRun { id: run.clone(), spec, layout, design, pipeline, space, metrics })
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

/// A generation's proposal as it arrives.
struct Arriving {
    generation: u32,
    hash: Vec<u8>,
    length: u64,
    bytes: Vec<u8>,
}

/// The largest proposal a worker accepts, in bytes: 10^8 parameters.
const PROPOSAL_BYTES_MAX: u64 = 1 << 30;

/// The deciding half of a worker.
pub struct Worker {
    pipelines: Vec<Arc<dyn Pipeline>>,
    runs: BTreeMap<Arc<str>, Arc<OpenRun>>,
    proposals: BTreeMap<Arc<str>, (u32, Arc<Proposal>)>,
    arriving: BTreeMap<Arc<str>, Arriving>,
    slots: Vec<Option<Job>>,
    queue: VecDeque<Grant>,
    leaving: bool,
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
            slots: vec![None; slots],
            queue: VecDeque::new(),
            leaving: false,
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
            Event::Opened { run, run_toml } => match self.open(&run, &run_toml) {
                Ok(open) => drop(self.runs.insert(run, Arc::new(open))),
                Err(reason) => actions.push(Action::Say(Say::CannotRun { run, reason })),
            },
            Event::ProposalPiece { run, generation, hash, length, offset, bytes } => {
                let piece = Arriving { generation, hash, length, bytes };
                if let Err(reason) = self.take_piece(&run, piece, offset) {
                    actions.push(Action::Say(Say::CannotRun { run, reason }));
                }
            }
            Event::Granted(grant) => {
                self.queue.push_back(grant);
                self.fill_slots(&mut actions);
            }
            Event::Closed { run } => self.close(&run),
            Event::Evaluated { slot, piece } => self.evaluated(slot, piece, &mut actions),
            Event::LeaveRequested => {
                self.leaving = true;
                actions.push(Action::Say(Say::Leaving));
                self.slots.iter().flatten().for_each(|job| job.abandon.store(true, Ordering::Relaxed));
                let waiting = std::mem::take(&mut self.queue);
                actions.extend(waiting.into_iter().map(give_back));
                self.quit_when_idle(&mut actions);
            }
        }
        actions
    }

    fn take_piece(&mut self, run: &Arc<str>, piece: Arriving, offset: u64) -> Result<(), String> {
        if piece.length > PROPOSAL_BYTES_MAX {
            return Err(format!("the proposal has {} bytes, more than {PROPOSAL_BYTES_MAX}", piece.length));
        }
        let arriving = if offset == 0 {
            self.arriving.insert(run.clone(), piece);
            self.arriving.get_mut(run).expect("it was inserted a line ago")
        } else {
            let arriving = self.arriving.get_mut(run).filter(|a| a.bytes.len() as u64 == offset);
            let arriving = arriving.ok_or("a piece of the proposal is missing")?;
            arriving.bytes.extend(piece.bytes);
            arriving
        };
        if (arriving.bytes.len() as u64) < arriving.length {
            return Ok(());
        }
        let whole = self.arriving.remove(run).expect("it was there a line ago");
        if StateHash::of(&whole.bytes).0[..] != whole.hash[..] {
            return Err("the proposal arrived damaged".to_owned());
        }
        let proposal = Proposal::decode(&whole.bytes).map_err(|error| error.to_string())?;
        self.proposals.insert(run.clone(), (whole.generation, Arc::new(proposal)));
        Ok(())
    }

    fn close(&mut self, run: &Arc<str>) {
        self.runs.remove(run);
        self.proposals.remove(run);
        self.arriving.remove(run);
        self.queue.retain(|grant| grant.run != *run);
        let held = self.slots.iter().flatten().filter(|job| job.grant.run == *run);
        held.for_each(|job| job.abandon.store(true, Ordering::Relaxed));
    }

    fn evaluated(&mut self, slot: usize, piece: Piece, actions: &mut Vec<Action>) {
        let job = self.slots[slot].as_ref().expect("only a busy slot evaluates");
        let (lease, run, last) = (job.grant.lease, job.grant.run.clone(), piece.last);
        // A run that is closed wants no more reports.
        if self.runs.contains_key(&run) {
            actions.push(Action::Say(Say::Report { lease, run, piece }));
        }
        if last {
            self.slots[slot] = None;
            self.fill_slots(actions);
            self.quit_when_idle(actions);
        }
    }

    fn fill_slots(&mut self, actions: &mut Vec<Action>) {
        while let Some(slot) = self.slots.iter().position(Option::is_none) {
            let Some(grant) = self.queue.pop_front() else { return };
            if self.leaving {
                actions.push(give_back(grant));
                continue;
            }
            // It waited here while other workers scored its trials, and the run has gone on: nobody needs it any more.
            if self.proposals.get(&grant.run).is_some_and(|(generation, _)| *generation > grant.generation) {
                actions.push(give_back(grant));
                continue;
            }
            match self.job(grant) {
                Ok(job) => {
                    self.slots[slot] = Some(job.clone());
                    actions.push(Action::Start { slot, job });
                }
                Err((grant, reason)) => {
                    actions.push(Action::Say(Say::CannotRun { run: grant.run.clone(), reason }));
                }
            }
        }
    }

    fn open(&self, run: &Arc<str>, run_toml: &str) -> Result<OpenRun, String> {
        let open = OpenRun::try_new(run, run_toml, &self.pipelines)?;
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
        let proposal = match (&run.spec.plan, self.proposals.get(&grant.run)) {
            (Plan::Evolve(_), Some((generation, proposal))) if *generation == grant.generation => {
                Some(proposal.clone())
            }
            (Plan::Evolve(_), _) => return Err((grant, "a grant came before its proposal".to_owned())),
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
        if self.leaving && self.slots.iter().all(Option::is_none) {
            actions.push(Action::Quit);
        }
    }
}

/// A report without trials: the whole grant goes back.
fn give_back(grant: Grant) -> Action {
    let range = TrialRange::new(grant.range.start, grant.range.start);
    let piece = Piece { range, outcomes: Outcomes::default(), evaluate_ms: 0.0, last: true };
    Action::Say(Say::Report { lease: grant.lease, run: grant.run, piece })
}
