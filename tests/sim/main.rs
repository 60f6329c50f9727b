//! A deterministic simulation of the whole: the real core, the real worker machines, and between them a network, a disk,
//! a clock and chance of our own, all from one seed.
//!
//! `TUMBLE_SIM_SEEDS=100000` tells more stories, `TUMBLE_SIM_SEED=7` tells one again, and `TUMBLE_SIM_TRACE=1` beside it
//! prints what happens. What is not here: gRPC, SQLite and Parquet, whose rooms and `tests/system` have tests of their own.

#[path = "../../coordinator/core/tests/check/mod.rs"]
mod check;

mod brittle;
mod chance;
mod disk;
mod givers;
mod hosts;
mod process;
mod reference;
mod rows;
mod run_file;
mod seeds;
mod stories;
#[path = "../tally.rs"]
mod tally;
mod verdict;
mod world;
