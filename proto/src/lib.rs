//! The protocol: what `proto/tumble/v1/*.proto` compile to, behind one face, and the conversions both ways.
//!
//! What comes from outside is checked here: a conversion from the wire gives a named error, never a panic.

pub mod access;
pub mod describe;
pub mod frames;
pub mod outcomes;

/// The generated messages and services. They go no further than the files that speak the protocol.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
    tonic::include_proto!("tumble.v1");
}

/// The compiled protocol, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The largest message either side accepts, in bytes: gRPC's usual limit, so that other stacks agree.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Large things travel in pieces of this many bytes.
pub const CHUNK_BYTES: usize = 1024 * 1024;
/// Files travel in pieces of at most this many bytes: other messages of the same connection come in between.
pub const BLOB_PIECE_BYTES: usize = 256 * 1024;

/// Why a message from outside is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WireError {
    /// A field that must be there is not.
    #[error("the message has no `{0}`")]
    Missing(&'static str),
    /// A field whose bytes or number make no sense.
    #[error("`{0}` is malformed")]
    Malformed(&'static str),
}
