//! Judges of histories. Each says what it found, and is itself tested on histories that are known to be good or bad.

pub mod append;
pub mod availability;
pub mod faults;
pub mod fence;
pub mod linear;
pub mod membership;
pub mod once;
pub mod quota;
pub mod register;
pub mod set;
pub mod token;
pub mod unique;
pub mod usage;
