//! All runs, and the one function that changes what is durable of them.

use std::collections::BTreeMap;

use tumble_search::SnapshotError;

use crate::event::RunId;
use crate::given;
use crate::record::{DIFFERENCES_NAMED_MAX, Record, RunRecord};
use crate::run::{Phase, Run};

/// Every run the coordinator knows, by id and in the order of submission.
#[derive(Default)]
pub struct Runs {
    by_id: BTreeMap<RunId, Run>,
    order: Vec<RunId>,
}

/// Why a journal cannot be replayed.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplayError {
    /// A record names a run that no record before it submits.
    UnknownRun(RunId),
    /// A strategy's snapshot cannot be read.
    Snapshot {
        /// Whose.
        run: RunId,
        /// Why.
        why: SnapshotError,
    },
    /// The strategy, replayed, has another state than it had: the journal is damaged, or it was written by a version
    /// that computes differently.
    Drifted {
        /// Whose.
        run: RunId,
        /// Where it was noticed.
        generation: u32,
    },
}

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReplayError::UnknownRun(run) => write!(f, "a record of run `{run}` comes before the run itself"),
            ReplayError::Snapshot { run, why } => write!(f, "run `{run}`: {why}"),
            ReplayError::Drifted { run, generation } => {
                write!(f, "run `{run}`: the replayed strategy differs from the recorded one in generation {generation}")
            }
        }
    }
}

impl std::error::Error for ReplayError {}

impl Runs {
    /// The run with this id.
    pub fn get(&self, id: &RunId) -> Option<&Run> {
        self.by_id.get(id)
    }

    /// The runs, in the order of submission.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.order.iter().map(|id| &self.by_id[id])
    }

    /// The run that was submitted under this key.
    pub fn by_key(&self, key: &str) -> Option<&Run> {
        self.iter().find(|run| run.key == key)
    }

    /// Changes what is durable. Called when a record is made and when it is replayed, so that restoring is not a feature
    /// of its own.
    pub fn apply(&mut self, record: &RunRecord) -> Result<(), ReplayError> {
        if let Record::Submitted { key, spec, pipeline, run_toml, folder, unix_ms } = &record.record {
            let run = Run::new(
                record.run.clone(),
                key.clone(),
                spec.clone(),
                pipeline.clone(),
                run_toml.clone(),
                folder.clone(),
                *unix_ms,
            );
            if self.by_id.insert(record.run.clone(), run).is_none() {
                self.order.push(record.run.clone());
            }
            return Ok(());
        }
        let run = self.by_id.get_mut(&record.run).ok_or_else(|| ReplayError::UnknownRun(record.run.clone()))?;
        match &record.record {
            Record::Submitted { .. } => unreachable!("handled above"),
            Record::Scored { range, outcomes } => {
                run.keep_for_answer(*range, outcomes);
                run.apply_scored(*range, outcomes);
            }
            Record::Given { generation, points } => {
                if !run.apply_given(*generation, points) {
                    return Err(given::drifted(&record.run, *generation));
                }
            }
            Record::Attempted(attempt) => {
                run.bytes_down += attempt.bytes_down;
                if !attempt.outcome.is_lost() {
                    run.bytes_up += attempt.bytes_up;
                }
            }
            Record::GenerationClosed { row } => run.apply_generation_closed(row)?,
            Record::PartWritten { part, .. } => run.parts = run.parts.max(part + 1),
            Record::Checkpoint(checkpoint) => run.apply_checkpoint(checkpoint)?,
            Record::Ending { reason, trials_end } => {
                run.trials_end = *trials_end;
                run.phase = Phase::Ending(reason.clone());
            }
            Record::Finished => {
                if let Phase::Ending(reason) = &run.phase {
                    run.phase = Phase::Finished(reason.clone());
                }
            }
            Record::Suspended { why } => run.phase = Phase::Suspended(why.clone()),
            Record::Resumed => run.phase = Phase::Open,
            Record::Disagreed { trials, named } => {
                run.disagreements += trials;
                let room = DIFFERENCES_NAMED_MAX.saturating_sub(run.differing.len());
                run.differing.extend(named.iter().take(room).cloned());
            }
            Record::Resynced { .. } => run.resyncs += 1,
        }
        Ok(())
    }
}
