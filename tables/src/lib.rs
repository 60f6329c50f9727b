//! What a run leaves on disk: the Parquet tables, their schemas, the writer and the reader.
//!
//! The trials and generations tables follow from the run file alone, byte for byte: nothing here looks at the clock,
//! the host, the number of threads or the way the rows arrived.

mod atomic;
mod attempts;
mod champion;
mod error;
mod format;
mod generations;
mod points;
mod scan;
mod schema;
mod trace;
mod trials;

pub use atomic::{remove_leftovers, write_atomically};
pub use attempts::{ATTEMPT_COLUMNS, AttemptOutcome, AttemptRow, read_attempts, write_attempts};
pub use champion::{Champion, write_champion};
pub use error::TableError;
pub use format::Metadata;
pub use generations::{GENERATION_COLUMNS, GenerationRow, Generations, read_generations, write_generations};
pub use points::{POINT_VALUES_MAX, PointValues, read_points};
pub use scan::{
    Block, Column, Scan, column_names, part_paths, read_column, read_metadata, scan, scan_file, scan_rows, trial_count,
};
pub use schema::{AxisColumn, ColumnKind, RUNG_COLUMN, TRIAL_COLUMNS, TrialsSchema};
pub use trace::{TraceFormat, write_trace};
pub use trials::{PartReceipt, TrialsPart, part_name, part_stands, write_trials_part};
