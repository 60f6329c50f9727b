//! The coordinator as a whole: it takes its state folder, listens, and serves until it is stopped.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tonic::transport::server::TcpIncoming;
use tumble_core::Limits;
use tumble_proto::access::{Access, AccessError};
use tumble_proto::v1::{blobs_server::BlobsServer, runs_server::RunsServer, workers_server::WorkersServer};
use tumble_proto::{DESCRIPTORS, MESSAGE_BYTES_MAX};

use crate::blobs::{Blobs, BlobsService};
use crate::bounds::{
    CONNECTION_WINDOW, GETS_MAX, PUTS_MAX, QUEUE_KIB_MAX, QUEUE_MAX, REQUESTS_MAX, SESSIONS_MAX, STREAM_WINDOW, Store,
    WATCHES_MAX,
};
use crate::driver::{DriveError, Driver, Input};
use crate::folder::{Folders, new_secret};
use crate::journal::{Journal, JournalError};
use crate::owner::{self, OwnerSettings, TakeError};
use crate::service::{BothDoors, Doorkeeper, RunsService, WorkersService};

/// What a coordinator is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; port 0 takes a free one. Loopback only, until connections are encrypted.
    pub listen: SocketAddr,
    /// Its journal and access files.
    pub state: PathBuf,
    /// How the state folder is held.
    pub owner: OwnerSettings,
    /// Where tables go.
    pub folders: Folders,
    /// What bounds it.
    pub limits: Limits,
}

/// Why a coordinator cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Other machines could reach it.
    #[error(
        "refusing to listen on {0}: connections are not encrypted yet, so other machines must not reach the coordinator; \
         use a loopback address such as 127.0.0.1:4717"
    )]
    NotLoopback(SocketAddr),
    /// The state folder cannot be used.
    #[error("failed to use the state folder {}: {source}", path.display())]
    State {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else uses it.
    #[error("another process uses the state folder {}: {how}; stop it first", path.display())]
    Held {
        /// Which folder.
        path: PathBuf,
        /// What is known of it.
        how: String,
    },
    /// The address is taken, or not ours.
    #[error("failed to listen on {address}: {source}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The files that travel with runs cannot be kept.
    #[error(transparent)]
    Blobs(#[from] tumble_bundle::StoreError),
    /// The access files cannot be written.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The driver had to stop.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The connection layer failed.
    #[error("failed to serve: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// A coordinator that runs.
pub struct Server {
    /// For workers.
    pub worker_access: Access,
    /// For clients.
    pub client_access: Access,
    /// Where it listens.
    pub address: SocketAddr,
    inputs: mpsc::Sender<Input>,
    /// `None` once it has been told.
    ended: Option<oneshot::Receiver<Result<(), ServeError>>>,
}

impl Server {
    /// Takes the state folder, restores what is there, writes the access files and listens.
    pub async fn start(config: Config) -> Result<Server, ServeError> {
        if !config.listen.ip().is_loopback() {
            return Err(ServeError::NotLoopback(config.listen));
        }
        let (state, settings) = (config.state.clone(), config.owner.clone());
        // It may have to wait for another's lease to run out. Not a task: an end of the process would wait for that.
        let (give, taken) = oneshot::channel();
        let take = move || drop(give.send(take_state_folder(&state, &settings)));
        std::thread::Builder::new().name("take".to_owned()).spawn(take).expect("the system has a thread left");
        let owner = Arc::new(taken.await.expect("taking does not panic")?);
        let path = config.state.join("journal.sqlite");
        let journal = Journal::open_owned(&path, owner.clone(), config.owner.file_locks)?;
        let listen = |source| ServeError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (worker_access, client_access) = write_access_files(&config.state, address)?;

        let (inputs, inbox) = mpsc::channel(QUEUE_MAX);
        let (jobs, work) = std::sync::mpsc::channel();
        let blobs = Arc::new(Blobs::open(config.state.join("blobs"), owner.clone())?);
        let driver = Driver::restore(journal, &config.folders, config.limits.clone(), inbox, jobs, blobs.clone())?;

        let lost = inputs.clone();
        owner.on_lost(move |why| drop(lost.blocking_send(Input::Lost(why))));
        let (written, writer) = (inputs.clone(), owner.clone());
        let outlet = std::thread::Builder::new()
            .name("tables".to_owned())
            .spawn(move || {
                while let Ok(job) = work.recv() {
                    let job: crate::outlet::Job = job;
                    if writer.check().is_err() {
                        break; // the driver is told by itself
                    }
                    if written.blocking_send(Input::Written(job.write())).is_err() {
                        break;
                    }
                }
            })
            .expect("the system has a thread left");

        let (stop_serving, serving_stops) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(
            listener,
            inputs.clone(),
            config.folders.clone(),
            blobs,
            worker_access.clone(),
            client_access.clone(),
            serving_stops,
        ));
        let (report_end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("driver".to_owned())
            .spawn(move || {
                let driven = driver.drive(&runtime);
                let _ = stop_serving.send(());
                served.abort();
                // A part that is being written is completed or leaves no trace; the journal still has its trials.
                drop(outlet);
                owner.release();
                let _ = report_end.send(driven.map_err(ServeError::from));
            })
            .expect("the system has a thread left");
        Ok(Server { worker_access, client_access, address, inputs, ended: Some(ended) })
    }

    /// Waits until the coordinator has ended by itself, which it does only when it cannot go on.
    pub async fn ended(&mut self) -> Result<(), ServeError> {
        let Some(told) = &mut self.ended else { return Ok(()) };
        let ended = told.await.unwrap_or(Ok(()));
        self.ended = None;
        ended
    }

    /// Stops it; everything acknowledged is in the journal.
    pub async fn stop(mut self) -> Result<(), ServeError> {
        let _ = self.inputs.send(Input::Stop).await;
        self.ended().await
    }
}

/// Keeps the state folder to this process.
fn take_state_folder(state: &Path, settings: &OwnerSettings) -> Result<owner::Owner, ServeError> {
    let failed = |source| ServeError::State { path: state.to_owned(), source };
    std::fs::create_dir_all(state).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(state, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    owner::take(state, settings).map_err(|error| match error {
        TakeError::Io(source) => failed(source),
        TakeError::Held(how) => ServeError::Held { path: state.to_owned(), how },
    })
}

impl ServeError {
    /// Whether the state folder was lost to another coordinator, or could not be held: the run can go on elsewhere.
    pub fn is_lost(&self) -> bool {
        let of_journal = |error: &JournalError| matches!(error, JournalError::Lost(_));
        match self {
            ServeError::Journal(error) | ServeError::Drive(DriveError::Journal(error)) => of_journal(error),
            _ => false,
        }
    }
}

/// The secrets outlive a restart, so that workers and clients need no new files; the address may change.
fn write_access_files(state: &Path, address: SocketAddr) -> Result<(Access, Access), AccessError> {
    let write = |name: &str| {
        let path = state.join(name);
        let secret = if path.exists() { Access::read(&path)?.secret } else { new_secret() };
        let access = Access { address: format!("http://{address}"), secret };
        access.write(&path)?;
        Ok(access)
    };
    Ok((write("worker.access")?, write("client.access")?))
}

async fn serve(
    listener: TcpListener,
    inputs: mpsc::Sender<Input>,
    folders: Folders,
    blobs: Arc<Blobs>,
    worker_access: Access,
    client_access: Access,
    stops: oneshot::Receiver<()>,
) -> Result<(), tonic::transport::Error> {
    let bounded = |most: usize| Arc::new(Semaphore::new(most));
    let workers = WorkersService {
        inputs: inputs.clone(),
        next_worker: 0.into(),
        sessions: bounded(SESSIONS_MAX),
        unhandled: bounded(QUEUE_KIB_MAX as usize),
    };
    let workers = WorkersServer::new(workers)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let files =
        BlobsService { blobs: blobs.clone(), inputs: inputs.clone(), puts: bounded(PUTS_MAX), gets: bounded(GETS_MAX) };
    let files = BlobsServer::new(files).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (requests, watches) = (bounded(REQUESTS_MAX), bounded(WATCHES_MAX));
    let runs = RunsService { inputs, folders, blobs, requests, watches, given: Store::new() };
    let runs = RunsServer::new(runs).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .build_v1()
        .expect("our own descriptors are well formed");
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<WorkersServer<WorkersService>>().await;
    health.set_serving::<RunsServer<RunsService>>().await;
    health.set_serving::<BlobsServer<BlobsService>>().await;
    let worker_door = Doorkeeper(Arc::from(worker_access.secret));
    let client_door = Doorkeeper(Arc::from(client_access.secret));
    use tonic::service::interceptor::InterceptedService;
    tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .add_service(InterceptedService::new(
            files,
            BothDoors { worker: worker_door.clone(), client: client_door.clone() },
        ))
        .add_service(InterceptedService::new(workers, worker_door))
        .add_service(InterceptedService::new(runs, client_door.clone()))
        .add_service(InterceptedService::new(reflection, client_door))
        // Whether the process serves is no secret, and probes have none.
        .add_service(health_service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async {
            let _ = stops.await;
        })
        .await
}
