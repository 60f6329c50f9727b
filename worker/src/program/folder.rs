//! Working folders: fresh and private for each trial, kept for some that fail.

use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::reaper::Reaper;

/// The most that is kept of one working folder.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// The most files of it.
const KEPT_FILES_MAX: u32 = 1000;

/// A worker's own folder for what its programs write, removed with the worker.
pub(super) struct Scratch {
    root: PathBuf,
    token: String,
    next: AtomicU64,
    /// Removes the folder when the worker is gone, however it goes.
    reaper: Option<Reaper>,
}

impl Scratch {
    pub(super) fn try_new(reaper: Option<&[std::ffi::OsString]>) -> Result<Scratch, String> {
        let words: [u64; 2] = [getrandom::u64(), getrandom::u64()].map(|word| word.unwrap_or(0));
        let token = format!("{}-{:016x}{:016x}", std::process::id(), words[0], words[1]);
        let root = std::env::temp_dir().join(format!("tumble-{token}"));
        let failed = |error: std::io::Error| {
            format!(
                "a scratch folder could not be made in {} ({error}); TMPDIR says where",
                std::env::temp_dir().display()
            )
        };
        // Fails if somebody was there first.
        private(&root).map_err(failed)?;
        let reaper = reaper.map(|command| Reaper::start(command, &token, &root)).transpose();
        let reaper = reaper.map_err(|error| format!("a reaper could not be started: {error}"))?;
        Ok(Scratch { root, token, next: AtomicU64::new(0), reaper })
    }

    /// What marks the programs of this worker.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// A place for one slot.
    pub(super) fn folder(&self) -> WorkFolder {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        WorkFolder { path: self.root.join(format!("slot-{number}")) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match self.reaper.take() {
            Some(reaper) => drop(reaper),
            None => drop(fs::remove_dir_all(&self.root)),
        }
    }
}

fn private(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)
}

/// The working folder of a slot's trial; the next trial gets another.
pub(super) struct WorkFolder {
    path: PathBuf,
}

impl WorkFolder {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it anew.
    pub(super) fn begin(&mut self) -> std::io::Result<()> {
        // Most programs leave nothing behind, and an empty folder is as good as new: to make one costs more than to look.
        let is_empty = fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none());
        if is_empty && fs::symlink_metadata(&self.path)?.mode() & 0o7777 == 0o700 {
            return Ok(());
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => private(&self.path),
        }
    }

    /// The end of a file in it.
    pub(super) fn read_tail(&self, name: &str, most: usize) -> std::io::Result<Vec<u8>> {
        let path = self.path.join(name);
        if !fs::symlink_metadata(&path)?.is_file() {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "it is no plain file"));
        }
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(most as u64)))?;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Keeps what a failed trial left, with notes of ours, as `keep_in/<name><trial>`, unless enough are kept already. Where
    /// it went is told in the worker's log alone: in the table it would differ from worker to worker.
    pub(super) fn keep(&self, keep_in: &Path, name: &str, trial: u64, most: u32, notes: &[(&str, &[u8])]) {
        if most == 0 {
            return;
        }
        let kept = keep_in.join(format!("{name}{trial}"));
        let keep = || -> std::io::Result<bool> {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(keep_in)?;
            let is_kept = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(name);
            if fs::read_dir(keep_in)?.flatten().filter(is_kept).count() >= most as usize {
                return Ok(false);
            }
            match private(&kept) {
                // The same trial failed before.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
                made => made?,
            }
            let mut left = (KEPT_BYTES_MAX, KEPT_FILES_MAX);
            copy(&self.path, &kept, &mut left)?;
            for (name, bytes) in notes {
                fs::File::create(kept.join(name))?.write_all(bytes)?;
            }
            Ok(true)
        };
        match keep() {
            Ok(true) => tracing::warn!(trial, folder = %kept.display(), "the trial failed; its working folder is kept"),
            Ok(false) => {}
            Err(error) => tracing::warn!(trial, %error, "the working folder of a failed trial could not be kept"),
        }
    }
}

/// Copies files and folders, and nothing else, until `left` bytes and files are used up.
fn copy(from: &Path, to: &Path, left: &mut (u64, u32)) -> std::io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let target = to.join(entry.file_name());
        if left.1 == 0 {
            return Ok(());
        }
        left.1 -= 1;
        if kind.is_dir() {
            private(&target)?;
            copy(&entry.path(), &target, left)?;
        } else if kind.is_file() && entry.metadata()?.len() <= left.0 {
            left.0 -= fs::copy(entry.path(), target)?.min(left.0);
        }
    }
    Ok(())
}
