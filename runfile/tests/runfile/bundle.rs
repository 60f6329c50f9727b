//! Run files whose code travels: what is refused and how, whose hash is written, and what is written back.

use std::cell::RefCell;

use tumble_runfile::parse_packing;
use tumble_runfile::{Override, PackError, Problems, Understood, bundle_hash_of, canonical, open_pipelines, parse};

const HASH: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn of_python(line: &str) -> String {
    format!(
        "pipeline = \"python\"\n{line}\n[python]\nentry = \"model.py:evaluate\"\nmetrics = [\"energy\"]\n[sweep]\n\
         design = \"list\"\n[sweep.axes]\nload = [1, 2]\n"
    )
}

fn of_program(line: &str, program: &str) -> String {
    format!(
        "pipeline = \"program\"\n{line}\n[program]\ncommand = [{program:?}]\nmetrics = [\"energy\"]\n[sweep]\n\
         design = \"list\"\n[sweep.axes]\nload = [1, 2]\n"
    )
}

/// What `parse_packing` is told of the files.
type Told = Result<String, PackError>;

/// What it was asked: the paths, and the hash that is written.
type Asked = Vec<(Vec<String>, Option<String>)>;

fn packed(text: &str, told: Told) -> (Result<Understood, Problems>, Asked) {
    let asked = RefCell::new(Vec::new());
    let read = |_: &str| Err("there are none".to_owned());
    let pack = |paths: &[String], written: Option<&str>| {
        asked.borrow_mut().push((paths.to_vec(), written.map(str::to_owned)));
        told.clone()
    };
    let none: &[Override] = &[];
    let understood = parse_packing(text, "run.toml", none, &open_pipelines(), &read, None, Some(&pack));
    (understood, asked.into_inner())
}

#[test]
fn the_run_says_which_files_it_has_and_reading_it_back_needs_none_of_them() {
    let text = of_python("bundle = [\"model.py\", \"data/\"]");
    let (understood, asked) = packed(&text, Ok(HASH.to_owned()));
    assert_eq!(asked, [(vec!["model.py".to_owned(), "data/".to_owned()], None)]);
    let understood = understood.unwrap_or_else(|problems| panic!("{problems}"));
    let written = canonical(&understood.spec, &understood.inner);
    assert!(written.contains(&format!("bundle = [\"model.py\", \"data/\"]\nbundle_hash = \"{HASH}\"\n")), "{written}");
    let again = parse(&written, "run.toml", &[], &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(again.spec, understood.spec);
    assert_eq!(canonical(&again.spec, &again.inner), written);
    assert_eq!(bundle_hash_of(&written).as_deref(), Some(HASH));
    assert_eq!(bundle_hash_of(&text), None);
    // Who looks at the files is told the hash that is written, and may find that they are others.
    let (_, asked) = packed(&written, Ok(HASH.to_owned()));
    assert_eq!(asked[0].1.as_deref(), Some(HASH));
    let why = "the files have changed: data/x.csv".to_owned();
    let (refused, _) = packed(&written, Err(PackError { entry: None, why, fix: "put it back".to_owned() }));
    let problem = refused.unwrap_err().to_string();
    assert!(
        problem.contains("data/x.csv") && problem.contains("bundle_hash = ") && problem.contains("put it back"),
        "{problem}"
    );
}

#[test]
fn without_a_bundle_no_file_is_looked_at_and_nothing_of_it_is_written() {
    let (understood, asked) = packed(&of_python(""), Ok(HASH.to_owned()));
    let understood = understood.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(asked.is_empty() && understood.spec.bundle.is_none());
    assert!(!canonical(&understood.spec, &understood.inner).contains("bundle"));
}

#[test]
fn a_bundle_that_makes_no_sense_is_refused_with_what_would() {
    let many: Vec<String> = (0..257).map(|i| format!("\"f{i}\"")).collect();
    let many = format!("bundle = [{}]", many.join(", "));
    for (line, expected) in [
        ("bundle = []", "`bundle` is empty"),
        ("bundle = \"model.py\"", "wrong type"),
        ("bundle = [1]", "wrong type"),
        ("bundle = [\"model.py\", \"\"]", "an entry of `bundle` is empty"),
        ("bundle = [\"model.py\", \"/etc/passwd\"]", "\"/etc/passwd\" is an absolute path"),
        ("bundle = [\"model.py\", \"a/../../b\"]", "leads out of the folder of the run file"),
        ("bundle = [\"..\"]", "leads out of the folder of the run file"),
        ("bundle = [\".\"]", "names the folder of the run file itself"),
        ("bundle = [\"./\"]", "names the folder of the run file itself"),
        ("bundle = [\"a//b\"]", "or no file"),
        ("bundle = [\"a/./b\"]", "or no file"),
        ("bundle = [\"a\\nb\"]", "can be no path"),
        ("bundle = [\"data\", \"./data/\"]", "\"./data/\" is there twice"),
        ("bundle = [\"data/\"]", "the bundle lacks `model.py`, which is to evaluate: it has `data`"),
        ("bundle_hash = \"00\"", "`bundle_hash` without a `bundle`"),
        ("bundle = [\"model.py\"]\nbundle_hash = \"00\"", "`bundle_hash` is no hash"),
        (many.as_str(), "has 257 entries, more than 256"),
    ] {
        let (refused, _) = packed(&of_python(line), Ok(HASH.to_owned()));
        let problem = refused.expect_err(line).to_string();
        assert!(problem.contains(expected), "{line}: {problem}");
    }
    for program in ["./model.sh", "{here}/model.sh", "model/run"] {
        let (refused, _) = packed(&of_program("bundle = [\"data\"]", program), Ok(HASH.to_owned()));
        let problem = refused.expect_err(program).to_string();
        assert!(problem.contains("the bundle lacks `model"), "{program}: {problem}");
    }
    for (entries, program) in [
        ("[\"model.sh\"]", "./model.sh"),
        ("[\"./model/\"]", "{here}/model/bin/run"),
        ("[\"data\"]", "awk"),
        ("[\"data\"]", "/usr/bin/awk"),
    ] {
        let (taken, _) = packed(&of_program(&format!("bundle = {entries}"), program), Ok(HASH.to_owned()));
        taken.unwrap_or_else(|problems| panic!("{entries} {program}: {problems}"));
    }
}

#[test]
fn an_entry_that_cannot_travel_is_told_with_its_place() {
    let told = PackError { entry: Some(1), why: "`data` is a socket".to_owned(), fix: "leave it out".to_owned() };
    let (refused, _) = packed(&of_python("bundle = [\"model.py\", \"data\"]"), Err(told));
    let problem = refused.unwrap_err();
    assert_eq!(problem.0[0].place.map(|place| (place.line, place.column)), Some((2, 23)), "{problem}");
    assert!(problem.to_string().contains("`data` is a socket"), "{problem}");
}

#[test]
fn a_bundle_whose_files_nobody_has_looked_at_is_no_run() {
    let problem = parse(&of_python("bundle = [\"model.py\"]"), "run.toml", &[], &[]).unwrap_err().to_string();
    assert!(problem.contains("nobody has looked at the files") && problem.contains("tumble check"), "{problem}");
}

#[test]
fn a_pipeline_that_workers_have_built_in_takes_no_bundle() {
    let text =
        "pipeline = \"counting\"\nbundle = [\"model.py\"]\n[sweep]\ndesign = \"list\"\n[sweep.axes]\nload = [1]\n";
    let (refused, _) = packed(text, Ok(HASH.to_owned()));
    let problem = refused.unwrap_err().to_string();
    assert!(problem.contains("`bundle` has no meaning for pipeline `counting`"), "{problem}");
}
