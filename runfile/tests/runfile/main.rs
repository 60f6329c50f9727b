//! Run files from the outside: what is refused and how, what is understood, and what is written back.

mod fakes;
mod meaning;
mod problems;
mod round_trip;
mod shape;
