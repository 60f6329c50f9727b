//! What we write down, others read for years: every public format has a folder of frozen old files, and a test that reads
//! them.

use crate::sources::{files, none, read, root};

/// A format: its history, the test that reads it, and where the current version is declared, if it counts.
struct Format {
    name: &'static str,
    history: &'static str,
    reader: &'static str,
    declared: Option<(&'static str, &'static str)>,
}

const FORMATS: [Format; 3] = [
    // Parquet says itself what it holds; columns are added, never changed.
    Format { name: "the tables", history: "tables/tests/history", reader: "tables/tests/history.rs", declared: None },
    // Its first line counts; run files and stores of years ago name bundles by the hash of such a text.
    Format {
        name: "the manifest of a bundle",
        history: "bundle/tests/history",
        reader: "bundle/tests/history.rs",
        declared: Some(("bundle/src/manifest.rs", "const VERSION: u32 = ")),
    },
    Format {
        name: "the journal",
        history: "coordinator/tests/history",
        reader: "coordinator/tests/journal.rs",
        declared: Some(("coordinator/src/journal/mod.rs", "const FORMAT: i64 = ")),
    },
];

#[test]
fn every_public_format_has_its_history_read_in_every_test_run() {
    let mut problems = Vec::new();
    for Format { name, history, reader, declared } in FORMATS {
        let mut versions: Vec<u32> = std::fs::read_dir(root().join(history))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix('v')?.parse().ok())
            .collect();
        versions.sort_unstable();
        if versions.is_empty() || !versions.iter().copied().eq(1..=versions.len() as u32) {
            problems.push(format!("{name}: {history} has the versions {versions:?}, not 1, 2, … without a gap"));
        }
        if let Some((file, constant)) = declared {
            let current = read(file).split_once(constant).and_then(|(_, rest)| rest.split(';').next()?.parse().ok());
            if current != versions.last().copied() {
                problems.push(format!("{name}: {file} declares version {current:?}; {history} has {versions:?}"));
            }
        }
        let text = read(reader);
        for version in versions {
            for file in files(&format!("{history}/v{version}"), &[""]) {
                let file = file.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
                if !text.contains(&file) {
                    problems.push(format!("{name}: {reader} does not read {file} of version {version}"));
                }
            }
        }
    }
    none(problems);
}

/// A packaged protocol changes by adding: another package name is another protocol, and needs a folder of its own.
#[test]
fn every_message_stands_in_a_versioned_package() {
    let mut problems = Vec::new();
    let protocols = files("proto/proto", &[".proto"]);
    assert!(!protocols.is_empty(), "proto/proto has no protocol");
    for path in protocols {
        let folder = path.parent().expect("a folder").strip_prefix("proto/proto").expect("stands under it");
        let package = folder.display().to_string().replace('/', ".");
        if !read(&path).contains(&format!("package {package};")) {
            problems.push(format!("{}: the package is not `{package}`, as its folder has it", path.display()));
        }
    }
    none(problems);
}
