//! Files that appear whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::TableError;

/// Ends the name of every file that is still being written.
const UNFINISHED: &str = ".tmp";

/// Writes a file that appears under its name only once it is complete and on the disk, in the place of an older one.
///
/// When `write` fails, neither the file nor its temporary stays behind.
pub fn write_atomically<T>(path: &Path, write: impl FnOnce(&mut File) -> io::Result<T>) -> Result<T, TableError> {
    let temporary = temporary_beside(path).map_err(|e| TableError::write(path, e))?;
    let written: io::Result<T> = (|| {
        let mut file = File::create_new(&temporary)?;
        let value = write(&mut file)?;
        // The content before the name: a rename that survives a power cut must not name a file that did not.
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        Ok(value)
    })();
    if written.is_err() {
        // Best effort: the first error is the one worth telling.
        let _ = fs::remove_file(&temporary);
    }
    let value = written.map_err(|e| TableError::write(path, e))?;
    sync_folder(folder_of(path)).map_err(|e| TableError::write(path, e))?;
    Ok(value)
}

/// Removes what a killed writer left unfinished in a folder, and says how many files that was. Only for a folder that
/// nobody else writes to.
pub fn remove_leftovers(dir: &Path) -> Result<u64, TableError> {
    let mut removed = 0;
    for entry in fs::read_dir(dir).map_err(|e| TableError::read(dir, e))? {
        let entry = entry.map_err(|e| TableError::read(dir, e))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|n| n.starts_with('.') && n.ends_with(UNFINISHED)) {
            fs::remove_file(entry.path()).map_err(|e| TableError::write(&entry.path(), e))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// A name in the same folder (a rename is atomic within one file system only) that no other writer uses: hidden, so
/// that a reader's `part-*.parquet` does not meet it.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{}{UNFINISHED}", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(hidden))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        // Some network file systems cannot sync a folder and say so; there the rename is as durable as it gets.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

/// The folder that holds `path`; a bare name stands in the current one.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_writer_that_fails_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("summary.json");
        let error = write_atomically(&path, |file| {
            file.write_all(b"half")?;
            Err::<(), _>(io::Error::new(io::ErrorKind::StorageFull, "no space"))
        })
        .unwrap_err();
        assert!(matches!(&error, TableError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull));
        assert!(error.to_string().contains("summary.json"), "{error}");
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[test]
    fn a_writer_that_fails_leaves_the_older_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("summary.json");
        write_atomically(&path, |file| file.write_all(b"older")).unwrap();
        write_atomically(&path, |_| Err::<(), _>(io::Error::other("no"))).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"older");
        write_atomically(&path, |file| file.write_all(b"newer")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"newer");
        assert_eq!(names(dir.path()), ["summary.json"]);
    }

    #[test]
    fn while_a_file_is_being_written_its_name_does_not_exist() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part-00000.parquet");
        write_atomically(&path, |file| {
            file.write_all(b"half")?;
            assert!(!path.exists());
            assert!(names(dir.path()).iter().all(|name| name.starts_with('.')));
            Ok(())
        })
        .unwrap();
        assert!(path.exists());
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".part-00001.parquet.77-0.tmp", "part-00000.parquet", "notes.tmp"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        assert_eq!(remove_leftovers(dir.path()).unwrap(), 1);
        assert_eq!(names(dir.path()), ["notes.tmp", "part-00000.parquet"]);
    }

    #[test]
    fn a_path_that_names_no_file_is_an_error() {
        assert!(write_atomically(Path::new("/"), |_| Ok(())).is_err());
    }
}
