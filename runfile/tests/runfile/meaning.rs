//! What a run file means: defaults, sections, axes and overrides.

use tumble_domain::{AxisTarget, AxisValues, Direction, Kind, Plan, Seed, Value};
use tumble_runfile::{KEYS, Place, Understood, canonical, summary};
use tumble_search::strategies;

use crate::fakes::{functions, networks, read};

#[track_caller]
fn understood(text: &str, overrides: &[&str]) -> Understood {
    read(text, overrides).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The canonical text without its comments, whose sentences belong to the strategies.
#[track_caller]
fn written(text: &str, overrides: &[&str]) -> String {
    let understood = understood(text, overrides);
    let text = canonical(&understood.spec, &understood.description);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    format!("\n{}\n", lines.join("\n"))
}

#[test]
fn every_default_is_filled_in() {
    assert_eq!(
        written("pipeline = \"functions\"\n[evolve]\nstrategy = \"random\"\n", &[]),
        r#"
name = "functions"
pipeline = "functions"
seed = 0
replicates = 1
objective = "-value"

[config]
function = "sphere"
dimension = 10
noise = 0.0
rotated = false

[evolve]
strategy = "random"
population = 64
generations = 1000
trial_seeds = "fresh"

[limits]
attempts = 3
on_failure = "worst"
"#
    );
}

#[test]
fn everything_that_is_written_is_kept() {
    let text = r#"
name = "all-of-it"
pipeline = "functions"
seed = 0xff
replicates = 1_000
objective = "distance"

[limits]
on_failure = "abort"
wall = "02:00:00"
timeout = "1.5s"
attempts = 1

[evolve]
stop.evaluations = 1_000_000
stop.objective = 1
trial_seeds = "per-generation"
start = [1, 2.5]
sigma = 1
strategy = "random"
generations = 5
population = 128

[config]
rotated = true
dimension = 2
noise = 1
function = "rosenbrock"
"#;
    assert_eq!(
        written(text, &[]),
        r#"
name = "all-of-it"
pipeline = "functions"
seed = 255
replicates = 1000
objective = "distance"

[config]
function = "rosenbrock"
dimension = 2
noise = 1.0
rotated = true

[evolve]
strategy = "random"
population = 128
generations = 5
sigma = 1.0
start = [1.0, 2.5]
trial_seeds = "per-generation"
stop = { objective = 1.0, evaluations = 1000000 }

[limits]
timeout = "1s500ms"
wall = "2h"
attempts = 1
on_failure = "abort"
"#
    );
}

#[test]
fn a_sweep_keeps_its_axes_in_the_order_of_the_file() {
    let text = r#"
pipeline = "functions"
[sweep]
design = "random"
points = 1000
[sweep.axes]
x3 = { linear = [-1, 1] }
noise = { log = [0.01, 1.0], points = 5 }
dimension = { integers = [4, 9] }
function = ["sphere", "ellipsoid"]
rotated = true
x0 = [1, 2.5]
"#;
    assert_eq!(
        written(text, &[]),
        r#"
name = "functions"
pipeline = "functions"
seed = 0
replicates = 1
objective = "-value"

[config]

[sweep]
design = "random"
points = 1000

[sweep.axes]
x3 = { linear = [-1.0, 1.0] }
noise = { log = [0.01, 1.0], points = 5 }
dimension = { integers = [4, 9] }
function = ["sphere", "ellipsoid"]
rotated = [true]
x0 = [1.0, 2.5]

[limits]
attempts = 3
on_failure = "worst"
"#
    );
}

#[test]
fn with_both_sections_every_point_is_an_evolution() {
    let text = r#"
pipeline = "functions"
[evolve]
strategy = "random"
[sweep]
design = "grid"
[sweep.axes]
"evolve.population" = [8, 16]
noise = [0.0, 0.1]
evolve.sigma = { log = [0.1, 1], points = 3 }
"#;
    let understood = understood(text, &[]);
    let Plan::SweepOfEvolutions(sweep, evolve) = &understood.spec.plan else {
        panic!("this is a sweep of evolutions: {:?}", understood.spec.plan)
    };
    let targets: Vec<&AxisTarget> = sweep.axes.iter().map(|axis| &axis.target).collect();
    let sigma = AxisTarget::StrategySetting("sigma".to_owned());
    assert_eq!(targets, [&AxisTarget::Population, &AxisTarget::Parameter(2), &sigma]);
    assert_eq!(evolve.population, None, "the axis decides");
    let names: Vec<&str> = understood.description.metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["best", "evaluations", "generations", "reached"]);
    assert_eq!(understood.inner, functions());
    assert_eq!(understood.spec.objective.metric, "value", "the inner objective steers");
    let from_either = canonical(&understood.spec, &understood.inner);
    assert_eq!(from_either, canonical(&understood.spec, &understood.description));
    assert!(from_either.contains("\"evolve.sigma\" = { log = [0.1, 1.0], points = 3 }\n"), "{from_either}");
}

#[test]
fn strategies_may_be_an_axis_that_keeps_only_common_settings() {
    let text = r#"
pipeline = "functions"
[evolve]
sigma = 0.5
[sweep]
design = "grid"
[sweep.axes]
evolve.strategy = ["cma-es", "random"]
"#;
    let understood = understood(text, &[]);
    let Plan::SweepOfEvolutions(_, evolve) = &understood.spec.plan else { panic!("{:?}", understood.spec.plan) };
    assert_eq!(evolve.strategy, "cma-es", "the first of the axis");
    assert_eq!(evolve.settings, [("sigma".to_owned(), Value::Float(0.5))]);
    let text = canonical(&understood.spec, &understood.description);
    let section = &text[text.find("[evolve]").unwrap()..text.find("[sweep]").unwrap()];
    let keys: Vec<&str> = section.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(keys, ["[evolve]", "generations = 1000", "sigma = 0.5", "trial_seeds = \"fresh\"", ""]);
}

#[test]
fn concrete_defaults_of_the_strategy_are_filled_in_and_formulas_stand_as_comments() {
    let understood = understood("pipeline = \"functions\"\n[evolve]\nstrategy = \"cma-es\"\nactive = false\n", &[]);
    let Plan::Evolve(evolve) = &understood.spec.plan else { panic!("{:?}", understood.spec.plan) };
    let strategy = strategies::describe("cma-es").unwrap();
    let expected: Vec<(String, Value)> = strategy
        .parameters
        .iter()
        .filter_map(|p| {
            let value = if p.name == "active" { Some(Value::Boolean(false)) } else { p.default.clone() };
            value.map(|value| (p.name.clone(), value))
        })
        .collect();
    assert!(expected.len() > 1, "cma-es has defaults");
    assert_eq!(evolve.settings, expected);
    assert_eq!(evolve.population, strategies::default_population("cma-es", 10, &[]).ok());
    let text = canonical(&understood.spec, &understood.description);
    for parameter in strategy.parameters.iter().filter(|p| p.default.is_none()) {
        assert!(text.contains(&format!("# {}: {}\n", parameter.name, parameter.summary)), "{text}");
    }
}

#[test]
fn settings_are_searched_by_their_axes_one_coordinate_each() {
    let text = r#"
pipeline = "networks"
[evolve]
strategy = "ga"
start = [0.5, 0.0, 1.0]
[evolve.axes]
rate = { log = [0.001, 1.0] }
data = ["a", "b", "c"]
units = { integers = [1, 64] }
"#;
    let one = understood(text, &["evolve.axes.rate.log=[0.01, 1]", "evolve.generations=3"]);
    let Plan::Evolve(evolve) = &one.spec.plan else { panic!("{:?}", one.spec.plan) };
    let axes: Vec<(&str, &AxisValues)> = evolve.axes.iter().map(|a| (a.name.as_str(), &a.values)).collect();
    let words = AxisValues::List(["a", "b", "c"].map(Value::text).to_vec());
    let expected = [
        ("rate", &AxisValues::Log { from: 0.01, to: 1.0, points: None }),
        ("data", &words),
        ("units", &AxisValues::Integers { from: 1, to: 64 }),
    ];
    assert_eq!(axes, expected);
    assert_eq!(evolve.population, Some(100), "the formula of the strategy");
    assert_eq!(one.spec.config[0], Value::text("a"), "a parameter without a default begins with the first of its axis");
    // The axes are recorded in front of the metrics, and the table has them as columns of their own kinds.
    let names: Vec<&str> = one.description.metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["rate", "data", "units", "accuracy"]);
    assert_eq!(one.inner, networks());
    let shape = summary(&one);
    let columns: Vec<String> = shape.columns.iter().map(|c| format!("{} {}", c.name, c.kind.name())).collect();
    assert_eq!(columns[5..9], ["rate f64", "data dictionary", "units i64", "accuracy f64"]);
    let written = canonical(&one.spec, &one.description);
    let section =
        "[evolve.axes]\nrate = { log = [0.01, 1.0] }\ndata = [\"a\", \"b\", \"c\"]\nunits = { integers = [1, 64] }\n";
    assert!(written.contains(section) && !written.contains("data = \"a\""), "{written}");
    assert_eq!(understood(&written, &[]).spec, one.spec);
}

#[test]
fn elements_of_the_genome_are_searched_by_their_axes_and_inside_a_sweep_too() {
    let text = r#"
pipeline = "functions"
[evolve]
strategy = "cma-es"
[evolve.axes]
x0 = { linear = [-1, 1] }
rotated = [false, true]
[sweep]
design = "grid"
[sweep.axes]
noise = [0.0, 0.1]
"#;
    let understood = understood(text, &[]);
    let Plan::SweepOfEvolutions(_, evolve) = &understood.spec.plan else { panic!("{:?}", understood.spec.plan) };
    let targets: Vec<&AxisTarget> = evolve.axes.iter().map(|axis| &axis.target).collect();
    assert_eq!(targets, [&AxisTarget::Genome(0), &AxisTarget::Parameter(3)]);
    let names: Vec<String> = summary(&understood).columns.into_iter().map(|c| c.name).collect();
    assert!(names.contains(&"noise".to_owned()) && !names.contains(&"x0".to_owned()), "{names:?}");
}

#[test]
fn candidates_that_a_client_gives_are_vectors_or_any_values_of_axes() {
    let vectors = understood("pipeline = \"functions\"\n[evolve]\nstrategy = \"given\"\n", &[]);
    let Plan::Evolve(evolve) = &vectors.spec.plan else { panic!("it evolves") };
    assert!(evolve.is_given() && vectors.spec.plan.is_given());
    assert_eq!((evolve.population, evolve.generations), (Some(4096), 1_000_000));
    let text = r#"
pipeline = "networks"
[evolve]
strategy = "given"
population = 20
[evolve.axes]
rate = { any = "number" }
units = { any = "integer" }
data = ["a", "b"]
"#;
    let axes = understood(text, &[]);
    let Plan::Evolve(evolve) = &axes.spec.plan else { panic!("it evolves") };
    let values: Vec<&AxisValues> = evolve.axes.iter().map(|axis| &axis.values).collect();
    let words = AxisValues::List(vec![Value::text("a"), Value::text("b")]);
    assert_eq!(values, [&AxisValues::Any(Kind::Float), &AxisValues::Any(Kind::Integer), &words]);
    let written = canonical(&axes.spec, &axes.inner);
    assert!(written.contains("rate = { any = \"number\" }\nunits = { any = \"integer\" }\n"), "{written}");
    assert!(!written.contains("start"), "{written}");
    let again = understood(&written, &[]);
    assert_eq!((canonical(&again.spec, &again.inner), &again.spec), (written, &axes.spec));
}

#[test]
fn a_parameter_that_is_an_axis_holds_its_default_or_the_first_value() {
    let text =
        "pipeline = \"networks\"\n[sweep]\ndesign = \"grid\"\n[sweep.axes]\ndata = [\"b\", \"a\"]\nrate = [0.25]\n";
    let config = understood(text, &[]).spec.config;
    assert_eq!((&config[0], &config[2]), (&Value::text("b"), &Value::Float(0.5)));
}

#[test]
fn a_list_of_integers_is_a_setting() {
    let text = "pipeline = \"networks\"\n[config]\ndata = \"d\"\ndigits = [3, 9]\n[sweep]\ndesign = \"grid\"\n[sweep.axes]\nrate = 1\n";
    assert_eq!(understood(text, &[]).spec.config[1].as_integers(), Some(vec![3, 9]));
}

#[test]
fn overrides_come_last_and_keep_the_place_of_an_axis() {
    let text = r#"
pipeline = "functions"
[sweep]
design = "grid"
[sweep.axes]
noise = [0.0]
x0 = { linear = [0, 1], points = 3 }
"#;
    let overrides = [
        "sweep.axes.noise=[0.1, 0.2]",
        "sweep.axes.x0.points=9",
        "sweep.axes.function=sphere",
        "name=night",
        "limits.wall=02:00:00",
        "seed=18446744073709551615",
        "seed=18446744073709551614",
    ];
    let spec = understood(text, &overrides).spec;
    let axes: Vec<(&str, &AxisValues)> =
        spec.plan.sweep().unwrap().axes.iter().map(|a| (a.name.as_str(), &a.values)).collect();
    assert_eq!(
        axes,
        [
            ("noise", &AxisValues::List(vec![Value::Float(0.1), Value::Float(0.2)])),
            ("x0", &AxisValues::Linear { from: 0.0, to: 1.0, points: Some(9) }),
            ("function", &AxisValues::List(vec![Value::text("sphere")])),
        ]
    );
    assert_eq!((spec.name.as_str(), spec.seed), ("night", Seed(u64::MAX - 1)));
    assert_eq!(spec.limits.wall.unwrap().as_secs(), 7200);
}

#[test]
fn an_objective_against_the_pipelines_own_is_warned_about() {
    let text = "objective = \"value\"\npipeline = \"functions\"\n[evolve]\nstrategy = \"random\"\n";
    let understood = understood(text, &[]);
    assert_eq!(understood.spec.objective.direction, Direction::Maximise);
    assert_eq!(understood.warnings, ["`objective = \"value\"` maximises `value`; the pipeline's own is `-value`"]);
}

#[test]
fn a_large_run_is_checked_without_being_built() {
    let text = "pipeline = \"functions\"\n[evolve]\nstrategy = \"random\"\npopulation = 16777215\n";
    let understood = understood(text, &["config.dimension=1000"]);
    let Plan::Evolve(evolve) = &understood.spec.plan else { panic!("{:?}", understood.spec.plan) };
    assert_eq!(evolve.population, Some(16_777_215));
}

#[test]
fn the_largest_sweep_is_understood() {
    let text = "replicates = 127\npipeline = \"functions\"\n[sweep]\ndesign = \"random\"\npoints = 72057594037927936\n\
                [sweep.axes]\nnoise = { linear = [0, 1] }\n";
    assert_eq!(summary(&understood(text, &[])).trials, 127 << 56);
}

#[test]
fn a_strategy_that_cannot_search_so_long_a_candidate_is_the_place_of_the_problem() {
    let text = "pipeline = \"functions\"\n[config]\ndimension = 5000\n[evolve]\nstrategy = \"cma-es\"\n";
    let problems = read(text, &[]).unwrap_err();
    let [problem] = &problems.0[..] else { panic!("{problems}") };
    assert_eq!((problem.key.as_str(), problem.place), ("evolve.strategy", Some(Place { line: 5, column: 12 })));
}

#[test]
fn an_override_that_only_begins_like_toml_is_text() {
    for word in ["1 2", "true story", "sphere", "1h30m", "2024-13-45"] {
        let problems = read("pipeline = \"functions\"\n", &[&format!("config.function={word}")]).unwrap_err();
        assert!(problems.to_string().contains(&format!("no choice {word:?}")) || word == "sphere", "{problems}");
    }
}

/// The list of keys is what pages and messages are made from, so it must hold what is read, and no more.
#[test]
fn every_key_of_the_list_is_known_and_described() {
    for key in KEYS {
        let path = if key.section.is_empty() { key.name.to_owned() } else { format!("{}.{}", key.section, key.name) };
        let problems =
            read("pipeline = \"functions\"\n", &[&format!("{path}={{ wobble = 1 }}")]).unwrap_err().to_string();
        assert!(!problems.contains(&format!("unknown key `{}`", key.name)), "{problems}");
        assert!(problems.contains(&format!("--set {path}=")), "{path} is read:\n{problems}");
        assert!(key.summary.ends_with('.') && !key.takes.is_empty() && !key.default.is_empty());
    }
}
