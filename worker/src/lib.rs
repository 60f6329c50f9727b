//! A worker: it takes grants from a coordinator, rebuilds and evaluates candidates, and reports scalars.
//!
//! `worker.rs` decides, `evaluate.rs` and `replica.rs` compute, `program` and `python` run what users bring, `session.rs` does and
//! speaks the protocol, and `files.rs` fetches what travels with runs. `process.rs` is what surrounds it in a process of its own, and
//! `binary.rs` the whole `main` of a worker binary with pipelines that do not come with Tumble: [`main()`] is where who writes one
//! begins.

mod binary;
pub mod evaluate;
pub mod files;
pub mod memory;
mod offer;
mod offline;
pub mod process;
pub mod program;
pub mod python;
pub mod replica;
pub mod session;
pub mod signals;
pub mod worker;

use std::sync::Arc;

use tumble_pipelines::registry;

pub use binary::{main, main_alone};
pub use offer::{Offer, OfferError};
pub use program::Surroundings;
pub use session::{Config, Ended, WorkerError, run};

/// Mathematics whose last bits are the same on every machine, which those of the standard library are not.
pub use libm;
/// What pipelines are made of.
pub use tumble_domain::{
    Direction, Failure, Genome, GenomeLength, Kind, Metric, Objective, Parameter, PipelineDescription, Seed, Value,
};
pub use tumble_pipelines::declare::{self, Metrics, Parameters};
pub use tumble_pipelines::{Draws, Evaluator, Pipeline, Trial, Watch};

/// Every pipeline that comes with Tumble: those that are built in, and those of the user's own code.
pub fn pipelines(surroundings: &Surroundings) -> Vec<Arc<dyn Pipeline>> {
    let own = program::AnyProgram::new(surroundings.clone()).map(|program| Arc::new(program) as Arc<dyn Pipeline>);
    let python = python::AnyPython::new(surroundings.here.clone()).map(|python| Arc::new(python) as Arc<dyn Pipeline>);
    registry::all().into_iter().map(Arc::from).chain(own).chain(python).collect()
}
