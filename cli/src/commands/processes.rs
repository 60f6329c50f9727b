//! `tumble coordinator` and `tumble worker`: the long-lived processes.

use serde_json::json;
use tumble_coordinator::journal::JournalError;
use tumble_coordinator::{Config, Folders, OwnerSettings, ServeError, Server};
use tumble_worker::Offer;
use tumble_worker::process::{self, ServeError as WorkerServeError, WorkerArgs};
use tumble_worker::signals::{stop_requests, stopped};

use crate::args::CoordinatorArgs;
use crate::exit::{Exit, Failure};
use crate::memory;
use crate::output::Output;

/// What a coordinator's error means for the exit code.
pub(crate) fn serve_failure(error: ServeError) -> Failure {
    let usage = matches!(
        error,
        ServeError::NotLoopback(_)
            | ServeError::Held { .. }
            | ServeError::State { .. }
            | ServeError::Listen { .. }
            | ServeError::Journal(JournalError::Held { .. })
    );
    let exit = if error.is_lost() { Exit::Stopped } else { Exit::Internal };
    if usage { Failure::usage(error) } else { Failure { exit, message: error.to_string() } }
}

pub(crate) async fn coordinator(args: CoordinatorArgs, output: Output) -> Result<Exit, Failure> {
    let asked = stop_requests();
    let absolute = |path: &std::path::Path| {
        std::path::absolute(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
    };
    let config = Config {
        listen: args.listen,
        state: absolute(&args.state)?,
        owner: OwnerSettings { lease: args.lease, host: args.host_name, file_locks: !args.no_file_locks },
        folders: Folders::Under(absolute(&args.out)?),
        limits: memory::limits(args.memory),
    };
    let state = config.state.clone();
    let started = tokio::select! {
        started = Server::start(config) => started,
        // It may be waiting for another's lease to run out.
        () = stopped(asked.clone()) => return Ok(Exit::Complete),
    };
    let mut server = started.map_err(serve_failure)?;
    let (worker, client) = (state.join("worker.access"), state.join("client.access"));
    let text = format!(
        "listening on {}\nworkers: tumble worker --access {}\nclients: tumble submit FILE --access {}\n",
        server.address,
        worker.display(),
        client.display()
    );
    output.result(text, || json!({ "address": server.address, "worker_access": worker, "client_access": client }));
    tokio::select! {
        ended = server.ended() => {
            ended.map_err(serve_failure)?;
            return Ok(Exit::Complete);
        }
        () = stopped(asked) => output.note("stopping; everything acknowledged is in the journal"),
    }
    server.stop().await.map_err(serve_failure)?;
    Ok(Exit::Complete)
}

pub(crate) async fn worker(args: WorkerArgs, output: Output) -> Result<Exit, Failure> {
    match process::serve(args, Offer::default(), |text| output.note(text)).await {
        Ok(()) => Ok(Exit::Complete),
        Err(error) => Err(worker_failure(error)),
    }
}

/// What a worker's error means for the exit code.
pub(crate) fn worker_failure(error: WorkerServeError) -> Failure {
    if error.is_usage() { Failure::usage(error) } else { Failure::unreachable(error) }
}
