//! `tumble extend`: a run that grows is the longer run, to the byte, and no trial that it has is evaluated again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use tumble_tables::{AttemptOutcome, AttemptRow, read_attempts};

use crate::cases::*;
use crate::tally::survived;
use crate::tumble::*;

/// A sweep of points that a design samples.
fn sampled(design: &str, points: u64, replicates: u32) -> String {
    format!(
        "name = \"sampled\"\npipeline = \"benchmark-functions\"\nseed = 8\nreplicates = {replicates}\n[config]\n\
         function = \"rastrigin\"\ndimension = 3\n[sweep]\ndesign = \"{design}\"\npoints = {points}\n[sweep.axes]\n\
         x0 = {{ linear = [-1.0, 1.0] }}\nx2 = {{ log = [0.1, 10.0] }}\n"
    )
}

fn attempts(folder: &Path) -> Vec<AttemptRow> {
    read_attempts(&folder.join("attempts.parquet")).expect("the table is complete")
}

/// What attempts say but for where their trials are, and how many of each there are.
fn tally(attempts: &[AttemptRow]) -> BTreeMap<(i64, i64, u64, String), usize> {
    let mut tally = BTreeMap::new();
    for row in attempts {
        *tally.entry((row.granted_at_ms, row.ended_at_ms, row.trials, row.worker.clone())).or_default() += 1;
    }
    tally
}

/// Extends `run_file` so that it becomes `longer`, and holds what comes of it against `longer` begun anew.
fn grows(run_file: &str, longer: &str, exit: i32) {
    let place = Place::new();
    place.file("run.toml", run_file);
    place.file("longer.toml", longer);
    let (grown, anew) = (place.path().join("grown"), place.path().join("anew"));
    place.tumble("run run.toml --quiet --workers 2 --out grown").exits(exit);
    fs::write(grown.join("notes.txt"), "mine").unwrap();
    let (before, rows) = (attempts(&grown), summary(&grown)["trials"].as_u64().expect("it counts"));
    let id = summary(&grown)["run"].clone();
    place.tumble("extend grown longer.toml --quiet --workers 2").exits(exit);
    place.tumble("run longer.toml --quiet --workers 1 --out anew").exits(exit);
    assert_same(&results(&grown), &results(&anew), longer);
    let (grown_summary, anew_summary) = (summary(&grown), summary(&anew));
    for key in ["state", "reason", "trials", "trials_failed", "generations", "best", "champion"] {
        assert_eq!(grown_summary[key], anew_summary[key], "{key} of {longer}");
    }
    assert_eq!(grown_summary["run"], id);
    assert_each_trial_once(&grown, anew_summary["trials"].as_u64().expect("it counts"));
    // What was attempted before stands there still, and what was attempted since is the rest.
    let mut since = tally(&attempts(&grown));
    for (row, count) in tally(&before) {
        assert_eq!(since.remove(&row), Some(count), "an old attempt is gone: {row:?}");
    }
    let reported: u64 = attempts(&grown)
        .iter()
        .filter(|row| {
            row.outcome == AttemptOutcome::Reported
                && since.contains_key(&tally(&[(*row).clone()]).into_keys().next().expect("there is one"))
        })
        .map(|row| row.trials)
        .sum();
    assert_eq!(rows + reported, grown_summary["trials"].as_u64().expect("it counts"), "{longer}");
    // The user's own files stay, and nothing is left beside the run.
    assert_eq!(fs::read_to_string(grown.join("notes.txt")).unwrap(), "mine");
    let mut beside: Vec<String> =
        fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    beside.sort();
    assert_eq!(beside, ["anew", "grown", "longer.toml", "run.toml"]);
}

#[test]
fn a_sweep_with_more_replicates_is_the_sweep_begun_anew() {
    grows(&sampled("sobol", 700, 2), &sampled("sobol", 700, 5), 0);
    // Points of a latin-hypercube cannot be more, their replicates can.
    grows(&sampled("latin-hypercube", 90, 1), &sampled("latin-hypercube", 90, 2), 0);
}

#[test]
fn a_sweep_with_more_points_is_the_sweep_begun_anew() {
    grows(&sampled("sobol", 5000, 1), &sampled("sobol", 9000, 1), 0);
    grows(&sampled("random", 300, 2), &sampled("random", 301, 2), 0);
    grows(&sampled("random", 300, 2), &sampled("random", 900, 7), 0);
}

#[test]
fn a_list_and_the_first_axis_of_a_grid_grow_at_their_ends() {
    let listed = |points: &str, design: &str| {
        format!(
            "name = \"listed\"\npipeline = \"benchmark-functions\"\n[config]\ndimension = 2\n[sweep]\n\
             design = \"{design}\"\n[sweep.axes]\nx0 = {points}\nx1 = {points}\n"
        )
    };
    grows(&listed("[1.0, 2.0]", "list"), &listed("[1.0, 2.0, -1.0, 0.5]", "list"), 0);
    let grid = listed("[1.0, 2.0]", "grid");
    grows(&grid, &grid.replace("x0 = [1.0, 2.0]", "x0 = [1.0, 2.0, -1.0]"), 0);
}

/// Failed trials have no numbers and say why: that, too, is kept.
#[test]
fn failed_trials_are_kept_as_they_are() {
    let some_fail = "name = \"some-fail\"\npipeline = \"benchmark-functions\"\nreplicates = 2\n[config]\n\
                     function = \"rotated-ellipsoid\"\n[sweep]\ndesign = \"list\"\n[sweep.axes]\ndimension = [2, 1025, 8]\n\
                     x1 = [0.5, 0.25, 1.0]\n";
    grows(some_fail, &some_fail.replace("replicates = 2", "replicates = 3"), 3);
    grows(EVOLVE_FAILING, &EVOLVE_FAILING.replace("generations = 2", "generations = 4"), 3);
}

#[test]
fn an_evolution_with_more_generations_is_the_evolution_begun_anew() {
    let evolve = EVOLVE.replace("stop = { objective = 0.01 }", "");
    grows(&evolve.replace("generations = 150", "generations = 40"), &evolve.replace("= 150", "= 90"), 0);
    grows(EVOLVE_SETTINGS, &EVOLVE_SETTINGS.replace("generations = 5", "generations = 9"), 0);
    grows(EVOLVE_STEPS, &EVOLVE_STEPS.replace("generations = 50", "generations = 60"), 0);
}

/// Where generations begin follows from what the strategy was told, and is found out again.
#[test]
fn an_evolution_that_restarts_grows_across_its_restarts() {
    let restarts = |budget: &str| RESTARTS.replace("objective = 1e-8, evaluations = 400_000", budget);
    grows(&restarts("evaluations = 30_000"), &restarts("evaluations = 60_000"), 0);
}

#[test]
fn a_sweep_of_evolutions_grows_as_any_sweep() {
    grows(EVOLUTIONS, &EVOLUTIONS.replace("replicates = 5", "replicates = 6"), 0);
}

#[test]
fn an_extension_that_is_killed_goes_on_and_the_run_stays_whole_until_it_is_complete() {
    let place = Place::new();
    let longer = LONG_SWEEP.replace("epochs = 600", "epochs = 3000").replace("replicates = 42", "replicates = 12");
    let expected = place.results(&longer, 2, "anew");
    let shorter = longer.replace("replicates = 12", "replicates = 6");
    let before = place.results(&shorter, 2, "grown");
    let (grown, growing) = (place.path().join("grown"), place.path().join("grown.extending"));
    let old_attempts = attempts(&grown);
    let mut extending = place.start("extend grown --set replicates=12 --quiet --workers 1");
    let come = until("something new is done", || {
        let done = standing(&growing.join(".tumble"), "last")?["trials_done"].as_u64()?;
        (done > 6 * 400).then_some(done)
    });
    // A worker that is stopped completes nothing, however long the rest of this takes.
    let workers = extending.workers();
    workers.iter().for_each(|worker| send(*worker, Signal::SIGSTOP));
    let second = place.tumble("extend grown --set replicates=12").exits(2).stderr;
    assert!(second.contains("another process extends"), "{second}");
    extending.kill_9();
    workers.iter().for_each(|worker| send(*worker, Signal::SIGKILL));
    assert_same(&results(&grown), &before, "while it grows, the run is what it was");
    assert!(come < 12 * 400 && growing.join(".tumble/journal.sqlite").exists());
    let other = place.tumble("extend grown --set replicates=13").exits(2).stderr;
    assert!(other.contains("another extension of"), "{other}");
    place.tumble("extend grown --quiet --workers 2").exits(0);
    assert_same(&results(&grown), &expected, "killed while it grew");
    assert!(!growing.exists());
    // No trial that was acknowledged before the kill, in either life, was evaluated again.
    let all = attempts(&grown);
    assert!(all.len() > old_attempts.len());
    let reported: u64 = all.iter().filter(|row| row.outcome == AttemptOutcome::Reported).map(|row| row.trials).sum();
    assert_eq!(reported, 12 * 400);
    survived("everything killed while a run is extended", 1);
}

#[test]
fn what_would_change_a_row_is_refused_with_the_reason() {
    let place = Place::new();
    let rungs = "name = \"rungs\"\npipeline = \"go-cls\"\n[config]\ninputs = 10\nnotebook_units = 0\n[sweep]\n\
                 design = \"random\"\npoints = 9\n[sweep.axes]\nsnr = { log = [0.1, 10.0] }\n[sweep.stopping]\n\
                 rule = \"successive-halving\"\nrungs = [1, 3]\nfactor = 3\n";
    let evolve = EVOLVE.replace("stop = { objective = 0.01 }", "").replace("= 150", "= 10");
    let reached = EVOLVE.replace("objective = 0.01", "objective = 1e9");
    let grid = sampled("grid", 0, 1).replace("points = 0\n", "").replace("] }", "], points = 3 }");
    let aborted = EVOLVE.replace("start = 0.0", "start = 1e300") + "[limits]\non_failure = \"abort\"\n";
    for (name, run_file, exit) in [
        ("sobol", &sampled("sobol", 40, 2), 0),
        ("latin", &sampled("latin-hypercube", 40, 1), 0),
        ("grid", &grid, 0),
        ("rungs", &rungs.to_owned(), 0),
        ("evolve", &evolve, 0),
        ("reached", &reached, 0),
        ("aborted", &aborted, 3),
        ("nested", &EVOLUTIONS.to_owned(), 0),
    ] {
        place.file("run.toml", run_file);
        place.tumble(&format!("run run.toml --quiet --workers 2 --out {name}")).exits(exit);
    }
    for (line, why) in [
        ("sobol", "say what to add, as in `tumble extend"),
        ("sobol --set replicates=2", "the run has all of that already"),
        ("sobol --set replicates=1", "`replicates` is 2 in the run, and 1 is less: an extension only adds"),
        ("sobol --set sweep.points=39", "`points` is 40 in the run, and 39 is less"),
        ("sobol --set seed=9", "it has `seed = 8`, not `seed = 9`"),
        ("sobol --set config.dimension=4", "it has `dimension = 3`, not `dimension = 4`"),
        ("sobol --set limits.timeout=1s --set replicates=4", "this would change the rows that the run has"),
        ("latin --set sweep.points=80", "the points of a latin-hypercube depend on how many there are"),
        ("grid --set sweep.axes.x2.points=4", "a grid can grow by more values at the end of its first axis alone"),
        ("rungs --set sweep.points=18", "a sweep that stops candidates early cannot be extended"),
        ("evolve --set replicates=4", "an evolution cannot be given other `replicates`"),
        ("evolve --set evolve.generations=9", "`evolve.generations` is 10 in the run, and 9 is less"),
        ("evolve --set evolve.population=50 --set evolve.generations=20", "it has `population = 40`"),
        ("reached --set evolve.generations=500", "the longer run would end where this one did (objective reached)"),
        ("aborted --set evolve.generations=500", "the run did not come to its end (aborted: "),
        ("nested --set evolve.generations=500", "it has `generations = 100`, not `generations = 500`"),
        ("nobody --set replicates=3", "nobody holds no run"),
    ] {
        let said = place.tumble(&format!("extend {line}")).exits(2);
        assert!(said.stderr.contains(why), "{line}: {}", said.stderr);
        assert!(said.stdout.is_empty(), "{line}: {}", said.stdout);
        let name = line.split(' ').next().expect("it has a name");
        assert!(!place.path().join(format!("{name}.extending")).exists(), "{line} left something behind");
    }
    // A run that is not complete is completed first.
    fs::remove_file(place.path().join("sobol/summary.json")).unwrap();
    let said = place.tumble("extend sobol --set replicates=3").exits(2).stderr;
    assert!(said.contains("is not complete; complete it first with `tumble run --resume --out"), "{said}");
}

/// A table that was changed by hand would lead the strategy elsewhere: its state hashes tell.
#[test]
fn generations_that_the_trials_do_not_lead_to_are_refused_by_name() {
    let place = Place::new();
    let evolve = EVOLVE.replace("stop = { objective = 0.01 }", "").replace("= 150", "= 10");
    place.results(&evolve, 2, "run");
    // The same run under another seed has other trials.
    place.results(&evolve.replace("seed = 5", "seed = 6"), 2, "other");
    fs::copy(place.path().join("other/trials/part-00000.parquet"), place.path().join("run/trials/part-00000.parquet"))
        .unwrap();
    let said = place.tumble("extend run --set evolve.generations=20").exits(2).stderr;
    assert!(
        said.contains("generation 1 is not what this version of Tumble makes of the generations before it"),
        "{said}"
    );
    assert!(!place.path().join("run.extending").exists());
    survived("generations or trials changed by hand", 1);
}
