//! The deciding machine of the coordinator: events and the time go in, effects come out.
//!
//! There is no clock here, no file, socket, task or random number; `xtask/tests/house/purity.rs` holds that. The way of one trial:
//! `Coordinator::handle(Submitted)` → `grants::choose` → grant → … → `Coordinator::handle(Reported)` →
//! `Runs::apply(Scored)` → `Run::generation_row` → `Strategy::tell` → a part of the trials table.

pub mod coordinator;
pub mod effects;
pub mod event;
pub mod given;
pub mod grants;
pub mod leases;
pub mod lessons;
pub mod limits;
pub mod record;
pub mod roster;
pub mod run;
pub mod runs;
pub mod view;

pub use coordinator::Coordinator;
pub use effects::{Effects, Grant, Message, Outgoing, Refusal, Reply, TableWork};
pub use event::{Event, Held, Hello, LeaseId, Report, RequestId, RunId, Submission, Timestamp, WorkerId};
pub use given::Answer;
pub use lessons::Known;
pub use limits::Limits;
pub use record::{
    Attempt, AttemptOutcome, Champion, Checkpoint, DIFFERENCES_NAMED_MAX, Difference, GenerationRow, Reason, Record,
    RunRecord,
};
pub use roster::Worker;
pub use run::{Phase, Run};
pub use runs::{ReplayError, Runs};
pub use view::{RunView, ViewState};
