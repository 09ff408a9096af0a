//! What is asked for, held to what may be.

use issuance::event::check_wanted;
use issuance::ids::TenantId;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::api::problem::ProblemEntry;
use crate::webhooks::Receivers;

const DESCRIPTION_CHARS_MAX: usize = 200;
const EXTERNAL_ID_CHARS_MAX: usize = 200;
const KINDS_MAX: usize = 50;

/// A webhook that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedWebhook {
    /// Where events are sent, over https.
    #[schema(example = "https://panel.example.com/hooks/certificates")]
    pub url: String,
    /// Kinds of events, or all of a subject as in `certificate.*`. Absent or empty: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The caller's own name for it; unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Absent: it is told at once.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// For the operator: whose it is. Absent: the operator's own, told of everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
}

/// What is to be another way; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `null` takes it away.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub external_id: Option<Option<String>>,
    /// `true` also switches one on again that the service had switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

fn yes() -> bool {
    true
}

/// Tells `null` from what is absent.
#[expect(clippy::option_option, reason = "absent, null and a text are three things in a merge patch")]
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl WantedWebhook {
    /// Everything that is wrong with it.
    pub(super) fn errors(&self, receivers: &Receivers) -> Vec<ProblemEntry> {
        let external_id = self.external_id.as_deref();
        errors(receivers, Some(&self.url), Some(&self.kinds), Some(&self.description), external_id)
    }
}

impl WantedChange {
    /// Everything that is wrong with it.
    pub(super) fn errors(&self, receivers: &Receivers) -> Vec<ProblemEntry> {
        let external_id = self.external_id.as_ref().and_then(Option::as_deref);
        errors(
            receivers,
            self.url.as_deref(),
            self.kinds.as_deref(),
            self.description.as_deref(),
            external_id,
        )
    }
}

fn errors(
    receivers: &Receivers,
    url: Option<&str>,
    kinds: Option<&[String]>,
    description: Option<&str>,
    external_id: Option<&str>,
) -> Vec<ProblemEntry> {
    let mut errors = Vec::new();
    if let Some(Err(error)) = url.map(|url| receivers.check(url)) {
        errors.push(ProblemEntry::at("#/url", "not-acceptable", error.to_string()));
    }
    let kinds = kinds.unwrap_or_default();
    if kinds.len() > KINDS_MAX {
        let detail = format!("name {KINDS_MAX} kinds at the most, or all of a subject as in certificate.*");
        errors.push(ProblemEntry::at("#/kinds", "out-of-range", detail));
    } else {
        let wrong = kinds.iter().enumerate().filter_map(|(at, kind)| Some((at, check_wanted(kind).err()?)));
        errors.extend(
            wrong.map(|(at, error)| ProblemEntry::at(format!("#/kinds/{at}"), "unknown", error.to_string())),
        );
    }
    if description.is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX || has_controls(text)) {
        let detail = format!("a description is one line of up to {DESCRIPTION_CHARS_MAX} characters");
        errors.push(ProblemEntry::at("#/description", "out-of-range", detail));
    }
    let good =
        |text: &str| (1..=EXTERNAL_ID_CHARS_MAX).contains(&text.chars().count()) && !has_controls(text);
    if external_id.is_some_and(|text| !good(text)) {
        let detail = format!("an external_id is one line of 1 to {EXTERNAL_ID_CHARS_MAX} characters");
        errors.push(ProblemEntry::at("#/external_id", "out-of-range", detail));
    }
    errors
}

fn has_controls(text: &str) -> bool {
    text.chars().any(char::is_control)
}
