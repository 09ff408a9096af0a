//! The overview: what is wrong, for whom, since when, what it costs, and where to press.

use std::time::Duration;

use axum::extract::State;
use issuance::time::Timestamp;
use maud::{Markup, html};

use super::accounts::gauges;
use super::glance::Glance;
use super::hostnames::causes;
use crate::api::address::with_query;
use crate::api::census::Backlog;
use crate::dashboard::Dashboard;
use crate::dashboard::chart::{burn_down, strip};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Fault, Shown};
use crate::dashboard::parts::Tone;
use crate::dashboard::words::{count, instant, span};
use crate::store::events_view::EventView;
use crate::store::fleet_samples::{BacklogPoint, FleetView};
use crate::store::headroom::Headroom;
use crate::store::page::Listing;
use crate::store::scope::Scope;
use crate::store::summary::Summary;

const BACKLOG_SHOWN: Duration = Duration::from_hours(24);
const NEWS: &str = "certificate.failed,hostname.blocked,authorization.stuck,headroom.*,account.*,webhook.disabled,\
                    certificate.deploy_failed,certificate.expiring";

pub(super) async fn show(State(dashboard): State<Dashboard>, visitor: Visitor) -> Shown {
    let now = dashboard.state.clock.now();
    let body =
        if visitor.is_operator() { of_operator(&visitor, now).await? } else { of_tenant(&visitor).await? };
    let news = news(&visitor, now).await?;
    Ok(page::show(&visitor, "Overview", &html! { (body) (news) }))
}

/// One number that leads to what it counts.
struct Tile<'a> {
    tone: Tone,
    amount: u64,
    word: &'a str,
    to: String,
}

fn tiles(label: &str, tiles: &[Tile<'_>]) -> Markup {
    html! {
        ul.tiles aria-label=(label) {
            @for tile in tiles {
                li.(tile.tone.class()) { a href=(tile.to) { b { (count(tile.amount)) } " " (tile.word) } }
            }
        }
    }
}

async fn of_operator(visitor: &Visitor, now: Timestamp) -> Result<Markup, Fault> {
    let fleet: Option<FleetView> = visitor.find("/v1/census").await?;
    let since = now.before(BACKLOG_SHOWN).to_string();
    let backlog: Backlog = visitor.get(&with_query("/v1/census/backlog", &[("since", Some(&since))])).await?;
    let headroom: Option<Headroom> = match visitor.ask.get("/v1/headroom").await {
        Ok(headroom) => Some(headroom),
        // The service has no account at the CA so far.
        Err(refusal) if refusal.code == "account-missing" => None,
        Err(refusal) => return Err(Fault::new(visitor, refusal)),
    };
    let done_at = headroom.as_ref().and_then(|headroom| done_at(headroom, backlog.data.last()?, now));
    Ok(html! {
        @match &fleet {
            Some(fleet) => (health(fleet, now)),
            None => p.notice { "No worker has counted the fleet so far." },
        }
        @if let Some(headroom) = &headroom { (standing(headroom, now)) }
        section {
            h2 { "Backlog" }
            (backlog_told(&backlog.data, done_at, now))
        }
        @if let Some(fleet) = &fleet { (causes(&Glance::of_fleet(fleet).causes)) }
        @if let Some(fleet) = &fleet {
            section {
                h2 { "Renewals, 30 days ahead" }
                (strip("Renewals", &fleet.sample.renewals_by_day, fleet.taken_at))
            }
        }
    })
}

/// The fleet in four colours, each with its word.
fn health(fleet: &FleetView, now: Timestamp) -> Markup {
    let sample = &fleet.sample;
    let failing: u64 = sample.hostnames_failing.values().sum();
    let troubled = failing + sample.hostnames_suspended + sample.hostnames_paused_at_ca;
    let band = |band: &str| sample.certificates_by_expiry.get(band).copied().unwrap_or_default();
    let expiring = band("1d") + band("3d");
    let of = |status: &str| with_query("/admin/hostnames", &[("status", Some(status))]);
    let open: u64 = sample.authorizations.values().sum();
    html! {
        (tiles("Hostnames", &[
            Tile { tone: Tone::Good, amount: sample.hostnames.saturating_sub(troubled), word: "hostnames healthy", to: of("active") },
            Tile { tone: Tone::Attention, amount: failing, word: "need attention", to: of("not_ready") },
            Tile { tone: Tone::Bad, amount: sample.hostnames_suspended, word: "failing, given up", to: of("suspended") },
            Tile { tone: Tone::Off, amount: sample.hostnames_paused_at_ca, word: "paused at the CA", to: of("paused_at_ca") },
        ]))
        (tiles("Certificates and orders", &[
            Tile { tone: Tone::Bad, amount: band("expired"), word: "expired", to: "/admin/certificates?status=failed".to_owned() },
            Tile { tone: Tone::Attention, amount: expiring, word: "expire in 3 days", to: "/admin/certificates?status=attention".to_owned() },
            Tile { tone: Tone::Moving, amount: sample.backlog(), word: "orders waiting", to: "/admin/queue".to_owned() },
            Tile { tone: Tone::Moving, amount: sample.in_state("at_the_ca"), word: "at the CA", to: "/admin/queue?stage=submitted".to_owned() },
            Tile { tone: Tone::Attention, amount: sample.in_state("parked"), word: "parked", to: "/admin/queue?stage=parked".to_owned() },
            Tile { tone: Tone::Moving, amount: open, word: "authorizations open", to: "/admin/authorizations".to_owned() },
        ]))
        p.quiet {
            "Counted " (instant(now, fleet.taken_at)) ". "
            @for (lane, seconds) in sample.queue_head_seconds.iter().filter(|(_, seconds)| **seconds > 0) {
                "The first " (lane) " order has waited " (span(Duration::from_secs(*seconds))) ". "
            }
        }
    }
}

/// How the CA stands to us, and what is left of each limit.
fn standing(headroom: &Headroom, now: Timestamp) -> Markup {
    html! {
        section {
            h2 { "Headroom at " (headroom.ca) }
            @if let Some(reason) = &headroom.stopped_reason {
                p.notice.bad role="alert" { "The account takes no orders: " (reason) }
            }
            @if let Some(until) = headroom.held_until.filter(|until| *until > now) {
                p.notice { "The CA has asked for a rest: orders go on " (instant(now, until)) "." }
            }
            @if !headroom.paused_names.is_empty() {
                p.notice {
                    @match headroom.paused_names.len() {
                        1 => "1 name is paused at the CA: ",
                        names => { (count(names as u64)) " names are paused at the CA: " }
                    }
                    a href="/admin/accounts#paused" { "unpause them" }
                }
            }
            (gauges(headroom, now))
            p { a href="/admin/accounts" { "All limits" } }
        }
    }
}

/// When the backlog is gone at the best, at the pace at which the CA lets new orders through.
fn done_at(headroom: &Headroom, last: &BacklogPoint, now: Timestamp) -> Option<Timestamp> {
    use issuance::limit::LimitName;
    let limit = headroom.limits.iter().find(|limit| limit.name == LimitName::NewOrdersPerAccount)?;
    let left = limit.buckets.first().map_or(limit.burst, |bucket| bucket.remaining);
    let missing = last.waiting.checked_sub(u64::from(left))?;
    let each = limit.refill_period_seconds as f64 / f64::from(limit.refill_count.max(1));
    (missing > 0).then(|| now.after(Duration::from_secs_f64(missing as f64 * each)))
}

fn backlog_told(points: &[BacklogPoint], done_at: Option<Timestamp>, now: Timestamp) -> Markup {
    html! {
        p {
            @match points.last().map(|point| point.waiting) {
                None => "Not counted so far. ",
                Some(1) => "1 order waits. ",
                Some(waiting) => { (count(waiting)) " orders wait. " }
            }
            @if let Some(at) = done_at { "At the CA's pace they are through " (instant(now, at)) " at the soonest. " }
            a href="/admin/plan" { "Ask for a forecast" }
        }
        @if points.len() > 1 { (burn_down(points, done_at)) }
    }
}

async fn of_tenant(visitor: &Visitor) -> Result<Markup, Fault> {
    let summary: Summary = visitor.get("/v1/summary").await?;
    let parked: u64 = summary.parked_by_fault.values().sum();
    let failed: u64 = summary.failed_by_fault.values().sum();
    Ok(html! {
        (tiles("Certificates", &[
            Tile { tone: Tone::Good, amount: summary.certificates, word: "certificates", to: "/admin/certificates".to_owned() },
            Tile { tone: Tone::Moving, amount: summary.orders_moving, word: "orders on their way", to: "/admin/queue".to_owned() },
            Tile { tone: Tone::Attention, amount: parked, word: "wait for you", to: "/admin/queue?stage=parked".to_owned() },
            Tile { tone: Tone::Bad, amount: failed, word: "failed", to: "/admin/queue?stage=failed".to_owned() },
        ]))
        (causes(&Glance::of_tenant(&summary).causes))
    })
}

async fn news(visitor: &Visitor, now: Timestamp) -> Result<Markup, Fault> {
    if !visitor.may(Scope::EventsRead) {
        return Ok(html! {});
    }
    let path = with_query("/v1/events", &[("kind", Some(NEWS)), ("limit", Some("10"))]);
    let found: Listing<EventView> = visitor.get(&path).await?;
    Ok(html! {
        section {
            h2 { "News that somebody should look at" }
            (super::events::events(&found.data, now))
        }
    })
}
