//! Orders.

pub(super) mod list;
pub(super) mod read;
