//! Metrics, health, logs and traces.
//!
//! Never logged: private keys, account keys, external account secrets, API tokens, key authorizations, request
//! bodies, database URLs.

mod health;
mod logs;
mod recorder;
mod server;
pub mod traces;

pub use health::{Readiness, ReadinessGate, ReadinessWatch, readiness};
pub use logs::{LogError, init_logs};
pub use recorder::{Exposition, RecorderError, install_recorder};
pub use server::{MetricsServer, MetricsServerError};
