//! Ratios against a baseline that is measured in the same run: what a machine does today says little, what two
//! clients do on it side by side says much.

pub mod authority;
pub mod bare;
pub mod console;
pub mod dns;
pub mod exposition;
pub mod leftovers;
pub mod measurement;
pub mod pages;
pub mod program;
pub mod propagation;
pub mod report;
pub mod service;
pub mod usage;
pub mod wrk;
