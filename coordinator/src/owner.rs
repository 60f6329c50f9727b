//! Who uses the state folder: one coordinator at a time, on whatever host, also where file locks are only hints.
//!
//! The file `owner` names the holder and has a heartbeat, a counter that the holder raises a few times in each lease. Who
//! finds a holder watches the counter by its own monotonic clock; clocks of two hosts are never compared. Who takes over
//! first makes the file `owner.claim-<epoch>` by a hard link, which a file system gives to one taker only, and keeps it
//! for as long as it holds the folder: a holder that was paused for longer than its lease must claim the next epoch before
//! it goes on, and finds it taken. [`Owner::check`] stands before everything that the journal writes.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use crate::folder::new_secret;

/// The format of the owner file.
const FORMAT: u32 = 1;
/// A holder renews its hold so many times in each lease.
const RENEWALS_PER_LEASE: u32 = 5;
/// A holder's lease that is waited out is at most this, whatever its file says.
const LEASE_MAX: Duration = Duration::from_secs(3600);
/// The lease unless told otherwise.
pub const LEASE: Duration = Duration::from_secs(15);
/// How often a taker goes round before it gives up: each round somebody else has got further.
const ROUNDS_MAX: u32 = 16;

/// How a coordinator holds its state folder.
#[derive(Clone, Debug)]
pub struct OwnerSettings {
    /// A holder that has not renewed its hold for so long may be replaced, and stops by itself.
    pub lease: Duration,
    /// What this host is called instead of its own name. A given name says nothing of where processes live, so that
    /// other holders are always watched.
    pub host: Option<String>,
    /// Whether the file system's locks are used besides. Without them the lease alone decides.
    pub file_locks: bool,
}

impl Default for OwnerSettings {
    fn default() -> OwnerSettings {
        OwnerSettings { lease: LEASE, host: None, file_locks: true }
    }
}

/// Why the state folder cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Somebody holds it; who, as far as it is known, in words that follow "uses the state folder".
    #[error("{0}")]
    Held(String),
}

/// Why a coordinator may not write any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Another has it.
    #[error("another coordinator has taken over the state folder {}: {by}; this one stops and writes nothing more", state.display())]
    Taken {
        /// Which folder.
        state: PathBuf,
        /// Who.
        by: String,
    },
    /// The owner file is gone.
    #[error("the file {} is gone, so nobody can tell who uses the state folder; this coordinator stops", path.display())]
    Gone {
        /// Which file.
        path: PathBuf,
    },
    /// It was let go by ourselves.
    #[error("the state folder {} has been let go", state.display())]
    Released {
        /// Which folder.
        state: PathBuf,
    },
    /// It could not be renewed.
    #[error("failed to renew the hold on the state folder {} for {seconds} s: {why}", state.display())]
    Stale {
        /// Which folder.
        state: PathBuf,
        /// For how long.
        seconds: u64,
        /// What the system said.
        why: String,
    },
}

/// A moment by two clocks of one process. What has passed since is the longer of both: the monotonic clock stands still
/// while a machine sleeps, the other may be set back.
#[derive(Clone, Copy)]
struct Moment {
    mono: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Moment {
        Moment { mono: Instant::now(), wall: SystemTime::now() }
    }

    fn elapsed(self) -> Duration {
        self.mono.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

// The file ------------------------------------------------------------------------------------------------------------

/// What an owner file says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    epoch: u32,
    token: String,
    host: String,
    /// The boot and the process namespace that `process` is a number in; empty where that is not known.
    place: String,
    process: u32,
    /// When the process began, in ticks since the boot: numbers of processes are used again.
    process_started: u64,
    heartbeat: u64,
    lease: Duration,
    released: bool,
}

impl Record {
    fn mine(settings: &OwnerSettings) -> Record {
        let named = settings.host.is_some();
        let host = settings.host.clone().unwrap_or_else(host_name);
        let process = std::process::id();
        Record {
            epoch: 0,
            token: new_secret(),
            host: host.chars().map(|c| if c.is_control() || c == '"' { '?' } else { c }).collect(),
            place: if named { String::new() } else { place() },
            process,
            process_started: living(process).unwrap_or(0),
            heartbeat: 0,
            lease: settings.lease,
            released: false,
        }
    }

    fn text(&self) -> String {
        let Record { epoch, token, host, place, process, process_started, heartbeat, lease, released } = self;
        format!(
            "# Who uses this state folder. A coordinator whose owner file is removed or replaced stops.\n\
             version = {FORMAT}\nepoch = {epoch}\ntoken = \"{token}\"\nhost = \"{host}\"\nplace = \"{place}\"\n\
             process = {process}\nprocess_started = {process_started}\nheartbeat = {heartbeat}\nlease_ms = {}\n\
             released = {released}\n",
            lease.as_millis()
        )
    }

    fn parse(text: &str) -> Option<Record> {
        let value = |key: &str| {
            let of_key = |line: &str| Some(line.split_once('=').filter(|(k, _)| k.trim() == key)?.1.trim().to_owned());
            text.lines().filter(|line| !line.starts_with('#')).find_map(of_key)
        };
        let quoted = |key: &str| Some(value(key)?.strip_prefix('"')?.strip_suffix('"')?.to_owned());
        let number = |key: &str| value(key)?.parse::<u64>().ok();
        Some(Record {
            epoch: number("epoch")?.try_into().ok()?,
            token: quoted("token")?,
            host: quoted("host")?,
            place: quoted("place")?,
            process: number("process")?.try_into().ok()?,
            process_started: number("process_started")?,
            heartbeat: number("heartbeat")?,
            lease: Duration::from_millis(number("lease_ms")?).min(LEASE_MAX),
            released: value("released")? == "true",
        })
    }

    fn name(&self) -> String {
        format!("process {} on host {}", self.process, self.host)
    }

    /// Whether both are processes that the same kernel numbers.
    fn is_beside(&self, other: &Record) -> bool {
        if self.place.is_empty() && other.place.is_empty() {
            self.host == other.host // nothing better is known; the file lock has been got
        } else {
            self.place == other.place
        }
    }

    /// Whether this holder is known to be gone, without waiting.
    fn is_gone(&self, mine: &Record) -> bool {
        let dead = || self.place.is_empty() || living(self.process) != Some(self.process_started);
        self.released || self.is_beside(mine) && dead()
    }
}

/// An owner file as it lies there: what cannot be understood can still be watched.
#[derive(Clone, PartialEq, Eq)]
struct Seen {
    text: String,
    record: Option<Record>,
}

impl Seen {
    /// Reads one; `None` where there is none. An empty one is of a version before this file had content.
    fn read(path: &Path) -> io::Result<Option<Seen>> {
        match fs::read(path) {
            Ok(bytes) if bytes.is_empty() => Ok(None),
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Ok(Some(Seen { record: Record::parse(&text), text }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn name(&self) -> String {
        self.record.as_ref().map_or("somebody whose owner file makes no sense".to_owned(), Record::name)
    }

    fn lease(&self, ours: Duration) -> Duration {
        self.record.as_ref().map_or(ours, |record| record.lease)
    }
}

/// A file of this folder's own, on the disk, under a name that nobody else uses.
fn fresh(state: &Path, record: &Record) -> io::Result<PathBuf> {
    let path = state.join(format!(".owner-{}.new", &record.token[..16]));
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&path)?;
    let written = file.write_all(record.text().as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&path);
    }
    written.map(|()| path)
}

fn owner_path(state: &Path) -> PathBuf {
    state.join("owner")
}

fn claim_path(state: &Path, epoch: u32) -> PathBuf {
    state.join(format!("owner.claim-{epoch}"))
}

fn write(state: &Path, record: &Record) -> io::Result<()> {
    fs::rename(fresh(state, record)?, owner_path(state))?;
    File::open(state)?.sync_all()
}

/// Makes the claim on the record's epoch; `false` where another has it.
fn claim(state: &Path, record: &Record) -> io::Result<bool> {
    let fresh = fresh(state, record)?;
    let linked = fs::hard_link(&fresh, claim_path(state, record.epoch));
    let _ = fs::remove_file(&fresh);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // An answer that was lost and asked for again finds the link that it made.
            let there = Seen::read(&claim_path(state, record.epoch))?;
            Ok(there.and_then(|seen| seen.record).is_some_and(|theirs| theirs.token == record.token))
        }
        Err(error) => Err(error),
    }
}

// Taking --------------------------------------------------------------------------------------------------------------

/// Whether nobody holds a state folder, as far as that can be told at once.
pub fn is_free(state: &Path) -> bool {
    let mine = Record::mine(&OwnerSettings::default());
    match Seen::read(&owner_path(state)) {
        Ok(None) => true,
        Ok(Some(seen)) => seen.record.is_some_and(|record| record.is_gone(&mine)),
        Err(_) => false,
    }
}

/// Takes the state folder, waiting for a holder's lease to run out where nothing else tells whether it lives.
pub(crate) fn take(state: &Path, settings: &OwnerSettings) -> Result<Owner, TakeError> {
    let lock = if settings.file_locks { lock(state)? } else { None };
    let mut record = Record::mine(settings);
    let mut dead_claim = 0;
    for _ in 0..ROUNDS_MAX {
        let seen = Seen::read(&owner_path(state))?;
        let gone = |seen: &Seen| seen.record.as_ref().is_some_and(|r| r.token == record.token || r.is_gone(&record));
        if let Some(holder) = seen.as_ref().filter(|seen| !gone(seen)) {
            let (name, path) = (holder.name(), owner_path(state));
            if holder.record.as_ref().is_some_and(|r| r.is_beside(&record)) {
                return Err(TakeError::Held(format!("{name} holds it and lives")));
            }
            if let Some(now) = watch(&path, holder, &name, settings.lease)? {
                let token = |seen: &Seen| seen.record.as_ref().map(|r| r.token.clone());
                let lives = !now.record.as_ref().is_none_or(|r| r.released);
                if lives && token(&now) == token(holder) {
                    return Err(TakeError::Held(format!("{name} holds it and lives")));
                }
                continue; // another has it, or it was let go: what holds now is looked at anew
            }
            tracing::warn!("{name} has not renewed its hold on the state folder; taking over");
        }
        let begun = Moment::now();
        let held = seen.as_ref().and_then(|seen| seen.record.as_ref()).map_or(0, |record| record.epoch);
        record.epoch = held.max(dead_claim) + 1;
        if !claim(state, &record)? {
            let path = claim_path(state, record.epoch);
            let Some(other) = Seen::read(&path)? else { continue };
            let name = other.name();
            match &other.record {
                Some(claimant) if claimant.is_gone(&record) => {}
                Some(claimant) if claimant.is_beside(&record) => {
                    return Err(TakeError::Held(format!("{name} is taking it")));
                }
                // A claim has no heartbeat; a claimant that lives shows in the owner file.
                _ => {
                    tracing::warn!("{name} has claimed the state folder");
                    std::thread::sleep(patience(other.lease(settings.lease)));
                    if Seen::read(&owner_path(state))? != seen {
                        continue;
                    }
                }
            }
            dead_claim = record.epoch;
            continue;
        }
        // What was judged may have come to life again before the claim stood.
        if Seen::read(&owner_path(state))? != seen {
            let _ = fs::remove_file(claim_path(state, record.epoch));
            continue;
        }
        write(state, &record)?;
        if begun.elapsed() > settings.lease / 2 {
            continue; // so slow that others may have taken the claim for a dead one's: the next epoch tells
        }
        forget_claims(state, record.epoch);
        return Ok(Owner::begin(state, record, begun, lock));
    }
    Err(TakeError::Held("others take it at the same time".to_owned()))
}

/// Waits whether a file changes within the lease and a margin; gives what it has changed to.
fn watch(path: &Path, seen: &Seen, name: &str, lease: Duration) -> io::Result<Option<Seen>> {
    let patience = patience(seen.lease(lease));
    tracing::warn!(
        "{name} holds the state folder; waiting up to {:.1} s to see whether it is gone",
        patience.as_secs_f64()
    );
    let since = Instant::now();
    loop {
        // Looked at once more when the time is up, however long a pause took.
        let over = since.elapsed() >= patience;
        match Seen::read(path)? {
            Some(now) if now == *seen => {}
            Some(now) => return Ok(Some(now)),
            None => return Ok(Some(Seen { text: String::new(), record: None })),
        }
        if over {
            return Ok(None);
        }
        std::thread::sleep((patience / 50).min(Duration::from_millis(500)));
    }
}

/// How long a lease is waited out: a quarter more, for clocks of two hosts do not run alike.
fn patience(lease: Duration) -> Duration {
    lease + lease / 4 + Duration::from_millis(100)
}

/// Removes the claims of epochs before this one, for whoever made them sees that the owner file has changed since; and
/// what killed holders left unfinished.
fn forget_claims(state: &Path, epoch: u32) {
    let Ok(entries) = fs::read_dir(state) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let older =
            name.strip_prefix("owner.claim-").and_then(|of| of.parse::<u32>().ok()).is_some_and(|of| of < epoch);
        if older || name.starts_with(".owner-") && name.ends_with(".new") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The file system's own lock, where it has any: it tells at once of a holder that is paused.
fn lock(state: &Path) -> Result<Option<File>, TakeError> {
    let file = File::create(state.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let mine = Record::mine(&OwnerSettings::default());
            let holder = Seen::read(&owner_path(state))?;
            Err(TakeError::Held(match holder.and_then(|seen| seen.record) {
                Some(holder) if holder.is_beside(&mine) => format!("{} holds it and lives", holder.name()),
                Some(holder) => format!(
                    "the file system has a lock of {}; if that is gone for good, --no-file-locks goes by its lease alone",
                    holder.name()
                ),
                None => "it is locked".to_owned(),
            }))
        }
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

// Holding -------------------------------------------------------------------------------------------------------------

/// The hold on a state folder. A thread renews it; it is let go at the latest when this is dropped.
pub struct Owner {
    shared: Arc<Shared>,
    renewer: Mutex<Option<std::thread::JoinHandle<()>>>,
    lock: Mutex<Option<File>>,
}

struct Shared {
    state: PathBuf,
    held: Mutex<Held>,
    ended: Condvar,
    on_lost: OnceLock<Box<dyn Fn(Lost) + Send + Sync>>,
}

struct Held {
    record: Record,
    /// When the renewal began that succeeded last.
    renewed: Moment,
    lost: Option<Lost>,
    over: bool,
}

impl Owner {
    fn begin(state: &Path, record: Record, renewed: Moment, lock: Option<File>) -> Owner {
        let shared = Arc::new(Shared {
            state: state.to_owned(),
            held: Mutex::new(Held { record, renewed, lost: None, over: false }),
            ended: Condvar::new(),
            on_lost: OnceLock::new(),
        });
        let renewing = shared.clone();
        let renewer = std::thread::Builder::new()
            .name("owner".to_owned())
            .spawn(move || renewing.renew_on())
            .expect("the system has a thread left");
        Owner { shared, renewer: Some(renewer).into(), lock: lock.into() }
    }

    /// How many have held the folder, this one counted in.
    pub fn epoch(&self) -> u32 {
        self.shared.held().record.epoch
    }

    /// Says that this is at least the so-many-th, for the journal has seen as many.
    pub(crate) fn raise(&self, epoch: u32) -> Result<(), Lost> {
        let mut held = self.shared.held();
        held.record.epoch = held.record.epoch.max(epoch);
        self.shared.renew(&mut held)
    }

    /// Whether what is about to be written may be. Must stand before every write; looks at the file itself when the
    /// last renewal is older than half a lease, as it is in a process that was paused.
    pub fn check(&self) -> Result<(), Lost> {
        let mut held = self.shared.held();
        if let Some(lost) = &held.lost {
            return Err(lost.clone());
        }
        if held.renewed.elapsed() < held.record.lease / 2 {
            return Ok(());
        }
        self.shared.renew(&mut held)
    }

    /// Lets the folder go; nothing may be written after that.
    pub(crate) fn release(&self) {
        let Some(renewer) = self.renewer.lock().expect("nobody panics while holding it").take() else { return };
        self.shared.held().over = true;
        self.shared.ended.notify_all();
        let _ = renewer.join();
        // Let go only what is ours, as after any pause.
        let ours = self.check().is_ok();
        let mut held = self.shared.held();
        held.lost.get_or_insert(Lost::Released { state: self.shared.state.clone() });
        if ours {
            held.record.released = true;
            if write(&self.shared.state, &held.record).is_ok() {
                let _ = fs::remove_file(claim_path(&self.shared.state, held.record.epoch));
            }
        }
        *self.lock.lock().expect("nobody panics while holding it") = None;
    }

    /// Calls this once when the hold is lost, from another thread.
    pub(crate) fn on_lost(&self, tell: impl Fn(Lost) + Send + Sync + 'static) {
        let _ = self.shared.on_lost.set(Box::new(tell));
    }
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("nobody panics while holding it")
    }

    fn renew_on(&self) {
        let mut held = self.held();
        loop {
            let pause = held.record.lease / RENEWALS_PER_LEASE;
            // Not before looking: who lets go at once does so before this thread waits.
            if !held.over {
                held = self.ended.wait_timeout(held, pause).expect("nobody panics while holding it").0;
            }
            if held.over {
                return;
            }
            if let Err(lost) = self.renew(&mut held) {
                drop(held);
                // Who is not told yet asks before it writes.
                if let Some(tell) = self.on_lost.get() {
                    tell(lost);
                }
                return;
            }
        }
    }

    /// Renews the hold, or says that it is lost. A renewal that fails is no loss before the lease is nearly over.
    fn renew(&self, held: &mut Held) -> Result<(), Lost> {
        if let Some(lost) = &held.lost {
            return Err(lost.clone());
        }
        let lost = match self.try_renew(held) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(lost)) => lost,
            // What is written under a hold of three quarters of a lease has at least half a lease to reach the disk.
            Err(_) if held.renewed.elapsed() < held.record.lease / 4 * 3 => return Ok(()),
            Err(error) => Lost::Stale {
                state: self.state.clone(),
                seconds: held.renewed.elapsed().as_secs(),
                why: error.to_string(),
            },
        };
        held.lost = Some(lost.clone());
        Err(lost)
    }

    fn try_renew(&self, held: &mut Held) -> io::Result<Result<(), Lost>> {
        let begun = Moment::now();
        let path = owner_path(&self.state);
        let Some(seen) = Seen::read(&path)? else { return Ok(Err(Lost::Gone { path })) };
        if let Some(other) = seen.record.as_ref().filter(|other| other.token != held.record.token) {
            if other.epoch > held.record.epoch {
                return Ok(Err(self.taken(&seen)));
            }
            tracing::warn!("{} wrote itself down as the owner after it was replaced", other.name());
        }
        held.record.heartbeat += 1;
        if held.renewed.elapsed() < held.record.lease {
            write(&self.state, &held.record)?;
        }
        // Looked at again: a pause may have come between. Past the lease the next epoch tells whether another has come.
        if held.renewed.elapsed() >= held.record.lease {
            let mut next = held.record.clone();
            next.epoch += 1;
            if !claim(&self.state, &next)? {
                let by = Seen::read(&claim_path(&self.state, next.epoch))?;
                return Ok(Err(self.taken(by.as_ref().unwrap_or(&seen))));
            }
            write(&self.state, &next)?;
            forget_claims(&self.state, next.epoch);
            held.record = next;
            if begun.elapsed() >= held.record.lease / 2 {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the file system takes too long"));
            }
        }
        held.renewed = begun;
        Ok(Ok(()))
    }

    fn taken(&self, by: &Seen) -> Lost {
        Lost::Taken { state: self.state.clone(), by: by.name() }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.release();
    }
}

// Processes -----------------------------------------------------------------------------------------------------------

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// What numbers processes here: this boot of this kernel, and the namespace.
fn place() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = fs::read_link("/proc/self/ns/pid");
    match (boot, namespace) {
        (Ok(boot), Ok(namespace)) => format!("{} {}", boot.trim(), namespace.display()),
        _ => String::new(),
    }
}

/// When a process began that lives, in ticks since the boot; a zombie does not live.
fn living(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field, the name, may hold anything but comes in parentheses; the state follows, the start is the 22nd.
    let rest: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let lives = !matches!(*rest.first()?, "Z" | "X");
    rest.get(19).filter(|_| lives)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Journal, JournalError};

    /// A lease that a test can wait out, and that a busy machine renews in time.
    const SHORT: Duration = Duration::from_millis(1500);

    fn named(host: &str) -> OwnerSettings {
        OwnerSettings { lease: SHORT, host: Some(host.to_owned()), file_locks: false }
    }

    fn there(state: &Path) -> Record {
        Seen::read(&owner_path(state)).unwrap().and_then(|seen| seen.record).expect("somebody has been here")
    }

    fn replace(state: &Path, change: impl FnOnce(&mut Record)) {
        let mut record = there(state);
        change(&mut record);
        write(state, &record).unwrap();
    }

    /// As version 1 writes it; nothing of this may change, for another version's coordinator may be reading it.
    #[test]
    fn an_owner_file_of_version_one_is_read() {
        let text = "# Who uses this state folder. A coordinator whose owner file is removed or replaced stops.\n\
                    version = 1\nepoch = 7\ntoken = \"00ff\"\nhost = \"host-12\"\nplace = \"boot pid:[1]\"\n\
                    process = 99\nprocess_started = 1234\nheartbeat = 5\nlease_ms = 15000\nreleased = false\n";
        let record = Record::parse(text).expect("it is of version 1");
        let expected = Record {
            epoch: 7,
            token: "00ff".to_owned(),
            host: "host-12".to_owned(),
            place: "boot pid:[1]".to_owned(),
            process: 99,
            process_started: 1234,
            heartbeat: 5,
            lease: Duration::from_secs(15),
            released: false,
        };
        assert_eq!(record, expected);
        assert_eq!(record.text(), text);
        // What a later version adds does not matter.
        assert_eq!(Record::parse(&format!("{text}more = 1\n")), Some(record));
    }

    #[test]
    fn a_folder_that_was_let_go_or_whose_process_is_dead_is_taken_at_once_and_one_that_lives_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        // To wait for this lease would take longer than anybody waits for a test.
        let settings = OwnerSettings { lease: LEASE_MAX, file_locks: false, ..OwnerSettings::default() };
        let first = take(state, &settings).unwrap();
        assert_eq!(first.epoch(), 1);
        assert!(!is_free(state));
        let refused = take(state, &settings).err().expect("it is held").to_string();
        assert_eq!(refused, format!("{} holds it and lives", there(state).name()));
        drop(first);
        assert!(is_free(state));
        let second = take(state, &settings).unwrap();
        assert_eq!(second.epoch(), 2);
        drop(second);
        // A process of that number that began at another time is another process.
        replace(state, |record| (record.released, record.process_started) = (false, record.process_started + 1));
        assert_eq!(take(state, &settings).unwrap().epoch(), 3);
        replace(state, |record| (record.released, record.process) = (false, u32::MAX));
        assert_eq!(take(state, &settings).unwrap().epoch(), 4);
        let left = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(left.collect::<Vec<_>>(), ["owner"], "no claim and no unfinished file stays");
    }

    #[test]
    fn of_many_takers_of_a_dead_hosts_folder_one_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        drop(take(state, &named("dead")).unwrap());
        replace(state, |record| record.released = false);
        let takers: Vec<_> = (0..6)
            .map(|i| (state.to_owned(), named(&format!("host-{i}"))))
            .map(|(state, settings)| std::thread::spawn(move || take(&state, &settings)))
            .collect();
        let taken: Vec<_> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
        let owners: Vec<&Owner> = taken.iter().filter_map(|taken| taken.as_ref().ok()).collect();
        // On a machine that stands still for longer than a lease one may follow another, but never beside it.
        let holding = owners.iter().filter(|owner| owner.check().is_ok()).count();
        assert_eq!(holding, 1, "of {} that took it", owners.len());
        assert!(there(state).epoch > 1);
    }

    #[test]
    fn who_was_replaced_writes_nothing_more_and_leaves_the_journal_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (state, path) = (folder.path(), folder.path().join("journal.sqlite"));
        let owner = Arc::new(take(state, &named("one")).unwrap());
        let (tell, told) = std::sync::mpsc::channel();
        owner.on_lost(move |lost| tell.send(lost).unwrap());
        let mut journal = Journal::open_owned(&path, owner.clone(), false).unwrap();
        journal.append(&[]).unwrap();
        let since = Instant::now();
        let lost = loop {
            // More than once: here nobody has waited for the lease to run out, so that a renewal may come in between.
            replace(state, |record| {
                (record.epoch, record.token, record.host) = (owner.epoch() + 1, new_secret(), "two".to_owned());
            });
            match told.recv_timeout(SHORT) {
                Ok(lost) => break lost,
                Err(_) => assert!(since.elapsed() < Duration::from_secs(100), "the thread that renews it sees it"),
            }
        };
        assert!(lost.to_string().contains("another coordinator has taken over the state folder"), "{lost}");
        assert!(lost.to_string().contains("on host two;"), "{lost}");
        assert_eq!(owner.check(), Err(lost.clone()));
        assert!(matches!(journal.append(&[]), Err(JournalError::Lost(_))));
        let run = tumble_core::RunId("run".into());
        assert!(matches!(journal.retire(&run, 0), Err(JournalError::Lost(_))));
        assert!(matches!(journal.forget(&run), Err(JournalError::Lost(_))));
        let log = state.join("journal.sqlite-wal");
        let before = fs::read(&log).unwrap();
        assert!(!before.is_empty(), "what is in the log is at stake");
        drop(journal);
        assert_eq!(fs::read(&log).unwrap(), before, "closing copies nothing and removes nothing");
        drop(owner);
        assert_eq!((there(state).host.as_str(), there(state).released), ("two", false), "nor is it let go");
    }

    #[test]
    fn a_paused_holder_goes_on_only_by_the_next_epoch_which_another_may_have_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        let pause = |owner: &Owner| {
            let mut held = owner.shared.held();
            held.renewed.wall = SystemTime::now() - 2 * LEASE;
        };
        let owner = take(state, &OwnerSettings { lease: LEASE, ..named("one") }).unwrap();
        pause(&owner);
        owner.check().expect("nobody else has come");
        assert_eq!((owner.epoch(), there(state).epoch), (2, 2));
        // Another has found it silent and claimed the folder, but not yet written itself down.
        let mut other = Record::mine(&named("two"));
        other.epoch = 3;
        assert!(claim(state, &other).unwrap());
        pause(&owner);
        let lost = owner.check().expect_err("another has claimed it");
        assert!(lost.to_string().contains("on host two;"), "{lost}");
        assert_eq!(owner.check(), Err(lost));
    }

    #[test]
    fn who_was_replaced_and_wrote_itself_down_late_does_not_stop_who_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        drop(take(state, &named("one")).unwrap());
        let owner = take(state, &named("two")).unwrap();
        replace(state, |record| {
            (record.epoch, record.token, record.host) = (record.epoch - 1, new_secret(), "one".to_owned());
        });
        let since = Instant::now();
        while there(state).host != "two" {
            assert!(since.elapsed() < Duration::from_secs(100), "the holder writes itself down again");
            std::thread::sleep(Duration::from_millis(10));
        }
        owner.check().expect("it is still the holder");
    }

    #[test]
    fn an_owner_file_that_is_removed_stops_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let owner = take(folder.path(), &named("one")).unwrap();
        let since = Instant::now();
        while owner.check().is_ok() {
            // A renewal that is under way may put it back.
            let _ = fs::remove_file(owner_path(folder.path()));
            assert!(since.elapsed() < Duration::from_secs(100), "it is noticed");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(owner.check(), Err(Lost::Gone { path: owner_path(folder.path()) }));
    }
}
