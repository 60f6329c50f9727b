//! The coordinator's doing: it drives the core, keeps the journal, speaks gRPC and writes tables.
//!
//! It never depends on the pipelines: it knows them by the descriptions that workers announce and clients check against.

mod audit;
mod blobs;
mod bounds;
pub mod compare;
pub mod driver;
pub mod extend;
pub mod folder;
mod giving;
pub mod journal;
mod outbox;
pub mod outlet;
pub mod owner;
mod readback;
pub mod server;
mod service;
mod wire;

pub use folder::Folders;
pub use owner::OwnerSettings;
pub use server::{Config, ServeError, Server};
