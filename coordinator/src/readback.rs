//! Outcomes, read back from the trials table that they were written to: bit for bit what was recorded.

use tumble_domain::{Outcomes, Status, TrialError, TrialRange, Value};
use tumble_tables::{Block, Column, Scan, TableError};

use crate::outlet::RunTables;

impl RunTables {
    /// The recorded outcomes of some trials, in pieces that cover them in order. Nothing else of their parts is kept.
    pub(crate) fn read_back(&self, range: TrialRange) -> Result<Vec<(TrialRange, Outcomes)>, TableError> {
        let (mut pieces, mut first) = (Vec::new(), range.start);
        while first < range.end {
            let part = first / self.layout().part_rows();
            let of_part = self.layout().part(part, u64::MAX);
            let offset = first - of_part.start;
            let rows = offset..offset + (range.end.min(of_part.end) - first);
            for block in tumble_tables::scan_rows(&self.part_path(part), &self.outcome_columns(), rows)? {
                let outcomes = self.outcomes_of(&block?)?;
                let end = first + u64::from(outcomes.trials);
                pieces.push((TrialRange::new(first, end), outcomes));
                first = end;
            }
            if first < range.end.min(of_part.end) {
                let what = format!("ends before trial {}", range.end.min(of_part.end));
                let trials = (first, range.end);
                return Err(TableError::PartLost { path: self.part_path(part), what, trials });
            }
        }
        Ok(pieces)
    }

    /// All outcomes of the table in their order, a block at a time.
    pub(crate) fn read_all_back(&self) -> Result<ReadBack<'_>, TableError> {
        let scan = tumble_tables::scan(&self.trials_folder(), &self.outcome_columns())?;
        Ok(ReadBack { tables: self, scan })
    }

    /// The columns that outcomes are made of: what is reported of a trial, how it ended, and why it failed.
    fn outcome_columns(&self) -> Vec<&str> {
        self.reported_columns().chain(["outcome", "error"]).collect()
    }

    fn outcomes_of(&self, block: &Block) -> Result<Outcomes, TableError> {
        let count = block.columns.len() - 2;
        let (reported, words) = block.columns.split_at(count);
        let mut values = Vec::with_capacity(count * block.rows);
        for (i, column) in reported.iter().enumerate() {
            match self.space().filter(|space| i < space.dimension()) {
                Some(space) => {
                    let report = |row| cell(column, row).map_or(f64::NAN, |value| space.report_of(i, &value));
                    values.extend((0..block.rows).map(report));
                }
                None => values.extend(column.numbers().unwrap_or_else(|| vec![f64::NAN; block.rows])),
            }
        }
        let [Column::Text(ends), Column::Text(texts)] = words else {
            return Err(TableError::Unfit("`outcome` and `error` hold no words".to_owned()));
        };
        let known = [Status::Scored, Status::Failed, Status::TimedOut];
        let status = |word: &Option<std::sync::Arc<str>>| {
            let word = word.as_deref().unwrap_or_default();
            let found = known.into_iter().find(|status| status.name() == word);
            found.ok_or_else(|| TableError::Unfit(format!("`{word}` is no outcome of a trial")))
        };
        let errors = texts
            .iter()
            .enumerate()
            .filter_map(|(row, text)| Some(TrialError { offset: row as u32, message: text.as_deref()?.to_owned() }));
        Ok(Outcomes {
            trials: block.rows as u32,
            metrics: count as u32,
            statuses: ends.iter().map(status).collect::<Result<_, _>>()?,
            values,
            errors: errors.collect(),
        })
    }
}

/// The outcomes of a whole table.
pub(crate) struct ReadBack<'a> {
    tables: &'a RunTables,
    scan: Scan,
}

impl Iterator for ReadBack<'_> {
    type Item = Result<Outcomes, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.scan.next()?.and_then(|block| self.tables.outcomes_of(&block)))
    }
}

/// One cell of a table, as a value.
fn cell(column: &Column, row: usize) -> Option<Value> {
    match column {
        Column::Float(values) => Some(Value::Float(values[row])),
        Column::Integer(values) => Some(Value::Integer(values[row])),
        Column::Boolean(values) => Some(Value::Boolean(values[row])),
        Column::Text(values) => values[row].clone().map(Value::Text),
        Column::Unsigned(_) => None,
    }
}
