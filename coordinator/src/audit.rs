//! Looks, when a coordinator starts, whether what was recorded of each open run is still there: every trial that is done has
//! its outcome in the journal or in a part that stands. Parts may have been deleted or cut since they were written.

use tumble_core::{Coordinator, Phase, Record, Run, RunRecord};
use tumble_domain::{RangeSet, TrialRange};

use crate::driver::DriveError;
use crate::journal::Journal;
use crate::outlet::{Job, RunTables};

/// Mends what can be mended and names the rest; `true` if the journal is another afterwards.
pub(crate) fn audit(core: &Coordinator, journal: &mut Journal) -> Result<bool, DriveError> {
    let mut changed = false;
    for run in core.runs().iter().filter(|run| !matches!(run.phase, Phase::Finished(_))) {
        let found = look(run, journal)?;
        if found.lost.is_empty() {
            continue;
        }
        changed = true;
        match run.checkpoint_without(&found.lost, found.first_part) {
            Some(checkpoint) => {
                journal
                    .append(&[RunRecord { run: run.id.clone(), record: Record::Checkpoint(Box::new(checkpoint)) }])?;
                journal.reopen(&run.id)?;
            }
            // A candidate of an earlier generation is made from a state that nobody has any more.
            None => {
                tracing::warn!(run = %run.id, "the run is evaluated again from its first trial, for its trials follow from each other");
                journal.begin_again(&run.id)?;
            }
        }
    }
    Ok(changed)
}

/// What is lost of a run.
struct Found {
    lost: RangeSet,
    /// The first part that has to be written again.
    first_part: u64,
}

fn look(run: &Run, journal: &Journal) -> Result<Found, DriveError> {
    let covered = journal.covered(&run.id)?;
    let tables = RunTables::of(run);
    let mut found = Found { lost: RangeSet::new(), first_part: u64::MAX };
    let Some(end) = run.done.iter().last().map(|range| range.end) else { return Ok(found) };
    for part in 0.. {
        let range = run.layout.part(part, run.trials_end);
        if range.is_empty() || range.start >= end {
            break;
        }
        let mut missing = cut(&run.done, range);
        covered.iter().for_each(|range| missing.remove(range));
        let is_written = part < run.parts;
        if !is_written && missing.is_empty() {
            continue;
        }
        let Err(what) = tables.part_stands(part, range) else { continue };
        let path = tables.part_path(part);
        let path = path.display();
        if missing.is_empty() {
            tracing::warn!(run = %run.id, "the part {path} {what}; it is written again from the journal");
            let pieces = journal.outcomes(&run.id, range)?.into_iter().map(|(_, outcomes)| outcomes).collect();
            Job::Part { tables: tables.clone(), part, range, outcomes: pieces }.write()?;
            continue;
        }
        for trials in missing.iter() {
            tracing::warn!(
                run = %run.id,
                "the part {path} {what}, and the journal has let go of its trials {trials}: they are evaluated again"
            );
            found.lost.insert(trials);
        }
        found.first_part = found.first_part.min(part);
    }
    Ok(found)
}

/// The trials of a set that lie in a range.
fn cut(set: &RangeSet, range: TrialRange) -> RangeSet {
    let mut within = RangeSet::new();
    set.iter().map(|piece| piece.intersection(range)).filter(|piece| !piece.is_empty()).for_each(|p| within.insert(p));
    within
}
