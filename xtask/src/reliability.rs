//! Counts what was survived: runs every test that the table of docs/reliability.md names, adds up the faults that they
//! noted (tests/tally.rs), and writes the sums into the table's last column. The rest of the table is written by hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

type Error = Box<dyn std::error::Error>;

const DOCUMENT: &str = "docs/reliability.md";
/// The table and what is said of its counts stand between these.
const BEGIN: &str = "<!-- counted by cargo xtask reliability: begin -->\n";
const END: &str = "<!-- counted by cargo xtask reliability: end -->\n";
const USAGE: &str = "usage: cargo xtask reliability [--signals N] [--stories N] [--only TEST] [--tally FILE]";

/// Where the tests are that note their faults.
const NOTING: [(&str, &str); 2] = [("tumble-cli", "system"), ("tumble-tests", "sim")];
/// Where those are that do not: each of them that passes counts as one fault survived. The binary's package is there for
/// its dependencies' features, without which they would be compiled once more.
const OTHERS: [&str; 5] = ["tumble-cli", "tumble-coordinator", "tumble-core", "tumble-worker", "xtask"];

/// A row of the table.
struct Row {
    /// Fault, how it shows, what happens, tests, count.
    cells: Vec<String>,
}

impl Row {
    fn read(line: &str) -> Result<Row, Error> {
        let inner = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |"));
        let cells: Vec<String> =
            inner.map(|inner| inner.split(" | ").map(|cell| cell.trim().to_owned()).collect()).unwrap_or_default();
        match cells.len() {
            // A new row, not counted yet.
            4 => Ok(Row { cells: [cells, vec!["0".to_owned()]].concat() }),
            5 => Ok(Row { cells }),
            _ => Err(format!("{DOCUMENT}: a row of the table has neither four nor five cells: {line}").into()),
        }
    }

    /// The names in its cell of tests.
    fn tests(&self) -> impl Iterator<Item = &str> {
        self.cells[3].split('`').skip(1).step_by(2)
    }

    fn write(&self) -> String {
        format!("| {} |\n", self.cells.join(" | "))
    }
}

/// Runs the tests and rewrites the table; with `--only`, those of the rows whose tests have that in their names. A tally
/// that is named stays where it is, and tests whose faults stand in it are not run again: so that a run of an hour that
/// is broken off goes on.
pub(crate) fn run(arguments: &[String]) -> Result<(), Error> {
    let (mut signals, mut stories, mut only, mut kept) = (1_000, 100_000, None, None);
    for pair in arguments.chunks(2) {
        match pair {
            [flag, number] if flag == "--signals" => signals = number.parse().map_err(|_| USAGE)?,
            [flag, number] if flag == "--stories" => stories = number.parse().map_err(|_| USAGE)?,
            [flag, test] if flag == "--only" => only = Some(test.as_str()),
            [flag, file] if flag == "--tally" => kept = Some(PathBuf::from(file)),
            _ => return Err(USAGE.into()),
        }
    }
    let document = Document::read()?;
    let is_wanted = |row: &Row| only.is_none_or(|only| row.tests().any(|test| test.contains(only)));
    if !document.rows.iter().any(is_wanted) {
        return Err(format!("{DOCUMENT} names no such test; {USAGE}").into());
    }
    let fresh = std::env::temp_dir().join(format!("tumble-fault-tally-{}", std::process::id()));
    let tally = std::path::absolute(kept.as_ref().unwrap_or(&fresh))?;
    let noted = || std::fs::read_to_string(&tally).unwrap_or_default();
    let before = noted();
    let before = sums(&before)?;
    let missing = document.rows.iter().filter(|row| is_wanted(row) && !before.contains_key(row.cells[0].as_str()));
    let passed = run_tests(&missing.flat_map(Row::tests).collect::<Vec<_>>(), signals, stories, &tally)?;
    let noted = noted();
    let noted = sums(&noted)?;
    let _ = std::fs::remove_file(&fresh);

    // The tests took their time: somebody may have written at the document meanwhile.
    let mut document = Document::read()?;
    if let Some(fault) = noted.keys().find(|fault| document.rows.iter().all(|row| row.cells[0] != **fault)) {
        return Err(format!("{DOCUMENT} has no row for the fault \"{fault}\"").into());
    }
    for row in document.rows.iter_mut().filter(|row| is_wanted(row)) {
        let passes = row.tests().filter(|test| passed.iter().any(|passed| passed == test)).count() as u64;
        row.cells[4] = match noted.get(row.cells[0].as_str()).copied().unwrap_or(passes) {
            0 => return Err(format!("nothing was survived of \"{}\": were its tests skipped?", row.cells[0]).into()),
            times => grouped(times),
        };
    }
    if only.is_none() {
        document.said = format!(
            "Counted by `cargo xtask reliability`: {} signals over a sweep and as many over an evolution, and {}\n\
             simulated stories. A test that counts no faults counts as one.\n",
            grouped(signals),
            grouped(stories)
        );
    }
    document.write()
}

/// The document, with the table taken out of it.
struct Document {
    before: String,
    head: String,
    rows: Vec<Row>,
    /// What is said of the counts.
    said: String,
    after: String,
}

impl Document {
    fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the root").join(DOCUMENT)
    }

    fn read() -> Result<Document, Error> {
        let text = std::fs::read_to_string(Document::path())?;
        let (before, rest) = text.split_once(BEGIN).ok_or_else(|| format!("{DOCUMENT} has no line {BEGIN}"))?;
        let (counted, after) = rest.split_once(END).ok_or_else(|| format!("{DOCUMENT} has no line {END}"))?;
        let (table, said) = counted.split_once("\n\n").ok_or("nothing is said of the table")?;
        let lines: Vec<&str> = table.lines().collect();
        let (head, rows) = lines.split_at_checked(2).ok_or("the table has no head")?;
        Ok(Document {
            before: before.to_owned(),
            head: head.join("\n"),
            rows: rows.iter().map(|line| Row::read(line)).collect::<Result<_, _>>()?,
            said: said.to_owned(),
            after: after.to_owned(),
        })
    }

    fn write(&self) -> Result<(), Error> {
        let rows: String = self.rows.iter().map(Row::write).collect();
        let Document { before, head, said, after, .. } = self;
        let text = format!("{before}{BEGIN}{head}\n{rows}\n{said}{END}{after}");
        Ok(std::fs::write(Document::path(), text)?)
    }
}

/// Runs these tests wherever they are. What they note goes to the tally; gives the names of those that note nothing.
fn run_tests(tests: &[&str], signals: u64, stories: u64, tally: &Path) -> Result<Vec<String>, Error> {
    let cargo = || {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.arg("test");
        cargo
    };
    let (noting, others): (Vec<&str>, Vec<&str>) = tests.iter().partition(|test| notes(test));
    for (package, target) in NOTING {
        let mut command = cargo();
        command.args(["-p", package, "--test", target, "--"]).args(&noting).env("TUMBLE_FAULT_TALLY", tally);
        command.env("TUMBLE_KILLS_SIGNALS", signals.to_string()).env("TUMBLE_SIM_SEEDS", stories.to_string());
        if !noting.is_empty() && !command.status()?.success() {
            return Err(format!("not everything was survived; what was is in {}", tally.display()).into());
        }
    }
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let mut command = cargo();
    command.args(OTHERS.iter().flat_map(|package| ["-p", package])).args(["--tests", "--"]).args(&others);
    let said = command.stderr(std::process::Stdio::inherit()).output()?;
    let text = String::from_utf8(said.stdout)?;
    if !said.status.success() {
        return Err(format!("not everything was survived:\n{text}").into());
    }
    let passed = text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... ok"));
    Ok(passed.filter_map(|name| Some(name.rsplit("::").next()?.to_owned())).collect())
}

/// Whether a test notes its faults: those of tests/ do, and one of them that passes without may have been skipped.
fn notes(test: &str) -> bool {
    let sources = ["system", "sim"].map(|folder| Document::path().with_file_name("../tests").join(folder));
    let mut files = sources.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let head = format!("fn {test}(");
    files.any(|file| std::fs::read_to_string(file.path()).is_ok_and(|text| text.contains(&head)))
}

/// How often each fault was survived, of lines with a number and a fault each.
fn sums(noted: &str) -> Result<BTreeMap<&str, u64>, Error> {
    let mut sums = BTreeMap::new();
    for line in noted.lines() {
        let (times, fault) = line.split_once(' ').ok_or_else(|| format!("no line of a tally: {line}"))?;
        *sums.entry(fault).or_default() += times.parse::<u64>()?;
    }
    Ok(sums)
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        // Four digits are read at a glance.
        if i > 0 && digits.len() > 4 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tests_note_is_added_up() {
        let noted = sums("3 a full disk\n1 a wire cut\n4 a full disk\n").unwrap();
        assert_eq!(noted, BTreeMap::from([("a full disk", 7), ("a wire cut", 1)]));
        assert!(sums("seven a full disk\n").is_err() && sums("7\n").is_err());
        assert_eq!([grouped(7), grouped(1000), grouped(100_000)], ["7", "1000", "100 000"]);
    }

    #[test]
    fn a_row_is_read_and_written_again_as_it_was() {
        let line = "| a | b \\`x\\` | c | `first_test`, `second_test` | 1000 |";
        let row = Row::read(line).unwrap();
        assert_eq!(row.tests().collect::<Vec<_>>(), ["first_test", "second_test"]);
        assert_eq!(row.write(), format!("{line}\n"));
        assert_eq!(Row::read("| a | b | c | `first_test` |").unwrap().write(), "| a | b | c | `first_test` | 0 |\n");
        assert!(Row::read("| a | b | `first_test` |").is_err());
    }
}
