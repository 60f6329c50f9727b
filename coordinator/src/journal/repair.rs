//! What is done about a journal that is not as it was written: what can be told is kept, the rest is named.
//!
//! SQLite finds pages that make no sense, the records' checks find flipped bits in what pages hold. Nothing is guessed: a
//! record whose check fails is gone, and with it what cannot be told without it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, params};
use tumble_core::{Record, RunId};
use tumble_domain::{Plan, TrialRange};

use super::codec::{self, Kind};
use super::{Journal, JournalError, sqlite};

/// What had to go, and what happens instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Whose.
    pub run: RunId,
    /// What was damaged and what becomes of it, in words.
    pub what: String,
}

/// A row whose body is not what was written, as far as its columns tell.
struct Damage {
    seq: i64,
    run: String,
    kind: i64,
    trials: TrialRange,
}

/// Whether SQLite finds its pages in order. The index is made anew first if it alone is not: the table has it all.
pub(super) fn whole(connection: &Connection, path: &Path) -> Result<(), JournalError> {
    let failed = |source| sqlite(path, "read", source);
    let check = || connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    let found = check().map_err(failed)?;
    if found == "ok" {
        return Ok(());
    }
    let table: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if table == "ok" {
        connection.execute_batch("REINDEX").map_err(failed)?;
        if check().map_err(failed)? == "ok" {
            tracing::warn!(journal = %path.display(), "the journal's index was damaged ({found}) and is made anew");
            return Ok(());
        }
    }
    Err(JournalError::Damaged { path: path.to_owned(), what: found.replace('\n', " ") })
}

impl Journal {
    /// Looks at every record, and takes out those that are not as they were written, with what cannot be told without
    /// them. What remains is a state that the run was in, and the trials that went are open again.
    pub fn repair(&mut self) -> Result<Vec<Repair>, JournalError> {
        let (damages, evolves) = self.damages()?;
        let mut repairs = Vec::new();
        for damage in damages {
            // A run's id that has a flipped bit itself names no run; where there is one run only, it can be no other's.
            let of = match (evolves.get(&damage.run), evolves.len()) {
                (Some(_), _) => damage.run.clone(),
                (None, 1) => evolves.keys().next().expect("there is one").clone(),
                (None, _) => return Err(self.beyond_repair(damage.seq)),
            };
            let run = RunId(of.clone().into());
            let checkpoint: i64 = self
                .connection
                .query_row(
                    "SELECT coalesce(max(seq), 0) FROM records WHERE run = ?1 AND kind = ?2",
                    params![of, Kind::Checkpoint as i64],
                    |row| row.get(0),
                )
                .map_err(|source| sqlite(&self.path, "read", source))?;
            self.delete("DELETE FROM records WHERE seq = ?1", params![damage.seq])?;
            let is = |kinds: &[Kind]| kinds.iter().any(|kind| *kind as i64 == damage.kind);
            let remarks = [Kind::Attempted, Kind::Disagreed, Kind::Resynced, Kind::Suspended, Kind::Resumed];
            let what = if is(&remarks) || is(&[Kind::PartWritten]) {
                "a record that no outcome depends on was damaged and is left out".to_owned()
            } else if is(&[Kind::Scored]) && (!evolves[&of] || damage.seq < checkpoint) {
                format!(
                    "the recorded outcomes of trials {} were damaged; those that no part holds are evaluated again",
                    damage.trials
                )
            } else if is(&[Kind::Given]) && damage.seq < checkpoint {
                "candidates that a checkpoint has were damaged and are left out".to_owned()
            } else if is(&[Kind::Scored, Kind::GenerationClosed, Kind::Given]) && damage.seq > checkpoint {
                // What follows was decided from it, and is decided again.
                self.delete(
                    "DELETE FROM records WHERE run = ?1 AND seq > ?2 AND kind IN (?3, ?4, ?5, ?6, ?7)",
                    params![
                        of,
                        damage.seq,
                        Kind::Scored as i64,
                        Kind::GenerationClosed as i64,
                        Kind::PartWritten as i64,
                        Kind::Ending as i64,
                        Kind::Given as i64
                    ],
                )?;
                "a record of an open generation was damaged; what followed it is evaluated again".to_owned()
            } else {
                self.begin_again(&run)?;
                "a record that all else follows from was damaged; every trial is evaluated again".to_owned()
            };
            repairs.push(Repair {
                run,
                what: format!("record {} of the journal {}: {what}", damage.seq, self.path.display()),
            });
        }
        Ok(repairs)
    }

    /// The records whose bodies are damaged, and of each run whether it evolves. Columns that a sound body contradicts are
    /// set right.
    fn damages(&self) -> Result<(Vec<Damage>, BTreeMap<String, bool>), JournalError> {
        let failed = |source| sqlite(&self.path, "read", source);
        let (mut damages, mut contradicted, mut evolves) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut select = self
            .connection
            .prepare("SELECT seq, run, kind, first, last, body FROM records ORDER BY seq")
            .map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let seq: i64 = row.get(0).map_err(failed)?;
            // What is no text, number or blob any more has a flipped bit in its type.
            let run =
                String::from_utf8_lossy(row.get_ref(1).map_err(failed)?.as_bytes().unwrap_or_default()).into_owned();
            let number = |column: usize| row.get::<_, i64>(column).unwrap_or(-1);
            let (kind, first, last) = (number(2), number(3), number(4));
            let body = row.get_ref(5).map_err(failed)?.as_bytes().unwrap_or_default();
            match codec::decode(&run, body) {
                Ok(record) => {
                    if let Record::Submitted { spec, .. } = &record {
                        evolves.insert(run, matches!(spec.plan, Plan::Evolve(_)));
                    }
                    let place = codec::place(&record);
                    let meant = (codec::kind(&record) as i64, place.start as i64, place.end as i64);
                    if meant != (kind, first, last) {
                        contradicted.push((seq, meant));
                    }
                }
                // Without the submission nobody can tell what the run is.
                Err(source) if kind == Kind::Submitted as i64 => {
                    return Err(JournalError::Record { path: self.path.clone(), seq, source });
                }
                Err(_) => {
                    let (start, end) = (first.max(0) as u64, last.max(0) as u64);
                    damages.push(Damage { seq, run, kind, trials: TrialRange::new(start.min(end), end) });
                }
            }
        }
        for (seq, (kind, first, last)) in contradicted {
            self.connection
                .execute(
                    "UPDATE records SET kind = ?2, first = ?3, last = ?4 WHERE seq = ?1",
                    params![seq, kind, first, last],
                )
                .map_err(failed)?;
        }
        Ok((damages, evolves))
    }

    fn beyond_repair(&self, seq: i64) -> JournalError {
        JournalError::Record { path: self.path.clone(), seq, source: codec::CodecError::Check }
    }

    /// Forgets all of a run but its submission: it is evaluated again from its first trial, to the same tables.
    pub fn begin_again(&mut self, run: &RunId) -> Result<(), JournalError> {
        self.delete("DELETE FROM records WHERE run = ?1 AND kind <> ?2", params![&*run.0, Kind::Submitted as i64])
    }

    /// Takes back that a run is ending, for it has trials to evaluate again.
    pub fn reopen(&mut self, run: &RunId) -> Result<(), JournalError> {
        self.delete("DELETE FROM records WHERE run = ?1 AND kind = ?2", params![&*run.0, Kind::Ending as i64])
    }

    /// The trials whose outcomes stand here.
    pub fn covered(&self, run: &RunId) -> Result<tumble_domain::RangeSet, JournalError> {
        let failed = |source| sqlite(&self.path, "read", source);
        let mut covered = tumble_domain::RangeSet::new();
        let mut select = self
            .connection
            .prepare_cached("SELECT first, last FROM records WHERE run = ?1 AND kind = ?2 ORDER BY first")
            .map_err(failed)?;
        let mut rows = select.query(params![&*run.0, Kind::Scored as i64]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let (first, last): (i64, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
            covered.insert(TrialRange::new(first as u64, last as u64));
        }
        Ok(covered)
    }
}
