//! Generators of committed data, whose checksums tests hold, the long forms of the simulation and of the kills, and what is
//! measured or counted for the docs. Each is run by hand.

mod digits;
mod quantile_table;
mod reliability;
mod wire_bytes;

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("quantile-table") => quantile_table::run(),
        Some("digits") => digits::run(std::env::args().nth(2).as_deref()),
        Some("sim") => sim(std::env::args().skip(2).collect()),
        Some("kills") => kills(std::env::args().skip(2).collect()),
        Some("reliability") => reliability::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("wire-bytes") => wire_bytes::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        _ => {
            Err("usage: cargo xtask quantile-table | digits DIR | sim [--seeds N] | kills [--signals N] [--seed S] | \
                  reliability [--signals N] [--stories N] [--only TEST] [--tally FILE] | \
                  wire-bytes [DIMENSION …]"
                .into())
        }
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

/// Sends more signals over one run than a test run does, to a sweep and to an evolution.
fn kills(arguments: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    let usage = "usage: cargo xtask kills [--signals N] [--seed S]";
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "-p", "tumble-cli", "--test", "system", "kills::", "--", "--nocapture"]);
    cargo.env("TUMBLE_KILLS_SIGNALS", "1000");
    for pair in arguments.chunks(2) {
        let name = match pair {
            [flag, number] if number.parse::<u64>().is_err() => return Err(format!("{flag}: {usage}").into()),
            [flag, _] if flag == "--signals" => "TUMBLE_KILLS_SIGNALS",
            [flag, _] if flag == "--seed" => "TUMBLE_KILLS_SEED",
            _ => return Err(usage.into()),
        };
        cargo.env(name, &pair[1]);
    }
    match cargo.status()?.success() {
        true => Ok(()),
        false => Err("a run that was killed and a calm one differ".into()),
    }
}
