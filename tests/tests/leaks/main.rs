//! What is left pending at the CA when something goes wrong at the worst moment.
//!
//! Real services, and Pebble behind a proxy that writes down every authorization that every new-order makes. At the
//! end each one is read under the service's own account. The scenarios are those in which other ACME clients were
//! measured in the same way; see [`table`]. All rows are printed, beside theirs, by
//!
//! ```text
//! SQLX_OFFLINE=true .ci/with-postgres cargo nextest run --workspace --no-capture \
//!     -E 'binary_id(lockkeeper-tests::leaks)'
//! ```

mod accidents;
mod failures;
mod table;
