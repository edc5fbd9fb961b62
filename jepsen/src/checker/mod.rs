//! Judges of histories. Each says what it found, and is itself tested on histories that are known to be good or bad.

pub mod availability;
pub mod faults;
pub mod linear;
pub mod once;
pub mod quota;
pub mod register;
pub mod set;
pub mod token;
