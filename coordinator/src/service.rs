//! The gRPC services: sessions of workers, questions of clients. Messages from outside are checked here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use subtle::ConstantTimeEq;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{UnboundedReceiverStream, WatchStream};
use tokio_stream::{Stream, StreamExt};
use tonic::service::Interceptor;
use tonic::{Request, Response, Status, Streaming};
use tumble_core::{Event, Hello, LeaseId, Refusal, Report, RunId, Submission, WorkerId};
use tumble_domain::TrialRange;
use tumble_proto::access::SECRET_METADATA;
use tumble_proto::{WireError, describe, outcomes, v1};

use crate::driver::{Answer, Input, prepare_folder};
use crate::folder::Folders;
use crate::wire;

/// Lets in who knows the secret. The comparison takes the same time wherever a guess goes wrong.
#[derive(Clone)]
pub(crate) struct Doorkeeper(pub(crate) Arc<str>);

impl Interceptor for Doorkeeper {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let shown = request.metadata().get(SECRET_METADATA).map(|value| value.as_bytes()).unwrap_or_default();
        if bool::from(shown.ct_eq(self.0.as_bytes())) {
            Ok(request)
        } else {
            Err(Status::unauthenticated(
                "this coordinator does not know you: the access file is missing or of another one",
            ))
        }
    }
}

fn malformed(error: WireError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn gone<T>(_: T) -> Status {
    Status::unavailable("the coordinator is stopping")
}

// Workers -------------------------------------------------------------------------------------------------------------

pub(crate) struct WorkersService {
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) next_worker: AtomicU64,
}

type ToWorkerStream = Pin<Box<dyn Stream<Item = Result<v1::ToWorker, Status>> + Send>>;

#[tonic::async_trait]
impl v1::workers_server::Workers for WorkersService {
    type SessionStream = ToWorkerStream;

    async fn session(&self, request: Request<Streaming<v1::FromWorker>>) -> Result<Response<ToWorkerStream>, Status> {
        let mut stream = request.into_inner();
        let worker = WorkerId(self.next_worker.fetch_add(1, Ordering::Relaxed));
        let inputs = self.inputs.clone();
        let (outbox, messages) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            if let Err(status) = session(worker, &mut stream, &inputs, outbox).await {
                tracing::warn!(worker = worker.0, "a worker's session ended: {}", status.message());
            }
            let _ = inputs.send(Input::Event(Event::WorkerLeft { worker })).await;
        });
        let messages = UnboundedReceiverStream::new(messages);
        Ok(Response::new(Box::pin(messages.map(Ok))))
    }
}

async fn session(
    worker: WorkerId,
    stream: &mut Streaming<v1::FromWorker>,
    inputs: &mpsc::Sender<Input>,
    outbox: mpsc::UnboundedSender<v1::ToWorker>,
) -> Result<(), Status> {
    use v1::from_worker::Kind;
    let Some(Kind::Hello(hello)) = stream.message().await?.and_then(|m| m.kind) else {
        return Err(malformed(WireError::Missing("hello")));
    };
    let hello = read_hello(hello)?;
    inputs.send(Input::Joined { worker, hello, outbox }).await.map_err(gone)?;
    loop {
        let Some(message) = stream.message().await? else { return Ok(()) };
        let bytes = wire::received(&message);
        let event = match message.kind.ok_or_else(|| malformed(WireError::Missing("kind")))? {
            Kind::Hello(_) => return Err(malformed(WireError::Malformed("hello"))),
            Kind::Heartbeat(_) => Event::Heartbeat { worker },
            Kind::Leaving(_) => Event::Leaving { worker },
            Kind::CannotRun(cannot) => {
                Event::CannotRun { worker, run: RunId(cannot.run.into()), reason: cannot.reason }
            }
            Kind::Drifted(drifted) => {
                Event::Drifted { worker, run: RunId(drifted.run.into()), generation: drifted.generation }
            }
            Kind::Report(report) => Event::Reported { worker, report: read_report(report, bytes)? },
        };
        inputs.send(Input::Event(event)).await.map_err(gone)?;
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
    Ok(Hello { host: hello.host, process: hello.process, slots: hello.slots, pipelines })
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
}

impl RunsService {
    /// Asks the driver and waits for its answer.
    async fn ask<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, Status> {
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
        Refusal::Ended(_) => Status::failed_precondition(message),
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
        let run = request.into_inner().run;
        let watching = self.ask(|reply| Input::Watch { run, reply }).await?.map_err(refused)?;
        let mut over = false;
        // A slow reader skips what has changed in between: the channel holds one view.
        let views = WatchStream::new(watching).take_while(move |view| {
            let go_on = !over;
            over = view.state.is_over();
            go_on
        });
        Ok(Response::new(Box::pin(views.map(|view| Ok(wire::view(&view))))))
    }

    async fn cancel(&self, request: Request<v1::RunRequest>) -> Result<Response<v1::RunView>, Status> {
        let run = request.into_inner().run;
        self.ask_view(|reply| Input::Cancel { run, reply }).await
    }

    async fn resume(&self, request: Request<v1::RunRequest>) -> Result<Response<v1::RunView>, Status> {
        let run = request.into_inner().run;
        self.ask_view(|reply| Input::Resume { run, reply }).await
    }
}
