//! The nouns of Tumble: what a run, a trial, a shard and a seed are.
//!
//! This room uses the standard library alone and knows no file, socket or clock, so every other room may use it.

pub mod code;
pub mod describe;
pub mod layout;
pub mod nearest;
pub mod outcome;
pub mod philox;
pub mod range;
pub mod seed;
pub mod spec;
pub mod value;

pub use code::{Bundle, Code, Program, Python};
pub use describe::{
    Direction, Extent, Genome, GenomeLength, Metric, Objective, Parameter, PipelineDescription, Shape, Tensor,
};
pub use layout::{Era, Layout, TrialAddress};
pub use outcome::{Failure, Fitness, Outcomes, Status, TrialError, Unscored, fitness_of};
pub use range::{RangeSet, TrialRange};
pub use seed::Seed;
pub use spec::{
    Axis, AxisTarget, AxisValues, Condition, Criterion, Evolve, GIVEN, Limits, OnFailure, Plan, RunSpec, Start,
    StopRule, Stopping, StoppingRule, Sweep, TrialSeeds,
};
pub use value::{Kind, Value};

/// A generation's number; the first is 0.
pub type Generation = u32;
