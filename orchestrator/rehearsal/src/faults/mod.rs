//! What a CA and the way to it do wrong, as data, and set while it runs.
//!
//! A [`Plan`] is a list of faults and how far the CA's clock is off. It is set by
//! [`RehearsalCa::set_faults`](crate::ca::RehearsalCa::set_faults), or from another process:
//!
//! ```text
//! PUT /faults    replaces the plan, as JSON; {} lifts all faults and lets what is held go on
//! GET /faults    the plan, with what is left of each `times`; what has struck, by kind; how many are held
//! ```
//!
//! ```json
//! { "clock_skew_ms": -3600000,
//!   "faults": [
//!     { "endpoints": ["new_order"], "times": 3, "effect": "drop_response" },
//!     { "share": 0.02, "effect": { "delay_request": { "ms": 9000 } } },
//!     { "window": { "from_ms": 60000, "until_ms": 120000 }, "effect": { "signing_outage": {} } },
//!     { "above_per_second": 20, "endpoints": ["new_nonce"], "effect": { "unavailable": {} } }
//!   ] }
//! ```
//!
//! A request meets each layer of the CA once: on the wire, where its signature is checked, and where it is executed.
//! At each of them the first fault strikes that applies there. Every strike is counted in the audit by its kind
//! ([`Effect::kind`]); what was executed is in the books, whether its client ever heard of it or not.
//!
//! Waits about a connection are real time, since the client's timeouts are; waits that are a state of the CA go by the
//! CA's clock. [`Effect`] says which.

mod armed;
mod effect;
mod fault;
mod line;
mod plan;
mod report;
mod strike;

pub use self::effect::Effect;
pub use self::fault::{Fault, Window};
pub use self::plan::{Plan, PlanError};
pub use self::report::FaultReport;
pub use crate::endpoint::Endpoint;

pub(crate) use self::armed::{Faults, Release, Target};
pub(crate) use self::line::{Cut, Line};
pub(crate) use self::report::{read, replace};
pub(crate) use self::strike::{Refused, strike};
