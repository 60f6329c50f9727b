//! Files that travel with runs, at the coordinator: clients put them, workers get them, and they go when no unfinished run names them.
//!
//! They lie in the state folder by their hash. Nothing of them stands in the journal but what the run file says, the hash of their
//! manifest: a run is taken only when all of them are there, and its folder has been given a copy in the open. From that copy a file is
//! put back that the disk has damaged here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tumble_bundle::{
    BYTES_MAX, File, Hash, Incoming, LayOutError, MANIFEST_BYTES_MAX, Manifest, ManifestError, Store, StoreError, kept,
};
use tumble_core::RunId;
use tumble_proto::{BLOB_PIECE_BYTES, WireError, v1};

use crate::bounds::{BLOB_PIECES_MAX, BLOBS_ASKED_MAX, BLOBS_BYTES_MAX, BLOBS_UNNAMED_FOR};
use crate::driver::Input;
use crate::owner::Owner;
use crate::service::{Role, admitted, gone, malformed};

/// The store of a coordinator.
pub(crate) struct Blobs {
    folder: PathBuf,
    owner: Arc<Owner>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` until the first file comes: a coordinator whose runs have no bundles has no such folder.
    store: Option<Store>,
    /// What its files take, those that are on their way counted in.
    bytes: u64,
    /// What a client asked for or put lately, and may be about to submit.
    lately: BTreeMap<Hash, Instant>,
    /// The manifest that was asked for last, for a worker asks for one file after another.
    last: Option<Arc<Named>>,
}

/// A manifest, and what it names.
pub(crate) struct Named {
    hash: Hash,
    pub(crate) manifest: Manifest,
    files: BTreeMap<Hash, File>,
}

fn failed(error: StoreError) -> Status {
    match error {
        StoreError::Wrong { .. } => Status::invalid_argument(error.to_string()),
        StoreError::Io { .. } => Status::internal(error.to_string()),
    }
}

impl Blobs {
    /// The store in this folder, without what a killed coordinator left unfinished.
    pub(crate) fn open(folder: PathBuf, owner: Arc<Owner>) -> Result<Blobs, StoreError> {
        let blobs = Blobs { folder, owner, state: Mutex::default() };
        if blobs.folder.is_dir() {
            let store = Store::open(&blobs.folder)?;
            store.remove_unfinished()?;
            let mut state = blobs.state();
            state.bytes = store.list()?.iter().map(|file| file.bytes).sum();
            state.store = Some(store);
        }
        Ok(blobs)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> Result<Store, StoreError> {
        let mut state = self.state();
        match &state.store {
            Some(store) => Ok(store.clone()),
            None => Ok(state.store.insert(Store::open(&self.folder)?).clone()),
        }
    }

    /// Which of these are not there. Those that are stay for a while, whoever names them.
    fn lacking(&self, asked: &[(Hash, u64)]) -> Vec<u32> {
        let mut state = self.state();
        let now = Instant::now();
        // Noted before it is looked for: what is there now is not swept a moment later.
        state.lately.extend(asked.iter().map(|(hash, _)| (*hash, now)));
        let Some(store) = state.store.clone() else {
            state.lately.clear();
            return (0..asked.len() as u32).collect();
        };
        drop(state);
        let is_lacking = |(_, (hash, length)): &(u32, &(Hash, u64))| store.length(*hash) != Some(*length);
        let lacking: Vec<u32> = (0..).zip(asked).filter(is_lacking).map(|(at, _)| at).collect();
        // What is not there needs no room in memory; what is put from now on is noted anew.
        let mut state = self.state();
        for at in &lacking {
            let hash = asked[*at as usize].0;
            if state.lately.get(&hash) == Some(&now) {
                state.lately.remove(&hash);
            }
        }
        lacking
    }

    /// Takes in what a client puts, file after file; how many there were.
    fn put(&self, mut pieces: mpsc::Receiver<v1::PutPiece>) -> Result<u32, Status> {
        let (mut at, mut files) = (None::<Taking<'_>>, 0);
        while let Some(piece) = pieces.blocking_recv() {
            if let Some(blob) = piece.blob {
                if let Some(whole) = at.take() {
                    whole.finish().map_err(failed)?;
                }
                at = Some(self.begin(&blob)?);
                files += 1;
            }
            let taking = at.as_mut().ok_or_else(|| malformed(WireError::Missing("blob")))?;
            taking.incoming.as_mut().expect("it is not finished").write(&piece.bytes).map_err(failed)?;
        }
        if let Some(whole) = at.take() {
            whole.finish().map_err(failed)?;
        }
        Ok(files)
    }

    fn begin(&self, blob: &v1::Blob) -> Result<Taking<'_>, Status> {
        let (hash, length) = read_blob(blob)?;
        if length > BYTES_MAX {
            return Err(Status::invalid_argument(format!("a file has {length} bytes, more than {BYTES_MAX}")));
        }
        // A coordinator that was paused and replaced writes nothing more.
        self.owner.check().map_err(|lost| Status::unavailable(lost.to_string()))?;
        let store = self.store().map_err(failed)?;
        let mut state = self.state();
        if state.bytes.saturating_add(length) > BLOBS_BYTES_MAX {
            return Err(Status::resource_exhausted(format!(
                "the coordinator keeps {} bytes of files already, and {BLOBS_BYTES_MAX} are the most: wait for runs to end",
                state.bytes
            )));
        }
        state.bytes += length;
        state.lately.insert(hash, Instant::now());
        drop(state);
        let was_there = store.length(hash).is_some();
        let mut taking = Taking { blobs: self, length, incoming: None, was_there };
        taking.incoming = Some(store.take_in(hash, length).map_err(failed)?);
        Ok(taking)
    }

    /// The manifest of this hash with what it names, if it is there and sound; an error if what is there is no manifest.
    fn named(&self, hash: Hash) -> Result<Option<Arc<Named>>, ManifestError> {
        let state = self.state();
        if let Some(last) = state.last.as_ref().filter(|last| last.hash == hash) {
            return Ok(Some(last.clone()));
        }
        let Some(store) = state.store.clone() else { return Ok(None) };
        drop(state);
        if store.length(hash).is_some_and(|length| length > MANIFEST_BYTES_MAX) {
            return Err(ManifestError::TooLarge);
        }
        let sound = fs::read(store.path(hash)).ok().filter(|bytes| Hash::of(bytes) == hash);
        let Some(bytes) = sound else { return Ok(None) };
        let named = Arc::new(Named::of(hash, Manifest::parse(&bytes)?));
        self.state().last = Some(named.clone());
        Ok(Some(named))
    }

    /// The bundle of this hash, when all of its files are there; else what is missing.
    pub(crate) fn whole(&self, hash: &str) -> Result<Arc<Named>, Status> {
        let lacks = |what: String| Status::failed_precondition(format!("the coordinator lacks {what}"));
        let hash = Hash::parse(hash).ok_or_else(|| malformed(WireError::Malformed("bundle_hash")))?;
        self.state().lately.insert(hash, Instant::now());
        let named = self.named(hash).map_err(|error| {
            Status::invalid_argument(format!("the list of the bundle's files makes no sense: {error}"))
        })?;
        let named = named.ok_or_else(|| lacks("the list of the bundle's files".to_owned()))?;
        let asked: Vec<(Hash, u64)> = named.manifest.files().iter().map(|file| (file.hash, file.length)).collect();
        let lacking = self.lacking(&asked);
        if let Some(first) = lacking.first() {
            let path = &named.manifest.files()[*first as usize].path;
            let others = match lacking.len() - 1 {
                0 => String::new(),
                others => format!(" and {others} others"),
            };
            return Err(lacks(format!("`{path}`{others} of the bundle")));
        }
        Ok(named)
    }

    /// Gives the folder of a run its copy of the bundle, unless it has it.
    pub(crate) fn keep_in(&self, run: &Path, named: &Named) -> Result<(), Status> {
        if kept::read(run, named.hash).is_ok() {
            return Ok(());
        }
        let store = self.store().map_err(failed)?;
        fs::create_dir_all(run)
            .map_err(|error| Status::internal(format!("failed to make the folder {}: {error}", run.display())))?;
        kept::keep(run, &named.manifest, |file| store.path(file.hash)).map_err(|error| match &error {
            LayOutError::Source { file, .. } => {
                tracing::warn!(
                    path = file.path,
                    "a file of a bundle was damaged in the state folder, and is to be put again"
                );
                let _ = store.remove(file.hash);
                Status::failed_precondition(format!("a file is to be put again: {error}"))
            }
            LayOutError::Target { .. } => Status::internal(error.to_string()),
        })
    }

    /// A file that an open run names, sound and open; `folder` is the run's.
    fn open_sound(&self, bundle: Hash, hash: Hash, folder: &Path) -> Result<(fs::File, u64), Status> {
        let named = match self.named(bundle) {
            Ok(Some(named)) => named,
            _ => {
                let manifest =
                    kept::read(folder, bundle).map_err(|why| lost("the list of the bundle's files", &why))?;
                self.put_back(bundle, manifest.text().len() as u64, manifest.text().as_bytes())?;
                Arc::new(Named::of(bundle, manifest))
            }
        };
        let file = named.files.get(&hash);
        if hash != bundle && file.is_none() {
            return Err(Status::permission_denied("no file of the run's bundle has this hash"));
        }
        let path = self.store().map_err(failed)?.path(hash);
        let sound = |path: &Path| {
            let mut open = fs::File::open(path).ok()?;
            let (is, length) = Hash::of_all(&mut open).ok()?;
            open.seek(SeekFrom::Start(0)).ok()?;
            (is == hash).then_some((open, length))
        };
        if let Some(sound) = sound(&path) {
            return Ok(sound);
        }
        match file {
            None => self.put_back(hash, named.manifest.text().len() as u64, named.manifest.text().as_bytes()),
            Some(file) => {
                let copy = kept::files(folder).join(&file.path);
                let shown = format!("`{}` of the bundle", file.path);
                let copy = fs::File::open(&copy).map_err(|error| lost(&shown, &error))?;
                self.put_back(hash, file.length, copy).map_err(|status| match status.code() {
                    Code::InvalidArgument => lost(&shown, &"its copy in the run's folder has changed"),
                    _ => status,
                })
            }
        }?;
        sound(&path).ok_or_else(|| lost("a file of the bundle", &"it is damaged as soon as it is written"))
    }

    /// Puts a file back that is damaged or gone.
    fn put_back(&self, hash: Hash, length: u64, mut from: impl Read) -> Result<(), Status> {
        self.owner.check().map_err(|lost| Status::unavailable(lost.to_string()))?;
        let mut incoming = self.store().and_then(|store| store.take_in(hash, length)).map_err(failed)?;
        let mut buffer = vec![0; BLOB_PIECE_BYTES];
        loop {
            match from.read(&mut buffer).map_err(|error| Status::internal(error.to_string()))? {
                0 => break,
                read => incoming.write(&buffer[..read]).map_err(failed)?,
            }
        }
        incoming.finish().map_err(failed)?;
        tracing::warn!(%hash, "a file of a bundle was damaged in the state folder; it is put back from the run's folder");
        Ok(())
    }

    /// Removes what none of these bundles names, and no client may be about to name, on a thread of its own.
    pub(crate) fn sweep(self: &Arc<Blobs>, bundles: BTreeSet<Hash>) {
        if self.state().store.is_none() {
            return;
        }
        let blobs = self.clone();
        let sweep = move || {
            if let Err(error) = blobs.sweep_now(&bundles) {
                tracing::warn!(%error, "files that no run needs any more could not be removed");
            }
        };
        // Without a thread they stay until the next run ends.
        drop(std::thread::Builder::new().name("blobs".to_owned()).spawn(sweep));
    }

    fn sweep_now(&self, bundles: &BTreeSet<Hash>) -> Result<(), StoreError> {
        let Some(store) = self.state().store.clone() else { return Ok(()) };
        let mut needed = bundles.clone();
        for bundle in bundles {
            // Of a manifest that is damaged nobody knows what it names.
            let Ok(Some(named)) = self.named(*bundle) else { return Ok(()) };
            needed.extend(named.files.keys());
        }
        let unneeded = store.list()?.into_iter().filter_map(|file| Some((file.hash?, file.bytes)));
        for (hash, bytes) in unneeded.filter(|(hash, _)| !needed.contains(hash)) {
            // Whoever asks for it now waits until this is decided.
            let mut state = self.state();
            if state.lately.get(&hash).is_some_and(|at| at.elapsed() < BLOBS_UNNAMED_FOR) || self.owner.check().is_err()
            {
                continue;
            }
            state.lately.remove(&hash);
            state.last.take_if(|last| last.hash == hash);
            store.remove(hash)?;
            state.bytes = state.bytes.saturating_sub(bytes);
        }
        self.state().lately.retain(|_, at| at.elapsed() < BLOBS_UNNAMED_FOR);
        Ok(())
    }
}

fn lost(what: &str, why: &dyn std::fmt::Display) -> Status {
    Status::data_loss(format!(
        "{what} is damaged in the coordinator's state folder and cannot be put back ({why}): submit again"
    ))
}

impl Named {
    fn of(hash: Hash, manifest: Manifest) -> Named {
        let files = manifest.files().iter().map(|file| (file.hash, file.clone())).collect();
        Named { hash, manifest, files }
    }
}

/// A file on its way in.
struct Taking<'b> {
    blobs: &'b Blobs,
    /// What is given back of the room that was taken for it: all of it, unless it arrives and is new.
    length: u64,
    incoming: Option<Incoming>,
    was_there: bool,
}

impl Taking<'_> {
    fn finish(mut self) -> Result<(), StoreError> {
        self.incoming.take().expect("it is finished once").finish()?;
        if !self.was_there {
            self.length = 0;
        }
        Ok(())
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let mut state = self.blobs.state();
        state.bytes = state.bytes.saturating_sub(self.length);
    }
}

fn read_hash(bytes: &[u8]) -> Result<Hash, Status> {
    Hash::from_bytes(bytes).ok_or_else(|| malformed(WireError::Malformed("hash")))
}

fn read_blob(blob: &v1::Blob) -> Result<(Hash, u64), Status> {
    Ok((read_hash(&blob.hash)?, blob.length))
}

pub(crate) struct BlobsService {
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) inputs: mpsc::Sender<Input>,
    /// Who may be putting files.
    pub(crate) puts: Arc<Semaphore>,
    /// Who may be getting one; others wait.
    pub(crate) gets: Arc<Semaphore>,
}

type PieceStream = Pin<Box<dyn Stream<Item = Result<v1::GetPiece, Status>> + Send>>;

fn only_for<T>(role: Role, request: &Request<T>) -> Result<(), Status> {
    match request.extensions().get::<Role>() {
        Some(is) if *is == role => Ok(()),
        _ => Err(Status::permission_denied(match role {
            Role::Client => "only a client may put files; this is the access file of a worker",
            Role::Worker => "only a worker gets files; this is the access file of a client",
        })),
    }
}

#[tonic::async_trait]
impl v1::blobs_server::Blobs for BlobsService {
    async fn lack(&self, request: Request<v1::LackRequest>) -> Result<Response<v1::LackResponse>, Status> {
        only_for(Role::Client, &request)?;
        let _one_of_them = admitted(&self.puts, "clients that put files")?;
        let blobs = request.into_inner().blobs;
        if blobs.len() > BLOBS_ASKED_MAX {
            return Err(malformed(WireError::Malformed("blobs")));
        }
        let asked = blobs.iter().map(read_blob).collect::<Result<Vec<_>, _>>()?;
        let store = self.blobs.clone();
        let lacking = spawn_blocking(move || store.lacking(&asked)).await.map_err(gone)?;
        Ok(Response::new(v1::LackResponse { lacking }))
    }

    async fn put(&self, request: Request<Streaming<v1::PutPiece>>) -> Result<Response<v1::PutResponse>, Status> {
        only_for(Role::Client, &request)?;
        let _one_of_them = admitted(&self.puts, "clients that put files")?;
        let mut stream = request.into_inner();
        let (give, pieces) = mpsc::channel(BLOB_PIECES_MAX);
        let blobs = self.blobs.clone();
        let writer = spawn_blocking(move || blobs.put(pieces));
        let cut_off = loop {
            match stream.message().await {
                Ok(Some(piece)) => {
                    if give.send(piece).await.is_err() {
                        break None; // it could not be written, which the writer tells
                    }
                }
                Ok(None) => break None,
                Err(status) => break Some(status),
            }
        };
        drop(give);
        let written = writer.await.map_err(gone)?;
        match cut_off {
            Some(status) => Err(status),
            None => Ok(Response::new(v1::PutResponse { blobs: written? })),
        }
    }

    type GetStream = PieceStream;

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<PieceStream>, Status> {
        only_for(Role::Worker, &request)?;
        let v1::GetRequest { run, hash, offset } = request.into_inner();
        let hash = read_hash(&hash)?;
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Bundle { run: RunId(run.as_str().into()), reply }).await.map_err(gone)?;
        let (bundle, folder) = answer.await.map_err(gone)?.ok_or_else(|| {
            Status::failed_precondition(format!("run `{run}` is not open, or no files travel with it"))
        })?;
        let bundle = Hash::parse(&bundle).ok_or_else(|| malformed(WireError::Malformed("bundle_hash")))?;
        let permit = self.gets.clone().acquire_owned().await.map_err(gone)?;
        let blobs = self.blobs.clone();
        let opened = spawn_blocking(move || blobs.open_sound(bundle, hash, &folder)).await.map_err(gone)?;
        let (mut file, length) = opened?;
        if offset > length {
            return Err(malformed(WireError::Malformed("offset")));
        }
        let (give, pieces) = mpsc::channel(BLOB_PIECES_MAX);
        // A thread reads: a slow disk is to stall nobody else.
        spawn_blocking(move || {
            let _as_long_as_it_lasts = permit;
            let mut at = offset;
            let sought = file.seek(SeekFrom::Start(offset));
            loop {
                let mut bytes = vec![0; (length - at).min(BLOB_PIECE_BYTES as u64) as usize];
                let read = sought.as_ref().map_err(ToString::to_string);
                let read = read.and_then(|_| file.read_exact(&mut bytes).map_err(|error| error.to_string()));
                let piece =
                    read.map_err(|error| Status::internal(format!("a file of the bundle cannot be read: {error}")));
                at += bytes.len() as u64;
                let is_last = at == length || piece.is_err();
                let piece = piece.map(|()| v1::GetPiece { length, bytes: bytes.into() });
                // Nobody listens any more when its session is lost.
                if give.blocking_send(piece).is_err() || is_last {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(pieces))))
    }
}
