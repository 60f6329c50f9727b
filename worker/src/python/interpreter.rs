//! One interpreter: started, asked, watched, and killed with all that it started.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tumble_domain::Failure;
use tumble_pipelines::Watch;

use super::frames::Words;

/// What the interpreter runs.
const BRIDGE: &str = include_str!("bridge.py");
/// Reads that from standard input, to the byte, so that a list of processes stays readable.
const START: &str = "import os, sys
if sys.version_info < (3, 9):
    sys.exit('Python 3.9 or later is needed, and this is Python ' + sys.version.split()[0])
size, code = int(sys.argv[1]), b''
while len(code) < size:
    more = os.read(0, size - len(code))
    if not more: os._exit(0)
    code += more
del more, size
exec(compile(code, '<tumble>', 'exec'))
";
/// How often the watch and the process are looked at while nothing is heard.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often a worker's log is told that a module is still being imported.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// The end of what it printed that is kept for the log.
const SAID_BYTES_MAX: usize = 16 * 1024;
/// The longest frame: an error for each trial of a batch comes in frames of its own, so none is long.
const FRAME_BYTES_MAX: usize = 16 << 20;
/// How long a killed interpreter's last frames are waited for.
const LAST_FRAMES_WITHIN: Duration = Duration::from_secs(2);
/// Libraries that would take every core, where each slot has an interpreter of its own.
const THREADS: [&str; 3] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// A frame from the bridge: what it is, and its bytes.
pub(super) type Frame = (u8, Vec<u8>);

/// Why an interpreter is not there for us.
#[derive(Debug, PartialEq)]
pub(super) enum NotReady {
    /// The watch called.
    Stopped(Failure),
    /// It cannot be: why, and whether it may well be on another machine.
    Cannot {
        /// For a person.
        why: String,
        /// It may be right elsewhere.
        elsewhere: bool,
    },
}

/// How a batch ended.
#[derive(Debug, PartialEq)]
pub(super) enum Turn {
    /// Every trial was called.
    Done,
    /// The interpreter died.
    Died(String),
    /// The watch called, or a trial took too long. The interpreter is killed.
    Stopped(Failure),
}

/// A batch's end, and the errors of its trials.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) turn: Turn,
    pub(super) errors: Vec<(usize, String)>,
    /// The trial in progress when it ended early.
    pub(super) at: Option<usize>,
}

/// An interpreter that has imported the module.
pub(super) struct Interpreter {
    process: Process,
    /// Which trial is in progress, then the metrics.
    shared: File,
    /// It has not been asked anything yet.
    pub(super) is_fresh: bool,
}

/// The process of one.
pub(super) struct Process {
    child: Child,
    group: Pid,
    requests: Option<ChildStdin>,
    answers: Receiver<Frame>,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    /// Starts an interpreter and gives it its first frame.
    pub(super) fn start(interpreter: &Path, here: &Path, first: &[u8]) -> Result<Process, String> {
        let mut command = Command::new(interpreter);
        command.args(["-u", "-c", START]).arg(BRIDGE.len().to_string()).current_dir(here);
        // The order of a set of texts is to be the same in every process.
        command.env("PYTHONHASHSEED", "0");
        command.envs(THREADS.iter().filter(|name| std::env::var_os(name).is_none()).map(|name| (name, "1")));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| format!("the interpreter {} could not be started: {error}", interpreter.display()))?;
        let group = Pid::from_raw(child.id() as i32);
        let (send, answers) = channel();
        let said = Arc::new(Mutex::new(Vec::new()));
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || read_frames(stdout, &send));
        }
        if let Some(stderr) = child.stderr.take() {
            let said = said.clone();
            std::thread::spawn(move || keep_tail(stderr, &said));
        }
        let requests = child.stdin.take();
        let mut process = Process { child, group, requests, answers, said };
        // One that is dead already is noticed by whoever waits for its answer.
        let _ = process.write(BRIDGE.as_bytes()).and_then(|()| process.send(first));
        Ok(process)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let pipe = self.requests.as_mut().ok_or(ErrorKind::BrokenPipe)?;
        pipe.write_all(bytes)?;
        pipe.flush()
    }

    fn send(&mut self, body: &[u8]) -> std::io::Result<()> {
        self.write(&(body.len() as u32).to_le_bytes())?;
        self.write(body)
    }

    /// The next frame; `None` once the process is dead. `look` is called now and then, and ends the waiting.
    fn frame(&mut self, mut look: impl FnMut() -> Result<(), Failure>) -> Result<Option<Frame>, Failure> {
        loop {
            match self.answers.recv_timeout(LOOK_EVERY) {
                Ok(frame) => return Ok(Some(frame)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {
                    look()?;
                    if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                        // What it started may hold its pipes open.
                        self.kill();
                        return Ok(self.answers.recv_timeout(LAST_FRAMES_WITHIN).ok());
                    }
                }
            }
        }
    }

    /// The first answer, once the module is imported. `look` is called now and then with how long that has taken.
    pub(super) fn first_answer(
        &mut self,
        mut look: impl FnMut(Duration) -> Result<(), Failure>,
    ) -> Result<Frame, NotReady> {
        let since = Instant::now();
        match self.frame(|| look(since.elapsed())) {
            Ok(Some((b'X', body))) => {
                let elsewhere = body.first() == Some(&b'e');
                let why = String::from_utf8_lossy(body.get(1..).unwrap_or_default()).into_owned();
                Err(NotReady::Cannot { why, elsewhere })
            }
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => {
                let (how, said) = (self.end(), self.said());
                let said = if said.is_empty() { "it said nothing".to_owned() } else { said };
                Err(NotReady::Cannot {
                    why: format!("the interpreter {how} before it was ready: {said}"),
                    elsewhere: false,
                })
            }
            Err(failure) => Err(NotReady::Stopped(failure)),
        }
    }

    fn kill(&self) {
        // The process is not waited for yet, or was a moment ago: its group is still its own.
        let _ = killpg(self.group, Signal::SIGKILL);
    }

    /// Kills what is left of it, and tells how it ended.
    fn end(&mut self) -> String {
        // One that ended by itself has told how; only what it started is killed then.
        let ended = self.child.try_wait().ok().flatten();
        let waited = ended.or_else(|| self.wait_a_moment());
        self.kill();
        let status = waited.or_else(|| self.child.wait().ok());
        status.map_or_else(|| "ended".to_owned(), how_it_ended)
    }

    /// A process whose pipes are closed is about to end.
    fn wait_a_moment(&mut self) -> Option<ExitStatus> {
        let until = Instant::now() + LAST_FRAMES_WITHIN;
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// The end of what it printed.
    pub(super) fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&said[said.len().saturating_sub(SAID_BYTES_MAX)..]).trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
        let said = self.said();
        if !said.is_empty() {
            tracing::info!(said, "an interpreter has ended; the end of what it printed");
        }
    }
}

impl Interpreter {
    /// Starts one and waits until it has imported the module, however long that takes.
    pub(super) fn start(interpreter: &Path, here: &Path, first: &[u8], watch: &Watch) -> Result<Interpreter, NotReady> {
        let cannot = |why| NotReady::Cannot { why, elsewhere: false };
        let mut process = Process::start(interpreter, here, first).map_err(cannot)?;
        let mut tell_at = TELL_EVERY;
        let (_, body) = process.first_answer(|waited| {
            if waited >= tell_at {
                tracing::info!(seconds = waited.as_secs(), "the module is still being imported");
                tell_at += TELL_EVERY;
            }
            match watch.check() {
                // An import counts against no trial.
                Err(Failure::Interrupted) => Err(Failure::Interrupted),
                _ => Ok(()),
            }
        })?;
        let mut words = Words::of(&body);
        let place = words.number().zip(words.number()).map(|(process, file)| format!("/proc/{process}/fd/{file}"));
        let place = place.ok_or_else(|| cannot("the interpreter answered in a way that is not ours".to_owned()))?;
        let shared = File::options()
            .read(true)
            .write(true)
            .open(&place)
            .map_err(|error| cannot(format!("the interpreter's memory {place} cannot be read: {error}")))?;
        Ok(Interpreter { process, shared, is_fresh: true })
    }

    /// Has a batch of so many trials evaluated. `timeout` is what one of them may take; a function that takes them all at once
    /// may take as much for each.
    pub(super) fn evaluate(
        &mut self,
        request: &[u8],
        trials_at_once: u32,
        watch: &Watch,
        timeout: Option<Duration>,
    ) -> Answer {
        self.is_fresh = false;
        let mut errors = Vec::new();
        // What stood there from the batch before.
        let sent = self.shared.write_all_at(&0u64.to_le_bytes(), 0).and_then(|()| self.process.send(request));
        let timeout = timeout.map(|timeout| timeout * trials_at_once);
        let (shared, mut in_progress, mut since) = (&self.shared, None, Instant::now());
        let mut look = || {
            watch.check()?;
            let Some(timeout) = timeout else { return Ok(()) };
            let now = progress(shared);
            if now != in_progress {
                (in_progress, since) = (now, Instant::now());
            }
            if in_progress.is_some() && since.elapsed() >= timeout { Err(Failure::TimedOut) } else { Ok(()) }
        };
        // A broken pipe is a dead interpreter: the reason is found below.
        drop(sent);
        let turn = loop {
            match self.process.frame(&mut look) {
                Ok(Some((b'D', _))) => break Turn::Done,
                Ok(Some((b'E', body))) => errors.extend(error_of(&body)),
                // Its death is noticed by its pipe.
                Ok(Some(_)) => {}
                Ok(None) => break Turn::Died(self.process.end()),
                Err(failure) => {
                    self.process.kill();
                    // What it said before.
                    while let Ok((kind, body)) = self.process.answers.recv_timeout(LAST_FRAMES_WITHIN) {
                        if kind == b'E' {
                            errors.extend(error_of(&body));
                        }
                    }
                    break Turn::Stopped(failure);
                }
            }
        };
        let at = if turn == Turn::Done { None } else { progress(&self.shared) };
        Answer { turn, errors, at }
    }

    /// The metrics of the first so many trials of the last batch.
    pub(super) fn rows(&self, trials: usize, metrics: usize) -> std::io::Result<Vec<f64>> {
        let mut bytes = vec![0; 8 * trials * metrics];
        self.shared.read_exact_at(&mut bytes, 8)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect())
    }

    /// The end of what it printed.
    pub(super) fn said(&self) -> String {
        self.process.said()
    }
}

/// The trial in progress.
fn progress(shared: &File) -> Option<usize> {
    let mut word = [0; 8];
    shared.read_exact_at(&mut word, 0).ok()?;
    u64::from_le_bytes(word).checked_sub(1).map(|at| at as usize)
}

fn error_of(body: &[u8]) -> Option<(usize, String)> {
    let (at, text) = body.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*at) as usize, String::from_utf8_lossy(text).into_owned()))
}

fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => {
            let name = Signal::try_from(signal).map_or(String::new(), |signal| format!(" ({signal})"));
            format!("was killed by signal {signal}{name}")
        }
        (None, None) => "ended".to_owned(),
    }
}

fn read_frames(mut pipe: impl Read, frames: &Sender<Frame>) {
    let mut head = [0; 5];
    while pipe.read_exact(&mut head).is_ok() {
        let [kind, length @ ..] = head;
        let length = u32::from_le_bytes(length) as usize;
        let mut body = vec![0; length.min(FRAME_BYTES_MAX)];
        if length > FRAME_BYTES_MAX || pipe.read_exact(&mut body).is_err() || frames.send((kind, body)).is_err() {
            return;
        }
    }
}

fn keep_tail(mut pipe: impl Read, said: &Mutex<Vec<u8>>) {
    let mut buffer = vec![0; SAID_BYTES_MAX];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                said.extend_from_slice(&buffer[..read]);
                let most = 2 * SAID_BYTES_MAX;
                if said.len() > most {
                    let surplus = said.len() - SAID_BYTES_MAX;
                    said.drain(..surplus);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
