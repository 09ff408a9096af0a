//! What is asked for, held to what may be.

use std::time::Duration;

use issuance::selector::Selector;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::body::given;
use crate::api::problem::ProblemEntry;
use crate::store::campaigns::selection::{self, CampaignSelector};
use crate::store::campaigns::wish::CampaignChange;

const REASON_CHARS_MAX: usize = 500;
const TEXT_CHARS_MAX: usize = 500;
/// As many as fit into a document with room to spare.
const SERIALS_MAX: usize = 20_000;
const KEYS_MAX: usize = 1_000;
const RATE_MAX: u32 = 100_000;
/// A year: nothing is valid for longer.
const DEADLINE_MAX: Duration = Duration::from_hours(366 * 24);
/// Things that are wrong, named in an answer.
const ERRORS_SHOWN_MAX: usize = 100;

/// Certificates that are to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedCampaign {
    /// For whoever reads of it later.
    #[schema(example = "The CA revokes what R11 signed on 3 March")]
    pub reason: String,
    /// By when they are to be replaced, as in `2027-03-04T12:00:00Z`.
    pub deadline: Timestamp,
    #[serde(deserialize_with = "crate::json::object")]
    pub selector: CampaignSelector,
    /// Orders in an hour, evenly. Absent: as many as the CA's limits allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_hour: Option<u32>,
    /// Certificates get new keys, also those that are to keep theirs. Absent: where the selector names keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_keys: Option<bool>,
}

/// What is to be otherwise (RFC 7396): what is left away stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedCampaignChange {
    /// `paused`: nothing more is ordered; `running`: it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// `null`: as many as the CA's limits allow.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    pub rate_per_hour: Option<Option<u32>>,
}

fn is_line(text: &str, chars_max: usize) -> bool {
    (1..=chars_max).contains(&text.trim().chars().count()) && !text.chars().any(char::is_control)
}

fn rate(errors: &mut Vec<ProblemEntry>, per_hour: Option<u32>) {
    if per_hour.is_some_and(|rate| !(1..=RATE_MAX).contains(&rate)) {
        errors.push(ProblemEntry::at("/rate_per_hour", "out-of-range", format!("from 1 to {RATE_MAX}")));
    }
}

fn deadline(errors: &mut Vec<ProblemEntry>, at: Timestamp, now: Timestamp) {
    if at <= now || at > now.after(DEADLINE_MAX) {
        let detail = "the deadline is an instant to come, within a year";
        errors.push(ProblemEntry::at("/deadline", "out-of-range", detail));
    }
}

impl WantedCampaign {
    /// Everything that is wrong with it; `own`: the only tenant that may be named.
    pub(super) fn errors(&self, own: Option<&str>, now: Timestamp) -> Vec<ProblemEntry> {
        let mut errors = Vec::new();
        if !is_line(&self.reason, REASON_CHARS_MAX) {
            let detail = format!("the reason is one line of 1 to {REASON_CHARS_MAX} characters");
            errors.push(ProblemEntry::at("/reason", "out-of-range", detail));
        }
        deadline(&mut errors, self.deadline, now);
        rate(&mut errors, self.rate_per_hour);
        if self.new_keys == Some(false) && !self.selector.keys.is_empty() {
            let detail = "certificates that are named by their keys get new ones: leave it out";
            errors.push(ProblemEntry::at("/new_keys", "not-acceptable", detail));
        }
        select(&mut errors, &self.selector, own);
        errors
    }

    pub(super) fn has_new_keys(&self) -> bool {
        self.new_keys.unwrap_or(!self.selector.keys.is_empty())
    }
}

fn select(errors: &mut Vec<ProblemEntry>, selector: &CampaignSelector, own: Option<&str>) {
    let at = |field: &str, code, detail: String| ProblemEntry::at(format!("/selector/{field}"), code, detail);
    if selector.is_empty() {
        let detail = "name at least one thing that the certificates have: issuer, account_id, profile, issued_from, \
                      issued_until, serials, keys, tenant or labels";
        errors.push(ProblemEntry::at("/selector", "empty", detail));
    }
    let texts = [("issuer", &selector.issuer), ("profile", &selector.profile), ("tenant", &selector.tenant)];
    for (field, text) in texts {
        if text.as_deref().is_some_and(|text| !is_line(text, TEXT_CHARS_MAX)) {
            errors.push(at(field, "out-of-range", format!("one line of 1 to {TEXT_CHARS_MAX} characters")));
        }
    }
    if let (Some(named), Some(own)) = (selector.tenant.as_deref(), own)
        && named != own
    {
        errors.push(at(
            "tenant",
            "other-tenant",
            "a tenant's campaign is about its own alone: leave it out".to_owned(),
        ));
    }
    if selector.issued_from.zip(selector.issued_until).is_some_and(|(from, until)| until < from) {
        errors.push(at("issued_until", "out-of-range", "it is before issued_from".to_owned()));
    }
    if let Some(Err(error)) = selector.labels.as_deref().map(Selector::parse) {
        errors.push(at("labels", "not-acceptable", error.to_string()));
    }
    list(errors, "serials", &selector.serials, SERIALS_MAX, |text| {
        selection::serial(text).is_none().then_some("a serial is up to 40 hexadecimal digits")
    });
    list(errors, "keys", &selector.keys, KEYS_MAX, |text| {
        let detail = "a key is the SHA-256 of its SubjectPublicKeyInfo in 64 hexadecimal digits";
        selection::key(text).is_none().then_some(detail)
    });
}

/// `fault`: what is wrong with one of the texts, if anything is.
fn list(
    errors: &mut Vec<ProblemEntry>,
    field: &str,
    texts: &[String],
    most: usize,
    fault: impl Fn(&str) -> Option<&'static str>,
) {
    if texts.len() > most {
        let detail = format!("{most} at the most: begin more than one campaign");
        errors.push(ProblemEntry::at(format!("/selector/{field}"), "out-of-range", detail));
        return;
    }
    let wrong = texts.iter().enumerate().filter_map(|(place, text)| Some((place, fault(text)?)));
    errors.extend(wrong.take(ERRORS_SHOWN_MAX).map(|(place, detail)| {
        ProblemEntry::at(format!("/selector/{field}/{place}"), "not-acceptable", detail)
    }));
}

impl WantedCampaignChange {
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(&self, now: Timestamp) -> Result<CampaignChange, Vec<ProblemEntry>> {
        let mut errors = Vec::new();
        let is_paused = match self.status.as_deref() {
            None => None,
            Some("paused") => Some(true),
            Some("running") => Some(false),
            Some(_) => {
                let detail = "write paused or running; a campaign is called off with DELETE";
                errors.push(ProblemEntry::at("/status", "unknown", detail));
                None
            }
        };
        rate(&mut errors, self.rate_per_hour.flatten());
        if let Some(at) = self.deadline {
            deadline(&mut errors, at, now);
        }
        let change = CampaignChange { is_paused, deadline: self.deadline, rate_per_hour: self.rate_per_hour };
        if errors.is_empty() { Ok(change) } else { Err(errors) }
    }
}
