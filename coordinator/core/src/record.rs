//! Durable facts. State that outlives a crash changes by these alone.

use std::path::PathBuf;
use std::sync::Arc;

use tumble_domain::{Era, Outcomes, PipelineDescription, RunSpec, TrialRange};
use tumble_search::StateHash;

use crate::event::RunId;
use crate::given::Answer;

/// A record and the run it belongs to.
#[derive(Clone, Debug)]
pub struct RunRecord {
    /// Whose.
    pub run: RunId,
    /// What.
    pub record: Record,
}

/// One durable fact of a run.
#[derive(Clone, Debug)]
pub enum Record {
    /// The run exists.
    Submitted {
        /// The client's key.
        key: String,
        /// The run.
        spec: Arc<RunSpec>,
        /// The pipeline it was checked against.
        pipeline: Arc<PipelineDescription>,
        /// The canonical run file.
        run_toml: Arc<str>,
        /// Where its tables go.
        folder: PathBuf,
        /// When, for people.
        unix_ms: u64,
    },
    /// These trials have these outcomes, once and for all.
    Scored {
        /// The trials.
        range: TrialRange,
        /// Their outcomes.
        outcomes: Arc<Outcomes>,
    },
    /// How an attempt went; a row of the attempts table.
    Attempted(Attempt),
    /// A client has given the candidates of the generation that the run waited for.
    Given {
        /// Which generation.
        generation: u32,
        /// The candidates, by rows.
        points: Arc<[f64]>,
    },
    /// All trials of a generation are scored and the strategy is told.
    GenerationClosed {
        /// The generation's row.
        row: GenerationRow,
    },
    /// A part of the trials table stands on disk.
    PartWritten {
        /// Which.
        part: u64,
        /// Its rows.
        rows: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// Everything that the records before it made of the run.
    Checkpoint(Box<Checkpoint>),
    /// Nothing more will be evaluated; the tables end before trial `trials_end`.
    Ending {
        /// Why.
        reason: Reason,
        /// The table's end.
        trials_end: u64,
    },
    /// All tables are complete.
    Finished,
    /// Stopped, to be resumed.
    Suspended {
        /// Why, for a person.
        why: String,
    },
    /// Goes on after a suspension.
    Resumed,
    /// Second evaluations of some trials differed from what is recorded.
    Disagreed {
        /// How many trials.
        trials: u64,
        /// The first of them, at most [`DIFFERENCES_NAMED_MAX`].
        named: Vec<Difference>,
    },
    /// A worker's replica of the strategy had another state than the strategy: it was caught, and made anew.
    Resynced {
        /// Whose, as `host/process`.
        worker: String,
        /// In which generation.
        generation: u32,
    },
}

/// So many differing trials of a run are named; of more their number alone is kept.
pub const DIFFERENCES_NAMED_MAX: usize = 10;

/// How two evaluations of one trial differ, in their first column that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which trial.
    pub trial: u64,
    /// The column of the trials table.
    pub column: String,
    /// What is recorded there.
    pub recorded: String,
    /// What the other evaluation came to.
    pub again: String,
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Every generation or every point was evaluated.
    Complete,
    /// `stop.objective` was reached.
    ObjectiveReached,
    /// `stop.evaluations` were spent.
    BudgetSpent,
    /// The strategy says that going on makes no sense.
    Exhausted(String),
    /// A trial failed and `on_failure` is `abort`.
    Aborted(String),
    /// A client cancelled it.
    Cancelled,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::Complete => f.write_str("complete"),
            Reason::ObjectiveReached => f.write_str("objective reached"),
            Reason::BudgetSpent => f.write_str("evaluations spent"),
            Reason::Exhausted(why) => write!(f, "the strategy stopped: {why}"),
            Reason::Aborted(why) => write!(f, "aborted: {why}"),
            Reason::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// One row of the generations table.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationRow {
    /// Which generation.
    pub generation: u32,
    /// Trials evaluated up to its end.
    pub evaluations: u64,
    /// Trials of it that did not score.
    pub failed: u64,
    /// The best candidate's objective, in its own direction; NaN if none scored.
    pub best: f64,
    /// The mean over scored candidates.
    pub mean: f64,
    /// The 5 %, 25 %, 50 %, 75 % and 95 % quantiles over scored candidates.
    pub quantiles: [f64; 5],
    /// Which candidate was best.
    pub best_candidate: Option<u32>,
    /// The hash of the strategy's state that proposed this generation.
    pub state_hash: StateHash,
    /// The strategy's own scalars in that state.
    pub scalars: Vec<f64>,
}

/// The best candidate so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Champion {
    /// Its generation.
    pub generation: u32,
    /// Its index there.
    pub candidate: u32,
    /// Its fitness: larger is better.
    pub fitness: f64,
    /// Its vector.
    pub genome: Vec<f64>,
}

/// The state of an open run, instead of the records that led to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The trials that are scored.
    pub done: Vec<TrialRange>,
    /// How many of them failed.
    pub failed: u64,
    /// Parts written.
    pub parts: u64,
    /// The table ends before this trial.
    pub trials_end: u64,
    /// How many candidates which generations have; empty in checkpoints of versions whose populations never changed.
    pub eras: Vec<Era>,
    /// The strategy's snapshot, taken between two generations; empty for a sweep.
    pub strategy: Vec<u8>,
    /// The champion.
    pub champion: Option<Champion>,
    /// The best objective so far, in its own direction.
    pub best: Option<f64>,
    /// Bytes sent to workers for it.
    pub bytes_down: u64,
    /// Bytes received.
    pub bytes_up: u64,
    /// Trials whose evaluations differed.
    pub disagreements: u64,
    /// The first of them.
    pub differing: Vec<Difference>,
    /// Replicas that drifted.
    pub resyncs: u64,
    /// Of a run whose candidates are given: the outcomes of the last generation that closed.
    pub answer: Option<Answer>,
}

/// One row of the attempts table.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The trials.
    pub range: TrialRange,
    /// How often they had been leased before.
    pub attempt: u32,
    /// The worker, as `host/process`.
    pub worker: String,
    /// Its host.
    pub host: String,
    /// When they were granted.
    pub granted_unix_ms: u64,
    /// When the report came, or the lease was lost.
    pub ended_unix_ms: u64,
    /// How long the evaluation took, in milliseconds.
    pub evaluate_ms: f64,
    /// How it went.
    pub outcome: AttemptOutcome,
    /// Bytes sent for it.
    pub bytes_down: u64,
    /// Bytes received.
    pub bytes_up: u64,
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum AttemptOutcome {
    /// Its outcomes are recorded.
    Reported = 0,
    /// The worker handed the trials back.
    Returned = 1,
    /// The worker was lost while it held them.
    Lost = 2,
    /// They had been recorded from another attempt already, and the results were the same.
    Duplicate = 3,
    /// The lease was given up, for the worker had been silent for too long.
    Expired = 4,
    /// Some of them had been recorded from another attempt already, and the results were not the same.
    Disagreed = 5,
}

impl AttemptOutcome {
    /// The outcome with this number, as it is stored.
    pub fn from_u32(number: u32) -> Option<AttemptOutcome> {
        [
            AttemptOutcome::Reported,
            AttemptOutcome::Returned,
            AttemptOutcome::Lost,
            AttemptOutcome::Duplicate,
            AttemptOutcome::Expired,
            AttemptOutcome::Disagreed,
        ]
        .into_iter()
        .find(|outcome| *outcome as u32 == number)
    }

    /// Whether nothing came back of it.
    pub fn is_lost(self) -> bool {
        matches!(self, AttemptOutcome::Lost | AttemptOutcome::Expired)
    }
}
