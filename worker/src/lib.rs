//! A worker: it takes grants from a coordinator, rebuilds and evaluates candidates, and reports scalars.
//!
//! `worker.rs` decides, `evaluate.rs` computes, `session.rs` does and alone speaks the protocol.

pub mod evaluate;
pub mod session;
pub mod worker;

pub use session::{Config, Ended, WorkerError, run};
