//! `[sweep.stopping]`: what it means, and what its author is told.

use tumble_domain::{Stopping, StoppingRule};
use tumble_runfile::{Rung, canonical, summary};

use crate::fakes::read;

const HEAD: &str = "pipeline = \"networks\"\nreplicates = 2\n[config]\ndata = \"a\"\n";
const AXES: &str = "[sweep.axes]\nrate = { linear = [0.0, 1.0] }\n";

fn run_file(stopping: &str) -> String {
    format!("{HEAD}[sweep]\ndesign = \"random\"\npoints = 10\n[sweep.stopping]\n{stopping}{AXES}")
}

#[track_caller]
fn refuses(text: &str, expected: &[&str]) {
    let problems = read(text, &[]).expect_err("it is refused").to_string();
    for part in expected {
        assert!(problems.contains(part), "`{part}` is not in:\n{problems}");
    }
}

#[test]
fn the_rungs_of_a_sweep_mean_what_they_say_and_are_written_back() {
    for (text, rule, factor) in [
        ("rule = \"successive-halving\"\nrungs = [1, 5, 9]\n", StoppingRule::SuccessiveHalving, 3),
        ("rule = \"asha\"\nsteps = \"units\"\nrungs = [1, 5, 9]\nfactor = 4\n", StoppingRule::Asha, 4),
        ("rule = \"median\"\nrungs = [1, 5, 9]\n", StoppingRule::Median, 3),
    ] {
        let understood = read(&run_file(text), &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let expected = Stopping { rule, steps: 3, rungs: vec![1, 5, 9], factor };
        assert_eq!(understood.spec.plan.stopping(), Some(&expected));
        assert_eq!(understood.description.metrics[0].name, "candidate", "the worker reports it first");
        let written = canonical(&understood.spec, &understood.inner);
        assert!(written.contains("[sweep.stopping]\nrule = ") && written.contains("steps = \"units\"\n"), "{written}");
        assert!(!written.contains("\nunits = "), "the rungs set it: {written}");
        let again = read(&written, &[]).unwrap_or_else(|problems| panic!("{problems}\n{written}"));
        assert_eq!(again.spec, understood.spec);
        assert_eq!(canonical(&again.spec, &again.inner), written);
    }
}

#[test]
fn the_size_of_a_sweep_with_rungs_is_that_of_all_of_them() {
    let shape = |text: &str| summary(&read(&run_file(text), &[]).unwrap_or_else(|problems| panic!("{problems}")));
    let halving = shape("rule = \"successive-halving\"\nrungs = [1, 5, 9]\n");
    let rung = |steps, candidates| Rung { steps, candidates };
    assert_eq!(halving.rungs, [rung(1, 10), rung(5, 4), rung(9, 2)]);
    assert_eq!((halving.trials, halving.generations), (32, 3));
    let names: Vec<&str> = halving.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(
        names,
        ["trial", "rung", "candidate", "replicate", "seed", "rate", "units", "accuracy", "outcome", "error"]
    );
    assert_eq!(shape("rule = \"asha\"\nrungs = [1, 5]\n").trials, 40, "at most");
}

#[test]
fn a_section_that_is_wrong_says_where_and_what_would_be_right() {
    let right = "rule = \"asha\"\nrungs = [1, 5]\n";
    refuses(&run_file("rungs = [1, 5]\n"), &["run.toml:8:", "missing `rule` in [sweep.stopping]", "`median`"]);
    refuses(&run_file("rule = \"asha\"\n"), &["missing `rungs` in [sweep.stopping]", "rungs = [10, 30, 90]"]);
    refuses(&run_file("rule = \"halving\"\nrungs = [1, 5]\n"), &["run.toml:9:8: `rule` has no choice \"halving\""]);
    refuses(&run_file("rule = \"asha\"\nrungs = [5]\n"), &["run.toml:10:9: `rungs` has no two values"]);
    refuses(&run_file("rule = \"asha\"\nrungs = [5, 5]\n"), &["run.toml:10:13: the rung 5 does not lie above 5"]);
    refuses(&run_file("rule = \"asha\"\nrungs = [5, 6.0]\n"), &["expected list of integers"]);
    refuses(&run_file("rule = \"asha\"\nrungs = [1, 5]\nfactor = 1\n"), &["`factor` is out of bounds: 1"]);
    refuses(&run_file("rule = \"median\"\nrungs = [1, 5]\nfactor = 3\n"), &["run.toml:11:10: `factor` has no meaning"]);
    refuses(&run_file("rule = \"asha\"\nrungs = [1, 5]\nstep = \"units\"\n"), &["unknown key `step`", "`steps`"]);
    let other = run_file("rule = \"asha\"\nrungs = [1, 5]\nsteps = \"rate\"\n");
    refuses(&other, &["run.toml:11:9: `rate` does not only say how long", "write `steps = \"units\"`"]);
    let twice = run_file(right).replace("data = \"a\"\n", "data = \"a\"\nunits = 5\n");
    refuses(
        &twice,
        &["run.toml:5:", "`units` is what the rungs of [sweep.stopping] set, and [config] sets it as well"],
    );
    let swept = run_file(right) + "units = { integers = [1, 5] }\n";
    refuses(&swept, &["run.toml:13:", "and [sweep.axes] sets it as well"]);
    let many = run_file(right).replace("points = 10", "points = 16777217");
    refuses(&many, &["the sweep has 16777217 candidates, but at most 16777216 can be stopped early"]);
}

#[test]
fn a_pipeline_whose_trials_cannot_go_on_and_a_sweep_of_evolutions_are_refused() {
    let functions = "pipeline = \"functions\"\n[sweep]\ndesign = \"random\"\npoints = 10\n\
                     [sweep.stopping]\nrule = \"asha\"\nrungs = [1, 5]\n[sweep.axes]\nnoise = { linear = [0.0, 1.0] }\n";
    let expected = ["run.toml:5:", "pipeline `functions` has no parameter that only says", "that have one: `networks`"];
    refuses(functions, &expected);
    let evolutions = functions.replace("[sweep]\n", "[evolve]\nstrategy = \"random\"\n[sweep]\n");
    refuses(&evolutions, &["a sweep of evolutions has no rungs"]);
}
