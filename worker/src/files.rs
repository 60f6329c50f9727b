//! Files that travel with runs, at the worker: fetched into a cache that the workers of a host share, and laid out in a private
//! folder that goes with the run.
//!
//! This is a doing half: it has sockets, files and threads. The deciding half is told when the files of a run are there, or why they
//! are not. What came from outside, and what lies in the cache, is held against its hash before anything is made of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_blocking};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tumble_bundle::{
    Begun, File, Hash, Incoming, LayOutError, MANIFEST_BYTES_MAX, Manifest, Store, StoreError, lay_out,
};
use tumble_proto::access::SECRET_METADATA;
use tumble_proto::v1::blobs_client::BlobsClient;
use tumble_proto::{MESSAGE_BYTES_MAX, v1};

/// Names the folder of the cache.
const VARIABLE: &str = "TUMBLE_CACHE";
/// What the cache keeps beside what is needed at the moment, in bytes; what was used longest ago goes first.
const CACHE_BYTES_MAX: u64 = 8 << 30;
/// How often files that turn out to be damaged are fetched again.
const ROUNDS_MAX: u32 = 3;
/// How often a worker looks whether another one has fetched a file.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often, until it fetches the file for itself.
const LOOKS_MAX: u32 = 1200;
/// Between two attempts to get a file.
const BACK_OFF_MIN: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// Pieces that may wait to be written.
const PIECES_MAX: usize = 4;
/// How often a folder is removed anew in which something was still being written.
const REMOVALS_MAX: u32 = 10;

/// The files of a bundle, laid out. They go when this does.
#[derive(Debug)]
pub struct LaidOut {
    folder: PathBuf,
    hash: Hash,
}

impl LaidOut {
    /// The folder with the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The hash of their manifest.
    pub fn hash(&self) -> String {
        self.hash.to_string()
    }
}

impl Drop for LaidOut {
    fn drop(&mut self) {
        let folder = self.folder.clone();
        // Thousands of files take a while, and whoever lets go of them has to say that it lives.
        let removal = move || remove(&folder);
        if std::thread::Builder::new().name("tidy".to_owned()).spawn(removal).is_err() {
            remove(&self.folder);
        }
    }
}

fn remove(folder: &Path) {
    for _ in 0..REMOVALS_MAX {
        match fs::remove_dir_all(folder) {
            // What a program still writes there makes it fail.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {}
            _ if !folder.exists() => return,
            _ => {}
        }
    }
    tracing::warn!(folder = %folder.display(), "files of a run could not be removed; the next worker tries again");
}

/// The cache, and this process's own folder for what is laid out. The folder goes when this does.
#[derive(Debug)]
pub struct Cache {
    store: Store,
    own: PathBuf,
    /// Locked for as long as this process lives: by that others know that the folder is in use.
    _lock: fs::File,
    next: AtomicU64,
}

impl Cache {
    /// The cache of this user, where `TUMBLE_CACHE` says or the XDG base directory specification.
    pub fn open() -> Result<Cache, String> {
        let mut why = String::new();
        for root in roots() {
            match Cache::open_in(&root) {
                Ok(cache) => return Ok(cache),
                Err(error) => why = error,
            }
        }
        Err(format!("files of the bundle cannot be kept: {why}; {VARIABLE} names another folder"))
    }

    fn open_in(root: &Path) -> Result<Cache, String> {
        let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let private = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        private(root).map_err(|error| failed(root, error))?;
        // Under a folder that others can write to, such as /tmp, somebody may have been there first; a link is its maker's.
        let about = fs::symlink_metadata(root).map_err(|error| failed(root, error))?;
        if about.uid() != rustix::process::geteuid().as_raw() {
            return Err(format!("{} belongs to somebody else", root.display()));
        }
        let store = Store::open(&root.join("blobs")).map_err(|error| error.to_string())?;
        let laid_out = laid_out_in(root);
        sweep(&laid_out);
        private(&laid_out).map_err(|error| failed(&laid_out, error))?;
        let chance = getrandom::u64().unwrap_or_default();
        let name = format!("{}-{chance:016x}", std::process::id());
        // Under another name until it is locked: what has no lock is taken for left behind.
        let (unnamed, own) = (laid_out.join(format!("{UNNAMED}{name}")), laid_out.join(name));
        private(&unnamed).map_err(|error| failed(&unnamed, error))?;
        let path = unnamed.join(LOCK);
        let lock = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let lock = lock.map_err(|error| failed(&path, error))?;
        // Where a file system has no locks, what a killed worker leaves stays.
        let _ = lock.try_lock();
        fs::rename(&unnamed, &own).map_err(|error| failed(&own, error))?;
        Ok(Cache { store, own, _lock: lock, next: AtomicU64::new(0) })
    }

    /// Lays files out in a folder of their own; `source` says where the bytes of each are.
    pub fn lay_out(&self, manifest: &Manifest, source: impl Fn(&File) -> PathBuf) -> Result<LaidOut, LayOutError> {
        let folder = self.own.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        // Dropped where it fails: what is half done goes.
        let laid_out = LaidOut { folder, hash: manifest.hash() };
        lay_out(manifest, source, &laid_out.folder)?;
        Ok(laid_out)
    }

    /// The manifest of this hash, if it is here and sound.
    fn manifest(&self, hash: Hash) -> Option<Manifest> {
        let length = self.store.length(hash).filter(|length| *length <= MANIFEST_BYTES_MAX)?;
        let bytes = fs::read(self.store.path(hash)).ok().filter(|bytes| bytes.len() as u64 == length)?;
        let sound = Some(bytes).filter(|bytes| Hash::of(bytes) == hash);
        let manifest = sound.and_then(|bytes| Manifest::parse(&bytes).ok());
        if manifest.is_none() {
            tracing::warn!(%hash, "a file of the cache is damaged; it is fetched again");
            let _ = self.store.remove(hash);
        }
        manifest
    }

    fn keep(&self, hash: Hash, bytes: &[u8]) -> Result<(), StoreError> {
        let mut incoming = self.store.take_in(hash, bytes.len() as u64)?;
        incoming.write(bytes)?;
        incoming.finish()
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        remove(&self.own);
    }
}

const LOCK: &str = "lock";
const UNNAMED: &str = "new-";

fn laid_out_in(root: &Path) -> PathBuf {
    root.join("laid-out")
}

/// Where a cache may be, the first choice first.
fn roots() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(root) = variable(VARIABLE) {
        // Who names a folder means it.
        return vec![std::path::absolute(&root).unwrap_or(root)];
    }
    let xdg = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let home = variable("HOME").filter(|path| path.is_absolute()).map(|home| home.join(".cache"));
    let user = rustix::process::geteuid().as_raw();
    let temporary = std::env::temp_dir().join(format!("tumble-cache-{user}"));
    xdg.or(home).map(|cache| cache.join("tumble")).into_iter().chain([temporary]).collect()
}

/// The manifest of this hash, if this user's cache has it.
pub fn known(hash: Hash) -> Option<Manifest> {
    let place = |root: PathBuf| root.join("blobs").join(hash.to_string());
    let manifests = roots().into_iter().filter_map(|root| Manifest::parse(&fs::read(place(root)).ok()?).ok());
    manifests.into_iter().find(|manifest| manifest.hash() == hash)
}

/// Removes what workers left that were killed. Nothing is made where no cache is.
pub fn tidy() {
    roots().iter().for_each(|root| sweep(&laid_out_in(root)));
}

fn sweep(laid_out: &Path) {
    let Ok(entries) = fs::read_dir(laid_out) else { return };
    for folder in entries.flatten().map(|entry| entry.path()) {
        let is_unnamed = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNNAMED));
        let lock = fs::OpenOptions::new().write(true).open(folder.join(LOCK));
        if !is_unnamed && lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            remove(&folder);
        }
    }
}

/// The files of a run have come, or cannot.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) run: Arc<str>,
    pub(crate) run_toml: String,
    pub(crate) files: Result<Arc<LaidOut>, String>,
}

/// Fetches the files of runs, each in a task of its own, so that the worker says meanwhile that it lives.
pub(crate) struct Fetcher {
    /// Opened when it is needed first. What goes wrong then may go well the next time.
    cache: Arc<Mutex<Option<Arc<Cache>>>>,
    under_way: BTreeMap<Arc<str>, AbortHandle>,
    give: mpsc::UnboundedSender<Came>,
    came: mpsc::UnboundedReceiver<Came>,
}

impl Fetcher {
    pub(crate) fn new() -> Fetcher {
        let (give, came) = mpsc::unbounded_channel();
        Fetcher { cache: Arc::default(), under_way: BTreeMap::new(), give, came }
    }

    /// Begins to fetch what this hash names.
    pub(crate) fn fetch(&mut self, run: Arc<str>, run_toml: String, hash: &str, source: Source) {
        let (give, cache, hash) = (self.give.clone(), self.cache.clone(), Hash::parse(hash));
        let name = run.clone();
        let task = tokio::spawn(async move {
            let files = match hash {
                Some(hash) => fetch(cache, &name, hash, source).await.map(Arc::new),
                None => Err("`bundle_hash` is no hash".to_owned()),
            };
            // Nobody listens any more when the process is about to end.
            drop(give.send(Came { run: name, run_toml, files }));
        });
        if let Some(before) = self.under_way.insert(run, task.abort_handle()) {
            before.abort();
        }
    }

    /// The run is over.
    pub(crate) fn forget(&mut self, run: &str) {
        if let Some(task) = self.under_way.remove(run) {
            task.abort();
        }
    }

    /// The session is over: what is there of a file stays, and the next session goes on from it.
    pub(crate) fn stop(&mut self) {
        self.under_way.values().for_each(AbortHandle::abort);
        self.under_way.clear();
        // What a task has just finished belongs to a session that is over as well.
        (self.give, self.came) = mpsc::unbounded_channel();
    }

    /// Waits until the files of a run have come, or cannot. May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Came {
        loop {
            let came = self.came.recv().await.expect("a sender lives as long as this");
            // One that was forgotten may have been done already.
            if self.under_way.remove(&came.run).is_some() {
                return came;
            }
        }
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.stop();
        // A task that is being stopped may hold it for a moment longer than this process lives.
        if let Some(cache) = self.cache.lock().unwrap_or_else(PoisonError::into_inner).take() {
            remove(&cache.own);
        }
    }
}

/// Where files come from: the coordinator of a session.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) channel: Channel,
    pub(crate) secret: MetadataValue<Ascii>,
}

impl Source {
    async fn get(&self, run: &str, hash: Hash, offset: u64) -> Result<Streaming<v1::GetPiece>, Status> {
        let bytes = hash.bytes().to_vec();
        let mut request = Request::new(v1::GetRequest { run: run.to_owned(), hash: bytes, offset });
        request.metadata_mut().insert(SECRET_METADATA, self.secret.clone());
        let mut client = BlobsClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(client.get(request).await?.into_inner())
    }
}

/// Why a file did not come.
enum Not {
    /// It may the next time.
    Now(String),
    /// It will not.
    Ever(String),
}

impl From<Status> for Not {
    fn from(status: Status) -> Not {
        let message = status.message().to_owned();
        match status.code() {
            Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Unimplemented
            | Code::Unauthenticated
            | Code::DataLoss => Not::Ever(message),
            _ => Not::Now(message),
        }
    }
}

impl From<StoreError> for Not {
    fn from(error: StoreError) -> Not {
        match error {
            // What was there before is to blame, and is gone.
            StoreError::Wrong { resumed: true, .. } => Not::Now(error.to_string()),
            StoreError::Wrong { .. } => {
                Not::Ever(format!("{error}; the coordinator's copy may be damaged: submit again"))
            }
            StoreError::Io { .. } => Not::Ever(format!("{error}; {VARIABLE} names another folder for the cache")),
        }
    }
}

/// What was fetched, and what was there.
#[derive(Default)]
struct Tally {
    fetched: u64,
    bytes: u64,
}

/// The cache of this process, opened if it is not yet.
fn open_once(cache: &Mutex<Option<Arc<Cache>>>) -> Result<Arc<Cache>, String> {
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    match &*cache {
        Some(open) => Ok(open.clone()),
        None => Ok(cache.insert(Arc::new(Cache::open()?)).clone()),
    }
}

async fn fetch(
    cache: Arc<Mutex<Option<Arc<Cache>>>>,
    run: &str,
    hash: Hash,
    source: Source,
) -> Result<LaidOut, String> {
    let cache = blocking(move || open_once(&cache)).await?;
    let store = cache.store.clone();
    let mut tally = Tally::default();
    for _ in 0..ROUNDS_MAX {
        let (manifest, bytes) = patiently(run, || manifest_of(&cache, run, hash, &source)).await?;
        tally.bytes += bytes;
        for file in manifest.files() {
            if let Some(bytes) = patiently(run, || file_of(&store, run, file, &source)).await? {
                (tally.fetched, tally.bytes) = (tally.fetched + 1, tally.bytes + bytes);
            }
        }
        let (held, wanted) = (cache.clone(), manifest.clone());
        let laid_out = blocking(move || held.lay_out(&wanted, |file| held.store.path(file.hash)));
        match laid_out.await {
            Ok(laid_out) => {
                let (files, Tally { fetched, bytes }) = (manifest.files().len(), tally);
                tracing::info!(run, files, fetched, bytes, "the files of a run are here");
                blocking(move || tend(&store, hash, &manifest)).await;
                return Ok(laid_out);
            }
            Err(LayOutError::Source { file, why }) => {
                tracing::warn!(run, path = file.path, why, "a file of the cache is not used; it is fetched again");
                store.remove(file.hash).map_err(|error| error.to_string())?;
            }
            Err(error @ LayOutError::Target { .. }) => {
                return Err(format!("{error}; {VARIABLE} names another folder for the cache"));
            }
        }
    }
    Err(format!("files of the bundle are damaged in the cache again and again; {VARIABLE} names another folder for it"))
}

/// Tries until it is done, or will never be.
async fn patiently<T, F>(run: &str, mut attempt: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, Not>>,
{
    let mut pause = BACK_OFF_MIN;
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(Not::Ever(why)) => return Err(why),
            Err(Not::Now(why)) => {
                tracing::info!(run, why, "a file of a run did not come; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BACK_OFF_MAX);
            }
        }
    }
}

/// The list of a bundle's files, and how many bytes came for it.
async fn manifest_of(cache: &Arc<Cache>, run: &str, hash: Hash, source: &Source) -> Result<(Manifest, u64), Not> {
    let held = cache.clone();
    if let Some(manifest) = blocking(move || held.manifest(hash)).await {
        return Ok((manifest, 0));
    }
    let mut pieces = source.get(run, hash, 0).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.message().await? {
        bytes.extend_from_slice(&piece.bytes);
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(Not::Ever(format!("the list of the bundle's files has more than {MANIFEST_BYTES_MAX} bytes")));
        }
    }
    if Hash::of(&bytes) != hash {
        return Err(Not::Ever("the list of the bundle's files arrived damaged: it has another hash".to_owned()));
    }
    let malformed = |error| Not::Ever(format!("the list of the bundle's files makes no sense: {error}"));
    let manifest = Manifest::parse(&bytes).map_err(malformed)?;
    let (held, received) = (cache.clone(), bytes.len() as u64);
    blocking(move || held.keep(hash, &bytes)).await?;
    Ok((manifest, received))
}

/// Has a file in the cache, by this worker or another one of the host; how many bytes came for it, `None` if it was there.
async fn file_of(store: &Store, run: &str, file: &File, source: &Source) -> Result<Option<u64>, Not> {
    let (hash, length) = (file.hash, file.length);
    let mut looks = 0;
    let incoming = loop {
        let store = store.clone();
        // One that stands still is not waited for.
        let is_alone = looks >= LOOKS_MAX;
        let begin =
            move || if is_alone { store.take_in(hash, length).map(Begun::Begun) } else { store.go_on(hash, length) };
        match blocking(begin).await? {
            Begun::There => return Ok(None),
            Begun::Busy => tokio::time::sleep(LOOK_EVERY).await,
            Begun::Begun(incoming) => break incoming,
        }
        looks += 1;
    };
    let before = incoming.received();
    let named = |not| match not {
        Not::Ever(why) => Not::Ever(format!("`{}` of the bundle: {why}", file.path)),
        now => now,
    };
    let received = receive(incoming, run, hash, source).await.map_err(named)?;
    if received < length {
        return Err(Not::Now("it was cut off".to_owned()));
    }
    Ok(Some(received - before))
}

/// Receives what is left of a file; how many bytes it has then. A thread writes them: a slow disk is to stall nothing else.
async fn receive(mut incoming: Incoming, run: &str, hash: Hash, source: &Source) -> Result<u64, Not> {
    if incoming.is_whole() {
        let received = incoming.received();
        blocking(move || incoming.finish()).await?;
        return Ok(received);
    }
    let mut pieces = source.get(run, hash, incoming.received()).await?;
    let (give, mut written) = mpsc::channel::<bytes::Bytes>(PIECES_MAX);
    let writer = spawn_blocking(move || -> Result<u64, StoreError> {
        while let Some(bytes) = written.blocking_recv() {
            incoming.write(&bytes)?;
        }
        let received = incoming.received();
        // Cut off: what is there is gone on with.
        if incoming.is_whole() {
            incoming.finish()?;
        }
        Ok(received)
    });
    let ended = loop {
        match pieces.message().await {
            Ok(Some(piece)) => {
                if give.send(piece.bytes).await.is_err() {
                    break Ok(()); // it could not be written, which the writer tells
                }
            }
            Ok(None) => break Ok(()),
            Err(status) => break Err(status),
        }
    };
    drop(give);
    let received = writer.await.map_err(|error| Not::Ever(error.to_string()))??;
    ended?;
    Ok(received)
}

/// Notes what was of use, and lets go of what was used longest ago.
fn tend(store: &Store, hash: Hash, manifest: &Manifest) {
    let mut needed: Vec<Hash> = manifest.files().iter().map(|file| file.hash).chain([hash]).collect();
    needed.sort_unstable();
    needed.iter().for_each(|hash| store.touch(*hash));
    if let Err(error) = store.shrink(CACHE_BYTES_MAX, |hash| needed.binary_search(&hash).is_ok()) {
        tracing::warn!(%error, "the cache could not be tidied");
    }
}

/// Does what takes its time on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.expect("it does not panic, and a runtime that ends takes the task along")
}
