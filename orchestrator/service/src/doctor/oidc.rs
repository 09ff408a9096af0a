//! The provider of identities: whether people could sign in there.

use std::sync::Arc;

use aws_lc_rs::rand;

use super::{Diagnosis, Practice, chain};
use crate::keys::{MasterKey, Sealer};
use crate::oidc::{Oidc, OidcError};

const PROVIDER: &str = "identity provider";

/// Asks it what it says of itself. Whether it knows us is seen when somebody signs in.
pub(super) async fn examine(practice: &Practice<'_>) -> Vec<Diagnosis> {
    let config = &practice.config.oidc;
    let Some(issuer) = &config.issuer else { return Vec::new() };
    // Nothing is sealed by whoever only looks, so any key does.
    let mut bytes = [0; 32];
    if rand::fill(&mut bytes).is_err() {
        return Vec::new();
    }
    let sealer = Arc::new(Sealer::new(&MasterKey::from_bytes(&bytes)));
    let oidc = match Oidc::new(config, sealer) {
        Ok(Some(oidc)) => oidc,
        Ok(None) => return Vec::new(),
        Err(error) => {
            return vec![Diagnosis::fail(PROVIDER, chain(&error), "mend [oidc]: the API does not start")];
        }
    };
    let fix = match oidc.probe(practice.clock.now()).await {
        Ok(()) => return vec![Diagnosis::ok(PROVIDER, issuer.as_str())],
        Err(error @ OidcError::Away(_)) => (
            chain(&error),
            "open the way to it ([oidc] extra_root for a private root); until then people sign in with passwords",
        ),
        Err(error) => (
            chain(&error),
            "write [oidc] issuer exactly as its /.well-known/openid-configuration has it, the last slash included",
        ),
    };
    vec![Diagnosis::warn(PROVIDER, fix.0, fix.1)]
}
