//! A client's connection to a coordinator.

use std::path::Path;
use std::time::{Duration, Instant};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tumble_domain::Outcomes;
use tumble_proto::access::{Access, SECRET_METADATA};
use tumble_proto::v1::blobs_client::BlobsClient;
use tumble_proto::v1::runs_client::RunsClient;
use tumble_proto::{CHUNK_BYTES, outcomes, v1};

use crate::exit::{Exit, Failure};

pub(crate) type Client = RunsClient<InterceptedService<Channel, ShowSecret>>;

/// Shows the secret with every request.
#[derive(Clone)]
pub(crate) struct ShowSecret(MetadataValue<Ascii>);

impl Interceptor for ShowSecret {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(SECRET_METADATA, self.0.clone());
        Ok(request)
    }
}

/// Connects with an access file.
pub(crate) async fn connect(access: &Path) -> Result<Client, Failure> {
    connect_to(&read_access(access)?).await
}

pub(crate) fn read_access(access: &Path) -> Result<Access, Failure> {
    Access::read(access).map_err(|error| {
        Failure::unreachable(format!(
            "{error}; `tumble coordinator` writes it into its state folder (--access names another)"
        ))
    })
}

pub(crate) async fn connect_to(access: &Access) -> Result<Client, Failure> {
    let (channel, secret) = open(access).await?;
    Ok(RunsClient::with_interceptor(channel, secret))
}

/// A connection for files that travel with runs.
pub(crate) async fn blobs(access: &Access) -> Result<BlobsClient<InterceptedService<Channel, ShowSecret>>, Failure> {
    let (channel, secret) = open(access).await?;
    Ok(BlobsClient::with_interceptor(channel, secret))
}

async fn open(access: &Access) -> Result<(Channel, ShowSecret), Failure> {
    let unreachable = |reason: &dyn std::fmt::Display| {
        Failure::unreachable(format!(
            "no coordinator answers at {}: {reason}; is `tumble coordinator` running?",
            access.address
        ))
    };
    let endpoint = Endpoint::from_shared(access.address.clone()).map_err(|error| unreachable(&error))?;
    let channel =
        endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true).connect().await.map_err(|error| {
            unreachable(&std::error::Error::source(&error).map_or(error.to_string(), |e| e.to_string()))
        })?;
    let secret = MetadataValue::try_from(&access.secret)
        .map_err(|_| Failure::unreachable("the secret in the access file is malformed"))?;
    Ok((channel, ShowSecret(secret)))
}

/// What a refusal means for the exit code.
pub(crate) fn refused(status: Status) -> Failure {
    let exit = match status.code() {
        Code::NotFound | Code::FailedPrecondition | Code::InvalidArgument => Exit::Usage,
        Code::Unavailable | Code::Unauthenticated | Code::DeadlineExceeded | Code::ResourceExhausted => {
            Exit::Unreachable
        }
        _ => Exit::Internal,
    };
    Failure { exit, message: status.message().to_owned() }
}

/// A run whose end is known, and how to exit for it.
pub(crate) fn exit_of(view: &v1::RunView) -> Exit {
    match view.state() {
        v1::RunState::Finished if view.disagreements > 0 => Exit::Disagreed,
        v1::RunState::Finished if view.trials_failed > 0 => Exit::TrialsFailed,
        v1::RunState::Finished => Exit::Complete,
        v1::RunState::Failed => Exit::TrialsFailed,
        _ => Exit::Stopped,
    }
}

/// Whether nothing more will happen to the run by itself.
pub(crate) fn is_over(view: &v1::RunView) -> bool {
    use v1::RunState::{Cancelled, Failed, Finished, Suspended};
    matches!(view.state(), Finished | Cancelled | Suspended | Failed)
}

/// How often a coordinator that does not answer is asked again, and after which pause.
const ATTEMPTS_MAX: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// Gives the candidates of a generation, and waits for their outcomes. A coordinator that restarts is found again, and given
/// the same.
pub(crate) async fn give(client: &mut Client, run: &str, generation: u32, points: &[f64]) -> Result<Outcomes, Failure> {
    let bytes: Vec<u8> = points.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut attempts = 0;
    loop {
        let began = Instant::now();
        let lost = match give_once(client, run, generation, &bytes).await {
            Ok(outcomes) => return Ok(outcomes),
            Err(status) => refused(status),
        };
        // One that was answered for long was no failure to be found.
        attempts = if began.elapsed() > 10 * PAUSE { 1 } else { attempts + 1 };
        if attempts > ATTEMPTS_MAX || lost.exit == Exit::Usage {
            return Err(lost);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn give_once(client: &mut Client, run: &str, generation: u32, bytes: &[u8]) -> Result<Outcomes, Status> {
    let mut pieces: Vec<v1::GivenPiece> = bytes
        .chunks(CHUNK_BYTES)
        .map(|piece| v1::GivenPiece { points: piece.to_vec(), ..v1::GivenPiece::default() })
        .collect();
    if let Some(first) = pieces.first_mut() {
        (first.run, first.generation, first.length) = (run.to_owned(), generation, bytes.len() as u64);
    }
    let mut answer = client.give(tokio_stream::iter(pieces)).await?.into_inner();
    let (mut packed, mut length) = (Vec::new(), 0);
    while let Some(piece) = answer.message().await? {
        length = piece.length;
        packed.extend(piece.outcomes);
    }
    if packed.is_empty() || packed.len() as u64 != length {
        return Err(Status::unavailable("the answer was cut"));
    }
    outcomes::unpack(&packed).map_err(|error| Status::internal(error.to_string()))
}

/// Says that no more candidates are given. A coordinator that restarts is found again.
pub(crate) async fn finish(client: &mut Client, run: &str) -> Result<v1::RunView, Failure> {
    let mut attempts = 0;
    loop {
        let lost = match client.finish(v1::RunRequest { run: run.to_owned() }).await {
            Ok(view) => return Ok(view.into_inner()),
            Err(status) => refused(status),
        };
        attempts += 1;
        if attempts > ATTEMPTS_MAX || lost.exit == Exit::Usage {
            return Err(lost);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
