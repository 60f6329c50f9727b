//! One process, from its start to its end: what it says is kept within bounds, and it ends in time, with all that it started.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, kill_process_group, pidfd_open, prlimit};
use tumble_domain::Failure;
use tumble_domain::code::Exit;
use tumble_pipelines::Watch;

/// What is kept of the end of what a program says: enough for an answer of a thousand metrics, and nothing that a program which
/// says the same thing for ever could grow.
const STDOUT_BYTES_MAX: usize = super::answer::ANSWER_BYTES_MAX;
const STDERR_BYTES_MAX: usize = 64 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;
/// A pipe that can be written to takes so much without waiting (PIPE_BUF of Linux).
const WRITE_BYTES: usize = 4096;
/// How often the watch and the streams of a program are looked at: at first often, then seldom.
const LOOK_FIRST: Duration = Duration::from_millis(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A pipe that holds so much is likely to keep its program waiting soon (one of Linux holds 64 KiB).
const MUCH_BYTES: usize = 32 * 1024;
/// How long a program that is asked to end may take to tidy up, before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long a machine that has no process or no memory left is tried again.
const TRY_AGAIN_FOR: Duration = Duration::from_secs(20);
/// The lines and the bytes of a program's last words that the table keeps.
const WORDS_LINES_MAX: usize = 10;
const WORDS_BYTES_MAX: usize = 1024;

/// A program that has ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) stdout: Tail,
    pub(super) stderr: Tail,
    /// Why it was made to end, if it was.
    pub(super) failure: Option<Failure>,
}

/// The end of what was said.
#[derive(Default)]
pub(super) struct Tail {
    said: Vec<u8>,
    most: usize,
}

impl Tail {
    fn new(most: usize) -> Tail {
        Tail { said: Vec::new(), most }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.said.extend_from_slice(bytes);
        // Moved seldom, so that a flood costs one copy of it.
        if self.said.len() > 2 * self.most {
            self.said.drain(..self.said.len() - self.most);
        }
    }

    /// The last bytes, at most as many as it keeps.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.said[self.said.len().saturating_sub(self.most)..]
    }
}

impl Ended {
    /// What the program said last, on standard error or else on standard output, for the error of its trial.
    pub(super) fn last_words(&self) -> String {
        let of = |tail: &Tail| {
            let text = String::from_utf8_lossy(tail.bytes()).trim_end().to_owned();
            let lines: Vec<&str> = text.lines().collect();
            let mut text = lines[lines.len().saturating_sub(WORDS_LINES_MAX)..].join("\n");
            let mut from = text.len().saturating_sub(WORDS_BYTES_MAX);
            while !text.is_char_boundary(from) {
                from += 1;
            }
            text.split_off(from)
        };
        let (stderr, stdout) = (of(&self.stderr), of(&self.stdout));
        match (stderr.is_empty(), stdout.is_empty()) {
            (false, _) => format!("; the end of its standard error:\n{stderr}"),
            (true, false) => format!("; the end of its standard output:\n{stdout}"),
            (true, true) => "; it said nothing".to_owned(),
        }
    }
}

/// What is wrong with the way in which a program ended, if anything.
pub(super) fn went_wrong(status: ExitStatus, memory: Option<u64>) -> Option<String> {
    if status.success() {
        return None;
    }
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code).to_string(),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal).map_or(String::new(), |s| format!(" ({s})"));
            format!("{}{name}", Exit::Signal(signal))
        }
        (None, None) => "the program ended in no way that is known".to_owned(),
    };
    let memory = memory.map_or(String::new(), |bytes| format!(" (program.memory allows it {bytes} bytes)"));
    Some(how + &memory)
}

/// Runs a command to its end, or until the watch calls. `Err` holds the watch's failure before it was even started, or why
/// it could not be.
pub(super) fn run(
    mut command: Command,
    stdin: &[u8],
    memory: Option<u64>,
    watch: &Watch,
    buffer: &mut Buffer,
) -> Result<Ended, Result<Failure, String>> {
    // A group of its own: what it starts is killed with it.
    command.process_group(0);
    let mut child = start(&mut command, watch)?;
    let running = Running { group: Pid::from_child(&child) };
    if let Some(bytes) = memory {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        // A program that has ended already needs no limit.
        let _ = prlimit(Some(running.group), Resource::Data, limit);
    }
    match running.attend(&mut child, stdin, watch, &mut buffer.0) {
        Ok(ended) => Ok(ended),
        Err(error) => {
            running.signal(Signal::KILL);
            let _ = child.wait();
            Err(Err(format!("the program could not be watched: {error}")))
        }
    }
}

/// Starts a process. A machine at the end of its processes or memory is tried again: that is no fault of the trial.
fn start(command: &mut Command, watch: &Watch) -> Result<Child, Result<Failure, String>> {
    let since = Instant::now();
    loop {
        let error = match command.spawn() {
            Ok(child) => return Ok(child),
            Err(error) => error,
        };
        let is_short = matches!(error.raw_os_error(), Some(code) if SHORTAGES.contains(&code));
        if !is_short || since.elapsed() > TRY_AGAIN_FOR {
            return Err(Err(why_not_started(&error)));
        }
        watch.check().map_err(Ok)?;
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What passes: no process left, no memory left, no file left, and a program that is being written.
const SHORTAGES: [i32; 5] = [
    nix::errno::Errno::EAGAIN as i32,
    nix::errno::Errno::ENOMEM as i32,
    nix::errno::Errno::EMFILE as i32,
    nix::errno::Errno::ENFILE as i32,
    nix::errno::Errno::ETXTBSY as i32,
];

fn why_not_started(error: &std::io::Error) -> String {
    let errno = error.raw_os_error().map(nix::errno::Errno::from_raw);
    let hint = match errno {
        Some(nix::errno::Errno::ENOEXEC) => "its first line does not say what runs it: add one such as `#!/bin/sh`",
        Some(nix::errno::Errno::ENOENT) => "it, or the interpreter that its first line names, is not there any more",
        Some(nix::errno::Errno::E2BIG) => "its command line is too long: give long values by `stdin = \"json\"`",
        Some(nix::errno::Errno::EACCES) => "it is not executable, or lies where nothing may be executed",
        _ => "the system gave no reason that is known here",
    };
    format!("the program could not be started ({}); {hint}", error.kind())
}

/// A process and its group.
struct Running {
    group: Pid,
}

impl Running {
    /// Signals the whole group. The process is not waited for yet, so its number is still its own.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }

    /// Reads and writes until the process has ended.
    fn attend(&self, child: &mut Child, stdin: &[u8], watch: &Watch, buffer: &mut [u8]) -> std::io::Result<Ended> {
        let end = pidfd_open(self.group, PidfdFlags::empty())?;
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let mut input = child.stdin.take().filter(|_| !stdin.is_empty());
        let mut unwritten = stdin;
        let (mut out, mut err) = (Tail::new(STDOUT_BYTES_MAX), Tail::new(STDERR_BYTES_MAX));
        let (mut failure, mut kill_at) = (None, None::<Instant>);
        // A program that says little is woken for once, at its end; its words wait in the pipes. To be woken for each of them
        // costs a short program as much as its start. One that says much is attended to as it speaks.
        let (mut attentive, mut pause) = (false, LOOK_FIRST);
        loop {
            let fds =
                (stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd), input.as_ref().map(AsFd::as_fd));
            let words = if attentive { (fds.0, fds.1) } else { (None, None) };
            let mut ready = look(end.as_fd(), words.0, words.1, fds.2, if attentive { LOOK_EVERY } else { pause })?;
            if ready.ended {
                // What it left running holds its pipes open, and would for ever.
                self.signal(Signal::KILL);
                drain(&mut stdout, &mut stderr, &mut out, &mut err, buffer)?;
                return Ok(Ended { status: child.wait()?, stdout: out, stderr: err, failure });
            }
            if !attentive {
                ready = look(end.as_fd(), fds.0, fds.1, fds.2, Duration::ZERO)?;
                pause = (2 * pause).min(LOOK_EVERY);
            }
            if ready.stdout {
                attentive |= read(&mut stdout, &mut out, buffer)? >= MUCH_BYTES;
            }
            if ready.stderr {
                attentive |= read(&mut stderr, &mut err, buffer)? >= MUCH_BYTES;
            }
            if let (true, Some(pipe)) = (ready.stdin, &mut input) {
                match pipe.write(&unwritten[..unwritten.len().min(WRITE_BYTES)]) {
                    Ok(written) => unwritten = &unwritten[written..],
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // It reads no more.
                    Err(_) => unwritten = &[],
                }
                if unwritten.is_empty() {
                    input = None;
                }
            }
            match (&failure, kill_at) {
                (None, _) => {
                    if let Err(why) = watch.check() {
                        self.signal(Signal::TERM);
                        (failure, kill_at) = (Some(why), Some(Instant::now() + GRACE));
                    }
                }
                (Some(_), Some(at)) if Instant::now() >= at => {
                    self.signal(Signal::KILL);
                    kill_at = None;
                }
                _ => {}
            }
        }
    }
}

/// What a slot reads with, kept from program to program: a new one would be filled and paged in for each.
pub(super) struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer(vec![0; READ_BYTES])
    }
}

/// Reads what stands in the pipes of a program that has ended, and no more: somebody that left its group may hold them open.
/// A pipe that nobody holds open any more is empty when less is read of it than there is room for, and need not be asked again.
fn drain(
    stdout: &mut Option<impl Read + AsFd>,
    stderr: &mut Option<impl Read + AsFd>,
    out: &mut Tail,
    err: &mut Tail,
    buffer: &mut [u8],
) -> std::io::Result<()> {
    loop {
        let words = [stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd)];
        let mut fds: Vec<PollFd<'_>> =
            words.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        };
        let mut flags = fds.iter().map(PollFd::revents);
        let mut of = |is_open: bool| if is_open { flags.next() } else { None }.unwrap_or(PollFlags::empty());
        let (of_out, of_err) = (of(words[0].is_some()), of(words[1].is_some()));
        let is_more = [take(stdout, of_out, out, buffer)?, take(stderr, of_err, err, buffer)?];
        if !is_more.contains(&true) {
            return Ok(());
        }
    }
}

/// Reads once what a pipe has; whether there may be more.
fn take(pipe: &mut Option<impl Read>, flags: PollFlags, into: &mut Tail, buffer: &mut [u8]) -> std::io::Result<bool> {
    if !flags.contains(PollFlags::IN) {
        return Ok(false);
    }
    let read = read(pipe, into, buffer)?;
    let is_over = flags.contains(PollFlags::HUP) && read < buffer.len();
    if is_over {
        *pipe = None;
    }
    Ok(pipe.is_some())
}

/// What has something for us.
struct Ready {
    ended: bool,
    stdout: bool,
    stderr: bool,
    stdin: bool,
}

/// Waits until something is ready, or for so long.
fn look(
    end: BorrowedFd<'_>,
    stdout: Option<BorrowedFd<'_>>,
    stderr: Option<BorrowedFd<'_>>,
    stdin: Option<BorrowedFd<'_>>,
    timeout: Duration,
) -> std::io::Result<Ready> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
    let mut fds = Vec::with_capacity(4);
    fds.push(PollFd::from_borrowed_fd(end, PollFlags::IN));
    fds.extend(stdout.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    fds.extend(stderr.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    fds.extend(stdin.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)));
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(error) => return Err(error.into()),
    }
    let mut any = fds.iter().map(|fd| !fd.revents().is_empty());
    let mut next = |is_there: bool| is_there && any.next().unwrap_or(false);
    Ok(Ready {
        ended: next(true),
        stdout: next(stdout.is_some()),
        stderr: next(stderr.is_some()),
        stdin: next(stdin.is_some()),
    })
}

/// Reads what is there, once, and tells how much; a pipe that has ended is closed.
fn read(pipe: &mut Option<impl Read>, into: &mut Tail, buffer: &mut [u8]) -> std::io::Result<usize> {
    let Some(from) = pipe else { return Ok(0) };
    match from.read(buffer) {
        Ok(0) => *pipe = None,
        Ok(read) => {
            into.push(&buffer[..read]);
            return Ok(read);
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(0)
}
