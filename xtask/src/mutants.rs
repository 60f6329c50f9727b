//! The guards of the promises, each broken on purpose: `cargo xtask mutants`.
//!
//! A mutant is a small change that takes one guard away, and the test that is to notice it. The tree is copied beside the
//! build, each mutant is made there, compiled, and held against its test; one that its test lets pass has survived.

use std::error::Error;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

mod list;

use list::{MUTANTS, Mutant, Test};

/// A test that has not ended by then waits for what the mutant keeps from happening.
const PATIENCE: Duration = Duration::from_secs(180);

/// `cargo xtask mutants [--list] [NAME …]`.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    if arguments == ["--list"] {
        for Mutant { name, file, caught_by, .. } in MUTANTS {
            println!("{name}  {file}  {}", caught_by.name);
        }
        return Ok(());
    }
    if let Some(unknown) = arguments.iter().find(|name| !MUTANTS.iter().any(|mutant| mutant.name == **name)) {
        return Err(format!("there is no mutant `{unknown}`; `cargo xtask mutants --list` names them").into());
    }
    let chosen: Vec<_> =
        MUTANTS.iter().filter(|m| arguments.is_empty() || arguments.iter().any(|name| name == m.name)).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let nest = root.join("target/mutants");
    let tree = nest.join("tree");
    copy_tree(&root, &tree)?;
    // What the mutants depend on is compiled already.
    let cargo = Cargo { tree: &tree, target: root.join("target") };

    let mut sound: Vec<Test> = Vec::new();
    let mut survivors = Vec::new();
    for mutant in &chosen {
        let path = tree.join(mutant.file);
        let whole = fs::read_to_string(&path)?;
        if whole.matches(mutant.find).count() != 1 {
            return Err(
                format!("{}: the text to change is not there exactly once in {}", mutant.name, mutant.file).into()
            );
        }
        if !sound.contains(&mutant.caught_by) {
            if cargo.test(mutant.caught_by)? != Verdict::Passed {
                return Err(format!("{} does not pass as it is", mutant.caught_by.name).into());
            }
            sound.push(mutant.caught_by);
        }
        fs::write(&path, whole.replacen(mutant.find, mutant.replace, 1))?;
        let began = Instant::now();
        let verdict = cargo.test(mutant.caught_by);
        fs::write(&path, whole)?;
        let verdict = verdict?;
        let said = match verdict {
            Verdict::Passed => "SURVIVED",
            Verdict::Failed => "caught",
            Verdict::Hung => "caught: its test never ended",
        };
        println!("{:<48} {said:<30} {} ({} s)", mutant.name, mutant.caught_by.name, began.elapsed().as_secs());
        if verdict == Verdict::Passed {
            survivors.push(mutant.name);
        }
    }
    println!("{} mutants, {} caught", chosen.len(), chosen.len() - survivors.len());
    if survivors.is_empty() { Ok(()) } else { Err(format!("survived: {}", survivors.join(", ")).into()) }
}

/// Copies every file that git knows of or would, where it has changed, so that little is compiled again.
fn copy_tree(root: &Path, tree: &Path) -> Result<(), Box<dyn Error>> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    if !listed.status.success() {
        return Err("git ls-files failed; the mutants are made in a copy of what git knows".into());
    }
    for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root.join(name), tree.join(name));
        // Deleted, and not yet committed.
        let Ok(bytes) = fs::read(&from) else { continue };
        if fs::read(&to).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(to.parent().expect("a file has a folder"))?;
            fs::write(&to, bytes)?;
        }
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Hung,
}

struct Cargo<'a> {
    tree: &'a Path,
    target: PathBuf,
}

impl Cargo<'_> {
    fn test(&self, test: Test) -> Result<Verdict, Box<dyn Error>> {
        let command = |arguments: &[&str]| {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["test", "--quiet", "-p", test.package]);
            match test.target {
                "lib" => cargo.arg("--lib"),
                target => cargo.args(["--test", target]),
            };
            cargo.args(arguments).current_dir(self.tree).env("CARGO_TARGET_DIR", &self.target);
            cargo.env("TUMBLE_SIM_SEEDS", "2000");
            cargo.stdin(Stdio::null());
            cargo
        };
        let built = command(&["--no-run"]).output()?;
        if !built.status.success() {
            return Err(format!("it does not compile:\n{}", String::from_utf8_lossy(&built.stderr)).into());
        }
        // A group of its own, for what cargo has started is to end with it.
        let mut child = command(&[test.name]).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn()?;
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > PATIENCE {
                Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status()?;
                child.wait()?;
                return Ok(Verdict::Hung);
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        Ok(if status.success() { Verdict::Passed } else { Verdict::Failed })
    }
}
