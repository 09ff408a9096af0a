//! Metrics, health and logs.
//!
//! Never logged: private keys, account keys, external account secrets, API tokens, key authorizations, request
//! bodies, database URLs.

mod health;
mod logs;
mod recorder;
mod server;

pub use health::{Readiness, ReadinessGate, ReadinessWatch, readiness};
pub use logs::{LogError, init_logs};
pub use recorder::{Exposition, RecorderError, install_recorder};
pub use server::{MetricsServer, MetricsServerError};
