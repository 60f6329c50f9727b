//! A worker: it takes grants from a coordinator, rebuilds and evaluates candidates, and reports scalars.
//!
//! `worker.rs` decides, `evaluate.rs` and `replica.rs` compute, `program` and `python` run what users bring, `session.rs` does and
//! speaks the protocol, and `files.rs` fetches what travels with runs.

pub mod evaluate;
pub mod files;
pub mod program;
pub mod python;
pub mod replica;
pub mod session;
pub mod worker;

use std::sync::Arc;

use tumble_pipelines::{Pipeline, registry};

pub use program::Surroundings;
pub use session::{Config, Ended, WorkerError, run};

/// Every pipeline that a worker offers: those that are built in, and those of the user's own code.
pub fn pipelines(surroundings: &Surroundings) -> Vec<Arc<dyn Pipeline>> {
    let own = program::AnyProgram::new(surroundings.clone()).map(|program| Arc::new(program) as Arc<dyn Pipeline>);
    let python = python::AnyPython::new(surroundings.here.clone()).map(|python| Arc::new(python) as Arc<dyn Pipeline>);
    registry::all().into_iter().map(Arc::from).chain(own).chain(python).collect()
}
