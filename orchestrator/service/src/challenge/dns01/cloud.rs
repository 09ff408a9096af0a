//! Providers with an API of their own, through the crate `dns-update`.
//!
//! The crate retries some refusals inside, with waits that it does not show; the time that a write may take is bounded by
//! whoever calls. Its errors are texts, which may quote what the provider said, so the secret is taken out of them.

use std::fmt;
use std::time::Duration;

use dns_update::providers::route53::Route53Config;
use dns_update::{DnsRecord, DnsRecordType, DnsUpdater, Error};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use super::presenter::{Change, PresentError, Presenter};
use super::record_name::RecordName;

pub(super) struct Cloud {
    updater: DnsUpdater,
    secret: SecretString,
    ttl_seconds: u32,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").finish_non_exhaustive()
    }
}

/// Those that want nothing but a token.
pub(super) const BY_TOKEN: &[&str] =
    &["bunny", "cloudflare", "desec", "digitalocean", "gandi", "hetzner", "linode", "scaleway", "vultr"];

#[derive(Debug, thiserror::Error)]
pub enum CloudSetUpError {
    #[error("the provider's settings are refused: {what}")]
    Refused { what: String },
}

impl Cloud {
    /// `kind` is one of [`BY_TOKEN`].
    pub(super) fn by_token(
        kind: &str,
        token: SecretString,
        ttl_seconds: u32,
        timeout: Duration,
    ) -> Result<Self, CloudSetUpError> {
        let (text, timeout) = (token.expose_secret(), Some(timeout));
        let updater = match kind {
            "bunny" => DnsUpdater::new_bunny(text, timeout),
            "cloudflare" => DnsUpdater::new_cloudflare(text, timeout),
            "desec" => DnsUpdater::new_desec(text, timeout),
            "digitalocean" => DnsUpdater::new_digitalocean(text, timeout),
            "gandi" => DnsUpdater::new_gandiv5(text, timeout),
            "hetzner" => DnsUpdater::new_hetzner(text, timeout),
            "linode" => DnsUpdater::new_linode(text, timeout),
            "scaleway" => DnsUpdater::new_scaleway(text, timeout),
            "vultr" => DnsUpdater::new_vultr(text, timeout),
            other => {
                return Err(CloudSetUpError::Refused { what: format!("there is no provider {other:?}") });
            }
        };
        Self::of(updater, token, ttl_seconds)
    }

    pub(super) fn power_dns(
        endpoint: &str,
        server: &str,
        key: SecretString,
        ttl_seconds: u32,
        timeout: Duration,
    ) -> Result<Self, CloudSetUpError> {
        let updater = DnsUpdater::new_pdns(key.expose_secret(), Some(endpoint), Some(server), Some(timeout));
        Self::of(updater, key, ttl_seconds)
    }

    pub(super) fn route53(
        access_key_id: &str,
        hosted_zone_id: Option<&str>,
        region: Option<&str>,
        key: SecretString,
        ttl_seconds: u32,
    ) -> Result<Self, CloudSetUpError> {
        let updater = DnsUpdater::new_route53(Route53Config {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: key.expose_secret().to_owned(),
            session_token: None,
            region: region.map(str::to_owned),
            hosted_zone_id: hosted_zone_id.map(str::to_owned),
            private_zone_only: Some(false),
            endpoint: None,
        });
        Self::of(updater, key, ttl_seconds)
    }

    fn of(
        updater: dns_update::Result<DnsUpdater>,
        secret: SecretString,
        ttl_seconds: u32,
    ) -> Result<Self, CloudSetUpError> {
        let updater = updater
            .map_err(|error| CloudSetUpError::Refused { what: without(&secret, &error.to_string()) })?;
        Ok(Self { updater, secret, ttl_seconds })
    }

    async fn change(&self, zone: &RecordName, change: &Change) -> Result<(), Error> {
        let texts = |values: &[String]| values.iter().cloned().map(DnsRecord::TXT).collect::<Vec<_>>();
        let (owner, zone) = (change.owner.as_str(), zone.as_str());
        if !change.remove.is_empty() {
            let gone =
                self.updater.remove_from_rrset(owner, DnsRecordType::TXT, texts(&change.remove), zone).await;
            // What is to go is not there.
            if !matches!(gone, Err(Error::NotFound)) {
                gone?;
            }
        }
        if !change.add.is_empty() {
            let added = texts(&change.add);
            self.updater.add_to_rrset(owner, DnsRecordType::TXT, self.ttl_seconds, added, zone).await?;
        }
        Ok(())
    }

    fn fault(&self, error: &Error) -> PresentError {
        let told = without(&self.secret, &error.to_string());
        match error {
            Error::Api(text) if text.starts_with("Failed to send") || text.starts_with("Failed to read") => {
                PresentError::unreachable(told)
            }
            Error::Client(_) => PresentError::unreachable(told),
            _ => PresentError::refused(told),
        }
    }
}

impl Presenter for Cloud {
    fn write<'a>(
        &'a self,
        zone: &'a RecordName,
        changes: &'a [Change],
    ) -> BoxFuture<'a, Result<(), PresentError>> {
        async move {
            for change in changes {
                self.change(zone, change).await.map_err(|error| self.fault(&error))?;
            }
            Ok(())
        }
        .boxed()
    }
}

fn without(secret: &SecretString, text: &str) -> String {
    text.replace(secret.expose_secret(), "[secret]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_by_token_can_be_made_and_none_shows_its_token() {
        for kind in BY_TOKEN {
            let token = SecretString::from("t0ken-of-ours");
            let made = Cloud::by_token(kind, token, 60, Duration::from_secs(5)).expect(kind);
            assert!(!format!("{made:?}").contains("t0ken"), "{kind}");
        }
        assert!(Cloud::by_token("nobody", SecretString::from("t"), 60, Duration::from_secs(5)).is_err());
    }

    #[test]
    fn what_a_provider_says_is_told_without_the_secret() {
        let token = SecretString::from("t0ken-of-ours");
        let made = Cloud::by_token("desec", token, 60, Duration::from_secs(5)).expect("made");
        let told = made.fault(&Error::Api("HTTP 403: Token t0ken-of-ours is unknown".into()));
        assert_eq!(told.to_string(), "the provider refuses: API error: HTTP 403: Token [secret] is unknown");
        assert_eq!(made.fault(&Error::Api("Failed to send request to x: y".into())).as_str(), "unreachable");
    }
}
