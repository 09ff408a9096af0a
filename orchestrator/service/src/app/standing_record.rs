//! The record that stays (`dns-persist-01`): what it is to say for a name, and whether its name servers show it.

use issuance::identifier::Hostname;
use issuance::persistence::{self, Question};
use issuance::time::Timestamp;
use serde::Serialize;

use crate::challenge::propagation::{PropagationReport, Verdict};
use crate::config::Config;

use super::AppError;
use super::records::propagation;

/// For whom the record is to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What the CA is called; the first one is printed, any of them is good.
    pub issuers: &'a [Box<str>],
    pub account_url: &'a str,
    pub until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StandingRecord {
    pub name: String,
    pub value: String,
    /// Both, as a line of a zone file.
    pub record: String,
    /// All authoritative servers have a record that is good for the name now, this one or another.
    pub shown: bool,
    /// Why not.
    pub detail: Option<String>,
    /// What each server says.
    pub servers: Vec<String>,
}

/// Looks at all authoritative servers of the name. Publishes nothing.
pub async fn look(
    config: &Config,
    name: &Hostname,
    wanted: &Wanted<'_>,
    now: Timestamp,
) -> Result<StandingRecord, AppError> {
    let &Wanted { issuers, account_url, until } = wanted;
    let wildcard = name.is_wildcard();
    let at = persistence::record_name(name);
    let issuer = issuers.first().map_or("", |issuer| issuer);
    let value = persistence::value(issuer, account_url, wildcard, until);
    let question = Question { issuers, account_url, wildcard, now };
    let lets = |values: &[String]| persistence::judge(values, &question).is_ok();
    let PropagationReport { verdict, servers, .. } = propagation(config)?.look_for(&at, &lets).await;
    let detail = match verdict {
        Verdict::Visible => None,
        Verdict::NotYet { detail, .. } | Verdict::Unknown { detail } => Some(detail),
    };
    Ok(StandingRecord {
        record: format!("{at}. TXT \"{value}\""),
        name: at,
        value,
        shown: detail.is_none(),
        detail,
        servers: servers.iter().map(ToString::to_string).collect(),
    })
}
