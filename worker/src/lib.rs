//! A worker: it takes grants from a coordinator, rebuilds and evaluates candidates, and reports scalars.
//!
//! `worker.rs` decides, `evaluate.rs` and `replica.rs` compute, `session.rs` does and alone speaks the protocol.

pub mod evaluate;
pub mod replica;
pub mod session;
pub mod worker;

pub use session::{Config, Ended, WorkerError, run};
