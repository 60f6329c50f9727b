//! What outlives a crash: the journal, with the meaning of `coordinator/src/journal`, and the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tumble_core::{AttemptOutcome, Champion, GenerationRow, Reason, Record, RunId, RunRecord};
use tumble_domain::{Outcomes, RangeSet, TrialRange};

use crate::rows::Rows;

#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) journal: Journal,
    pub(crate) tables: Tables,
}

/// The records that stand, with their numbers.
#[derive(Default)]
pub(crate) struct Journal {
    records: Vec<(u64, RunRecord)>,
    next: u64,
    /// Every trial whose outcome was ever made durable, by run.
    scored: BTreeMap<RunId, RangeSet>,
    /// Workers of which a lease was ever recorded as lost.
    pub(crate) losers: BTreeSet<String>,
    /// Disagreements ever recorded.
    pub(crate) disagreements: u64,
}

impl Journal {
    /// All of them or, if this is not called, none.
    pub(crate) fn append(&mut self, records: Vec<RunRecord>) {
        for record in records {
            match &record.record {
                Record::Scored { range, outcomes } => {
                    assert_eq!(u64::from(outcomes.trials), range.len(), "outcomes fit their trials");
                    let scored = self.scored.entry(record.run.clone()).or_default();
                    assert!(!scored.overlaps(*range), "trials {range} of `{}` are recorded twice", record.run);
                    scored.insert(*range);
                }
                Record::Attempted(attempt) if attempt.outcome == AttemptOutcome::Lost => {
                    self.losers.insert(attempt.worker.clone());
                }
                Record::Disagreed { .. } => self.disagreements += 1,
                _ => {}
            }
            self.records.push((self.next, record));
            self.next += 1;
        }
    }

    /// The trials whose outcomes were ever made durable.
    pub(crate) fn scored(&self, run: &RunId) -> RangeSet {
        self.scored.get(run).cloned().unwrap_or_default()
    }

    fn checkpoints(&self) -> BTreeMap<&RunId, u64> {
        let checkpoints = self.records.iter().filter(|(_, r)| matches!(r.record, Record::Checkpoint(_)));
        checkpoints.map(|(seq, record)| (&record.run, *seq)).collect()
    }

    /// What a coordinator replays: of each run its submission, its last checkpoint and what follows it.
    pub(crate) fn replay(&self) -> Vec<RunRecord> {
        let checkpoints = self.checkpoints();
        let stays = |record: &Record| {
            matches!(
                record,
                Record::Submitted { .. } | Record::Ending { .. } | Record::Suspended { .. } | Record::Resumed
            )
        };
        self.records
            .iter()
            .filter(|(seq, r)| stays(&r.record) || *seq >= checkpoints.get(&r.run).copied().unwrap_or(0))
            .map(|(_, record)| record.clone())
            .collect()
    }

    /// The recorded outcomes of these trials, in order, cut to them.
    pub(crate) fn outcomes(&self, run: &RunId, range: TrialRange) -> Vec<(TrialRange, Arc<Outcomes>)> {
        let mut found: Vec<_> = self
            .records
            .iter()
            .filter(|(_, record)| record.run == *run)
            .filter_map(|(_, record)| match &record.record {
                Record::Scored { range, outcomes } => Some((*range, outcomes)),
                _ => None,
            })
            .filter(|(scored, _)| !scored.intersection(range).is_empty())
            .map(|(scored, outcomes)| {
                let wanted = scored.intersection(range);
                let offset = (wanted.start - scored.start) as u32;
                (wanted, Arc::new(outcomes.slice(offset, wanted.len() as u32)))
            })
            .collect();
        found.sort_by_key(|(range, _)| range.start);
        found
    }

    pub(crate) fn generations(&self, run: &RunId) -> Vec<GenerationRow> {
        let of_run = self.records.iter().filter(|(_, record)| record.run == *run);
        of_run
            .filter_map(|(_, record)| match &record.record {
                Record::GenerationClosed { row, .. } => Some(row.clone()),
                _ => None,
            })
            .collect()
    }

    /// Deletes what the last checkpoint and the durable parts cover together.
    pub(crate) fn retire(&mut self, run: &RunId, written_end: u64) {
        let last = self.checkpoints().get(run).copied().unwrap_or(0);
        self.records.retain(|(seq, r)| {
            let covered = match &r.record {
                Record::Scored { range, .. } => range.end <= written_end,
                Record::Checkpoint(_) | Record::PartWritten { .. } | Record::Given { .. } => true,
                _ => false,
            };
            r.run != *run || !covered || *seq >= last
        });
    }

    /// Deletes all of a finished run but what listing it takes.
    pub(crate) fn forget(&mut self, run: &RunId) {
        let last = self.checkpoints().get(run).copied().unwrap_or(0);
        self.records.retain(|(seq, r)| {
            r.run != *run
                || match &r.record {
                    Record::Submitted { .. } | Record::Ending { .. } | Record::Finished => true,
                    Record::Checkpoint(_) => *seq >= last,
                    _ => false,
                }
        });
    }

    /// How many records there are of a run.
    pub(crate) fn len(&self, run: &RunId) -> usize {
        self.records.iter().filter(|(_, record)| record.run == *run).count()
    }
}

/// The tables of all runs. A file is there complete or not at all.
#[derive(Default)]
pub(crate) struct Tables {
    parts: BTreeMap<(RunId, u64), (TrialRange, Rows)>,
    completions: BTreeMap<RunId, Completion>,
}

/// Every table of a run but its trials.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    pub(crate) generations: Vec<GenerationRow>,
    pub(crate) champion: Option<Champion>,
    pub(crate) reason: Reason,
}

impl Tables {
    pub(crate) fn put_part(&mut self, run: &RunId, part: u64, range: TrialRange, rows: Rows) {
        assert_eq!(rows.len(), range.len(), "a part has a row for each trial");
        let before = self.parts.insert((run.clone(), part), (range, rows));
        if let Some(before) = before {
            assert_eq!(before, self.parts[&(run.clone(), part)], "a part that is written again is the same");
        }
    }

    pub(crate) fn put_completion(&mut self, run: &RunId, completion: Completion) {
        self.completions.insert(run.clone(), completion);
    }

    pub(crate) fn completion(&self, run: &RunId) -> Option<&Completion> {
        self.completions.get(run)
    }

    /// The trials table, part after part, with where it is cut.
    pub(crate) fn trials(&self, run: &RunId) -> (Vec<TrialRange>, Rows) {
        let (mut cuts, mut all) = (Vec::new(), Rows::default());
        for ((_, part), (range, rows)) in self.parts.range((run.clone(), 0)..=(run.clone(), u64::MAX)) {
            assert_eq!(*part, cuts.len() as u64, "no part of `{run}` is missing");
            cuts.push(*range);
            all.append(rows);
        }
        (cuts, all)
    }
}
