//! Accounts and limits: what the CA counts, what is left, and where it counts otherwise than its profile says.

use std::time::Duration;

use axum::extract::State;
use issuance::limit::LimitName;
use issuance::time::Timestamp;
use maud::{Markup, html};
use uuid::Uuid;

use crate::api::accounts::Accounts;
use crate::api::limit_overrides::OverrideList;
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{RELEASE_NAMES, REMOVE_OVERRIDE, SET_OVERRIDE};
use crate::dashboard::chart::gauge;
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Fault, Shown};
use crate::dashboard::parts::{button, facts, form, table};
use crate::dashboard::words::{count, instant, instant_or_dash, plain, span};
use crate::store::headroom::{Headroom, LimitHeadroom};
use crate::store::limit_overrides::OverrideView;
use crate::store::scope::Scope;

pub(super) async fn show(State(dashboard): State<Dashboard>, visitor: Visitor) -> Shown {
    let headroom: Headroom = visitor.get("/v1/headroom").await?;
    let now = dashboard.state.clock.now();
    let manages = visitor.may(Scope::AccountsManage);
    let body = html! {
        section { h2 { "What is left" } (gauges(&headroom, now)) (limits(&headroom, now)) }
        section #paused { h2 { "Names paused at the CA" } (paused(&visitor, &headroom, now)) }
        @if manages { (manage(&visitor, now).await?) }
    };
    Ok(page::show(&visitor, "Accounts and limits", &body))
}

/// One gauge for each limit of the account as a whole, and one for the pending authorizations.
pub(super) fn gauges(headroom: &Headroom, now: Timestamp) -> Markup {
    let pending = &headroom.pending_authorizations;
    html! {
        ul.gauges {
            li {
                b { "Pending authorizations" }
                (gauge("Pending authorizations", pending.remaining as f64, pending.max as f64, 0.0))
                span { (count(pending.remaining)) " of " (count(pending.max)) " left; " (count(pending.open)) " open, " (count(pending.reserved)) " reserved" }
            }
            @for limit in &headroom.limits {
                li { (one(limit, now)) }
            }
        }
    }
}

fn one(limit: &LimitHeadroom, now: Timestamp) -> Markup {
    let name = plain(limit.name.as_str());
    let worst = limit.buckets.first();
    let left = worst.map_or(f64::from(limit.burst), |bucket| f64::from(bucket.remaining));
    let wanted = limit.demand.map_or(0, |demand| demand.within_24h);
    html! {
        b { (name) }
        (gauge(&name, left, f64::from(limit.burst), wanted as f64))
        span {
            (count(left as u64)) " of " (count(u64::from(limit.burst))) " left"
            @if limit.buckets_touched > 1 { " in the fullest of " (count(limit.buckets_touched)) }
            @if let Some(bucket) = worst {
                @if bucket.next_token_at > now { "; next token " (instant(now, bucket.next_token_at)) }
                @if bucket.full_at > now { "; full " (instant(now, bucket.full_at)) }
            }
            @if let Some(demand) = limit.demand { "; wanted " (count(demand.within_1h)) " in 1 h, " (count(demand.within_24h)) " in 24 h" }
            @if let Some(at) = limit.exhausted_at { "; exhausted " (instant(now, at)) }
        }
    }
}

fn limits(headroom: &Headroom, now: Timestamp) -> Markup {
    let rows: Vec<Markup> = headroom
        .limits
        .iter()
        .map(|limit| {
            html! {
                th scope="row" { (plain(limit.name.as_str())) @if limit.overridden { " " span.badge.attention { "overridden" } } }
                td.number { (count(u64::from(limit.burst))) }
                td { (count(u64::from(limit.refill_count))) " each " (span(Duration::from_secs(limit.refill_period_seconds))) }
                td.number { (count(limit.reserved)) }
                td.number { (count(limit.bands.empty)) }
                td.number { (count(limit.bands.low)) }
                td.number { (count(limit.bands.high)) }
                td.number { @if let Some(demand) = limit.demand { (count(demand.within_7d)) } @else { "–" } }
                td.text {
                    @for bucket in limit.buckets.iter().take(5) {
                        div { code { (counted(&bucket.key)) } " " (bucket.remaining) ", full " (instant(now, bucket.full_at)) }
                    }
                }
            }
        })
        .collect();
    let columns = [
        "Limit",
        "Burst",
        "Refill",
        "Reserved",
        "Buckets empty",
        "Buckets low",
        "Buckets well",
        "Wanted in 7 d",
        "The emptiest",
    ];
    table("Limits of the CA", &columns, &rows)
}

/// Whom a bucket counts, as people know it: where the CA counts by account, its key begins with that.
fn counted(key: &str) -> &str {
    let (of, rest) = key.split_once('/').unwrap_or((key, "the account"));
    if Uuid::parse_str(of).is_ok() { rest } else { key }
}

fn paused(visitor: &Visitor, headroom: &Headroom, now: Timestamp) -> Markup {
    let rows: Vec<Markup> = headroom
        .paused_names
        .iter()
        .map(|name| {
            html! {
                th scope="row" { (name.hostname) }
                td { (instant(now, name.learnt_at)) }
                td.text {
                    @match name.unpause_url.as_deref().filter(|url| url.starts_with("https://")) {
                        Some(url) => a href=(url) rel="noopener noreferrer" target="_blank" { "Unpause at the CA" },
                        None => "–",
                    }
                }
            }
        })
        .collect();
    html! {
        (table("Paused names", &["Hostname", "Learnt", "Where"], &rows))
        @if !rows.is_empty() { (button(visitor, &RELEASE_NAMES, &[])) }
    }
}

async fn manage(visitor: &Visitor, now: Timestamp) -> Result<Markup, Fault> {
    let accounts: Accounts = visitor.get("/v1/accounts").await?;
    let overrides: OverrideList = visitor.get("/v1/limit-overrides").await?;
    let rows: Vec<Markup> = overrides.data.iter().map(|one| override_row(visitor, one, now)).collect();
    let columns = ["Limit", "Of", "Burst", "Refill", "From", "Note", "Ends", ""];
    Ok(html! {
        section {
            h2 { "Where the CA counts otherwise" }
            (table("Overrides", &columns, &rows))
            (form(visitor, &SET_OVERRIDE, &[], &html! {
                label {
                    "Limit"
                    select name="limit" {
                        @for name in LimitName::ALL { option value=(name.as_str()) { (plain(name.as_str())) } }
                    }
                }
                label { "Of one domain or name; empty: of the account" input name="key" autocomplete="off"; }
                label { "Burst" input name="burst" inputmode="numeric" required; }
                label { "Period in seconds" input name="period_seconds" inputmode="numeric" required; }
                label { "Note" input name="note" required placeholder="who granted it, and where"; }
                label { "Ends; empty: never" input name="expires_at" placeholder="2027-01-01T00:00:00Z"; }
            }))
        }
        section {
            h2 { "Accounts" }
            @for account in &accounts.data {
                (facts(&[
                    ("Id", html! { code { (account.id) } @if account.current { " " span.badge.good { "in use" } } }),
                    ("CA", html! { (account.ca) " " span.quiet { (account.directory_url) } }),
                    ("At the CA", html! { @match &account.account_url { Some(url) => code { (url) }, None => "not registered" } }),
                    ("Key", html! { code { (account.key_thumbprint) } }),
                    ("Contacts", html! { (account.contacts.join(", ")) }),
                    ("Stopped", html! { (account.stopped_reason.as_deref().unwrap_or("no")) }),
                    ("Created", instant(now, account.created_at)),
                ]))
            }
        }
    })
}

fn override_row(visitor: &Visitor, one: &OverrideView, now: Timestamp) -> Markup {
    let id = one.id.to_string();
    html! {
        th scope="row" { (plain(one.limit.as_str())) }
        td { (one.key.as_deref().unwrap_or("the account")) }
        td.number { (one.burst) }
        td { (one.count) " each " (span(Duration::from_secs(one.period_seconds))) }
        td { (one.origin) }
        td.text { (one.note) }
        td { (instant_or_dash(now, one.expires_at)) }
        td { (button(visitor, &REMOVE_OVERRIDE, &[("id", &id)])) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_called_by_whom_it_counts() {
        let account = Uuid::from_u128(7).to_string();
        assert_eq!(counted(&account), "the account");
        assert_eq!(counted(&format!("{account}/shop.example.com")), "shop.example.com");
        assert_eq!(counted("example.com"), "example.com");
    }
}
