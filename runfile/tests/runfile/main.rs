//! Run files from the outside: what is refused and how, what is understood, and what is written back.

mod bundle;
mod conditions;
mod fakes;
mod meaning;
mod points;
mod problems;
mod program;
mod python;
mod round_trip;
mod shape;
mod stopping;
