//! The `main` of a worker binary of the user's own.
//!
//! It has the commands that `tumble` needs of it: `worker` joins a coordinator, `describe` says what it offers, `evaluate` is
//! how `tumble verify` and `tumble replay` have single trials evaluated again.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tumble_pipelines::Pipeline;
use tumble_proto::{describe, frames, v1};

use crate::offer::Offer;
use crate::process::{self, ServeError, WorkerArgs};
use crate::{offline, program};

/// A worker of Tumble with pipelines of its own.
///
/// `tumble run FILE --worker THIS` runs a run file with it on this machine; `worker` lets it join a coordinator.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Command,

    /// What is logged to stderr: error, warn, info, debug, or a filter such as `tumble_worker=debug`.
    #[arg(long, global = true, default_value = "warn", env = "TUMBLE_LOG")]
    log: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a coordinator until told to stop, as `tumble worker` does.
    Worker(WorkerArgs),
    /// List the pipelines that this worker offers; `tumble pipelines NAME --worker THIS` tells more of one.
    Describe {
        /// As one message of the protocol, for `tumble`.
        #[arg(long, hide = true)]
        wire: bool,
    },
    /// Evaluate what is asked for on standard input, for `tumble verify`.
    #[command(hide = true)]
    Evaluate {
        /// The folder that relative programs mean.
        #[arg(long, default_value = ".")]
        here: PathBuf,
    },
    /// Kill what a worker left running and remove its scratch folder, once standard input closes.
    #[command(hide = true)]
    Reap {
        /// What marks the worker's programs.
        token: String,
        /// Its scratch folder.
        scratch: PathBuf,
    },
}

/// The whole `main` of a worker binary that offers these pipelines beside those that come with Tumble.
///
/// ```no_run
/// # fn my_pipeline() -> Box<dyn tumble_worker::Pipeline> { unimplemented!() }
/// fn main() -> std::process::ExitCode {
///     tumble_worker::main(vec![my_pipeline()])
/// }
/// ```
pub fn main(own: Vec<Box<dyn Pipeline>>) -> ExitCode {
    run(Offer::beside(own))
}

/// The same of a worker that offers these pipelines and nothing else.
pub fn main_alone(own: Vec<Box<dyn Pipeline>>) -> ExitCode {
    run(Offer::alone(own))
}

fn run(offer: Offer) -> ExitCode {
    let args = Args::parse();
    process::start_logging(&args.log);
    let ended = match args.command {
        Command::Worker(args) => serve(args, offer),
        Command::Describe { wire } => said(&offer).and_then(|said| shown(&said, wire)),
        Command::Evaluate { here } => process::surroundings(&here, None).and_then(|surroundings| {
            let pipelines = offer.among(crate::pipelines(&surroundings))?;
            let (asked, answers) = (std::io::stdin().lock(), std::io::stdout().lock());
            offline::answer(pipelines, asked, answers).map_err(ServeError::System)
        }),
        Command::Reap { token, scratch } => {
            program::reap(&token, &scratch);
            Ok(())
        }
    };
    if let Err(error) = &ended {
        eprintln!("error: {error}");
    }
    process::exit_code(&ended)
}

fn serve(args: WorkerArgs, offer: Offer) -> Result<(), ServeError> {
    process::wait_for(process::serve(args, offer, |note| eprintln!("{note}"))).map_err(ServeError::System)?
}

/// What the binary says of itself.
fn said(offer: &Offer) -> Result<v1::PipelinesResponse, ServeError> {
    // What it describes does not depend on where it stands.
    let pipelines = offer.among(crate::pipelines(&process::surroundings(".".as_ref(), None)?))?;
    Ok(v1::PipelinesResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pipelines: pipelines.iter().map(|pipeline| describe::to_wire(pipeline.description())).collect(),
    })
}

fn shown(said: &v1::PipelinesResponse, wire: bool) -> Result<(), ServeError> {
    let mut out = std::io::stdout().lock();
    if wire {
        return frames::write(said, &mut out).map_err(ServeError::System);
    }
    let width = said.pipelines.iter().map(|pipeline| pipeline.name.len()).max().unwrap_or(0);
    for pipeline in &said.pipelines {
        // A reader that has gone (`| head`) is no error of ours.
        let _ = writeln!(out, "{:width$}  {}", pipeline.name, pipeline.summary);
    }
    Ok(())
}
