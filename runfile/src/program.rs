//! Code of the user's own: the `[program]` section, and the description that follows from a run file.
//!
//! A built-in pipeline describes itself, and a run file is checked against that. Here the run file says it all: what it sets
//! and sweeps are the parameters, typed by their values, and the metrics are listed. So the canonical run file, which has the
//! same settings, gives the same description, wherever it is read.

use tumble_domain::code::{
    EXIT_COLUMNS, HERE, NAME_BYTES_MAX, PLACES, Program, ResultPlace, Stdin, Template, TemplatePiece, is_name,
};
use tumble_domain::{Code, Direction, Kind, Metric, Objective, Parameter, PipelineDescription, Value};

use crate::bytes::parse_bytes;
use crate::meant::RESERVED_COLUMNS;
use crate::problem::{At, Notes};
use crate::python::is_element;
use crate::stopping::RUNG;
use crate::tree::{Item, Node};
use crate::typed::{Given, Typed, TypedAxis, TypedProgram, Written};
use crate::wording::instead_of;
use crate::words::{STDIN, word_of};

/// The pipeline that runs a command line for each trial.
pub(crate) const PROGRAM: &str = "program";
/// Raised whenever the same trial would be given other words or its answer read another way.
const PROGRAM_VERSION: u32 = 1;
/// The most metrics: each is a column.
const METRICS_MAX: usize = 1000;
/// Working folders of failed trials that are kept where the run file is silent.
pub(crate) const KEEP: u32 = 10;
/// The most of them.
pub(crate) const KEEP_MAX: u64 = 1000;
/// In front of the name of a result's file.
pub(crate) const FILE: &str = "file:";

/// The pipelines whose descriptions follow from the run file, as workers announce them: without parameters and metrics.
pub fn open_pipelines() -> Vec<PipelineDescription> {
    vec![PipelineDescription {
        name: PROGRAM.to_owned(),
        version: PROGRAM_VERSION,
        summary: "Any program as an evaluator: one command line for each trial, metrics back as a line of JSON."
            .to_owned(),
        source: "your own".to_owned(),
        parameters: Vec::new(),
        metrics: Vec::new(),
        objective: Objective { metric: String::new(), direction: Direction::Maximise },
        genome: None,
        prolongs: None,
    }]
    .into_iter()
    .chain([crate::python::open()])
    .collect()
}

/// Whose parameters are looked at.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    /// The word for it.
    pub(crate) word: &'static str,
    /// Names that it is given whatever the run file says.
    pub(crate) places: &'static [&'static str],
    /// Settings become variables in capitals.
    pub(crate) is_in_capitals: bool,
    /// Words that cannot be names of its parameters.
    pub(crate) keywords: &'static [&'static str],
}

const OWNER: Owner = Owner { word: "program", places: &PLACES, is_in_capitals: true, keywords: &[] };

/// Metrics of which the run file has the names alone.
pub(crate) fn described(names: Vec<String>) -> Vec<Metric> {
    names.into_iter().map(|name| Metric { name, unit: String::new(), summary: String::new() }).collect()
}

/// What a run file says of code of the user's own.
pub(crate) struct Own {
    /// `None` once a problem is noted.
    pub(crate) description: Option<PipelineDescription>,
    pub(crate) code: Option<Code>,
}

/// The code that evaluates, if the pipeline is one of the user's own.
pub(crate) fn of(typed: &Typed<'_>, notes: &mut Notes<'_>) -> Option<Own> {
    let is_program = typed.pipeline.value().is_some_and(|name| name == PROGRAM);
    let section = typed.program.written();
    if !is_program {
        if let (Some(section), Some(pipeline)) = (section, typed.pipeline.value()) {
            let message = format!("[program] has no meaning for pipeline `{pipeline}`");
            notes.report(&section.at, "program", message, "write `pipeline = \"program\"`, or remove [program]");
        }
        return None;
    }
    let Some(section) = section else {
        if typed.program.is_absent() {
            let fix = "add [program] with `command = [\"./simulate\", \"{seed}\"]` and `metrics = [\"energy\"]`";
            notes.report(&At::Nowhere, "program", "missing [program]", fix);
        }
        return Some(Own { description: None, code: None });
    };
    let parameters = parameters(typed, OWNER, notes);
    let metrics = metrics(&section.value.metrics, "program", &section.at, notes);
    let known: Option<Vec<&str>> =
        parameters.as_ref().map(|all| all.iter().map(|p| p.name.as_str()).chain(PLACES).collect());
    let program = program(&section.value, &section.at, metrics.clone(), known.as_deref(), notes);
    if let (Some(program), Some(parameters)) = (&program, &parameters) {
        warn_of_shell(&program.command, parameters, notes);
    }
    let description = parameters.zip(metrics).and_then(|(parameters, metrics)| {
        let open = open_pipelines().into_iter().find(|p| p.name == PROGRAM)?;
        Some(PipelineDescription {
            objective: objective(typed, &metrics)?,
            prolongs: steps(typed).map(|steps| steps.value.clone()),
            parameters,
            metrics: described(metrics),
            ..open
        })
    });
    Some(Own { description, code: program.map(Code::Program) })
}

/// What the run file sets, sweeps and searches, in the order in which the canonical run file has it.
pub(crate) fn parameters(typed: &Typed<'_>, owner: Owner, notes: &mut Notes<'_>) -> Option<Vec<Parameter>> {
    let mut parameters: Vec<Parameter> = Vec::new();
    let mut is_right = true;
    let set = typed.config.value().map_or(&[][..], |table| &table.entries);
    let searched = typed.evolve.value().and_then(|e| e.axes.value());
    let swept = typed.sweep.value().and_then(|s| s.axes.value());
    let axes: Vec<&TypedAxis<'_>> = searched
        .into_iter()
        .chain(swept)
        .flatten()
        // A setting of the strategy is none of the program's.
        .filter(|axis| !axis.name.starts_with("evolve.") && !is_element(&axis.name, typed))
        .collect();
    let axis_kind = |name: &str| axes.iter().find(|axis| axis.name == name).map(|axis| kind_of_axis(axis.node));

    for entry in set {
        let key = format!("config.{}", entry.name);
        is_right &= check_name(&entry.name, owner, &entry.at, &key, true, notes);
        is_right &= check_alone(&entry.name, owner, &parameters, &entry.at, &key, notes);
        // Of an axis that is there at some points only, this is its value elsewhere.
        let Some(kind) = axis_kind(&entry.name).or_else(|| kind_of(&entry.node)) else {
            let found = entry.node.item.kind_name();
            let message = format!("`{}` has the wrong type: a {} takes no {found}", entry.name, owner.word);
            notes.report(&entry.node.at, &key, message, "write a number, text, true or false, or a list of integers");
            is_right = false;
            continue;
        };
        let is_axis = axis_kind(&entry.name).is_some();
        let default = plain(&entry.node).and_then(|value| value.coerced(kind)).filter(|_| is_axis);
        parameters.push(parameter(&entry.name, kind, default));
    }
    for axis in axes {
        let is_set = set.iter().any(|entry| entry.name == axis.name);
        // Columns that every table has are told where columns are checked.
        is_right &= check_name(&axis.name, owner, &axis.at, &axis.path(), false, notes);
        if let Item::Table(form) = &axis.node.item
            && let (Some(when), false) = (form.get("when"), is_set)
        {
            let (name, word) = (&axis.name, owner.word);
            let message = format!("axis `{name}` is not there at every point, and the {word} has no default");
            let fix = format!("add what it gets elsewhere to [config], as `{} = …`", axis.name);
            notes.report(&when.at, &axis.path(), message, fix);
            is_right = false;
        }
        if !is_set && parameters.iter().all(|p| p.name != axis.name) {
            is_right &= check_alone(&axis.name, owner, &parameters, &axis.at, &axis.path(), notes);
            parameters.push(parameter(&axis.name, kind_of_axis(axis.node), None));
        }
    }
    if let Some(steps) = steps(typed)
        && parameters.iter().all(|p| p.name != steps.value)
    {
        is_right &= check_name(&steps.value, owner, &steps.at, "sweep.stopping.steps", true, notes);
        // No trial has it: each rung sets its own.
        parameters.push(parameter(&steps.value, Kind::Integer, Some(Value::Integer(0))));
    }
    is_right.then_some(parameters)
}

/// The setting that the rungs of a sweep set. Whoever writes its name says that it only prolongs a trial.
pub(crate) fn steps<'t>(typed: &'t Typed<'_>) -> Option<&'t Written<String>> {
    typed.sweep.value()?.stopping.value()?.steps.written()
}

fn parameter(name: &str, kind: Kind, default: Option<Value>) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind,
        unit: String::new(),
        default,
        bounds: None,
        choices: Vec::new(),
        summary: String::new(),
    }
}

/// A value that an axis may have as well.
fn plain(node: &Node) -> Option<Value> {
    match &node.item {
        Item::Boolean(b) => Some(Value::Boolean(*b)),
        Item::Integer(i) => i64::try_from(*i).ok().map(Value::Integer),
        Item::Float(x) => Some(Value::Float(*x)),
        Item::Text(text) => Some(Value::text(text)),
        Item::HugeInteger(_) | Item::List(_) | Item::Time(_) | Item::Table(_) => None,
    }
}

/// The kind of a setting by its value; `None` for what no program is given.
pub(crate) fn kind_of(node: &Node) -> Option<Kind> {
    match &node.item {
        Item::Boolean(_) => Some(Kind::Boolean),
        Item::Integer(_) | Item::HugeInteger(_) => Some(Kind::Integer),
        Item::Float(_) => Some(Kind::Float),
        Item::Text(_) => Some(Kind::Text),
        Item::List(items) if items.iter().all(|item| matches!(item.item, Item::Integer(_))) => Some(Kind::Integers),
        Item::List(_) | Item::Time(_) | Item::Table(_) => None,
    }
}

/// The kind of an axis by its values. What is wrong with them is told when the axis is read.
pub(crate) fn kind_of_axis(node: &Node) -> Kind {
    match &node.item {
        Item::List(items) => {
            let is_real = items.iter().any(|item| matches!(item.item, Item::Float(_)));
            if is_real { Kind::Float } else { items.first().and_then(kind_of).unwrap_or(Kind::Float) }
        }
        Item::Table(form) => match form.get("values") {
            Some(values) => kind_of_axis(&values.node),
            None if form.get("integers").is_some() => Kind::Integer,
            None if form.get("any").is_some_and(|any| any.node.item == Item::Text("integer".into())) => Kind::Integer,
            None => Kind::Float,
        },
        _ => kind_of(node).unwrap_or(Kind::Float),
    }
}

/// A setting's name is a placeholder, a name in JSON and a part of a variable's name.
/// Columns that every table has are told here if `with_columns`.
fn check_name(name: &str, owner: Owner, at: &At, key: &str, with_columns: bool, notes: &mut Notes<'_>) -> bool {
    let word = owner.word;
    if owner.keywords.contains(&name) {
        let message = format!("a {word} cannot have a parameter `{name}`: it is a word of the language");
        notes.report(at, key, message, format!("call it something else, such as `{name}_`"));
        return false;
    }
    if !is_name(name) {
        let tame: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let tame = if tame.starts_with(|c: char| c.is_ascii_digit()) { format!("_{tame}") } else { tame };
        let tame: String = tame.chars().take(NAME_BYTES_MAX).collect();
        let message = format!("a {word} cannot be given {name:?}: it is no name");
        notes.report(at, key, message, format!("use letters, digits and _, no digit in front: `{tame}`"));
        return false;
    }
    let is_column = RESERVED_COLUMNS.contains(&name);
    let is_taken = if is_column { with_columns } else { owner.places.contains(&name) };
    if is_taken {
        let message = match is_column && !owner.places.contains(&name) && !owner.is_in_capitals {
            true => format!("`{name}` is a column that every table has"),
            false => format!("`{name}` is what every {word} is given anyway"),
        };
        notes.report(at, key, message, "call it something else");
        return false;
    }
    true
}

/// Settings become variables in capitals, so no two may differ in those alone.
fn check_alone(name: &str, owner: Owner, before: &[Parameter], at: &At, key: &str, notes: &mut Notes<'_>) -> bool {
    if !owner.is_in_capitals {
        return true;
    }
    let Some(other) = before.iter().find(|p| p.name != name && p.name.eq_ignore_ascii_case(name)) else { return true };
    let message = format!("`{name}` and `{}` would be one variable of the program's environment", other.name);
    notes.report(at, key, message, "let them differ in more than capitals");
    false
}

pub(crate) fn metrics(
    given: &Given<Vec<Written<String>>>,
    section: &str,
    at: &At,
    notes: &mut Notes<'_>,
) -> Option<Vec<String>> {
    let key = format!("{section}.metrics");
    let Some(written) = given.written() else {
        if given.is_absent() {
            let fix = match section {
                PROGRAM => "add the names of the numbers that the program gives back, as `metrics = [\"energy\"]`",
                _ => {
                    "add the names of the numbers that the function gives back, as `metrics = [\"energy\"]`, or let the \
                     module say `METRICS = [\"energy\"]`"
                }
            };
            notes.report(at, &key, format!("missing `metrics` in [{section}]"), fix);
        }
        return None;
    };
    if written.value.is_empty() || written.value.len() > METRICS_MAX {
        let message = format!("`metrics` has {} names", written.value.len());
        notes.report(&written.at, &key, message, format!("name 1 to {METRICS_MAX}, as `[\"energy\"]`"));
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    let mut is_right = true;
    for metric in &written.value {
        let name = &metric.value;
        let fault = if !is_name(name) {
            Some(("is no name", "use letters, digits and _, no digit in front"))
        } else if RESERVED_COLUMNS.contains(&name.as_str()) || name == RUNG || section == PROGRAM && is_of_exits(name) {
            Some(("is a column that tables have anyway", "call it something else"))
        } else if names.contains(name) {
            Some(("is there twice", "remove one of the two"))
        } else {
            None
        };
        if let Some((fault, fix)) = fault {
            notes.report(&metric.at, &key, format!("the metric {name:?} {fault}"), fix);
            is_right = false;
        }
        names.push(name.clone());
    }
    is_right.then_some(names)
}

/// Whether it is a column that tells how a program ended.
pub(crate) fn is_of_exits(name: &str) -> bool {
    EXIT_COLUMNS.iter().any(|(column, _)| *column == name)
}

/// The first metric steers, or the one that the run file names.
pub(crate) fn objective(typed: &Typed<'_>, metrics: &[String]) -> Option<Objective> {
    let named = typed.objective.value().map(|written| match written.strip_prefix('-') {
        Some(metric) => Objective { metric: metric.to_owned(), direction: Direction::Minimise },
        None => Objective { metric: written.clone(), direction: Direction::Maximise },
    });
    // A name that is no metric is told where the objective is read.
    let known = named.filter(|objective| metrics.contains(&objective.metric));
    known.or_else(|| Some(Objective { metric: metrics.first()?.clone(), direction: Direction::Maximise }))
}

/// The section itself; `known` are the names of placeholders, once they are.
fn program(
    section: &TypedProgram<'_>,
    at: &At,
    metrics: Option<Vec<String>>,
    known: Option<&[&str]>,
    notes: &mut Notes<'_>,
) -> Option<Program> {
    let command = command(section, at, known, notes);
    let result = match section.result.written() {
        None => Some(ResultPlace::Stdout),
        Some(written) => result_place(written, notes),
    };
    let stdin = match section.stdin.written() {
        None => Some(Stdin::Nothing),
        Some(word) => word_of(word, "stdin", "program.stdin", &STDIN, notes),
    };
    let memory = match section.memory.written() {
        None => Some(None),
        Some(written) => match parse_bytes(&written.value) {
            Ok(bytes) if bytes > 0 => Some(Some(bytes)),
            Ok(_) => {
                notes.report(&written.at, "program.memory", "`memory` cannot be zero", "leave it out for no limit");
                None
            }
            Err(error) => {
                let fix = "write it as `2GiB`, `512MiB` or `16G`";
                notes.report(&written.at, "program.memory", error.to_string(), fix);
                None
            }
        },
    };
    let keep = match section.keep.written() {
        None => Some(KEEP),
        Some(written) => u32::try_from(written.value).ok(),
    };
    let environment = environment(section, known, notes);
    Some(Program {
        command: command?,
        metrics: metrics?,
        result: result?,
        stdin: stdin?,
        environment: environment?,
        memory: memory?,
        keep: keep?,
    })
}

fn command(section: &TypedProgram<'_>, at: &At, known: Option<&[&str]>, notes: &mut Notes<'_>) -> Option<Vec<String>> {
    let Some(written) = section.command.written() else {
        if section.command.is_absent() {
            let fix = "for example `command = [\"./simulate\", \"--seed\", \"{seed}\"]`";
            notes.report(at, "program.command", "missing `command` in [program]", fix);
        }
        return None;
    };
    let Some(first) = written.value.first().filter(|first| !first.value.is_empty()) else {
        let fix = "for example `command = [\"./simulate\", \"--seed\", \"{seed}\"]`";
        notes.report(&written.at, "program.command", "`command` names no program", fix);
        return None;
    };
    let mut is_right = true;
    for (i, word) in written.value.iter().enumerate() {
        if i > 0 {
            is_right &= check_template(&word.value, &word.at, "program.command", known, notes);
        } else if check_template(&word.value, &word.at, "program.command", None, notes) {
            let names = Template::parse(&word.value).map(|t| t.names().any(|name| name != HERE));
            if names != Ok(false) {
                let message = format!("the program {} is not the same for all trials", Value::text(&word.value));
                let fix = "it is looked up once: `{here}`, the folder of the run file, is its one placeholder";
                notes.report(&word.at, "program.command", message, fix);
                is_right = false;
            }
        } else {
            is_right = false;
        }
    }
    if first.value.contains(char::is_whitespace) && written.value.len() == 1 {
        let words: Vec<Value> = first.value.split_whitespace().map(Value::text).collect();
        let message = "`command` is one word with spaces in it, and no shell takes it apart";
        notes.report(&first.at, "program.command", message, format!("write `command = {}`", Value::List(words)));
        return None;
    }
    is_right.then(|| written.value.iter().map(|word| word.value.clone()).collect())
}

/// Programs that read a command line of their own behind `-c`.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ash", "zsh", "ksh"];

/// What stands in the text of a shell is read by the shell: a quote or a space in a setting then does something else, and a `$(…)` is
/// carried out. Numbers are harmless.
fn warn_of_shell(command: &[String], parameters: &[Parameter], notes: &mut Notes<'_>) {
    let Some((program, words)) = command.split_first() else { return };
    let is_shell = program.rsplit('/').next().is_some_and(|name| SHELLS.contains(&name));
    let is_flag = |word: &String| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c');
    let script = words.iter().position(is_flag).and_then(|at| words.get(at + 1)).filter(|_| is_shell);
    let Some(Ok(template)) = script.map(|script| Template::parse(script)) else { return };
    let is_text = |name: &str| parameters.iter().any(|p| p.name == name && p.kind == Kind::Text);
    let mut told: Vec<&str> = Vec::new();
    for name in template.names().filter(|name| *name == HERE || is_text(name)) {
        if told.contains(&name) {
            continue;
        }
        told.push(name);
        let setting = if name == HERE { "" } else { "SETTING_" };
        let variable = format!("TUMBLE_{setting}{}", name.to_ascii_uppercase());
        notes.warnings.push(format!(
            "the shell of `command` reads what `{{{name}}}` stands for as a part of its own text, and takes it apart at \
             quotes, spaces and `$`: write \"${variable}\" there instead, with the quotes"
        ));
    }
}

/// Whether a text is a template whose names are known; with `None` any name will do, for those that there are have problems.
fn check_template(text: &str, at: &At, key: &str, known: Option<&[&str]>, notes: &mut Notes<'_>) -> bool {
    if text.contains('\0') {
        notes.report(at, key, "a word of a command line cannot hold the character NUL", "remove it");
        return false;
    }
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => {
            let fix = "write `{name}` for a setting, and `{{` or `}}` for a brace";
            notes.report(at, key, format!("{error} in {}", Value::text(text)), fix);
            return false;
        }
    };
    let strangers = template.0.iter().filter_map(|piece| match piece {
        TemplatePiece::Name(name) if known.is_some_and(|known| !known.contains(&name.as_str())) => Some(name),
        _ => None,
    });
    let mut is_right = true;
    for name in strangers {
        let fix = instead_of(name, known.unwrap_or(&[]));
        notes.report(at, key, format!("`{{{name}}}` is no axis, no setting of [config] and no place"), fix);
        is_right = false;
    }
    is_right
}

fn result_place(written: &Written<String>, notes: &mut Notes<'_>) -> Option<ResultPlace> {
    if written.value == "stdout" {
        return Some(ResultPlace::Stdout);
    }
    let name = written.value.strip_prefix(FILE);
    match name.filter(|name| !name.is_empty() && *name != "." && *name != ".." && !name.contains(['/', '\0'])) {
        Some(name) => Some(ResultPlace::File(name.to_owned())),
        None => {
            let message = format!("`result` is neither `stdout` nor a file: {:?}", written.value);
            let fix = "write `stdout`, or `file:result.json` for a file in the working folder of the trial";
            notes.report(&written.at, "program.result", message, fix);
            None
        }
    }
}

fn environment(
    section: &TypedProgram<'_>,
    known: Option<&[&str]>,
    notes: &mut Notes<'_>,
) -> Option<Vec<(String, String)>> {
    let Some(written) = section.environment.written() else {
        return section.environment.is_absent().then(Vec::new);
    };
    let mut variables = Vec::new();
    let mut is_right = true;
    for entry in &written.value.entries {
        let (name, key) = (&entry.name, format!("program.environment.{}", entry.name));
        if name.is_empty() || name.contains(['=', '\0']) || name.starts_with("TUMBLE_") {
            let message = format!("the environment cannot have a variable {name:?} of yours");
            let fix = "call it something else; what begins with TUMBLE_ tells of the trial";
            notes.report(&entry.at, &key, message, fix);
            is_right = false;
        }
        let Item::Text(text) = &entry.node.item else {
            let found = entry.node.item.kind_name();
            let message = format!("`{name}` has the wrong type: expected text, found {found}");
            notes.report(&entry.node.at, &key, message, format!("write `{name} = \"…\"`"));
            is_right = false;
            continue;
        };
        is_right &= check_template(text, &entry.node.at, &key, known, notes);
        variables.push((name.clone(), text.clone()));
    }
    // One order, whatever the file has: a table has none.
    variables.sort();
    is_right.then_some(variables)
}
