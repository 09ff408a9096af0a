//! Orders.

pub(super) mod fetches;
pub(super) mod list;
pub(super) mod read;
