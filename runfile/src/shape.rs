//! How large a run will be, known before anything runs: what `tumble check` prints.

use tumble_domain::code::EXIT_COLUMNS;
use tumble_domain::{Axis, AxisValues, Kind, Layout, RunSpec, StoppingRule, Value};
use tumble_search::Design;

use crate::Understood;
use crate::program::is_of_exits;
use crate::stopping;
use crate::sweep::candidates;

/// The size and the tables of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The most generations; 1 for a sweep.
    pub generations: u64,
    /// Candidates in each: the population, or the points of the sweep.
    pub candidates: u64,
    /// Trials of each candidate.
    pub replicates: u32,
    /// Trials of the whole run, if it reaches its last generation.
    pub trials: u64,
    /// The rungs of a sweep that stops candidates early; empty for other runs.
    pub rungs: Vec<Rung>,
    /// Of a grid with conditions: what its points are the sum of, for each axis that decides.
    pub branches: Vec<Branch>,
    /// Columns of the trials table, in order.
    pub columns: Vec<Column>,
    /// Parts of the trials table.
    pub parts: u64,
    /// Rows of each part but the last.
    pub part_rows: u64,
    /// About how many bytes the tables take on disk. What compresses depends on the numbers, so take it as a magnitude.
    pub bytes: u64,
}

/// One rung of a sweep that stops candidates early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// How long its trials go on: the value of the pipeline's parameter.
    pub steps: i64,
    /// The candidates that are there. By successive halving they are so many unless fewer scored before; by the other rules
    /// they may be fewer in any case, as the fitness says.
    pub candidates: u64,
}

/// One column of the trials table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether it holds nothing at some points: that of an axis with a condition.
    pub conditional: bool,
}

/// How many points of a grid have one value of an axis that others hang on.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// The axis that decides.
    pub axis: String,
    /// Its value.
    pub value: Value,
    /// The points.
    pub points: u64,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Whole numbers from 0, 32 bits.
    U32,
    /// Whole numbers from 0, 64 bits.
    U64,
    /// Whole numbers, 64 bits.
    I64,
    /// Real numbers, 64 bits.
    F64,
    /// `true` or `false`.
    Boolean,
    /// Words out of few.
    Word,
    /// Any text, mostly none.
    Text,
}

impl ColumnKind {
    /// The type's name, as a data frame shows it.
    pub fn name(self) -> &'static str {
        match self {
            ColumnKind::U32 => "u32",
            ColumnKind::U64 => "u64",
            ColumnKind::I64 => "i64",
            ColumnKind::F64 => "f64",
            ColumnKind::Boolean => "bool",
            ColumnKind::Word => "dictionary",
            ColumnKind::Text => "text",
        }
    }
}

/// Bytes of a row of the generations table: a dozen numbers and a hash.
const GENERATION_BYTES: u64 = 150;
/// Bytes of the head and foot of one part.
const PART_BYTES: u64 = 4 * 1024;

/// The size and the tables of a run.
pub fn summary(understood: &Understood) -> Shape {
    let spec = &understood.spec;
    // A validated run has fewer than 2^63 candidates.
    let points = spec.plan.sweep().map_or(0, |sweep| u64::try_from(candidates(sweep)).unwrap_or(u64::MAX));
    let layout = Layout::of(spec, points);
    let rungs = rungs(spec, layout.candidates);
    let trials = match rungs.is_empty() {
        true => layout.trials(),
        false => rungs.iter().map(|rung| rung.candidates * u64::from(spec.replicates)).sum(),
    };
    let mut columns = Vec::new();
    let mut row_bytes = 0.0;
    let mut add = |name: &str, kind, bytes: f64| {
        columns.push(Column { name: name.to_owned(), kind, conditional: false });
        row_bytes += bytes;
    };
    // Columns that count compress to almost nothing; seeds and measured numbers do not compress.
    add("trial", ColumnKind::U64, 0.5);
    if spec.plan.has_generations() {
        add(if rungs.is_empty() { "generation" } else { stopping::RUNG }, ColumnKind::U32, 0.1);
        add("candidate", ColumnKind::U32, 0.3);
    }
    add("replicate", ColumnKind::U32, 0.1);
    add("seed", ColumnKind::U64, 8.0);
    let evolved = spec.plan.evolved_axes();
    for axis in spec.plan.sweep().map_or(evolved, |sweep| &sweep.axes) {
        let (kind, bytes) = axis_column(axis);
        add(&axis.name, kind, bytes);
    }
    if let Some(stopping) = spec.plan.stopping() {
        add(&understood.inner.parameters[stopping.steps].name, ColumnKind::I64, 0.1);
    }
    // What a trial was given is recorded before the metrics.
    for metric in &understood.description.metrics[spec.plan.reported().len()..] {
        add(&metric.name, ColumnKind::F64, 8.0);
    }
    add("outcome", ColumnKind::Word, 0.0);
    if spec.tells_of_exits() {
        EXIT_COLUMNS.iter().for_each(|(name, _)| add(name, ColumnKind::I64, 0.1));
    }
    add("error", ColumnKind::Text, 0.0);
    if spec.tells_of_exits() {
        let of_exits = columns.iter_mut().filter(|column| is_of_exits(&column.name));
        of_exits.for_each(|column| column.conditional = true);
    }
    let mut branches = Vec::new();
    if let Some(sweep) = spec.plan.sweep().filter(|sweep| !sweep.conditions.is_empty()) {
        let conditional: Vec<&str> = sweep.conditions.iter().map(|c| sweep.axes[c.axis].name.as_str()).collect();
        columns.iter_mut().for_each(|column| column.conditional |= conditional.contains(&column.name.as_str()));
        let named = Design::try_new(sweep, spec.seed).map_or(Vec::new(), |design| design.branches());
        for (axis, values) in named {
            let axis = &sweep.axes[axis].name;
            branches.extend(values.into_iter().map(|(value, points)| Branch { axis: axis.clone(), value, points }));
        }
    }
    let part_rows = layout.part_rows();
    let parts = trials.div_ceil(part_rows);
    let generations = if spec.plan.has_generations() { layout.generations } else { 0 };
    let bytes =
        trials as f64 * row_bytes + parts as f64 * PART_BYTES as f64 + generations as f64 * GENERATION_BYTES as f64;
    Shape {
        generations: layout.generations,
        candidates: layout.candidates,
        replicates: layout.replicates,
        trials,
        rungs,
        branches,
        columns,
        parts,
        part_rows,
        bytes: bytes as u64,
    }
}

/// The rungs of a sweep of so many points, each with the most candidates that it can have.
fn rungs(spec: &RunSpec, points: u64) -> Vec<Rung> {
    let Some(stopping) = spec.plan.stopping() else { return Vec::new() };
    let mut candidates = points;
    let rung = |steps: &i64| {
        let rung = Rung { steps: *steps, candidates };
        if stopping.rule == StoppingRule::SuccessiveHalving {
            candidates = candidates.div_ceil(u64::from(stopping.factor));
        }
        rung
    };
    stopping.rungs.iter().map(rung).collect()
}

/// What an axis's column holds, and about how many bytes a row of it takes.
fn axis_column(axis: &Axis) -> (ColumnKind, f64) {
    match &axis.values {
        AxisValues::List(values) => match values.first() {
            Some(Value::Integer(_)) => (ColumnKind::I64, 0.5),
            Some(Value::Boolean(_)) => (ColumnKind::Boolean, 0.1),
            Some(Value::Text(_)) => (ColumnKind::Word, 0.5),
            _ => (ColumnKind::F64, 0.5),
        },
        AxisValues::Integers { .. } => (ColumnKind::I64, 1.0),
        AxisValues::Linear { points, .. } | AxisValues::Log { points, .. } => {
            // A few values come from a dictionary; values drawn between two ends are all unlike.
            (ColumnKind::F64, if points.is_some() { 0.5 } else { 8.0 })
        }
        AxisValues::Any(Kind::Integer) => (ColumnKind::I64, 8.0),
        AxisValues::Any(_) => (ColumnKind::F64, 8.0),
    }
}
