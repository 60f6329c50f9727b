//! What is shown: to people as text with a plot, to programs as exactly one JSON value.

use crate::cases::*;
use crate::tumble::*;

#[test]
fn show_prints_the_best_the_trials_and_a_plot() {
    let place = Place::new();
    for (run_file, out, best, trials, title) in [
        (POINTS, "points", "value", "trials    50 000, none failed", "value over x0"),
        (EVOLVE, "evolve", "value", " generations, none failed", "value over generations"),
        (EVOLUTIONS, "evolutions", "value", "trials    60, none failed", "mean best over function"),
        (GO_CLS, "students", "generalisation_early", "trials    96, none failed", "generalisation_early over snr"),
        (TINY_NETWORKS, "networks", "f1", "trials    24, none failed", "mean f1 over pair"),
    ] {
        place.results(run_file, 2, out);
        let shown = place.tumble(&format!("show {out}")).exits(0);
        let text = &shown.stdout;
        assert!(text.starts_with(&format!("{}-", out_name(run_file))), "{text}");
        assert!(
            text.lines().any(|l| l.starts_with(&format!("best      {best} ")) && l.ends_with("(champion.json)")),
            "{text}"
        );
        assert!(text.contains(trials), "{text}");
        assert!(text.lines().any(|line| line == title), "{text}");
        let plot = text.split(title).nth(1).expect("the title was found");
        assert!(plot.contains('│') || plot.contains('█'), "there is no plot:\n{text}");
        assert!(text.contains(&format!("{out}/trials/*.parquet")), "{text}");
        assert_eq!(shown.stderr, "");
        // What the run itself printed at its end is the same page.
        let value = place.tumble(&format!("show {out} --output json")).exits(0).json();
        assert_eq!(value["state"], "finished");
        assert!(value["best"].is_f64(), "{value:#}");
    }
}

fn out_name(run_file: &str) -> &str {
    run_file.split('"').nth(1).expect("every run file begins with its name")
}

#[test]
fn asked_for_json_every_command_prints_one_value() {
    let place = Place::new();
    place.file("points.toml", POINTS);
    place.file("long.toml", LONG_SWEEP);
    let run = place.tumble("run points.toml --workers 2 --out out --output json").exits(0).json();
    assert_eq!((&run["trials"], &run["state"]), (&50_000.into(), &"finished".into()));
    assert_eq!(run["folder"], place.path().join("out").to_str().unwrap());
    let resumed = place.tumble("run --resume --out out --output json").exits(0).json();
    assert_eq!(resumed["run"], run["run"]);
    for (line, key) in [
        ("check points.toml", "trials"),
        ("pipelines go-cls", "parameters"),
        ("strategies cma-es", "parameters"),
        ("designs sobol", "summary"),
        ("show out", "best"),
    ] {
        let value = place.tumble(&format!("{line} --output json")).exits(0).json();
        assert!(!value[key].is_null(), "{line}: {value:#}");
    }
    for line in ["pipelines", "strategies", "designs"] {
        let value = place.tumble(&format!("--output json {line}")).exits(0).json();
        assert!(value.as_array().is_some_and(|list| list.len() >= 3), "{line}: {value:#}");
    }

    let coordinator = Coordinator::start(&place, "127.0.0.1:0");
    let submitted = coordinator.client("submit long.toml --output json").exits(0).json();
    assert_eq!(submitted["state"], "waiting");
    let worker = coordinator.worker();
    for (line, code) in [("list", 0), ("status", 0), ("wait --timeout 1s", 4), ("cancel", 0), ("wait", 4), ("watch", 4)]
    {
        let value = coordinator.client(&format!("{line} --output json")).exits(code).json();
        let run = if line == "list" { &value["runs"][0] } else { &value };
        assert_eq!(run["run"], submitted["run"], "{line}");
    }
    // Errors of every kind.
    for (line, code) in [("status nobody", 2), ("resume last", 2), ("submit none.toml", 2)] {
        let value = coordinator.client(&format!("{line} --output json")).exits(code).json();
        assert_eq!(value["exit_code"], code, "{line}");
        assert!(value["error"].is_string(), "{line}");
    }
    drop(worker);
    let value = place.tumble("list --access nowhere --output json").exits(5).json();
    assert_eq!(value["exit_code"], 5);
    let value = place.tumble("list --access nowhere --output=json --wobble").exits(2).json();
    assert_eq!(value["exit_code"], 2);
}

/// A run that fails once printed its summary and an error: two values.
#[test]
fn a_run_that_aborts_or_is_stopped_prints_one_value_as_well() {
    let place = Place::new();
    place.file("run.toml", &format!("{LONG_SWEEP}\n[limits]\nwall = \"1s\"\n"));
    let stopped = place.tumble("run run.toml --workers 1 --out stopped --output json").exits(4).json();
    assert_eq!((&stopped["state"], &stopped["reason"]), (&"stopped".into(), &"the wall limit is reached".into()));
    let expected = format!("tumble run --resume --out {}", place.path().join("stopped").display());
    assert_eq!(stopped["resume"], expected);
    let failing = POINTS.replace("sphere", "rotated-ellipsoid").replace("dimension = 2", "dimension = 1025");
    place.file("run.toml", &format!("{failing}\n[limits]\non_failure = \"abort\"\n"));
    let failed = place.tumble("run run.toml --workers 1 --out failed --output json").exits(3).json();
    assert_eq!((&failed["state"], &failed["trials"]), (&"failed".into(), &1.into()));
}

#[test]
fn quiet_leaves_results_and_errors_alone() {
    let place = Place::new();
    place.file("points.toml", POINTS);
    let loud = place.tumble("run points.toml --workers 1 --out loud").exits(0);
    assert!(loud.stderr.contains(": 1 workers, tables in "), "{}", loud.stderr);
    let quiet = place.tumble("run points.toml --workers 1 --out quiet --quiet").exits(0);
    assert_eq!(quiet.stderr, "");
    assert!(quiet.stdout.contains("trials    50 000, none failed"));
}
