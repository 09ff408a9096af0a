//! What kind of CA this is: every way in which ACME CAs differ that a client can notice, as data.

use std::collections::BTreeMap;

use issuance::limit::{Limit, LimitName};
use serde::{Deserialize, Serialize};

use crate::limits::LimitOverride;
use crate::load_balancer::RequestRate;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// The rules of one CA. Absent fields are those of the `rehearsal` preset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaRules {
    /// Every challenge succeeds without a look at DNS or the web: for benches and for runs without a fleet.
    pub always_valid: bool,
    /// The share of good nonces that is refused as `badNonce`, from 0 to 1.
    pub nonce_rejection: f64,
    /// A pending or ready order is returned again for the same account, set of names and profile.
    pub order_reuse: bool,
    /// Valid authorizations of the same account and profile are reused by later orders.
    pub authorization_reuse: bool,
    /// Accounts have a paged list of orders (RFC 8555 §7.1.2.1); Boulder has none.
    pub orders_list: bool,
    pub orders_per_page: usize,
    /// Orders, authorizations and certificates can be read by plain GET.
    pub plain_get: bool,
    /// A second POST to a challenge under validation is answered 409 `conflict` rather than 200.
    pub conflict_on_resubmission: bool,
    /// Deactivating a pending authorization counts as a failed validation.
    pub charges_deactivation: bool,
    /// An account that was deactivated goes on being served so long: the front ends have it in a cache.
    pub account_cache_seconds: u64,
    /// External account binding: key id → MAC key in base64url (RFC 8555 §7.3.4).
    pub external_account_keys: BTreeMap<String, String>,
    pub external_account_required: bool,
    /// Absent: finalize answers only when the certificate is there.
    pub async_finalize: Option<AsyncFinalize>,
    /// A second chain is offered, through a cross-signed intermediate.
    pub alternate_chain: bool,
    /// How many vantage points validate; one of the remote ones may fail.
    pub perspectives: u8,
    /// With fewer remote vantage points than this nothing can be validated, as at a CA that is set up wrongly.
    pub remote_perspectives_min: u8,
    /// Names can be proven by a record that stays (`dns-persist-01`), which names one of `caa_identities`.
    pub offers_dns_persist: bool,
    /// CAA records are looked up and obeyed.
    pub checks_caa: bool,
    /// How long one HTTP-01 fetch with its redirects, or one DNS-01 look-up, may take.
    pub validation_timeout_ms: u64,
    /// Most authorizations of one account that may be pending, as Boulder had it until 2024.
    pub pending_authorizations_max: Option<u32>,
    /// Token buckets. A limit that is not listed does not exist.
    pub limits: Vec<Limit>,
    /// Other numbers for some, which no client is told.
    /// [`RehearsalCa::set_overrides`](crate::ca::RehearsalCa::set_overrides) replaces them.
    pub overrides: Vec<LimitOverride>,
    /// What the load balancer lets one address ask, as [`RequestRate::letsencrypt`] has it; without any, everything.
    pub request_rates: Vec<RequestRate>,
    /// Names that are refused as `rejectedIdentifier`, with everything below them.
    pub refused_domains: Vec<String>,
    pub terms_of_service: String,
    pub caa_identities: Vec<String>,
    /// What an order gets that names no profile.
    pub default_profile: Profile,
    /// Profiles offered in the directory.
    pub profiles: BTreeMap<String, Profile>,
}

/// How long a CA takes to issue, and what it says meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsyncFinalize {
    pub delay_ms: u64,
    pub retry_after_seconds: u64,
}

/// Lifetimes and sizes of one kind of order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    pub description: String,
    pub pending_authorization_seconds: u64,
    pub valid_authorization_seconds: u64,
    pub order_seconds: u64,
    pub certificate_seconds: u64,
    pub names_max: usize,
}

/// A preset that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no CA profile is called {name:?}: choose one of {}", CaRules::PRESETS.join(", "))]
pub struct UnknownPreset {
    pub name: String,
}

impl CaRules {
    /// The names [`CaRules::preset`] knows.
    pub const PRESETS: [&str; 6] =
        ["rehearsal", "boulder", "letsencrypt", "letsencrypt-staging", "pebble-like", "generic"];

    /// Rules by name:
    /// `boulder` (also `letsencrypt`): Boulder of August 2026 with production numbers;
    /// `letsencrypt-staging`: the same with the numbers of its staging environment, and asynchronous finalize;
    /// `rehearsal`: the same behaviour for a demo, with generous limits, a pending cap of 300, 1 % bad nonces
    /// and no CAA look-ups;
    /// `pebble-like`: no limits, no reuse, an orders list, 5 % bad nonces, async finalize;
    /// `generic`: a plain RFC 8555 CA without Boulder's peculiarities.
    pub fn preset(name: &str) -> Result<Self, UnknownPreset> {
        match name {
            "rehearsal" => Ok(Self::rehearsal()),
            "boulder" | "letsencrypt" => Ok(Self::boulder()),
            "letsencrypt-staging" => Ok(Self::letsencrypt_staging()),
            "pebble-like" => Ok(Self::pebble_like()),
            "generic" => Ok(Self::generic()),
            other => Err(UnknownPreset { name: other.to_owned() }),
        }
    }

    fn boulder() -> Self {
        Self {
            always_valid: false,
            nonce_rejection: 0.0,
            order_reuse: true,
            authorization_reuse: true,
            orders_list: false,
            orders_per_page: 100,
            plain_get: true,
            conflict_on_resubmission: true,
            charges_deactivation: true,
            account_cache_seconds: 5,
            external_account_keys: BTreeMap::new(),
            external_account_required: false,
            async_finalize: None,
            alternate_chain: true,
            perspectives: 1,
            remote_perspectives_min: 0,
            offers_dns_persist: false,
            checks_caa: true,
            validation_timeout_ms: 10_000,
            pending_authorizations_max: None,
            limits: vec![
                limit(LimitName::NewAccountsPerAddress, 10, 10, 3 * HOUR),
                limit(LimitName::NewOrdersPerAccount, 300, 300, 3 * HOUR),
                limit(LimitName::CertificatesPerRegisteredDomain, 50, 50, 7 * DAY),
                limit(LimitName::CertificatesPerExactSet, 5, 5, 7 * DAY),
                limit(LimitName::FailedAuthorizationsPerHostname, 5, 5, HOUR),
                limit(LimitName::ConsecutiveFailuresPerHostname, 1_152, 1, DAY),
            ],
            overrides: Vec::new(),
            request_rates: Vec::new(),
            refused_domains: Vec::new(),
            terms_of_service: "https://rehearsal.invalid/terms/v1".to_owned(),
            caa_identities: vec!["rehearsal.invalid".to_owned()],
            default_profile: Profile::classic(),
            profiles: BTreeMap::from([
                ("classic".to_owned(), Profile::classic()),
                ("tlsserver".to_owned(), Profile::tlsserver()),
                ("shortlived".to_owned(), Profile::shortlived()),
            ]),
        }
    }

    fn letsencrypt_staging() -> Self {
        Self {
            async_finalize: Some(AsyncFinalize { delay_ms: 130, retry_after_seconds: 3 }),
            limits: vec![
                limit(LimitName::NewAccountsPerAddress, 50, 50, 3 * HOUR),
                limit(LimitName::NewOrdersPerAccount, 1_500, 1_500, 3 * HOUR),
                limit(LimitName::CertificatesPerRegisteredDomain, 30_000, 30_000, 1),
                limit(LimitName::CertificatesPerExactSet, 30_000, 30_000, 7 * DAY),
                limit(LimitName::FailedAuthorizationsPerHostname, 200, 200, HOUR),
                limit(LimitName::ConsecutiveFailuresPerHostname, 3_600, 1, 6 * HOUR),
            ],
            ..Self::boulder()
        }
    }

    fn rehearsal() -> Self {
        Self {
            nonce_rejection: 0.01,
            checks_caa: false,
            pending_authorizations_max: Some(300),
            limits: vec![
                limit(LimitName::NewAccountsPerAddress, 500, 500, 3 * HOUR),
                limit(LimitName::NewOrdersPerAccount, 1_000_000, 1_000_000, 3 * HOUR),
                limit(LimitName::CertificatesPerExactSet, 5, 5, 7 * DAY),
                limit(LimitName::FailedAuthorizationsPerHostname, 5, 5, HOUR),
                limit(LimitName::ConsecutiveFailuresPerHostname, 1_152, 1, DAY),
            ],
            ..Self::boulder()
        }
    }

    fn pebble_like() -> Self {
        Self {
            nonce_rejection: 0.05,
            order_reuse: false,
            authorization_reuse: false,
            orders_list: true,
            orders_per_page: 3,
            conflict_on_resubmission: false,
            charges_deactivation: false,
            account_cache_seconds: 0,
            checks_caa: false,
            async_finalize: Some(AsyncFinalize { delay_ms: 50, retry_after_seconds: 3 }),
            alternate_chain: false,
            limits: Vec::new(),
            ..Self::boulder()
        }
    }

    fn generic() -> Self {
        Self {
            order_reuse: false,
            orders_list: true,
            plain_get: false,
            conflict_on_resubmission: false,
            charges_deactivation: false,
            account_cache_seconds: 0,
            alternate_chain: false,
            limits: Vec::new(),
            profiles: BTreeMap::new(),
            ..Self::boulder()
        }
    }

    /// The limit of that name, if this CA has one.
    pub fn limit(&self, name: LimitName) -> Option<Limit> {
        self.limits.iter().find(|limit| limit.name == name).copied()
    }

    /// The profile an order asked for; the empty name is the default.
    pub(crate) fn profile(&self, name: &str) -> Option<&Profile> {
        if name.is_empty() { Some(&self.default_profile) } else { self.profiles.get(name) }
    }
}

impl Default for CaRules {
    fn default() -> Self {
        Self::rehearsal()
    }
}

impl Profile {
    fn classic() -> Self {
        Self {
            description: "90 days, up to 100 names".to_owned(),
            pending_authorization_seconds: 7 * DAY,
            valid_authorization_seconds: 30 * DAY,
            order_seconds: 7 * DAY,
            certificate_seconds: 90 * DAY,
            names_max: 100,
        }
    }

    fn tlsserver() -> Self {
        Self {
            description: "45 days, up to 25 names".to_owned(),
            pending_authorization_seconds: HOUR,
            valid_authorization_seconds: 7 * HOUR,
            order_seconds: 8 * HOUR,
            certificate_seconds: 45 * DAY,
            names_max: 25,
        }
    }

    fn shortlived() -> Self {
        Self {
            description: "160 hours, up to 25 names".to_owned(),
            certificate_seconds: 160 * HOUR,
            ..Self::tlsserver()
        }
    }
}

fn limit(name: LimitName, burst: u32, count: u32, period_seconds: u64) -> Limit {
    Limit { name, burst, count, period_seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_exists_and_its_limits_are_buckets() {
        for name in CaRules::PRESETS {
            let rules = CaRules::preset(name).expect(name);
            assert!(rules.limits.iter().all(|limit| limit.bucket().is_some()), "{name}");
            assert!(rules.profile("").is_some());
        }
        let error = CaRules::preset("zerossl").expect_err("not a preset");
        assert!(error.to_string().contains("pebble-like"), "{error}");
    }

    #[test]
    fn rules_are_read_over_the_rehearsal_preset_and_unknown_keys_are_refused() {
        let rules: CaRules = serde_json::from_str(r#"{"always_valid": true}"#).expect("one field");
        assert_eq!(rules, CaRules { always_valid: true, ..CaRules::default() });
        assert!(serde_json::from_str::<CaRules>(r#"{"allways_valid": true}"#).is_err());
    }
}
