//! Real kills: a coordinator, workers and a client on loopback, and signals to them by a schedule that follows from a seed.
//!
//! `cargo xtask kills --signals 1000` sends more of them over one run, and `--seed 7` those of another schedule. The
//! schedule says whom, what and after which pause; what a signal interrupts follows from the machine as well.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tumble_proto::access::{Access, SECRET_METADATA};
use tumble_proto::v1;
use tumble_proto::v1::runs_client::RunsClient;
use tumble_tables::{AttemptOutcome, read_attempts};

use crate::cases::*;
use crate::chance::Chance;
use crate::tally::survived;
use crate::tumble::*;

/// Signals of each of the two tests, where nothing else is asked for.
const SIGNALS: u64 = 40;
/// The schedule of those: one that has something of everything.
const SEED: u64 = 5;
/// Workers at any time, besides those that are leaving.
const WORKERS: usize = 3;

/// A worker that dies is blamed on the trial that it evaluated alone, and after `attempts` of such deaths the trial is
/// recorded as failed. Here nobody dies of a trial, so no number of deaths convicts one.
const NO_TRIAL_IS_TO_BLAME: &str = "[limits]\nattempts = 1_000_000\n";

#[test]
fn whatever_is_killed_in_a_sweep_the_table_is_that_of_a_calm_run() {
    // Longer for more signals, which the run has to outlast.
    let replicates = 42 * (variable("TUMBLE_KILLS_SIGNALS", SIGNALS) / 25).max(3);
    let run_file = LONG_SWEEP.replace("replicates = 42", &format!("replicates = {replicates}"));
    survives_its_schedule(&run_file, 400 * replicates);
}

#[test]
fn whatever_is_killed_in_an_evolution_the_tables_are_those_of_a_calm_run() {
    let generations = 300 * (variable("TUMBLE_KILLS_SIGNALS", SIGNALS) / 100).max(1);
    let run_file = LONG_EVOLVE.replace("generations = 300", &format!("generations = {generations}"));
    survives_its_schedule(&run_file, 128 * generations);
}

fn variable(name: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}"))
}

/// Runs it twice, calmly and under signals, and holds the two against each other.
fn survives_its_schedule(run_file: &str, trials: u64) {
    let (signals, seed) = (variable("TUMBLE_KILLS_SIGNALS", SIGNALS), variable("TUMBLE_KILLS_SEED", SEED));
    let _replay = Replay { signals, seed };
    let run_file = format!("{run_file}{NO_TRIAL_IS_TO_BLAME}");
    let calm = {
        let place = Place::new();
        let mut world = World::begun(&place, &run_file);
        world.goes_on_to_its_end();
        results(&world.folder())
    };
    let place = Place::new();
    let mut world = World::begun(&place, &run_file);
    let mut chance = Chance::new(seed);
    for sent in 0..signals {
        // So far the run may come before the next signal is sent at once: the schedule is through before the run is.
        let strike = Strike::drawn(&mut chance);
        world.pause(&strike, trials * 9 / 10 * sent / signals);
        match strike.worker {
            Some(which) => world.strike_worker(which, &strike),
            None => world.strike_coordinator(&strike),
        }
    }
    world.goes_on_to_its_end();
    let folder = world.folder();
    assert_same(&results(&folder), &calm, &format!("after {:?}", world.sent));
    assert_each_trial_once(&folder, trials);
    let summary = summary(&folder);
    assert_eq!((&summary["disagreements"], &summary["trials_failed"]), (&0.into(), &0.into()), "{summary:#}");
    let attempts = read_attempts(&folder.join("attempts.parquet")).expect("the table is complete");
    let lost = attempts.iter().filter(|attempt| attempt.outcome == AttemptOutcome::Lost).count();
    assert!(lost > 0, "no worker that was killed had a lease: the schedule proves nothing");
    eprintln!("survived {:?}; {lost} leases were lost with their workers", world.sent);
    world.sent.iter().for_each(|(fault, times)| survived(fault, *times));
}

/// Says how to run a failing schedule again.
struct Replay {
    signals: u64,
    seed: u64,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same schedule again: cargo xtask kills --signals {} --seed {}", self.signals, self.seed);
        }
    }
}

/// What is done to a process.
#[derive(Clone, Copy)]
enum Blow {
    Kill,
    /// With SIGSTOP, to go on by SIGCONT later. One that is stopped already is killed.
    Stop,
    SendAway,
}

/// One signal of the schedule. All of it is drawn whether it is needed or not, so that the next one is the same whatever
/// became of this one.
struct Strike {
    /// The pause before it, and whether that ends with the next news of the run alone.
    pause_ms: u64,
    for_news: bool,
    /// Which worker; or the coordinator.
    worker: Option<usize>,
    blow: Blow,
    stopped_ms: u64,
    /// How long there is no coordinator; and when one that starts after that is killed.
    gone_ms: u64,
    starts_ms: Option<u64>,
}

impl Strike {
    fn drawn(chance: &mut Chance) -> Strike {
        use Blow::*;
        let (pause_ms, for_news) = (chance.between(0, 250), chance.one_in(3));
        let (is_coordinator, worker) = (chance.one_in(4), chance.below(WORKERS as u64) as usize);
        let of_workers = chance.pick(&[Kill, Kill, Kill, Kill, Kill, Stop, Stop, Stop, SendAway, SendAway]);
        let of_coordinators = chance.pick(&[Kill, Kill, Kill, Stop, Stop, SendAway]);
        let (for_long, moment_ms) = (chance.one_in(30), chance.between(5, 1_500));
        let (gone_ms, one_starts, starts_ms) = (chance.between(0, 200), chance.one_in(3), chance.between(0, 60));
        Strike {
            pause_ms,
            for_news,
            worker: (!is_coordinator).then_some(worker),
            blow: if is_coordinator { of_coordinators } else { of_workers },
            // Now and then a worker is silent for longer than the coordinator puts up with, which is ten seconds.
            stopped_ms: if for_long && !is_coordinator { 11_000 } else { moment_ms },
            gone_ms,
            starts_ms: one_starts.then_some(starts_ms),
        }
    }
}

/// Everybody who has to do with one run.
struct World<'a> {
    place: &'a Place,
    address: String,
    coordinator: Option<Coordinator>,
    workers: Vec<Process>,
    /// Workers that were asked to leave, and have to.
    leaving: Vec<Process>,
    /// Who was stopped, and until when.
    stopped: Vec<(u32, Instant)>,
    watching: Process,
    onlooker: Onlooker,
    sent: BTreeMap<&'static str, u64>,
}

impl World<'_> {
    /// Of a run that has done something, and a client that watches it to its end.
    fn begun<'a>(place: &'a Place, run_file: &str) -> World<'a> {
        place.file("run-file.toml", run_file);
        let address = free_address();
        let coordinator = Coordinator::start(place, &address);
        let workers = (0..WORKERS).map(|_| coordinator.worker()).collect();
        let run = coordinator.submit("run-file.toml");
        under_way(coordinator.state(), &run, 0.0);
        let access = coordinator.state().join("client.access");
        let mut watch = tumble();
        watch.args(["watch", &run, "--output", "json", "--access"]).arg(&access);
        let watching = Process::start(watch);
        // A client that finds nobody when it begins does not wait for a coordinator to come.
        until("the client has heard of the run", || watching.has_spoken().then_some(()));
        World {
            place,
            address,
            coordinator: Some(coordinator),
            workers,
            leaving: Vec::new(),
            stopped: Vec::new(),
            watching,
            onlooker: Onlooker::of(&access, run),
            sent: BTreeMap::new(),
        }
    }

    fn folder(&self) -> std::path::PathBuf {
        self.place.path().join("runs").join(&self.onlooker.run)
    }

    /// Waits until a signal is due: some time, or until there is news, or until the run has come so far.
    fn pause(&mut self, strike: &Strike, done_max: u64) {
        let pause = Duration::from_millis(strike.pause_ms);
        let (since, before) = (Instant::now(), self.onlooker.done);
        until("the next signal is due", || {
            self.let_go_on();
            self.onlooker.look();
            assert!(!self.onlooker.is_over, "the run was over before the schedule was through");
            let is_due = since.elapsed() >= pause && (!strike.for_news || self.onlooker.done > before);
            (is_due || self.onlooker.done > done_max).then_some(())
        });
        for worker in &mut self.workers {
            assert!(!worker.has_ended(), "a worker left that nobody had sent away");
        }
    }

    fn strike_worker(&mut self, which: usize, strike: &Strike) {
        let id = self.workers[which].id();
        match strike.blow {
            Blow::Stop if !self.is_stopped(id) => {
                self.stop(id, strike.stopped_ms);
                self.count("a worker stopped, and gone on with");
            }
            Blow::Stop | Blow::Kill => {
                self.workers[which].kill_9();
                self.stopped.retain(|(stopped, _)| *stopped != id);
                self.workers[which] = self.coordinator().worker();
                self.count("`kill -9` of a worker");
            }
            Blow::SendAway => {
                self.workers[which].signal(Signal::SIGTERM);
                let new = self.coordinator().worker();
                self.leaving.push(std::mem::replace(&mut self.workers[which], new));
                self.count("a worker told to leave (SIGTERM)");
            }
        }
    }

    fn strike_coordinator(&mut self, strike: &Strike) {
        let id = self.coordinator().id();
        match strike.blow {
            Blow::Stop if !self.is_stopped(id) => {
                self.stop(id, strike.stopped_ms);
                return self.count("the coordinator stopped, and gone on with");
            }
            Blow::Stop | Blow::Kill => {
                self.coordinator.as_mut().expect("there always is one").kill_9();
                self.stopped.retain(|(stopped, _)| *stopped != id);
                self.count("`kill -9` of the coordinator");
            }
            Blow::SendAway => {
                if self.is_stopped(id) {
                    self.stopped.retain(|(stopped, _)| *stopped != id);
                    send(id, Signal::SIGCONT);
                }
                send(id, Signal::SIGTERM);
                let ended = until("the coordinator stops", || {
                    self.let_go_on();
                    self.coordinator.as_mut().expect("there always is one").end()
                });
                assert_eq!(ended.code(), Some(0));
                self.count("the coordinator told to leave (SIGTERM)");
            }
        }
        self.coordinator = None;
        std::thread::sleep(Duration::from_millis(strike.gone_ms));
        if let Some(ms) = strike.starts_ms {
            // While it reads its journal, or before, or after.
            let mut starting = Coordinator::command(self.place, &self.address).spawn().expect("the binary starts");
            std::thread::sleep(Duration::from_millis(ms));
            starting.kill().expect("it is our child");
            starting.wait().expect("it is our child");
            self.count("`kill -9` of a coordinator that starts");
        }
        self.coordinator = Some(Coordinator::start(self.place, &self.address));
        // Whoever asks the new one is not told of less than before.
        let answers = self.onlooker.answers;
        until("the new coordinator answers", || {
            self.let_go_on();
            self.onlooker.look();
            (self.onlooker.answers > answers).then_some(())
        });
    }

    fn coordinator(&self) -> &Coordinator {
        self.coordinator.as_ref().expect("there always is one")
    }

    fn count(&mut self, fault: &'static str) {
        *self.sent.entry(fault).or_default() += 1;
    }

    fn is_stopped(&self, id: u32) -> bool {
        self.stopped.iter().any(|(stopped, _)| *stopped == id)
    }

    fn stop(&mut self, id: u32, ms: u64) {
        send(id, Signal::SIGSTOP);
        self.stopped.push((id, Instant::now() + Duration::from_millis(ms)));
    }

    /// Lets those go on whose time has come.
    fn let_go_on(&mut self) {
        self.stopped.retain(|(id, until)| {
            let is_due = *until <= Instant::now();
            if is_due {
                send(*id, Signal::SIGCONT);
            }
            !is_due
        });
    }

    /// Nothing happens any more: the run ends, and everybody leaves as they should.
    fn goes_on_to_its_end(&mut self) {
        self.stopped.drain(..).for_each(|(id, _)| send(id, Signal::SIGCONT));
        let (watching, onlooker) = (&mut self.watching, &mut self.onlooker);
        let ended = until_end(
            "the run",
            || watching.has_ended().then(|| watching.ended()),
            || {
                onlooker.look();
                Some(onlooker.done)
            },
        );
        assert_eq!(ended.code(), Some(0), "the client that watched");
        let coordinator = self.coordinator.take().expect("there always is one");
        coordinator.client(&format!("wait {}", self.onlooker.run)).exits(0);
        coordinator.stop();
        self.workers.iter().for_each(|worker| worker.signal(Signal::SIGTERM));
        for mut worker in self.leaving.drain(..).chain(self.workers.drain(..)) {
            let ended = worker.ended();
            // One that had only just begun may not have known yet how to leave.
            assert!(ended.code() == Some(0) || ended.signal() == Some(15), "a worker that was sent away: {ended:?}");
        }
    }
}

/// A client that asks again and again how far the run is, and is never told of less than before.
struct Onlooker {
    runtime: tokio::runtime::Runtime,
    client: RunsClient<Channel>,
    secret: MetadataValue<tonic::metadata::Ascii>,
    run: String,
    done: u64,
    is_over: bool,
    answers: u64,
}

/// A coordinator that is stopped does not answer.
const ANSWERS_WITHIN: Duration = Duration::from_millis(200);

impl Onlooker {
    fn of(access: &std::path::Path, run: String) -> Onlooker {
        let access = Access::read(access).expect("the coordinator wrote it");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a thread");
        let channel = {
            let _within = runtime.enter();
            Endpoint::from_shared(access.address).expect("it is an address").connect_lazy()
        };
        let secret = MetadataValue::try_from(&access.secret).expect("it is hexadecimal");
        Onlooker { runtime, client: RunsClient::new(channel), secret, run, done: 0, is_over: false, answers: 0 }
    }

    /// Asks once; whoever is asked may be gone, or stopped.
    fn look(&mut self) {
        let mut request = Request::new(v1::RunRequest { run: self.run.clone() });
        request.metadata_mut().insert(SECRET_METADATA, self.secret.clone());
        let (runtime, client) = (&self.runtime, &mut self.client);
        let answer = runtime.block_on(async { tokio::time::timeout(ANSWERS_WITHIN, client.get(request)).await });
        let view = match answer {
            Ok(Ok(view)) => view.into_inner(),
            Ok(Err(status)) if status.code() == tonic::Code::NotFound => panic!("the run is forgotten: {status}"),
            _ => return,
        };
        assert!(view.trials_done >= self.done, "{} trials were done, {} are left", self.done, view.trials_done);
        assert_eq!(view.trials_failed, 0, "a trial was blamed for a death: {view:#?}");
        self.done = view.trials_done;
        self.is_over = !matches!(view.state(), v1::RunState::Waiting | v1::RunState::Running);
        self.answers += 1;
    }
}
