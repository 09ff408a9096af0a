//! The ledger of authorizations.

pub(super) mod list;
pub(super) mod read;
pub mod settle;
