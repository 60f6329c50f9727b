//! Documents that say what is so: examples that parse, links that lead somewhere, tests that exist.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tumble_domain::PipelineDescription;

use crate::sources::{files, none, read, root};

fn pipelines() -> Vec<PipelineDescription> {
    tumble_pipelines::registry::all().iter().map(|pipeline| pipeline.description().clone()).collect()
}

/// What a run file breaks; warnings count, for an example is there to be copied.
fn run_file_problems(text: &str, name: &str) -> Vec<String> {
    match tumble_runfile::parse(text, name, &[], &pipelines()) {
        Ok(understood) => understood.warnings.iter().map(|warning| format!("{name}: {warning}")).collect(),
        Err(problems) => vec![problems.to_string()],
    }
}

/// The run files among the examples: those of pipelines that come with Tumble, and those of a crate with one of its own, which
/// that crate's tests run.
fn examples() -> (Vec<PathBuf>, Vec<PathBuf>) {
    let run_files = files("examples", &[".toml"]).into_iter().filter(|path| !path.ends_with("Cargo.toml"));
    run_files.partition(|path| !root().join(path).with_file_name("Cargo.toml").exists())
}

#[test]
fn every_example_is_a_valid_run() {
    let (examples, _) = examples();
    assert!(!examples.is_empty(), "there are no examples");
    let problems = examples.iter().flat_map(|path| run_file_problems(&read(path), &path.display().to_string()));
    none(problems.collect());
}

#[test]
fn every_example_is_run_by_the_checks_and_told_of() {
    let (checks, told) = (read(".ci/run"), read("examples/README.md"));
    let mut problems = Vec::new();
    let (plain, of_crates) = examples();
    for path in [plain, of_crates, files("examples", &[".py", ".ipynb"])].concat() {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
        if !checks.contains(stem) {
            problems.push(format!(".ci/run does not run {name}"));
        }
        if !told.contains(name) {
            problems.push(format!("examples/README.md does not tell of {name}"));
        }
    }
    none(problems);
}

#[test]
fn every_pipeline_has_a_readme() {
    let mut problems = Vec::new();
    let mut folders = 0;
    for entry in std::fs::read_dir(root().join("pipelines/src")).expect("the room of the pipelines") {
        let entry = entry.expect("an entry of a folder that could be listed");
        if !entry.path().is_dir() {
            continue;
        }
        folders += 1;
        let name = entry.file_name().to_string_lossy().into_owned();
        let readme = entry.path().join("README.md");
        let Ok(text) = std::fs::read_to_string(&readme) else {
            problems.push(format!("pipelines/src/{name} has no README.md"));
            continue;
        };
        if !text.contains(&format!("# {}", name.replace('_', "-"))) {
            problems.push(format!("pipelines/src/{name}/README.md is not headed by the pipeline's name"));
        }
    }
    assert_eq!(folders, pipelines().len(), "each pipeline has a folder, and each folder is a pipeline");
    none(problems);
}

#[test]
fn every_run_file_in_a_document_is_valid() {
    let mut problems = Vec::new();
    let mut blocks = 0;
    let of_crates: Vec<String> = examples().1.iter().map(read).collect();
    for path in files("", &[".md"]) {
        let text = read(&path);
        for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
            // A piece of one is no run file.
            let is_of_a_crate = of_crates.iter().any(|run_file| run_file.trim_end() == block);
            if block.lines().any(|line| line.starts_with("pipeline = ")) && !is_of_a_crate {
                blocks += 1;
                problems.extend(run_file_problems(block, &path.display().to_string()));
            }
        }
    }
    assert!(blocks > 0, "documents show run files between ```toml and ```");
    none(problems);
}

/// The architecture is stated as absences, and each of them is held by a test that it names.
#[test]
fn the_architecture_names_only_tests_that_exist() {
    if !root().join("docs/architecture.md").exists() {
        return;
    }
    let tests = test_names();
    let items = absences(&read("docs/architecture.md"));
    none(items.iter().filter_map(|item| unheld(item, &tests)).collect());
}

/// The items of the section on what is not there, each on one line.
fn absences(text: &str) -> Vec<String> {
    let section = text.split("\n## What is not there").nth(1).unwrap_or("");
    let section = section.split("\n## ").next().expect("a split has a first part");
    let mut items: Vec<String> = Vec::new();
    for line in section.lines() {
        match (line.strip_prefix("- "), items.last_mut()) {
            (Some(item), _) => items.push(item.to_owned()),
            (None, Some(item)) if line.starts_with(' ') => *item = format!("{item} {}", line.trim()),
            _ => {}
        }
    }
    items
}

/// What is wrong with an item: it names no test, or one that is not there.
fn unheld(item: &str, tests: &BTreeSet<String>) -> Option<String> {
    let is_named = |name: &&str| is_test_name(name) || is_script(name);
    let named: Vec<&str> = item.split('`').skip(1).step_by(2).filter(is_named).collect();
    let missing: Vec<&str> = named.iter().copied().filter(|name| !tests.contains(*name)).collect();
    match (named.is_empty(), missing.as_slice()) {
        (true, _) => Some(format!("docs/architecture.md: no test holds \"{item}\"")),
        (_, []) => None,
        (_, missing) => Some(format!("docs/architecture.md: there is no test {}", missing.join(", "))),
    }
}

/// Names of tests are sentences; two words may be any function.
fn is_test_name(name: &str) -> bool {
    name.matches('_').count() >= 3 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// A test that is a program of its own, which `.ci/run` calls.
fn is_script(name: &str) -> bool {
    name.starts_with("tests/")
}

/// Every function that is a test, and the scripts that `.ci/run` calls.
fn test_names() -> BTreeSet<String> {
    let called = read(".ci/run");
    let scripts = called.split_whitespace().filter(|word| is_script(word) && root().join(word).is_file());
    let mut names: BTreeSet<String> = scripts.map(str::to_owned).collect();
    for path in files("", &[".rs"]) {
        let text = read(&path);
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some((name, _)) =
                line.trim_start_matches("async ").strip_prefix("fn ").and_then(|f| f.split_once('('))
                && std::mem::take(&mut is_test)
            {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn an_absence_without_its_test_is_noticed() {
    let text = "# A\n\n## What is not there\n\nEach names its test.\n\n- No clock:\n  `the_core_has_no_clock`\n- No `x`.\n\n## More\n- b\n";
    let items = absences(text);
    assert_eq!(items, ["No clock: `the_core_has_no_clock`", "No `x`."]);
    let tests = BTreeSet::from(["the_core_has_no_clock".to_owned()]);
    assert_eq!(unheld(&items[0], &tests), None);
    assert!(unheld(&items[0], &BTreeSet::new()).is_some_and(|problem| problem.contains("the_core_has_no_clock")));
    assert!(unheld(&items[1], &tests).is_some());
    assert!(test_names().contains("an_absence_without_its_test_is_noticed"));
}

/// The table of faults counts what was survived, and by which tests.
#[test]
fn every_fault_in_the_table_was_survived_in_a_test_that_exists() {
    let text = read("docs/reliability.md");
    let section = text.split("\n## Faults and their tests").nth(1).unwrap_or("").split("\n## ").next().unwrap_or("");
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "docs/reliability.md has its table of faults");
    let tests = test_names();
    none(rows.into_iter().filter_map(|row| unsurvived(row, &tests)).collect());
}

/// What is wrong with a row of the table of faults.
fn unsurvived(row: &str, tests: &BTreeSet<String>) -> Option<String> {
    let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
    let [fault, _, _, named, survived] = cells[..] else {
        return Some(format!("docs/reliability.md: not five cells: {row}"));
    };
    let mut names = named.split('`').skip(1).step_by(2).peekable();
    if names.peek().is_none() {
        return Some(format!("docs/reliability.md: no test for \"{fault}\""));
    }
    if let Some(missing) = names.find(|name| !tests.contains(*name)) {
        return Some(format!("docs/reliability.md: there is no test {missing}"));
    }
    match survived.replace(' ', "").parse::<u64>() {
        Ok(1..) => None,
        // Newer than the last count, which takes an hour.
        Err(_) if survived == "not yet" => None,
        _ => Some(format!("docs/reliability.md: \"{fault}\" was never survived: run cargo xtask reliability")),
    }
}

#[test]
fn a_fault_that_was_never_survived_is_noticed() {
    let tests = BTreeSet::from(["a_test".to_owned()]);
    assert_eq!(unsurvived("| a fault | b | c | `a_test` | 100 000 |", &tests), None);
    assert_eq!(unsurvived("| a fault | b | c | `a_test` | not yet |", &tests), None);
    for row in [
        "| a fault | b | c | `a_test` | 0 |",
        "| a fault | b | c | `a_test` | many |",
        "| a fault | b | c | `a_test`, `another_test` | 7 |",
        "| a fault | b | c | none | 7 |",
        "| a fault | b | c | `a_test` |",
    ] {
        assert!(unsurvived(row, &tests).is_some(), "{row}");
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut problems = Vec::new();
    for path in files("", &[".md"]) {
        let text = read(&path);
        let folder = root().join(path.parent().expect("a folder"));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let elsewhere =
                link.is_empty() || link.contains("://") || link.contains(' ') || link.starts_with("mailto:");
            if !elsewhere && !folder.join(link).exists() {
                problems.push(format!("{}: nothing is at {link}", path.display()));
            }
        }
    }
    none(problems);
}
