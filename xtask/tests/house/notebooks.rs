//! Notebooks are committed as they are read: without outputs, which make every difference unreadable and name the folders of whoever
//! ran them last.

use serde_json::Value as Json;

use crate::sources::{files, none, read};

/// What a notebook holds that is not its text.
fn problems_of(text: &str, name: &str) -> Vec<String> {
    let Ok(notebook) = serde_json::from_str::<Json>(text) else {
        return vec![format!("{name} is no JSON")];
    };
    let mut problems = Vec::new();
    let cells = notebook["cells"].as_array().map_or(&[][..], Vec::as_slice);
    if cells.is_empty() {
        problems.push(format!("{name} has no cells"));
    }
    for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| cell["cell_type"] == "code") {
        if cell["outputs"].as_array().is_none_or(|outputs| !outputs.is_empty()) {
            problems.push(format!("{name}: cell {at} has outputs: clear them before you commit"));
        }
        if !cell["execution_count"].is_null() {
            problems
                .push(format!("{name}: cell {at} has a count of its executions: clear the outputs before you commit"));
        }
    }
    // What a front end leaves: the version of an interpreter, the state of widgets.
    for key in notebook["metadata"].as_object().into_iter().flat_map(|metadata| metadata.keys()) {
        if !["kernelspec", "language_info"].contains(&key.as_str()) {
            problems.push(format!("{name}: its metadata has `{key}`, which no reader needs"));
        }
    }
    if !notebook["metadata"]["language_info"]["version"].is_null() {
        problems.push(format!("{name}: the version of one interpreter stands in its metadata"));
    }
    problems
}

#[test]
fn every_notebook_is_committed_without_outputs() {
    let notebooks = files("", &[".ipynb"]);
    assert!(!notebooks.is_empty(), "there are no notebooks: have they moved?");
    none(notebooks.iter().flat_map(|path| problems_of(&read(path), &path.display().to_string())).collect());
}

#[test]
fn outputs_of_a_notebook_are_noticed() {
    let notebook = |cell: &str, metadata: &str| format!("{{\"cells\": [{cell}], \"metadata\": {metadata}}}");
    let clear = r#"{"cell_type": "code", "execution_count": null, "outputs": [], "source": ["1"]}"#;
    assert_eq!(problems_of(&notebook(clear, "{}"), "n"), Vec::<String>::new());
    for (cell, metadata, expected) in [
        (clear.replace("[],", "[{\"text\": \"1\"}],"), "{}", "has outputs"),
        (clear.replace("null", "7"), "{}", "has a count"),
        (clear.to_owned(), "{\"widgets\": {}}", "`widgets`"),
        (clear.to_owned(), "{\"language_info\": {\"version\": \"3.11.7\"}}", "one interpreter"),
        (String::new(), "{}", "no cells"),
    ] {
        let found = problems_of(&notebook(&cell, metadata), "n");
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
    }
}
