//! The worker processes of `tumble run`: started, watched, started again when they die, told to leave.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use tumble_worker::Surroundings;

use crate::exit::Failure;

/// A worker that dies younger than this never got to work.
const INFANT: Duration = Duration::from_secs(2);
/// So many workers in a row that never got to work, and the run stops: something is wrong with all of them.
const INFANT_DEATHS_MAX: u32 = 20;
/// How long workers have to report what they hold.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// Worker processes on this machine.
pub(crate) struct LocalWorkers {
    children: Vec<(Child, Instant)>,
    /// Another binary than this one, if that is to evaluate.
    program: Option<PathBuf>,
    memory: Option<u64>,
    surroundings: Surroundings,
    access: PathBuf,
    log: PathBuf,
    infant_deaths: u32,
}

impl LocalWorkers {
    /// Starts so many, each with one slot.
    pub(crate) fn start(
        count: u32,
        program: Option<PathBuf>,
        memory: Option<u64>,
        surroundings: Surroundings,
        access: &Path,
        log: &Path,
    ) -> Result<LocalWorkers, Failure> {
        let mut workers = LocalWorkers {
            children: Vec::new(),
            program,
            memory,
            surroundings,
            access: access.to_owned(),
            log: log.to_owned(),
            infant_deaths: 0,
        };
        for _ in 0..count {
            let child = workers.spawn()?;
            workers.children.push((child, Instant::now()));
        }
        Ok(workers)
    }

    fn spawn(&self) -> Result<Child, Failure> {
        let failed = |error: std::io::Error| Failure::internal(format!("failed to start a worker process: {error}"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        Command::new(self.program.clone().map_or_else(std::env::current_exe, Ok).map_err(failed)?)
            .args(["worker", "--slots", "1", "--patience", "10s", "--leash", "--access"])
            .arg(&self.access)
            .args(self.memory.iter().map(|bytes| format!("--memory={bytes}")))
            .arg("--here")
            .arg(&self.surroundings.here)
            .args(self.surroundings.keep_in.iter().flat_map(|folder| [OsStr::new("--keep-failed"), folder.as_os_str()]))
            // The leash: our end closes when this process ends, however it ends, and the worker leaves.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C on a terminal reaches the whole foreground group; the workers are to hear of it from us.
            .process_group(0)
            .spawn()
            .map_err(failed)
    }

    /// Waits until a worker dies, and starts another in its place.
    pub(crate) async fn replace_dead(&mut self) -> Result<(), Failure> {
        loop {
            for index in 0..self.children.len() {
                let (child, born) = &mut self.children[index];
                let Ok(Some(status)) = child.try_wait() else { continue };
                let infant = born.elapsed() < INFANT && !status.success();
                self.infant_deaths = if infant { self.infant_deaths + 1 } else { 0 };
                if self.infant_deaths >= INFANT_DEATHS_MAX {
                    let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                    let tail: Vec<&str> = log.lines().rev().take(5).collect();
                    let tail: Vec<&str> = tail.into_iter().rev().collect();
                    return Err(Failure::internal(format!(
                        "the last {INFANT_DEATHS_MAX} worker processes died at once ({status}); {} says:\n{}",
                        self.log.display(),
                        tail.join("\n")
                    )));
                }
                tracing::warn!(%status, "a worker process died; starting another");
                self.children[index] = (self.spawn()?, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Tells every worker to report what it holds and leave, and waits for them.
    pub(crate) async fn leave(mut self) {
        for (child, _) in &self.children {
            if let Some(id) = child.id() {
                let _ = kill(Pid::from_raw(id as i32), Signal::SIGTERM);
            }
        }
        let all = async {
            for (child, _) in &mut self.children {
                let _ = child.wait().await;
            }
        };
        let _ = tokio::time::timeout(LEAVE_WITHIN, all).await;
        for (child, _) in &mut self.children {
            let _ = child.start_kill();
        }
    }
}
