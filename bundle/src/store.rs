//! Files by their hash, in a private folder: those of a coordinator, and the cache of a host's workers.
//!
//! A file is there as a whole or not at all: it grows under another name, is held against its hash, made durable, and renamed.
//! What is there may still be damaged by the disk, or by somebody; so nothing is used that is not held against its hash again.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::hash::{Hash, Hashing};

/// The ending of a file that grows, whoever works on it: one at a time, by a lock.
const PART: &str = "part";
/// The ending of a file that grows for one alone.
const NEW: &str = "new";

/// Files by their hash.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refuses.
    #[error("failed to use {}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What came is not what was to come.
    #[error("the bytes that came for {hash} are others: they have another {what}")]
    Wrong {
        /// What was to come.
        hash: Hash,
        /// `hash` or `length`.
        what: &'static str,
        /// Some of them were there already, from an earlier time, and may be to blame.
        resumed: bool,
    },
}

/// What comes of an attempt to take a file in.
#[derive(Debug)]
pub enum Begun {
    /// It is there.
    There,
    /// Another process takes it in at the moment.
    Busy,
    /// Its bytes may come, from [`Incoming::received`] on.
    Begun(Box<Incoming>),
}

impl Begun {
    /// A file that may come.
    pub fn of(incoming: Incoming) -> Begun {
        Begun::Begun(Box::new(incoming))
    }
}

/// A file of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its hash, if it is whole; a file that grows has none yet.
    pub hash: Option<Hash>,
    /// Its bytes.
    pub bytes: u64,
    path: PathBuf,
    used: SystemTime,
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    move |source| StoreError::Io { path: path.to_owned(), source }
}

impl Store {
    /// The store in this folder, which is made if it is not there, and is its owner's alone.
    pub fn open(folder: &Path) -> Result<Store, StoreError> {
        let mut make = fs::DirBuilder::new();
        make.recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        // One that was there may be open to others. One that is another's cannot be changed, and is not to be used.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed(folder))?;
        Ok(Store { folder: folder.to_owned() })
    }

    /// Where the file of this hash is, if it is there.
    pub fn path(&self, hash: Hash) -> PathBuf {
        self.folder.join(hash.to_string())
    }

    /// The length of a file that is there.
    pub fn length(&self, hash: Hash) -> Option<u64> {
        self.path(hash).symlink_metadata().ok().filter(fs::Metadata::is_file).map(|about| about.len())
    }

    /// Takes a file in for whoever calls, alone: two may do so at once, and the second one to end does no harm.
    pub fn take_in(&self, hash: Hash, length: u64) -> Result<Incoming, StoreError> {
        let chance = getrandom::u64().unwrap_or_default();
        let path = self.folder.join(format!("{hash}.{}-{chance:016x}.{NEW}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed(&path))?;
        Ok(self.incoming(file, path, hash, length))
    }

    /// Takes a file in where others may be about to, and goes on with what somebody left unfinished.
    pub fn go_on(&self, hash: Hash, length: u64) -> Result<Begun, StoreError> {
        if self.length(hash) == Some(length) {
            return Ok(Begun::There);
        }
        let path = self.folder.join(format!("{hash}.{PART}"));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Begun::Busy),
            // A file system without locks: each for himself.
            Err(TryLockError::Error(_)) => return self.take_in(hash, length).map(Begun::of),
        }
        // Who had it may have completed or removed it, and this is a lock on what is not there any more.
        let is_it = path.symlink_metadata().is_ok_and(|there| {
            file.metadata().is_ok_and(|ours| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        });
        if !is_it {
            return Ok(Begun::Busy);
        }
        let mut hashing = Hashing::default();
        let mut received = read_into(&mut file, &mut hashing).map_err(failed(&path))?;
        if received > length {
            file.set_len(0).and_then(|()| std::io::Seek::rewind(&mut file)).map_err(failed(&path))?;
            (hashing, received) = (Hashing::default(), 0);
        }
        let mut incoming = self.incoming(file, path, hash, length);
        (incoming.hashing, incoming.received, incoming.resumed) = (hashing, received, received > 0);
        Ok(Begun::of(incoming))
    }

    fn incoming(&self, file: fs::File, path: PathBuf, hash: Hash, length: u64) -> Incoming {
        let (target, folder) = (self.path(hash), self.folder.clone());
        Incoming { file, path, target, folder, hash, length, hashing: Hashing::default(), received: 0, resumed: false }
    }

    /// Notes that a file was of use, so that others go before it.
    pub fn touch(&self, hash: Hash) {
        // Where that cannot be noted it is taken for older than it is.
        drop(fs::File::open(self.path(hash)).and_then(|file| file.set_modified(SystemTime::now())));
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, hash: Hash) -> Result<(), StoreError> {
        remove(&self.path(hash))
    }

    /// Removes what a process that was killed left unfinished. For a store that one process has for itself.
    pub fn remove_unfinished(&self) -> Result<(), StoreError> {
        self.list()?.iter().filter(|kept| kept.hash.is_none()).try_for_each(|kept| remove(&kept.path))
    }

    /// Everything that is there, what was used longest ago first. Strange files are none of it.
    pub fn list(&self) -> Result<Vec<Kept>, StoreError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed(&self.folder))? {
            let path = entry.map_err(failed(&self.folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let hash = Hash::parse(name);
            let grows = [PART, NEW].iter().any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.')));
            // Others may be removing files as well.
            let Some(about) = path.symlink_metadata().ok().filter(|about| about.is_file() && (hash.is_some() || grows))
            else {
                continue;
            };
            let used = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push(Kept { hash, bytes: about.len(), used, path });
        }
        found.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        Ok(found)
    }

    /// Removes what was used longest ago until no more than so many bytes are left, and nothing of what is to be kept.
    pub fn shrink(&self, bytes_max: u64, is_kept: impl Fn(Hash) -> bool) -> Result<(), StoreError> {
        let files = self.list()?;
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        for file in files {
            if bytes <= bytes_max {
                break;
            }
            if file.hash.is_some_and(&is_kept) || (file.hash.is_none() && is_locked(&file.path)) {
                continue;
            }
            remove(&file.path)?;
            bytes -= file.bytes;
        }
        Ok(())
    }
}

/// A file that arrives. One that is dropped before it is whole leaves nothing that is taken for it.
#[derive(Debug)]
pub struct Incoming {
    file: fs::File,
    path: PathBuf,
    target: PathBuf,
    folder: PathBuf,
    hash: Hash,
    length: u64,
    hashing: Hashing,
    received: u64,
    resumed: bool,
}

impl Incoming {
    /// How many of its bytes are there.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether all of its bytes are there.
    pub fn is_whole(&self) -> bool {
        self.received == self.length
    }

    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() as u64 > self.length - self.received {
            return Err(self.wrong("length"));
        }
        self.file.write_all(bytes).map_err(failed(&self.path))?;
        self.hashing.take(bytes);
        self.received += bytes.len() as u64;
        Ok(())
    }

    /// Puts the file in its place, if it is what was to come.
    pub fn finish(self) -> Result<(), StoreError> {
        if !self.is_whole() {
            return Err(self.wrong("length"));
        }
        if self.hashing.end() != self.hash {
            // What is there is of no use to who goes on with it.
            self.file.set_len(0).map_err(failed(&self.path))?;
            return Err(self.wrong("hash"));
        }
        self.file.sync_all().map_err(failed(&self.path))?;
        fs::rename(&self.path, &self.target).map_err(failed(&self.path))?;
        // The name is to survive a loss of power as the bytes do.
        fs::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed(&self.folder))
    }

    fn wrong(&self, what: &'static str) -> StoreError {
        StoreError::Wrong { hash: self.hash, what, resumed: self.resumed }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // What grows for whoever comes next stays for him.
        if self.path.extension().is_some_and(|ending| ending == NEW) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

fn is_locked(path: &Path) -> bool {
    OpenOptions::new().write(true).open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Reads to the end; how many bytes there were.
fn read_into(file: &mut fs::File, hashing: &mut Hashing) -> std::io::Result<u64> {
    let (mut length, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match std::io::Read::read(file, &mut buffer)? {
            0 => return Ok(length),
            read => {
                hashing.take(&buffer[..read]);
                length += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let place = tempfile::tempdir().expect("there is a temporary folder");
        let store = Store::open(&place.path().join("deep/blobs")).expect("the place is ours");
        (place, store)
    }

    fn names(store: &Store) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&store.folder)
            .expect("it is there")
            .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn put(store: &Store, bytes: &[u8]) -> Hash {
        let hash = Hash::of(bytes);
        let mut incoming = store.take_in(hash, bytes.len() as u64).expect("the place is ours");
        incoming.write(bytes).expect("it fits");
        incoming.finish().expect("it is right");
        hash
    }

    fn begun(store: &Store, hash: Hash, length: u64) -> Incoming {
        match store.go_on(hash, length).expect("the place is ours") {
            Begun::Begun(incoming) => *incoming,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_there_as_a_whole_or_not_at_all_and_its_owners_alone() {
        let (_place, store) = store();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&store.folder), mode(store.folder.parent().unwrap())), (0o700, 0o700));
        let (bytes, hash) = (b"some bytes", Hash::of(b"some bytes"));
        let mut incoming = store.take_in(hash, 10).unwrap();
        incoming.write(&bytes[..4]).unwrap();
        assert_eq!((store.length(hash), incoming.is_whole()), (None, false));
        drop(incoming);
        assert!(names(&store).is_empty(), "what was cut off leaves nothing");
        assert_eq!(put(&store, bytes), hash);
        assert_eq!((store.length(hash), names(&store)), (Some(10), vec![hash.to_string()]));
        assert_eq!((fs::read(store.path(hash)).unwrap(), mode(&store.path(hash))), (bytes.to_vec(), 0o600));
        // Twice at once does no harm.
        put(&store, bytes);
        assert_eq!(names(&store), [hash.to_string()]);
    }

    #[test]
    fn bytes_that_are_others_are_refused_and_leave_nothing() {
        let (_place, store) = store();
        let hash = Hash::of(b"right");
        let is_wrong = |result: Result<(), StoreError>, expected: &str| match result {
            Err(StoreError::Wrong { what, .. }) => assert_eq!(what, expected),
            other => panic!("{other:?}"),
        };
        for begin in
            [|store: &Store, hash| store.take_in(hash, 5).unwrap(), |store: &Store, hash| begun(store, hash, 5)]
        {
            let mut wrong = begin(&store, hash);
            wrong.write(b"wrong").unwrap();
            is_wrong(wrong.finish(), "hash");
            let mut long = begin(&store, hash);
            is_wrong(long.write(b"righter"), "length");
            drop(long);
            let mut short = begin(&store, hash);
            short.write(b"rig").unwrap();
            is_wrong(short.finish(), "length");
            assert_eq!(store.length(hash), None);
        }
    }

    #[test]
    fn what_was_cut_off_is_gone_on_with_by_one_at_a_time() {
        let (_place, store) = store();
        let hash = Hash::of(b"some bytes");
        let mut first = begun(&store, hash, 10);
        first.write(b"some").unwrap();
        assert!(matches!(store.go_on(hash, 10).unwrap(), Begun::Busy));
        drop(first);
        let mut second = begun(&store, hash, 10);
        assert_eq!(second.received(), 4);
        second.write(b" bytes").unwrap();
        second.finish().unwrap();
        assert!(matches!(store.go_on(hash, 10).unwrap(), Begun::There));
        assert_eq!((fs::read(store.path(hash)).unwrap(), names(&store).len()), (b"some bytes".to_vec(), 1));
        // A beginning that is damaged is noticed at the end, said to be to blame, and not gone on with again.
        let hash = Hash::of(b"other bytes");
        begun(&store, hash, 11).write(b"XXXXX").unwrap();
        let mut second = begun(&store, hash, 11);
        second.write(b" bytes").unwrap();
        assert!(matches!(second.finish(), Err(StoreError::Wrong { what: "hash", resumed: true, .. })));
        assert_eq!(begun(&store, hash, 11).received(), 0);
        // One that is longer than the whole is begun anew.
        begun(&store, hash, 11).write(b"other bytes").unwrap();
        let hash_of_short = hash;
        fs::write(store.folder.join(format!("{hash_of_short}.part")), "far more than eleven bytes").unwrap();
        assert_eq!(begun(&store, hash, 11).received(), 0);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_what_is_needed_stays() {
        let (_place, store) = store();
        let hashes: Vec<Hash> = (0..6u8).map(|i| put(&store, &[i; 100])).collect();
        for (age, hash) in hashes.iter().enumerate() {
            let used = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000 + age as u64);
            fs::File::open(store.path(*hash)).unwrap().set_modified(used).unwrap();
        }
        store.touch(hashes[0]);
        fs::write(store.folder.join("notes.txt"), "not ours").unwrap();
        let mut growing = begun(&store, Hash::of(b"?"), 200);
        growing.write(&[7; 100]).unwrap();
        assert_eq!(store.list().unwrap().len(), 7);
        store.shrink(1000, |_| false).unwrap();
        assert_eq!(store.list().unwrap().len(), 7, "there is room");
        store.shrink(400, |hash| hash == hashes[2]).unwrap();
        let left: Vec<bool> = hashes.iter().map(|hash| store.length(*hash).is_some()).collect();
        assert_eq!(left, [true, false, true, false, false, true]);
        store.shrink(0, |hash| hash == hashes[2]).unwrap();
        assert_eq!(store.list().unwrap().len(), 2, "what is needed, and what grows");
        drop(growing);
        store.remove_unfinished().unwrap();
        store.remove(hashes[2]).unwrap();
        store.remove(hashes[2]).unwrap();
        assert_eq!(names(&store), ["notes.txt"]);
    }
}
