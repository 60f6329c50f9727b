//! The columns of the trials table.

use std::collections::BTreeSet;
use std::sync::Arc;

use tumble_domain::code::EXIT_COLUMNS;
use tumble_domain::{Kind, Value};

use crate::error::TableError;

/// What an axis column holds. (A metric column always holds numbers.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Real numbers, as `f64`.
    Float,
    /// Whole numbers, as `i64`.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Words.
    Text,
}

impl ColumnKind {
    /// The kind of column that values of this kind need; `None` for lists, which have no column.
    pub fn of(kind: Kind) -> Option<ColumnKind> {
        match kind {
            Kind::Float => Some(ColumnKind::Float),
            Kind::Integer => Some(ColumnKind::Integer),
            Kind::Boolean => Some(ColumnKind::Boolean),
            Kind::Text => Some(ColumnKind::Text),
            Kind::Integers => None,
        }
    }

    /// The word for it in messages and help pages.
    pub fn name(self) -> &'static str {
        match self {
            ColumnKind::Float => "number",
            ColumnKind::Integer => "integer",
            ColumnKind::Boolean => "boolean",
            ColumnKind::Text => "text",
        }
    }
}

/// The columns that every trials table has, in order, and what each holds; the columns of axes and metrics stand
/// between `seed` and `outcome`. `generation` and `candidate` are there when the run evolves.
pub const TRIAL_COLUMNS: [(&str, &str); 7] = [
    ("trial", "the trial's index in the run, from 0 without gaps"),
    ("generation", "the generation that asked for it"),
    ("candidate", "the candidate within its generation"),
    ("replicate", "which repetition of the candidate"),
    ("seed", "the seed that the trial was evaluated under"),
    ("outcome", "`scored`, `failed` or `timed_out`"),
    ("error", "why it failed, if it did"),
];

/// What stands in the place of `generation` in a sweep that stops candidates early, whose `candidate` is the point.
pub const RUNG_COLUMN: (&str, &str) = ("rung", "the rung that the trial is of, from 0");

/// What the columns of a run's trials table are. It follows from the run file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialsSchema {
    /// Whether the run evolves, and so has generations and candidates.
    pub evolves: bool,
    /// Whether its generations are the rungs of a sweep, and are called so. Of such a run every trial's candidate is told.
    pub rungs: bool,
    /// What is swept, or searched by its axes, in the order of the run file.
    pub axes: Vec<(String, ColumnKind)>,
    /// The names of those axes that are not there at every point: their columns may hold nothing.
    pub conditional: Vec<String>,
    /// The metrics, in the order of the pipeline's description.
    pub metrics: Vec<String>,
    /// Whether trials are programs, of which it is told how they ended.
    pub exits: bool,
}

impl TrialsSchema {
    /// The names of all columns, in the order of the table.
    pub fn columns(&self) -> Vec<&str> {
        let fixed = |from: usize, to: usize| TRIAL_COLUMNS[from..to].iter().map(|(name, _)| *name);
        fixed(0, 1)
            .chain(fixed(1, 3).filter(|_| self.evolves).map(|name| match name {
                "generation" if self.rungs => RUNG_COLUMN.0,
                name => name,
            }))
            .chain(fixed(3, 5))
            .chain(self.axes.iter().map(|(name, _)| name.as_str()))
            .chain(self.metrics.iter().map(String::as_str))
            .chain(fixed(5, 6))
            .chain(EXIT_COLUMNS.iter().map(|(name, _)| *name).filter(|_| self.exits))
            .chain(fixed(6, 7))
            .collect()
    }

    /// Whether every column has a name of its own.
    pub fn check(&self) -> Result<(), TableError> {
        check_names(self.columns())
    }
}

/// Refuses a table that has two columns of one name or one without: readers would rename or drop one in silence.
pub(crate) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), TableError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() {
            return Err(TableError::Unfit("a column has an empty name".to_owned()));
        }
        if !seen.insert(name) {
            return Err(TableError::Unfit(format!("two columns have the name `{name}`")));
        }
    }
    Ok(())
}

/// The values of one axis, a value for each trial.
#[derive(Clone, Debug, PartialEq)]
pub enum AxisColumn {
    /// Real numbers.
    Float(Vec<f64>),
    /// Whole numbers.
    Integer(Vec<i64>),
    /// `true` or `false`.
    Boolean(Vec<bool>),
    /// Words.
    Text(Vec<Arc<str>>),
    /// Values of an axis that is not there at every point: the values, with anything where there is none, and whether
    /// there is one.
    Conditional(Box<AxisColumn>, Vec<bool>),
}

impl AxisColumn {
    /// An empty column with room for `rows` values.
    pub fn with_capacity(kind: ColumnKind, rows: usize) -> AxisColumn {
        match kind {
            ColumnKind::Float => AxisColumn::Float(Vec::with_capacity(rows)),
            ColumnKind::Integer => AxisColumn::Integer(Vec::with_capacity(rows)),
            ColumnKind::Boolean => AxisColumn::Boolean(Vec::with_capacity(rows)),
            ColumnKind::Text => AxisColumn::Text(Vec::with_capacity(rows)),
        }
    }

    /// An empty column of an axis that is not there at every point.
    pub fn conditional(kind: ColumnKind, rows: usize) -> AxisColumn {
        AxisColumn::Conditional(Box::new(AxisColumn::with_capacity(kind, rows)), Vec::with_capacity(rows))
    }

    /// Adds the value of a point, or that the axis is not there.
    pub fn push_point(&mut self, value: Option<&Value>) -> Result<(), TableError> {
        match (&mut *self, value) {
            (_, Some(value)) => self.push(value),
            (AxisColumn::Conditional(values, is_there), None) => {
                is_there.push(false);
                match &mut **values {
                    AxisColumn::Float(column) => column.push(0.0),
                    AxisColumn::Integer(column) => column.push(0),
                    AxisColumn::Boolean(column) => column.push(false),
                    AxisColumn::Text(column) => column.push(Arc::from("")),
                    AxisColumn::Conditional(..) => {
                        return Err(TableError::Unfit("an axis has two conditions".to_owned()));
                    }
                }
                Ok(())
            }
            (_, None) => Err(TableError::Unfit("an axis that is at every point has no value at one".to_owned())),
        }
    }

    /// Adds a value; an integer may stand for a number, and nothing else changes.
    pub fn push(&mut self, value: &Value) -> Result<(), TableError> {
        match (&mut *self, value) {
            (AxisColumn::Conditional(values, is_there), value) => {
                values.push(value)?;
                is_there.push(true);
            }
            (AxisColumn::Float(column), Value::Float(x)) => column.push(*x),
            (AxisColumn::Float(column), Value::Integer(i)) => column.push(*i as f64),
            (AxisColumn::Integer(column), Value::Integer(i)) => column.push(*i),
            (AxisColumn::Boolean(column), Value::Boolean(b)) => column.push(*b),
            (AxisColumn::Text(column), Value::Text(word)) => column.push(Arc::clone(word)),
            (column, value) => {
                return Err(TableError::Unfit(format!(
                    "a {} does not go into a column of kind {}",
                    value.kind_name(),
                    column.kind().name()
                )));
            }
        }
        Ok(())
    }

    /// What it holds.
    pub fn kind(&self) -> ColumnKind {
        match self {
            AxisColumn::Float(_) => ColumnKind::Float,
            AxisColumn::Integer(_) => ColumnKind::Integer,
            AxisColumn::Boolean(_) => ColumnKind::Boolean,
            AxisColumn::Text(_) => ColumnKind::Text,
            AxisColumn::Conditional(values, _) => values.kind(),
        }
    }

    /// How many values.
    pub fn len(&self) -> usize {
        match self {
            AxisColumn::Float(column) => column.len(),
            AxisColumn::Integer(column) => column.len(),
            AxisColumn::Boolean(column) => column.len(),
            AxisColumn::Text(column) => column.len(),
            AxisColumn::Conditional(_, is_there) => is_there.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(evolves: bool, axes: &[&str], metrics: &[&str]) -> TrialsSchema {
        TrialsSchema {
            evolves,
            rungs: false,
            axes: axes.iter().map(|name| (name.to_string(), ColumnKind::Float)).collect(),
            conditional: Vec::new(),
            metrics: metrics.iter().map(|name| name.to_string()).collect(),
            exits: false,
        }
    }

    #[test]
    fn columns_stand_in_the_promised_order() {
        assert_eq!(
            schema(true, &[], &["value"]).columns(),
            ["trial", "generation", "candidate", "replicate", "seed", "value", "outcome", "error"]
        );
        assert_eq!(
            TrialsSchema { exits: true, ..schema(false, &[], &["value"]) }.columns(),
            ["trial", "replicate", "seed", "value", "outcome", "exit_code", "signal", "error"]
        );
        assert_eq!(
            schema(false, &["snr", "load"], &["error_rate"]).columns(),
            ["trial", "replicate", "seed", "snr", "load", "error_rate", "outcome", "error"]
        );
    }

    #[test]
    fn clashing_and_empty_names_are_refused() {
        assert!(schema(false, &["generation"], &["value"]).check().is_ok());
        for clash in [
            schema(true, &["generation"], &["value"]),
            schema(false, &["seed"], &["value"]),
            schema(false, &["snr"], &["snr"]),
            schema(false, &[], &["error"]),
            schema(false, &[""], &[]),
        ] {
            assert!(matches!(clash.check(), Err(TableError::Unfit(_))), "{clash:?}");
        }
    }

    #[test]
    fn a_value_goes_into_a_column_of_its_kind_alone() {
        let mut floats = AxisColumn::with_capacity(ColumnKind::Float, 2);
        floats.push(&Value::Float(0.5)).unwrap();
        floats.push(&Value::Integer(2)).unwrap();
        assert_eq!(floats, AxisColumn::Float(vec![0.5, 2.0]));
        let error = floats.push(&Value::text("hebb")).unwrap_err();
        assert_eq!(error.to_string(), "lay out the table: a text does not go into a column of kind number");
        let error = floats.push_point(None).unwrap_err();
        assert_eq!(error.to_string(), "lay out the table: an axis that is at every point has no value at one");
        assert!(AxisColumn::with_capacity(ColumnKind::Integer, 0).push(&Value::Float(1.0)).is_err());
        assert_eq!(floats.len(), 2);
    }
}
