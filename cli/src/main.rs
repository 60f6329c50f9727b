//! `tumble`: arguments in, exit code out.

mod args;
mod bundle;
mod client;
mod commands;
mod config;
mod exit;
mod given;
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

use clap::{CommandFactory, FromArgMatches};

fn main() -> ExitCode {
    let command = match config::laid_under(args::Args::command()) {
        Ok(command) => command,
        Err(problem) => {
            eprintln!("error: {problem}");
            if wants_json() {
                output::failure_value(&problem, exit::Exit::Usage);
            }
            return exit::Exit::Usage.into();
        }
    };
    let args = match command.try_get_matches().and_then(|matches| args::Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(error) => return not_understood(&error),
    };
    tumble_worker::process::start_logging(&args.log);
    let output = output::Output {
        json: args.output == args::OutputFormat::Json,
        quiet: args.quiet,
        notices: args.progress == args::ProgressFormat::Json,
        aside: matches!(args.command, args::Command::Pool(_)),
    };
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
    if wants_json() {
        output::failure_value(error.to_string().trim_start_matches("error: ").trim_end(), exit::Exit::Usage);
    }
    exit::Exit::Usage.into()
}

/// Whether the user wants JSON, where there are no parsed arguments to ask.
fn wants_json() -> bool {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    std::env::var("TUMBLE_OUTPUT").is_ok_and(|format| format == "json")
        || words.iter().any(|word| word == "--output=json")
        || words.windows(2).any(|pair| pair == ["--output", "json"])
}
