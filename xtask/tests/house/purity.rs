//! The machines that decide have no clock, no file, no socket, no thread and no chance, so that a test can talk to them
//! and a replay gives what the day gave.

use crate::sources::{names, none, shipped_code};

/// What the coordinator's core does not know.
const NOT_IN_THE_CORE: [&str; 16] = [
    "Instant",
    "SystemTime",
    "fs",
    "net",
    "std::env",
    "std::process",
    "std::io",
    "tokio",
    "thread",
    "rand",
    "getrandom",
    // Their order changes from process to process.
    "HashMap",
    "HashSet",
    "println",
    "eprintln",
    "static mut",
];

/// What the deciding half of a worker does not know. It rebuilds nothing and evaluates nothing, so it needs no time.
const NOT_IN_THE_WORKER: [&str; 10] =
    ["Instant", "SystemTime", "fs", "net", "std::time", "tokio", "tonic", "thread", "HashMap", "println"];

#[test]
fn the_core_has_no_clock_no_file_no_socket_and_no_task() {
    check("coordinator/core/src", |_| true, &NOT_IN_THE_CORE);
}

#[test]
fn the_deciding_half_of_a_worker_has_no_clock_and_no_socket() {
    check("worker/src", |path| path == "worker/src/worker.rs", &NOT_IN_THE_WORKER);
}

fn check(folder: &str, which: fn(&str) -> bool, absent: &[&str]) {
    let mut problems = Vec::new();
    let mut files = 0;
    for (path, code) in shipped_code(folder) {
        let path = path.display().to_string();
        if which(&path) {
            files += 1;
            let met = absent.iter().filter(|name| names(&code, name));
            problems.extend(met.map(|name| format!("{path}: `{name}` has no place in a machine that decides")));
        }
    }
    assert!(files > 0, "{folder}: the machine has moved; this rule has to follow it");
    none(problems);
}

/// A clock in the core by another name: milliseconds come in with events, and durations of the spec go out as settings.
#[test]
fn the_core_reads_no_time_but_what_events_bring() {
    let calls = |code: &str| [".elapsed(", "::now(", "UNIX_EPOCH"].into_iter().find(|call| code.contains(call));
    let problems = shipped_code("coordinator/core/src")
        .into_iter()
        .filter_map(|(path, code)| calls(&code).map(|call| format!("{}: `{call}` asks a clock", path.display())));
    none(problems.collect());
}
