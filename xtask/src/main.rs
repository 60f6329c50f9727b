//! Generators of committed data. Each is run by hand; tests hold the checksums of what they wrote.

mod digits;
mod quantile_table;

use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("quantile-table") => quantile_table::run(),
        Some("digits") => digits::run(std::env::args().nth(2).as_deref()),
        _ => Err("usage: cargo xtask quantile-table | digits DIR".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
