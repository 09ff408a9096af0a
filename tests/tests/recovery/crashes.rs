//! The table "What a new process does", row by row.

use std::time::Duration;

use http::StatusCode;
use issuance::time::Clock as _;
use lockkeeper::acme::Endpoint;
use lockkeeper_tests::scripted_transport::{Call, CallKind, Fate, problem};
use lockkeeper_tests::world::{World, hostname, pairs};
use rehearsal::fleet::{Fault, Site};

use crate::lives::{
    Life, WITHIN, assert_issued_once, consent, dead, reaches, records, refuse, refused, rules, stages, world,
};

/// One site of two names.
fn site(stem: &str) -> Vec<Site> {
    pairs(stem, 1)
}

fn names(sites: &[Site]) -> impl Iterator<Item = &issuance::identifier::Hostname> {
    sites.iter().flat_map(|site| &site.names)
}

fn break_all(world: &World, sites: &[Site], fault: Option<Fault>) {
    for name in names(sites) {
        world.fleet.set_fault(name, fault);
    }
}

/// Requests so far that the web servers got for the names.
fn fetches(world: &World, sites: &[Site]) -> u64 {
    names(sites).map(|name| world.fleet.hits(name).http).sum()
}

/// A service that dies where the script lets it hang, and another one that brings it to its end: one order at the
/// CA, however often it died.
async fn dies_once(
    stem: &str,
    senders: usize,
    script: impl FnMut(Call) -> Fate + Send + 'static,
) -> anyhow::Result<()> {
    let sites = site(stem);
    let world = world(&sites, rules()).await?;
    dead(&world, &sites, senders, script).await?;
    assert_eq!(world.summary().await?.certificates_issued, 0, "it died in the middle");
    Life::after(&world).await?.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    assert_eq!(world.audit()?.orders, 1);
    world.stop().await
}

#[tokio::test]
async fn names_that_were_being_checked_are_checked_again() -> anyhow::Result<()> {
    let sites = site("checked");
    let world = world(&sites, rules()).await?;
    break_all(&world, &sites, Some(Fault::Timeout));
    let life = Life::after(&world).await?;
    life.import(&world, &sites).await?;
    let asked = world.fleet.wait_for(&sites[0].names[0], |hits| hits.http > 0);
    tokio::time::timeout(WITHIN, asked).await?;
    life.die(&world).await?;
    assert_eq!(world.audit()?.orders, 0);
    break_all(&world, &sites, None);
    let life = Life::after(&world).await?;
    let issued = async || {
        world.end_rests().await?;
        Ok(world.summary().await?.certificates_issued == 1)
    };
    world.wait_until("the certificate", WITHIN, issued).await?;
    life.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    world.stop().await
}

/// The account is held, so that a proven order waits for the gate.
async fn waits_at_the_gate(stem: &str, wait: Duration) -> anyhow::Result<u64> {
    let sites = site(stem);
    let world = world(&sites, rules()).await?;
    let life = Life::after(&world).await?;
    let until = world.clock.now().after(wait).to_datetime().expect("a year of the calendar");
    sqlx::query("update accounts set held_until = $1").bind(until).execute(world.store.pool()).await?;
    life.import(&world, &sites).await?;
    let proven = "select count(*) from orders where stage = 'accepted' and proven_at is not null
                  and lease_holder is null";
    let waits = async || {
        let proven: i64 = sqlx::query_scalar(proven).fetch_one(world.store.pool()).await?;
        Ok(proven == 1)
    };
    world.wait_until("it waits for the gate", WITHIN, waits).await?;
    life.die(&world).await?;
    let before = fetches(&world, &sites);
    Life::after(&world).await?.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    let after = fetches(&world, &sites);
    world.stop().await?;
    Ok(after - before)
}

#[tokio::test]
async fn a_check_that_was_committed_counts_for_ten_minutes() -> anyhow::Result<()> {
    // Our look at the response, and the CA's.
    assert_eq!(waits_at_the_gate("fresh", Duration::from_mins(5)).await?, 4);
    // And the check once more.
    assert_eq!(waits_at_the_gate("stale", Duration::from_mins(20)).await?, 6);
    Ok(())
}

#[tokio::test]
async fn new_order_that_never_left_is_asked_for_after_the_quiet_period() -> anyhow::Result<()> {
    dies_once("unsent", 1, |call| match call.endpoint {
        Endpoint::NewOrder => Fate::Hang,
        _ => Fate::Pass,
    })
    .await
}

#[tokio::test]
async fn new_order_that_was_executed_is_found_by_asking_again() -> anyhow::Result<()> {
    dies_once("unheard", 1, |call| match call.endpoint {
        Endpoint::NewOrder => Fate::AnswerHangs,
        _ => Fate::Pass,
    })
    .await
}

#[tokio::test]
async fn new_order_whose_urls_were_not_committed_is_found_by_asking_again() -> anyhow::Result<()> {
    let sites = site("uncommitted");
    let world = world(&sites, rules()).await?;
    refuse(&world, "placed").await?;
    let life = Life::after(&world).await?;
    life.import(&world, &sites).await?;
    refused(&world).await?;
    life.die(&world).await?;
    assert_eq!(stages(&world).await?, ["admitted"]);
    consent(&world).await?;
    Life::after(&world).await?.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    assert_eq!(world.audit()?.orders, 1);
    world.stop().await
}

#[tokio::test]
async fn a_placed_order_is_read_on() -> anyhow::Result<()> {
    dies_once("placed", 1, |call| match call {
        call if call.reads(Endpoint::Authorization) => Fate::Hang,
        _ => Fate::Pass,
    })
    .await
}

#[tokio::test]
async fn a_presented_order_is_tried_again_by_the_next_process() -> anyhow::Result<()> {
    let sites = site("presented");
    let world = world(&sites, rules()).await?;
    break_all(&world, &sites, Some(Fault::WrongForCa));
    let life = Life::after(&world).await?;
    life.import(&world, &sites).await?;
    reaches(&world, "presented").await?;
    life.die(&world).await?;
    break_all(&world, &sites, None);
    Life::after(&world).await?.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    assert_eq!(world.audit()?.orders, 1, "the same order at the CA");
    world.stop().await
}

#[tokio::test]
async fn challenges_that_never_left_are_posted_after_a_look() -> anyhow::Result<()> {
    dies_once("unposted", 2, |call| match call.endpoint {
        Endpoint::Challenge => Fate::Hang,
        _ => Fate::Pass,
    })
    .await
}

#[tokio::test]
async fn challenges_that_the_ca_has_taken_are_not_posted_again() -> anyhow::Result<()> {
    let sites = site("taken");
    let world = world(&sites, rules()).await?;
    dead(&world, &sites, 2, |call| match call.endpoint {
        Endpoint::Challenge => Fate::AnswerHangs,
        _ => Fate::Pass,
    })
    .await?;
    assert_eq!(stages(&world).await?, ["submitted"]);
    let life = Life::after(&world).await?;
    let wire = life.wire.clone();
    life.finish(&world).await?;
    assert_eq!(wire.count(Endpoint::Challenge, CallKind::Write), 0);
    assert_issued_once(&world, &sites).await?;
    world.stop().await
}

#[tokio::test]
async fn an_order_under_validation_is_read_on() -> anyhow::Result<()> {
    dies_once("validated", 1, |call| match call {
        call if call.reads(Endpoint::Order) => Fate::Hang,
        _ => Fate::Pass,
    })
    .await
}

#[tokio::test]
async fn a_validation_that_nobody_answered_rests_and_is_tried_again() -> anyhow::Result<()> {
    let sites = site("unanswered");
    let world = world(&sites, rules()).await?;
    // The check and our own look are answered; the CA comes third.
    break_all(&world, &sites, Some(Fault::BreaksAfter(2)));
    dead(&world, &sites, 1, |call| match call {
        call if call.reads(Endpoint::Order) => Fate::Hang,
        _ => Fate::Pass,
    })
    .await?;
    break_all(&world, &sites, None);
    let life = Life::after(&world).await?;
    let failed = async || Ok(stages(&world).await? == ["failed", "parked"]);
    world.wait_until("the failure is found", WITHIN, failed).await?;
    world.end_rests().await?;
    let issued = async || Ok(world.summary().await?.certificates_issued == 1);
    world.wait_until("the certificate", WITHIN, issued).await?;
    life.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    assert_eq!(world.audit()?.orders, 2);
    world.stop().await
}

#[tokio::test]
async fn a_key_that_was_not_committed_is_never_used() -> anyhow::Result<()> {
    let sites = site("keyless");
    let world = world(&sites, rules()).await?;
    refuse(&world, "finalizing").await?;
    let life = Life::after(&world).await?;
    life.import(&world, &sites).await?;
    refused(&world).await?;
    assert_eq!(life.wire.count(Endpoint::Finalize, CallKind::Write), 0);
    life.die(&world).await?;
    assert_eq!(stages(&world).await?, ["submitted"]);
    consent(&world).await?;
    Life::after(&world).await?.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    world.stop().await
}

#[tokio::test]
async fn finalize_that_never_left_is_sent_with_the_committed_request() -> anyhow::Result<()> {
    dies_once("unfinalized", 1, |call| match call.endpoint {
        Endpoint::Finalize => Fate::Hang,
        _ => Fate::Pass,
    })
    .await
}

#[tokio::test]
async fn finalize_that_was_executed_is_not_sent_again() -> anyhow::Result<()> {
    let sites = site("finalized");
    let world = world(&sites, rules()).await?;
    dead(&world, &sites, 1, |call| match call.endpoint {
        Endpoint::Finalize => Fate::AnswerHangs,
        _ => Fate::Pass,
    })
    .await?;
    let life = Life::after(&world).await?;
    let wire = life.wire.clone();
    life.finish(&world).await?;
    assert_eq!(wire.count(Endpoint::Finalize, CallKind::Write), 0);
    assert_issued_once(&world, &sites).await?;
    world.stop().await
}

#[tokio::test]
async fn a_certificate_that_was_not_downloaded_is() -> anyhow::Result<()> {
    dies_once("undownloaded", 1, |call| match call.endpoint {
        Endpoint::Certificate => Fate::Hang,
        _ => Fate::Pass,
    })
    .await
}

#[tokio::test]
async fn a_chain_that_was_not_committed_is_downloaded_again() -> anyhow::Result<()> {
    let sites = site("unstored");
    let world = world(&sites, rules()).await?;
    refuse(&world, "issued").await?;
    let life = Life::after(&world).await?;
    life.import(&world, &sites).await?;
    refused(&world).await?;
    life.die(&world).await?;
    assert_eq!(stages(&world).await?, ["finalizing"]);
    consent(&world).await?;
    Life::after(&world).await?.finish(&world).await?;
    assert_issued_once(&world, &sites).await?;
    world.stop().await
}

/// Dies with a deactivation of each name under way.
async fn dies_settling(stem: &str, fate: fn() -> Fate) -> anyhow::Result<()> {
    let sites = site(stem);
    let world = world(&sites, rules()).await?;
    break_all(&world, &sites, Some(Fault::WrongForCa));
    let life = Life::begin(&world, move |call| if call.deactivates() { fate() } else { Fate::Pass }).await?;
    life.import(&world, &sites).await?;
    let wire = life.wire.clone();
    let settling = async || Ok(wire.count(Endpoint::Authorization, CallKind::Write) == 2);
    world.wait_until("both are being deactivated", WITHIN, settling).await?;
    life.die(&world).await?;
    break_all(&world, &sites, None);
    let life = Life::after(&world).await?;
    world.wait_until_done(WITHIN).await?;
    let first: Vec<_> = records(&world).into_iter().take(2).map(|one| one.status).collect();
    assert_eq!(first, ["deactivated", "deactivated"]);
    assert_eq!(world.audit()?.authorizations.open, 0);
    life.finish(&world).await?;
    world.stop().await
}

#[tokio::test]
async fn a_deactivation_that_never_left_is_sent_again() -> anyhow::Result<()> {
    dies_settling("undeactivated", || Fate::Hang).await
}

#[tokio::test]
async fn a_deactivation_that_was_executed_is_found_out() -> anyhow::Result<()> {
    dies_settling("deactivated", || Fate::AnswerHangs).await
}

/// The sibling of a name that failed is served: it is submitted, and valid for the next attempt.
#[tokio::test]
async fn a_submission_of_an_ended_order_is_posted_after_a_look() -> anyhow::Result<()> {
    let sites = site("sibling");
    let world = world(&sites, rules()).await?;
    world.fleet.set_fault(&hostname("www.sibling-0.com"), Some(Fault::WrongForCa));
    let life = Life::begin(&world, |call| match call.endpoint {
        Endpoint::Challenge => Fate::Hang,
        _ => Fate::Pass,
    })
    .await?;
    life.import(&world, &sites).await?;
    let wire = life.wire.clone();
    let submitting = async || Ok(wire.count(Endpoint::Challenge, CallKind::Write) == 1);
    world.wait_until("the sibling is being submitted", WITHIN, submitting).await?;
    life.die(&world).await?;
    let life = Life::after(&world).await?;
    let submitted = async || Ok(records(&world).iter().any(|one| one.status == "valid"));
    world.wait_until("the sibling is valid", WITHIN, submitted).await?;
    world.wait_until_done(WITHIN).await?;
    let audit = world.audit()?;
    assert_eq!((audit.authorizations.open, audit.rate_limited), (0, 0), "{audit:?}");
    let of = |name: &str| records(&world).into_iter().find(|one| one.name == name).expect("ordered").status;
    assert_eq!((of("sibling-0.com"), of("www.sibling-0.com")), ("valid", "deactivated"));
    life.finish(&world).await?;
    world.stop().await
}

/// A CA that says of a challenge that it is being validated has taken it.
#[tokio::test]
async fn a_conflict_says_that_the_challenge_was_submitted() -> anyhow::Result<()> {
    let sites = site("conflict");
    let world = world(&sites, rules()).await?;
    let life = Life::begin(&world, |call| match call.endpoint {
        Endpoint::Challenge => {
            Fate::AnswerWith(problem(StatusCode::CONFLICT, "conflict", "already being validated"))
        }
        _ => Fate::Pass,
    })
    .await?;
    life.import(&world, &sites).await?;
    let wire = life.wire.clone();
    life.finish(&world).await?;
    assert_eq!(wire.count(Endpoint::Challenge, CallKind::Write), 2, "none is posted twice");
    assert_issued_once(&world, &sites).await?;
    world.stop().await
}
