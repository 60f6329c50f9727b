//! What is evaluated: the traits of a pipeline and its evaluator, the registry, and a folder for each built-in pipeline.
//!
//! An evaluator keeps what is dear to build and nothing that a trial leaves behind: the same trial gives the same bits
//! first or last, on any machine. So transcendental functions come from the pinned `libm`, sums have one order, and
//! all chance is noise addressed by the trial's seed.

pub mod benchmark_functions;
pub mod declare;
pub mod digit_layers;
mod draws;
pub mod go_cls;
pub mod nested;
pub mod pipeline;
pub mod registry;
mod settings;
pub mod sound;
pub mod tiny_networks;
pub mod trace;

pub use draws::Draws;
pub use nested::{NestedError, NestedEvolution};
pub use pipeline::{BatchEvaluator, BatchResults, Evaluator, Pipeline, Trial, Watch};
pub use trace::Trace;
