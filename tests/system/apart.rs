//! The parts of Tumble as long-lived processes of their own: a coordinator, workers, clients.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::Value as Json;
use tumble_tables::{AttemptOutcome, Column, read_attempts, read_column};

use crate::cases::*;
use crate::tally::survived;
use crate::tumble::*;

fn folder_of(view: &Json) -> PathBuf {
    PathBuf::from(view["folder"].as_str().expect("a run has a folder"))
}

#[test]
fn two_runs_share_the_workers_and_both_come_out_as_alone() {
    let place = Place::new();
    place.file("sweep.toml", LONG_SWEEP);
    place.file("evolve.toml", LONG_EVOLVE);
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");

    let first = coordinator.submit("sweep.toml");
    assert!(first.starts_with("long-sweep-"), "{first}");
    let view = coordinator.client(&format!("status {first} --output json")).exits(0).json();
    assert_eq!((&view["state"], &view["reason"]), (&"waiting".into(), &"no worker has joined".into()));
    assert_eq!(view["trials"], LONG_SWEEP_TRIALS);
    let said = coordinator.client(&format!("wait {first} --timeout 1s")).exits(4);
    assert!(said.stdout.contains("waiting: no worker has joined"), "{said:#?}");

    let second = coordinator.submit("evolve.toml");
    let workers = [coordinator.worker(), coordinator.worker()];
    let watching = {
        let access = coordinator.state().join("client.access");
        let mut command = tumble();
        command.args(["watch", &first, "--output", "json", "--access"]).arg(access);
        Process::start(command)
    };
    // Each has come somewhere while the other was not done: neither waited for the other's end.
    let both = until("both have begun", || {
        let list = coordinator.client("list --output json").exits(0).json();
        let done = |i: usize| list["runs"][i]["trials_done"].as_u64().expect("it counts");
        // On a busy machine one worker may have come somewhere before the other has joined.
        (done(0) > 0 && done(1) > 0 && list["workers"] == 2).then_some(list)
    });
    assert_eq!(both["slots"], 2);
    assert_eq!(both["runs"].as_array().map(Vec::len), Some(2));
    for i in [0, 1] {
        assert!(both["runs"][i]["trials_done"].as_u64() < both["runs"][i]["trials"].as_u64(), "{both:#}");
    }

    // By name, by id, and as the one submitted last.
    let ended = coordinator.client("wait long-sweep --output json").exits(0).json();
    assert_eq!((&ended["run"], &ended["state"]), (&first.clone().into(), &"finished".into()));
    assert_same(&results(&folder_of(&ended)), undisturbed(LONG_SWEEP), "a sweep beside an evolution");
    let watched = watching.said().exits(0);
    assert_eq!(watched.json()["trials_done"], LONG_SWEEP_TRIALS);
    let ended = coordinator.client("wait last --output json").exits(0).json();
    assert_eq!(ended["run"], second);
    assert_same(&results(&folder_of(&ended)), undisturbed(LONG_EVOLVE), "an evolution beside a sweep");
    for (run, view) in [
        (&first, coordinator.client("status long-sweep --output json")),
        (&second, coordinator.client("status --output json")),
    ] {
        assert_eq!(view.exits(0).json()["run"], **run);
    }

    let text = coordinator.client("list").exits(0).stdout;
    let finished = text.lines().filter(|line| line.contains("  finished  ") && line.contains("100.0%")).count();
    assert_eq!(finished, 2, "{text}");
    assert!(text.ends_with("2 workers, 2 slots\n"), "{text}");
    // A coordinator that stops takes nobody by surprise: the workers wait for it, and leave when they are told to.
    coordinator.stop();
    for worker in workers {
        worker.signal(Signal::SIGTERM);
        worker.said().exits(0);
    }
}

#[test]
fn submitting_twice_under_one_key_gives_one_run() {
    let place = Place::new();
    place.file("points.toml", POINTS);
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let first = coordinator.submit("points.toml --key monday");
    assert_eq!(coordinator.submit("points.toml --key monday"), first);
    let other = coordinator.submit("points.toml --key tuesday");
    assert_ne!(other, first);
    assert_ne!(coordinator.submit("points.toml"), other, "without a key every submission is a new run");
    let list = coordinator.client("list --output json").exits(0).json();
    assert_eq!(list["runs"].as_array().map(Vec::len), Some(3));
    let folders = fs::read_dir(place.path().join("runs")).expect("runs have folders").count();
    assert_eq!(folders, 3, "a submission that was known leaves no folder of its own");
}

#[test]
fn a_coordinator_killed_and_started_again_goes_on_with_the_same_workers_and_clients() {
    for run_file in [LONG_SWEEP, LONG_EVOLVE] {
        let place = Place::new();
        place.file("run-file.toml", run_file);
        let address = free_address();
        let mut coordinator = Coordinator::start(&place, &address);
        let run = coordinator.submit("run-file.toml");
        let access = coordinator.state().join("client.access");
        let client = |command: &str| {
            let mut process = tumble();
            process.args([command, &run, "--output", "json", "--access"]).arg(&access);
            Process::start(process)
        };
        let clients = [client("wait"), client("watch")];
        // One that had not found the coordinator yet would give up; without workers nothing is done before they have.
        until("the clients have heard of the run", || clients[1].has_spoken().then_some(()));
        let mut workers = [coordinator.worker(), coordinator.worker()];
        for share in [0.2, 0.5] {
            let before = under_way(coordinator.state(), &run, share)["trials_done"].as_u64();
            coordinator.kill_9();
            coordinator = Coordinator::start(&place, &address);
            let after = under_way(coordinator.state(), &run, 0.0)["trials_done"].as_u64();
            assert!(after >= before, "{before:?} trials were reported, {after:?} are left of them");
        }
        for client in clients {
            assert_eq!(client.said().exits(0).json()["state"], "finished");
        }
        assert!(workers.iter_mut().all(|worker| !worker.has_ended()), "the workers are still the first ones");
        let folder = place.path().join("runs").join(&run);
        assert_same(&results(&folder), undisturbed(run_file), "the coordinator was killed twice");
        survived("`kill -9` of the coordinator", 2);
    }
}

#[test]
fn a_worker_that_is_told_to_leave_hands_its_trials_to_the_other() {
    let place = Place::new();
    place.file("run-file.toml", LONG_SWEEP);
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let (leaving, _staying) = (coordinator.worker(), coordinator.worker());
    let run = coordinator.submit("run-file.toml");
    let left = format!("/{}", leaving.id());
    until("both workers hold trials", || (under_way(coordinator.state(), &run, 0.1)["workers"] == 2).then_some(()));
    leaving.signal(Signal::SIGTERM);
    leaving.said().exits(0);
    until("the one that left holds nothing any more", || {
        let view = standing(coordinator.state(), &run)?;
        (view["workers"].as_u64()? <= 1).then_some(())
    });
    coordinator.client(&format!("wait {run}")).exits(0);
    let folder = place.path().join("runs").join(&run);
    assert_same(&results(&folder), undisturbed(LONG_SWEEP), "one worker left");
    let attempts = read_attempts(&folder.join("attempts.parquet")).unwrap();
    let mut of_left = attempts.iter().filter(|attempt| attempt.worker.ends_with(&left)).peekable();
    assert!(of_left.peek().is_some(), "the one that left had worked");
    assert!(of_left.all(|attempt| attempt.outcome != AttemptOutcome::Lost), "who leaves politely loses nothing");
}

/// One trial of a moment, and one that takes longer than any test waits.
const ENDLESS: &str = r#"
name = "endless"
pipeline = "go-cls"
[config]
inputs = 1000
notebook_units = 0
[sweep]
design = "list"
[sweep.axes]
epochs = [1, 1_000_000]
"#;

#[test]
fn a_worker_that_is_told_to_leave_in_an_endless_trial_leaves_it_to_another() {
    let place = Place::new();
    place.file("run-file.toml", ENDLESS);
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let leaving = coordinator.worker();
    let run = coordinator.submit("run-file.toml");
    let holds_the_endless_one = || {
        let view = standing(coordinator.state(), &run)?;
        (view["trials_done"] == 1 && view["workers"] == 1).then_some(())
    };
    until("the first trial is reported and the other one granted", holds_the_endless_one);
    let left = format!("/{}", leaving.id());
    leaving.signal(Signal::SIGTERM);
    // It would wait in vain for the trial's end.
    leaving.said().exits(0);
    until("it is seen to be gone", || {
        let list = coordinator.client("list --output json").exits(0).json();
        (list["workers"] == 0).then_some(())
    });
    let _other = coordinator.worker();
    until("another worker has the trial", holds_the_endless_one);
    coordinator.client(&format!("cancel {run}")).exits(0);
    coordinator.client(&format!("wait {run}")).exits(4);
    let attempts = read_attempts(&place.path().join("runs").join(&run).join("attempts.parquet")).unwrap();
    let of_left: Vec<_> = attempts.iter().filter(|attempt| attempt.worker.ends_with(&left)).collect();
    let outcomes: Vec<_> = of_left.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Reported, AttemptOutcome::Returned], "{of_left:?}");
}

#[test]
fn a_trial_that_outlasts_two_coordinators_goes_on_and_is_granted_once() {
    let place = Place::new();
    place.file("run-file.toml", ENDLESS);
    let address = free_address();
    let mut coordinator = Coordinator::start(&place, &address);
    let worker = coordinator.worker();
    let run = coordinator.submit("run-file.toml");
    let holds_the_endless_one = |coordinator: &Coordinator| {
        let view = standing(coordinator.state(), &run)?;
        (view["trials_done"] == 1 && view["workers"] == 1).then_some(())
    };
    until("the first trial is reported and the other one granted", || holds_the_endless_one(&coordinator));
    for _ in 0..2 {
        coordinator.kill_9();
        coordinator = Coordinator::start(&place, &address);
        until("the worker is back with its trial", || holds_the_endless_one(&coordinator));
    }
    let name = format!("/{}", worker.id());
    worker.signal(Signal::SIGTERM);
    worker.said().exits(0);
    until("the trial is handed back", || {
        let view = standing(coordinator.state(), &run)?;
        (view["workers"] == 0).then_some(())
    });
    coordinator.client(&format!("cancel {run}")).exits(0);
    coordinator.client(&format!("wait {run}")).exits(4);
    let attempts = read_attempts(&place.path().join("runs").join(&run).join("attempts.parquet")).unwrap();
    let of_endless = attempts.iter().filter(|attempt| attempt.first_trial == 1 && attempt.worker.ends_with(&name));
    let of_endless: Vec<_> = of_endless.map(|attempt| (attempt.outcome, attempt.bytes_down)).collect();
    // The coordinator that it came back to had sent nothing for it: neither a grant nor the run file.
    assert_eq!(of_endless, [(AttemptOutcome::Returned, 0)], "{attempts:?}");
    survived("a coordinator killed while trials take long", 2);
}

#[test]
fn a_cancelled_run_keeps_the_true_beginning_of_its_table() {
    for (run_file, trials) in [(LONG_SWEEP, LONG_SWEEP_TRIALS), (LONG_EVOLVE, LONG_EVOLVE_TRIALS)] {
        let place = Place::new();
        place.file("run-file.toml", run_file);
        put(undisturbed(run_file), &place.path().join("whole"));
        let coordinator = Coordinator::start(&place, "127.0.0.1:0");
        let _worker = coordinator.worker();
        let run = coordinator.submit("run-file.toml");
        under_way(coordinator.state(), &run, 0.3);
        let view = coordinator.client(&format!("cancel {run} --output json")).exits(0).json();
        assert_eq!((&view["state"], &view["reason"]), (&"cancelled".into(), &"cancelled".into()));
        let folder = folder_of(&view);
        let rows = summary(&folder)["trials"].as_u64().expect("it counts");
        assert!(rows > 0 && rows < trials, "{rows} rows");
        assert_each_trial_once(&folder, rows);
        let names = tumble_tables::column_names(&folder.join("trials/part-00000.parquet")).unwrap();
        for name in names {
            let column = |folder: &std::path::Path| read_column(&folder.join("trials"), &name).unwrap();
            let (part, whole) = (column(&folder), column(&place.path().join("whole")));
            assert!(is_prefix(&part, &whole), "column {name} is no beginning of the whole one");
        }
        // What is over stays over.
        coordinator.client(&format!("wait {run}")).exits(4);
        for command in ["cancel", "resume"] {
            let said = coordinator.client(&format!("{command} {run}")).exits(2);
            assert_eq!(said.stderr, format!("error: run `{run}` has ended\n"));
        }
    }
}

fn is_prefix(part: &Column, whole: &Column) -> bool {
    match (part, whole) {
        (Column::Unsigned(part), Column::Unsigned(whole)) => whole.starts_with(part),
        (Column::Integer(part), Column::Integer(whole)) => whole.starts_with(part),
        (Column::Text(part), Column::Text(whole)) => whole.starts_with(part),
        (Column::Float(part), Column::Float(whole)) => {
            part.len() <= whole.len() && part.iter().zip(whole).all(|(a, b)| a.to_bits() == b.to_bits())
        }
        _ => false,
    }
}

#[test]
fn a_client_that_asks_for_what_is_not_there_is_told_so() {
    let place = Place::new();
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    for command in ["status", "watch", "wait", "cancel", "resume"] {
        let said = coordinator.client(&format!("{command} nobody")).exits(2);
        assert_eq!(
            (said.stdout.as_str(), said.stderr.as_str()),
            ("", "error: there is no run `nobody`\n"),
            "{command}"
        );
        let said = coordinator.client(command).exits(2);
        assert_eq!(said.stderr, "error: there is no run `last`\n", "{command}");
    }
    let empty = coordinator.client("list").exits(0).stdout;
    assert_eq!(empty, "run  state         done           trials  best\n0 workers, 0 slots\n");
}
