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
pub mod dns01;
pub mod fetch;
pub mod http01;
mod instruments;
mod location;
pub mod preflight;
pub mod probe;
mod report;
pub mod resolver;
mod tls;
mod watched;
#[cfg(test)]
mod world;
