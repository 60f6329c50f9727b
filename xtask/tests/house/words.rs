//! One word for each concept: the words that `docs/terms.md` gives way to, and the names that it has to explain.

use tumble_tables::{ATTEMPT_COLUMNS, GENERATION_COLUMNS, TRIAL_COLUMNS};

use crate::sources::{files, line_of, none, read};

/// Words that stand for something that has another word here.
const OTHER_WORDS: [(&str, &str); 14] = [
    ("individual", "candidate"),
    ("chromosome", "genome"),
    ("genotype", "genome"),
    ("phenotype", "candidate"),
    ("hyperparameter", "parameter or setting"),
    ("rollout", "trial"),
    ("episode", "trial"),
    ("study", "run"),
    ("lessee", "worker"),
    ("slave", "worker"),
    ("master", "coordinator"),
    ("whitelist", "a list of what is allowed"),
    ("blacklist", "a list of what is banned"),
    ("workload", "pipeline or run"),
];

/// Words that have a meaning of their own elsewhere, and would be a second word for a trial, a shard or a worker in these
/// rooms.
const ROOM_WORDS: [(&str, &str, &[&str]); 3] = [
    // What one thread of a process is given, and what a batch system runs.
    (
        "job",
        "trial, shard or run",
        &["domain", "search", "pipelines", "runfile", "tables", "proto", "coordinator/core", "examples"],
    ),
    // What a network learns, and what an async runtime runs.
    ("task", "trial or shard", &["domain", "search", "runfile", "tables", "proto", "examples"]),
    // A machine of a cluster, and the branching point of a tree.
    ("node", "worker or host", &["domain", "tables/src", "proto", "coordinator", "cli", "worker", "examples"]),
];

/// Sources and prose of ours. `docs/terms.md` itself names the words that it replaces, and so do these rules.
fn texts() -> Vec<(String, String)> {
    files("", &[".rs", ".proto", ".md", ".py", ".ipynb", "Cargo.toml"])
        .into_iter()
        .filter(|path| !path.starts_with("xtask/tests/house") && !path.ends_with("docs/terms.md"))
        .map(|path| (path.display().to_string(), read(&path)))
        .collect()
}

#[test]
fn nothing_goes_by_another_word_than_its_own() {
    let mut problems = Vec::new();
    for (path, text) in texts() {
        for (word, ours) in OTHER_WORDS {
            problems.extend(lines_with(&text, word).map(|line| format!("{path}:{line}: `{word}`: say {ours}")));
        }
        for (word, ours, rooms) in ROOM_WORDS {
            if rooms.iter().any(|room| path.starts_with(&format!("{room}/"))) {
                problems.extend(lines_with(&text, word).map(|line| format!("{path}:{line}: `{word}`: say {ours}")));
            }
        }
    }
    none(problems);
}

/// The lines that have the word, alone, in the plural, or as a part of a name such as `best_individual` or `IndividualId`.
fn lines_with<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut capital = word.to_owned();
    capital[..1].make_ascii_uppercase();
    let mut found: Vec<usize> = [word.to_owned(), capital]
        .iter()
        .flat_map(|form| text.match_indices(form.as_str()).collect::<Vec<_>>())
        .filter(|(at, form)| {
            let before = text[..*at].chars().next_back();
            let mut rest = &text[at + form.len()..];
            rest = rest.strip_prefix("ies").or(rest.strip_prefix('s')).unwrap_or(rest);
            let begins = !before.is_some_and(|c| c.is_alphabetic())
                || (form.starts_with(|c: char| c.is_uppercase()) && before.is_some_and(char::is_lowercase));
            begins && !rest.starts_with(char::is_lowercase)
        })
        .map(|(at, _)| line_of(text, at))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter()
}

#[test]
fn a_word_is_found_in_names_and_not_within_other_words() {
    let lines = |text: &str, word: &str| lines_with(text, word).collect::<Vec<_>>();
    assert_eq!(lines("best_individual\nIndividualId\nlet theIndividual;\nindividuals.", "individual"), [1, 2, 3, 4]);
    assert!(lines("individually remastered, a jobber\nmultitask", "individual").is_empty());
    assert!(lines("remastered", "master").is_empty());
    assert!(lines("multitask jobber", "job").is_empty());
}

#[test]
fn every_key_and_every_column_is_explained_in_the_terms() {
    let terms = read("docs/terms.md");
    let keys = tumble_runfile::KEYS.iter().map(|key| key.name);
    let columns =
        [&TRIAL_COLUMNS[..], &tumble_domain::code::EXIT_COLUMNS, &GENERATION_COLUMNS, &ATTEMPT_COLUMNS].concat();
    let columns = columns.iter().map(|(name, _)| *name);
    let missing = keys.chain(columns).filter(|name| !terms.contains(&format!("`{name}`")));
    none(missing.map(|name| format!("docs/terms.md does not explain `{name}`")).collect());
}
