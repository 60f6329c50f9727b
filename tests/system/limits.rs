//! Limits and failures: what they do to a run, its rows and its exit code.

use std::path::Path;

use tumble_tables::{Column, read_column};

use crate::cases::*;
use crate::tumble::*;

fn texts(folder: &Path, column: &str) -> Vec<Option<String>> {
    match read_column(&folder.join("trials"), column).expect("the table is complete") {
        Column::Text(texts) => texts.into_iter().map(|text| text.map(|text| text.to_string())).collect(),
        other => panic!("`{column}` holds {other:?}"),
    }
}

/// Trials 160 to 239 fail: no rotation has that many dimensions.
const SOME_FAIL: &str = r#"
name = "some-fail"
pipeline = "benchmark-functions"
replicates = 2
[config]
function = "rotated-ellipsoid"
[sweep]
design = "grid"
[sweep.axes]
dimension = [2, 4, 1025, 8]
x1 = { linear = [0.0, 1.0], points = 40 }
"#;

#[test]
fn a_trial_that_fails_has_a_row_that_says_why() {
    let place = Place::new();
    place.file("run-file.toml", SOME_FAIL);
    let folder = place.path().join("out");
    let said = place.tumble("run run-file.toml --workers 2 --out out").exits(3);
    assert!(
        said.stdout.contains("\ntrials    320, 80 FAILED (see the columns outcome and error)\n"),
        "{}",
        said.stdout
    );
    assert_each_trial_once(&folder, 320);
    let (outcomes, errors) = (texts(&folder, "outcome"), texts(&folder, "error"));
    for trial in 0..320 {
        let failed = (160..240).contains(&trial);
        let outcome = if failed { "failed" } else { "scored" };
        let error = failed.then_some("`rotated-ellipsoid` takes at most 1024 dimensions, not 1025");
        assert_eq!((outcomes[trial].as_deref(), errors[trial].as_deref()), (Some(outcome), error), "trial {trial}");
    }
    let summary = summary(&folder);
    assert_eq!((&summary["trials"], &summary["trials_failed"]), (&320.into(), &80.into()));
    place.tumble("run run-file.toml --quiet --workers 1 --out again").exits(3);
    assert_same(&results(&place.path().join("again")), &results(&folder), "one worker instead of two");
    // A script that resumes what is complete already learns the same.
    place.tumble("run --resume --out out").exits(3);
}

/// The summary once counted the trials that had failed behind the end of the table.
#[test]
fn on_failure_abort_ends_a_sweep_with_the_first_trial_that_failed() {
    let place = Place::new();
    place.file("run-file.toml", SOME_FAIL);
    for (workers, out) in [(1, "one"), (3, "three")] {
        let line = format!("run run-file.toml --set limits.on_failure=abort --workers {workers} --out {out}");
        let said = place.tumble(&line).exits(3);
        assert!(said.stdout.contains(": aborted: trial 160 failed and on_failure is \"abort\"\n"), "{}", said.stdout);
        let folder = place.path().join(out);
        assert_each_trial_once(&folder, 161);
        let summary = summary(&folder);
        assert_eq!((&summary["state"], &summary["trials"]), (&"failed".into(), &161.into()));
        assert_eq!(summary["trials_failed"], 1);
    }
    let [one, three] = ["one", "three"].map(|out| results(&place.path().join(out)));
    assert_same(&three, &one, "three workers instead of one");
}

#[test]
fn on_failure_abort_ends_an_evolution_with_its_generation() {
    let place = Place::new();
    // The objective of 1e300 squared has no number any more.
    let run_file = EVOLVE.replace("start = 0.0", "start = 1e300").replace("stop = { objective = 0.01 }", "");
    place.file("run-file.toml", &format!("{run_file}\n[limits]\non_failure = \"abort\"\n"));
    for (workers, out) in [(1, "one"), (3, "three")] {
        let said = place.tumble(&format!("run run-file.toml --workers {workers} --out {out}")).exits(3);
        let reason = ": aborted: trial 0 (generation 0, candidate 0) failed and on_failure is \"abort\"\n";
        assert!(said.stdout.contains(reason), "{}", said.stdout);
        assert_each_trial_once(&place.path().join(out), 80);
    }
    let [one, three] = ["one", "three"].map(|out| results(&place.path().join(out)));
    assert_same(&three, &one, "three workers instead of one");
}

#[test]
fn a_trial_that_outlasts_its_timeout_is_given_up() {
    let place = Place::new();
    // A trial of the first kind takes a millisecond, one of the second would take a minute: with 50 inputs instead of 400
    // a quiet machine was once done within the second.
    let run_file = r#"
name = "timeout"
pipeline = "go-cls"
[config]
inputs = 400
notebook_units = 0
[sweep]
design = "grid"
[sweep.axes]
epochs = [1, 1_000_000]
load = [0.5, 1.0, 1.5]
[limits]
timeout = "1s"
"#;
    place.file("run-file.toml", run_file);
    let folder = place.path().join("out");
    let means = "a trial looks at the clock itself every few milliseconds and gives up; one that is done before it looks is \
                 scored, and nothing interrupts it from outside\n";
    let checked = place.tumble("check run-file.toml").exits(0).stdout;
    assert!(checked.ends_with(&format!("timeout   1.0 s: {means}")), "{checked}");
    let page = place.tumble("pipelines go-cls").exits(0).stdout;
    assert!(page.ends_with(&format!("\nlimits.timeout: {means}")), "{page}");
    place.tumble("run run-file.toml --quiet --workers 2 --out out").exits(3);
    assert_each_trial_once(&folder, 6);
    let said = texts(&folder, "outcome").into_iter().zip(texts(&folder, "error"));
    let scored = (Some("scored".to_owned()), None);
    let late = (Some("timed_out".to_owned()), Some("the trial outlasted limits.timeout".to_owned()));
    let expected = [&scored, &scored, &scored, &late, &late, &late];
    assert!(said.clone().eq(expected.into_iter().cloned()), "{:?}", said.collect::<Vec<_>>());
}

/// The clock was once looked at only in moments without work, which a run of many short generations never has.
#[test]
fn the_wall_limit_stops_a_run_that_a_resume_completes() {
    let place = Place::new();
    let without = undisturbed(LONG_EVOLVE);
    put(without, &place.path().join("without"));
    place.file("run-file.toml", &format!("{LONG_EVOLVE}\n[limits]\nwall = \"1s\"\n"));
    let folder = place.path().join("out");
    let said = place.tumble("run run-file.toml --quiet --workers 2 --out out").exits(4);
    let go_on = format!("go on with\n  tumble run --resume --out {}\n", folder.display());
    assert_eq!(said.stdout, format!("stopped (the wall limit is reached); {go_on}"));
    let mut stops = 1;
    let last = loop {
        let said = place.tumble("run --resume --quiet --workers 2 --out out");
        if said.code != Some(4) {
            break said;
        }
        stops += 1;
        assert!(stops < 100, "the run does not come on");
    };
    last.exits(0);
    assert!(results(&folder).keys().eq(without.keys()), "other files");
    for name in without.keys().filter(|name| name.ends_with(".parquet")) {
        let (stopped, undisturbed) = (columns(&folder, name), columns(&place.path().join("without"), name));
        assert!(stopped == undisturbed, "other values in {name}");
    }
}

/// A table's values as text: its very bytes carry the run file, which has the limit here and not there.
fn columns(folder: &Path, name: &str) -> Vec<(String, String)> {
    let path = folder.join(name);
    let names = tumble_tables::column_names(&path).expect("it is a part");
    let columns: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut all = vec![String::new(); names.len()];
    for block in tumble_tables::scan_file(&path, &columns) {
        for (text, column) in all.iter_mut().zip(block.expect("it is a part").columns) {
            text.push_str(&format!("{column:?}"));
        }
    }
    names.into_iter().zip(all).collect()
}
