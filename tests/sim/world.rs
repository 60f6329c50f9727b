//! The world of a story: its clock, its agenda, and the verbs that stories are told with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tumble_core::{
    Event, Limits, Message, Phase, Reason, Refusal, RequestId, RunId, RunView, Submission, Timestamp, WorkerId,
};

use crate::chance::Chance;
use crate::disk::Disk;
use crate::givers::Giver;
use crate::hosts::{Down, Host, Session, Worker};
use crate::process::Process;
use crate::run_file::RunFile;

/// More happenings than any story that ends has: one that goes on has hung.
const HAPPENINGS_MAX: u64 = 400_000;
/// The driver looks around this often.
const LOOK_AROUND_MS: u64 = 250;

pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) now_ms: u64,
    /// What the wall clock showed when the world began; whoever sets it lets the clock jump.
    pub(crate) wall_clock_ms: i64,
    pub(crate) limits: Limits,
    /// A message takes up to this long.
    pub(crate) delay_ms: u64,
    pub(crate) disk: Disk,
    pub(crate) process: Option<Process>,
    pub(crate) epoch: u32,
    /// The coordinator dies after so many more steps of its driver.
    pub(crate) dies_in: Option<u64>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) sessions: BTreeMap<WorkerId, Session>,
    pub(crate) next_session: u64,
    pub(crate) runs: Vec<Known>,
    wants: Vec<Want>,
    agenda: BTreeMap<(u64, u64), Happening>,
    appointments: u64,
    happenings: u64,
    /// Reports that our own workers mangled.
    pub(crate) lies: u64,
    /// Honest workers that left in order, as the attempts table names them.
    pub(crate) left: BTreeSet<String>,
    /// Workers that were given up for their silence.
    pub(crate) given_up: BTreeSet<String>,
    /// What was said in sessions that are over, and may come yet.
    pub(crate) late: Vec<Option<Event>>,
    /// Leases that workers said they held when they came back.
    pub(crate) held: u64,
    /// Trials that slots have evaluated, each as often as it was.
    pub(crate) evaluated: u64,
    /// The disk takes nothing until then, and takes up to so long for what it takes.
    pub(crate) full_until_ms: u64,
    pub(crate) commit_ms: u64,
    pub(crate) refused_commits: u64,
    /// Updating a replica takes up to this long.
    pub(crate) update_ms: u64,
    /// Bits that flipped in replicas, and replicas that were found to have drifted.
    pub(crate) flipped: u64,
    pub(crate) drifted: u64,
    /// Nothing goes wrong any more.
    pub(crate) is_calm: bool,
    /// No worker is lost but to a trial that kills.
    pub(crate) gentle: bool,
    trace: bool,
}

/// A hand on one of the workers.
pub(crate) struct Hand<'a> {
    world: &'a mut World,
    host: usize,
}

impl Hand<'_> {
    fn session(&self) -> WorkerId {
        self.world.hosts[self.host].session.expect("it has joined")
    }

    /// It is killed, and does not come back.
    pub(crate) fn vanish(self) {
        let session = self.session();
        self.world.kill(session, Some(0), None);
    }

    /// It is gone, and nothing says so.
    pub(crate) fn fall_silent(self) {
        let session = self.session();
        self.world.kill(session, None, None);
    }

    /// Its session is lost and seen to be; its process goes on, and comes back after so long.
    pub(crate) fn lose_its_session(self, noticed: Option<u64>, back_ms: u64) {
        let session = self.session();
        self.world.cut(session, noticed, Some(back_ms));
    }

    /// Nothing moves there for so long.
    pub(crate) fn stand_still(self, ms: u64) {
        self.world.hosts[self.host].stalled_until_ms = self.world.now_ms + ms;
    }
}

/// A run, as the client that submitted it knows it.
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) file: RunFile,
    /// What the coordinator called it.
    pub(crate) id: Option<RunId>,
    /// Who gives its candidates, if anybody does.
    pub(crate) giver: Giver,
}

/// A client's question; it is asked again until it is answered.
struct Want {
    what: Asked,
    run: usize,
    answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Submit,
    Cancel,
    Resume,
    /// To evaluate the candidates of a generation.
    Give(u32),
    Finish,
}

/// What the agenda holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// The driver of the coordinator takes what waits for it.
    Turn { epoch: u32 },
    /// The driver looks around.
    Tick { epoch: u32 },
    /// The thread that writes tables is done with its job.
    TableWritten { epoch: u32 },
    /// The coordinator starts again.
    Restart,
    /// The next message to this worker arrives.
    ToWorker(WorkerId),
    /// The next message of this worker arrives.
    FromWorker(WorkerId),
    /// The worker says that it lives.
    Heartbeat(WorkerId),
    /// A worker has updated a replica.
    Updated { host: usize, instance: u64 },
    /// A slot has evaluated trials up to here.
    Evaluated { host: usize, instance: u64, slot: usize, upto: u64 },
    /// What was said in a session that is over comes yet.
    Late { epoch: u32, event: usize },
    /// The disk has taken what the driver waits for.
    Committed { epoch: u32 },
    /// The coordinator notices that a session is broken.
    Noticed(WorkerId),
    /// A worker's process connects.
    Join(usize),
    /// A worker that left is started again.
    Return(usize),
    /// A client asks.
    Ask(usize),
    /// Something goes wrong.
    Mischief,
    /// From here on nothing goes wrong any more.
    Calm,
}

impl World {
    pub(crate) fn seeded(seed: u64) -> World {
        let mut world = World {
            chance: Chance::new(seed),
            now_ms: 1_000,
            wall_clock_ms: 1_700_000_000_000,
            limits: Limits {
                heartbeat_ms: 500,
                silence_ms_max: 3_000,
                shard_ms: 20.0,
                straggler_ms_min: 400,
                checkpoint_generations: 3,
                ..Limits::default()
            },
            delay_ms: 5,
            disk: Disk::default(),
            process: None,
            epoch: 0,
            dies_in: None,
            hosts: Vec::new(),
            sessions: BTreeMap::new(),
            next_session: 0,
            runs: Vec::new(),
            wants: Vec::new(),
            agenda: BTreeMap::new(),
            appointments: 0,
            happenings: 0,
            lies: 0,
            left: BTreeSet::new(),
            given_up: BTreeSet::new(),
            late: Vec::new(),
            held: 0,
            evaluated: 0,
            full_until_ms: 0,
            commit_ms: 0,
            refused_commits: 0,
            update_ms: 4,
            flipped: 0,
            drifted: 0,
            is_calm: false,
            gentle: false,
            trace: std::env::var_os("TUMBLE_SIM_TRACE").is_some(),
        };
        world.start_coordinator();
        world
    }

    /// So many workers of one slot each.
    pub(crate) fn workers(mut self, count: usize) -> World {
        for _ in 0..count {
            self.add_worker(1, 1_000);
        }
        self
    }

    pub(crate) fn limits(mut self, limits: impl FnOnce(&mut Limits)) -> World {
        limits(&mut self.limits);
        self.crash();
        self.now(Happening::Restart);
        self
    }

    /// A worker that takes so long for a trial.
    pub(crate) fn add_worker(&mut self, slots: usize, trial_us: u64) {
        self.hosts.push(Host::new(slots, trial_us));
        self.now(Happening::Join(self.hosts.len() - 1));
    }

    /// A client submits; the answer comes in its time. The number is the run's for all other verbs.
    pub(crate) fn submit(&mut self, file: RunFile) -> usize {
        let run = self.runs.len();
        self.runs.push(Known { name: format!("run-{run}"), file, id: None, giver: Giver::default() });
        self.want(Asked::Submit, run);
        run
    }

    pub(crate) fn submit_again(&mut self, run: usize) {
        self.want(Asked::Submit, run);
    }

    pub(crate) fn cancel(&mut self, run: usize) {
        self.want(Asked::Cancel, run);
    }

    /// Whether a question about a run is not answered yet.
    pub(crate) fn is_asking(&self, run: usize) -> bool {
        self.wants.iter().any(|want| want.run == run && !want.answered)
    }

    pub(crate) fn want(&mut self, what: Asked, run: usize) {
        self.wants.push(Want { what, run, answered: false });
        self.now(Happening::Ask(self.wants.len() - 1));
    }

    pub(crate) fn in_ms(&mut self, ms: u64, happening: Happening) {
        self.agenda.insert((self.now_ms + ms, self.appointments), happening);
        self.appointments += 1;
    }

    pub(crate) fn now(&mut self, happening: Happening) {
        self.in_ms(0, happening);
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp { mono_ms: self.now_ms, unix_ms: (self.wall_clock_ms + self.now_ms as i64).max(0) as u64 }
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>8} {}", self.now_ms, what());
        }
    }

    /// Lets everything happen until every run has ended and every question is answered.
    pub(crate) fn run_until_idle(&mut self) {
        self.run_until(|world| world.is_idle() && world.workers_are_idle());
    }

    /// Whether nothing is on its way to or from any worker, and none holds a trial or an outcome.
    fn workers_are_idle(&self) -> bool {
        let workers = self.hosts.iter().filter_map(|host| host.worker.as_ref());
        workers.into_iter().all(Worker::is_idle) && self.sessions.values().all(Session::is_idle)
    }

    pub(crate) fn run_until(&mut self, enough: impl Fn(&World) -> bool) {
        while !enough(self) {
            self.happen();
        }
    }

    /// One happening.
    pub(crate) fn happen(&mut self) {
        let ((at, _), happening) = self.agenda.pop_first().expect("somebody always ticks");
        self.now_ms = self.now_ms.max(at);
        self.happenings += 1;
        assert!(self.happenings < HAPPENINGS_MAX, "the story does not end: {}", self.describe());
        match happening {
            Happening::Turn { epoch } => self.turn(epoch),
            Happening::Tick { epoch } => {
                if self.is_life(epoch) {
                    self.resume_suspended();
                    self.givers_look();
                    self.put(Event::Tick);
                    self.in_ms(LOOK_AROUND_MS, happening);
                }
            }
            Happening::TableWritten { epoch } => self.table_written(epoch),
            Happening::Restart => self.start_coordinator(),
            Happening::ToWorker(worker) => self.carry_to_worker(worker),
            Happening::FromWorker(worker) => self.carry_from_worker(worker),
            Happening::Heartbeat(worker) => self.heartbeat(worker),
            Happening::Updated { host, instance } => self.updated(host, instance),
            Happening::Evaluated { host, instance, slot, upto } => self.evaluated(host, instance, slot, upto),
            Happening::Late { epoch, event } => self.late(epoch, event),
            Happening::Committed { epoch } => self.committed(epoch),
            Happening::Noticed(worker) => self.put(Event::WorkerLeft { worker }),
            Happening::Join(host) => self.join(host),
            Happening::Return(host) => {
                self.hosts[host].present = true;
                self.join(host);
            }
            Happening::Ask(want) => self.ask(want),
            Happening::Mischief => self.mischief(),
            Happening::Calm => self.calm(),
        }
    }

    /// Whether this is still the process that made the appointment.
    pub(crate) fn is_life(&self, epoch: u32) -> bool {
        self.process.is_some() && self.epoch == epoch
    }

    fn is_idle(&self) -> bool {
        let Some(process) = &self.process else { return false };
        let over = |run: &Known| run.id.as_ref().is_some_and(|id| self.phase_is_over(process, id));
        process.is_idle() && self.wants.iter().all(|want| want.answered) && self.runs.iter().all(over)
    }

    fn phase_is_over(&self, process: &Process, id: &RunId) -> bool {
        let phase = process.core.runs().get(id).map(|run| &run.phase);
        matches!(phase, Some(Phase::Finished(_)))
    }

    fn describe(&self) -> String {
        let Some(process) = &self.process else { return "the coordinator is down".to_owned() };
        let runs = process.core.runs().iter().map(|run| {
            let backlog = process.core.backlog(&run.id);
            format!("{}: {:?} {}/{} {backlog:?}\n", run.id, run.phase, run.done.len(), run.trials_end)
        });
        let workers = process.core.roster().iter().map(|(id, w)| (id, &w.leases, &w.refused, w.quarantined, w.leaving));
        let workers: Vec<_> = workers.collect();
        format!("{}{workers:?}\n{:?}", runs.collect::<String>(), process.core.leases())
    }

    /// Whether a run has ended and its tables are complete.
    pub(crate) fn is_over(&self, run: usize) -> bool {
        let id = self.runs[run].id.as_ref();
        id.zip(self.process.as_ref()).is_some_and(|(id, process)| self.phase_is_over(process, id))
    }

    /// One of the hosts, to do something to its worker.
    pub(crate) fn worker(&mut self, host: usize) -> Hand<'_> {
        Hand { world: self, host }
    }

    // Clients ---------------------------------------------------------------------------------------------------------

    fn ask(&mut self, want: usize) {
        if self.wants[want].answered || self.process.is_none() {
            return; // a restart has every open question asked again
        }
        let Want { what, run, .. } = self.wants[want];
        let request = RequestId(want as u64);
        let known = &self.runs[run];
        let event = match (what, &known.id) {
            (Asked::Submit, _) => {
                let understood = known.file.understood(&known.name);
                // Like the service, the client's side makes a new id each time; the key says that it is one run.
                let id = RunId(format!("{}-{}", known.name, self.chance.below(1 << 40)).into());
                let run_toml = tumble_runfile::canonical(&understood.spec, &understood.inner).into();
                let submission = Submission {
                    run: id,
                    key: known.name.clone(),
                    spec: Arc::new(understood.spec),
                    pipeline: Arc::new(understood.inner),
                    run_toml,
                    folder: PathBuf::from(&known.name),
                };
                Event::Submitted { request, submission: Box::new(submission) }
            }
            (_, None) => return self.in_ms(20, Happening::Ask(want)), // its submission is not answered yet
            (Asked::Cancel, Some(id)) => Event::CancelRequested { request, run: id.clone() },
            (Asked::Resume, Some(id)) => Event::ResumeRequested { request, run: id.clone() },
            (Asked::Give(generation), Some(id)) => Event::Given {
                request,
                run: id.clone(),
                generation,
                points: known.file.given[generation as usize].clone().into(),
            },
            (Asked::Finish, Some(id)) => Event::FinishRequested { request, run: id.clone() },
        };
        self.put(event);
    }

    pub(crate) fn answer(&mut self, request: RequestId, result: Result<RunView, Refusal>) {
        let want = &mut self.wants[request.0 as usize];
        want.answered = true;
        match (want.what, result) {
            (Asked::Submit, Ok(view)) => {
                let known = &mut self.runs[want.run].id;
                assert!(known.as_ref().is_none_or(|id| *id == view.run), "one key is one run");
                *known = Some(view.run);
            }
            (Asked::Give(generation), result) => {
                let run = want.run;
                self.giver_heard(run, generation, result.map(drop));
            }
            (Asked::Cancel | Asked::Resume | Asked::Finish, Ok(_)) => {}
            (Asked::Cancel | Asked::Resume, Err(Refusal::Ended(_))) => {}
            (what, Err(refusal)) => panic!("{what:?} is refused: {refusal}"),
        }
    }

    pub(crate) fn ask_all_again(&mut self) {
        for want in 0..self.wants.len() {
            if !self.wants[want].answered {
                let ms = self.chance.below(50);
                self.in_ms(ms, Happening::Ask(want));
            }
        }
    }

    /// Who looks after the runs has a suspended one go on after a while.
    fn resume_suspended(&mut self) {
        let Some(process) = &self.process else { return };
        let suspended = |known: &Known| {
            let run = known.id.as_ref().and_then(|id| process.core.runs().get(id));
            run.is_some_and(|run| matches!(run.phase, Phase::Suspended(_)))
        };
        let asked = |run: usize| self.wants.iter().any(|w| !w.answered && w.run == run && w.what == Asked::Resume);
        let runs: Vec<usize> = (0..self.runs.len()).filter(|run| suspended(&self.runs[*run]) && !asked(*run)).collect();
        for run in runs {
            self.wants.push(Want { what: Asked::Resume, run, answered: false });
            let ms = self.chance.below(400);
            self.in_ms(ms, Happening::Ask(self.wants.len() - 1));
        }
    }

    // What tests look at ----------------------------------------------------------------------------------------------

    pub(crate) fn core(&self) -> &tumble_core::Coordinator {
        &self.process.as_ref().expect("the coordinator is up").core
    }

    pub(crate) fn id(&self, run: usize) -> &RunId {
        self.runs[run].id.as_ref().expect("the submission was answered")
    }

    pub(crate) fn run(&self, run: usize) -> &tumble_core::Run {
        self.core().runs().get(self.id(run)).expect("what was submitted is there")
    }

    /// Trials of a run with an outcome; none before its submission is answered.
    pub(crate) fn done(&self, run: usize) -> u64 {
        let id = self.runs[run].id.as_ref();
        let run = id.zip(self.process.as_ref()).and_then(|(id, process)| process.core.runs().get(id));
        run.map_or(0, |run| run.done.len())
    }

    pub(crate) fn reason(&self, run: usize) -> Reason {
        match &self.run(run).phase {
            Phase::Finished(reason) => reason.clone(),
            phase => panic!("`{}` is not over but {phase:?}", self.id(run)),
        }
    }

    // The network -----------------------------------------------------------------------------------------------------

    /// Something for the driver's queue.
    pub(crate) fn put(&mut self, event: Event) {
        let Some(process) = &mut self.process else { return };
        process.inbox.push_back(event);
        if !process.turn_is_due {
            process.turn_is_due = true;
            let ms = self.chance.below(3);
            self.in_ms(ms, Happening::Turn { epoch: self.epoch });
        }
    }

    pub(crate) fn send(&mut self, worker: WorkerId, message: Message) {
        self.carry_down(worker, Down::Message(message));
    }

    pub(crate) fn carry_down(&mut self, worker: WorkerId, words: Down) {
        let delay = self.chance.below(self.delay_ms + 1);
        let Some(session) = self.sessions.get_mut(&worker) else { return };
        session.down.push_back(words);
        self.in_ms(delay, Happening::ToWorker(worker));
    }
}
