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
        if !is_ours(root) {
            return Err(format!("{} belongs to somebody else", root.display()));
        }
        let store = Store::open(&root.join("blobs")).map_err(|error| error.to_string())?;
        let laid_out = laid_out_in(root);
        sweep(root);
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
    if let Some(root) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from) {
        // Who names a folder means it.
        return vec![std::path::absolute(&root).unwrap_or(root)];
    }
    let user = rustix::process::geteuid().as_raw();
    let temporary = std::env::temp_dir().join(format!("tumble-cache-{user}"));
    let cache = crate::process::user_folder("XDG_CACHE_HOME", ".cache").map(|cache| cache.join("tumble"));
    cache.into_iter().chain([temporary]).collect()
}

/// The manifest of this hash, if this user's cache has it.
pub fn known(hash: Hash) -> Option<Manifest> {
    let place = |root: PathBuf| root.join("blobs").join(hash.to_string());
    let manifests = roots().into_iter().filter_map(|root| Manifest::parse(&fs::read(place(root)).ok()?).ok());
    manifests.into_iter().find(|manifest| manifest.hash() == hash)
}

/// Removes what workers left that were killed. Nothing is made where no cache is.
pub fn tidy() {
    roots().iter().for_each(|root| sweep(root));
}

/// Whether a file, a folder or a link belongs to this user.
fn is_ours(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|about| about.uid() == rustix::process::geteuid().as_raw())
}

fn sweep(root: &Path) {
    let laid_out = laid_out_in(root);
    // What somebody else has planted under our name may lead anywhere.
    if !is_ours(root) || !is_ours(&laid_out) || laid_out.is_symlink() {
        return;
    }
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
            move || if is_alone { store.take_in(hash, length).map(Begun::of) } else { store.go_on(hash, length) };
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
async fn receive(mut incoming: Box<Incoming>, run: &str, hash: Hash, source: &Source) -> Result<u64, Not> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::sync::atomic::AtomicUsize;
    use tokio_stream::Stream;
    use tonic::Response;
    use tonic::transport::Endpoint;
    use tonic::transport::server::TcpIncoming;
    use tumble_proto::v1::blobs_server::{Blobs, BlobsServer};

    /// A coordinator that has files, and may be up to something.
    #[derive(Clone, Default)]
    struct Fake {
        files: Arc<Mutex<BTreeMap<Hash, Vec<u8>>>>,
        /// Every request: what, and from where on.
        asked: Arc<Mutex<Vec<(Hash, u64)>>>,
        /// A file is cut off after so many bytes, so often.
        cuts: Arc<AtomicUsize>,
    }

    const PIECE: usize = 1000;

    type Pieces = Pin<Box<dyn Stream<Item = Result<v1::GetPiece, Status>> + Send>>;

    #[tonic::async_trait]
    impl Blobs for Fake {
        async fn lack(&self, _: Request<v1::LackRequest>) -> Result<Response<v1::LackResponse>, Status> {
            Err(Status::permission_denied("a worker does not ask"))
        }

        async fn put(&self, _: Request<Streaming<v1::PutPiece>>) -> Result<Response<v1::PutResponse>, Status> {
            Err(Status::permission_denied("a worker does not put"))
        }

        type GetStream = Pieces;

        async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<Pieces>, Status> {
            let v1::GetRequest { hash, offset, .. } = request.into_inner();
            let hash = Hash::from_bytes(&hash).expect("it is a hash");
            self.asked.lock().unwrap().push((hash, offset));
            let bytes = self.files.lock().unwrap().get(&hash).cloned();
            let bytes = bytes.ok_or_else(|| Status::data_loss("it is damaged"))?;
            let is_cut = bytes.len() > PIECE
                && self.cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |cuts| cuts.checked_sub(1)).is_ok();
            let rest: Vec<Vec<u8>> = bytes[offset as usize..].chunks(PIECE).map(<[u8]>::to_vec).collect();
            let length = bytes.len() as u64;
            let mut pieces: Vec<Result<v1::GetPiece, Status>> =
                rest.into_iter().map(|bytes| Ok(v1::GetPiece { length, bytes: bytes.into() })).collect();
            if is_cut {
                pieces.truncate(1);
                pieces.push(Err(Status::unavailable("the wire is cut")));
            }
            Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
        }
    }

    impl Fake {
        /// One with these files, and the hash of the list of them.
        fn with(files: &[(&str, &[u8])]) -> (Fake, Hash) {
            let file = |(path, bytes): &(&str, &[u8])| File {
                path: (*path).to_owned(),
                length: bytes.len() as u64,
                hash: Hash::of(bytes),
                executable: path.ends_with(".sh"),
            };
            let manifest = Manifest::try_new(files.iter().map(file).collect()).expect("they make a bundle");
            let fake = Fake::default();
            for (_, bytes) in files {
                fake.has(bytes);
            }
            let hash = fake.has(manifest.text().as_bytes());
            (fake, hash)
        }

        fn has(&self, bytes: &[u8]) -> Hash {
            self.files.lock().unwrap().insert(Hash::of(bytes), bytes.to_vec());
            Hash::of(bytes)
        }

        async fn source(&self) -> Source {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
            let address = listener.local_addr().expect("it listens");
            let server = tonic::transport::Server::builder().add_service(BlobsServer::new(self.clone()));
            tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
            let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("it is an address");
            let channel = endpoint.connect().await.expect("it listens");
            Source { channel, secret: MetadataValue::from_static("none") }
        }

        fn times_asked(&self) -> usize {
            self.asked.lock().unwrap().len()
        }
    }

    type Slot = Arc<Mutex<Option<Arc<Cache>>>>;

    fn cache(root: &Path) -> Slot {
        Arc::new(Mutex::new(Some(Arc::new(Cache::open_in(root).expect("the place is ours")))))
    }

    fn own(cache: &Slot) -> PathBuf {
        cache.lock().unwrap().as_ref().expect("it is open").own.clone()
    }

    fn place() -> tempfile::TempDir {
        tempfile::tempdir().expect("there is a temporary folder")
    }

    #[tokio::test]
    async fn what_is_in_the_cache_is_not_fetched_again_and_what_is_damaged_there_is() {
        let place = place();
        let (fake, hash) =
            Fake::with(&[("model.py", b"code"), ("data/a", b"data"), ("data/b", b"data"), ("empty", b"")]);
        let (source, cache) = (fake.source().await, cache(place.path()));
        let laid_out = fetch(cache.clone(), "run", hash, source.clone()).await.unwrap();
        assert_eq!(fs::read(laid_out.folder().join("data/b")).unwrap(), b"data");
        assert_eq!((laid_out.hash(), fake.times_asked()), (hash.to_string(), 3), "the list, and two different files");
        // Another run with the same files has a folder of its own.
        let again = fetch(cache.clone(), "other", hash, source.clone()).await.unwrap();
        assert!(again.folder() != laid_out.folder() && again.folder().join("empty").exists());
        assert_eq!(fake.times_asked(), 3);
        let store = cache.lock().unwrap().as_ref().unwrap().store.clone();
        for (damaged, asked) in [(Hash::of(b"code"), 4), (hash, 5)] {
            let mut bytes = fs::read(store.path(damaged)).unwrap();
            bytes[0] ^= 1;
            fs::write(store.path(damaged), bytes).unwrap();
            let right = fetch(cache.clone(), "run", hash, source.clone()).await.unwrap();
            assert_eq!(fs::read(right.folder().join("model.py")).unwrap(), b"code");
            assert_eq!(fake.times_asked(), asked);
        }
    }

    #[tokio::test]
    async fn a_file_that_is_cut_off_is_gone_on_with_from_where_it_was() {
        let place = place();
        let large: Vec<u8> = (0..3500u32).map(|i| (i % 253) as u8).collect();
        let (fake, hash) = Fake::with(&[("large", &large)]);
        fake.cuts.store(2, Ordering::SeqCst);
        let cache = cache(place.path());
        let laid_out = fetch(cache.clone(), "run", hash, fake.source().await).await.unwrap();
        assert_eq!(fs::read(laid_out.folder().join("large")).unwrap(), large);
        let asked: Vec<u64> = fake.asked.lock().unwrap().iter().map(|(_, offset)| *offset).collect();
        assert_eq!(asked, [0, 0, 1000, 2000], "the list, and the file three times");
    }

    #[tokio::test]
    async fn nothing_that_is_other_than_its_hash_says_is_laid_out() {
        let place = place();
        let (fake, hash) = Fake::with(&[("model.py", b"code"), ("data", b"data")]);
        let (source, cache) = (fake.source().await, cache(place.path()));
        // Others of the same length, a longer one, and none.
        for wrong in [Some(&b"evil"[..]), Some(b"codecode"), None] {
            match wrong {
                Some(bytes) => drop(fake.files.lock().unwrap().insert(Hash::of(b"code"), bytes.to_vec())),
                None => drop(fake.files.lock().unwrap().remove(&Hash::of(b"code"))),
            }
            let why = fetch(cache.clone(), "run", hash, source.clone()).await.unwrap_err();
            assert!(why.contains("`model.py` of the bundle"), "{why}");
        }
        let laid_out = fs::read_dir(own(&cache)).unwrap().flatten().filter(|entry| entry.file_name() != LOCK).count();
        assert_eq!(laid_out, 0, "nothing is laid out");
        // And of the list itself.
        fake.files.lock().unwrap().insert(Hash::of(b"list"), b"tumble-bundle 1\n".to_vec());
        let why = fetch(cache.clone(), "run", Hash::of(b"list"), source).await.unwrap_err();
        assert!(why.contains("arrived damaged"), "{why}");
    }

    #[tokio::test]
    async fn a_list_that_would_lead_out_of_the_folder_is_refused() {
        let place = place();
        let (fake, _) = Fake::with(&[("model.py", b"code")]);
        let (source, cache) = (fake.source().await, cache(place.path()));
        let code = Hash::of(b"code");
        for files in [
            format!("{code} 4 - ../x\n"),
            format!("{code} 4 - /x\n"),
            format!("{code} 4 - a/../../x\n"),
            format!("{code} 4 - x\n{code} 4 - x\n"),
            format!("{code} 4 - x\n{code} 4 - x/y\n"),
            format!("{code} 18446744073709551615 - x\n"),
            "x".repeat(MANIFEST_BYTES_MAX as usize),
        ] {
            let hash = fake.has(format!("tumble-bundle 1\n{files}").as_bytes());
            let why = fetch(cache.clone(), "run", hash, source.clone()).await.unwrap_err();
            assert!(why.contains("the list of the bundle's files"), "{why}");
        }
        assert_eq!(fake.asked.lock().unwrap().iter().filter(|(hash, _)| *hash == code).count(), 0);
    }

    #[tokio::test]
    async fn workers_that_share_a_cache_fetch_a_file_once() {
        let place = place();
        let large: Vec<u8> = (0..400_000u32).map(|i| (i % 251) as u8).collect();
        let (fake, hash) = Fake::with(&[("large", &large), ("small", b"small")]);
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let (cache, source) = (cache(place.path()), fake.source().await);
            tasks.push(tokio::spawn(async move {
                let laid_out = fetch(cache.clone(), "run", hash, source).await.expect("it comes");
                (laid_out, cache)
            }));
        }
        for task in tasks {
            let (laid_out, _cache) = task.await.unwrap();
            assert_eq!(fs::read(laid_out.folder().join("large")).unwrap(), large);
        }
        let asked = fake.asked.lock().unwrap();
        for file in [Hash::of(&large), Hash::of(b"small")] {
            assert_eq!(asked.iter().filter(|(hash, _)| *hash == file).count(), 1);
        }
    }

    #[test]
    fn what_a_killed_worker_laid_out_goes_with_the_next_one_and_what_a_living_one_has_stays() {
        let place = place();
        let living = Cache::open_in(place.path()).unwrap();
        let laid_out = laid_out_in(place.path());
        // As one that was killed leaves it: nobody has the lock.
        for killed in ["killed-1", "killed-2"] {
            fs::create_dir_all(laid_out.join(killed).join("0/data")).unwrap();
            fs::write(laid_out.join(killed).join("0/data/x"), "code").unwrap();
            fs::write(laid_out.join(killed).join(LOCK), "").unwrap();
        }
        let next = Cache::open_in(place.path()).unwrap();
        let mut left: Vec<PathBuf> = fs::read_dir(&laid_out).unwrap().map(|entry| entry.unwrap().path()).collect();
        left.sort();
        let mut expected = vec![living.own.clone(), next.own.clone()];
        expected.sort();
        assert_eq!(left, expected);
        drop((living, next));
        assert_eq!(fs::read_dir(&laid_out).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_is_laid_out_goes_with_the_run_and_with_the_worker() {
        let place = place();
        let (fake, hash) = Fake::with(&[("model.py", b"code")]);
        let source = fake.source().await;
        let mut fetcher = Fetcher::new();
        fetcher.cache = cache(place.path());
        let folder = own(&fetcher.cache);
        for run in ["one", "two"] {
            fetcher.fetch(run.into(), String::new(), &hash.to_string(), source.clone());
        }
        let mut files: Vec<Arc<LaidOut>> = Vec::new();
        for _ in 0..2 {
            files.push(fetcher.next().await.files.expect("they come"));
        }
        let path = files[0].folder().to_owned();
        assert!(path.join("model.py").exists());
        files.remove(0);
        let since = std::time::Instant::now();
        while path.exists() {
            assert!(since.elapsed() < Duration::from_secs(120), "it goes with the run");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // What belongs to a session that is over is not heard of any more.
        fetcher.fetch("three".into(), String::new(), &hash.to_string(), source.clone());
        fetcher.forget("three");
        fetcher.fetch("four".into(), String::new(), &hash.to_string(), source.clone());
        fetcher.stop();
        fetcher.fetch("five".into(), String::new(), "no hash", source);
        let came = fetcher.next().await;
        assert_eq!((&*came.run, came.files.unwrap_err().as_str()), ("five", "`bundle_hash` is no hash"));
        drop(fetcher);
        assert!(!folder.exists(), "it goes with the worker, whoever still evaluates");
        drop(files);
    }
}
