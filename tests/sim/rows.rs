//! Rows of a trials table, to the bit.

use tumble_domain::{Outcomes, Status};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) statuses: Vec<u8>,
    /// The bits of every metric, row by row.
    pub(crate) values: Vec<u64>,
    /// What failed rows say, with their place.
    pub(crate) errors: Vec<(u64, String)>,
}

impl Rows {
    pub(crate) fn len(&self) -> u64 {
        self.statuses.len() as u64
    }

    pub(crate) fn push(&mut self, status: Status, metrics: impl IntoIterator<Item = f64>, error: Option<&str>) {
        self.errors.extend(error.map(|error| (self.len(), error.to_owned())));
        self.statuses.push(status as u8);
        self.values.extend(metrics.into_iter().map(f64::to_bits));
    }

    pub(crate) fn extend(&mut self, outcomes: &Outcomes) {
        let mut errors = outcomes.errors.iter().peekable();
        for trial in 0..outcomes.trials as usize {
            let error = errors.next_if(|error| error.offset as usize == trial).map(|error| error.message.as_str());
            self.push(outcomes.status(trial), (0..outcomes.metrics as usize).map(|m| outcomes.value(m, trial)), error);
        }
    }

    pub(crate) fn append(&mut self, later: &Rows) {
        let before = self.len();
        self.statuses.extend_from_slice(&later.statuses);
        self.values.extend_from_slice(&later.values);
        self.errors.extend(later.errors.iter().map(|(at, error)| (before + at, error.clone())));
    }

    /// The first rows.
    pub(crate) fn first(&self, rows: u64) -> Rows {
        let metrics = self.values.len().checked_div(self.statuses.len()).unwrap_or(0);
        Rows {
            statuses: self.statuses[..rows as usize].to_vec(),
            values: self.values[..rows as usize * metrics].to_vec(),
            errors: self.errors.iter().filter(|(at, _)| *at < rows).cloned().collect(),
        }
    }

    /// Where these differ first, for a person.
    pub(crate) fn difference(&self, other: &Rows) -> Option<String> {
        if self == other {
            return None;
        }
        let metrics = self.values.len().checked_div(self.statuses.len()).unwrap_or(0);
        let row = |rows: &Rows, at: usize| {
            let values: Vec<f64> =
                rows.values[at * metrics..(at + 1) * metrics].iter().map(|bits| f64::from_bits(*bits)).collect();
            let error = rows.errors.iter().find(|(place, _)| *place == at as u64);
            format!("{:?} {values:?} {error:?}", rows.statuses[at])
        };
        let common = self.statuses.len().min(other.statuses.len());
        let first = (0..common).find(|at| row(self, *at) != row(other, *at));
        Some(match first {
            Some(at) => format!("row {at} is {} and not {}", row(self, at), row(other, at)),
            None => format!("there are {} rows and not {}", self.len(), other.len()),
        })
    }
}
