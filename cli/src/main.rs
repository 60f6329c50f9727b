//! `tumble`: arguments in, exit code out.

mod args;
mod client;
mod commands;
mod exit;
mod local;
mod output;
mod plot;
mod progress;
mod result;
mod runfile;
mod signals;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    start_logging(&args);
    let output = output::Output { json: args.output == args::OutputFormat::Json, quiet: args.quiet };
    match commands::dispatch(args, output) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Logs go to stderr: text for people, or JSON for a log collector (`TUMBLE_LOG_FORMAT=json`).
fn start_logging(args: &args::Args) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_new(&args.log).unwrap_or_else(|_| EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match std::env::var("TUMBLE_LOG_FORMAT").as_deref() {
        Ok("json") => builder.json().init(),
        _ => builder.with_target(false).init(),
    }
}
