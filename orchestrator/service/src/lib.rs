//! Does: everything that talks to the world. What to do is decided in `issuance`.

pub mod acme;
pub mod adopt;
pub mod agent;
pub mod api;
pub mod app;
pub mod challenge;
mod chance;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod dashboard;
pub mod doctor;
pub mod engine;
pub mod intake;
mod json;
pub mod keys;
pub mod mishaps;
pub mod oidc;
pub mod program;
pub mod reconcile;
pub mod records;
pub mod rehearse;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod webhooks;
