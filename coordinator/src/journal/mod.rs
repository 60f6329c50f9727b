//! The journal: every durable fact, in one SQLite table, one transaction per turn of the driver.
//!
//! WAL with `locking_mode=EXCLUSIVE` set first uses no shared memory, which is what breaks WAL on network file systems
//! (SQLite, "Write-Ahead Logging", section "Use of WAL Without Shared-Memory"); `synchronous=FULL` makes a commit durable
//! before it returns.

pub mod codec;
mod repair;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tumble_core::{Attempt, GenerationRow, Record, RunId, RunRecord};
use tumble_domain::{Outcomes, TrialRange};

pub use codec::CodecError;
use codec::Kind;
pub use repair::Repair;

use crate::owner::{Lost, Owner};

/// The journal's format; a file of another version is refused.
const FORMAT: i64 = 1;

/// What to do about a journal that cannot be repaired: nothing is written over it, and nothing depends on it but time.
const BEGIN_ANEW: &str = "it is left as it is: put a copy of it back, or begin the run anew with its run file in another \
                          folder, which gives the same tables";

/// The journal of a coordinator.
pub struct Journal {
    path: PathBuf,
    connection: Connection,
    epoch: u32,
    /// Stands before every write; none where nobody else can be.
    owner: Option<Arc<Owner>>,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite refuses: the disk is full, the file is damaged, or another process holds it.
    #[error("failed to {doing} the journal {}: {source}", path.display())]
    Sqlite {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Its pages are not those of a database any more.
    #[error("the journal {} is damaged ({what}); {BEGIN_ANEW}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite found.
        what: String,
    },
    /// Another process holds it.
    #[error("another coordinator holds {}; stop it first, or use another state folder", path.display())]
    Held {
        /// Which file.
        path: PathBuf,
    },
    /// The state folder is not ours any more.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// Written by another version of Tumble.
    #[error("{} has journal format {found}, but this version of Tumble reads format {FORMAT}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// A record cannot be read.
    #[error("record {seq} of the journal {} is damaged: {source}; {BEGIN_ANEW}", path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// Which record.
        seq: i64,
        /// What is wrong with it.
        source: CodecError,
    },
}

impl Journal {
    /// Opens the journal, or makes it, and raises its epoch. For tests and tools: no owner stands before its writes.
    pub fn open(path: &Path) -> Result<Journal, JournalError> {
        Journal::open_with(path, None, true)
    }

    /// Opens the journal, or makes it, for the owner of its folder. Both have one epoch afterwards, which is higher than
    /// either had. Without `file_locks` SQLite takes none, and the owner alone keeps others out.
    pub(crate) fn open_owned(path: &Path, owner: Arc<Owner>, file_locks: bool) -> Result<Journal, JournalError> {
        owner.check()?;
        let journal = Journal::open_with(path, Some(owner.clone()), file_locks)?;
        owner.raise(journal.epoch)?;
        Ok(journal)
    }

    fn open_with(path: &Path, owner: Option<Arc<Owner>>, file_locks: bool) -> Result<Journal, JournalError> {
        let failed = |doing| move |source| sqlite(path, doing, source);
        let connection = if file_locks {
            Connection::open(path)
        } else {
            Connection::open_with_flags_and_vfs(path, OpenFlags::default(), "unix-none")
        };
        let connection = connection.map_err(failed("open"))?;
        connection.busy_timeout(std::time::Duration::from_millis(500)).map_err(failed("open"))?;
        // The order matters: exclusive locking must be asked for before the first access in WAL mode.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(failed("lock"))?;
        let mode: String =
            connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).map_err(failed("lock"))?;
        if mode != "wal" {
            tracing::warn!(mode, "SQLite does not offer WAL here; the journal will be slower");
        }
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed("open"))?;
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed("read"))?;
        match found {
            0 => connection
                .execute_batch(&format!(
                    "BEGIN;
                     CREATE TABLE records (
                         seq INTEGER PRIMARY KEY, run TEXT NOT NULL, kind INTEGER NOT NULL,
                         first INTEGER NOT NULL, last INTEGER NOT NULL, body BLOB NOT NULL);
                     CREATE INDEX records_by_place ON records (run, kind, first);
                     CREATE TABLE epoch (number INTEGER NOT NULL);
                     INSERT INTO epoch VALUES (0);
                     PRAGMA user_version = {FORMAT};
                     COMMIT;"
                ))
                .map_err(failed("create"))?,
            FORMAT => repair::whole(&connection, path)?,
            found => return Err(JournalError::Format { path: path.to_owned(), found }),
        }
        let of_owner = owner.as_ref().map_or(0, |owner| owner.epoch());
        connection.execute("UPDATE epoch SET number = max(number + 1, ?1)", [of_owner]).map_err(failed("write to"))?;
        let epoch = connection.query_row("SELECT number FROM epoch", [], |row| row.get(0)).map_err(failed("read"))?;
        Ok(Journal { path: path.to_owned(), connection, epoch, owner })
    }

    /// Whether this process may still write.
    pub(crate) fn may_write(&self) -> Result<(), JournalError> {
        self.owner.as_ref().map_or(Ok(()), |owner| Ok(owner.check()?))
    }

    /// How many times this journal has been opened: higher at each restart.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Makes the records durable, all or none; they are when this returns.
    pub fn append(&mut self, records: &[RunRecord]) -> Result<(), JournalError> {
        self.may_write()?;
        let path = self.path.clone();
        let failed = |source| sqlite(&path, "write to", source);
        let transaction = self.connection.transaction().map_err(failed)?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO records (run, kind, first, last, body) VALUES (?1, ?2, ?3, ?4, ?5)")
                .map_err(failed)?;
            for RunRecord { run, record } in records {
                let place = codec::place(record);
                let body = codec::encode(&run.0, record);
                insert
                    .execute(params![&*run.0, codec::kind(record) as i64, place.start as i64, place.end as i64, body])
                    .map_err(failed)?;
            }
        }
        // Encoding much may have taken its time; nothing has reached the file yet but what spilled into the log uncommitted.
        if let Some(owner) = &self.owner {
            owner.check()?;
        }
        transaction.commit().map_err(failed)
    }

    /// The records that a coordinator is to replay: of each run its submission, its last checkpoint, and what follows it.
    pub fn replay(&self) -> Result<Vec<RunRecord>, JournalError> {
        let failed = |source| sqlite(&self.path, "read", source);
        // What a checkpoint covers may still stand here for the tables' sake; it is not replayed.
        let mut select = self
            .connection
            .prepare(&format!(
                "SELECT seq, run, kind, body FROM records AS r
                 WHERE kind IN ({submitted}, {ending}, {suspended}, {resumed}) OR seq >=
                     (SELECT coalesce(max(seq), 0) FROM records WHERE run = r.run AND kind = {checkpoint})
                 ORDER BY seq",
                submitted = Kind::Submitted as i64,
                ending = Kind::Ending as i64,
                suspended = Kind::Suspended as i64,
                resumed = Kind::Resumed as i64,
                checkpoint = Kind::Checkpoint as i64,
            ))
            .map_err(failed)?;
        let mut rows = select.query([]).map_err(failed)?;
        let mut records = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let seq: i64 = row.get(0).map_err(failed)?;
            let run: String = row.get(1).map_err(failed)?;
            let body = row.get_ref(3).and_then(|b| Ok(b.as_blob()?)).map_err(failed)?;
            let record = self.decode(seq, &run, body)?;
            records.push(RunRecord { run: RunId(run.into()), record });
        }
        Ok(records)
    }

    fn decode(&self, seq: i64, run: &str, body: &[u8]) -> Result<Record, JournalError> {
        codec::decode(run, body).map_err(|source| JournalError::Record { path: self.path.clone(), seq, source })
    }

    /// Calls `each` with the records of one kind of a run that touch the trials of `range`, by their first trial.
    fn each(
        &self,
        run: &RunId,
        kind: Kind,
        range: TrialRange,
        mut each: impl FnMut(Record),
    ) -> Result<(), JournalError> {
        let failed = |source| sqlite(&self.path, "read", source);
        let mut select = self
            .connection
            .prepare_cached(
                "SELECT seq, body FROM records WHERE run = ?1 AND kind = ?2 AND first < ?3 AND last > ?4 ORDER BY first, seq",
            )
            .map_err(failed)?;
        let end = i64::try_from(range.end).unwrap_or(i64::MAX);
        let mut rows = select.query(params![&*run.0, kind as i64, end, range.start as i64]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let seq = row.get(0).map_err(failed)?;
            let body = row.get_ref(1).and_then(|b| Ok(b.as_blob()?)).map_err(failed)?;
            each(self.decode(seq, &run.0, body)?);
        }
        Ok(())
    }

    /// The recorded outcomes of the trials of `range`, in order, cut to it; trials that are not there leave a gap.
    pub fn outcomes(&self, run: &RunId, range: TrialRange) -> Result<Vec<(TrialRange, Outcomes)>, JournalError> {
        let mut found = Vec::new();
        self.each(run, Kind::Scored, range, |record| {
            let Record::Scored { range: scored, outcomes } = record else { return };
            let wanted = scored.intersection(range);
            if wanted == scored {
                found.push((scored, std::sync::Arc::unwrap_or_clone(outcomes)));
            } else if !wanted.is_empty() {
                let offset = (wanted.start - scored.start) as u32;
                found.push((wanted, outcomes.slice(offset, wanted.len() as u32)));
            }
        })?;
        Ok(found)
    }

    /// The rows of a run's generations table, in order.
    pub fn generations(&self, run: &RunId) -> Result<Vec<GenerationRow>, JournalError> {
        let mut rows = Vec::new();
        self.each(run, Kind::GenerationClosed, TrialRange::new(0, u64::MAX), |record| {
            if let Record::GenerationClosed { row, .. } = record {
                rows.push(row);
            }
        })?;
        Ok(rows)
    }

    /// The rows of a run's attempts table, by their first trial.
    pub fn attempts(&self, run: &RunId) -> Result<Vec<Attempt>, JournalError> {
        let mut rows = Vec::new();
        self.each(run, Kind::Attempted, TrialRange::new(0, u64::MAX), |record| {
            if let Record::Attempted(attempt) = record {
                rows.push(attempt);
            }
        })?;
        Ok(rows)
    }

    /// Deletes what a checkpoint and durable parts cover together: outcomes of trials before `written_end` that were
    /// recorded before the run's last checkpoint, candidates that were given before it, and older checkpoints.
    pub fn retire(&mut self, run: &RunId, written_end: u64) -> Result<(), JournalError> {
        self.delete(
            "DELETE FROM records WHERE run = ?1 AND
                 (kind = ?2 AND last <= ?4 OR kind IN (?3, ?5, ?6)) AND
                 seq < (SELECT max(seq) FROM records WHERE run = ?1 AND kind = ?3)",
            params![
                &*run.0,
                Kind::Scored as i64,
                Kind::Checkpoint as i64,
                written_end as i64,
                Kind::PartWritten as i64,
                Kind::Given as i64
            ],
        )
    }

    /// Deletes all of a finished run but what listing it takes.
    pub fn forget(&mut self, run: &RunId) -> Result<(), JournalError> {
        self.delete(
            "DELETE FROM records WHERE run = ?1 AND (kind NOT IN (?2, ?3, ?4, ?5) OR
                 kind = ?3 AND seq < (SELECT max(seq) FROM records WHERE run = ?1 AND kind = ?3))",
            params![
                &*run.0,
                Kind::Submitted as i64,
                Kind::Checkpoint as i64,
                Kind::Ending as i64,
                Kind::Finished as i64
            ],
        )
    }

    fn delete(&mut self, statement: &str, parameters: impl rusqlite::Params) -> Result<(), JournalError> {
        self.may_write()?;
        let delete = || self.connection.prepare_cached(statement)?.execute(parameters);
        delete().map(|_| ()).map_err(|source| sqlite(&self.path, "tidy", source))
    }

    /// How many records it holds.
    pub fn len(&self) -> Result<u64, JournalError> {
        let count =
            self.connection.query_row("SELECT count(*) FROM records", [], |row| row.get::<_, i64>(0)).optional();
        count.map(|n| n.unwrap_or(0) as u64).map_err(|source| sqlite(&self.path, "read", source))
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> Result<bool, JournalError> {
        self.len().map(|n| n == 0)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Closing copies the log into the database and removes it: no business of one who has lost the folder.
        if self.may_write().is_err() {
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

fn sqlite(path: &Path, doing: &'static str, source: rusqlite::Error) -> JournalError {
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            JournalError::Held { path: path.to_owned() }
        }
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            JournalError::Damaged { path: path.to_owned(), what: source.to_string() }
        }
        _ => JournalError::Sqlite { doing, path: path.to_owned(), source },
    }
}
