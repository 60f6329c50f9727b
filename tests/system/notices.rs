//! What a program reads that starts `tumble`: notices on the way, and a run that ends with whoever holds its leash.

use std::fs;
use std::process::Stdio;

use serde_json::Value as Json;

use crate::cases::*;
use crate::tally::survived;
use crate::tumble::*;

/// Every line as a notice; each must be one.
#[track_caller]
fn notices(stderr: &str) -> Vec<Json> {
    let read = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("no notice ({error}): {line}"));
    stderr.lines().map(read).collect()
}

#[track_caller]
fn named<'a>(notices: &'a [Json], name: &str) -> Vec<&'a Json> {
    notices.iter().filter(|notice| notice["notice"] == name).collect()
}

/// What a notice of progress has, in its order. A field may be added; one that goes or is renamed breaks programs.
const FIELDS: [&str; 24] = [
    "notice",
    "run",
    "name",
    "pipeline",
    "state",
    "reason",
    "trials",
    "trials_done",
    "trials_evaluated",
    "trials_failed",
    "generation",
    "generations",
    "objective",
    "best",
    "folder",
    "seconds",
    "workers",
    "bytes_down",
    "bytes_up",
    "disagreements",
    "resyncs",
    "parts",
    "trials_per_second",
    "seconds_left",
];

#[test]
fn a_program_is_told_of_a_run_one_notice_a_line() {
    let place = Place::new();
    place.file("points.toml", POINTS);
    let said = place.tumble("run points.toml --workers 2 --out out --progress json --output json").exits(0);
    let told = notices(&said.stderr);
    assert_eq!(told[0]["notice"], "started", "{told:#?}");
    assert_eq!((&told[0]["run"], &told[0]["workers"]), (&said.json()["run"], &2.into()));
    assert_eq!(told[0]["folder"], place.path().join("out").to_str().unwrap());
    let progress = named(&told, "progress");
    let (last, done) = (progress.last().expect("there is a last notice at least"), 50_000);
    assert_eq!(
        (&last["state"], &last["trials_done"], &last["trials"]),
        (&"finished".into(), &done.into(), &done.into())
    );
    let counts = progress.iter().map(|notice| notice["trials_done"].as_u64());
    assert!(counts.is_sorted(), "what is done does not become less");
    for notice in progress {
        let keys: Vec<&String> = notice.as_object().expect("a notice is an object").keys().collect();
        assert!(FIELDS.iter().all(|field| keys.iter().any(|key| *key == field)), "{keys:?}");
    }
    // Nobody asked: text for people, and nothing for who wants quiet.
    let quiet = place.tumble("run points.toml --workers 2 --out quiet --progress json --quiet").exits(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_program_is_told_why_a_command_failed_and_what_it_warns_of() {
    let place = Place::new();
    place.file("wrong.toml", "pipeline = \"sphere\"\n");
    for line in ["run wrong.toml", "check wrong.toml"] {
        let said = place.tumble(&format!("{line} --progress json --output json")).exits(2);
        let told = notices(&said.stderr);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert_eq!((&told[0]["notice"], &told[0]["exit_code"]), (&"error".into(), &2.into()));
        assert_eq!(told[0]["text"], said.json()["error"]);
    }
    // The programs of workers may be elsewhere, so that this is a warning.
    place.file(
        "elsewhere.toml",
        "pipeline = \"program\"\n[program]\ncommand = [\"no-such-program\", \"{x}\"]\nmetrics = [\"y\"]\n\
         [sweep]\ndesign = \"list\"\n[sweep.axes]\nx = [1]\n",
    );
    let told = notices(&place.tumble("check elsewhere.toml --progress json").exits(0).stderr);
    let notes = named(&told, "note");
    assert!(notes.iter().any(|note| note["text"].as_str().unwrap_or("").starts_with("warning: ")), "{told:#?}");
}

#[test]
fn who_watches_or_waits_is_told_the_end() {
    let place = Place::new();
    place.file("points.toml", POINTS);
    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let run = coordinator.submit("points.toml");
    let _worker = coordinator.worker();
    for command in ["watch", "wait"] {
        let said = coordinator.client(&format!("{command} {run} --progress json --output json")).exits(0);
        let told = notices(&said.stderr);
        let last = told.last().expect("there is a last notice at least");
        assert_eq!((&last["notice"], &last["state"]), (&"progress".into(), &"finished".into()), "{command}");
    }
    // A script that waits and asks for nothing is told nothing.
    assert_eq!(coordinator.client(&format!("wait {run}")).exits(0).stderr, "");
}

#[test]
fn a_run_stops_when_its_leash_is_let_go_and_can_be_resumed() {
    let place = Place::new();
    place.file("run-file.toml", LONG_SWEEP);
    let mut command = tumble();
    command.current_dir(place.path()).stdin(Stdio::piped());
    command.args("run run-file.toml --leash --quiet --workers 2 --out out --output json".split(' '));
    let mut run = Process::start(command);
    let state = place.path().join("out/.tumble");
    under_way(&state, "last", 0.01);
    run.let_go();
    let said = run.said().exits(4);
    assert_eq!(said.json()["state"], "stopped");
    place.tumble("run --resume --quiet --workers 2 --out out").exits(0);
    assert_same(&results(&place.path().join("out")), undisturbed(LONG_SWEEP), "let go and resumed");
    survived("a notebook that is killed in the middle of its run", 1);
}

#[test]
fn a_run_file_may_lie_elsewhere_than_what_it_evaluates() {
    let place = Place::new();
    let (code, files) = (place.path().join("code"), place.path().join("files"));
    fs::create_dir(&code).expect("the place is ours");
    fs::create_dir(&files).expect("the place is ours");
    fs::write(code.join("double.sh"), "#!/bin/sh\necho \"{\\\"y\\\": $(($1 * 2))}\"\n").expect("the place is ours");
    fs::set_permissions(code.join("double.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("it is ours");
    let text = "name = \"there\"\npipeline = \"program\"\n[program]\ncommand = [\"./double.sh\", \"{x}\"]\nmetrics = [\"y\"]\n\
                [sweep]\ndesign = \"list\"\n[sweep.axes]\nx = [1, 2, 3]\n";
    fs::write(files.join("run-file.toml"), text).expect("the place is ours");
    let without = place.tumble("run files/run-file.toml --workers 1 --out without").exits(2);
    assert!(without.stderr.contains("double.sh"), "{}", without.stderr);
    let checked = place.tumble("check files/run-file.toml --here code").exits(0);
    assert!(!checked.stderr.contains("warning"), "{}", checked.stderr);
    place.tumble("run files/run-file.toml --here code --quiet --workers 1 --out out").exits(0);
    assert_eq!(numbers(&place.path().join("out"), "y"), [2.0, 4.0, 6.0]);
    place.tumble("verify out --here code --sample 100%").exits(0);
}

#[test]
fn a_folder_that_is_called_as_runs_are_gives_its_run_the_id_and_may_hold_its_code() {
    let place = Place::new();
    place.file("points.toml", POINTS);
    let name = out_name(POINTS);
    let folder = place.path().join(format!("{name}-abc234"));
    fs::create_dir_all(folder.join("code")).expect("the place is ours");
    fs::write(folder.join("code/model.py"), "").expect("the place is ours");
    let line = format!("run points.toml --workers 1 --quiet --out {name}-abc234 --output json");
    assert_eq!(place.tumble(&line).exits(0).json()["run"], format!("{name}-abc234"));
    assert!(folder.join("code/model.py").exists(), "what lies there stays");
    // Another name is no id, and a folder that holds something of somebody is none for a run.
    let other = place.tumble("run points.toml --workers 1 --quiet --out somewhere --output json").exits(0).json();
    assert!(other["run"].as_str().is_some_and(|run| run.starts_with(&format!("{name}-"))), "{other:#}");
    fs::create_dir_all(place.path().join("taken/code")).expect("the place is ours");
    fs::write(place.path().join("taken/notes.txt"), "").expect("the place is ours");
    let taken = place.tumble("run points.toml --workers 1 --out taken").exits(2);
    assert!(taken.stderr.contains("exists and is not empty"), "{}", taken.stderr);
    // Without a name of its own, a run gets one under the folder that is wanted.
    let under = place.tumble("run points.toml --workers 1 --quiet --under all/mine --output json").exits(0).json();
    let run = under["run"].as_str().expect("it has an id").to_owned();
    assert!(place.path().join("all/mine").join(run).join("summary.json").exists());
}

fn out_name(run_file: &str) -> &str {
    run_file.split('"').nth(1).expect("every run file begins with its name")
}
