//! The doing half of a worker: connects, says hello, runs the slots, and speaks the protocol.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tumble_domain::TrialRange;
use tumble_pipelines::Pipeline;
use tumble_proto::access::{Access, SECRET_METADATA};
use tumble_proto::v1::workers_client::WorkersClient;
use tumble_proto::{MESSAGE_BYTES_MAX, describe, outcomes, v1};

use crate::evaluate::Slot;
use crate::files::{self, Came, Fetcher, Source};
use crate::offer::{Offer, OfferError};
use crate::replica::{Update, Updated};
use crate::worker::{Action, Event, Grant, Job, Lesson, Piece, Rejoined, Say, Worker};

/// What a worker is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the coordinator is.
    pub access: Access,
    /// Shards evaluated at once.
    pub slots: usize,
    /// What a run's strategy may need, in bytes.
    pub memory_bytes_max: u64,
    /// Where the user's own programs run.
    pub surroundings: crate::Surroundings,
    /// Pipelines of a worker binary's own.
    pub offer: Offer,
    /// How long it goes on trying to reach a coordinator that does not answer.
    pub patience: Duration,
}

/// Why a worker ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Left,
    /// It was asked to, and a shard did not end in time; its trials are evaluated elsewhere.
    LeftInHaste,
}

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It has pipelines that it cannot offer.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The access file's address is no address.
    #[error("`{0}` is not an address of a coordinator")]
    Address(String),
    /// Nobody answers there.
    #[error("no coordinator answers at {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// What was said last.
        reason: String,
    },
    /// The coordinator refuses this worker.
    #[error("the coordinator at {address} refuses this worker: {reason}")]
    Refused {
        /// Where.
        address: String,
        /// Its words.
        reason: String,
    },
}

/// How long a leaving worker waits for its slots.
const LEAVE_WITHIN: Duration = Duration::from_millis(4500);
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);

/// Serves a coordinator until `leave` resolves, reconnecting when the connection is lost.
pub async fn run(config: Config, leave: impl Future<Output = ()>) -> Result<Ended, WorkerError> {
    let address = config.access.address.clone();
    let endpoint = Endpoint::from_shared(address.clone())
        .map_err(|_| WorkerError::Address(address.clone()))?
        .connect_timeout(Duration::from_secs(5))
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .tcp_nodelay(true);
    let pipelines = config.offer.among(crate::pipelines(&config.surroundings))?;
    // It may be a while on a slow disk, and nobody waits for it.
    drop(tokio::task::spawn_blocking(files::tidy));
    tokio::pin!(leave);
    let mut hands = Hands::start(&config, &pipelines);
    let mut last_contact = Instant::now();
    let mut back_off = BACK_OFF_MIN;
    loop {
        let session = tokio::select! {
            connected = endpoint.connect() => match connected {
                Ok(channel) => session(&config, &pipelines, &mut hands, channel, &mut leave).await,
                Err(error) => Err(Status::unavailable(chain(&error))),
            },
            () = hands.go_on() => continue,
            // What it holds is evaluated elsewhere: nobody is there to hand it back to.
            () = &mut leave => return Ok(Ended::Left),
        };
        hands.files.stop();
        let said = hands.handle(Event::Disconnected);
        debug_assert!(said.is_empty(), "nobody listens");
        let status = match session {
            Ok(SessionEnd::Left(ended)) => return Ok(ended),
            Ok(SessionEnd::Lost(status)) => {
                (last_contact, back_off) = (Instant::now(), BACK_OFF_MIN);
                status
            }
            Err(status) => status,
        };
        let reason = status.message().to_owned();
        if matches!(status.code(), Code::Unauthenticated | Code::FailedPrecondition | Code::InvalidArgument) {
            return Err(WorkerError::Refused { address, reason });
        }
        if last_contact.elapsed() >= config.patience {
            return Err(WorkerError::Unreachable { address, reason });
        }
        tracing::info!(reason, "no connection to the coordinator; trying again");
        let jitter = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
        let pause = back_off.mul_f64(0.5 + jitter).min(config.patience.saturating_sub(last_contact.elapsed()));
        let pause = tokio::time::sleep(pause);
        tokio::select! {
            () = pause => back_off = (back_off * 2).min(BACK_OFF_MAX),
            () = hands.go_on() => {}
            () = &mut leave => return Ok(Ended::Left),
        }
    }
}

/// The deciding half, its slots, the thread of its replicas and its files: what outlives a session.
struct Hands {
    worker: Worker,
    /// Says which process this is, session after session.
    instance: u64,
    slots: Slots,
    pieces: mpsc::UnboundedReceiver<(usize, Piece)>,
    replicas: std::sync::mpsc::Sender<Update>,
    updates: mpsc::UnboundedReceiver<Updated>,
    /// Last, so that what is laid out goes when everything else is over.
    files: Fetcher,
}

impl Hands {
    fn start(config: &Config, pipelines: &[Arc<dyn Pipeline>]) -> Hands {
        let (evaluated, pieces) = mpsc::unbounded_channel();
        let (updated, updates) = mpsc::unbounded_channel();
        Hands {
            worker: Worker::new(pipelines.to_vec(), config.slots).with_memory(config.memory_bytes_max),
            // Without chance nobody is taken for anybody else.
            instance: getrandom::u64().unwrap_or(0),
            slots: Slots::start(config.slots, evaluated),
            pieces,
            replicas: start_replicas(updated),
            updates,
            files: Fetcher::new(),
        }
    }

    /// What a slot or a replica has done. May be dropped while it waits.
    async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            Some((slot, piece)) = self.pieces.recv() => Event::Evaluated { slot, piece },
            Some(updated) = self.updates.recv() => Event::Updated(updated),
            Came { run, run_toml, files } = self.files.next() => Event::OpenedWithFiles { run, run_toml, files },
        }
    }

    /// Goes on without a session, for ever.
    async fn go_on(&mut self) {
        loop {
            let event = self.next().await;
            let said = self.handle(event);
            debug_assert!(said.is_empty(), "nobody listens");
        }
    }

    /// Has the deciding half take an event, and does what it wants; what is left is to be said.
    fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut said = Vec::new();
        for action in self.worker.handle(event) {
            match action {
                Action::Start { slot, job } => self.slots.give(slot, job),
                Action::Update(update) => self.replicas.send(update).expect("its thread lives as long as this"),
                Action::Say(_) | Action::Quit => said.push(action),
            }
        }
        said
    }
}

enum SessionEnd {
    Left(Ended),
    /// After it had been welcomed.
    Lost(Status),
}

async fn session(
    config: &Config,
    pipelines: &[Arc<dyn Pipeline>],
    hands: &mut Hands,
    channel: Channel,
    leave: &mut (impl Future<Output = ()> + Unpin),
) -> Result<SessionEnd, Status> {
    let (say, said) = mpsc::unbounded_channel();
    let Rejoined { held, again } = hands.worker.rejoin();
    let holds = held.len();
    let hello = v1::Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host_name(),
        process: std::process::id(),
        slots: config.slots as u32,
        pipelines: pipelines.iter().map(|p| describe::to_wire(p.description())).collect(),
        instance: hands.instance,
        held: held.into_iter().map(write_held).collect(),
    };
    let send =
        |kind| say.send(v1::FromWorker { kind: Some(kind) }).map_err(|_| Status::unavailable("the session ended"));
    send(v1::from_worker::Kind::Hello(hello))?;
    again.into_iter().try_for_each(|words| send(write(words)))?;
    let secret = MetadataValue::try_from(&config.access.secret)
        .map_err(|_| Status::unauthenticated("the secret in the access file is malformed"))?;
    let source = Source { channel: channel.clone(), secret: secret.clone() };
    let mut request = Request::new(UnboundedReceiverStream::new(said));
    request.metadata_mut().insert(SECRET_METADATA, secret);
    let mut client = WorkersClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let welcomed = async {
        let mut messages = client.session(request).await?.into_inner();
        let first = messages.message().await?.and_then(|message| message.kind);
        Ok::<_, Status>((messages, first))
    };
    let (mut messages, first) = tokio::select! {
        welcomed = welcomed => welcomed?,
        // A coordinator that stands still may not answer for long.
        () = &mut *leave => return Ok(SessionEnd::Left(Ended::Left)),
    };
    let Some(v1::to_worker::Kind::Welcome(welcome)) = first else {
        return Err(Status::unavailable("the coordinator closed the session"));
    };
    tracing::info!(version = welcome.version, holds, "joined");

    let mut heartbeat = tokio::time::interval(Duration::from_millis(u64::from(welcome.heartbeat_ms.max(100))));
    let mut leave_by: Option<tokio::time::Instant> = None;
    loop {
        let haste = async {
            match leave_by {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            biased;
            event = hands.next() => event,
            message = messages.message() => match message {
                Ok(Some(message)) => match read(message) {
                    Some(Event::Opened { run, run_toml }) => match tumble_runfile::bundle_hash_of(&run_toml) {
                        Some(hash) => {
                            hands.files.fetch(run, run_toml, &hash, source.clone());
                            continue;
                        }
                        None => Event::Opened { run, run_toml },
                    },
                    Some(Event::Closed { run }) => {
                        hands.files.forget(&run);
                        Event::Closed { run }
                    }
                    Some(event) => event,
                    None => continue,
                },
                ended => {
                    if leave_by.is_some() {
                        // Nobody is left to say anything to. What was not said is evaluated elsewhere.
                        return Ok(SessionEnd::Left(Ended::LeftInHaste));
                    }
                    let closed = || Status::unavailable("the coordinator closed the session");
                    return Ok(SessionEnd::Lost(ended.err().unwrap_or_else(closed)));
                }
            },
            _ = heartbeat.tick() => {
                let _ = send(v1::from_worker::Kind::Heartbeat(v1::Heartbeat {}));
                continue;
            }
            () = &mut *leave, if leave_by.is_none() => {
                leave_by = Some(tokio::time::Instant::now() + LEAVE_WITHIN);
                Event::LeaveRequested
            }
            () = haste => return Ok(SessionEnd::Left(Ended::LeftInHaste)),
        };
        for action in hands.handle(event) {
            let Action::Say(words) = action else {
                // Closing our side lets what is said reach the coordinator; it then closes the other.
                drop(say);
                let rest = async { while let Ok(Some(_)) = messages.message().await {} };
                let leave_by = leave_by.expect("only who was asked to leave quits");
                let closed = tokio::time::timeout_at(leave_by, rest).await;
                return Ok(SessionEnd::Left(if closed.is_ok() { Ended::Left } else { Ended::LeftInHaste }));
            };
            let _ = send(write(words));
        }
    }
}

/// Starts the thread that updates replicas: a step in a million dimensions takes seconds, and meanwhile the worker is to
/// say that it lives. It ends when what it is given updates by is dropped.
fn start_replicas(updated: mpsc::UnboundedSender<Updated>) -> std::sync::mpsc::Sender<Update> {
    let (give, updates) = std::sync::mpsc::channel::<Update>();
    std::thread::Builder::new()
        .name("replicas".to_owned())
        .spawn(move || {
            while let Ok(update) = updates.recv() {
                // Nobody listens any more when the process is about to end.
                drop(updated.send(update.carry_out()));
            }
        })
        .expect("the system has a thread left");
    give
}

/// The slots' threads. They end when this is dropped and their job is done.
struct Slots {
    jobs: Vec<std::sync::mpsc::Sender<Job>>,
}

impl Slots {
    fn start(slots: usize, evaluated: mpsc::UnboundedSender<(usize, Piece)>) -> Slots {
        let start = |slot: usize| {
            let (give, jobs) = std::sync::mpsc::channel::<Job>();
            let evaluated = evaluated.clone();
            std::thread::Builder::new()
                .name(format!("slot-{slot}"))
                .spawn(move || {
                    let mut at = Slot::default();
                    while let Ok(job) = jobs.recv() {
                        // Nobody listens any more when the process is about to end.
                        at.evaluate(&job, |piece| drop(evaluated.send((slot, piece))));
                    }
                })
                .expect("the system has a thread left");
            give
        };
        Slots { jobs: (0..slots).map(start).collect() }
    }

    fn give(&self, slot: usize, job: Job) {
        self.jobs[slot].send(job).expect("a slot lives as long as this");
    }
}

pub(crate) fn read(message: v1::ToWorker) -> Option<Event> {
    use v1::to_worker::Kind;
    Some(match message.kind? {
        Kind::Welcome(_) => return None,
        Kind::OpenRun(open) => Event::Opened { run: open.run.into(), run_toml: open.run_toml },
        Kind::Proposal(chunk) => lesson(Lesson::Proposal, chunk),
        Kind::Snapshot(chunk) => lesson(Lesson::Snapshot, chunk),
        Kind::Tell(chunk) => lesson(Lesson::Tell, chunk),
        Kind::Grant(grant) => Event::Granted(Grant {
            lease: grant.lease,
            run: grant.run.into(),
            generation: grant.generation,
            generation_start: grant.generation_first_trial,
            range: TrialRange::new(grant.first_trial, grant.first_trial.saturating_add(grant.trials)),
        }),
        Kind::CloseRun(close) => Event::Closed { run: close.run.into() },
        Kind::Farewell(_) => Event::Farewell,
        Kind::Acknowledged(acknowledged) => Event::Acknowledged { reports: acknowledged.reports },
        Kind::Revoke(revoke) => {
            tracing::info!(leases = revoke.leases.len(), "what was held is in other hands");
            Event::Revoked { leases: revoke.leases }
        }
    })
}

fn lesson(lesson: Lesson, chunk: v1::Chunk) -> Event {
    Event::LessonPiece {
        lesson,
        run: chunk.run.into(),
        generation: chunk.generation,
        hash: chunk.hash,
        length: chunk.length,
        offset: chunk.offset,
        bytes: chunk.bytes.to_vec(),
    }
}

pub(crate) fn write(say: Say) -> v1::from_worker::Kind {
    use v1::from_worker::Kind;
    match say {
        Say::Ready { run } => Kind::Ready(v1::Ready { run: run.to_string() }),
        Say::Leaving => Kind::Leaving(v1::Leaving {}),
        Say::Drifted { run, generation, why } => {
            tracing::warn!(%run, generation, why, "the replica of the strategy has drifted");
            Kind::Drifted(v1::Drifted { run: run.to_string(), generation })
        }
        Say::CannotRun { run, reason } => Kind::CannotRun(v1::CannotRun { run: run.to_string(), reason }),
        Say::Report { lease, run, piece } => {
            let packed = outcomes::pack(&piece.outcomes);
            Kind::Report(v1::Report {
                lease,
                run: run.to_string(),
                first_trial: piece.range.start,
                hash: blake3::hash(&packed).as_bytes()[..16].to_vec(),
                outcomes: packed.into(),
                evaluate_ms: piece.evaluate_ms,
                last: piece.last,
            })
        }
    }
}

fn write_held(grant: Grant) -> v1::Held {
    v1::Held {
        lease: grant.lease,
        run: grant.run.to_string(),
        generation: grant.generation,
        generation_first_trial: grant.generation_start,
        first_trial: grant.range.start,
        trials: grant.range.len(),
    }
}

fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "unknown".to_owned())
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
