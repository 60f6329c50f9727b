//! Who kills what a killed worker leaves running, and removes its scratch folder.
//!
//! A worker that leaves ends its programs itself. One that is killed cannot, and what a process asks of the kernel for that
//! case needs code that this workspace does without. So each worker that runs programs starts one small process, whose
//! standard input closes when the worker is gone. It costs a trial nothing: every program has the worker's token in its
//! environment, and by that the reaper finds them, wherever they have moved.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::command::TOKEN;

/// How often all processes are looked at, until twice in a row nothing is left.
const PASSES_MAX: u32 = 100;
const BETWEEN_PASSES: Duration = Duration::from_millis(20);

/// A reaper that waits for its worker's end.
pub(super) struct Reaper {
    child: Child,
}

impl Reaper {
    pub(super) fn start(command: &[OsString], token: &str, scratch: &Path) -> std::io::Result<Reaper> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| std::io::Error::other("no command is named for it"))?;
        let child = Command::new(program)
            .args(arguments)
            .arg(token)
            .arg(scratch)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What ends the worker from a terminal is not to end the reaper.
            .process_group(0)
            .spawn()?;
        Ok(Reaper { child })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What a reaper does: waits until standard input closes, kills what has the token, removes the scratch folder.
pub fn reap(token: &str, scratch: &Path) {
    let mut rest = [0; 64];
    while matches!(std::io::stdin().read(&mut rest), Ok(read) if read > 0) {}
    let wanted = format!("{TOKEN}={token}");
    let mut clean = 0;
    for _ in 0..PASSES_MAX {
        clean = if kill_all(wanted.as_bytes()) { 0 } else { clean + 1 };
        if clean == 2 {
            break;
        }
        // One that was just being started has its environment in a moment.
        std::thread::sleep(BETWEEN_PASSES);
    }
    let _ = std::fs::remove_dir_all(scratch);
}

/// Kills every process whose environment has this entry; tells whether there was one.
fn kill_all(entry: &[u8]) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let mut found = false;
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == entry) {
            found = true;
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    found
}
