//! Whether a run fits into the memory that there is for strategies.

use tumble_runfile::Understood;
use tumble_search::memory::{Need, Place};

pub(crate) use tumble_worker::memory::{limit, parse};

use crate::exit::Failure;

/// The limits of a coordinator that may take so much.
pub(crate) fn limits(given: Option<u64>) -> tumble_core::Limits {
    tumble_core::Limits { memory_bytes_max: limit(given), ..tumble_core::Limits::default() }
}

/// Whether a run fits on this machine, with so many workers.
pub(crate) fn check(understood: &Understood, workers: u64, given: Option<u64>) -> Result<(), Failure> {
    let Some(need) = Need::of(&understood.spec, &understood.inner) else { return Ok(()) };
    need.check(Place::Machine { workers }, limit(given)).map_err(Failure::usage)
}
