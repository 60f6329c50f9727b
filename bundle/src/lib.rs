//! Files of the user's own that travel with a run: which they are, where they are kept, and how they are laid out again.
//!
//! A client [packs](pack) what a run file names into a [`Manifest`], whose hash is the bundle's identity. The coordinator and the
//! workers keep files by their hash in a [`Store`] each. Whoever evaluates has them [laid out](lay_out) in a private folder, and the
//! run's folder [keeps](kept) them in the open. Nothing is used that was not held against its hash just then.

mod hash;
pub mod kept;
mod lay_out;
mod manifest;
mod pack;
mod store;

pub use hash::{Hash, Hashing};
pub use lay_out::{LayOutError, lay_out};
pub use manifest::{File, Manifest, ManifestError};
pub use pack::{PackError, pack};
pub use store::{Begun, Incoming, Kept, Store, StoreError};

/// The most files of a bundle.
pub const FILES_MAX: usize = 10_000;
/// The most bytes of all files of a bundle together.
pub const BYTES_MAX: u64 = 1 << 30;
/// The longest path of a file, in bytes.
pub const PATH_BYTES_MAX: usize = 1024;
/// The longest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;
