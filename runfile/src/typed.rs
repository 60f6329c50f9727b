//! The run file as it was typed: every key with its type checked, and nothing yet looked up or compared.

use std::time::Duration;

use tumble_domain::Value;
use tumble_search::strategies::POPULATION_MAX;

use crate::duration::parse_duration;
use crate::keys;
use crate::problem::{At, Notes};
use crate::program::KEEP_MAX;
use crate::python::GENOME_MAX;
use crate::tree::{Entry, Item, Node, Table};

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Given<T> {
    /// The key is not there.
    Absent,
    /// It is there, and its problem is noted: whoever needs it stays silent.
    Broken,
    /// It is there.
    Written(Written<T>),
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written<T> {
    pub(crate) at: At,
    pub(crate) value: T,
}

/// A whole run file, typed.
pub(crate) struct Typed<'t> {
    pub(crate) name: Given<String>,
    pub(crate) pipeline: Given<String>,
    pub(crate) seed: Given<u64>,
    pub(crate) replicates: Given<u32>,
    pub(crate) objective: Given<String>,
    pub(crate) bundle: Given<Vec<Written<String>>>,
    pub(crate) bundle_hash: Given<String>,
    pub(crate) program: Given<TypedProgram<'t>>,
    pub(crate) python: Given<TypedPython>,
    pub(crate) config: Given<&'t Table>,
    pub(crate) evolve: Given<TypedEvolve<'t>>,
    pub(crate) sweep: Given<TypedSweep<'t>>,
    pub(crate) limits: TypedLimits,
    /// Keys that no section of theirs knows; what they should have been depends on the pipeline.
    pub(crate) unknown: Vec<(&'static str, &'t Entry)>,
}

/// The `[program]` section, typed.
pub(crate) struct TypedProgram<'t> {
    pub(crate) command: Given<Vec<Written<String>>>,
    pub(crate) metrics: Given<Vec<Written<String>>>,
    pub(crate) result: Given<String>,
    pub(crate) stdin: Given<String>,
    pub(crate) environment: Given<&'t Table>,
    pub(crate) memory: Given<String>,
    pub(crate) keep: Given<u64>,
}

/// The `[python]` section, typed.
pub(crate) struct TypedPython {
    pub(crate) entry: Given<String>,
    pub(crate) interpreter: Given<String>,
    pub(crate) metrics: Given<Vec<Written<String>>>,
    pub(crate) batch: Given<bool>,
    pub(crate) genome: Given<u64>,
}

/// The `[evolve]` section, typed.
pub(crate) struct TypedEvolve<'t> {
    pub(crate) strategy: Given<String>,
    pub(crate) population: Given<u32>,
    pub(crate) generations: Given<u32>,
    pub(crate) start: Given<TypedStart>,
    pub(crate) trial_seeds: Given<String>,
    pub(crate) stop_objective: Given<f64>,
    pub(crate) stop_evaluations: Given<u64>,
    pub(crate) axes: Given<Vec<TypedAxis<'t>>>,
    /// The rest: settings of the strategy, if it knows them.
    pub(crate) settings: Vec<&'t Entry>,
}

/// `start`, typed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TypedStart {
    Everywhere(f64),
    At(Vec<Written<f64>>),
    /// Both ends, the smaller one first.
    Uniform([Written<f64>; 2]),
}

/// The `[sweep]` section, typed.
pub(crate) struct TypedSweep<'t> {
    pub(crate) design: Given<String>,
    pub(crate) points: Given<u64>,
    pub(crate) criterion: Given<String>,
    pub(crate) stopping: Given<TypedStopping>,
    pub(crate) axes: Given<Vec<TypedAxis<'t>>>,
}

/// The `[sweep.stopping]` section, typed.
pub(crate) struct TypedStopping {
    pub(crate) rule: Given<String>,
    pub(crate) steps: Given<String>,
    pub(crate) rungs: Given<Vec<Written<i64>>>,
    pub(crate) factor: Given<u32>,
}

/// One entry of `[sweep.axes]` or `[evolve.axes]`; `evolve.sigma` is one name, whether quoted or dotted.
pub(crate) struct TypedAxis<'t> {
    /// `sweep.axes` or `evolve.axes`.
    pub(crate) section: &'static str,
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) order: usize,
    pub(crate) node: &'t Node,
}

/// The `[limits]` section, typed.
pub(crate) struct TypedLimits {
    pub(crate) timeout: Given<Duration>,
    pub(crate) wall: Given<Duration>,
    pub(crate) attempts: Given<u32>,
    pub(crate) on_failure: Given<String>,
}

impl<T> Given<T> {
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Given::Absent)
    }

    /// The value with its place, if there is a good one.
    pub(crate) fn written(&self) -> Option<&Written<T>> {
        match self {
            Given::Written(written) => Some(written),
            _ => None,
        }
    }

    /// The value, if there is a good one.
    pub(crate) fn value(&self) -> Option<&T> {
        self.written().map(|w| &w.value)
    }

    /// What `read` makes of the value and its place; broken where it makes nothing, having noted why.
    fn and_then<U>(self, read: impl FnOnce(&At, T) -> Option<U>) -> Given<U> {
        match self {
            Given::Absent => Given::Absent,
            Given::Broken => Given::Broken,
            Given::Written(Written { at, value }) => match read(&at, value) {
                Some(value) => Given::Written(Written { at, value }),
                None => Given::Broken,
            },
        }
    }
}

impl<'t> Typed<'t> {
    /// Types the whole tree.
    pub(crate) fn of(root: &'t Table, notes: &mut Notes<'_>) -> Typed<'t> {
        let mut unknown = Vec::new();
        let top = Section { path: "", table: Some(root) };
        top.unknown_into(&mut unknown);
        let limits = Section { path: "limits", table: top.section("limits", notes).value().copied() };
        limits.unknown_into(&mut unknown);
        Typed {
            name: top.text("name", notes),
            pipeline: top.text("pipeline", notes),
            seed: top.whole("seed", 0, u64::MAX, notes),
            replicates: top.count("replicates", notes),
            objective: top.text("objective", notes),
            bundle: top.texts("bundle", "for example `bundle = [\"model.py\", \"data/\"]`", notes),
            bundle_hash: top.text("bundle_hash", notes),
            program: top.section("program", notes).and_then(|_, t| Some(TypedProgram::of(t, notes, &mut unknown))),
            python: top.section("python", notes).and_then(|_, t| Some(TypedPython::of(t, notes, &mut unknown))),
            config: top.section("config", notes),
            evolve: top.section("evolve", notes).and_then(|_, t| Some(TypedEvolve::of(t, notes, &mut unknown))),
            sweep: top.section("sweep", notes).and_then(|_, t| Some(TypedSweep::of(t, notes, &mut unknown))),
            limits: TypedLimits {
                timeout: limits.duration("timeout", notes),
                wall: limits.duration("wall", notes),
                attempts: limits.count("attempts", notes),
                on_failure: limits.text("on_failure", notes),
            },
            unknown,
        }
    }
}

impl<'t> TypedProgram<'t> {
    fn of(table: &'t Table, notes: &mut Notes<'_>, unknown: &mut Vec<(&'static str, &'t Entry)>) -> TypedProgram<'t> {
        let program = Section { path: "program", table: Some(table) };
        program.unknown_into(unknown);
        // A command line as a shell would take it, as the list that it would be.
        let as_list = match program.entry("command").map(|e| &e.node.item) {
            Some(Item::Text(text)) => {
                let words = text.split_whitespace().map(|word| Value::text(word.trim_matches(['"', '\''])));
                format!("write `command = {}`: no shell is involved", Value::List(words.collect()))
            }
            _ => "for example `command = [\"./simulate\", \"--seed\", \"{seed}\"]`".to_owned(),
        };
        TypedProgram {
            command: program.texts("command", &as_list, notes),
            metrics: program.texts("metrics", "for example `metrics = [\"energy\"]`", notes),
            result: program.text("result", notes),
            stdin: program.text("stdin", notes),
            environment: program.section("environment", notes),
            memory: program.text("memory", notes),
            keep: program.whole("keep", 0, KEEP_MAX, notes),
        }
    }
}

impl TypedPython {
    fn of<'t>(table: &'t Table, notes: &mut Notes<'_>, unknown: &mut Vec<(&'static str, &'t Entry)>) -> TypedPython {
        let python = Section { path: "python", table: Some(table) };
        python.unknown_into(unknown);
        TypedPython {
            entry: python.text("entry", notes),
            interpreter: python.text("interpreter", notes),
            metrics: python.texts("metrics", "for example `metrics = [\"energy\"]`", notes),
            batch: python.read(
                "batch",
                notes,
                "boolean",
                "write `batch = true` or `batch = false`",
                |item| match item {
                    Item::Boolean(b) => Some(*b),
                    _ => None,
                },
            ),
            genome: python.whole("genome", 1, GENOME_MAX, notes),
        }
    }
}

impl<'t> TypedEvolve<'t> {
    fn of(table: &'t Table, notes: &mut Notes<'_>, unknown: &mut Vec<(&'static str, &'t Entry)>) -> TypedEvolve<'t> {
        let evolve = Section { path: "evolve", table: Some(table) };
        let stop = Section { path: "evolve.stop", table: evolve.section("stop", notes).value().copied() };
        stop.unknown_into(unknown);
        let known = keys::names("evolve");
        TypedEvolve {
            strategy: evolve.text("strategy", notes),
            population: evolve
                .whole("population", 1, u64::from(POPULATION_MAX), notes)
                .and_then(|_, count| u32::try_from(count).ok()),
            generations: evolve.count("generations", notes),
            start: evolve.start(notes),
            trial_seeds: evolve.text("trial_seeds", notes),
            stop_objective: stop.number("objective", notes),
            stop_evaluations: stop.whole("evaluations", 1, i64::MAX as u64, notes),
            axes: evolve.axes("evolve.axes", notes),
            settings: table.entries.iter().filter(|e| !known.contains(&e.name.as_str())).collect(),
        }
    }
}

impl<'t> TypedSweep<'t> {
    fn of(table: &'t Table, notes: &mut Notes<'_>, unknown: &mut Vec<(&'static str, &'t Entry)>) -> TypedSweep<'t> {
        let sweep = Section { path: "sweep", table: Some(table) };
        sweep.unknown_into(unknown);
        TypedSweep {
            design: sweep.text("design", notes),
            points: sweep.whole("points", 1, i64::MAX as u64, notes),
            criterion: sweep.text("criterion", notes),
            stopping: sweep
                .section("stopping", notes)
                .and_then(|_, table| Some(TypedStopping::of(table, notes, unknown))),
            axes: sweep.axes("sweep.axes", notes),
        }
    }
}

impl TypedStopping {
    fn of<'t>(table: &'t Table, notes: &mut Notes<'_>, unknown: &mut Vec<(&'static str, &'t Entry)>) -> TypedStopping {
        let stopping = Section { path: "sweep.stopping", table: Some(table) };
        stopping.unknown_into(unknown);
        let factor = stopping.whole("factor", 2, u64::from(u32::MAX), notes);
        TypedStopping {
            rule: stopping.text("rule", notes),
            steps: stopping.text("steps", notes),
            rungs: stopping.integers("rungs", "for example `rungs = [10, 30, 90]`", notes),
            factor: factor.and_then(|_, factor| u32::try_from(factor).ok()),
        }
    }
}

/// The axes of a table, with those of its table `evolve` under their dotted names.
fn flatten<'t>(table: &'t Table, section: &'static str, axes: &mut Vec<TypedAxis<'t>>) {
    let axis =
        |name: String, e: &'t Entry| TypedAxis { section, name, at: e.at.clone(), order: e.order, node: &e.node };
    for entry in &table.entries {
        match &entry.node.item {
            Item::Table(inner) if entry.name == "evolve" => {
                axes.extend(inner.entries.iter().map(|e| axis(format!("evolve.{}", e.name), e)));
            }
            _ => axes.push(axis(entry.name.clone(), entry)),
        }
    }
}

/// A section that is read key by key; an absent one reads as empty.
struct Section<'t> {
    path: &'static str,
    table: Option<&'t Table>,
}

impl<'t> Section<'t> {
    fn entry(&self, name: &str) -> Option<&'t Entry> {
        self.table.and_then(|t| t.get(name))
    }

    fn unknown_into(&self, unknown: &mut Vec<(&'static str, &'t Entry)>) {
        let known = keys::names(self.path);
        let entries = self.table.map_or(&[][..], |t| &t.entries);
        unknown.extend(entries.iter().filter(|e| !known.contains(&e.name.as_str())).map(|e| (self.path, e)));
    }

    fn section(&self, name: &str, notes: &mut Notes<'_>) -> Given<&'t Table> {
        let shown = if name == "stop" {
            "`stop = { objective = 0.99 }`".to_owned()
        } else {
            format!("`[{}]`", keys::path(self.path, name))
        };
        self.read(name, notes, "a section", &format!("write {shown}"), |item| match item {
            Item::Table(table) => Some(table),
            _ => None,
        })
    }

    /// The entries of its table `axes`, in the order of the file; `path` is that table's.
    fn axes(&self, path: &'static str, notes: &mut Notes<'_>) -> Given<Vec<TypedAxis<'t>>> {
        self.section("axes", notes).and_then(|_, table| {
            let mut axes = Vec::new();
            flatten(table, path, &mut axes);
            // A dotted `evolve.sigma` may stand far from the other dotted keys of its table.
            axes.sort_by_key(|axis| axis.order);
            Some(axes)
        })
    }

    fn text(&self, name: &str, notes: &mut Notes<'_>) -> Given<String> {
        let fix = match self.entry(name).map(|e| &e.node.item) {
            Some(Item::Integer(i)) => format!("write `{name} = \"{i}\"`"),
            _ => format!("write `{name} = \"…\"`"),
        };
        self.read(name, notes, "text", &fix, |item| match item {
            Item::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    fn number(&self, name: &str, notes: &mut Notes<'_>) -> Given<f64> {
        let given = self.read(name, notes, "number", &format!("for example `{name} = 0.5`"), as_number);
        given.and_then(|at, x| is_finite(x, at, name, &keys::path(self.path, name), notes).then_some(x))
    }

    /// A whole number from `low` to `high`.
    fn whole(&self, name: &str, low: u64, high: u64, notes: &mut Notes<'_>) -> Given<u64> {
        let fix = match self.entry(name).map(|e| &e.node.item) {
            Some(Item::Float(x)) if x.floor() == *x && x.abs() < 9.0e15 => format!("write `{name} = {}`", *x as i64),
            _ => format!("for example `{name} = {}`", low.max(1)),
        };
        let given = self.read(name, notes, "integer", &fix, |item| match item {
            Item::Integer(i) => Some(i.to_string()),
            Item::HugeInteger(written) => Some(written.clone()),
            _ => None,
        });
        given.and_then(|at, written| {
            let value = written.parse::<u64>().ok().filter(|i| (low..=high).contains(i));
            if value.is_none() {
                let message = format!("`{name}` is out of bounds: {written}");
                let fix = format!("write an integer from {low} to {high}");
                notes.report(at, &keys::path(self.path, name), message, fix);
            }
            value
        })
    }

    /// A list of whole numbers, each with its place.
    fn integers(&self, name: &str, fix: &str, notes: &mut Notes<'_>) -> Given<Vec<Written<i64>>> {
        self.read(name, notes, "list of integers", fix, |item| match item {
            Item::List(items) => items
                .iter()
                .map(|node| match node.item {
                    Item::Integer(i) => i64::try_from(i).ok().map(|value| Written { at: node.at.clone(), value }),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    /// A list of texts, each with its place.
    fn texts(&self, name: &str, fix: &str, notes: &mut Notes<'_>) -> Given<Vec<Written<String>>> {
        self.read(name, notes, "list of texts", fix, |item| match item {
            Item::List(items) => items
                .iter()
                .map(|node| match &node.item {
                    Item::Text(text) => Some(Written { at: node.at.clone(), value: text.clone() }),
                    _ => None,
                })
                .collect(),
            _ => None,
        })
    }

    /// A whole number of at least 1, in 32 bits.
    fn count(&self, name: &str, notes: &mut Notes<'_>) -> Given<u32> {
        self.whole(name, 1, u64::from(u32::MAX), notes).and_then(|_, count| u32::try_from(count).ok())
    }

    fn duration(&self, name: &str, notes: &mut Notes<'_>) -> Given<Duration> {
        let fix = match self.entry(name).map(|e| &e.node.item) {
            Some(Item::Integer(i)) if *i > 0 => format!("write `{name} = \"{i}s\"` for seconds"),
            Some(Item::Time(written)) => format!("put it in quotes: `{name} = \"{written}\"`"),
            _ => format!("for example `{name} = \"1h30m\"`"),
        };
        let given = self.read(name, notes, "duration in quotes", &fix, |item| match item {
            Item::Text(text) => Some(text),
            _ => None,
        });
        given.and_then(|at, text| {
            let (why, fix) = match parse_duration(text) {
                Ok(Duration::ZERO) => ("cannot be zero".to_owned(), format!("leave `{name}` out for no limit")),
                Ok(duration) => return Some(duration),
                Err(why) => {
                    (format!("{why}: {text:?}"), "write it as `1h30m`, `90s`, `500ms` or `HH:MM:SS`".to_owned())
                }
            };
            notes.report(at, &keys::path(self.path, name), format!("`{name}` {why}"), fix);
            None
        })
    }

    fn start(&self, notes: &mut Notes<'_>) -> Given<TypedStart> {
        let fix = "for example `start = 0.0`, one number for each element, or `start = { uniform = [-5.0, 5.0] }`";
        enum Form<'t> {
            Number(f64),
            List(&'t [Node]),
            Table(&'t Table),
        }
        let expected = "number, list of numbers or `{ uniform = [low, high] }`";
        let given = self.read("start", notes, expected, fix, |item| match item {
            Item::List(items) => Some(Form::List(items)),
            Item::Table(table) => Some(Form::Table(table)),
            _ => as_number(item).map(Form::Number),
        });
        given.and_then(|at, value| match value {
            Form::Number(x) => is_finite(x, at, "start", "evolve.start", notes).then_some(TypedStart::Everywhere(x)),
            Form::List(items) => start_list(items, notes).map(TypedStart::At),
            Form::Table(table) => start_interval(table, at, fix, notes),
        })
    }

    /// Reads one key with `pick`, which gives `None` for an item of the wrong type.
    fn read<T>(
        &self,
        name: &str,
        notes: &mut Notes<'_>,
        expected: &str,
        fix: &str,
        pick: impl FnOnce(&'t Item) -> Option<T>,
    ) -> Given<T> {
        let Some(entry) = self.entry(name) else { return Given::Absent };
        match pick(&entry.node.item) {
            Some(value) => Given::Written(Written { at: entry.node.at.clone(), value }),
            None => {
                let found = entry.node.item.kind_name();
                let message = format!("`{name}` has the wrong type: expected {expected}, found {found}");
                notes.report(&entry.node.at, &keys::path(self.path, name), message, fix);
                Given::Broken
            }
        }
    }
}

fn as_number(item: &Item) -> Option<f64> {
    match item {
        Item::Float(x) => Some(*x),
        Item::Integer(i) => Some(*i as f64),
        _ => None,
    }
}

fn is_finite(x: f64, at: &At, name: &str, path: &str, notes: &mut Notes<'_>) -> bool {
    if !x.is_finite() {
        notes.report(at, path, format!("`{name}` is not a finite number"), format!("for example `{name} = 0.5`"));
    }
    x.is_finite()
}

/// `{ uniform = [low, high] }`.
fn start_interval(table: &Table, at: &At, fix: &str, notes: &mut Notes<'_>) -> Option<TypedStart> {
    let (Some(entry), 1) = (table.get("uniform"), table.entries.len()) else {
        let message = "`start` as a section has one key, `uniform`";
        notes.report(at, "evolve.start", message, fix);
        return None;
    };
    let Item::List(items) = &entry.node.item else {
        let message = format!("`uniform` has the wrong type: expected a list, found {}", entry.node.item.kind_name());
        notes.report(&entry.node.at, "evolve.start", message, fix);
        return None;
    };
    match <[Written<f64>; 2]>::try_from(start_list(items, notes)?) {
        Ok(ends) if ends[0].value < ends[1].value => Some(TypedStart::Uniform(ends)),
        _ => {
            let message = "`uniform` takes two numbers, the smaller one first";
            notes.report(&entry.node.at, "evolve.start", message, fix);
            None
        }
    }
}

/// Every number of the list, once all are numbers and finite.
fn start_list(items: &[Node], notes: &mut Notes<'_>) -> Option<Vec<Written<f64>>> {
    let mut numbers = Vec::with_capacity(items.len());
    for item in items {
        match as_number(&item.item) {
            Some(x) if is_finite(x, &item.at, "start", "evolve.start", notes) => {
                numbers.push(Written { at: item.at.clone(), value: x });
            }
            Some(_) => {}
            None => {
                let found = item.item.kind_name();
                let message = format!("`start` has the wrong type: expected numbers in the list, found {found}");
                notes.report(&item.at, "evolve.start", message, "for example `start = [0.0, 0.5]`");
            }
        }
    }
    (numbers.len() == items.len()).then_some(numbers)
}
