//! Run files of Python functions: what is refused and how, what is asked, and what is written back.

use tumble_domain::{Code, Kind, Value};
use tumble_runfile::{
    AskError, Asked, AskedDefault, AskedParameter, Override, Problems, Question, Understood, canonical, open_pipelines,
    parse, parse_asking,
};

/// A run file that says it all.
const FULL: &str = r#"
name = "ising"
pipeline = "python"
objective = "-energy"
[python]
entry = "model.py:evaluate"
interpreter = ".venv/bin/python"
metrics = ["energy", "steps"]
batch = true
genome = 3
[config]
n = 4
N = 5
trials = [1, 2]
[sweep]
design = "grid"
[sweep.axes]
load = { linear = [0.0, 1.0], points = 3 }
rule = ["hebb", "delta rule"]
genome1 = [0.5, 1.0]
"#;

/// One that leaves to the function what it can.
const SHORT: &str = r#"
pipeline = "python"
[python]
entry = "model.py:evaluate"
[sweep]
design = "list"
[sweep.axes]
load = [1, 2]
"#;

fn parameter(name: &str, kind: Option<Kind>, default: AskedDefault) -> AskedParameter {
    AskedParameter { name: name.to_owned(), kind, default }
}

/// What a function says of itself.
fn says() -> Asked {
    Asked {
        parameters: vec![
            parameter("load", Some(Kind::Float), AskedDefault::Missing),
            parameter("rule", Some(Kind::Text), AskedDefault::Value(Value::text("hebb"))),
            parameter("steps", Some(Kind::Integer), AskedDefault::Value(Value::Integer(10))),
            parameter("sides", Some(Kind::Integers), AskedDefault::Value(Value::List(vec![Value::Integer(3)]))),
            parameter("extra", None, AskedDefault::Own),
            parameter("seed", Some(Kind::Integer), AskedDefault::Missing),
        ],
        takes_any: false,
        metrics: Some(vec!["energy".to_owned(), "length".to_owned()]),
    }
}

fn asking(text: &str, overrides: &[Override], answer: Result<Asked, AskError>) -> Result<Understood, Problems> {
    let ask = |question: &Question| {
        assert_eq!(question.entry, "model.py:evaluate");
        answer.clone()
    };
    parse_asking(text, "run.toml", overrides, &open_pipelines(), &|_| unreachable!("it names none"), Some(&ask))
}

#[test]
fn the_description_of_a_function_is_what_its_run_file_says_whoever_reads_it() {
    let full = parse(FULL, "run.toml", &[], &open_pipelines()).unwrap_or_else(|problems| panic!("{problems}"));
    let kinds: Vec<(&str, Kind)> = full.inner.parameters.iter().map(|p| (p.name.as_str(), p.kind)).collect();
    let expected = [
        ("n", Kind::Integer),
        ("N", Kind::Integer),
        ("trials", Kind::Integers),
        ("load", Kind::Float),
        ("rule", Kind::Text),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(full.inner.dimension(&full.spec.config), 3);
    let Some(Code::Python(python)) = &full.spec.code else { panic!("it has a function") };
    assert_eq!((python.batch, python.genome, python.interpreter.as_deref()), (true, Some(3), Some(".venv/bin/python")));
    let written = canonical(&full.spec, &full.inner);
    for pipelines in [vec![full.inner.clone()], open_pipelines()] {
        let again = parse(&written, "canonical", &[], &pipelines).unwrap_or_else(|p| panic!("{p}\n{written}"));
        assert_eq!((&again.inner, &again.spec), (&full.inner, &full.spec), "{written}");
        assert_eq!(canonical(&again.spec, &again.inner), written);
    }
    assert!(open_pipelines().iter().any(|open| open.covers(&full.inner)));
}

#[test]
fn what_a_function_says_of_itself_is_written_into_the_run() {
    let understood = asking(SHORT, &[], Ok(says())).unwrap_or_else(|problems| panic!("{problems}"));
    let written = canonical(&understood.spec, &understood.inner);
    let config = "[config]\nrule = \"hebb\"\nsteps = 10\nsides = [3]\n\n";
    assert!(written.contains("metrics = [\"energy\", \"length\"]\n") && written.contains(config), "{written}");
    // Whole numbers are real where the function takes those.
    assert!(written.contains("load = [1.0, 2.0]\n"), "{written}");
    let again = parse(&written, "canonical", &[], &open_pipelines()).unwrap_or_else(|p| panic!("{p}\n{written}"));
    assert_eq!(again.spec, understood.spec);
}

#[test]
fn what_the_function_does_not_take_is_told_with_the_nearest_that_it_does() {
    for (key, value, expected) in [
        ("config.stpes", "3", "`evaluate` has no parameter `stpes`"),
        ("config.stpes", "3", "did you mean `steps`?"),
        ("sweep.axes.rul", "[\"a\", \"b\"]", "did you mean `rule`?"),
        ("config.steps", "1.5", "`evaluate` takes an integer as `steps`, found number"),
        ("config.rule", "3", "`evaluate` takes text as `rule`, found integer"),
        ("sweep.axes.rule", "[1, 2]", "`evaluate` takes text as `rule`, found integer"),
        ("config.seed", "3", "`seed` is what every function is given anyway"),
        ("python.metrics", "[\"enregy\"]", "did you mean `energy`?"),
        ("python.genome", "3", "`evaluate` has no parameter `genome`"),
        ("python.entry", "\"model.py:\"", "write `model.py:evaluate` or `package.module:function`"),
        ("python.batch", "1", "write `batch = true` or `batch = false`"),
        ("python.btach", "true", "did you mean `batch`?"),
        ("pipeline", "\"program\"", "missing [program]"),
    ] {
        let given = Override { key: key.to_owned(), value: value.to_owned() };
        let said = asking(SHORT, &[given], Ok(says())).expect_err(key).to_string();
        assert!(said.contains(expected), "{key} = {value}: {said}");
    }
    let unset = SHORT.replace("load = [1, 2]", "steps = [1, 2]");
    let said = asking(&unset, &[], Ok(says())).expect_err("load is missing").to_string();
    assert!(said.contains("`evaluate` has no default for `load`, and nothing sets it"), "{said}");
    let mut takes_any = says();
    takes_any.takes_any = true;
    let other = Override { key: "config.other".to_owned(), value: "3".to_owned() };
    assert!(asking(SHORT, &[other], Ok(takes_any.clone())).is_ok());
    let word = Override { key: "config.lambda".to_owned(), value: "3".to_owned() };
    let said = asking(SHORT, &[word], Ok(takes_any)).expect_err("no call can name it").to_string();
    assert!(said.contains("it is a word of the language"), "{said}");
    let mut takes_genome = says();
    takes_genome.parameters.push(parameter("genome", None, AskedDefault::Missing));
    let said = asking(SHORT, &[], Ok(takes_genome)).expect_err("its length is missing").to_string();
    assert!(said.contains("`genome = 10`"), "{said}");
}

#[test]
fn a_function_that_cannot_be_asked_is_a_problem_unless_it_may_be_right_elsewhere_and_the_file_says_it_all() {
    let cannot = |elsewhere| Err(AskError { why: "no such thing".to_owned(), elsewhere });
    let listed = Override { key: "python.metrics".to_owned(), value: "[\"energy\"]".to_owned() };
    let understood = asking(SHORT, std::slice::from_ref(&listed), cannot(true)).expect("the file says it all");
    assert!(understood.warnings[0].contains("no such thing"), "{:?}", understood.warnings);
    assert!(asking(SHORT, &[listed], cannot(false)).is_err());
    let said = asking(SHORT, &[], cannot(true)).expect_err("nobody knows the metrics").to_string();
    assert!(said.contains("no such thing") && said.contains("list `metrics` in [python]"), "{said}");
    let said = parse(SHORT, "run.toml", &[], &open_pipelines()).expect_err("nobody is asked").to_string();
    assert!(said.contains("missing `metrics` in [python]"), "{said}");
}
