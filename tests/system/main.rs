//! The real binary, tried from outside: every promise that a user relies on, held against processes, signals and files.

mod apart;
mod axes;
mod bundle;
mod bytes;
mod cases;
#[path = "../sim/chance.rs"]
mod chance;
mod config;
mod crowd;
mod differing;
mod extend;
mod faults;
mod kills;
mod limits;
mod memory;
mod mistakes;
mod network;
mod notices;
mod ownership;
mod pool;
mod program;
mod python;
mod safety;
mod shown;
mod stopping;
#[path = "../tally.rs"]
mod tally;
mod trace;
mod tumble;
mod wire;
