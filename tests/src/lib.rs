//! Tests of the whole; what they test lives in the other rooms.
