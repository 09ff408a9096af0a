//! Examines the installation itself: what names cannot be blamed for.
//!
//! Looks, and changes nothing. An examination is a function of `Practice` that returns its diagnoses. DNS providers, which
//! are written to, are tried in `app::zone_trials`.

mod authority;
mod database;
mod folder;
mod listeners;
mod oidc;
mod port;
mod responder;

use std::sync::Arc;

use issuance::time::Clock;
use serde::Serialize;

use crate::acme::observation::chain;
use crate::challenge::address::AddressPolicy;
use crate::challenge::fetch::{FetchConfig, Fetcher};
use crate::challenge::resolver::{NameResolver, ResolverConfig};
use crate::config::Config;

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Health {
    Ok,
    /// It works, and may not when it matters.
    Warn,
    /// Certificates do not come, or may be lost.
    Fail,
}

impl Health {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// What was found of one thing, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    pub what: &'static str,
    pub health: Health,
    pub found: String,
    /// What to do; absent where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Diagnosis {
    pub(crate) fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, health: Health::Ok, found: found.into(), fix: None }
    }

    pub(crate) fn warn(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what, health: Health::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    pub(crate) fn fail(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what, health: Health::Fail, found: found.into(), fix: Some(fix.into()) }
    }
}

/// What examinations work with.
#[derive(Debug)]
struct Practice<'a> {
    config: &'a Config,
    clock: Arc<dyn Clock>,
    /// `None`: there is no resolver to ask.
    resolver: Option<Arc<NameResolver>>,
}

impl Practice<'_> {
    /// For requests to the provider's own servers.
    fn fetcher(&self) -> Option<Fetcher> {
        let fetch = FetchConfig {
            http_port: self.config.http01.port.get(),
            deadline: self.config.http01.timeout(),
            ..FetchConfig::default()
        };
        let resolver = self.resolver.as_ref().map(Arc::clone)?;
        Fetcher::new(&fetch, resolver, Arc::new(AddressPolicy::default())).ok()
    }
}

/// Everything, in the order in which it is to be mended.
pub async fn examine(config: &Config, clock: Arc<dyn Clock>) -> Vec<Diagnosis> {
    let servers = config.resolver.servers.clone();
    let resolver = NameResolver::new(&ResolverConfig { servers, ..ResolverConfig::default() });
    let practice = Practice { config, clock, resolver: resolver.ok().map(Arc::new) };
    let mut diagnoses = folder::examine(&practice);
    diagnoses.extend(database::examine(&practice).await);
    diagnoses.extend(authority::examine(&practice).await);
    diagnoses.extend(responder::examine(&practice).await);
    diagnoses.extend(port::examine(&practice));
    diagnoses.extend(oidc::examine(&practice).await);
    diagnoses
}
