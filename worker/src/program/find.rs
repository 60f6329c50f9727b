//! Looks a run's program up: once, before any trial, so that a mistake is one message and not a million failed trials.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tumble_domain::Program;
use tumble_domain::code::{HERE, Template};

/// The file of a program, or what is wrong with it and what would be right. `here` is the folder of the run file.
pub fn find(program: &Program, here: &Path) -> Result<PathBuf, String> {
    let word = program.command.first().ok_or("`command` names no program")?;
    let template = Template::parse(word).map_err(|error| error.to_string())?;
    let word = template.fill(|name, text| {
        if name == HERE {
            *text += &here.to_string_lossy();
        }
    });
    let path = match word.contains('/') {
        true => here.join(&word),
        false => in_path(&word, program, here)?,
    };
    match check(&path) {
        Ok(()) => Ok(path),
        Err(why) => Err(format!("the program `{word}` cannot be run: {why}")),
    }
}

/// A bare name is looked up in PATH, never in the folder of the run file: as shells do.
fn in_path(word: &str, program: &Program, here: &Path) -> Result<PathBuf, String> {
    let own = program.environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| {
        let fill = |name: &str, text: &mut String| {
            if name == HERE {
                *text += &here.to_string_lossy();
            }
        };
        Template::parse(path).map_or_else(|_| path.clone(), |template| template.fill(fill))
    });
    let path = own.map(Into::into).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let candidates = folders.iter().map(|folder| folder.join(word));
    let mut there = candidates.filter(|file| file.is_file()).peekable();
    let first = there.peek().cloned();
    let is_executable = |file: &PathBuf| file.metadata().is_ok_and(|m| m.permissions().mode() & 0o111 != 0);
    if let Some(found) = there.find(is_executable).or(first) {
        return Ok(found);
    }
    let fix = match here.join(word).is_file() {
        true => format!("it lies beside the run file: write `./{word}`"),
        false => "install it, write its path, or `./NAME` for a file beside the run file".to_owned(),
    };
    Err(format!("the program `{word}` is in no folder of PATH ({}); {fix}", path.to_string_lossy()))
}

/// How much of a file tells what it is.
const HEAD_BYTES: u64 = 256;

fn check(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let about = match path.metadata() {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!(
                "there is no file {shown}; relative paths are looked up in the folder of the run file, or where `--here` says"
            ));
        }
        Err(error) => return Err(format!("{shown}: {error}")),
    };
    if !about.is_file() {
        return Err(format!("{shown} is no file"));
    }
    if about.permissions().mode() & 0o111 == 0 {
        return Err(format!("{shown} is not executable; make it so with `chmod +x {shown}`"));
    }
    let mut head = Vec::new();
    // One that can be executed and not read is for the system to judge.
    let Ok(file) = std::fs::File::open(path) else { return Ok(()) };
    if file.take(HEAD_BYTES).read_to_end(&mut head).is_err() {
        return Ok(());
    }
    let is_text = !head.contains(&0) && !head.starts_with(b"\x7fELF");
    let Some(line) = head.strip_prefix(b"#!") else {
        return match is_text {
            true => Err(format!(
                "{shown} is a script whose first line does not say what runs it; add a first line such as `#!/bin/sh` \
                 or `#!/usr/bin/env python3`"
            )),
            false => Ok(()),
        };
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Err(format!(
            "the lines of {shown} end as on Windows (CR LF), so the system looks for an interpreter with a CR in its \
             name; convert it with `sed -i 's/\\r$//' {shown}`"
        ));
    }
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let interpreter = words.next().unwrap_or_default();
    if interpreter.starts_with('/') && !Path::new(interpreter).exists() {
        return Err(format!("the first line of {shown} asks for {interpreter}, which is not on this machine"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tumble_domain::code::{ResultPlace, Stdin};

    fn program(word: &str) -> Program {
        Program {
            command: vec![word.to_owned()],
            metrics: vec!["x".to_owned()],
            result: ResultPlace::Stdout,
            stdin: Stdin::Nothing,
            environment: Vec::new(),
            memory: None,
            keep: 0,
        }
    }

    #[test]
    fn a_program_that_cannot_be_run_is_told_with_what_would_help() {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let here = folder.path();
        let file = |name: &str, text: &str, mode: u32| {
            let path = here.join(name);
            std::fs::write(&path, text).expect("the folder is ours");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("the file is ours");
        };
        file("good", "#!/bin/sh\necho '{}'\n", 0o755);
        file("plain", "#!/bin/sh\n", 0o644);
        file("bare", "echo '{}'\n", 0o755);
        file("windows", "#!/bin/sh\r\necho '{}'\r\n", 0o755);
        file("stranger", "#!/no/such/interpreter\n", 0o755);
        file("binary", "\u{7f}ELF\0\0", 0o755);
        assert_eq!(find(&program("./good"), here), Ok(here.join("./good")));
        assert!(find(&program("{here}/good"), Path::new("/nowhere")).unwrap_err().contains("/nowhere/good"));
        assert_eq!(find(&program("./binary"), here), Ok(here.join("./binary")));
        assert!(find(&program("sh"), here).is_ok_and(|path| path.is_absolute()));
        for (word, expected) in [
            ("./gone", "there is no file"),
            ("./gone", "the folder of the run file"),
            ("./", "is no file"),
            ("./plain", "is not executable; make it so with `chmod +x"),
            ("./bare", "add a first line such as `#!/bin/sh`"),
            ("./windows", "end as on Windows (CR LF)"),
            ("./stranger", "asks for /no/such/interpreter, which is not on this machine"),
            ("good", "it lies beside the run file: write `./good`"),
            ("no-such-program-anywhere", "is in no folder of PATH ("),
        ] {
            let why = find(&program(word), here).expect_err(word);
            assert!(why.contains(expected) && why.contains(word), "{word}: {why}");
        }
        let own = Program { environment: vec![("PATH".into(), "{here}".into())], ..program("good") };
        assert_eq!(find(&own, here), Ok(here.join("good")));
    }
}
