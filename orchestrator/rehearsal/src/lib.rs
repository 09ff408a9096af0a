//! Pretends: a strict CA and the world around it, all on loopback.
//!
//! Demo, tests and benches run on it. Nothing in here knows the service.

pub mod fleet;
