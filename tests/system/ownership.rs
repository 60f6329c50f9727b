//! One coordinator for a state folder, on whatever host: who holds it, who may take over, and who must stop.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;

use crate::cases::*;
use crate::tally::survived;
use crate::tumble::*;

fn start(place: &Place, words: &str) -> Process {
    place.start(&format!("coordinator --state state --out runs --listen 127.0.0.1:0 {words}"))
}

fn owner(state: &Path) -> String {
    fs::read_to_string(state.join("owner")).unwrap_or_default()
}

/// Waits until this process holds the folder and answers there.
fn serving(place: &Place, process: &mut Process, access_before: &str) {
    let state = place.path().join("state");
    until("the coordinator answers", || {
        assert!(!process.has_ended(), "it ended instead");
        let access = fs::read_to_string(state.join("client.access")).ok()?;
        let holds = owner(&state).contains(&format!("\nprocess = {}\n", process.id()));
        // The address in an old file may be that of a process that never answers.
        (holds && access != access_before && client(place, "list").code == Some(0)).then_some(())
    });
}

fn access(place: &Place) -> String {
    fs::read_to_string(place.path().join("state/client.access")).unwrap_or_default()
}

fn client(place: &Place, line: &str) -> Said {
    place.tumble(&format!("{line} --access state/client.access"))
}

/// What a coordinator on another host would have written.
fn foreign_owner(heartbeat: u64, lease_ms: u64) -> String {
    format!(
        "version = 1\nepoch = 41\ntoken = \"{}\"\nhost = \"elsewhere\"\nplace = \"another boot pid:[1]\"\nprocess = 7\n\
         process_started = 1\nheartbeat = {heartbeat}\nlease_ms = {lease_ms}\nreleased = false\n",
        "ab".repeat(32)
    )
}

/// In one piece, as a coordinator does it.
fn replace(path: &Path, text: &str) {
    let fresh = path.with_extension("of-test");
    fs::write(&fresh, text).unwrap();
    fs::rename(&fresh, path).unwrap();
}

fn state_with(place: &Place, owner: &str) -> PathBuf {
    let state = place.path().join("state");
    fs::create_dir_all(&state).unwrap();
    replace(&state.join("owner"), owner);
    state
}

#[test]
fn the_folder_of_a_coordinator_that_was_killed_is_taken_without_waiting() {
    let place = Place::new();
    // To wait for this lease would take longer than a test may.
    let mut first = start(&place, "--lease 1h");
    serving(&place, &mut first, "");
    let (before, epoch_1) = (access(&place), owner(&place.path().join("state")));
    assert!(epoch_1.contains("\nepoch = 1\n"), "{epoch_1}");
    first.kill_9();
    let mut second = start(&place, "--lease 1h");
    serving(&place, &mut second, &before);
    assert!(owner(&place.path().join("state")).contains("\nepoch = 2\n"));
    second.signal(Signal::SIGTERM);
    let said = second.said().exits(0);
    assert!(!said.stderr.contains("waiting"), "{said:#?}");
    assert!(owner(&place.path().join("state")).contains("\nreleased = true\n"), "it is let go");

    // The same for a run on one machine, killed with all that belongs to it.
    place.file("run-file.toml", LONG_SWEEP);
    let mut run = place.start("run run-file.toml --quiet --workers 1 --out out");
    let state = place.path().join("out/.tumble");
    under_way(&state, "last", 0.01);
    run.kill_9();
    let said = place.tumble("run --resume --workers 2 --out out").exits(0);
    assert!(!said.stderr.contains("waiting"), "{said:#?}");
    assert_same(&results(&place.path().join("out")), undisturbed(LONG_SWEEP), "killed and resumed");
}

#[test]
fn the_folder_of_another_hosts_coordinator_is_taken_when_its_heartbeat_has_stopped_for_a_lease() {
    let place = Place::new();
    let state = state_with(&place, &foreign_owner(5, 1000));
    let mut second = start(&place, "");
    serving(&place, &mut second, "");
    // One epoch for all: the journal is new, the owner's counts.
    assert!(owner(&state).contains("\nepoch = 42\n"), "{}", owner(&state));
    second.signal(Signal::SIGTERM);
    let said = second.said().exits(0);
    let waiting = "process 7 on host elsewhere holds the state folder; waiting up to 1.4 s to see whether it is gone\n";
    let over = "process 7 on host elsewhere has not renewed its hold on the state folder; taking over\n";
    assert!(said.stderr.contains(waiting) && said.stderr.contains(over), "{said:#?}");
    survived("the coordinator's host is gone", 1);
}

#[test]
fn the_folder_of_another_hosts_coordinator_is_refused_while_its_heartbeat_goes_on() {
    let place = Place::new();
    let state = state_with(&place, &foreign_owner(0, 60_000));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for heartbeat in 1.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                replace(&state.join("owner"), &foreign_owner(heartbeat, 60_000));
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        let said = place.tumble("coordinator --state state --out runs --listen 127.0.0.1:0");
        over.store(true, Ordering::Relaxed);
        let expected = format!(
            "error: another process uses the state folder {}: process 7 on host elsewhere holds it and lives; stop it \
             first\n",
            state.display()
        );
        let said = said.exits(2);
        assert!(said.stderr.ends_with(&expected), "{said:#?}");
    });
    assert!(!state.join("journal.sqlite").exists(), "nothing is written");
    survived("a second coordinator on the same state folder", 1);
}

/// What a network file system without locks and a paused machine do together.
#[test]
fn a_coordinator_that_was_paused_and_replaced_stops_without_writing() {
    let place = Place::new();
    place.file("run-file.toml", LONG_SWEEP);
    place.file("other.toml", POINTS);
    let state = place.path().join("state");
    let mut first = start(&place, "--lease 1s --no-file-locks --host-name one");
    serving(&place, &mut first, "");
    let run = client(&place, "submit run-file.toml").exits(0).stdout.trim().to_owned();
    let before = access(&place);
    fs::copy(state.join("client.access"), place.path().join("old.access")).unwrap();

    // It has nothing to write at the moment: a pause within a write is beyond what can be promised.
    first.signal(Signal::SIGSTOP);
    until("it stands still", || {
        let status = fs::read_to_string(format!("/proc/{}/status", first.id())).expect("it is there");
        status.contains("\nState:\tT").then_some(())
    });
    // This waits in its socket, and is the first thing it would write.
    let asking = place.start("submit other.toml --access old.access");
    let mut second = start(&place, "--lease 1s --no-file-locks --host-name two");
    serving(&place, &mut second, &before);

    first.signal(Signal::SIGCONT);
    let (one, two) = (first.id(), second.id());
    let said = first.said().exits(4);
    let expected = format!(
        "error: another coordinator has taken over the state folder {}: process {two} on host two; this one stops and \
         writes nothing more\n",
        state.display()
    );
    assert!(said.stderr.ends_with(&expected), "{said:#?}");
    assert_ne!(asking.said().code, Some(0), "nothing is acknowledged by one that was replaced");

    let listed = client(&place, "list --output json").exits(0).json();
    let runs: Vec<_> = listed["runs"].as_array().unwrap().iter().map(|run| run["run"].clone()).collect();
    assert_eq!(runs, [run.as_str()]);
    let _worker = place.start("worker --slots 1 --access state/worker.access");
    client(&place, &format!("wait {run} --quiet")).exits(0);
    assert_same(&results(&place.path().join("runs").join(&run)), undisturbed(LONG_SWEEP), "taken over");
    second.signal(Signal::SIGTERM);
    let said = second.said().exits(0);
    let waiting = format!("process {one} on host one holds the state folder; waiting up to 1.4 s to see whether");
    assert!(said.stderr.contains(&waiting), "{said:#?}");
    // What it leaves is sound.
    let before = access(&place);
    let mut third = start(&place, "--no-file-locks");
    serving(&place, &mut third, &before);
}
