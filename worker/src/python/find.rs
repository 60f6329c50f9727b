//! Looks the interpreter up, and asks a function what it takes and gives.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tumble_domain::Failure;
use tumble_runfile::{AskError, Asked, AskedDefault, AskedParameter, Question};

use super::first_frame;
use super::frames::{Words, kind};
use super::interpreter::{NotReady, Process};

/// The variable that names the interpreter where the run file does not.
const VARIABLE: &str = "TUMBLE_PYTHON";
/// The interpreter where nobody names one.
const DEFAULT: &str = "python3";
/// How long a module may take to be imported when its function is asked.
const ASK_WITHIN: Duration = Duration::from_secs(300);
/// How often whoever waits for that is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The file of the interpreter, or what is wrong with it and what would be right. `here` is the folder of the run file.
pub fn find(interpreter: Option<&str>, here: &Path) -> Result<PathBuf, String> {
    let from_variable = std::env::var(VARIABLE).ok().filter(|word| !word.is_empty());
    let (word, place) = match (interpreter, from_variable) {
        (Some(word), _) => (word.to_owned(), "`interpreter` in [python]"),
        (None, Some(word)) => (word, VARIABLE),
        (None, None) => (DEFAULT.to_owned(), "the default"),
    };
    let help = format!(
        "leave `interpreter` out and set {VARIABLE} where workers start, to the path of a Python of at least 3.9"
    );
    if !word.contains('/') && !here.join(&word).is_dir() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|folder| folder.join(&word)).find(|file| is_executable(file));
        return found.ok_or_else(|| {
            format!(
                "the interpreter `{word}` ({place}) is in no folder of PATH ({}), and no virtual environment of that name lies in {}; \
                 such a folder belongs to one machine: make it there too, or {help}",
                path.to_string_lossy(),
                here.display()
            )
        });
    }
    let mut file = here.join(&word);
    if file.is_dir() {
        // A virtual environment is named by its folder.
        file = file.join("bin/python");
    }
    match is_executable(&file) {
        true => Ok(file),
        false => Err(format!(
            "there is no interpreter {} ({place}); a virtual environment is a folder of one machine: make it there too, or {help}",
            file.display()
        )),
    }
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// Asks a function what it takes and gives: imports its module once, in an interpreter of its own. `waiting` is called now and
/// then while that goes on, with how long it has.
pub fn ask(question: &Question, here: &Path, waiting: &dyn Fn(Duration)) -> Result<Asked, AskError> {
    let elsewhere = |why| AskError { why, elsewhere: true };
    let path = find(question.interpreter.as_deref(), here).map_err(elsewhere)?;
    let first = first_frame(b'A', &question.entry, here, question.batch, 0, &[], &[]);
    let mut process = Process::start(&path, here, &first).map_err(elsewhere)?;
    let mut tell_at = TELL_EVERY;
    let answer = process.first_answer(|waited| {
        if waited >= tell_at {
            waiting(waited);
            tell_at += TELL_EVERY;
        }
        if waited >= ASK_WITHIN { Err(Failure::TimedOut) } else { Ok(()) }
    });
    match answer {
        Ok((_, body)) => read(&body).ok_or_else(|| AskError {
            why: format!("the interpreter {} answered in a way that is not ours", path.display()),
            elsewhere: false,
        }),
        Err(NotReady::Cannot { why, elsewhere }) => Err(AskError { why, elsewhere }),
        Err(NotReady::Stopped(_)) => {
            let why = format!("the module was not imported within {} seconds", ASK_WITHIN.as_secs());
            Err(elsewhere(why))
        }
    }
}

fn read(body: &[u8]) -> Option<Asked> {
    let mut words = Words::of(body);
    let takes_any = words.byte()? != 0;
    let mut parameters = Vec::new();
    for _ in 0..words.number()? {
        let (name, kind) = (words.text()?, kind(words.byte()?));
        let default = match words.byte()? {
            0 => AskedDefault::Missing,
            1 => AskedDefault::Value(words.value(kind?)?),
            _ => AskedDefault::Own,
        };
        parameters.push(AskedParameter { name, kind, default });
    }
    let metrics = match words.number()? {
        u32::MAX => None,
        count => Some(words.texts(count)?),
    };
    Some(Asked { parameters, takes_any, metrics })
}
