//! `tumble coordinator` and `tumble worker`: the long-lived processes.

use serde_json::json;
use tokio::io::AsyncReadExt;
use tumble_coordinator::journal::JournalError;
use tumble_coordinator::{Config, Folders, OwnerSettings, ServeError, Server};
use tumble_proto::access::Access;
use tumble_worker::{Ended, WorkerError};

use crate::args::{CoordinatorArgs, WorkerArgs};
use crate::exit::{Exit, Failure};
use crate::local::cores;
use crate::memory;
use crate::output::Output;
use crate::runfile;
use crate::signals::{stop_requests, stopped};

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
    let asked = stop_requests();
    let access = Access::read(&args.access).map_err(Failure::unreachable)?;
    let slots = args.slots.unwrap_or_else(cores) as usize;
    // What a slot evolves by itself takes threads of the other slots while they are idle, and no core beyond.
    tumble_search::set_threads(slots);
    output.note(format!("serving {} with {slots} slots", access.address));
    let leave = async {
        tokio::select! {
            () = stopped(asked) => {}
            () = leash_lets_go(), if args.leash => {}
        }
    };
    let config = tumble_worker::Config {
        access,
        slots,
        memory_bytes_max: memory::limit(args.memory),
        surroundings: runfile::surroundings(&args.here, args.keep_failed)?,
        patience: args.patience,
    };
    match tumble_worker::run(config, leave).await {
        Ok(Ended::Left | Ended::LeftInHaste) => Ok(Exit::Complete),
        Err(error @ WorkerError::Address(_)) => Err(Failure::usage(error)),
        Err(error) => Err(Failure::unreachable(error)),
    }
}

/// Resolves when standard input closes.
async fn leash_lets_go() {
    let mut byte = [0];
    while matches!(tokio::io::stdin().read(&mut byte).await, Ok(n) if n > 0) {}
}
