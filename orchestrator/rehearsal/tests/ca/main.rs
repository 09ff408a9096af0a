//! The rehearsal CA as a client meets it: over the wire, against the facts observed on a running Boulder.

mod authorizations;
mod books;
mod client;
mod conformance;
mod faults;
mod fleet;
mod issuance;
mod limits;
mod orders;
mod outages;
mod protocol;
mod raw;
mod renewal;
mod world;
