//! Certificates.

pub(super) mod chain;
pub(super) mod list;
pub(super) mod read;
