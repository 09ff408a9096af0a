//! What a running Boulder does, fact by fact, and the case that proves each of them of the rehearsal CA.
//!
//! The facts stand in `facts.rs` and, for people, in `CONFORMANCE.md`; the two must agree.

mod ari;
mod balancer;
mod facts;
mod numbers;
mod orders;
mod pausing;
mod rules;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use issuance::limit::{Limit, LimitName};
use issuance::time::{Clock as _, Timestamp};
use rehearsal::ca::{CaRules, RehearsalCa};
use rehearsal::clock::DrivenClock;
use time::PrimitiveDateTime;
use time::macros::format_description;

use crate::client::{Answer, Client, ERROR};
use crate::limits::{boulder, driven};

const DAY: Duration = Duration::from_hours(24);

fn limit(name: LimitName, burst: u32, period_seconds: u64) -> Limit {
    Limit { name, burst, count: burst, period_seconds }
}

async fn limited(limits: Vec<Limit>) -> (RehearsalCa, Arc<DrivenClock>, Client) {
    let (ca, clock) = driven(CaRules { limits, ..boulder() }).await;
    let client = Client::registered(&ca).await;
    (ca, clock, client)
}

/// Deactivates what is pending, which counts as a failed validation.
async fn fail(client: &Client, name: &str) {
    let order = client.order(&[name]).await.assert_ok(201);
    client.deactivate(&client.authorizations(&order).await[0].url).await.assert_ok(200);
}

/// The whole document of a refusal. `truth` is the wait without its jitter.
#[track_caller]
fn assert_refused(answer: &Answer, clock: &DrivenClock, truth: u64, what: &str, anchor: &str) {
    let detail = answer.field("detail");
    let (before, rest) = detail.split_once(", retry after ").unwrap_or_else(|| panic!("{detail}"));
    let (at, after) = rest.split_at("2026-11-21 08:04:29 UTC".len());
    assert_eq!(before, what);
    assert_eq!(after, format!(": see https://letsencrypt.org/docs/rate-limits/#{anchor}"));
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let at = PrimitiveDateTime::parse(at, format).expect("an instant").assume_utc();
    let told = clock.now().until(Timestamp::from(at)).as_secs();
    let header: u64 = answer.header("retry-after").expect("a wait").parse().expect("seconds");
    for wait in [told, header] {
        assert!(
            (truth..=truth + truth * 3 / 100 + 1).contains(&wait),
            "{wait} s where {truth} s is the truth"
        );
    }
    assert!(header.abs_diff(told) <= 1, "one wait, cut in the text and rounded in the header");
    assert_eq!((answer.status, answer.field("type")), (429, format!("{ERROR}rateLimited").as_str()));
    assert_eq!(
        answer.body.as_object().map(serde_json::Map::len),
        Some(3),
        "type, detail and status: {}",
        answer.text
    );
    let [index, help] = answer.links()[..] else { panic!("{:?}", answer.links()) };
    assert!(index.ends_with("/directory>;rel=\"index\""), "{index}");
    assert_eq!(help, "<https://letsencrypt.org/docs/rate-limits>;rel=\"help\"");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=0, no-cache"));
    assert!(answer.header("replay-nonce").is_some());
}

/// `CONFORMANCE.md` has a row for each fact, in the same order, and no other.
#[test]
fn the_page_and_the_cases_agree() {
    let page = include_str!("../../../CONFORMANCE.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<String> = facts::FACTS
        .iter()
        .map(|fact| format!("| `{}` | {} | `{}` |", fact.id, fact.says, fact.case.replace(' ', "")))
        .collect();
    assert_eq!(rows, expected, "the page should say:\n{}", expected.join("\n"));
    let mut ids: Vec<&str> = facts::FACTS.iter().map(|fact| fact.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), facts::FACTS.len(), "an id names one fact");
    assert_eq!(facts::CASES.len(), facts::FACTS.len());
}
