//! The agent: brings to one server the certificates it needs, and tells what the server really serves.
//!
//! ```text
//! service ── what is needed, and in which version (held until it changes) ──▶ agent
//!         ── chain and key of what is new ─────────────────────────────────▶   │ files, one after the other, each whole
//!                                                                              │ hook for each, one reload for all
//!         ◀── what is installed, and what TLS shows ────────────────────────   ▼ a look at the server
//! ```
//!
//! It needs the service only for what is new: while that is away the server keeps what it has, and the agent asks again
//! ever more patiently. It never removes a certificate: what is listed no longer may be a mistake of whoever lists.

mod atomic;
mod deploy;
mod install;
mod layout;
mod name;
mod owner;
mod probe;
mod run;
mod service;
mod state;
mod tell;

pub use owner::{Owner, OwnerError};
pub use run::{Agent, AgentError, PassReport};
pub use service::ServiceError;
pub use state::StateError;
