//! Pretends: a strict RFC 8555 CA that behaves like Boulder, and a fake fleet for it to validate,
//! all on loopback.
//!
//! Start a CA with [`ca::RehearsalCa::start`]. It shares no understanding of the protocol with the service
//! that is rehearsed against it: of `issuance` it uses names, limit arithmetic and time only.

pub mod audit;
pub mod ca;
pub mod clock;
pub mod faults;
pub mod fleet;
pub mod limits;
pub mod load_balancer;
pub mod pebble;
pub mod rules;

mod account;
mod activity;
mod admission;
mod any_certificate;
mod authorization;
mod caa;
mod certificate;
mod challenge;
mod chance;
mod directory;
mod dns01;
mod dns_persist;
mod endpoint;
mod finalize;
mod http01;
mod issuer;
mod jws;
mod key;
mod key_change;
mod ledger;
mod names;
mod new_order;
mod nonce;
mod order;
mod pausing;
mod problem;
mod renewal_info;
mod reply;
mod resolver;
mod revocation;
mod server;
mod signed;
mod state;
mod validation;
mod verdicts;
