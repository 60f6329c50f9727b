//! The first promise: one run file, the same bytes, whatever happens on the way.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tumble_tables::{AttemptOutcome, read_attempts};

use crate::cases::*;
use crate::tally::survived;
use crate::tumble::*;

/// The two run files that things happen to, each with its number of trials.
const LONG: [(&str, u64); 2] = [(LONG_SWEEP, LONG_SWEEP_TRIALS), (LONG_EVOLVE, LONG_EVOLVE_TRIALS)];

fn the_same_for_one_worker_and_three(run_file: &str, trials: Option<u64>) -> Results {
    let place = Place::new();
    let (one, three) = (place.results(run_file, 1, "one"), place.results(run_file, 3, "three"));
    assert_same(&three, &one, "three workers instead of one");
    let rows = summary(&place.path().join("three"))["trials"].as_u64().expect("it counts");
    assert_each_trial_once(&place.path().join("three"), trials.unwrap_or(rows));
    one
}

#[test]
fn a_sweep_of_many_points_is_the_same_for_one_worker_and_three() {
    let results = the_same_for_one_worker_and_three(POINTS, Some(50_000));
    assert_eq!(results.keys().filter(|name| name.starts_with("trials/part-")).count(), 13);
}

#[test]
fn an_evolution_is_the_same_for_one_worker_and_three() {
    let results = the_same_for_one_worker_and_three(EVOLVE, None);
    assert!(results.contains_key("generations.parquet") && results.contains_key("champion.json"));
}

/// Generations of other sizes stand in other places: a worker that joins late and a coordinator that restarts must know.
#[test]
fn an_evolution_that_restarts_with_other_populations_is_the_same_for_any_workers_and_after_a_kill() {
    let quiet = the_same_for_one_worker_and_three(RESTARTS, None);
    let place = Place::new();
    place.file("run-file.toml", RESTARTS);
    let folder = place.path().join("killed");
    let run = place.start("run run-file.toml --quiet --workers 2 --out killed");
    until("several populations were tried", || {
        standing(&folder.join(".tumble"), "last")?["generation"].as_u64().filter(|generation| *generation > 300)
    });
    kill_everything(run, &folder, 0.0);
    place.tumble("run --resume --quiet --workers 3 --out killed").exits(0);
    assert_same(&results(&folder), &quiet, "killed in the middle of its restarts");
    let summary = summary(&folder);
    assert_eq!(summary["reason"], "objective reached");
    assert_each_trial_once(&folder, summary["trials"].as_u64().expect("it counts"));
    survived("everything killed", 1);
}

#[test]
fn evolutions_within_trials_are_the_same_for_one_worker_and_three() {
    the_same_for_one_worker_and_three(EVOLUTIONS, Some(60));
}

#[test]
fn a_sweep_in_branches_is_the_same_for_one_worker_and_three() {
    the_same_for_one_worker_and_three(BRANCHES, Some(2 * (8 + 4 + 4) * 200));
}

/// Each trial of a sweep in branches is what the same point gives in a run of its own, where what is not there is left to
/// its default; and its columns hold nothing there.
#[test]
fn what_is_not_there_has_its_default_and_nothing_in_its_column() {
    let place = Place::new();
    place.results(BRANCHES, 3, "branches");
    let column = |name: &str| {
        let column = tumble_tables::read_column(&place.path().join("branches/trials"), name);
        column.expect("the table is complete").numbers().expect("it holds numbers")
    };
    let [x0, x1, dimension, value] = ["x0", "x1", "dimension", "value"].map(column);
    let absent = |column: &[f64]| column.iter().filter(|x| x.is_nan()).count();
    // Missing at the 4 points of rastrigin; at those and the 4 of rosenbrock; at all but rastrigin's. Twice, 200 times.
    assert_eq!([&x0, &x1, &dimension].map(|c| absent(c)), [4 * 400, 8 * 400, 12 * 400]);
    assert_eq!(absent(&value), 0);
    // A rosenbrock of ten elements, of which the first is -1, the second and the third 0.
    let first =
        dimension.iter().zip(&x0).rposition(|(d, x)| d.is_nan() && *x == -1.0).expect("it is the last function");
    let alone = "name = \"alone\"\npipeline = \"benchmark-functions\"\n[config]\nfunction = \"rosenbrock\"\n\
                 [sweep]\ndesign = \"list\"\n[sweep.axes]\nx0 = -1.0\nx2 = 0.25\n";
    place.results(alone, 1, "alone");
    let alone = tumble_tables::read_column(&place.path().join("alone/trials"), "value").unwrap().numbers().unwrap();
    assert_eq!(value[first], alone[0]);
    place.tumble("verify branches --sample 0.05").exits(0);
    let shown = place.tumble("show branches").exits(0).stdout;
    assert!(shown.contains("mean value over function"), "{shown}");
    place.file("branches.toml", BRANCHES);
    let checked = place.tumble("check branches.toml").exits(0).stdout;
    let branches = "branches  function: 16 at \"sphere\", 8 at \"rastrigin\", 8 at \"rosenbrock\"\n";
    assert!(checked.contains(branches) && checked.contains("x1 f64 or null"), "{checked}");
    let replayed = place.tumble("replay branches --trial 0 --output json").exits(0).json();
    assert!(replayed["axes"]["dimension"].is_null() && replayed["axes"]["x1"].is_f64(), "{replayed:#}");
}

/// The points of a file are those of the same list in the run file, and a run needs the file no more once it has begun.
#[test]
fn points_from_a_file_are_a_list_in_the_run() {
    let place = Place::new();
    let head = "name = \"points\"\npipeline = \"benchmark-functions\"\n[config]\ndimension = 2\n[sweep]\n\
                design = \"list\"\n";
    let listed =
        format!("{head}[sweep.axes]\nfunction = [\"sphere\", \"sphere\", \"rastrigin\"]\nx1 = [0.5, -1, 2e-3]\n");
    let expected = place.results(&listed, 1, "listed");
    std::fs::create_dir(place.path().join("files")).unwrap();
    place.file("files/points.csv", "function,x1,note\nsphere,0.5,a\nsphere,-1,b\n\"rastrigin\",2e-3,c\n");
    place.file("files/run.toml", &format!("{head}file = \"points.csv\"\naxes = [\"function\", \"x1\"]\n"));
    place.tumble("run files/run.toml --quiet --workers 3 --out csv").exits(0);
    assert_same(&results(&place.path().join("csv")), &expected, "from a CSV file");
    // A table of ours is a file of points as well: what a sweep tried, once more.
    fs::copy(place.path().join("csv/trials/part-00000.parquet"), place.path().join("files/tried.parquet")).unwrap();
    place.file("files/again.toml", &format!("{head}file = \"tried.parquet\"\naxes = [\"function\", \"x1\"]\n"));
    fs::remove_file(place.path().join("files/points.csv")).unwrap();
    place.tumble("run files/again.toml --quiet --workers 2 --out parquet").exits(0);
    assert_same(&results(&place.path().join("parquet")), &expected, "from a Parquet file");
    place.tumble("run --resume --out csv").exits(0);
    let said = place.tumble("check files/run.toml").exits(2).stderr;
    assert!(said.contains("files/run.toml:7:8: the points of `points.csv` cannot be read"), "{said}");
    place.file("files/points.csv", "function,x1\nsphere,0.5\nsphere,half\n");
    let said = place.tumble("check files/run.toml").exits(2).stderr;
    assert!(said.contains("files/points.csv:3:2: axis `x1` mixes number and text"), "{said}");
}

#[test]
fn students_are_the_same_for_one_worker_and_three() {
    the_same_for_one_worker_and_three(GO_CLS, Some(96));
}

#[test]
fn small_networks_are_the_same_for_one_worker_and_three() {
    the_same_for_one_worker_and_three(TINY_NETWORKS, Some(24));
}

/// What was recorded as a run file gives the same run again.
#[test]
fn the_run_file_that_a_run_leaves_gives_its_bytes_again() {
    let place = Place::new();
    let first = place.results(EVOLVE, 2, "first");
    place.tumble("run first/run.toml --quiet --workers 2 --out second").exits(0);
    assert_same(&results(&place.path().join("second")), &first, "run.toml run again");
}

/// How many leases of a run were lost with their workers.
fn lost(folder: &Path) -> usize {
    let attempts = read_attempts(&folder.join("attempts.parquet")).expect("the table is complete");
    attempts.iter().filter(|attempt| attempt.outcome == AttemptOutcome::Lost).count()
}

/// How many leases of a run were given up because their workers were silent.
fn expired(folder: &Path) -> usize {
    let attempts = read_attempts(&folder.join("attempts.parquet")).expect("the table is complete");
    attempts.iter().filter(|attempt| attempt.outcome == AttemptOutcome::Expired).count()
}

/// Long enough for a worker to join and for a generation to pass, short beside a run.
const MOMENT: Duration = Duration::from_millis(100);

#[test]
fn workers_killed_again_and_again_change_no_byte() {
    // In a sweep every worker holds trials at any time; between two generations some are idle.
    for ((run_file, trials), lost_min) in LONG.into_iter().zip([4, 1]) {
        let place = Place::new();
        let quiet = undisturbed(run_file);
        place.file("run-file.toml", run_file);
        let mut run = place.start("run run-file.toml --quiet --workers 3 --out killed");
        let folder = place.path().join("killed");
        let mut killed = BTreeSet::new();
        // First one of them, then two at once, then the new ones that came in their place.
        for (share, count) in [(0.05, 1), (0.2, 2), (0.35, 2), (0.5, 1)] {
            under_way(&folder.join(".tumble"), "last", share);
            let workers = until("all workers are there", || Some(run.workers()).filter(|w| w.len() == 3));
            // Stopped for a moment before it dies, a worker that has joined is sure to hold trials: those it was given
            // before, or of the next generation.
            std::thread::sleep(MOMENT);
            // The oldest: on a busy machine the newest may not have joined yet, and would hold nothing.
            let victims: Vec<u32> = workers.into_iter().take(count).collect();
            victims.iter().for_each(|worker| send(*worker, Signal::SIGSTOP));
            std::thread::sleep(MOMENT);
            for worker in victims {
                send(worker, Signal::SIGKILL);
                killed.insert(worker);
            }
        }
        assert_eq!(run.ended().code(), Some(0));
        assert_eq!(killed.len(), 6, "each was another process");
        assert!(lost(&folder) >= lost_min, "only {} leases were lost: the kills hit idle workers", lost(&folder));
        assert_same(&results(&folder), quiet, "six workers killed");
        assert_each_trial_once(&folder, trials);
        assert_eq!(summary(&folder)["disagreements"], 0);
        assert!(!folder.join(".tumble").exists(), "what only a resume needs is tidied away");
        survived("workers of `tumble run` killed", killed.len() as u64);
    }
}

/// Kills the whole of a run with -9 once it has come so far; its workers must be gone soon after, without a complaint.
fn kill_everything(mut run: Process, folder: &Path, share: f64) {
    under_way(&folder.join(".tumble"), "last", share);
    let workers = run.workers();
    assert!(!workers.is_empty());
    run.kill_9();
    assert!(!folder.join("summary.json").exists(), "the run had ended before it was killed");
    until("the workers are gone, too", || workers.iter().all(|worker| is_gone(*worker)).then_some(()));
    let log = fs::read_to_string(folder.join(".tumble/workers.log")).expect("workers write one");
    // They left because they were let go of, and not because they found nobody any more.
    for complaint in ["panicked", "no coordinator answers"] {
        assert!(!log.contains(complaint), "a worker that was let go of said:\n{log}");
    }
}

#[test]
fn a_run_killed_twice_with_all_that_belongs_to_it_is_resumed_to_the_same_bytes() {
    for (run_file, trials) in LONG {
        let place = Place::new();
        let quiet = undisturbed(run_file);
        place.file("run-file.toml", run_file);
        let folder = place.path().join("killed");
        kill_everything(place.start("run run-file.toml --quiet --workers 2 --out killed"), &folder, 0.25);
        // Whatever a reader finds now is a true prefix of what there will be.
        for (name, bytes) in results(&folder).iter().filter(|(name, _)| name.contains("/part-")) {
            assert!(quiet[name] == *bytes, "{name} stood there with other bytes");
        }
        // As a writer leaves it that is killed in the middle of a part.
        fs::write(folder.join("trials/.part-00007.parquet.1-0.tmp"), "half of it").unwrap();
        kill_everything(place.start("run --resume --quiet --workers 2 --out killed"), &folder, 0.6);
        place.tumble("run run-file.toml --resume --quiet --workers 3 --out killed").exits(0);
        assert_same(&results(&folder), quiet, "killed twice and resumed");
        assert_each_trial_once(&folder, trials);
        // Once more makes no difference, also where a process was killed while it tidied up.
        fs::create_dir(folder.join(".tumble-over")).unwrap();
        let said = place.tumble("run --resume --out killed").exits(0);
        assert!(!folder.join(".tumble-over").exists(), "it is not left to lie about");
        assert!(said.stderr.contains("is complete already"), "{said:#?}");
        assert_same(&results(&folder), quiet, "resumed though complete");
        survived("everything killed", 2);
    }
}

/// Once, a folder named by another path than before was taken for that of a second run, and removed with all in it.
#[test]
fn a_run_is_resumed_in_a_folder_that_has_moved_or_is_named_differently() {
    let place = Place::new();
    let quiet = undisturbed(LONG_SWEEP);
    place.file("run-file.toml", LONG_SWEEP);
    fs::create_dir(place.path().join("elsewhere")).unwrap();
    let (there, moved) = (place.path().join("there"), place.path().join("moved"));
    kill_everything(place.start("run run-file.toml --quiet --workers 2 --out there"), &there, 0.2);
    kill_everything(place.start("run --resume --quiet --workers 2 --out elsewhere/../there"), &there, 0.5);
    fs::rename(&there, &moved).unwrap();
    let mut resumed = place.start("run --resume --quiet --workers 2 --out moved");
    let view = under_way(&moved.join(".tumble"), "last", 0.5);
    assert_eq!(view["folder"], moved.to_str().unwrap());
    assert_eq!(resumed.ended().code(), Some(0));
    assert_same(&results(&moved), quiet, "moved");
    assert!(!there.exists(), "the old folder came back");
    survived("everything killed", 2);
}

#[test]
fn a_run_that_is_asked_to_stop_says_how_to_go_on_and_does() {
    for (signal, (run_file, trials)) in [Signal::SIGINT, Signal::SIGTERM].into_iter().zip(LONG) {
        let place = Place::new();
        let quiet = undisturbed(run_file);
        place.file("run-file.toml", run_file);
        let folder = place.path().join("stopped");
        let run = place.start("run run-file.toml --quiet --workers 2 --out stopped");
        let before = under_way(&folder.join(".tumble"), "last", 0.3)["trials_done"].as_u64();
        let workers = run.workers();
        run.signal(signal);
        let said = run.said().exits(4);
        assert!(workers.iter().all(|worker| is_gone(*worker)), "workers leave before the run does");
        let resume = format!("tumble run --resume --out {}", folder.display());
        assert_eq!(said.stdout, format!("stopped (interrupted); go on with\n  {resume}\n"));
        assert!(!folder.join("summary.json").exists());

        // Nothing of what was done is done again: the resumed run begins where the other was.
        let mut command = tumble();
        command.args(resume.split_whitespace().skip(1)).args(["--quiet", "--workers", "2"]);
        let mut resumed = Process::start(command);
        let after = until("it goes on", || standing(&folder.join(".tumble"), "last"))["trials_done"].as_u64();
        assert!(after >= before, "{before:?} trials were done, {after:?} are left of them");
        assert_eq!(resumed.ended().code(), Some(0));
        assert_same(&results(&folder), quiet, "stopped and resumed");
        assert_each_trial_once(&folder, trials);
        survived("a run asked to stop", 1);
    }
}

/// A worker that does not answer holds the first request up for seconds; the second one does not wait for it.
#[test]
fn a_second_request_to_stop_ends_the_run_at_once_and_loses_nothing() {
    let place = Place::new();
    let quiet = undisturbed(LONG_SWEEP);
    place.file("run-file.toml", LONG_SWEEP);
    let folder = place.path().join("stopped");
    let mut run = place.start("run run-file.toml --quiet --workers 2 --out stopped");
    under_way(&folder.join(".tumble"), "last", 0.3);
    let workers = run.workers();
    send(workers[0], Signal::SIGSTOP);
    run.signal(Signal::SIGINT);
    until("the other worker has left", || is_gone(workers[1]).then_some(()));
    assert!(!run.has_ended(), "it waits for the worker that is stopped");
    run.signal(Signal::SIGINT);
    assert_eq!(run.ended().code(), Some(128 + 2));
    send(workers[0], Signal::SIGCONT);
    until("the worker lets go of its leash", || is_gone(workers[0]).then_some(()));
    place.tumble("run --resume --quiet --workers 2 --out stopped").exits(0);
    assert_same(&results(&folder), quiet, "stopped at once and resumed");
}

/// The one worker there is falls silent for longer than the coordinator puts up with (10 s), and comes back with
/// reports of trials that were taken from it.
#[test]
fn a_worker_that_falls_silent_is_given_up_and_taken_back() {
    let place = Place::new();
    let quiet = undisturbed(LONG_SWEEP);
    place.file("run-file.toml", LONG_SWEEP);
    let folder = place.path().join("silent");
    let mut run = place.start("run run-file.toml --quiet --workers 1 --out silent");
    under_way(&folder.join(".tumble"), "last", 0.2);
    let worker = run.workers()[0];
    send(worker, Signal::SIGSTOP);
    until("the coordinator gives it up", || {
        let view = standing(&folder.join(".tumble"), "last")?;
        (view["state"] == "waiting" && view["reason"] == "no worker has joined").then_some(())
    });
    assert_eq!(run.workers(), [worker], "nobody took its place: it lives");
    send(worker, Signal::SIGCONT);
    assert_eq!(run.ended().code(), Some(0));
    assert!(expired(&folder) >= 1);
    assert_same(&results(&folder), quiet, "silent for a while");
    assert_each_trial_once(&folder, LONG_SWEEP_TRIALS);
    survived("a worker silent for longer than 10 s", 1);
}
