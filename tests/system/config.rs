//! The configuration file: where it is looked for, what goes before it, and what is wrong with one.

use std::fs;
use std::path::Path;

use crate::tumble::{Process, Said, run_in, tumble};

/// `tumble designs` with a configuration file of this text, as `TUMBLE_CONFIG` names it.
fn designs(text: &str, environment: &[(&str, &str)], flags: &[&str]) -> Said {
    let folder = tempfile::tempdir().expect("a folder is made");
    fs::write(folder.path().join("mine.toml"), text).expect("it is written");
    let mut command = tumble();
    command.current_dir(folder.path()).env("TUMBLE_CONFIG", "mine.toml").envs(environment.iter().copied());
    command.arg("designs").args(flags);
    Process::start(command).said()
}

#[test]
fn a_flag_goes_before_the_environment_that_before_the_file_and_that_before_the_default() {
    let is_json = |said: Said| said.exits(0).stdout.starts_with('[');
    let json = "output = \"json\"\n";
    assert!(!is_json(designs("", &[], &[])));
    assert!(is_json(designs(json, &[], &[])));
    assert!(!is_json(designs(json, &[("TUMBLE_OUTPUT", "text")], &[])));
    assert!(is_json(designs(json, &[("TUMBLE_OUTPUT", "text")], &["--output", "json"])));
    assert!(!is_json(designs(json, &[], &["--output", "text"])));
}

#[test]
fn the_file_is_looked_for_where_configuration_files_are() {
    let home = tempfile::tempdir().expect("a folder is made");
    let write = |folder: &Path| {
        fs::create_dir_all(folder).expect("it is made");
        fs::write(folder.join("config.toml"), "output = \"json\"\n").expect("it is written");
    };
    let designs = |variable: &str| {
        let mut command = tumble();
        command.env_remove("TUMBLE_CONFIG").env_remove("XDG_CONFIG_HOME").env_remove("HOME");
        command.env(variable, home.path()).arg("designs");
        Process::start(command).said().exits(0).stdout
    };
    assert!(!designs("HOME").starts_with('['));
    write(&home.path().join(".config/tumble"));
    assert!(designs("HOME").starts_with('['));
    assert!(!designs("XDG_CONFIG_HOME").starts_with('['));
    write(&home.path().join("tumble"));
    assert!(designs("XDG_CONFIG_HOME").starts_with('['));
}

#[test]
fn what_holds_for_a_command_stands_in_its_help() {
    let help = |text: &str| {
        let folder = tempfile::tempdir().expect("a folder is made");
        fs::write(folder.path().join("mine.toml"), text).expect("it is written");
        let mut command = tumble();
        command.current_dir(folder.path()).env("TUMBLE_CONFIG", "mine.toml").args(["run", "--help"]);
        Process::start(command).said().exits(0).stdout
    };
    assert!(help("workers = 37").contains("[default: 37]"));
    assert!(!help("").contains("[default: 37]"));
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_its_line_before_anything_is_done() {
    for (text, expected) in [
        ("\nworker = 1", "mine.toml:2: unknown key `worker`; did you mean `workers`?"),
        ("zebra = 1", "mine.toml:1: unknown key `zebra`; write one of client_access, "),
        ("workers = 0", "mine.toml:1: `workers`: invalid value '0': 0 is not in 1..=4096"),
        ("output = \"xml\"", "mine.toml:1: `output`: invalid value 'xml'"),
        ("memory = \"16Q\"", "`16Q` is no amount of memory"),
        ("quiet = \"very\"", "mine.toml:1: `quiet`: expected true or false"),
        ("workers = [1]", "mine.toml:1: `workers` is to be a text, a whole number, true or false"),
        ("quiet = true\nworkers =", "mine.toml:2: not TOML"),
    ] {
        let said = designs(text, &[], &[]).exits(2);
        assert!(said.stderr.contains(expected) && said.stdout.is_empty(), "{text:?}: {said:?}");
        let said = designs(text, &[], &["--output=json"]).exits(2);
        assert!(said.json()["error"].to_string().contains("mine.toml"), "{said:?}");
    }
    let nowhere = tempfile::tempdir().expect("a folder is made");
    let mut command = tumble();
    command.current_dir(nowhere.path()).env("TUMBLE_CONFIG", "gone.toml").arg("designs");
    let said = Process::start(command).said().exits(2);
    assert!(said.stderr.contains("failed to read gone.toml"), "{said:?}");
    // An empty name stands for no file at all.
    run_in(nowhere.path(), ["designs"]).exits(0);
}
