//! The house rules that a compiler does not know: the arrows between rooms, the purity of the cores, numbers that travel,
//! the words, the formats, what comes in with a dependency, and documents that say what is so.
//!
//! Each rule reads the sources as text. Where a rule needs to know code from prose or tests, `sources` cuts them apart.

mod dependencies;
mod documents;
mod formats;
mod habits;
mod manifest;
mod mutants;
mod notebooks;
mod numbers;
mod purity;
mod rooms;
mod sources;
mod spdx;
mod words;
