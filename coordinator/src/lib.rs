//! The coordinator's doing: it drives the core, keeps the journal, speaks gRPC and writes tables.
//!
//! It never depends on the pipelines: it knows them by the descriptions that workers announce and clients check against.

mod audit;
pub mod compare;
pub mod driver;
pub mod extend;
pub mod folder;
pub mod journal;
pub mod outlet;
mod readback;
pub mod server;
mod service;
mod wire;

pub use folder::Folders;
pub use server::{Config, ServeError, Server};
