//! Every key of a run file, with a sentence each: reading, messages and reference pages follow this one list.

use tumble_domain::PipelineDescription;
use tumble_search::StrategyDescription;

use crate::wording;

/// A key that a run file may have whatever its pipeline and strategy are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The section it stands in, such as `evolve`; empty at the top.
    pub section: &'static str,
    /// As it is written.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What holds when it is absent.
    pub default: &'static str,
    /// One sentence.
    pub summary: &'static str,
}

const fn key(
    section: &'static str,
    name: &'static str,
    takes: &'static str,
    default: &'static str,
    summary: &'static str,
) -> Key {
    Key { section, name, takes, default, summary }
}

/// The keys, in the order in which a run file is written back. The parameters of the pipeline stand in `[config]`, those
/// of the strategy in `[evolve]` beside these.
pub const KEYS: [Key; 48] = [
    key("", "name", "text of a-z, 0-9 and -", "the pipeline's name", "Becomes part of the run's folder."),
    key("", "pipeline", "text", "none: it must be there", "Which pipeline evaluates."),
    key("", "seed", "integer", "0", "The root of all randomness."),
    key("", "replicates", "integer", "1", "Trials for each candidate, each under its own seed."),
    key(
        "",
        "objective",
        "text",
        "the pipeline's own",
        "The metric that steers: larger is better, or smaller after a `-`.",
    ),
    key(
        "",
        "bundle",
        "list of paths",
        "nothing travels",
        "Files and folders beside the run file that workers are sent: code of your own, and its data.",
    ),
    key(
        "",
        "bundle_hash",
        "64 hexadecimal digits",
        "that of the files as they are",
        "Which files they were: Tumble writes it, and refuses others under it.",
    ),
    key("", "program", "section", "none", "The command line that evaluates a trial: for `pipeline = \"program\"`."),
    key("", "python", "section", "none", "The function that evaluates: for `pipeline = \"python\"`."),
    key("", "config", "section", "every default", "Fixed settings of the pipeline."),
    key("", "evolve", "section", "no evolution", "A strategy proposes a population, generation after generation."),
    key("", "sweep", "section", "no sweep", "A design lays out all candidates at once."),
    key("", "limits", "section", "every default", "What bounds the run."),
    key(
        "program",
        "command",
        "list of texts",
        "none: it must be there",
        "The program and its arguments, with placeholders such as `{load}` and `{seed}`; no shell is involved.",
    ),
    key("program", "metrics", "list of texts", "none: it must be there", "The numbers that the program gives back."),
    key(
        "program",
        "result",
        "stdout or file:NAME",
        "stdout",
        "Where its last line of JSON stands: on standard output, or in a file of its working folder.",
    ),
    key("program", "stdin", "none or json", "none", "With `json` the program reads the trial as one JSON object."),
    key("program", "environment", "section", "none", "Variables beside those of the worker; placeholders are filled."),
    key("program", "memory", "text such as 2GiB", "no limit", "The most memory that the program may ask for."),
    key("program", "keep", "integer to 1000", "10", "How many working folders of failed trials are kept."),
    key(
        "python",
        "entry",
        "text",
        "none: it must be there",
        "The function: `model.py:evaluate`, relative to the run file, or `package.module:function`.",
    ),
    key(
        "python",
        "interpreter",
        "path or name",
        "TUMBLE_PYTHON, else python3",
        "Which Python runs it: a path such as that of a virtual environment, or a name that PATH has.",
    ),
    key(
        "python",
        "metrics",
        "list of texts",
        "what the function says of itself",
        "The numbers that the function gives back.",
    ),
    key("python", "batch", "boolean", "false", "The function takes many trials at once, each parameter as an array."),
    key("python", "genome", "integer", "none", "The length of the vector that the function takes as `genome`."),
    key("evolve", "strategy", "text", "none: it must be there", "How the next population is proposed."),
    key("evolve", "population", "integer", "the strategy's formula", "Candidates in a generation."),
    key("evolve", "generations", "integer", "1000", "The most generations."),
    key(
        "evolve",
        "start",
        "number, list of numbers or { uniform = [low, high] }",
        "the middle of the bounds, or 0",
        "The first centre.",
    ),
    key("evolve", "trial_seeds", "fresh, per-generation or fixed", "fresh", "What each trial's seed derives from."),
    key("evolve", "stop", "section", "no early stop", "When to stop before the last generation."),
    key("evolve", "axes", "section", "the pipeline's genome", "What is searched: one entry for each axis."),
    key("evolve.stop", "objective", "number", "never", "Stops once the objective reached this value."),
    key("evolve.stop", "evaluations", "integer", "never", "Stops once so many trials were spent."),
    key("sweep", "design", "text", "none: it must be there", "How the candidates are laid out."),
    key(
        "sweep",
        "points",
        "integer",
        "none: designs that sample need it",
        "How many candidates a sampling design lays out.",
    ),
    key(
        "sweep",
        "criterion",
        "maximin",
        "none",
        "What a `latin-hypercube` is chosen for: with `maximin` its closest points are far apart.",
    ),
    key(
        "sweep",
        "file",
        "path of a .csv or .parquet file",
        "none",
        "Of a `list`: a file with a column for each axis and a row for each point; its values become the axes.",
    ),
    key("sweep", "stopping", "section", "every candidate in full", "Which candidates are stopped early."),
    key("sweep", "axes", "section", "none: it must be there", "What is swept: one entry for each axis."),
    key(
        "sweep.stopping",
        "rule",
        "successive-halving, asha or median",
        "none: it must be there",
        "Which candidates go on from one rung to the next.",
    ),
    key(
        "sweep.stopping",
        "steps",
        "text",
        "the one that the pipeline has",
        "The parameter of the pipeline that says how long a trial goes on, and nothing else.",
    ),
    key(
        "sweep.stopping",
        "rungs",
        "list of integers",
        "none: it must be there",
        "The values of that parameter, rising: all candidates are evaluated at the first.",
    ),
    key(
        "sweep.stopping",
        "factor",
        "integer from 2",
        "3",
        "About one candidate in so many goes on; `median` has no use for it.",
    ),
    key("limits", "timeout", "duration", "no limit", "The longest a single trial may take."),
    key("limits", "wall", "duration", "no limit", "The longest the run may take before it stops, to be resumed."),
    key(
        "limits",
        "attempts",
        "integer",
        "3",
        "How many workers a trial may take down before it is recorded as failed.",
    ),
    key("limits", "on_failure", "worst, drop or abort", "worst", "What a failed trial counts as."),
];

/// The names of one section's keys.
pub(crate) fn names(section: &str) -> Vec<&'static str> {
    KEYS.iter().filter(|k| k.section == section).map(|k| k.name).collect()
}

/// The dotted path of a key.
pub(crate) fn path(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// What to write instead of the key `name`, which the section `here` does not know: the nearest of its own keys, `known`,
/// else the section where the key, or one much like it, belongs.
pub(crate) fn instead_of(
    name: &str,
    here: &str,
    known: &[&str],
    pipeline: Option<&PipelineDescription>,
    strategies: &[StrategyDescription],
) -> String {
    let mut elsewhere: Vec<(&str, &str)> =
        KEYS.iter().filter(|k| k.section != here).map(|k| (k.name, k.section)).collect();
    if here != "config" {
        elsewhere.extend(pipeline.iter().flat_map(|p| &p.parameters).map(|p| (p.name.as_str(), "config")));
    }
    if here != "evolve" {
        elsewhere.extend(strategies.iter().flat_map(|s| &s.parameters).map(|p| (p.name.as_str(), "evolve")));
    }
    let place = |section: &str| {
        if section.is_empty() { "at the top of the file".to_owned() } else { format!("in [{section}]") }
    };
    if let Some((_, section)) = elsewhere.iter().find(|(other, _)| *other == name) {
        return format!("it belongs {}", place(section));
    }
    if wording::guess(name, known).is_some() {
        return wording::instead_of(name, known);
    }
    let names: Vec<&str> = elsewhere.iter().map(|(other, _)| *other).collect();
    let far = wording::guess(name, &names);
    match elsewhere.iter().find(|(other, _)| Some(*other) == far) {
        Some((other, section)) => format!("did you mean `{other}` {}?", place(section)),
        None => wording::one_of(known),
    }
}
