//! The user's own code that evaluates a run, as its run file describes it.

use std::fmt;

/// What evaluates a run whose pipeline is not built in.
#[derive(Clone, Debug, PartialEq)]
pub enum Code {
    /// A command line for each trial: `pipeline = "program"`.
    Program(Program),
    /// A function of an interpreter that stays: `pipeline = "python"`.
    Python(Python),
}

/// Files of the user's own that travel with a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Files and folders, as written: relative to the run file.
    pub paths: Vec<String>,
    /// The hash of the list of all files that they come to, with the hash of each: 64 hexadecimal digits.
    pub hash: String,
}

/// The `[python]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// The function: `model.py:evaluate` or `package.module:function`.
    pub entry: String,
    /// The interpreter, as a path or a name to be found; `None` leaves it to the worker.
    pub interpreter: Option<String>,
    /// The names of the numbers that it gives back, in the order of the table's columns.
    pub metrics: Vec<String>,
    /// Whether the function takes many trials at once, each parameter as an array.
    pub batch: bool,
    /// The length of the vector that it takes as `genome`, if it takes one.
    pub genome: Option<u32>,
}

/// What a Python function gets the trial's seed and its vector as.
pub const PYTHON_PLACES: [&str; 2] = ["seed", "genome"];

/// The `[program]` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The program and its arguments, as written: each a [`Template`].
    pub command: Vec<String>,
    /// The names of the numbers that it gives back, in the order of the table's columns.
    pub metrics: Vec<String>,
    /// Where it gives them back.
    pub result: ResultPlace,
    /// What it reads.
    pub stdin: Stdin,
    /// What is set in its environment beside what the worker has: names and templates.
    pub environment: Vec<(String, String)>,
    /// The most memory that it, and each program that it starts, may ask for, in bytes.
    pub memory: Option<u64>,
    /// How many working folders of failed trials are kept.
    pub keep: u32,
}

/// How a process ended by itself. The words for it begin a failed trial's error, and the columns `exit_code` and `signal` are
/// read from them again: so they cost nothing on the wire and in the journal, and no record of before is without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// The columns of the trials of a program, and what each holds.
pub const EXIT_COLUMNS: [(&str, &str); 2] = [
    (
        "exit_code",
        "the code that the program exited with; null where a signal ended it, it outlasted its limit or never started",
    ),
    ("signal", "the number of the signal that ended the program, if one did that did not come from us"),
];

const EXITED: &str = "the program exited with code ";
const KILLED: &str = "the program was killed by signal ";

impl Exit {
    /// How the program of a trial ended that has this error; `None` for one that did not end by itself.
    pub fn of_error(error: &str) -> Option<Exit> {
        let number = |rest: &str| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
            rest[..end].parse().ok()
        };
        let code = || number(error.strip_prefix(EXITED)?).map(Exit::Code);
        code().or_else(|| number(error.strip_prefix(KILLED)?).map(Exit::Signal))
    }

    /// The code, if it exited.
    pub fn code(self) -> Option<i32> {
        match self {
            Exit::Code(code) => Some(code),
            Exit::Signal(_) => None,
        }
    }

    /// The signal, if one killed it.
    pub fn signal(self) -> Option<i32> {
        match self {
            Exit::Code(_) => None,
            Exit::Signal(signal) => Some(signal),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "{EXITED}{code}"),
            Exit::Signal(signal) => write!(f, "{KILLED}{signal}"),
        }
    }
}

/// Where a program gives its metrics back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultPlace {
    /// The last line of its standard output that is a JSON object.
    Stdout,
    /// A file of this name in its working folder.
    File(String),
}

/// What a program finds on its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    Nothing,
    /// The trial as one JSON object.
    Json,
}

/// Names that stand for the trial's place rather than for a setting.
pub const PLACES: [&str; 7] = ["seed", "seed31", "trial", "generation", "candidate", "replicate", HERE];

/// The placeholder for the folder of the run file.
pub const HERE: &str = "here";

/// A text with `{names}` in it; `{{` and `}}` stand for the braces themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<TemplatePiece>);

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePiece {
    /// Stays as it is.
    Text(String),
    /// Stands for what has this name.
    Name(String),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A brace is opened and not closed.
    Open,
    /// A brace is closed that was not opened.
    Closed,
    /// What stands between braces can be no name.
    NoName(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Open => f.write_str("a `{` is not closed"),
            TemplateError::Closed => f.write_str("a `}` closes nothing"),
            TemplateError::NoName(between) => write!(f, "`{{{between}}}` is no placeholder"),
        }
    }
}

impl Template {
    /// Reads a text.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain += before;
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push_str(&from[..1]);
                rest = after;
                continue;
            }
            let inner = from.strip_prefix('{').ok_or(TemplateError::Closed)?;
            let (name, after) = inner.split_once('}').ok_or(TemplateError::Open)?;
            if !is_name(name) {
                return Err(TemplateError::NoName(name.to_owned()));
            }
            if !plain.is_empty() {
                pieces.push(TemplatePiece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(TemplatePiece::Name(name.to_owned()));
            rest = after;
        }
        plain += rest;
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(TemplatePiece::Text(plain));
        }
        Ok(Template(pieces))
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            TemplatePiece::Name(name) => Some(name.as_str()),
            TemplatePiece::Text(_) => None,
        })
    }

    /// The text with what `value` writes in the place of each name.
    pub fn fill(&self, mut value: impl FnMut(&str, &mut String)) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                TemplatePiece::Text(plain) => text += plain,
                TemplatePiece::Name(name) => value(name, &mut text),
            }
        }
        text
    }
}

/// Whether a setting or a metric of the user's own may have this name: letters, digits and `_`, no digit in front. So it is
/// a name in every language and in every environment too.
pub fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.len() <= NAME_BYTES_MAX
}

/// The longest name of a setting or a metric of the user's own.
pub const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_and_its_doubled_braces_are_braces() {
        let filled = |text: &str| Template::parse(text).map(|t| t.fill(|name, out| *out += &name.to_uppercase()));
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("{load}", "LOAD"),
            ("--x={load},{seed}!", "--x=LOAD,SEED!"),
            ("{{print $1}}", "{print $1}"),
            ("{{{a}}}", "{A}"),
            ("ü{a}ü", "üAü"),
        ] {
            assert_eq!(filled(text), Ok(expected.to_owned()), "{text}");
        }
        assert_eq!(filled("{load"), Err(TemplateError::Open));
        assert_eq!(filled("load}"), Err(TemplateError::Closed));
        for between in ["", "print $1", "a-b", "1x"] {
            assert_eq!(filled(&format!("{{{between}}}")), Err(TemplateError::NoName(between.to_owned())));
        }
        let names: Vec<String> = Template::parse("{a} {b}{a}").unwrap().names().map(str::to_owned).collect();
        assert_eq!(names, ["a", "b", "a"]);
    }

    #[test]
    fn how_a_program_ended_is_read_from_the_words_for_it() {
        for exit in [Exit::Code(0), Exit::Code(3), Exit::Code(255), Exit::Code(-1), Exit::Signal(9), Exit::Signal(64)] {
            for after in ["", " (SIGKILL)", "; it said nothing", ", but 7 is no answer", "\n8"] {
                assert_eq!(Exit::of_error(&format!("{exit}{after}")), Some(exit), "{exit}{after}");
            }
        }
        let not_ended =
            ["", "no process was left", "the program exited with code ", "and the program exited with code 3"];
        assert!(not_ended.into_iter().all(|error| Exit::of_error(error).is_none()));
    }
}
