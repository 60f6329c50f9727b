//! A file for each group of commands.

mod bench;
mod check;
pub(crate) mod clients;
mod describe;
mod extend;
mod pool;
mod processes;
mod run;
mod verify;

use std::future::Future;

use clap::CommandFactory;

use crate::args::{Args, Command};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::own::Known;
use crate::result;

pub(crate) fn dispatch(args: Args, output: Output) -> Result<Exit, Failure> {
    match args.command {
        Command::Run(args) => wait_for(run::run(args, output)),
        Command::Pool(args) => wait_for(pool::pool(args, output)),
        Command::Check(args) => wait_for(check::check(args, output)),
        Command::Pipelines(args) => describe::pipelines(&args, output),
        Command::Strategies(args) => describe::strategies(args.name.as_deref(), output),
        Command::Designs(args) => describe::designs(args.name.as_deref(), output),
        Command::Coordinator(args) => wait_for(processes::coordinator(args, output)),
        Command::Worker(args) => wait_for(processes::worker(args, output)),
        Command::Submit(args) => wait_for(clients::submit(args, output)),
        Command::List(args) => wait_for(clients::list(args, output)),
        Command::Status(args) => wait_for(clients::status(args, output)),
        Command::Watch(args) => wait_for(clients::watch(args, output)),
        Command::Wait(args) => wait_for(clients::wait(args, output)),
        Command::Cancel(args) => wait_for(clients::cancel(args, output)),
        Command::Resume(args) => wait_for(clients::resume(args, output)),
        Command::Extend(args) => wait_for(extend::extend(args, output)),
        Command::Show(args) => {
            let known = Known::of(args.own.worker.as_deref())?;
            result::show(&args.folder, &known, output).map(|_| Exit::Complete)
        }
        Command::Verify(args) => verify::verify(&args, output),
        Command::Replay(args) => verify::replay(&args, output),
        Command::Bench(args) => bench::bench(&args, output),
        Command::Reap { token, scratch } => {
            tumble_worker::program::reap(&token, &scratch);
            Ok(Exit::Complete)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "tumble", &mut std::io::stdout());
            Ok(Exit::Complete)
        }
    }
}

/// Runs one command's future.
fn wait_for(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    tumble_worker::process::wait_for(command).map_err(|error| Failure::internal(format!("failed to start: {error}")))?
}
