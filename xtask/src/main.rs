//! Generators of committed data, whose checksums tests hold, the long form of the simulation, and what is measured for the
//! docs. Each is run by hand.

mod digits;
mod quantile_table;
mod recovery;
mod wire_bytes;

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("quantile-table") => quantile_table::run(),
        Some("digits") => digits::run(std::env::args().nth(2).as_deref()),
        Some("sim") => sim(std::env::args().skip(2).collect()),
        Some("recovery") => recovery::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("wire-bytes") => wire_bytes::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        _ => Err("usage: cargo xtask quantile-table | digits DIR | sim [--seeds N] | wire-bytes [DIMENSION …] | \
                  recovery [--trials N] [--binary PATH]"
            .into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells more stories of `tests/sim` than a test run does.
fn sim(arguments: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    let seeds = match &arguments[..] {
        [] => "100000",
        [flag, seeds] if flag == "--seeds" && seeds.parse::<u64>().is_ok() => seeds.as_str(),
        _ => return Err("usage: cargo xtask sim [--seeds N]".into()),
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "-p", "tumble-tests", "--test", "sim", "whatever_happens"]).env("TUMBLE_SIM_SEEDS", seeds);
    match cargo.status()?.success() {
        true => Ok(()),
        false => Err("some stories went wrong".into()),
    }
}
