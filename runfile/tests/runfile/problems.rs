//! Every way in which a run file can be wrong, and what its author is told, to the letter.

use crate::fakes::read;

/// Holds the whole text of the problems against what is expected; both begin after a line break.
fn refuses(text: &str, expected: &str) {
    refuses_under(&[], text, expected);
}

/// As [`refuses`], with overrides.
#[track_caller]
fn refuses_under(overrides: &[&str], text: &str, expected: &str) {
    let problems = match read(&text[1..], overrides) {
        Err(problems) => problems,
        Ok(understood) => panic!("this was understood as {:#?}", understood.spec),
    };
    assert_eq!(format!("\n{problems}\n"), expected);
    for problem in &problems.0 {
        let elsewhere = problem.message.starts_with("missing") || problem.message.starts_with("neither");
        assert!(problem.fix.is_some(), "{problem:?} has a fix");
        assert!(problem.place.is_some() || elsewhere || !overrides.is_empty(), "{problem:?} has a place");
    }
}

#[test]
fn what_is_no_toml_is_marked_where_it_breaks() {
    refuses(
        r#"
pipeline = "functions"
seed =
[evolve
strategy = "cma-es"
"#,
        "
run.toml:2:7: no TOML: string values must be quoted, expected literal string
    2 | seed =
      |       ^
    a line is `key = value`, with text in quotes, or `[section]`
run.toml:3:8: no TOML: unclosed table, expected `]`
    3 | [evolve
      |        ^
    a line is `key = value`, with text in quotes, or `[section]`
",
    );
    refuses(
        r#"
pipeline = "functions"
seed = 1
seed = 2
"#,
        "
run.toml:3:1: no TOML: duplicate key
    3 | seed = 2
      | ^^^^
    a line is `key = value`, with text in quotes, or `[section]`
",
    );
}

#[test]
fn an_unknown_key_leads_to_the_one_that_was_meant() {
    refuses(
        r#"
pipeline = "functions"
sed = 1
generatons = 3
wobble = 3
[evolve]
strategy = "cma-es"
generatons = 300
dimension = 3
seed = 4
sigmma = 0.1
stop = { evalutions = 3 }
[limits]
timeuot = "1h"
"#,
        r#"
run.toml:2:1: unknown key `sed`
    2 | sed = 1
      | ^^^
    did you mean `seed`?
run.toml:3:1: unknown key `generatons`
    3 | generatons = 3
      | ^^^^^^^^^^
    did you mean `generations` in [evolve]?
run.toml:4:1: unknown key `wobble`
    4 | wobble = 3
      | ^^^^^^
    write one of `name`, `pipeline`, `seed`, `replicates`, `objective`, `bundle`, `bundle_hash`, `program`, `python`, `config`, `evolve`, `sweep` or `limits`
run.toml:7:1: unknown key `generatons` in [evolve]
    7 | generatons = 300
      | ^^^^^^^^^^
    did you mean `generations`?
run.toml:8:1: unknown key `dimension` in [evolve]
    8 | dimension = 3
      | ^^^^^^^^^
    it belongs in [config]
run.toml:9:1: unknown key `seed` in [evolve]
    9 | seed = 4
      | ^^^^
    it belongs at the top of the file
run.toml:10:1: unknown key `sigmma` in [evolve]
    10 | sigmma = 0.1
       | ^^^^^^
    did you mean `sigma`?
run.toml:11:10: unknown key `evalutions` in [evolve.stop]
    11 | stop = { evalutions = 3 }
       |          ^^^^^^^^^^
    did you mean `evaluations`?
run.toml:13:1: unknown key `timeuot` in [limits]
    13 | timeuot = "1h"
       | ^^^^^^^
    did you mean `timeout`?
"#,
    );
    refuses(
        r#"
pipeline = "functions"
[config]
dimention = 3
population = 3
[sweep]
design = "grid"
axis = 3
[sweep.axes]
noise = [1]
"#,
        "
run.toml:3:1: unknown key `dimention` in [config] of `functions`
    3 | dimention = 3
      | ^^^^^^^^^
    did you mean `dimension`?
run.toml:4:1: unknown key `population` in [config] of `functions`
    4 | population = 3
      | ^^^^^^^^^^
    it belongs in [evolve]
run.toml:7:1: unknown key `axis` in [sweep]
    7 | axis = 3
      | ^^^^
    did you mean `axes`?
",
    );
}

#[test]
fn a_missing_pipeline_lists_those_there_are() {
    refuses(
        r#"
[evolve]
strategy = "cma-es"
"#,
        "
run.toml: missing `pipeline`
    write one of `functions`, `networks`, `clashing`, `reserved`, `program` or `python`
",
    );
}

#[test]
fn an_unknown_pipeline_leads_to_the_nearest_and_lists_the_rest() {
    refuses(
        r#"
pipeline = "function"
[evolve]
strategy = "cma-es"
"#,
        r#"
run.toml:1:12: unknown pipeline `function`
    1 | pipeline = "function"
      |            ^^^^^^^^^^
    did you mean `functions`? known: `functions`, `networks`, `clashing`, `reserved`, `program`, `python`
"#,
    );
    refuses(
        r#"
pipeline = "zebra"
[evolve]
strategy = "cma-es"
"#,
        r#"
run.toml:1:12: unknown pipeline `zebra`
    1 | pipeline = "zebra"
      |            ^^^^^^^
    write one of `functions`, `networks`, `clashing`, `reserved`, `program` or `python`
"#,
    );
}

#[test]
fn an_unknown_strategy_leads_to_the_nearest() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma_es"
sigma = 0.1
sigmma = 0.1
"#,
        r#"
run.toml:3:12: unknown strategy `cma_es`
    3 | strategy = "cma_es"
      |            ^^^^^^^^
    did you mean `cma-es`?
run.toml:5:1: unknown key `sigmma` in [evolve]
    5 | sigmma = 0.1
      | ^^^^^^
    did you mean `sigma`?
"#,
    );
}

#[test]
fn an_unknown_design_leads_to_the_nearest() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "latin-hypercubes"
points = 3
[sweep.axes]
noise = { linear = [0, 1] }
"#,
        r#"
run.toml:3:10: unknown design `latin-hypercubes`
    3 | design = "latin-hypercubes"
      |          ^^^^^^^^^^^^^^^^^^
    did you mean `latin-hypercube`?
"#,
    );
}

#[test]
fn an_unknown_word_leads_to_the_nearest() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
trial_seeds = "per_generation"
[limits]
on_failure = "skip"
"#,
        r#"
run.toml:4:15: `trial_seeds` has no choice "per_generation"
    4 | trial_seeds = "per_generation"
      |               ^^^^^^^^^^^^^^^^
    did you mean `per-generation`?
run.toml:6:14: `on_failure` has no choice "skip"
    6 | on_failure = "skip"
      |              ^^^^^^
    write one of `worst`, `drop` or `abort`
"#,
    );
}

#[test]
fn a_run_with_nothing_to_try_is_refused() {
    refuses(
        r#"
pipeline = "functions"
"#,
        "
run.toml: neither [evolve] nor [sweep]: there is nothing to try
    add [evolve] to search a vector, or [sweep] with [sweep.axes] to lay out candidates
",
    );
    refuses(
        r#"
pipeline = "networks"
[config]
data = "d"
"#,
        "
run.toml: neither [evolve] nor [sweep]: there is nothing to try
    add [sweep] with [sweep.axes] to lay out candidates, or [evolve] with [evolve.axes] to search settings
",
    );
}

#[test]
fn a_pipeline_without_a_genome_cannot_be_evolved() {
    refuses(
        r#"
pipeline = "networks"
[config]
data = "d"
[evolve]
strategy = "cma-es"
"#,
        "
run.toml:4:1: pipeline `networks` has no genome, so [evolve] has nothing to search
    4 | [evolve]
      | ^^^^^^^^
    add [evolve.axes] with the settings to search, or use [sweep]
",
    );
}

#[test]
fn a_wrong_type_says_what_was_expected_and_what_was_found() {
    refuses(
        r#"
name = 3
pipeline = ["functions"]
seed = "7"
replicates = 2.0
objective = true
config = 3
evolve = "cma-es"
[limits]
timeout = 60
wall = 02:00:00
"#,
        r#"
run.toml:1:8: `name` has the wrong type: expected text, found integer
    1 | name = 3
      |        ^
    write `name = "3"`
run.toml:2:12: `pipeline` has the wrong type: expected text, found list
    2 | pipeline = ["functions"]
      |            ^^^^^^^^^^^^^
    write `pipeline = "…"`
run.toml:3:8: `seed` has the wrong type: expected integer, found text
    3 | seed = "7"
      |        ^^^
    for example `seed = 1`
run.toml:4:14: `replicates` has the wrong type: expected integer, found number
    4 | replicates = 2.0
      |              ^^^
    write `replicates = 2`
run.toml:5:13: `objective` has the wrong type: expected text, found boolean
    5 | objective = true
      |             ^^^^
    write `objective = "…"`
run.toml:6:10: `config` has the wrong type: expected a section, found integer
    6 | config = 3
      |          ^
    write `[config]`
run.toml:7:10: `evolve` has the wrong type: expected a section, found text
    7 | evolve = "cma-es"
      |          ^^^^^^^^
    write `[evolve]`
run.toml:9:11: `timeout` has the wrong type: expected duration in quotes, found integer
    9 | timeout = 60
      |           ^^
    write `timeout = "60s"` for seconds
run.toml:10:8: `wall` has the wrong type: expected duration in quotes, found date or time
    10 | wall = 02:00:00
       |        ^^^^^^^^
    put it in quotes: `wall = "02:00:00"`
"#,
    );
    refuses(
        r#"
pipeline = "networks"
[config]
data = "d"
digits = [1, 2.5]
rate = "high"
units = 10.0
seed = { a = 1 }
[sweep]
design = "grid"
[sweep.axes]
rate = [[1]]
"#,
        r#"
run.toml:4:14: `digits` has the wrong type: expected integers in the list, found number
    4 | digits = [1, 2.5]
      |              ^^^
    for example `digits = [0, 1]`
run.toml:5:8: `rate` has the wrong type: expected number, found text
    5 | rate = "high"
      |        ^^^^^^
    for example `rate = 0.5`
run.toml:6:9: `units` has the wrong type: expected integer, found number
    6 | units = 10.0
      |         ^^^^
    write `units = 10`
run.toml:7:8: `seed` has the wrong type: expected integer, found section
    7 | seed = { a = 1 }
      |        ^^^^^^^^^
    for example `seed = 0`
run.toml:11:1: `rate` is an axis, and [config] sets it at line 5
    11 | rate = [[1]]
       | ^^^^
    remove one of the two
run.toml:11:9: `rate` has the wrong type: expected number, found list
    11 | rate = [[1]]
       |         ^^^
    for example `rate = 0.5`
"#,
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
sigma = "big"
active = 1
start = [1.0, "a"]
stop = 3
population = "many"
"#,
        r#"
run.toml:4:9: `sigma` has the wrong type: expected number, found text
    4 | sigma = "big"
      |         ^^^^^
    for example `sigma = 0.5`
run.toml:5:10: `active` has the wrong type: expected boolean, found integer
    5 | active = 1
      |          ^
    for example `active = true`
run.toml:6:15: `start` has the wrong type: expected numbers in the list, found text
    6 | start = [1.0, "a"]
      |               ^^^
    for example `start = [0.0, 0.5]`
run.toml:7:8: `stop` has the wrong type: expected a section, found integer
    7 | stop = 3
      |        ^
    write `stop = { objective = 0.99 }`
run.toml:8:14: `population` has the wrong type: expected integer, found text
    8 | population = "many"
      |              ^^^^^^
    for example `population = 1`
"#,
    );
}

#[test]
fn what_is_out_of_bounds_says_the_bounds() {
    refuses(
        r#"
seed = -1
replicates = 0
pipeline = "functions"
[config]
dimension = 20000
noise = -0.5
[evolve]
strategy = "cma-es"
population = 0
generations = 0
sigma = -1
stop = { evaluations = 0 }
[limits]
attempts = 0
"#,
        "
run.toml:1:8: `seed` is out of bounds: -1
    1 | seed = -1
      |        ^^
    write an integer from 0 to 18446744073709551615
run.toml:2:14: `replicates` is out of bounds: 0
    2 | replicates = 0
      |              ^
    write an integer from 1 to 4294967295
run.toml:5:13: `dimension` is out of bounds: 20000
    5 | dimension = 20000
      |             ^^^^^
    write a value from 1 to 10000
run.toml:6:9: `noise` is out of bounds: -0.5
    6 | noise = -0.5
      |         ^^^^
    write a value of at least 0.0
run.toml:9:14: `population` is out of bounds: 0
    9 | population = 0
      |              ^
    write an integer from 1 to 16777216
run.toml:10:15: `generations` is out of bounds: 0
    10 | generations = 0
       |               ^
    write an integer from 1 to 4294967295
run.toml:11:9: `sigma` is out of bounds: -1.0
    11 | sigma = -1
       |         ^^
    write a value from 1e-100 to 1e100
run.toml:12:24: `evaluations` is out of bounds: 0
    12 | stop = { evaluations = 0 }
       |                        ^
    write an integer from 1 to 9223372036854775807
run.toml:14:12: `attempts` is out of bounds: 0
    14 | attempts = 0
       |            ^
    write an integer from 1 to 4294967295
",
    );
    refuses(
        r#"
seed = 18446744073709551616
pipeline = "networks"
[config]
data = "d"
digits = [0, 10]
units = 9223372036854775808
[sweep]
design = "grid"
[sweep.axes]
rate = [0.5, 1.5]
"#,
        "
run.toml:1:8: `seed` is out of bounds: 18446744073709551616
    1 | seed = 18446744073709551616
      |        ^^^^^^^^^^^^^^^^^^^^
    write an integer from 0 to 18446744073709551615
run.toml:5:10: `digits` is out of bounds: 10
    5 | digits = [0, 10]
      |          ^^^^^^^
    write a value from 0 to 9
run.toml:6:9: `units` is out of bounds: 9223372036854775808 has more than 64 bits
    6 | units = 9223372036854775808
      |         ^^^^^^^^^^^^^^^^^^^
    for example `units = 100`
run.toml:10:14: `rate` is out of bounds: 1.5
    10 | rate = [0.5, 1.5]
       |              ^^^
    write a value from 0.0 to 1.0
",
    );
}

#[test]
fn text_that_is_no_choice_leads_to_the_nearest() {
    refuses(
        r#"
pipeline = "functions"
[config]
function = "elipsoid"
[evolve]
strategy = "cma-es"
"#,
        r#"
run.toml:3:12: `function` has no choice "elipsoid"
    3 | function = "elipsoid"
      |            ^^^^^^^^^^
    did you mean `ellipsoid`?
"#,
    );
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
function = ["sphere", "griewank"]
"#,
        r#"
run.toml:5:23: `function` has no choice "griewank"
    5 | function = ["sphere", "griewank"]
      |                       ^^^^^^^^^^
    write one of `sphere`, `ellipsoid` or `rosenbrock`
"#,
    );
}

#[test]
fn numbers_must_be_finite() {
    refuses(
        r#"
pipeline = "functions"
[config]
noise = inf
[evolve]
strategy = "cma-es"
sigma = nan
start = -inf
stop = { objective = 1e999 }
"#,
        "
run.toml:3:9: `noise` is not a finite number
    3 | noise = inf
      |         ^^^
    for example `noise = 0.0`
run.toml:6:9: `sigma` is not a finite number
    6 | sigma = nan
      |         ^^^
    for example `sigma = 0.5`
run.toml:7:9: `start` is not a finite number
    7 | start = -inf
      |         ^^^^
    for example `start = 0.5`
run.toml:8:22: `objective` is not a finite number
    8 | stop = { objective = 1e999 }
      |                      ^^^^^
    for example `objective = 0.5`
",
    );
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
x0 = [nan]
x1 = { linear = [0.0, inf], points = 3 }
"#,
        "
run.toml:5:7: `x0` is not a finite number
    5 | x0 = [nan]
      |       ^^^
    for example `x0 = 0.5`
run.toml:6:23: `x1` is not a finite number
    6 | x1 = { linear = [0.0, inf], points = 3 }
      |                       ^^^
    for example `x1 = 0.5`
",
    );
}

#[test]
fn an_axis_must_name_what_it_sweeps() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
nose = [1]
x00 = 1
zebra = 1
"#,
        "
run.toml:5:1: axis `nose` names no parameter of `functions`
    5 | nose = [1]
      | ^^^^
    did you mean `noise`?
run.toml:6:1: axis `x00` names no parameter of `functions`
    6 | x00 = 1
      | ^^^
    did you mean `x0`?
run.toml:7:1: axis `zebra` names no parameter of `functions`
    7 | zebra = 1
      | ^^^^^
    write one of `function`, `dimension`, `noise`, `rotated` or `x0`
",
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
[sweep]
design = "grid"
[sweep.axes]
evolve.sigmma = [1]
evolve.generations = [3]
"#,
        "
run.toml:7:8: axis `evolve.sigmma` names no setting of `cma-es`
    7 | evolve.sigmma = [1]
      |        ^^^^^^
    did you mean `sigma`?
run.toml:8:8: `evolve.generations` cannot be an axis
    8 | evolve.generations = [3]
      |        ^^^^^^^^^^^
    set `generations` in [evolve]
",
    );
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
evolve.sigma = [0.1]
"#,
        "
run.toml:5:8: `evolve.sigma` is an axis, but there is no [evolve]
    5 | evolve.sigma = [0.1]
      |        ^^^^^
    add [evolve] with a strategy, or remove the axis
",
    );
}

#[test]
fn an_axis_beyond_the_candidate_is_refused() {
    refuses(
        r#"
pipeline = "functions"
[config]
dimension = 3
[sweep]
design = "grid"
[sweep.axes]
x2 = [1]
x3 = [1]
"#,
        "
run.toml:8:1: axis `x3` lies beyond a candidate of 3 elements
    8 | x3 = [1]
      | ^^
    the last element is `x2`
",
    );
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
dimension = [2, 5]
x2 = [1]
"#,
        "
run.toml:6:1: axis `x2` lies beyond a candidate of 2 elements
    6 | x2 = [1]
      | ^^
    the last element is `x1`
",
    );
}

#[test]
fn what_is_an_axis_is_set_nowhere_else() {
    refuses(
        r#"
pipeline = "functions"
[config]
noise = 0.5
[evolve]
strategy = "cma-es"
sigma = 0.1
population = 8
[sweep]
design = "grid"
[sweep.axes]
noise = [0, 1]
evolve.sigma = [0.1]
evolve.population = [8]
evolve.strategy = ["cma-es"]
"#,
        r#"
run.toml:11:1: `noise` is an axis, and [config] sets it at line 3
    11 | noise = [0, 1]
       | ^^^^^
    remove one of the two
run.toml:12:8: `evolve.sigma` is an axis, and [evolve] sets it at line 6
    12 | evolve.sigma = [0.1]
       |        ^^^^^
    remove one of the two
run.toml:13:8: `evolve.population` is an axis, and [evolve] sets it at line 7
    13 | evolve.population = [8]
       |        ^^^^^^^^^^
    remove one of the two
run.toml:14:8: `evolve.strategy` is an axis, and [evolve] sets it at line 5
    14 | evolve.strategy = ["cma-es"]
       |        ^^^^^^^^
    remove one of the two
"#,
    );
    refuses_under(
        &["config.noise=1"],
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
noise = [0, 1]
"#,
        "
run.toml:5:1: `noise` is an axis, and [config] sets it at `--set config.noise=1`
    5 | noise = [0, 1]
      | ^^^^^
    remove one of the two
",
    );
}

#[test]
fn an_axis_needs_points() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
noise = []
x0 = {}
dimension = { integers = [10, 1] }
"#,
        "
run.toml:5:9: axis `noise` has no points
    5 | noise = []
      |         ^^
    write at least one value, or remove the axis
run.toml:6:6: axis `x0` has no points
    6 | x0 = {}
      |      ^^
    write a list, or `{ linear = [0.0, 1.0], points = 5 }`
run.toml:7:26: axis `dimension` has no points: 10 is above 1
    7 | dimension = { integers = [10, 1] }
      |                          ^^^^^^^
    write `integers = [1, 10]`
",
    );
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
"#,
        "
run.toml:2:1: [sweep] has no axes
    2 | [sweep]
      | ^^^^^^^
    add [sweep.axes] with an entry for each swept parameter, such as `load = [0.5, 1.0]`
",
    );
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
"#,
        "
run.toml:4:1: [sweep] has no axes
    4 | [sweep.axes]
      | ^^^^^^^^^^^^
    add [sweep.axes] with an entry for each swept parameter, such as `load = [0.5, 1.0]`
",
    );
}

#[test]
fn an_interval_in_a_grid_needs_points() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
noise = { linear = [0.0, 1.0] }
x0 = { log = [0.1, 1.0], points = 1 }
"#,
        "
run.toml:5:11: axis `noise` has no `points`
    5 | noise = { linear = [0.0, 1.0] }
      |           ^^^^^^
    write `{ linear = [0.0, 1.0], points = 5 }`
run.toml:6:35: `points` is out of bounds: 1
    6 | x0 = { log = [0.1, 1.0], points = 1 }
      |                                   ^
    write a value of at least 2
",
    );
}

#[test]
fn an_unknown_form_of_an_axis_leads_to_the_nearest() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
x0 = { geometric = [0.1, 1.0], points = 5 }
x1 = { lin = [0.1, 1.0], points = 5 }
x2 = { linear = [0.1, 1.0], pionts = 5 }
x3 = { linear = [0, 1], log = [1, 2], points = 3 }
x4 = { linear = [0, 1, 2], points = 3 }
x5 = { linear = 3, points = 3 }
dimension = { integers = [1, 3], points = 3 }
"#,
        "
run.toml:5:8: unknown axis form `geometric` in axis `x0`
    5 | x0 = { geometric = [0.1, 1.0], points = 5 }
      |        ^^^^^^^^^
    write one of `linear`, `log`, `integers` or `values`
run.toml:6:8: unknown axis form `lin` in axis `x1`
    6 | x1 = { lin = [0.1, 1.0], points = 5 }
      |        ^^^
    did you mean `linear`?
run.toml:7:29: unknown key `pionts` in axis `x2`
    7 | x2 = { linear = [0.1, 1.0], pionts = 5 }
      |                             ^^^^^^
    did you mean `points`?
run.toml:8:25: axis `x3` has both `linear` and `log`
    8 | x3 = { linear = [0, 1], log = [1, 2], points = 3 }
      |                         ^^^
    remove one of the two
run.toml:9:17: `linear` of axis `x4` takes two ends, found a list of 3
    9 | x4 = { linear = [0, 1, 2], points = 3 }
      |                 ^^^^^^^^^
    write `linear = [lo, hi]`
run.toml:10:17: `linear` of axis `x5` takes two ends, found integer
    10 | x5 = { linear = 3, points = 3 }
       |                 ^
    write `linear = [lo, hi]`
run.toml:11:34: `points` does not go with `integers` in axis `dimension`
    11 | dimension = { integers = [1, 3], points = 3 }
       |                                  ^^^^^^
    remove it: every integer is a point
",
    );
}

#[test]
fn a_form_must_give_what_the_parameter_takes() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
noise = { integers = [1, 3] }
dimension = { log = [1, 100], points = 3 }
function = { linear = [0, 1], points = 2 }
"#,
        "
run.toml:5:11: axis `noise` takes numbers, which `integers` does not give
    5 | noise = { integers = [1, 3] }
      |           ^^^^^^^^
    write `{ linear = [lo, hi], points = n }` or a list
run.toml:6:15: axis `dimension` takes integers, which `log` does not give
    6 | dimension = { log = [1, 100], points = 3 }
      |               ^^^
    write `{ integers = [lo, hi] }` or a list
run.toml:7:14: axis `function` takes text, which `linear` does not give
    7 | function = { linear = [0, 1], points = 2 }
      |              ^^^^^^
    write a list
",
    );
    refuses(
        r#"
pipeline = "networks"
[config]
data = "d"
[sweep]
design = "grid"
[sweep.axes]
digits = [1]
"#,
        "
run.toml:7:1: `digits` takes a list of integers, which cannot be an axis
    7 | digits = [1]
      | ^^^^^^
    set it in [config]
",
    );
}

#[test]
fn a_list_holds_values_of_one_kind() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
function = ["sphere", 3]
"#,
        r#"
run.toml:5:23: axis `function` mixes text and number
    5 | function = ["sphere", 3]
      |                       ^
    write values of one kind
"#,
    );
}

#[test]
fn values_of_an_axis_keep_the_bounds_of_what_they_set() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
x0 = { linear = [-9.0, 5], points = 3 }
x1 = 5.5
dimension = { integers = [0, 4] }
"#,
        "
run.toml:5:18: `x0` is out of bounds: -9.0
    5 | x0 = { linear = [-9.0, 5], points = 3 }
      |                  ^^^^
    write a value from -5.0 to 5.0
run.toml:6:6: `x1` is out of bounds: 5.5
    6 | x1 = 5.5
      |      ^^^
    write a value from -5.0 to 5.0
run.toml:7:27: `dimension` is out of bounds: 0
    7 | dimension = { integers = [0, 4] }
      |                           ^
    write a value from 1 to 10000
",
    );
}

#[test]
fn ends_stand_in_order_and_are_positive_for_a_logarithm() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
x0 = { log = [0.0, 1.0], points = 5 }
x1 = { linear = [1, 0], points = 3 }
x2 = { linear = [1, 1], points = 3 }
"#,
        "
run.toml:5:14: axis `x0` is logarithmic, but an end is not positive
    5 | x0 = { log = [0.0, 1.0], points = 5 }
      |              ^^^^^^^^^^
    write two positive ends, or `linear`
run.toml:6:17: axis `x1` runs backwards
    6 | x1 = { linear = [1, 0], points = 3 }
      |                 ^^^^^^
    write `linear = [0.0, 1.0]`
run.toml:7:17: both ends of axis `x2` are the same
    7 | x2 = { linear = [1, 1], points = 3 }
      |                 ^^^^^^
    write `x2 = 1.0` for one value
",
    );
}

#[test]
fn a_list_design_takes_its_axes_side_by_side() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "list"
[sweep.axes]
noise = [0, 1, 2]
x0 = [1, 2]
"#,
        r#"
run.toml:6:1: axis `x0` has 2 values, but `noise` has 3: a list takes them side by side
    6 | x0 = [1, 2]
      | ^^
    write as many values for each axis, or `design = "grid"`
"#,
    );
}

#[test]
fn points_belong_to_designs_that_sample() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "sobol"
[sweep.axes]
noise = { linear = [0, 1] }
"#,
        r#"
run.toml:3:10: design `sobol` samples, but [sweep] has no `points`
    3 | design = "sobol"
      |          ^^^^^^^
    add for example `points = 100`
"#,
    );
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
points = 10
[sweep.axes]
noise = [1]
"#,
        "
run.toml:4:10: `points` has no meaning in design `grid`, whose axes say how many
    4 | points = 10
      |          ^^
    remove it
",
    );
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "random"
points = 0
[sweep.axes]
noise = { linear = [0, 1] }
"#,
        "
run.toml:4:10: `points` is out of bounds: 0
    4 | points = 0
      |          ^
    write an integer from 1 to 9223372036854775807
",
    );
}

#[test]
fn a_missing_design_lists_those_there_are() {
    refuses(
        r#"
pipeline = "functions"
[sweep]
[sweep.axes]
noise = [1]
"#,
        "
run.toml:2:1: missing `design` in [sweep]
    2 | [sweep]
      | ^^^^^^^
    write one of `grid`, `random`, `latin-hypercube`, `sobol` or `list`
",
    );
}

#[test]
fn a_name_fits_a_folder() {
    refuses(
        r#"
name = "My Run!"
pipeline = "functions"
[evolve]
strategy = "cma-es"
"#,
        r#"
run.toml:1:8: `name` has bad characters: "My Run!"
    1 | name = "My Run!"
      |        ^^^^^^^^^
    use only a-z, 0-9 and -, and no - in front: `name = "my-run"`
"#,
    );
    refuses(
        r#"
name = "-x"
pipeline = "functions"
[evolve]
strategy = "cma-es"
"#,
        r#"
run.toml:1:8: `name` has bad characters: "-x"
    1 | name = "-x"
      |        ^^^^
    use only a-z, 0-9 and -, and no - in front: `name = "x"`
"#,
    );
    refuses(
        r#"
name = ""
pipeline = "functions"
[evolve]
strategy = "cma-es"
"#,
        r#"
run.toml:1:8: `name` is empty: ""
    1 | name = ""
      |        ^^
    leave it out to use the pipeline's name
"#,
    );
    refuses(
        r#"
name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
pipeline = "functions"
[evolve]
strategy = "cma-es"
"#,
        r#"
run.toml:1:8: `name` is too long: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    1 | name = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    use at most 64 characters
"#,
    );
}

#[test]
fn an_objective_names_a_metric() {
    refuses(
        r#"
objective = "-vale"
pipeline = "functions"
[evolve]
strategy = "cma-es"
"#,
        r#"
run.toml:1:13: `objective` names no metric of `functions`: "vale"
    1 | objective = "-vale"
      |             ^^^^^^^
    did you mean `value`?
"#,
    );
}

#[test]
fn limits_are_positive_durations() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
[limits]
timeout = "-5m"
wall = "0s"
"#,
        r#"
run.toml:5:11: `timeout` cannot be negative: "-5m"
    5 | timeout = "-5m"
      |           ^^^^^
    write it as `1h30m`, `90s`, `500ms` or `HH:MM:SS`
run.toml:6:8: `wall` cannot be zero
    6 | wall = "0s"
      |        ^^^^
    leave `wall` out for no limit
"#,
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
[limits]
timeout = "90"
wall = "soon"
"#,
        r#"
run.toml:5:11: `timeout` has a number without a unit: "90"
    5 | timeout = "90"
      |           ^^^^
    write it as `1h30m`, `90s`, `500ms` or `HH:MM:SS`
run.toml:6:8: `wall` is no duration: "soon"
    6 | wall = "soon"
      |        ^^^^^^
    write it as `1h30m`, `90s`, `500ms` or `HH:MM:SS`
"#,
    );
}

#[test]
fn a_start_that_is_drawn_has_two_ends_in_order() {
    for (start, message) in [
        ("{ uniform = [5.0, -5.0] }", "`uniform` takes two numbers, the smaller one first"),
        ("{ uniform = [1.0] }", "`uniform` takes two numbers, the smaller one first"),
        ("{ uniform = 3 }", "`uniform` has the wrong type: expected a list, found integer"),
        ("{ unifrom = [1.0, 2.0] }", "`start` as a section has one key, `uniform`"),
        ("{}", "`start` as a section has one key, `uniform`"),
        ("{ uniform = [-inf, 2.0] }", "`start` is not a finite number"),
    ] {
        let text = format!("pipeline = \"functions\"\n[evolve]\nstrategy = \"cma-es\"\nstart = {start}\n");
        let problems = read(&text, &[]).expect_err(start).to_string();
        assert!(problems.contains(message) && problems.contains("run.toml:4"), "{start}: {problems}");
    }
}

#[test]
fn a_start_has_one_number_for_each_element() {
    refuses(
        r#"
pipeline = "functions"
[config]
dimension = 3
[evolve]
strategy = "cma-es"
start = [1.0, 2.0]
"#,
        "
run.toml:6:9: `start` has 2 numbers, but a candidate has 3
    6 | start = [1.0, 2.0]
      |         ^^^^^^^^^^
    write one number for each element, or a single number for all
",
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
start = [1.0, 2.0]
[sweep]
design = "grid"
[sweep.axes]
dimension = [2, 5]
"#,
        "
run.toml:4:9: `start` has 2 numbers, but a candidate has 2 to 5
    4 | start = [1.0, 2.0]
      |         ^^^^^^^^^^
    write one number for each element, or a single number for all
",
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
start = 7
"#,
        "
run.toml:4:9: `start` is out of bounds: 7.0
    4 | start = 7
      |         ^
    write a value from -5.0 to 5.0
",
    );
}

#[test]
fn no_two_columns_share_a_name() {
    refuses(
        r#"
pipeline = "networks"
[config]
data = "d"
[sweep]
design = "grid"
[sweep.axes]
seed = [1]
"#,
        "
run.toml:7:1: axis `seed` would share its column with a column that every table has
    7 | seed = [1]
      | ^^^^
    set `seed` in [config] instead
",
    );
    refuses(
        r#"
pipeline = "clashing"
[sweep]
design = "grid"
[sweep.axes]
value = [1]
"#,
        "
run.toml:5:1: axis `value` would share its column with a metric
    5 | value = [1]
      | ^^^^^
    set `value` in [config] instead
",
    );
    refuses(
        r#"
pipeline = "reserved"
[sweep]
design = "grid"
[sweep.axes]
value = [1]
"#,
        r#"
run.toml:1:12: metric `outcome` of `reserved` has the name of a column that every table has
    1 | pipeline = "reserved"
      |            ^^^^^^^^^^
    the pipeline must call its metric something else
"#,
    );
}

#[test]
fn a_run_has_fewer_than_2_to_the_63_trials() {
    refuses(
        r#"
replicates = 4294967295
pipeline = "functions"
[evolve]
strategy = "cma-es"
generations = 4294967295
population = 3
"#,
        "
run.toml:1:14: the run has 55340232195358851075 trials, but fewer than 2^63 can be numbered
    1 | replicates = 4294967295
      |              ^^^^^^^^^^
    lower `generations`, `population` or `replicates`
",
    );
    refuses(
        r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
x0 = { linear = [0, 1], points = 1000000 }
x1 = { linear = [0, 1], points = 1000000 }
x2 = { linear = [0, 1], points = 1000000 }
x3 = { linear = [0, 1], points = 1000000 }
"#,
        "
run.toml:2:1: the run has 1000000000000000000000000 trials, but fewer than 2^63 can be numbered
    2 | [sweep]
      | ^^^^^^^
    lower `points`, take fewer values for each axis, or lower `replicates`
",
    );
    refuses(
        r#"
replicates = 128
pipeline = "functions"
[sweep]
design = "random"
points = 72057594037927936
[sweep.axes]
noise = { linear = [0, 1] }
"#,
        "
run.toml:3:1: the run has 9223372036854775808 trials, but fewer than 2^63 can be numbered
    3 | [sweep]
      | ^^^^^^^
    lower `points`, take fewer values for each axis, or lower `replicates`
",
    );
    refuses(
        r#"
replicates = 2
pipeline = "functions"
[sweep]
design = "random"
points = 72057594037927937
[sweep.axes]
noise = { linear = [0, 1] }
"#,
        "
run.toml:3:1: the sweep has 72057594037927937 candidates, but at most 2^56 have seeds of their own
    3 | [sweep]
      | ^^^^^^^
    lower `points`, or take fewer values for each axis
",
    );
}

#[test]
fn an_axis_comes_once() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
[sweep]
design = "grid"
[sweep.axes]
evolve.sigma = [0.1]
"evolve.sigma" = [0.2]
"#,
        r#"
run.toml:8:1: axis `evolve.sigma` is there twice, first at line 7
    8 | "evolve.sigma" = [0.2]
      | ^^^^^^^^^^^^^^
    remove one of the two
"#,
    );
}

#[test]
fn a_searched_vector_cannot_be_swept() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
[sweep]
design = "grid"
[sweep.axes]
x0 = [1.0]
"#,
        "
run.toml:7:1: [evolve] searches `x`, so `x0` cannot be an axis
    7 | x0 = [1.0]
      | ^^
    remove the axis, or [evolve]
",
    );
}

#[test]
fn what_the_strategy_itself_refuses_stands_at_its_key() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
population = 2
"#,
        "
run.toml:4:14: `population` is 2, but cma-es needs at least 3
    4 | population = 2
      |              ^
    `tumble strategies cma-es` lists what it takes
",
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
[sweep]
design = "grid"
[sweep.axes]
evolve.population = [8, 2]
"#,
        "
run.toml:7:8: axis `evolve.population` at 2: `population` is 2, but cma-es needs at least 3
    7 | evolve.population = [8, 2]
      |        ^^^^^^^^^^
    remove that value from the axis
",
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
[sweep]
design = "grid"
[sweep.axes]
evolve.population = [2, 8]
"#,
        "
run.toml:7:8: `population` is 2, but cma-es needs at least 3
    7 | evolve.population = [2, 8]
      |        ^^^^^^^^^^
    `tumble strategies cma-es` lists what it takes
",
    );
}

#[test]
fn along_an_axis_of_strategies_every_setting_is_known_to_all() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
active = true
[sweep]
design = "grid"
[sweep.axes]
evolve.strategy = ["cma-es", "random"]
evolve.tolx = [1e-9]
"#,
        "
run.toml:3:1: `active` is no setting of `random`, which `evolve.strategy` lists
    3 | active = true
      | ^^^^^^
    remove it, or that strategy
run.toml:8:8: axis `evolve.tolx` names no setting of `random`
    8 | evolve.tolx = [1e-9]
      |        ^^^^
    write `sigma`
",
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
sigma = 0.5
[sweep]
design = "grid"
[sweep.axes]
evolve.strategy = ["cma-es", "rndom", 3]
"#,
        r#"
run.toml:7:39: axis `evolve.strategy` mixes text and number
    7 | evolve.strategy = ["cma-es", "rndom", 3]
      |                                       ^
    write values of one kind
"#,
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
sigma = 0.5
[sweep]
design = "grid"
[sweep.axes]
evolve.strategy = ["cma-es", "rndom"]
"#,
        r#"
run.toml:7:30: `evolve.strategy` has no choice "rndom"
    7 | evolve.strategy = ["cma-es", "rndom"]
      |                              ^^^^^^^
    did you mean `random`?
"#,
    );
}

#[test]
fn an_override_is_the_place_of_its_problem() {
    refuses_under(
        &["evolve.sigma=-1", "seeed=3", "evolve.trial_seeds=fixt", "limits.wall=soon", "config.function=shpere"],
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
"#,
        r#"
--set evolve.sigma=-1: `sigma` is out of bounds: -1.0
    write a value from 1e-100 to 1e100
--set seeed=3: unknown key `seeed`
    did you mean `seed`?
--set evolve.trial_seeds=fixt: `trial_seeds` has no choice "fixt"
    did you mean `fixed`?
--set limits.wall=soon: `wall` is no duration: "soon"
    write it as `1h30m`, `90s`, `500ms` or `HH:MM:SS`
--set config.function=shpere: `function` has no choice "shpere"
    did you mean `sphere`?
"#,
    );
    refuses_under(
        &["seed=[1", "evolve=3"],
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
"#,
        "
--set seed=[1: the value is no TOML: unclosed array, expected `]`
    write a number, true, false, a word, or a list such as [1, 2]
",
    );
    refuses_under(
        &["evolve.sigma.x=1", "a b=3"],
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
sigma = 0.1
"#,
        "
--set evolve.sigma.x=1: `evolve.sigma` is no section
    override it whole: `--set evolve.sigma=…`
--set a b=3: `a b` is not the path of a key
    write it with dots, as in `evolve.sigma=0.5`
",
    );
}

#[test]
fn a_missing_setting_without_a_default_is_named() {
    refuses(
        r#"
pipeline = "networks"
[sweep]
design = "grid"
[sweep.axes]
rate = [0.5]
"#,
        r#"
run.toml: missing `data` in [config]
    for example `data = "word"`
"#,
    );
    refuses(
        r#"
pipeline = "networks"
[config]
rate = 0.1
[sweep]
design = "grid"
[sweep.axes]
units = [5]
"#,
        r#"
run.toml:2:1: missing `data` in [config]
    2 | [config]
      | ^^^^^^^^
    for example `data = "word"`
"#,
    );
}

#[test]
fn an_axis_that_cannot_be_searched_is_refused_where_it_stands() {
    refuses(
        r#"
pipeline = "networks"
[config]
data = "a"
units = 3
[evolve]
strategy = "cma-es"
[evolve.axes]
rat = { log = [0.1, 1.0] }
units = { integers = [1, 64] }
rate = { log = [0.0, 1.0] }
seed = [7]
digits = [1, 2]
evolve.sigma = [0.1, 0.2]
"#,
        "
run.toml:8:1: axis `rat` names no parameter of `networks`
    8 | rat = { log = [0.1, 1.0] }
      | ^^^
    did you mean `rate`?
run.toml:9:1: `units` is searched, and [config] sets it at line 4
    9 | units = { integers = [1, 64] }
      | ^^^^^
    remove one of the two
run.toml:10:16: axis `rate` is logarithmic, but an end is not positive
    10 | rate = { log = [0.0, 1.0] }
       |                ^^^^^^^^^^
    write two positive ends, or `linear`
run.toml:11:1: axis `seed` has one value, so there is nothing to search
    11 | seed = [7]
       | ^^^^
    set `seed` in [config], or give several values
run.toml:12:1: `digits` takes a list of integers, which cannot be an axis
    12 | digits = [1, 2]
       | ^^^^^^
    set it in [config]
run.toml:13:8: `evolve.sigma` is a setting of the strategy, which [evolve] cannot search
    13 | evolve.sigma = [0.1, 0.2]
       |        ^^^^^
    put it in [sweep.axes], to run an evolution for each value
",
    );
}

#[test]
fn a_strategy_that_cannot_search_an_axis_is_refused_with_those_that_can() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
[evolve.axes]
x0 = { linear = [-1.0, 1.0] }
function = ["sphere", "ellipsoid", "rosenbrock"]
"#,
        "
run.toml:6:1: `cma-es` does not search axis `function`, whose 3 words have no order
    6 | function = [\"sphere\", \"ellipsoid\", \"rosenbrock\"]
      | ^^^^^^^^
    take a strategy that searches all axes, of `ga`, `random`, or remove the axis
",
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "xnes"
[evolve.axes]
rotated = [true, false]
"#,
        "
run.toml:5:1: `xnes` does not search axis `rotated`, which has 2 steps
    5 | rotated = [true, false]
      | ^^^^^^^
    take a strategy that searches all axes, of `cma-es`, `ga`, `differential-evolution`, `pso`, `random`, or remove the axis
",
    );
}

#[test]
fn an_axis_is_searched_or_swept_and_lies_in_the_candidate() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "random"
[evolve.axes]
noise = { linear = [0.0, 1.0] }
x10 = { linear = [0.0, 1.0] }
[sweep]
design = "grid"
[sweep.axes]
noise = [0.0, 0.1]
"#,
        "
run.toml:5:1: axis `noise` is there twice, first at line 10
    5 | noise = { linear = [0.0, 1.0] }
      | ^^^^^
    remove one of the two
run.toml:6:1: axis `x10` lies beyond a candidate of 10 elements
    6 | x10 = { linear = [0.0, 1.0] }
      | ^^^
    the last element is `x9`
",
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "random"
[evolve.axes]
"#,
        "
run.toml:4:1: [evolve.axes] has no axes
    4 | [evolve.axes]
      | ^^^^^^^^^^^^^
    add an entry for each setting to search, such as `noise = { linear = [0.0, 0.5] }`, or remove it
",
    );
}

/// A start is a point of the space: from 0 to 1 along each axis.
#[test]
fn a_start_among_axes_has_a_number_from_0_to_1_for_each() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
start = [0.5, 3.0]
[evolve.axes]
x0 = { linear = [-5.0, 5.0] }
noise = { linear = [0.0, 1.0] }
"#,
        "
run.toml:4:15: `start` is out of bounds: 3.0
    4 | start = [0.5, 3.0]
      |               ^^^
    write a value from 0.0 to 1.0
",
    );
}

/// Where a client gives the candidates there is nothing to begin with and nothing to run over; elsewhere nobody gives anything.
#[test]
fn what_a_client_gives_is_held_apart_from_what_a_strategy_proposes() {
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "given"
start = 0.5
sigma = 0.1
[evolve.axes]
noise = { linear = [0.0, 1.0] }
x0 = { any = "integer" }
function = { any = "text" }
rotated = { any = "number", points = 3 }
"#,
        r#"
run.toml:5:1: unknown key `sigma` in [evolve]
    5 | sigma = 0.1
      | ^^^^^
    write one of `strategy`, `population`, `generations`, `start`, `trial_seeds`, `stop` or `axes`
run.toml:7:11: axis `noise` has an interval, but a client gives its values as they are
    7 | noise = { linear = [0.0, 1.0] }
      |           ^^^^^^
    write `{ any = "number" }`
run.toml:8:14: axis `x0` takes numbers, which `any = "integer"` does not give
    8 | x0 = { any = "integer" }
      |              ^^^^^^^^^
    write `{ any = "number" }`
run.toml:9:20: axis `function` takes text, which `any = "text"` does not give
    9 | function = { any = "text" }
      |                    ^^^^^^
    write a list of all that it may be
run.toml:10:29: `points` does not go with `any` in axis `rotated`
    10 | rotated = { any = "number", points = 3 }
       |                             ^^^^^^
    remove it
"#,
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
[evolve.axes]
noise = { any = "number" }
"#,
        r#"
run.toml:5:11: axis `noise` has whatever is given, and nobody gives it anything
    5 | noise = { any = "number" }
      |           ^^^
    write what it runs over, or `strategy = "given"` in [evolve]
"#,
    );
    refuses(
        r#"
pipeline = "functions"
[evolve]
strategy = "given"
population = 70_000
start = 0.5
[sweep]
design = "grid"
[sweep.axes]
noise = [0.0, 0.1]
"#,
        r#"
run.toml:4:14: `population` is 70000, but at most 65536 candidates are given at once: give them in several generations
    4 | population = 70_000
      |              ^^^^^^
    `tumble strategies given` lists what it takes
run.toml:5:9: `start` has no meaning with `given`: a client gives all candidates
    5 | start = 0.5
      |         ^^^
    remove it
run.toml:6:1: an evolution of a sweep runs inside a trial, where nobody gives it candidates
    6 | [sweep]
      | ^^^^^^^
    remove [sweep], or take a strategy that proposes candidates
"#,
    );
}

/// What is built to be tried is smaller than the run, so what counts is said without it.
#[test]
fn a_strategy_that_keeps_more_numbers_than_it_takes_is_refused_however_large_the_run() {
    refuses(
        r#"
pipeline = "functions"
[config]
dimension = 4000
[evolve]
strategy = "differential-evolution"
population = 10_000
generations = 2
"#,
        "
run.toml:6:14: differential-evolution would keep and send 0.3 GB for a `population` of 10000 members of 4000 numbers; it takes at most 16777216 numbers in all: use open-ai-es
    6 | population = 10_000
      |              ^^^^^^
    `tumble strategies differential-evolution` lists what it takes
",
    );
    refuses(
        r#"
pipeline = "functions"
[config]
dimension = 10_000
[evolve]
strategy = "ga"
population = 20_000
generations = 2
"#,
        "
run.toml:5:12: ga would keep and send 0.2 GB for 2000 parents of 10000 numbers; it takes at most 16777216 numbers in all: set `parents` lower or use open-ai-es
    5 | strategy = \"ga\"
      |            ^^^^
    `tumble strategies ga` lists what it takes
",
    );
}
