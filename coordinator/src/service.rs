//! The gRPC services: sessions of workers, questions of clients. Messages from outside are checked here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Interceptor;
use tonic::{Request, Response, Status, Streaming};
use tumble_core::{Event, Held, Hello, LeaseId, Refusal, Report, RunId, Submission, WorkerId};
use tumble_domain::TrialRange;
use tumble_proto::access::SECRET_METADATA;
use tumble_proto::{WireError, describe, outcomes, v1};

use crate::blobs::Blobs;
use crate::bounds::{Anteroom, Patter, Store};
use crate::driver::{Answer, Input, prepare_folder};
use crate::folder::Folders;
use crate::giving::{self, AnswerStream};
use crate::outbox::{Outbox, outbox};
use crate::wire;

/// Whose access file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Worker,
    Client,
}

/// Lets in workers and clients, and notes which it is.
#[derive(Clone)]
pub(crate) struct BothDoors {
    pub(crate) worker: Doorkeeper,
    pub(crate) client: Doorkeeper,
}

impl Interceptor for BothDoors {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let role = if self.client.knows(&request) { Role::Client } else { Role::Worker };
        let mut request = match role {
            Role::Client => request,
            Role::Worker => self.worker.call(request)?,
        };
        request.extensions_mut().insert(role);
        Ok(request)
    }
}

/// Lets in who knows the secret. The comparison takes the same time wherever a guess goes wrong.
#[derive(Clone)]
pub(crate) struct Doorkeeper(pub(crate) Arc<str>);

impl Doorkeeper {
    fn knows(&self, request: &Request<()>) -> bool {
        let shown = request.metadata().get(SECRET_METADATA).map(|value| value.as_bytes()).unwrap_or_default();
        bool::from(shown.ct_eq(self.0.as_bytes()))
    }
}

impl Interceptor for Doorkeeper {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if self.knows(&request) {
            Ok(request)
        } else {
            Err(Status::unauthenticated(
                "this coordinator does not know you: the access file is missing or of another one",
            ))
        }
    }
}

pub(crate) fn malformed(error: WireError) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Takes one of a bounded number, or says that there are too many.
pub(crate) fn admitted(among: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, Status> {
    let full = |_| Status::resource_exhausted(format!("the coordinator has too many {what} already; try again later"));
    among.clone().try_acquire_owned().map_err(full)
}

pub(crate) fn gone<T>(_: T) -> Status {
    Status::unavailable("the coordinator is stopping")
}

// Workers -------------------------------------------------------------------------------------------------------------

pub(crate) struct WorkersService {
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) next_worker: AtomicU64,
    /// Who may have a session.
    pub(crate) sessions: Arc<Semaphore>,
    /// What may wait for the driver, in KiB.
    pub(crate) unhandled: Arc<Semaphore>,
}

type ToWorkerStream = Pin<Box<dyn Stream<Item = Result<v1::ToWorker, Status>> + Send>>;

#[tonic::async_trait]
impl v1::workers_server::Workers for WorkersService {
    type SessionStream = ToWorkerStream;

    async fn session(&self, request: Request<Streaming<v1::FromWorker>>) -> Result<Response<ToWorkerStream>, Status> {
        let permit = admitted(&self.sessions, "sessions")?;
        let mut stream = request.into_inner();
        let worker = WorkerId(self.next_worker.fetch_add(1, Ordering::Relaxed));
        let (inputs, anteroom) = (self.inputs.clone(), Anteroom::new(self.unhandled.clone()));
        let (messages, unread, mut over) = outbox();
        let close = unread.closer();
        tokio::spawn(async move {
            let mut messages = Some(messages);
            // A session that is over is not read to its end: it may have none.
            let ended = tokio::select! {
                ended = session(worker, &mut stream, &inputs, &anteroom, &mut messages) => ended,
                _ = over.wait_for(|over| *over) => Ok(()),
            };
            if let Err(status) = ended {
                tracing::warn!(worker = worker.0, "a worker's session ended: {}", status.message());
                close(status);
            }
            let _ = inputs.send(Input::Event(Event::WorkerLeft { worker })).await;
        });
        let messages = unread.map(move |message| {
            let _as_long_as_it_lasts = &permit;
            message
        });
        Ok(Response::new(Box::pin(messages)))
    }
}

async fn session(
    worker: WorkerId,
    stream: &mut Streaming<v1::FromWorker>,
    inputs: &mpsc::Sender<Input>,
    anteroom: &Anteroom,
    outbox: &mut Option<Outbox>,
) -> Result<(), Status> {
    use v1::from_worker::Kind;
    let Some(Kind::Hello(hello)) = stream.message().await?.and_then(|m| m.kind) else {
        return Err(malformed(WireError::Missing("hello")));
    };
    let hello = read_hello(hello)?;
    let outbox = outbox.take().expect("nobody has joined before");
    inputs.send(Input::Joined { worker, hello, outbox }).await.map_err(gone)?;
    let mut patter = Patter::new();
    loop {
        let Some(message) = stream.message().await? else { return Ok(()) };
        let bytes = wire::received(&message);
        if !matches!(message.kind, Some(Kind::Report(_))) {
            let now = Instant::now();
            if !patter.bears_one_more(now) {
                return Err(Status::resource_exhausted("the worker floods: far more messages than it has to say"));
            }
            if matches!(message.kind, Some(Kind::Heartbeat(_))) && !patter.is_news(now) {
                continue;
            }
        }
        let event = match message.kind.ok_or_else(|| malformed(WireError::Missing("kind")))? {
            Kind::Hello(_) => return Err(malformed(WireError::Malformed("hello"))),
            Kind::Heartbeat(_) => Event::Heartbeat { worker },
            Kind::Leaving(_) => Event::Leaving { worker },
            Kind::CannotRun(cannot) => {
                Event::CannotRun { worker, run: RunId(cannot.run.into()), reason: cannot.reason }
            }
            Kind::Ready(ready) => Event::Ready { worker, run: RunId(ready.run.into()) },
            Kind::Drifted(drifted) => {
                Event::Drifted { worker, run: RunId(drifted.run.into()), generation: drifted.generation }
            }
            Kind::Report(report) => Event::Reported { worker, report: read_report(report, bytes)? },
        };
        let room = anteroom.enter(bytes).await;
        inputs.send(Input::FromWorker { event, room }).await.map_err(gone)?;
    }
}

/// The most slots that one worker may offer.
const SLOTS_MAX: u32 = 4096;

fn read_hello(hello: v1::Hello) -> Result<Hello, Status> {
    let ours = env!("CARGO_PKG_VERSION");
    if hello.version != ours {
        return Err(Status::failed_precondition(format!(
            "the worker has version {} and the coordinator {ours}; results are the same bytes only within one version",
            hello.version
        )));
    }
    if hello.slots == 0 || hello.slots > SLOTS_MAX {
        return Err(malformed(WireError::Malformed("slots")));
    }
    let pipelines =
        hello.pipelines.into_iter().map(describe::from_wire).collect::<Result<_, _>>().map_err(malformed)?;
    let held = hello.held.into_iter().map(read_held).collect::<Result<_, _>>()?;
    let v1::Hello { host, process, slots, instance, .. } = hello;
    Ok(Hello { host, process, slots, pipelines, instance, held })
}

fn read_held(held: v1::Held) -> Result<Held, Status> {
    let end = held.first_trial.checked_add(held.trials);
    let end = end.ok_or_else(|| malformed(WireError::Malformed("held")))?;
    Ok(Held {
        lease: LeaseId(held.lease),
        run: RunId(held.run.into()),
        generation: held.generation,
        generation_start: held.generation_first_trial,
        range: TrialRange::new(held.first_trial, end),
    })
}

fn read_report(report: v1::Report, bytes: u64) -> Result<Report, Status> {
    if report.hash != blake3::hash(&report.outcomes).as_bytes()[..16] {
        return Err(malformed(WireError::Malformed("hash")));
    }
    let columns = outcomes::unpack(&report.outcomes).map_err(malformed)?;
    let end = report.first_trial.checked_add(u64::from(columns.trials));
    let end = end.ok_or_else(|| malformed(WireError::Malformed("first_trial")))?;
    if !(report.evaluate_ms.is_finite() && report.evaluate_ms >= 0.0) {
        return Err(malformed(WireError::Malformed("evaluate_ms")));
    }
    Ok(Report {
        lease: LeaseId(report.lease),
        run: RunId(report.run.into()),
        range: TrialRange::new(report.first_trial, end),
        outcomes: Arc::new(columns),
        evaluate_ms: report.evaluate_ms,
        last: report.last,
        bytes,
    })
}

// Clients -------------------------------------------------------------------------------------------------------------

pub(crate) struct RunsService {
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) folders: Folders,
    pub(crate) blobs: Arc<Blobs>,
    /// Who may be waiting for an answer.
    pub(crate) requests: Arc<Semaphore>,
    /// Who may follow a run.
    pub(crate) watches: Arc<Semaphore>,
    /// What clients have given.
    pub(crate) given: Store,
}

impl RunsService {
    /// Asks the driver and waits for its answer.
    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, Status> {
        let _one_of_them = admitted(&self.requests, "requests")?;
        let (reply, answer) = oneshot::channel();
        self.inputs.send(input(reply)).await.map_err(gone)?;
        answer.await.map_err(gone)
    }

    async fn ask_view(
        &self,
        input: impl FnOnce(oneshot::Sender<Answer>) -> Input,
    ) -> Result<Response<v1::RunView>, Status> {
        let view = self.ask(input).await?.map_err(refused)?;
        Ok(Response::new(wire::view(&view)))
    }
}

fn refused(refusal: Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::UnknownRun(_) => Status::not_found(message),
        Refusal::Ended(_) | Refusal::Given(_) => Status::failed_precondition(message),
        Refusal::TooManyRuns(_) | Refusal::TooLarge(_) => Status::resource_exhausted(message),
    }
}

type ViewStream = Pin<Box<dyn Stream<Item = Result<v1::RunView, Status>> + Send>>;

#[tonic::async_trait]
impl v1::runs_server::Runs for RunsService {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::RunView>, Status> {
        let request = request.into_inner();
        let pipeline = request.pipeline.ok_or_else(|| malformed(WireError::Missing("pipeline")))?;
        let pipeline = describe::from_wire(pipeline).map_err(malformed)?;
        if request.key.is_empty() {
            return Err(malformed(WireError::Missing("key")));
        }
        let understood =
            tumble_runfile::parse(&request.run_toml, "the submitted run file", &[], std::slice::from_ref(&pipeline))
                .map_err(|problems| Status::invalid_argument(problems.to_string()))?;
        let bundle = match &understood.spec.bundle {
            Some(bundle) => {
                let (blobs, hash) = (self.blobs.clone(), bundle.hash.clone());
                Some(spawn_blocking(move || blobs.whole(&hash)).await.map_err(gone)??)
            }
            None => None,
        };
        let run = self.folders.new_id(&understood.spec.name);
        let submission = Submission {
            key: request.key,
            // What is recorded is canonical whatever the client sent, so the tables' bytes do not depend on the client.
            run_toml: tumble_runfile::canonical(&understood.spec, &understood.inner).into(),
            spec: Arc::new(understood.spec),
            // As it was understood here: of the user's own code the run file says more than a client may have sent.
            pipeline: Arc::new(understood.inner),
            folder: self.folders.of(&run),
            run,
        };
        if let Some(bundle) = bundle {
            // Before its run file: a folder that has that can be gone on with.
            let (blobs, folder) = (self.blobs.clone(), submission.folder.clone());
            spawn_blocking(move || blobs.keep_in(&folder, &bundle)).await.map_err(gone)??;
        }
        prepare_folder(&submission).map_err(|error| {
            Status::internal(format!("failed to make the folder {}: {error}", submission.folder.display()))
        })?;
        let folder = submission.folder.clone();
        let answer = self.ask(|reply| Input::Submit { submission: Box::new(submission), reply }).await?;
        // A folder of our own making that no run uses is removed again, whether the key was known or the run is refused.
        let used = answer.as_ref().is_ok_and(|view| view.folder == folder);
        if !used && matches!(self.folders, Folders::Under(_)) {
            // One that was named to us is never removed, for it may hold a run.
            let _ = std::fs::remove_dir_all(&folder);
        }
        let view = answer.map_err(refused)?;
        Ok(Response::new(wire::view(&view)))
    }

    async fn get(&self, request: Request<v1::RunRequest>) -> Result<Response<v1::RunView>, Status> {
        let run = request.into_inner().run;
        let watching = self.ask(|reply| Input::Watch { run, reply }).await?.map_err(refused)?;
        let view = wire::view(&watching.borrow());
        Ok(Response::new(view))
    }

    async fn list(&self, _: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let listing = self.ask(|reply| Input::List { reply }).await?;
        Ok(Response::new(v1::ListResponse {
            runs: listing.runs.iter().map(wire::view).collect(),
            workers: listing.workers,
            slots: listing.slots,
        }))
    }

    type WatchStream = ViewStream;

    async fn watch(&self, request: Request<v1::RunRequest>) -> Result<Response<ViewStream>, Status> {
        let permit = admitted(&self.watches, "clients that follow runs")?;
        let run = request.into_inner().run;
        let watching = self.ask(|reply| Input::Watch { run, reply }).await?.map_err(refused)?;
        let mut over = false;
        // A slow reader skips what has changed in between: the channel holds one view.
        let views = WatchStream::new(watching).take_while(move |view| {
            let go_on = !over;
            over = view.state.is_over();
            go_on
        });
        let views = views.map(move |view| {
            let _as_long_as_it_lasts = &permit;
            Ok(wire::view(&view))
        });
        Ok(Response::new(Box::pin(views)))
    }

    async fn cancel(&self, request: Request<v1::RunRequest>) -> Result<Response<v1::RunView>, Status> {
        let run = request.into_inner().run;
        self.ask_view(|reply| Input::Cancel { run, reply }).await
    }

    async fn pipelines(&self, _: Request<v1::PipelinesRequest>) -> Result<Response<v1::PipelinesResponse>, Status> {
        let announced = self.ask(|reply| Input::Pipelines { reply }).await?;
        Ok(Response::new(v1::PipelinesResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pipelines: announced.iter().map(describe::to_wire).collect(),
        }))
    }

    async fn resume(&self, request: Request<v1::RunRequest>) -> Result<Response<v1::RunView>, Status> {
        let run = request.into_inner().run;
        self.ask_view(|reply| Input::Resume { run, reply }).await
    }

    type GiveStream = AnswerStream;

    async fn give(&self, request: Request<Streaming<v1::GivenPiece>>) -> Result<Response<AnswerStream>, Status> {
        let _one_of_them = admitted(&self.watches, "clients that wait for answers")?;
        let given = giving::read(&mut request.into_inner(), &self.given).await?;
        let (generation, points) = (given.generation, given.points.clone());
        let run = given.run.clone();
        let view = self.ask(|reply| Input::Give { run, generation, points, reply }).await?.map_err(refused)?;
        // By its id from here on: `last` and a name may come to mean another run meanwhile.
        let run = view.run;
        let watch = run.to_string();
        let mut watching = self.ask(|reply| Input::Watch { run: watch, reply }).await?.map_err(refused)?;
        loop {
            let is_time = giving::may_be_answered(&watching.borrow_and_update(), generation);
            if is_time {
                let (run, points) = (run.clone(), given.points.clone());
                let answer = self.ask(|reply| Input::Answered { run, generation, points, reply }).await?;
                if let Some(outcomes) = answer.map_err(refused)? {
                    return Ok(Response::new(giving::answer(&outcomes)));
                }
            }
            watching.changed().await.map_err(gone)?;
        }
    }

    async fn finish(&self, request: Request<v1::RunRequest>) -> Result<Response<v1::RunView>, Status> {
        let run = request.into_inner().run;
        self.ask_view(|reply| Input::Finish { run, reply }).await
    }
}
