//! Habits of the code and of what is committed with it.

use crate::sources::{code, files, line_of, names, none, read};

#[test]
fn every_allowed_lint_says_why() {
    let mut problems = Vec::new();
    for path in files("", &[".rs"]) {
        let text = read(&path);
        for attribute in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            // Looked for in the code, so that a rule may be written about; read from the text, where the reason stands.
            for (at, _) in code(&text).match_indices(attribute) {
                let line = line_of(&code(&text), at);
                let whole: String = text.lines().skip(line - 1).collect::<Vec<_>>().join("\n");
                let end = whole.find(")]").unwrap_or(whole.len());
                if !whole[..end].contains("reason = ") {
                    problems.push(format!("{}:{line}: `{attribute}…` without `reason = …`", path.display()));
                }
            }
        }
    }
    none(problems);
}

#[test]
fn nothing_is_left_to_do_and_no_test_is_left_out() {
    let mut problems = Vec::new();
    for path in files("", &[".rs"]) {
        let code = code(&read(&path));
        let left = ["todo!", "unimplemented!", "dbg!"].into_iter().filter(|call| code.contains(call));
        let left = left.chain(["ignore"].into_iter().filter(|name| code.contains("#[ignore") && names(&code, name)));
        problems.extend(left.map(|what| format!("{}: `{what}`", path.display())));
    }
    none(problems);
}

/// What is committed works on any machine: nothing names a folder of the machine that it was written on.
#[test]
fn nothing_names_a_folder_of_one_machine() {
    let endings = [".rs", ".toml", ".md", ".py", ".proto", ".sbatch", ".sh", ".ipynb", ".ci/run"];
    let mut problems = Vec::new();
    for path in files("", &endings) {
        let text = read(&path);
        for folder in [concat!("/", "work/"), concat!("/", "home/"), concat!("/", "root/")] {
            if let Some((at, _)) = text.match_indices(folder).next() {
                problems.push(format!("{}:{}: names {folder}", path.display(), line_of(&text, at)));
            }
        }
    }
    none(problems);
}
