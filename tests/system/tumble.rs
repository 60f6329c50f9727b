//! The one helper that touches the binary: starts it, talks to it, reads what it leaves. Everything else here is cases.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;

/// Guards against hanging alone: nothing here is expected to take a tenth of it.
const HANGS_AFTER: Duration = Duration::from_secs(120);
/// How often a test looks whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// Where the binary is. Cargo tells it to tests of its own package; those of another one have it beside them, two folders up.
pub(crate) fn tumble_binary() -> PathBuf {
    match option_env!("CARGO_BIN_EXE_tumble") {
        Some(path) => path.into(),
        None => {
            let own = std::env::current_exe().expect("a test knows where it is");
            own.ancestors().nth(2).expect("it lies in `deps`").join("tumble")
        }
    }
}

/// The binary, with the environment that tests expect: no settings of the person who runs them, plain text.
pub(crate) fn tumble() -> Command {
    let mut command = Command::new(tumble_binary());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TUMBLE_")) {
        command.env_remove(name);
    }
    // An empty one stands for no file.
    command.env("TUMBLE_CONFIG", "");
    command.env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8").env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    command
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Stdout as the one JSON value that it must be.
    #[track_caller]
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not one JSON value ({error}): {self:?}"))
    }

    /// Holds the exit code against what is expected.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

/// Runs `tumble` with these arguments in a folder, to its end.
pub(crate) fn run_in<A: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> Said {
    let mut command = tumble();
    command.current_dir(folder).args(arguments);
    Process::start(command).said()
}

/// A `tumble` that runs beside the test; killed when the test lets go of it.
pub(crate) struct Process {
    child: Child,
    stdout: Option<std::thread::JoinHandle<String>>,
    stderr: Option<std::thread::JoinHandle<String>>,
    has_spoken: Arc<AtomicBool>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Process {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let has_spoken = Arc::new(AtomicBool::new(false));
        let stdout = drain(child.stdout.take().expect("it is piped"), Arc::default());
        let stderr = drain(child.stderr.take().expect("it is piped"), has_spoken.clone());
        Process { child, stdout: Some(stdout), stderr: Some(stderr), has_spoken }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Closes its standard input, if that is a pipe of ours.
    pub(crate) fn let_go(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Whether it has written a line to stderr by now: of its progress, too.
    pub(crate) fn has_spoken(&self) -> bool {
        self.has_spoken.load(Ordering::Relaxed)
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        until("the process ends", || self.child.try_wait().expect("it is our child"))
    }

    /// Waits for its end, and gives what it said.
    pub(crate) fn said(mut self) -> Said {
        let code = self.ended().code();
        let text = |reader: Option<std::thread::JoinHandle<String>>| {
            reader.expect("it is asked for once").join().expect("a reader does not panic")
        };
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        Said { code, stdout, stderr }
    }

    /// Kills it as the system does when memory runs out: nothing in it gets to act.
    pub(crate) fn kill_9(&mut self) {
        self.signal(Signal::SIGKILL);
        self.ended();
    }

    /// Its worker processes that live.
    pub(crate) fn workers(&self) -> Vec<u32> {
        workers_of(self.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn drain(from: impl Read + Send + 'static, has_line: Arc<AtomicBool>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        let mut from = BufReader::new(from);
        let _ = from.read_line(&mut text);
        has_line.store(!text.is_empty(), Ordering::Relaxed);
        let _ = from.read_to_string(&mut text);
        text
    })
}

pub(crate) fn send(process: u32, signal: Signal) {
    kill(Pid::from_raw(process as i32), signal).expect("the process is there");
}

/// The living children of a process that are workers.
fn workers_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("there is /proc").flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        stat(*id).is_some_and(|(state, father)| father == parent && state != 'Z')
            && fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.split(|b| *b == 0).any(|w| w == b"worker"))
    })
    .collect()
}

/// A process's state and parent.
fn stat(process: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything but comes in parentheses.
    let mut rest = stat[stat.rfind(')')? + 2..].split(' ');
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

/// Whether a process has ended; a parent that never asks leaves a zombie behind, which does nothing any more.
pub(crate) fn is_gone(process: u32) -> bool {
    stat(process).is_none_or(|(state, _)| state == 'Z')
}

/// The most memory that a process has ever held, in bytes.
pub(crate) fn memory_peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
    kibibytes * 1024
}

/// Looks until something is there.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < HANGS_AFTER, "waited in vain until {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Looks until something has ended, for as long as more and more of it is done: on a busy machine that may take its time,
/// and only standing still is a failure.
#[track_caller]
pub(crate) fn until_end<T>(
    what: &str,
    mut ended: impl FnMut() -> Option<T>,
    mut done: impl FnMut() -> Option<u64>,
) -> T {
    let mut before = None;
    loop {
        let more = until(&format!("{what} ends, or goes on"), || match ended() {
            Some(end) => Some(Ok(end)),
            None => done().filter(|done| Some(*done) > before).map(Err),
        });
        match more {
            Ok(end) => return end,
            Err(done) => before = Some(done),
        }
    }
}

/// A place for one test: run files and results.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().expect("there is a temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a run file and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("the folder is ours");
        path
    }

    /// Runs `tumble` here, its arguments in one line.
    pub(crate) fn tumble(&self, line: &str) -> Said {
        run_in(self.path(), line.split_whitespace())
    }

    /// Starts `tumble` here.
    pub(crate) fn start(&self, line: &str) -> Process {
        let mut command = tumble();
        command.current_dir(self.path()).args(line.split_whitespace());
        Process::start(command)
    }

    /// Runs a run file to its end with so many workers, and gives its results.
    pub(crate) fn results(&self, run_file: &str, workers: u32, out: &str) -> Results {
        self.file("run-file.toml", run_file);
        self.tumble(&format!("run run-file.toml --quiet --workers {workers} --out {out}")).exits(0);
        results(&self.path().join(out))
    }
}

/// What a long run file gives when nothing happens to it; found out once for all tests.
pub(crate) fn undisturbed(run_file: &'static str) -> &'static Results {
    static KNOWN: Mutex<Vec<(&str, &'static OnceLock<Results>)>> = Mutex::new(Vec::new());
    let known = {
        let mut all = KNOWN.lock().expect("nobody panics with it");
        match all.iter().find(|(known, _)| *known == run_file) {
            Some((_, results)) => *results,
            None => {
                let results: &'static OnceLock<Results> = Box::leak(Box::default());
                all.push((run_file, results));
                results
            }
        }
    };
    known.get_or_init(|| Place::new().results(run_file, 2, "undisturbed"))
}

/// Puts results into a folder, to be read there.
pub(crate) fn put(results: &Results, folder: &Path) {
    fs::create_dir_all(folder.join("trials")).expect("the place is ours");
    results.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).expect("the place is ours"));
}

/// What follows from the run file alone: every file under `trials/`, the generations, the champion, the run file.
pub(crate) type Results = BTreeMap<String, Vec<u8>>;

pub(crate) fn results(folder: &Path) -> Results {
    let trials = fs::read_dir(folder.join("trials")).expect("a run has trials");
    let trials = trials.map(|entry| format!("trials/{}", entry.unwrap().file_name().into_string().unwrap()));
    let others = ["generations.parquet", "champion.json", "run.toml"].map(str::to_owned);
    let names = trials.chain(others.into_iter().filter(|name| folder.join(name).exists()));
    names.map(|name| (name.clone(), fs::read(folder.join(name)).expect("it was listed"))).collect()
}

/// Holds two results against each other, byte for byte, without printing the bytes.
#[track_caller]
pub(crate) fn assert_same(given: &Results, expected: &Results, when: &str) {
    let names = |results: &Results| results.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(given), names(expected), "{when}: other files");
    let differing: Vec<_> = given.iter().filter(|(name, bytes)| expected[*name] != **bytes).map(|(n, _)| n).collect();
    assert!(differing.is_empty(), "{when}: other bytes in {differing:?}");
}

/// Each trial has exactly one row, in the order of the index.
#[track_caller]
pub(crate) fn assert_each_trial_once(folder: &Path, trials: u64) {
    let column = tumble_tables::read_column(&folder.join("trials"), "trial").expect("the table is complete");
    let tumble_tables::Column::Unsigned(rows) = column else { panic!("`trial` is a count") };
    assert!(rows.iter().copied().eq(0..trials), "the rows are not the trials 0..{trials}, once each");
}

/// A column of text of a run's trials; what is missing is empty.
pub(crate) fn texts(folder: &Path, column: &str) -> Vec<String> {
    let column = tumble_tables::read_column(&folder.join("trials"), column).expect("the table is complete");
    let tumble_tables::Column::Text(texts) = column else { panic!("a column of text") };
    texts.into_iter().map(|text| text.as_deref().unwrap_or_default().to_owned()).collect()
}

/// A column of numbers of a run's trials.
pub(crate) fn numbers(folder: &Path, column: &str) -> Vec<f64> {
    let column = tumble_tables::read_column(&folder.join("trials"), column).expect("the table is complete");
    column.numbers().expect("a column of numbers")
}

/// The summary of a run that has ended.
pub(crate) fn summary(folder: &Path) -> Json {
    let text = fs::read_to_string(folder.join("summary.json")).expect("a run that has ended has a summary");
    serde_json::from_str(&text).expect("it is JSON")
}

/// How a run that is under way stands, asked of the coordinator with the access file in its state folder; `None` while
/// it does not answer.
pub(crate) fn standing(state: &Path, run: &str) -> Option<Json> {
    let access = state.join("client.access");
    if !access.exists() {
        return None;
    }
    let words = ["status", run, "--output", "json", "--quiet", "--access"].map(OsStr::new);
    // Not in the state folder, which goes when its run is complete.
    let beside = state.parent().expect("it lies in a folder of ours");
    let said = run_in(beside, words.into_iter().chain([access.as_os_str()]));
    (said.code == Some(0)).then(|| said.json())
}

/// Waits until a run has done a share of its trials, and gives how it stands. It must be under way then, or what is done
/// to it next would prove nothing.
#[track_caller]
pub(crate) fn under_way(state: &Path, run: &str, share: f64) -> Json {
    let view = until("the run has come so far", || {
        let view = standing(state, run)?;
        let done = view["trials_done"].as_f64()? / view["trials"].as_f64()?;
        (done >= share && done > 0.0).then_some(view)
    });
    assert!(view["state"] == "running" || view["state"] == "waiting", "the run is over already: {view:#}");
    assert!(view["trials_done"].as_u64() < view["trials"].as_u64(), "the run is over already: {view:#}");
    view
}

/// An address that nothing listens on at the moment, and that nothing takes while its coordinator is down: of all loopback
/// addresses one of this process alone, and not the one that connections to any of them come from.
pub(crate) fn free_address() -> String {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // A process's id has 22 bits at most.
    let [high, b, c, d] = std::process::id().to_be_bytes();
    let port = 20_000 + GIVEN.fetch_add(1, Ordering::Relaxed);
    format!("127.{}.{c}.{d}:{port}", 64 | (b ^ high) & 63)
}

/// A long-lived coordinator with its state in `state` and its runs under `runs`.
pub(crate) struct Coordinator {
    child: Child,
    pub(crate) address: String,
    state: PathBuf,
}

impl Coordinator {
    pub(crate) fn start(place: &Place, listen: &str) -> Coordinator {
        let mut child = Coordinator::command(place, listen).spawn().expect("the binary starts");
        let mut text = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let said: Json = loop {
            assert_ne!(lines.read_line(&mut text).expect("it is text"), 0, "the coordinator ended: {text}");
            if let Ok(said) = serde_json::from_str(&text) {
                break said;
            }
        };
        let address = said["address"].as_str().expect("it names its address").to_owned();
        Coordinator { child, address, state: place.path().join("state") }
    }

    /// The command that `start` starts and waits for.
    pub(crate) fn command(place: &Place, listen: &str) -> Command {
        let mut command = tumble();
        command.current_dir(place.path()).args([
            "coordinator",
            "--state",
            "state",
            "--out",
            "runs",
            "--output",
            "json",
        ]);
        command.args(["--listen", listen]).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it has ended, if it has.
    pub(crate) fn end(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    pub(crate) fn kill_9(&mut self) {
        send(self.id(), Signal::SIGKILL);
        self.child.wait().expect("it is our child");
    }

    /// Asks it to stop; it must end well.
    pub(crate) fn stop(mut self) {
        send(self.id(), Signal::SIGTERM);
        let status = until("the coordinator stops", || self.child.try_wait().expect("it is our child"));
        assert_eq!(status.code(), Some(0));
    }

    /// A worker of one slot for it.
    pub(crate) fn worker(&self) -> Process {
        let mut command = tumble();
        command.args(["worker", "--slots", "1", "--access"]).arg(self.state.join("worker.access"));
        Process::start(command)
    }

    /// Runs a client's command: `line`, and the access file after it.
    pub(crate) fn client(&self, line: &str) -> Said {
        let access = self.state.join("client.access");
        let words = line.split_whitespace().map(OsStr::new).chain([OsStr::new("--access"), access.as_os_str()]);
        run_in(self.state.parent().expect("it lies in the place"), words)
    }

    /// Submits a run file that lies in the place; gives the run's id.
    pub(crate) fn submit(&self, line: &str) -> String {
        self.client(&format!("submit {line}")).exits(0).stdout.trim().to_owned()
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
