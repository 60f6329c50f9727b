//! A Python function as an evaluator: the `[python]` section, and what the function itself says of it.
//!
//! Whoever submits may ask the function once ([`lay_in`]): its parameters are held against the run file, and its defaults and its
//! metrics are laid into the tree, so that the canonical run file says it all and nobody needs the interpreter to read it.

use tumble_domain::code::PYTHON_PLACES;
use tumble_domain::{Code, Direction, Genome, GenomeLength, Kind, Objective, PipelineDescription, Python, Value};

use crate::problem::{At, Notes};
use crate::program::{Own, Owner, described, kind_of, kind_of_axis, metrics, objective, parameters, steps};
use crate::tree::{Entry, Item, Node, Table};
use crate::typed::{Typed, TypedPython, Written};
use crate::wording::instead_of;

/// The pipeline that calls a Python function.
const PYTHON: &str = "python";
/// Raised whenever the same trial would be given other values or its result read another way.
const PYTHON_VERSION: u32 = 1;
/// The longest vector that a function takes.
pub(crate) const GENOME_MAX: u64 = 100_000_000;
/// What the vector is called, as a parameter and as the axes of its elements.
const GENOME: &str = "genome";

/// The words that Python keeps to itself.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

const OWNER: Owner = Owner { word: "function", places: &PYTHON_PLACES, is_in_capitals: false, keywords: &KEYWORDS };

/// What is asked of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The function.
    pub entry: String,
    /// The interpreter, if the run file names one.
    pub interpreter: Option<String>,
    /// Whether it is to take many trials at once.
    pub batch: bool,
}

/// What a function says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Its parameters, in its order.
    pub parameters: Vec<AskedParameter>,
    /// It takes any others as well.
    pub takes_any: bool,
    /// What it gives back, if it says so.
    pub metrics: Option<Vec<String>>,
}

/// A parameter of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedParameter {
    /// Its name.
    pub name: String,
    /// What it takes, if its annotation or its default says so.
    pub kind: Option<Kind>,
    /// What holds where nobody sets it.
    pub default: AskedDefault,
}

/// The default of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum AskedDefault {
    /// It has none.
    Missing,
    /// A value that a run file can have.
    Value(Value),
    /// One that a run file cannot have, such as None: it stays the function's own.
    Own,
}

/// Why a function could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct AskError {
    /// The reason, and what to do.
    pub why: String,
    /// It may well be right on the machines of the workers.
    pub elsewhere: bool,
}

/// Asks a function.
pub type Ask<'a> = &'a dyn Fn(&Question) -> Result<Asked, AskError>;

/// The pipeline as workers announce it.
pub(crate) fn open() -> PipelineDescription {
    PipelineDescription {
        name: PYTHON.to_owned(),
        version: PYTHON_VERSION,
        summary: "A Python function as an evaluator: interpreters import it once and stay.".to_owned(),
        source: "your own".to_owned(),
        parameters: Vec::new(),
        metrics: Vec::new(),
        objective: Objective { metric: String::new(), direction: Direction::Maximise },
        genome: None,
        prolongs: None,
    }
}

/// Whether an axis is an element of the vector that a function takes.
pub(crate) fn is_element(axis: &str, typed: &Typed<'_>) -> bool {
    let has_genome = typed.python.value().is_some_and(|python| python.genome.value().is_some());
    has_genome && is_element_name(axis)
}

fn is_element_name(axis: &str) -> bool {
    axis.strip_prefix(GENOME).is_some_and(|i| !i.is_empty() && i.bytes().all(|b| b.is_ascii_digit()))
}

/// The function that evaluates, if the pipeline is one.
pub(crate) fn of(typed: &Typed<'_>, notes: &mut Notes<'_>) -> Option<Own> {
    let is_python = typed.pipeline.value().is_some_and(|name| name == PYTHON);
    let section = typed.python.written();
    if !is_python {
        if let (Some(section), Some(pipeline)) = (section, typed.pipeline.value()) {
            let message = format!("[python] has no meaning for pipeline `{pipeline}`");
            notes.report(&section.at, PYTHON, message, "write `pipeline = \"python\"`, or remove [python]");
        }
        return None;
    }
    let Some(section) = section else {
        if typed.python.is_absent() {
            let fix = "add [python] with `entry = \"model.py:evaluate\"`";
            notes.report(&At::Nowhere, PYTHON, "missing [python]", fix);
        }
        return Some(Own { description: None, code: None });
    };
    let parameters = parameters(typed, OWNER, notes);
    let metrics = metrics(&section.value.metrics, PYTHON, &section.at, notes);
    let code = code(&section.value, &section.at, metrics.clone(), notes);
    let genome = section.value.genome.value().and_then(|length| u32::try_from(*length).ok());
    let description = parameters.zip(metrics).and_then(|(parameters, metrics)| {
        Some(PipelineDescription {
            objective: objective(typed, &metrics)?,
            prolongs: steps(typed).map(|steps| steps.value.clone()),
            parameters,
            metrics: described(metrics),
            genome: genome.map(|length| Genome {
                name: GENOME.to_owned(),
                length: GenomeLength::Fixed(length),
                bounds: None,
                summary: String::new(),
            }),
            ..open()
        })
    });
    Some(Own { description, code: code.map(Code::Python) })
}

fn code(section: &TypedPython, at: &At, metrics: Option<Vec<String>>, notes: &mut Notes<'_>) -> Option<Python> {
    let Some(entry) = section.entry.written() else {
        if section.entry.is_absent() {
            let fix = "for example `entry = \"model.py:evaluate\"` or `entry = \"package.module:function\"`";
            notes.report(at, "python.entry", "missing `entry` in [python]", fix);
        }
        return None;
    };
    let interpreter = section.interpreter.written();
    let texts = [Some((entry, "entry")), interpreter.map(|written| (written, "interpreter"))];
    for (written, name) in texts.into_iter().flatten() {
        if written.value.is_empty() || written.value.contains('\0') {
            let message = format!("`{name}` names nothing");
            notes.report(&written.at, &format!("python.{name}"), message, "write a name, or leave it out");
            return None;
        }
    }
    check_entry(entry, notes).then_some(())?;
    Some(Python {
        entry: entry.value.clone(),
        interpreter: interpreter.map(|written| written.value.clone()),
        metrics: metrics?,
        batch: section.batch.value().copied().unwrap_or(false),
        genome: match section.genome.written() {
            None => None,
            Some(length) => Some(u32::try_from(length.value).ok()?),
        },
    })
}

/// A module, a colon and a function.
fn check_entry(entry: &Written<String>, notes: &mut Notes<'_>) -> bool {
    let is_function = |name: &str| {
        let is_word = |word: &str| {
            word.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
                && word.chars().all(|c| c.is_alphanumeric() || c == '_')
        };
        name.split('.').all(is_word)
    };
    let right = entry.value.rsplit_once(':').filter(|(module, name)| !module.is_empty() && is_function(name));
    if right.is_none() {
        let module = entry.value.trim_end_matches(':');
        let message = format!("`entry` names no function: {:?}", entry.value);
        let fix = match entry.value.contains(':') {
            true => "write `model.py:evaluate` or `package.module:function`".to_owned(),
            false => format!("write the function's name after a colon: `entry = \"{module}:evaluate\"`"),
        };
        notes.report(&entry.at, "python.entry", message, fix);
    }
    right.is_some()
}

/// Asks the function that the tree names, holds the tree against what it says, and lays its defaults and its metrics in. What is
/// of the wrong type is left to who reads types.
pub(crate) fn lay_in(root: &mut Table, ask: Ask<'_>, notes: &mut Notes<'_>) {
    if root.get("pipeline").is_none_or(|entry| entry.node.item != Item::Text(PYTHON.to_owned())) {
        return;
    }
    let Some(section) = table_of(root, PYTHON) else { return };
    let Some((entry_at, entry)) = section.get("entry").and_then(|entry| match &entry.node.item {
        Item::Text(text) => Some((entry.node.at.clone(), text.clone())),
        _ => None,
    }) else {
        return;
    };
    if !check_entry(&Written { at: entry_at.clone(), value: entry.clone() }, notes) {
        return;
    }
    let interpreter = section.get("interpreter").and_then(|given| match &given.node.item {
        Item::Text(text) => Some(text.clone()),
        _ => None,
    });
    let batch = section.get("batch").is_some_and(|given| given.node.item == Item::Boolean(true));
    let genome = section.get(GENOME).is_some();
    let listed = section.get("metrics").map(|given| given.node.clone());
    let question = Question { entry: entry.clone(), interpreter, batch };
    let asked = match ask(&question) {
        Ok(asked) => asked,
        Err(AskError { why, elsewhere: true }) if listed.is_some() => {
            notes.warnings.push(format!("the function could not be asked what it takes: {why}"));
            return;
        }
        Err(AskError { why, elsewhere }) => {
            let fix = match elsewhere {
                true => "put it right, or list `metrics` in [python] to check the run file without the function",
                false => "put it right, and try again",
            };
            return notes.report(&entry_at, "python.entry", why, fix);
        }
    };
    check_metrics(listed.as_ref(), &asked, notes);
    if let (None, Some(metrics), Some(section)) = (&listed, &asked.metrics, table_mut(root, PYTHON)) {
        let names = metrics.iter().map(|name| node(Item::Text(name.clone()))).collect();
        section.entries.push(entry_of("metrics", Item::List(names)));
    }
    let function = entry.rsplit_once(':').map_or(&*entry, |(_, name)| name).to_owned();
    lay_parameters_in(root, &asked, &function, genome, &entry_at, notes);
}

fn check_metrics(listed: Option<&Node>, asked: &Asked, notes: &mut Notes<'_>) {
    let (Some(Node { item: Item::List(items), .. }), Some(known)) = (listed, &asked.metrics) else { return };
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    for item in items {
        if let Item::Text(name) = &item.item
            && !known.contains(&name.as_str())
        {
            let message = format!("the function says that it gives no metric `{name}`");
            notes.report(&item.at, "python.metrics", message, instead_of(name, &known));
        }
    }
}

/// What the run file sets, held against the parameters; what it leaves out, by their defaults.
fn lay_parameters_in(root: &mut Table, asked: &Asked, function: &str, genome: bool, at: &At, notes: &mut Notes<'_>) {
    let known: Vec<&str> =
        asked.parameters.iter().map(|p| p.name.as_str()).filter(|name| !PYTHON_PLACES.contains(name)).collect();
    let steps = table_of(root, "sweep").and_then(|sweep| table_of(sweep, "stopping")).and_then(|stopping| {
        stopping.get("steps").and_then(|steps| match &steps.node.item {
            Item::Text(name) => Some((steps.node.at.clone(), name.clone())),
            _ => None,
        })
    });
    let mut given: Vec<(String, bool)> = Vec::new();
    for path in [&["config"][..], &["evolve", "axes"], &["sweep", "axes"]] {
        let Some(table) = path.iter().try_fold(&mut *root, |table, name| table_mut(table, name)) else { continue };
        let is_axis = path.len() > 1;
        for entry in &mut table.entries {
            let is_strategys = is_axis && (entry.name == "evolve" || entry.name.starts_with("evolve."));
            if is_strategys || PYTHON_PLACES.contains(&entry.name.as_str()) || (genome && is_element_name(&entry.name))
            {
                continue;
            }
            let key = format!("{}.{}", path.join("."), entry.name);
            let is_conditional = matches!(&entry.node.item, Item::Table(form) if form.get("when").is_some());
            given.push((entry.name.clone(), is_conditional));
            match asked.parameters.iter().find(|p| p.name == entry.name) {
                Some(parameter) => fit(entry, parameter, is_axis, function, &key, notes),
                None if asked.takes_any => {}
                None => {
                    let message = format!("`{function}` has no parameter `{}`", entry.name);
                    notes.report(&entry.at, &key, message, instead_of(&entry.name, &known));
                }
            }
        }
    }
    if let Some((at, name)) = &steps
        && !known.contains(&name.as_str())
        && !asked.takes_any
    {
        let message = format!("`{function}` has no parameter `{name}`");
        notes.report(at, "sweep.stopping.steps", message, instead_of(name, &known));
    }
    let takes_genome = asked.takes_any || asked.parameters.iter().any(|p| p.name == GENOME);
    if genome && !takes_genome {
        let message = format!("[python] has a `genome`, and `{function}` has no parameter `genome`");
        notes.report(at, "python.genome", message, "give the function a parameter `genome`, or remove the key");
    }
    let mut defaults = Vec::new();
    for parameter in &asked.parameters {
        let name = &parameter.name;
        let is_steps = steps.as_ref().is_some_and(|(_, steps)| steps == name);
        let set: Vec<bool> = given.iter().filter(|(given, _)| given == name).map(|(_, when)| *when).collect();
        // A conditional axis has its value elsewhere in [config].
        let is_elsewhere_unset = set == [true];
        if name == "seed" || is_steps || (name == GENOME && genome) || (!set.is_empty() && !is_elsewhere_unset) {
            continue;
        }
        match &parameter.default {
            AskedDefault::Value(value) => defaults.push(entry_of(name, item_of(value))),
            AskedDefault::Own => {}
            // Told where axes are read.
            AskedDefault::Missing if is_elsewhere_unset => {}
            AskedDefault::Missing if name == GENOME => {
                let fix = "add its length to [python], as `genome = 10`, to search it by [evolve]";
                notes.report(at, "python.genome", format!("`{function}` takes a `genome`"), fix);
            }
            AskedDefault::Missing => {
                let message = format!("`{function}` has no default for `{name}`, and nothing sets it");
                let fix = format!("add `{name} = …` to [config], or an axis `{name}`");
                notes.report(at, &format!("config.{name}"), message, fix);
            }
        }
    }
    if defaults.is_empty() {
        return;
    }
    if root.get("config").is_none() {
        root.entries.push(entry_of("config", Item::Table(Table::default())));
    }
    if let Some(config) = table_mut(root, "config") {
        config.entries.extend(defaults);
    }
}

/// Whether what is given fits the parameter; whole numbers become real where it takes those.
fn fit(entry: &mut Entry, parameter: &AskedParameter, is_axis: bool, function: &str, key: &str, notes: &mut Notes<'_>) {
    let Some(wanted) = parameter.kind else { return };
    let found = if is_axis { Some(kind_of_axis(&entry.node)) } else { kind_of(&entry.node) };
    if (wanted, found) == (Kind::Float, Some(Kind::Integer)) {
        return make_real(&mut entry.node);
    }
    // What no function takes is told where parameters are read.
    if found.is_some_and(|found| found != wanted) {
        let found = found.map_or("nothing", Kind::name);
        let message = format!("`{function}` takes {} as `{}`, found {found}", with_article(wanted), parameter.name);
        let fix = match is_axis {
            true => {
                format!("write values of that kind, or change the annotation or the default of `{}`", parameter.name)
            }
            false => {
                format!("write a value of that kind, or change the annotation or the default of `{}`", parameter.name)
            }
        };
        notes.report(&entry.node.at, key, message, fix);
    }
}

fn with_article(kind: Kind) -> String {
    let article = match kind {
        Kind::Integer => "an ",
        Kind::Text => "",
        _ => "a ",
    };
    format!("{article}{}", kind.name())
}

/// Whole numbers as real ones, in a value, a list and the values of an axis; intervals stay.
fn make_real(node: &mut Node) {
    match &mut node.item {
        Item::Integer(i) => node.item = Item::Float(*i as f64),
        Item::List(items) => items.iter_mut().for_each(make_real),
        Item::Table(form) => {
            if let Some(values) = form.entries.iter_mut().find(|entry| entry.name == "values") {
                make_real(&mut values.node);
            }
        }
        _ => {}
    }
}

fn item_of(value: &Value) -> Item {
    match value {
        Value::Float(x) => Item::Float(*x),
        Value::Integer(i) => Item::Integer(i128::from(*i)),
        Value::Boolean(b) => Item::Boolean(*b),
        Value::Text(text) => Item::Text(text.to_string()),
        Value::List(items) => Item::List(items.iter().map(|value| node(item_of(value))).collect()),
    }
}

fn node(item: Item) -> Node {
    Node { at: At::Nowhere, item }
}

fn entry_of(name: &str, item: Item) -> Entry {
    Entry { name: name.to_owned(), at: At::Nowhere, order: usize::MAX, node: node(item) }
}

fn table_of<'t>(table: &'t Table, name: &str) -> Option<&'t Table> {
    match &table.get(name)?.node.item {
        Item::Table(table) => Some(table),
        _ => None,
    }
}

fn table_mut<'t>(table: &'t mut Table, name: &str) -> Option<&'t mut Table> {
    match &mut table.entries.iter_mut().find(|entry| entry.name == name)?.node.item {
        Item::Table(table) => Some(table),
        _ => None,
    }
}
