//! Reads run files for the commands that take one.

use std::path::{Path, PathBuf};

use tumble_domain::Code;
use tumble_runfile::{AskError, Asked, Override, Problem, Problems, Question, Understood};
use tumble_worker::{Surroundings, program, python};

use crate::bundle;
use crate::exit::Failure;
use crate::output::Output;
use crate::own::Known;
use crate::points;

/// Where programs of the user's own run, whose run file lies in `here`.
pub(crate) fn surroundings(here: &Path, keep_in: Option<PathBuf>) -> Result<Surroundings, Failure> {
    tumble_worker::process::surroundings(here, keep_in).map_err(Failure::usage)
}

/// The folder of a run file.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// What the Python package keeps of a run that it began, within its folder: the run file, and the function.
pub(crate) const CODE: &str = "code";

/// The folder that the code of a run in this folder is relative to, if the Python package began it: the one that it notes down,
/// else the one where the function itself lies.
pub(crate) fn begun_from(folder: &Path) -> Option<PathBuf> {
    let code = folder.join(CODE);
    let origin = std::fs::read_to_string(code.join("origin.json")).ok()?;
    let origin: serde_json::Value = serde_json::from_str(&origin).ok()?;
    Some(origin["here"].as_str().map_or(code, PathBuf::from))
}

/// Whether this machine can run the program that the run names, if it names one; else why not.
pub(crate) fn find_program(understood: &Understood, here: &Path) -> Result<(), String> {
    let Some(Code::Program(program)) = &understood.spec.code else { return Ok(()) };
    let hash = understood.spec.bundle.as_ref().map(|bundle| bundle.hash.as_str());
    let here = std::path::absolute(bundle::here(here, hash)).map_err(|error| error.to_string())?;
    program::find(program, &here).map(drop)
}

/// Reads and checks a run file whose workers may be elsewhere. A Python function is asked what it takes, if that can be done here.
/// `here` is the folder that relative names of code mean, where it is not that of the run file.
pub(crate) fn read(
    path: &Path,
    here: Option<&Path>,
    overrides: &[Override],
    known: &Known,
    output: Output,
) -> Result<Understood, Failure> {
    read_asking(path, here, overrides, known, output, Some(&|question, here| ask(question, here, output)))
}

/// Reads and checks a run file whose workers are here: a Python function must be found here as well.
pub(crate) fn read_here(
    path: &Path,
    here: Option<&Path>,
    overrides: &[Override],
    known: &Known,
    output: Output,
) -> Result<Understood, Failure> {
    let asking = |question: &Question, here: &Path| {
        ask(question, here, output).map_err(|error| AskError { elsewhere: false, ..error })
    };
    read_asking(path, here, overrides, known, output, Some(&asking))
}

/// Reads the canonical run file of a run, which says it all: nobody is asked anything.
pub(crate) fn read_recorded(
    path: &Path,
    overrides: &[Override],
    known: &Known,
    output: Output,
) -> Result<Understood, Failure> {
    read_asking(path, None, overrides, known, output, None)
}

fn ask(question: &Question, here: &Path, output: Output) -> Result<Asked, AskError> {
    let here = std::path::absolute(here).map_err(|error| AskError { why: error.to_string(), elsewhere: false })?;
    python::ask(question, &here, &|waited| {
        let (entry, seconds) = (&question.entry, waited.as_secs());
        output.note(format!(
            "still importing the module of {entry} ({seconds} s); each slot of a worker imports it once, too"
        ));
    })
}

/// Asks a function whose run file lies in this folder.
type AskThere<'a> = &'a dyn Fn(&Question, &Path) -> Result<Asked, AskError>;

fn read_asking(
    path: &Path,
    here: Option<&Path>,
    overrides: &[Override],
    known: &Known,
    output: Output,
    ask: Option<AskThere<'_>>,
) -> Result<Understood, Failure> {
    let understood = parse(path, here, overrides, known, ask)?.map_err(problems)?;
    for warning in &understood.warnings {
        output.note(format!("warning: {warning}"));
    }
    Ok(understood)
}

/// Whether a run file names a pipeline that is none of those known.
pub(crate) fn lacks_pipeline(
    path: &Path,
    here: Option<&Path>,
    overrides: &[Override],
    known: &Known,
) -> Result<bool, Failure> {
    let problems = parse(path, here, overrides, known, None)?.err();
    Ok(problems.is_some_and(|problems| problems.0.iter().any(Problem::is_of_unknown_pipeline)))
}

fn parse(
    path: &Path,
    here: Option<&Path>,
    overrides: &[Override],
    known: &Known,
    ask: Option<AskThere<'_>>,
) -> Result<Result<Understood, Problems>, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("failed to read the run file {name}: {error}")))?;
    // The points of a list may stand in a file beside the run file.
    let folder = path.parent().unwrap_or(Path::new(""));
    let read_points = |file: &str| points::read(&folder.join(file));
    // A run's own folder has its code in the bundle that it keeps.
    let base = here.unwrap_or(folder_of(path));
    let here = bundle::here(base, tumble_runfile::bundle_hash_of(&text).as_deref());
    let ask_there = ask.map(|ask| |question: &Question| ask(question, &here));
    let ask_there = ask_there.as_ref().map(|ask| ask as tumble_runfile::Ask<'_>);
    let pack = |paths: &[String], written: Option<&str>| bundle::pack(base, paths, written);
    // What is recorded says which files it had, whether they are here or not.
    let pack = ask.map(|_| &pack as tumble_runfile::Pack<'_>);
    let known = known.descriptions();
    Ok(tumble_runfile::parse_packing(&text, &name, overrides, known, &read_points, ask_there, pack))
}

fn problems(problems: Problems) -> Failure {
    let count = problems.0.len();
    let head =
        if count == 1 { "the run file has a problem".into() } else { format!("the run file has {count} problems") };
    Failure::usage(format!("{head}\n{problems}"))
}
