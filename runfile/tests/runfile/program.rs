//! Run files of the user's own programs: what is refused and how, and the description that follows from one.

use tumble_domain::code::{ResultPlace, Stdin};
use tumble_domain::{Code, Direction, Kind, Program, Value};
use tumble_runfile::{Understood, canonical, parse};

use crate::fakes::read;

/// A run file that is right, and everything in it that may be.
const FULL: &str = r#"
name = "ising"
pipeline = "program"
seed = 7
objective = "-energy"
[program]
metrics = ["energy", "steps"]
command = ["./simulate", "--load", "{load}", "--rule={rule}", "{{x}}", "{seed}"]
result = "file:out.json"
stdin = "json"
memory = "2048MiB"
keep = 3
environment = { PYTHONPATH = "{here}/lib", "A.B" = "" }
[config]
size = 64
sides = [3, 4]
slow = false
damping = 1.0
[sweep]
design = "grid"
[sweep.axes]
load = { linear = [0.0, 1.0], points = 3 }
rule = ["hebb", "delta rule"]
width = { integers = [1, 3] }
rate = [1, 0.5]
damping = { values = [0.5], when = { rule = "hebb" } }
"#;

fn understood(text: &str) -> Understood {
    read(text, &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn program(understood: &Understood) -> &Program {
    let Some(Code::Program(program)) = &understood.spec.code else { panic!("it has a program") };
    program
}

#[test]
fn the_description_of_a_program_is_what_its_run_file_says() {
    let full = understood(FULL);
    let kinds: Vec<(&str, Kind)> = full.inner.parameters.iter().map(|p| (p.name.as_str(), p.kind)).collect();
    let expected = [
        ("size", Kind::Integer),
        ("sides", Kind::Integers),
        ("slow", Kind::Boolean),
        ("damping", Kind::Float),
        ("load", Kind::Float),
        ("rule", Kind::Text),
        ("width", Kind::Integer),
        ("rate", Kind::Float),
    ];
    assert_eq!(kinds, expected);
    let metrics: Vec<&str> = full.description.metrics.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(metrics, ["energy", "steps"]);
    assert_eq!((full.spec.objective.direction, full.warnings.len()), (Direction::Minimise, 0));
    let program = program(&full);
    assert_eq!(program.result, ResultPlace::File("out.json".to_owned()));
    assert_eq!((program.stdin, program.memory, program.keep), (Stdin::Json, Some(2 << 30), 3));
    assert_eq!(program.environment.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["A.B", "PYTHONPATH"]);
    assert_eq!(full.spec.config[3], Value::Float(1.0));
}

/// The coordinator and the journal read the canonical text against the description that was submitted; workers against one
/// that says nothing. All must come to the same.
#[test]
fn whoever_reads_the_canonical_text_comes_to_the_same_description() {
    let evolving = "pipeline = \"program\"\n[program]\ncommand = [\"true\"]\nmetrics = [\"x\"]\n[config]\nb = 1\n\
                    [evolve]\nstrategy = \"cma-es\"\npopulation = 8\n[evolve.axes]\na = { log = [1e-3, 1.0] }\nc = [1, 2, 5]\n";
    let rungs = "pipeline = \"program\"\n[program]\ncommand = [\"true\", \"{steps}\"]\nmetrics = [\"x\"]\n[sweep]\ndesign = \"grid\"\n\
                 [sweep.stopping]\nrule = \"median\"\nsteps = \"steps\"\nrungs = [1, 2, 4]\n[sweep.axes]\na = [1.0, 2.0]\n";
    let both = "pipeline = \"program\"\n[program]\ncommand = [\"true\"]\nmetrics = [\"x\"]\n[config]\nb = 1\n[evolve]\nstrategy = \"ga\"\n\
                [evolve.axes]\na = { linear = [0.0, 1.0] }\n[sweep]\ndesign = \"grid\"\n[sweep.axes]\n\"evolve.population\" = [4, 8]\nd = [true, false]\n";
    for text in [FULL, evolving, rungs, both] {
        let first = understood(text);
        let written = canonical(&first.spec, &first.inner);
        for pipelines in [vec![], vec![first.inner.clone()], tumble_runfile::open_pipelines()] {
            let again = parse(&written, "canonical", &[], &pipelines).unwrap_or_else(|p| panic!("{p}\n{written}"));
            assert_eq!(again.inner, first.inner, "{written}");
            assert_eq!(again.spec, first.spec, "{written}");
            assert_eq!(canonical(&again.spec, &again.inner), written);
        }
        assert!(tumble_runfile::open_pipelines()[0].covers(&first.inner));
        assert!(!first.inner.covers(&tumble_runfile::open_pipelines()[0]));
    }
}

#[test]
fn whole_numbers_and_points_are_told_apart_when_written_back() {
    let text = "pipeline = \"program\"\n[program]\ncommand = [\"true\"]\nmetrics = [\"x\"]\n[config]\nb = 1.0\n[sweep]\n\
                design = \"list\"\n[sweep.axes]\na = [1.0, 2.0]\n";
    let first = understood(text);
    let written = canonical(&first.spec, &first.inner);
    assert!(written.contains("b = 1.0\n") && written.contains("a = [1.0, 2.0]\n"), "{written}");
}

/// A run file with a part of it replaced; gives what its author is told.
#[track_caller]
fn told(from: &str, to: &str) -> String {
    assert!(FULL.contains(from), "{from}");
    match read(&FULL.replace(from, to), &[]) {
        Ok(understood) => panic!("this was understood: {:#?}", understood.spec),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn what_is_wrong_with_a_program_is_told_with_what_would_be_right() {
    let command = r#"command = ["./simulate", "--load", "{load}", "--rule={rule}", "{{x}}", "{seed}"]"#;
    let cases = [
        (
            command,
            "command = \"./simulate --load {load}\"",
            r#"write `command = ["./simulate", "--load", "{load}"]`: no shell"#,
        ),
        (command, "command = [\"./simulate --load {load}\"]", r#"is not the same for all trials"#),
        (command, "command = [\"./simulate --fast\"]", r#"write `command = ["./simulate", "--fast"]`"#),
        (command, "command = []", "`command` names no program"),
        (command, "", "missing `command` in [program]"),
        ("\"{load}\"", "\"{laod}\"", "`{laod}` is no axis, no setting of [config] and no place"),
        ("\"{load}\"", "\"{laod}\"", "did you mean `load`?"),
        ("\"{load}\"", "\"{sede}\"", "did you mean `seed`?"),
        ("\"{load}\"", "\"{load\"", "a `{` is not closed"),
        ("\"{load}\"", "\"{print $1}\"", "`{print $1}` is no placeholder"),
        ("./simulate", "{rule}", "it is looked up once: `{here}`"),
        ("[\"energy\", \"steps\"]", "[]", "`metrics` has 0 names"),
        ("metrics = [\"energy\", \"steps\"]", "", "missing `metrics` in [program]"),
        ("[\"energy\", \"steps\"]", "[\"energy\", \"energy\"]", "is there twice"),
        ("[\"energy\", \"steps\"]", "[\"energy\", \"seed\"]", "is a column that tables have anyway"),
        ("[\"energy\", \"steps\"]", "[\"energy\", \"signal\"]", "is a column that tables have anyway"),
        ("[\"energy\", \"steps\"]", "[\"energy\", \"two words\"]", "is no name"),
        ("[\"energy\", \"steps\"]", "[\"energy\", 3]", "expected list of texts, found list"),
        ("\"-energy\"", "\"-enregy\"", "did you mean `energy`?"),
        ("file:out.json", "out.json", "write `stdout`, or `file:result.json`"),
        ("file:out.json", "file:../out.json", "is neither `stdout` nor a file"),
        ("\"json\"", "\"jsn\"", "did you mean `json`?"),
        ("2048MiB", "2 gigs", "is no amount of memory"),
        ("2048MiB", "0", "cannot be zero"),
        ("PYTHONPATH", "TUMBLE_SEED", "cannot have a variable"),
        ("\"{here}/lib\"", "4", "write `PYTHONPATH = \"…\"`"),
        ("size = 64", "seed = 64", "`seed` is what every program is given anyway"),
        ("size = 64", "here = 64", "`here` is what every program is given anyway"),
        ("size = 64", "SLOW = 64", "would be one variable"),
        ("size = 64", "size-x = 64", "no digit in front: `size_x`"),
        ("size = 64", "size = 1979-05-27", "a program takes no date or time"),
        ("\nwidth =", "\nenergy =", "would share its column with a metric"),
        ("\nwidth =", "\nexit_code =", "share its column with what is told of how the program ended"),
        ("\nwidth =", "\n\"wi dth\" =", "no digit in front: `wi_dth`"),
        ("damping = 1.0", "", "add what it gets elsewhere to [config], as `damping = …`"),
        ("keep = 3", "keeps = 3", "did you mean `keep`?"),
        ("[program]\n", "", "missing [program]"),
        ("pipeline = \"program\"", "pipeline = \"functions\"", "[program] has no meaning for pipeline `functions`"),
    ];
    for (from, to, expected) in cases {
        let said = told(from, to);
        assert!(said.contains(expected), "{to}: {said}");
    }
}

#[test]
fn an_evolution_of_a_program_without_axes_is_told_of_them() {
    let text =
        "pipeline = \"program\"\n[program]\ncommand = [\"true\"]\nmetrics = [\"x\"]\n[evolve]\nstrategy = \"cma-es\"\n";
    let said = read(text, &[]).expect_err("nothing to search").to_string();
    assert!(said.contains("add [evolve.axes]"), "{said}");
}
