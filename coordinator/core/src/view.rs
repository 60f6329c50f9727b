//! A run as a client sees it.

use std::path::PathBuf;

use crate::event::RunId;
use crate::record::Difference;

/// A run at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct RunView {
    /// Its id.
    pub run: RunId,
    /// Its name.
    pub name: String,
    /// What evaluates it.
    pub pipeline: String,
    /// How it stands.
    pub state: ViewState,
    /// Why it ended, or what it waits for.
    pub reason: String,
    /// Trials if it reaches its end.
    pub trials: u64,
    /// Trials with an outcome.
    pub trials_done: u64,
    /// Those of them that were evaluated since this coordinator took the run up, within `elapsed_ms`.
    pub trials_evaluated: u64,
    /// Those that did not score.
    pub trials_failed: u64,
    /// The open generation, of an evolution.
    pub generation: u32,
    /// The most generations; 0 for a sweep.
    pub generations: u32,
    /// The objective as a run file writes it.
    pub objective: String,
    /// Its best value, in its own direction.
    pub best: Option<f64>,
    /// Where its tables are.
    pub folder: PathBuf,
    /// Time since this coordinator took it up, until it ended.
    pub elapsed_ms: u64,
    /// Workers that hold leases of it.
    pub workers: u32,
    /// Bytes sent to workers for it.
    pub bytes_down: u64,
    /// Bytes received.
    pub bytes_up: u64,
    /// Trials whose evaluations differed.
    pub disagreements: u64,
    /// The first of them.
    pub differing: Vec<Difference>,
    /// Replicas of workers that had drifted, and were made anew.
    pub resyncs: u64,
    /// Complete parts of its trials table.
    pub parts: u64,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewState {
    /// No worker evaluates it at the moment.
    Waiting,
    /// Workers evaluate it.
    Running,
    /// The tables are being completed.
    Finishing,
    /// It ended by itself.
    Finished,
    /// A client ended it.
    Cancelled,
    /// Stopped, to be resumed.
    Suspended,
    /// Ended by a failure.
    Failed,
}

impl ViewState {
    /// Whether nothing more will happen to the run by itself.
    pub fn is_over(self) -> bool {
        matches!(self, ViewState::Finished | ViewState::Cancelled | ViewState::Suspended | ViewState::Failed)
    }
}
