//! The repository's files as text, and Rust code without its comments, texts and tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours: what was built, what a run left, what a person installed.
const FOREIGN: [&str; 5] = ["target", "runs", "__pycache__", ".venv", ".git"];

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the root")
}

/// A file's text; the path is relative to the root.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()))
}

/// Every file under a folder whose name ends so, by path relative to the root, sorted.
pub(crate) fn files(under: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root().join(under), &mut found);
    found.retain(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
    let mut found: Vec<PathBuf> =
        found.into_iter().map(|path| path.strip_prefix(root()).expect("walked from the root").to_owned()).collect();
    found.sort();
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("failed to list {}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("an entry of a folder that could be listed");
        let name = entry.file_name();
        match entry.file_type().expect("the kind of an entry") {
            kind if kind.is_dir() && !FOREIGN.iter().any(|foreign| name == *foreign) => walk(&entry.path(), found),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

/// The code that ships from a folder of Rust sources, a text for each file: no comments, no contents of strings, no tests.
pub(crate) fn shipped_code(under: &str) -> Vec<(PathBuf, String)> {
    let files = files(under, &[".rs"]);
    assert!(!files.is_empty(), "{under} has no sources: has the room moved?");
    let texts: Vec<(PathBuf, String)> = files.into_iter().map(|path| (path.clone(), code(&read(&path)))).collect();
    let test_files: BTreeSet<PathBuf> = texts.iter().flat_map(|(path, code)| test_modules(path, code)).collect();
    texts
        .into_iter()
        .filter(|(path, _)| !test_files.contains(path))
        .map(|(path, code)| (path, without_tests(&code)))
        .collect()
}

/// The files of `#[cfg(test)] mod name;`.
fn test_modules(path: &Path, code: &str) -> Vec<PathBuf> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    let folder = path.parent().expect("a file stands in a folder");
    let folder = if ["mod", "lib", "main"].contains(&stem) { folder.to_owned() } else { folder.join(stem) };
    code.split("#[cfg(test)]\nmod ")
        .skip(1)
        .filter_map(|rest| rest.split_once(';'))
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .map(|(name, _)| folder.join(format!("{name}.rs")))
        .collect()
}

/// The code without its `#[cfg(test)] mod … { … }`; as formatted, such a module ends with the first brace that begins a line.
fn without_tests(code: &str) -> String {
    let mut parts = code.split("#[cfg(test)]\nmod ");
    let mut shipped = parts.next().expect("a split has a first part").to_owned();
    for part in parts {
        let is_inline = part.split_once('\n').is_some_and(|(head, _)| head.ends_with('{'));
        shipped += if is_inline { part.split_once("\n}\n").map_or("", |(_, rest)| rest) } else { part };
    }
    shipped
}

/// Rust without comments and without what stands in strings; lines stay where they are.
pub(crate) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if let Some(length) = raw_string(rest) {
            out.push_str("\"\"");
            out.extend(rest[..length].chars().filter(|c| *c == '\n'));
            rest = &rest[length..];
        } else if c == '"' {
            let length = string(rest);
            out.push_str("\"\"");
            out.extend(rest[..length].chars().filter(|c| *c == '\n'));
            rest = &rest[length..];
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            // A quote as a character begins no string.
            let length = if rest.starts_with("'\"'") { 3 } else { 4 };
            out.push_str("' '");
            rest = &rest[length..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// The length of a string that begins here, quotes included.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw string that begins here, if one does.
fn raw_string(text: &str) -> Option<usize> {
    let marks = text.strip_prefix('r')?;
    let hashes = marks.len() - marks.trim_start_matches('#').len();
    marks[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = 1 + hashes + 1;
    Some(text[begin..].find(&end).map_or(text.len(), |at| begin + at + end.len()))
}

/// Whether the name stands in the code as a whole, not as a part of a longer one.
pub(crate) fn names(code: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(is_part)
            && !code[at + name.len()..].chars().next().is_some_and(is_part)
    })
}

/// The number of the line at a byte, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Fails with every problem at once, so that one run shows all there is to do.
#[track_caller]
pub(crate) fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} of the house rules broken:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn code_loses_its_comments_texts_and_tests_and_keeps_its_lines() {
    let text =
        "let a = \"// no \\\" comment\"; // SystemTime\nlet b = r#\"tokio \"quoted\" \"#;\nlet q = '\"'; let c = 1;\n";
    assert_eq!(code(text), "let a = \"\"; \nlet b = \"\";\nlet q = ' '; let c = 1;\n");
    let tested = "fn f() {}\n#[cfg(test)]\nmod tests {\n    fn t() {\n    }\n}\nfn g() {}\n";
    assert_eq!(without_tests(tested), "fn f() {}\nfn g() {}\n");
    assert_eq!(test_modules(Path::new("a/cma_es.rs"), "#[cfg(test)]\nmod tests;\n"), [Path::new("a/cma_es/tests.rs")]);
    assert_eq!(test_modules(Path::new("a/mod.rs"), "#[cfg(test)]\nmod suite;\nmod x;\n"), [Path::new("a/suite.rs")]);
}

#[test]
fn a_name_is_found_as_a_whole_alone() {
    assert!(names("use std::time::Instant;", "Instant"));
    assert!(names("std::thread::spawn(f)", "std::thread"));
    assert!(!names("fn brand(strand: Instantly)", "rand") && !names("Instantly", "Instant"));
}
