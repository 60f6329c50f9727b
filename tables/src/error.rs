//! Why a table could not be written or read.

use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;

/// What went wrong with a table, and with which file.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file system refused, or the encoder did.
    #[error("write `{}`: {source}", path.display())]
    Write {
        /// The file that was to appear.
        path: PathBuf,
        /// What stood in the way.
        source: io::Error,
    },
    /// The file system refused.
    #[error("read `{}`: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What stood in the way.
        source: io::Error,
    },
    /// The file is there, and is not the table that it should be.
    #[error("read `{}`, which is damaged or no Parquet file: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decoder met.
        source: ParquetError,
    },
    /// A part that was written does not stand any more.
    #[error("find the trials {}..{}: the part `{}` {what}; they are evaluated again when the run goes on", trials.0, trials.1, path.display())]
    PartLost {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// Its trials.
        trials: (u64, u64),
    },
    /// Part files have numbers from 0 without gaps; this one is missing.
    #[error("read the trials in `{}`: part {part} is missing", dir.display())]
    PartMissing {
        /// The folder.
        dir: PathBuf,
        /// The missing number.
        part: u64,
    },
    /// The table has no such column.
    #[error("find the column `{column}` in `{}`{}", path.display(), meant(nearest))]
    NoSuchColumn {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        column: String,
        /// What was probably meant.
        nearest: Option<String>,
    },
    /// The column is there but holds something else than is wanted of it.
    #[error("read the column `{column}` of `{}`: {reason}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What it holds and what was wanted.
        reason: String,
    },
    /// The rows that were handed over do not fit the table; the text says where.
    #[error("lay out the table: {0}")]
    Unfit(String),
}

impl TableError {
    pub(crate) fn write(path: &Path, source: impl Into<io::Error>) -> TableError {
        TableError::Write { path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn read(path: &Path, source: io::Error) -> TableError {
        TableError::Read { path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, source: impl Into<ParquetError>) -> TableError {
        TableError::Damaged { path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn column(path: &Path, column: &str, reason: impl Into<String>) -> TableError {
        TableError::Column { path: path.to_owned(), column: column.to_owned(), reason: reason.into() }
    }
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}
