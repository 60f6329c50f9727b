//! What trials give back: outcomes, packed by column, and the fitness made of them.

use crate::describe::Direction;
use crate::spec::OnFailure;

/// How one trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Every metric is there.
    Scored = 0,
    /// The evaluator gave up; the error says why.
    Failed = 1,
    /// The trial ran longer than `limits.timeout`.
    TimedOut = 2,
}

impl Status {
    /// As the `outcome` column spells it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Scored => "scored",
            Status::Failed => "failed",
            Status::TimedOut => "timed_out",
        }
    }

    /// The status with this number, as it travels.
    pub fn from_u8(byte: u8) -> Option<Status> {
        match byte {
            0 => Some(Status::Scored),
            1 => Some(Status::Failed),
            2 => Some(Status::TimedOut),
            _ => None,
        }
    }
}

/// Why a trial has no score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The evaluator cannot score this candidate; the text is for a person.
    Failed(String),
    /// The trial outlasted its limit.
    TimedOut,
    /// The worker was asked to stop in the middle: nothing is recorded, and the trial is evaluated again elsewhere.
    Interrupted,
}

/// The longest error text that a trial may leave, in bytes; what is longer is cut at the front, for the end says most.
pub const ERROR_BYTES_MAX: usize = 2048;

/// The text of one failed trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialError {
    /// Which trial, counted from the first of its [`Outcomes`].
    pub offset: u32,
    /// What went wrong.
    pub message: String,
}

/// The outcomes of consecutive trials, by column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// How many trials.
    pub trials: u32,
    /// How many metrics each has.
    pub metrics: u32,
    /// One status per trial, or empty when all are scored.
    pub statuses: Vec<Status>,
    /// `metrics × trials` numbers: first the whole column of the first metric. NaN where a trial has none.
    pub values: Vec<f64>,
    /// The texts of failed trials, by rising offset.
    pub errors: Vec<TrialError>,
}

impl Outcomes {
    /// How trial `offset` ended.
    pub fn status(&self, offset: usize) -> Status {
        self.statuses.get(offset).copied().unwrap_or(Status::Scored)
    }

    /// One metric of one trial.
    pub fn value(&self, metric: usize, offset: usize) -> f64 {
        self.values[metric * self.trials as usize + offset]
    }

    /// How many trials did not score.
    pub fn failed(&self) -> u64 {
        self.statuses.iter().filter(|s| **s != Status::Scored).count() as u64
    }

    /// The outcomes of `trials` consecutive trials from `offset` on.
    ///
    /// # Panics
    /// If they reach beyond the last trial.
    pub fn slice(&self, offset: u32, trials: u32) -> Outcomes {
        let (from, to) = (offset as usize, (offset + trials) as usize);
        let column = |metric: usize| metric * self.trials as usize;
        Outcomes {
            trials,
            metrics: self.metrics,
            statuses: if self.statuses.is_empty() { Vec::new() } else { self.statuses[from..to].to_vec() },
            values: (0..self.metrics as usize)
                .flat_map(|metric| &self.values[column(metric) + from..column(metric) + to])
                .copied()
                .collect(),
            errors: self
                .errors
                .iter()
                .filter(|e| (offset..offset + trials).contains(&e.offset))
                .map(|e| TrialError { offset: e.offset - offset, message: e.message.clone() })
                .collect(),
        }
    }

    /// The outcomes of consecutive trials, from those of consecutive pieces of them, all with the same metrics.
    pub fn joined<'a>(pieces: impl IntoIterator<Item = &'a Outcomes>) -> Outcomes {
        let pieces: Vec<&Outcomes> = pieces.into_iter().collect();
        let trials = pieces.iter().map(|piece| piece.trials).sum();
        let metrics = pieces.first().map_or(0, |piece| piece.metrics);
        let column = |piece: &'a Outcomes, metric: usize| {
            let length = piece.trials as usize;
            &piece.values[metric * length..(metric + 1) * length]
        };
        let values =
            (0..metrics as usize).flat_map(|metric| pieces.iter().flat_map(move |piece| column(piece, metric)));
        let values = values.copied().collect();
        let all_scored = pieces.iter().all(|piece| piece.statuses.is_empty());
        let statuses = pieces.iter().flat_map(|piece| (0..piece.trials as usize).map(|trial| piece.status(trial)));
        let statuses = if all_scored { Vec::new() } else { statuses.collect() };
        let (mut errors, mut before) = (Vec::new(), 0);
        for piece in pieces {
            errors
                .extend(piece.errors.iter().map(|error| TrialError { offset: before + error.offset, ..error.clone() }));
            before += piece.trials;
        }
        Outcomes { trials, metrics, statuses, values, errors }
    }

    /// The same outcomes without the first `columns` of their metrics.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn without_first(&self, columns: u32) -> Outcomes {
        let values = self.values[columns as usize * self.trials as usize..].to_vec();
        Outcomes { metrics: self.metrics - columns, values, ..self.clone() }
    }

    /// Whether the columns have the lengths that `trials` and `metrics` promise, and errors point inside.
    pub fn is_consistent(&self) -> bool {
        let trials = self.trials as usize;
        self.values.len() == trials * self.metrics as usize
            && (self.statuses.is_empty() || self.statuses.len() == trials)
            && self.errors.iter().all(|e| (e.offset as usize) < trials)
            && self.errors.windows(2).all(|pair| pair[0].offset < pair[1].offset)
    }
}

/// What a strategy is told of one candidate: larger is better, always.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fitness {
    /// A finite number.
    Scored(f64),
    /// Counts as worse than every scored candidate.
    Worst,
    /// Counts as never asked: it has no rank and no weight.
    Dropped,
}

impl Fitness {
    /// The number, if there is one.
    pub fn score(self) -> Option<f64> {
        match self {
            Fitness::Scored(x) => Some(x),
            _ => None,
        }
    }
}

/// A replicate that has no finite objective, in a run that stops at the first such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unscored {
    /// Which replicate of the candidate, counted from 0.
    pub replicate: u32,
}

/// The fitness of one candidate: the mean of its replicates' objective, added in their order and turned so that larger
/// is better. `None` stands for a trial that failed; a number that is not finite counts as failed too.
///
/// [`OnFailure::Worst`] lets one failed replicate condemn the candidate: to skip it would reward a candidate that fails
/// where the others score low. [`OnFailure::Drop`] takes the mean of those that scored.
pub fn fitness_of(
    replicates: impl IntoIterator<Item = Option<f64>>,
    direction: Direction,
    on_failure: OnFailure,
) -> Result<Fitness, Unscored> {
    let (mut sum, mut scored, mut worst) = (0.0, 0u32, false);
    for (replicate, value) in (0..).zip(replicates) {
        match value {
            Some(x) if x.is_finite() => {
                sum += x;
                scored += 1;
            }
            _ => match on_failure {
                OnFailure::Worst => worst = true,
                OnFailure::Drop => {}
                OnFailure::Abort => return Err(Unscored { replicate }),
            },
        }
    }
    // Finite replicates whose sum overflows are as far out as a number can be: they count as failed together.
    let mean = direction.turn(sum / f64::from(scored));
    match on_failure {
        OnFailure::Worst if worst || !mean.is_finite() => Ok(Fitness::Worst),
        OnFailure::Drop if !mean.is_finite() => Ok(Fitness::Dropped),
        OnFailure::Abort if !mean.is_finite() => Err(Unscored { replicate: 0 }),
        _ => Ok(Fitness::Scored(mean)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Maximise, Minimise};

    #[test]
    fn a_candidate_is_worth_the_mean_of_its_replicates_turned_upwards() {
        for on_failure in [OnFailure::Worst, OnFailure::Drop, OnFailure::Abort] {
            let of = |direction| fitness_of([Some(1.0), Some(2.0), Some(6.0)], direction, on_failure);
            assert_eq!(of(Maximise), Ok(Fitness::Scored(3.0)));
            assert_eq!(of(Minimise), Ok(Fitness::Scored(-3.0)));
        }
    }

    #[test]
    fn what_a_failed_replicate_counts_as_is_the_policy_of_the_run() {
        for bad in [None, Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY)] {
            let of = |on_failure| fitness_of([Some(1.0), bad, Some(3.0)], Maximise, on_failure);
            assert_eq!(of(OnFailure::Worst), Ok(Fitness::Worst));
            assert_eq!(of(OnFailure::Drop), Ok(Fitness::Scored(2.0)));
            assert_eq!(of(OnFailure::Abort), Err(Unscored { replicate: 1 }));
            assert_eq!(fitness_of([bad], Maximise, OnFailure::Drop), Ok(Fitness::Dropped));
        }
    }

    #[test]
    fn outcomes_without_their_first_column_keep_all_else() {
        let all = Outcomes {
            trials: 2,
            metrics: 2,
            statuses: vec![Status::Scored, Status::Failed],
            values: vec![1.0, 2.0, 3.0, 4.0],
            errors: vec![TrialError { offset: 1, message: "no".into() }],
        };
        let rest = all.without_first(1);
        assert!(rest.is_consistent() && rest.errors == all.errors && rest.statuses == all.statuses);
        assert_eq!((rest.value(0, 0), rest.value(0, 1)), (all.value(1, 0), all.value(1, 1)));
        assert_eq!(all.without_first(0), all);
    }

    #[test]
    fn a_sum_that_overflows_never_becomes_an_infinite_fitness() {
        let of = |on_failure| fitness_of([Some(f64::MAX), Some(f64::MAX)], Maximise, on_failure);
        assert_eq!(of(OnFailure::Worst), Ok(Fitness::Worst));
        assert_eq!(of(OnFailure::Drop), Ok(Fitness::Dropped));
        assert_eq!(of(OnFailure::Abort), Err(Unscored { replicate: 0 }));
    }
}
