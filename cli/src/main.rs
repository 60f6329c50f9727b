//! `tumble`: arguments in, exit code out.

mod args;
mod client;
mod commands;
mod exit;
mod local;
mod memory;
mod output;
mod own;
mod plot;
mod points;
mod progress;
mod result;
mod runfile;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return not_understood(&error),
    };
    tumble_worker::process::start_logging(&args.log);
    let output = output::Output { json: args.output == args::OutputFormat::Json, quiet: args.quiet };
    match commands::dispatch(args, output) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.failure(&failure);
            failure.exit.into()
        }
    }
}

/// What the parser of the command line says: help and the version as they are, a mistake as any other failure.
fn not_understood(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    // There are no parsed arguments to ask whether the user wants JSON.
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let json = std::env::var("TUMBLE_OUTPUT").is_ok_and(|format| format == "json")
        || words.iter().any(|word| word == "--output=json")
        || words.windows(2).any(|pair| pair == ["--output", "json"]);
    if json {
        output::failure_value(error.to_string().trim_start_matches("error: ").trim_end(), exit::Exit::Usage);
    }
    exit::Exit::Usage.into()
}
