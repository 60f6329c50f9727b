//! Working folders: fresh and private for each trial, kept for some that fail.

use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
        WorkFolder { path: self.root.join(format!("slot-{number}")), known: None }
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

/// Whether a change lies so far back that the next one has another moment.
fn is_past((seconds, nanoseconds): Changed) -> bool {
    let since = Duration::new(seconds.try_into().unwrap_or(u64::MAX), nanoseconds.try_into().unwrap_or(0));
    let past = UNIX_EPOCH.checked_add(since).and_then(|changed| SystemTime::now().duration_since(changed).ok());
    past.is_some_and(|past| past > TICK)
}

/// The working folder of a slot's trial; the next trial gets another.
pub(super) struct WorkFolder {
    path: PathBuf,
    /// When it was last changed, of a folder that was found as it should be.
    known: Option<Changed>,
}

/// The moment of the last change of a folder: a name in it that comes or goes and another mode move it on.
type Changed = (i64, i64);

/// A folder that was changed so long ago is changed no more within the same tick of the file system's clock.
const TICK: Duration = Duration::from_millis(100);

impl WorkFolder {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it anew.
    pub(super) fn begin(&mut self) -> std::io::Result<()> {
        // Most programs leave nothing behind, and an empty folder is as good as new: to make one costs more than to look.
        if let Ok(found) = fs::symlink_metadata(&self.path) {
            let changed = (found.ctime(), found.ctime_nsec());
            if self.known == Some(changed) {
                return Ok(());
            }
            let is_empty = || fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none());
            if found.is_dir() && found.mode() & 0o7777 == 0o700 && is_empty() {
                self.known = Some(changed).filter(|changed| is_past(*changed));
                return Ok(());
            }
        }
        self.known = None;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The folder is not looked into while nothing says that it was changed, and each change must say so.
    #[test]
    fn whatever_a_trial_did_to_its_folder_the_next_one_finds_it_empty_and_private() {
        let scratch = Scratch::try_new(None).expect("there is a temporary folder");
        let mut folder = scratch.folder();
        let changes: [fn(&Path); 5] = [
            |path| fs::write(path.join("left"), "something").expect("it is ours"),
            |path| fs::create_dir_all(path.join("a/b")).expect("it is ours"),
            |path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours"),
            |path| fs::remove_dir(path).expect("it is empty"),
            |path| {
                fs::remove_dir(path).expect("it is empty");
                std::os::unix::fs::symlink("/", path).expect("its place is free");
            },
        ];
        for (which, change) in changes.into_iter().enumerate() {
            // Until its last change is long enough ago.
            while folder.known.is_none() {
                folder.begin().expect("it can be made");
            }
            change(folder.path());
            folder.begin().expect("it can be made again");
            let found = fs::symlink_metadata(folder.path()).expect("it is there");
            assert!(found.is_dir() && found.mode() & 0o7777 == 0o700, "after change {which}");
            assert_eq!(fs::read_dir(folder.path()).expect("it is a folder").count(), 0, "after change {which}");
        }
    }
}
