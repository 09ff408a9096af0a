//! What the tests of the whole stand on: worlds to start, drive and look at.

pub mod pebble;
pub mod scripted_ca;
