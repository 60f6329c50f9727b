//! The list of `cargo xtask mutants` is still true of the code.

#[path = "../../src/mutants/list.rs"]
mod list;

use list::MUTANTS;

use crate::sources::{files, none, read};

#[test]
fn the_mutants_are_still_where_they_were() {
    let tests: String = files(".", &[".rs"]).iter().map(read).collect();
    let mut problems = Vec::new();
    for mutant in MUTANTS {
        let code = read(mutant.file);
        let places = code.matches(mutant.find).count();
        if places != 1 {
            problems.push(format!("{}: its text is there {places} times in {}", mutant.name, mutant.file));
        }
        if code.contains(mutant.replace) && !mutant.find.contains(mutant.replace) {
            problems.push(format!("{}: {} has what it puts in already", mutant.name, mutant.file));
        }
        let name = mutant.caught_by.name.rsplit("::").next().expect("a name has an end");
        if !tests.contains(&format!("fn {name}")) {
            problems.push(format!("{}: there is no test `{name}`", mutant.name));
        }
        if !matches!(
            mutant.caught_by.target,
            "lib" | "stories" | "sim" | "journal" | "replica" | "leaving" | "sessions" | "system"
        ) {
            problems.push(format!("{}: no test target of {}", mutant.name, mutant.caught_by.package));
        }
    }
    none(problems);
}
