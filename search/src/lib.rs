//! What to try next: addressed noise, strategies that evolve a population, designs that lay out a sweep.
//!
//! Every number made here is the same on every machine: sums have one order, transcendental functions come from the
//! pinned `libm`, and noise is addressed, never drawn in sequence.

pub mod bounds;
mod codec;
pub mod designs;
mod eigen;
pub mod grain;
pub mod memory;
pub mod noise;
pub mod parallel;
pub mod proposal;
pub mod shaping;
pub mod space;
pub mod stopping;
pub mod strategies;
pub mod strategy;
pub mod told;

pub use bounds::Bounds;
pub use designs::{Design, DesignDescription, DesignError};
pub use grain::{Grain, GrainKind};
pub use parallel::set_threads;
pub use proposal::Proposal;
pub use space::{Space, SpaceError};
pub use strategy::{Problem, SnapshotError, StateHash, Strategy, StrategyDescription, StrategyError};
pub use told::{Told, ToldAs};
