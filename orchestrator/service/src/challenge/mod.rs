//! Proves names at home, before and beside what a CA does: preflight, probe, and the HTTP-01 responder.
//!
//! ```text
//! preflight ── resolver ──▶ every A and AAAA ── address ──▶ policy ── fetch ──▶ web server ──▶ responder (http01)
//!     ▲                                                                                            │
//!     └───────────────── <token>.<HMAC>, which only this service can make (probe) ◀────────────────┘
//! ```
//!
//! Nothing in here reads or writes the database; the responder asks a [`http01::Responses`]. No address is
//! connected to that [`address::AddressPolicy`] has not allowed, and the address that was checked is the one
//! that is connected to, on every hop.

pub mod address;
mod alias;
pub mod caa;
mod delegation;
pub mod dns01;
pub mod farm;
pub mod fetch;
mod fetch_fault;
mod findings;
pub mod http01;
mod instruments;
pub(crate) mod location;
pub mod preflight;
pub mod probe;
pub mod propagation;
mod question;
mod report;
pub mod resolver;
mod sanity;
mod sight;
pub(crate) mod tls;
mod watched;
#[cfg(test)]
pub(crate) mod world;
