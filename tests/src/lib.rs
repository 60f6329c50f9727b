//! Tests of the whole; what they test lives in the other rooms. Here is what more than one of them needs.

pub mod strangers;
