//! The real binary, tried from outside: every promise that a user relies on, held against processes, signals and files.

mod apart;
mod axes;
mod bytes;
mod cases;
mod crowd;
mod faults;
mod limits;
mod memory;
mod mistakes;
mod ownership;
mod safety;
mod shown;
mod stopping;
mod tumble;
mod wire;
