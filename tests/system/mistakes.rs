//! What is wrong is said once, with its place and its fix, before anything is written.

use std::fs;
use std::path::Path;

use crate::cases::*;
use crate::tumble::*;

const GOOD: &str = r#"name = "points"
pipeline = "benchmark-functions"
[config]
function = "sphere"
dimension = 2
[sweep]
design = "grid"
[sweep.axes]
x0 = { linear = [-1.0, 1.0], points = 5 }
"#;

/// The names of everything under a folder.
fn everything(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).expect("it is a folder").map(Result::unwrap) {
        names.push(entry.path().display().to_string());
        if entry.path().is_dir() {
            names.extend(everything(&entry.path()));
        }
    }
    names.sort();
    names
}

/// Holds what a command says against `expected`, which begins after a line break; it must exit with 2, print nothing to
/// stdout and write nothing. With JSON it says the same in one value.
#[track_caller]
fn refuses(place: &Place, line: &str, expected: &str) {
    let before = everything(place.path());
    let said = place.tumble(line).exits(2);
    assert_eq!(format!("\n{}", said.stderr), expected, "{line}");
    assert_eq!(said.stdout, "", "{line}");
    let said = place.tumble(&format!("{line} --output json")).exits(2);
    let value = said.json();
    assert_eq!(format!("\nerror: {}\n", value["error"].as_str().expect("it says why")), expected, "{line} as JSON");
    assert_eq!(value["exit_code"], 2);
    assert_eq!(everything(place.path()), before, "{line} has written something");
}

/// The same of a run file in which `from` stands as `to`; `tumble check` finds what `tumble run` and `submit` find.
#[track_caller]
fn refuses_file(from: &str, to: &str, expected: &str) {
    let place = Place::new();
    assert!(GOOD.contains(from), "the good run file has `{from}`");
    place.file("run.toml", &GOOD.replace(from, to));
    for line in ["run run.toml --workers 1 --out out", "check run.toml", "submit run.toml --access none"] {
        refuses(&place, line, expected);
    }
}

/// A command line on the good run file.
#[track_caller]
fn refuses_line(line: &str, expected: &str) {
    let place = Place::new();
    place.file("run.toml", GOOD);
    refuses(&place, line, expected);
}

#[test]
fn an_unknown_pipeline() {
    refuses_file(
        "benchmark-functions",
        "benchmark-function",
        r#"
error: the run file has a problem
run.toml:2:12: unknown pipeline `benchmark-function`
    2 | pipeline = "benchmark-function"
      |            ^^^^^^^^^^^^^^^^^^^^
    did you mean `benchmark-functions`? known: `benchmark-functions`, `digit-layers`, `go-cls`, `tiny-networks`, `program`, `python`
"#,
    );
}

#[test]
fn an_unknown_key() {
    refuses_file(
        "dimension",
        "dimensoin",
        r#"
error: the run file has a problem
run.toml:5:1: unknown key `dimensoin` in [config] of `benchmark-functions`
    5 | dimensoin = 2
      | ^^^^^^^^^
    did you mean `dimension`?
"#,
    );
}

#[test]
fn an_unknown_strategy_and_what_is_wrong_beside_it() {
    refuses_file(
        "[sweep]\n",
        "[evolve]\nstrategy = \"cma\"\n[sweep]\n",
        r#"
error: the run file has 2 problems
run.toml:7:12: unknown strategy `cma`
    7 | strategy = "cma"
      |            ^^^^^
    did you mean `cma-es`?
run.toml:11:1: [evolve] searches `x`, so `x0` cannot be an axis
    11 | x0 = { linear = [-1.0, 1.0], points = 5 }
       | ^^
    remove the axis, or [evolve]
"#,
    );
}

#[test]
fn an_unknown_axis() {
    refuses_file(
        "x0 =",
        "y0 =",
        r#"
error: the run file has a problem
run.toml:9:1: axis `y0` names no parameter of `benchmark-functions`
    9 | y0 = { linear = [-1.0, 1.0], points = 5 }
      | ^^
    did you mean `x0`?
"#,
    );
}

#[test]
fn an_unknown_form_of_an_axis() {
    refuses_file(
        "linear",
        "lineal",
        r#"
error: the run file has a problem
run.toml:9:8: unknown axis form `lineal` in axis `x0`
    9 | x0 = { lineal = [-1.0, 1.0], points = 5 }
      |        ^^^^^^
    did you mean `linear`?
"#,
    );
}

#[test]
fn an_axis_without_points() {
    refuses_file(
        ", points = 5",
        "",
        r#"
error: the run file has a problem
run.toml:9:8: axis `x0` has no `points`
    9 | x0 = { linear = [-1.0, 1.0] }
      |        ^^^^^^
    write `{ linear = [-1.0, 1.0], points = 5 }`
"#,
    );
    refuses_file(
        "{ linear = [-1.0, 1.0], points = 5 }",
        "[]",
        r#"
error: the run file has a problem
run.toml:9:6: axis `x0` has no points
    9 | x0 = []
      |      ^^
    write at least one value, or remove the axis
"#,
    );
}

#[test]
fn a_line_that_is_no_toml() {
    refuses_file(
        "dimension = 2",
        "dimension =",
        r#"
error: the run file has a problem
run.toml:5:12: no TOML: string values must be quoted, expected literal string
    5 | dimension =
      |            ^
    a line is `key = value`, with text in quotes, or `[section]`
"#,
    );
}

#[test]
fn a_run_file_that_is_not_there() {
    for line in ["run none.toml --out out", "check none.toml", "submit none.toml --access none"] {
        refuses_line(
            line,
            "
error: failed to read the run file none.toml: No such file or directory (os error 2)
",
        );
    }
}

#[test]
fn an_override_that_makes_no_sense() {
    for line in ["run run.toml --out out --set dimension", "check run.toml --set dimension"] {
        refuses_line(
            line,
            "
error: invalid value 'dimension' for '--set <KEY=VALUE>': expected KEY=VALUE, such as `evolve.sigma=0.5`

For more information, try '--help'.
",
        );
    }
    refuses_line(
        "run run.toml --out out --set seed=two --set sweep.desing=grid",
        "
error: the run file has 2 problems
--set seed=two: `seed` has the wrong type: expected integer, found text
    for example `seed = 1`
--set sweep.desing=grid: unknown key `desing` in [sweep]
    did you mean `design`?
",
    );
}

#[test]
fn no_worker_at_all() {
    refuses_line(
        "run run.toml --out out --workers 0",
        "
error: invalid value '0' for '--workers <WORKERS>': 0 is not in 1..=4096

For more information, try '--help'.
",
    );
}

#[test]
fn names_that_nothing_has() {
    refuses_line(
        "pipelines benchmark-function",
        "\nerror: unknown pipeline `benchmark-function`; did you mean `benchmark-functions`?\n",
    );
    refuses_line("strategies open-ai-ez", "\nerror: unknown strategy `open-ai-ez`; did you mean `open-ai-es`?\n");
    refuses_line("designs gird", "\nerror: unknown design `gird`; did you mean `grid`?\n");
}

#[test]
fn a_folder_that_holds_something_already() {
    let place = Place::new();
    place.file("run.toml", GOOD);
    fs::create_dir(place.path().join("full")).unwrap();
    place.file("full/thesis.txt", "three years of work");
    refuses(
        &place,
        "run run.toml --out full",
        "\nerror: the folder full exists and is not empty; choose another --out, or remove it\n",
    );
    refuses(
        &place,
        "run run.toml --out run.toml",
        "\nerror: the folder run.toml cannot be used: Not a directory (os error 20)\n",
    );
    place.tumble("run run.toml --quiet --workers 1 --out done").exits(0);
    refuses(
        &place,
        "run run.toml --out done",
        "\nerror: the folder done exists and is not empty; choose another --out, or remove it\n",
    );
    assert_eq!(fs::read_to_string(place.path().join("full/thesis.txt")).unwrap(), "three years of work");
    // An empty folder is as good as none.
    fs::create_dir(place.path().join("empty")).unwrap();
    place.tumble("run run.toml --quiet --workers 1 --out empty").exits(0);
}

#[test]
fn a_run_that_was_stopped_is_not_begun_anew_by_accident() {
    let place = Place::new();
    place.file("run.toml", LONG_SWEEP);
    let mut run = place.start("run run.toml --quiet --workers 1 --out out");
    under_way(&place.path().join("out/.tumble"), "last", 0.0);
    run.kill_9();
    let kept = results(&place.path().join("out"));
    let said = place.tumble("run run.toml --out out").exits(2);
    let expected = "error: the folder out exists and is not empty; complete it with `tumble run --resume --out out`, or choose \
                    another --out\n";
    assert_eq!(said.stderr, expected);
    // Nor is there anything to show yet.
    let said = place.tumble("show out").exits(2);
    let expected = "error: failed to read out/summary.json: No such file or directory (os error 2); the run is not complete, \
                    go on with `tumble run --resume --out out`\n";
    assert_eq!(said.stderr, expected);
    // Without its run file there is nothing to resume, and nobody is told to; what the journal knows is not begun over.
    fs::remove_file(place.path().join("out/run.toml")).unwrap();
    let said = place.tumble("run run.toml --out out").exits(2);
    let expected = "error: the folder out exists and is not empty; choose another --out, or remove it\n";
    assert_eq!(said.stderr, expected);
    assert_eq!(results(&place.path().join("out")).len() + 1, kept.len());
}

#[test]
fn a_resume_of_what_is_no_run_or_another_one() {
    let place = Place::new();
    place.file("run.toml", GOOD);
    fs::create_dir(place.path().join("empty")).unwrap();
    for folder in ["empty", "nowhere"] {
        refuses(
            &place,
            &format!("run --resume --out {folder}"),
            &format!(
                "\nerror: {folder} holds no run to resume (there is no run.toml in it); begin one without --resume\n"
            ),
        );
    }
    place.tumble("run run.toml --quiet --workers 1 --out done").exits(0);
    place.file("other.toml", &GOOD.replace("dimension = 2", "dimension = 3"));
    refuses(
        &place,
        "run other.toml --resume --out done",
        "
error: other.toml is not the run in done: there `dimension = 2`, here `dimension = 3`; leave the file out to go on with the recorded one
",
    );
    refuses(
        &place,
        "run --resume --set seed=3 --out done",
        "
error: --set seed=3 is not the run in done: there `seed = 0`, here `seed = 3`; leave --set out to go on with the recorded one
",
    );
    place.tumble("run run.toml --resume --quiet --out done").exits(0);
}

#[test]
fn a_show_of_what_is_no_run() {
    refuses_line(
        "show nowhere",
        "\nerror: failed to read nowhere/summary.json: No such file or directory (os error 2)\n",
    );
}

#[test]
fn an_evolution_that_does_not_fit_in_memory_is_refused_with_its_size_and_with_what_would_fit() {
    let place = Place::new();
    let evolution = r#"name = "wide"
pipeline = "benchmark-functions"
[config]
dimension = 1000
[evolve]
strategy = "cma-es"
generations = 1
"#;
    place.file("run.toml", evolution);
    let before = everything(place.path());
    for line in ["run run.toml --workers 1 --out out --memory 10MB", "check run.toml --memory 10MB"] {
        let said = place.tumble(line).exits(2).stderr;
        for word in
            ["`cma-es` needs about", "candidates of 1000 numbers", "10.0 MB is the limit", "`sep-cma-es`", "--memory"]
        {
            assert!(said.contains(word), "{line}: {said}");
        }
    }
    assert_eq!(everything(place.path()), before);
    // 2 004 000 numbers of state, twice 1 001 000 of the proposal, and two states more on their way to disk.
    let value = place.tumble("check run.toml --memory 100GB --output json").exits(0).json();
    assert_eq!(value["memory"]["coordinator_bytes"], 8 * (3 * 2_004_000 + 2 * 1_001_000));
    let text = place.tumble("check run.toml --memory 100GB").exits(0).stdout;
    assert!(text.contains("memory    up to 64.1 MB in the coordinator, 24.0 MB in a slot of a worker"), "{text}");
}

/// A good run file is checked in passing: nothing is written, and what it says is what the run then does.
#[test]
fn a_check_of_a_good_run_file_writes_nothing_and_is_true() {
    let place = Place::new();
    place.file("run.toml", POINTS);
    let before = everything(place.path());
    let text = place.tumble("check run.toml").exits(0);
    let value = place.tumble("check run.toml --output json").exits(0).json();
    let canonical = place.tumble("check run.toml --canonical").exits(0).stdout;
    assert_eq!(everything(place.path()), before);
    assert_eq!(
        text.stdout,
        "run.toml is a valid run of pipeline `benchmark-functions`
trials    50 000 = 50 000 candidates × 1 replicates
objective -value
table     13 parts of up to 4 096 rows, about SIZE
columns   trial u64, replicate u32, seed u64, x0 f64, x1 f64, value f64, outcome dictionary, error text
"
        .replace("SIZE", text.stdout.split("about ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or(""))
    );
    let results = place.results(POINTS, 1, "out");
    assert_eq!(results.len(), 13 + 2, "the parts, the run file and the champion");
    assert_eq!(value["parts"], 13);
    assert_eq!(value["canonical"].as_str(), Some(&*canonical));
    assert_eq!(results["run.toml"], canonical.as_bytes());
    let size: usize = results.iter().filter(|(name, _)| name.contains("part-")).map(|(_, bytes)| bytes.len()).sum();
    let told = value["bytes"].as_f64().expect("it is a number");
    assert!((0.2..5.0).contains(&(size as f64 / told)), "{told} bytes were announced, {size} were written");
    let columns = value["columns"].as_array().expect("it lists them").iter().map(|c| c["name"].as_str().unwrap());
    let written = tumble_tables::column_names(&place.path().join("out/trials/part-00000.parquet")).unwrap();
    assert!(columns.eq(written.iter().map(String::as_str)), "{written:?} were written");
}
