//! What clients write of certificates and hostnames, read and judged. Each fault is told with a JSON pointer; nothing of
//! what was sent is repeated.

use std::collections::BTreeMap;

use issuance::authorization::ValidationMethod;
use issuance::identifier::{Hostname, Identifiers};
use issuance::key_kind::KeyKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::{Problem, ProblemEntry};
use crate::keys::request::CheckedRequest;
use crate::store::certificate_wishes::KeyWish;

const EXTERNAL_ID_CHARS_MAX: usize = 255;
const LABELS_MAX: usize = 64;
const LABEL_KEY_CHARS_MAX: usize = 63;
const LABEL_VALUE_CHARS_MAX: usize = 255;
const SLUG_CHARS_MAX: usize = 64;
/// As the table has it: ten years.
const KEY_DAYS_MAX: u16 = 3_650;

/// How the names are proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedChallenge {
    /// `http-01` or `dns-01`.
    pub r#type: String,
}

/// Whose key it is, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WantedKey {
    pub(super) kind: Option<KeyKind>,
    pub(super) reuse: Option<bool>,
    pub(super) days_max: Option<u16>,
    /// In PEM.
    pub(super) csr: Option<String>,
}

/// Collects what is wrong with a request, so that all of it is told at once.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<ProblemEntry>);

impl Faults {
    pub(super) fn add(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) {
        self.0.push(ProblemEntry::at(pointer, code, detail));
    }

    pub(super) fn end(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::body_invalid(self.0)) }
    }

    pub(super) fn names(&mut self, pointer: &str, names: &[String]) -> Option<Identifiers> {
        let mut parsed = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            match Hostname::parse(name) {
                Ok(name) => parsed.push(name),
                Err(error) => self.add(format!("{pointer}/{place}"), error.code(), error.to_string()),
            }
        }
        if parsed.len() < names.len() {
            return None;
        }
        self.set(pointer, parsed)
    }

    pub(super) fn set(&mut self, pointer: &str, names: Vec<Hostname>) -> Option<Identifiers> {
        Identifiers::new(names).map_err(|error| self.add(pointer, error.code(), error.to_string())).ok()
    }

    /// `http-01` where nothing is said, `dns-01` where a wildcard leaves no other way.
    pub(super) fn method(
        &mut self,
        challenge: Option<&WantedChallenge>,
        names: Option<&Identifiers>,
    ) -> Option<ValidationMethod> {
        let has_wildcard = names.is_some_and(|names| names.iter().any(Hostname::is_wildcard));
        let Some(challenge) = challenge else {
            return Some(if has_wildcard { ValidationMethod::Dns01 } else { ValidationMethod::Http01 });
        };
        let Some(method) = ValidationMethod::parse(&challenge.r#type) else {
            self.add("/challenge/type", "unknown_challenge", "the challenge is http-01 or dns-01");
            return None;
        };
        if has_wildcard && method != ValidationMethod::Dns01 {
            let detail = "a wildcard is proven over dns-01 only: choose that, or leave the wildcard out";
            self.add("/challenge/type", "wildcard_needs_dns", detail);
            return None;
        }
        Some(method)
    }

    pub(super) fn external_id(&mut self, external_id: Option<&str>) {
        let is_good = |id: &str| {
            (1..=EXTERNAL_ID_CHARS_MAX).contains(&id.chars().count()) && !id.chars().any(char::is_control)
        };
        if external_id.is_some_and(|id| !is_good(id)) {
            let detail = format!(
                "an external id has 1 to {EXTERNAL_ID_CHARS_MAX} characters, none of them a control one"
            );
            self.add("/external_id", "bad_external_id", detail);
        }
    }

    pub(super) fn slug(&mut self, slug: Option<&str>) {
        let end = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let is_good = |slug: &str| {
            let bytes = slug.as_bytes();
            (1..=SLUG_CHARS_MAX).contains(&bytes.len())
                && bytes.iter().all(|&b| end(b) || matches!(b, b'.' | b'_' | b'-'))
                && bytes.first().is_some_and(|b| end(*b))
                && bytes.last().is_some_and(|b| end(*b))
        };
        if slug.is_some_and(|slug| !is_good(slug)) {
            let detail = format!(
                "a tenant is called by 1 to {SLUG_CHARS_MAX} lower-case letters, digits, dots, hyphens and underscores, with a letter or digit at both ends"
            );
            self.add("/tenant", "bad_tenant", detail);
        }
    }

    pub(super) fn labels(&mut self, labels: &BTreeMap<String, String>) {
        if labels.len() > LABELS_MAX {
            self.add("/labels", "too_many_labels", format!("there are {LABELS_MAX} labels at the most"));
        }
        for (key, value) in labels {
            if !is_label_key(key) {
                let detail = format!(
                    "a label's name has 1 to {LABEL_KEY_CHARS_MAX} letters, digits, dots, hyphens, underscores and slashes"
                );
                self.add("/labels", "bad_label", detail);
            } else if value.chars().count() > LABEL_VALUE_CHARS_MAX || value.chars().any(char::is_control) {
                let detail = format!(
                    "a label has {LABEL_VALUE_CHARS_MAX} characters at the most, none of them a control one"
                );
                self.add(format!("/labels/{}", key.replace('/', "~1")), "bad_label", detail);
            }
        }
    }

    /// `names`: which the request must be for; `None` takes them from the request.
    pub(super) fn key(
        &mut self,
        wanted: &WantedKey,
        names: Option<&Identifiers>,
    ) -> Option<(KeyWish, Option<Identifiers>)> {
        if wanted.days_max.is_some_and(|days| !(1..=KEY_DAYS_MAX).contains(&days)) {
            self.add("/key_days_max", "out-of-range", format!("a key is kept for 1 to {KEY_DAYS_MAX} days"));
            return None;
        }
        let Some(pem) = &wanted.csr else {
            let (kind, reuse, days_max) = (wanted.kind, wanted.reuse.unwrap_or(false), wanted.days_max);
            return Some((KeyWish { kind, reuse, days_max, csr_der: None }, None));
        };
        let checked = CheckedRequest::from_pem(pem).and_then(|request| {
            names.map_or(Ok(()), |names| request.check_names(names))?;
            Ok(request)
        });
        match checked {
            Err(error) => {
                self.add("/csr", error.code(), error.to_string());
                None
            }
            Ok(request) if wanted.kind.is_some_and(|kind| kind != request.key_kind) => {
                let detail =
                    format!("the request is for a key of type {}: leave key_type out", request.key_kind);
                self.add("/key_type", "csr-key-type", detail);
                None
            }
            Ok(request) => {
                let key = KeyWish {
                    kind: Some(request.key_kind),
                    // Renewed by itself as long as it may be, unless said otherwise.
                    reuse: wanted.reuse.unwrap_or(true),
                    days_max: wanted.days_max,
                    csr_der: Some(request.der),
                };
                Some((key, Some(request.names)))
            }
        }
    }
}

fn is_label_key(key: &str) -> bool {
    (1..=LABEL_KEY_CHARS_MAX).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/'))
}

/// `name=value` of a query, as many as there are, all of which must hold.
pub(super) fn label_filter(texts: &[String]) -> Result<Option<BTreeMap<String, String>>, Problem> {
    let mut labels = BTreeMap::new();
    for text in texts.iter().flat_map(|text| text.split(',')) {
        let pair = text.split_once('=').filter(|(key, _)| is_label_key(key));
        let Some((key, value)) = pair else {
            return Err(Problem::bad_parameter(Some("label"), "a label is written name=value"));
        };
        labels.insert(key.to_owned(), value.to_owned());
    }
    Ok((!labels.is_empty()).then_some(labels))
}
