//! Pebble, and what `deploy/` says of it.

use issuance::profile::CaProfile;
pub use rehearsal::pebble::{Pebble, PebbleOptions};

/// The profile that is shipped for Pebble.
pub fn profile() -> CaProfile {
    toml::from_str(include_str!("../../deploy/ca-profiles/pebble.toml"))
        .expect("a profile that is shipped parses")
}
