//! Renewals by what the CA tells (RFC 9773).

use std::sync::Arc;
use std::time::Duration;

use issuance::limit::{Limit, LimitName};
use issuance::time::Timestamp;
use lockkeeper::acme::Transport;
use lockkeeper::reconcile::{Reconciler, Renew};
use lockkeeper_tests::renewal_info::{RenewalInfoTransport, Told};
use lockkeeper_tests::world::CaChoice;
use rehearsal::rules::CaRules;

use crate::renewal_world::{DAY, Renewing};
use crate::world::{HOUR, spoil};

fn once_in_a_hundred_days(name: LimitName) -> Limit {
    Limit { name, burst: 1, count: 1, period_seconds: 100 * 86_400 }
}

/// The CA would refuse a second order, of whatever kind, if it did not replace the first inside its window.
fn strict() -> CaRules {
    let limits = [LimitName::NewOrdersPerAccount, LimitName::CertificatesPerExactSet];
    CaRules { limits: limits.map(once_in_a_hundred_days).to_vec(), ..CaRules::default() }
}

fn window(start: Timestamp, width: Duration) -> Told {
    Told::Window { start, end: start.after(width), explanation_url: None, retry_after_seconds: 3_600 }
}

async fn told(stem: &str, told: Told) -> anyhow::Result<(Renewing, Arc<RenewalInfoTransport>)> {
    let transport = RenewalInfoTransport::new(told)?;
    let way = Some(Arc::clone(&transport) as Arc<dyn Transport>);
    let ca = CaChoice::Rehearsal(CaRules::default());
    Ok((Renewing::start(stem, 1, ca, way).await?, transport))
}

#[tokio::test]
async fn inside_the_window_a_renewal_costs_nothing_at_the_ca() -> anyhow::Result<()> {
    let renewing = Renewing::at_the_rehearsal_ca("exempt", strict()).await?;
    assert_eq!(renewing.pass().await?, 0);
    let first = renewing.renewal().await?;
    let window = first.window.expect("the CA has told it");
    assert_eq!((&*first.basis, first.renewing), ("renewal_info", false));
    assert!(window.start <= first.renew_at && first.renew_at < window.end, "{first:?}");

    renewing.leap_to(first.renew_at.before(Duration::from_secs(30)));
    assert_eq!(renewing.pass().await?, 0, "not before its instant");
    assert_eq!(renewing.pass_until_queued().await?, 1);
    assert!(window.start <= renewing.now() && renewing.now() < window.end);
    assert!(renewing.renewal().await?.renewing);
    assert_eq!(renewing.pass().await?, 0, "one order at a time");
    renewing.work_off().await?;

    let orders = renewing.orders().await?;
    assert_eq!(orders.len(), 2, "{orders:?}");
    assert_eq!((&*orders[1].stage, orders[1].lane), ("issued", 2));
    assert!(orders[1].replaces.is_some() && orders[1].is_ari_exempt && orders[1].is_set_exempt, "{orders:?}");
    let audit = renewing.world.audit()?;
    assert_eq!((audit.certificates, audit.rate_limited), (2, 0), "the CA would have said no: {audit:?}");
    // And so on with the next one.
    assert_eq!(renewing.pass().await?, 0);
    let second = renewing.renewal().await?;
    assert!(!second.renewing && second.renew_at > first.renew_at.after(DAY * 50), "{second:?}");
    renewing.stop().await
}

#[tokio::test]
async fn the_window_is_followed_and_asked_for_as_often_as_the_ca_says() -> anyhow::Result<()> {
    let now = Timestamp::from_unix_seconds(0);
    let (renewing, transport) = told("moved", window(now, HOUR)).await?;
    let start = renewing.now().after(DAY * 40);
    transport.tell(window(start, DAY * 2));
    renewing.pass().await?;
    let first = renewing.renewal().await?;
    assert!(start <= first.renew_at && first.renew_at < start.after(DAY * 2), "{first:?}");
    let next = renewing.parts.store.next_renewal_at(renewing.parts.account_id).await?.expect("a poll");
    assert_eq!(renewing.now().until(next).as_secs().div_ceil(60), 60, "an hour, as it was told");

    transport.tell(window(renewing.now().after(DAY * 3), DAY * 2));
    assert!(renewing.ari.pass(renewing.now()).await?.is_empty(), "nobody asks before that");
    assert_eq!(renewing.renewal().await?, first);
    transport.tell(window(start, DAY * 2));
    renewing.leap_to(next);
    assert!(renewing.ari.pass(renewing.now()).await?.is_empty());
    assert_eq!(renewing.renewal().await?, first, "the same window leaves the instant");

    let earlier = renewing.now().after(DAY * 3);
    transport.tell(window(earlier, DAY * 2));
    renewing.leap_to(renewing.now().after(HOUR * 2));
    assert_eq!(renewing.ari.pass(renewing.now()).await?.count("moved"), 1);
    let moved = renewing.renewal().await?;
    assert!(earlier <= moved.renew_at && moved.renew_at < earlier.after(DAY * 2), "{moved:?}");
    assert_eq!(renewing.pass_until_queued().await?, 1);
    assert!(renewing.now() < earlier.after(DAY * 2));
    renewing.stop().await
}

#[tokio::test]
async fn a_window_in_the_past_renews_at_once_and_tells_why() -> anyhow::Result<()> {
    let (renewing, transport) = told("past", Told::Truth).await?;
    renewing.pass().await?;
    let page = "https://ca.invalid/incidents/7";
    let (start, end) = (renewing.now().before(HOUR), renewing.now().before(HOUR / 2));
    transport.tell(Told::Window { start, end, explanation_url: Some(page), retry_after_seconds: 3_600 });
    renewing.leap_to(renewing.now().after(DAY));
    assert_eq!(renewing.ari.pass(renewing.now()).await?.count("past"), 1);
    assert_eq!(renewing.renew.pass(renewing.now()).await?.count("queued"), 1);
    let renewal = renewing.renewal().await?;
    assert_eq!((renewal.explanation_url.as_deref(), renewal.renewing), (Some(page), true));
    let orders = renewing.orders().await?;
    assert_eq!((orders[1].lane, orders[1].is_ari_exempt), (0, false), "a window that is over exempts nobody");
    renewing.work_off().await?;
    assert_eq!(renewing.world.audit()?.certificates, 2);
    renewing.stop().await
}

/// In each wording that the CA has for it, and once.
#[tokio::test]
async fn a_refused_replacement_is_ordered_without() -> anyhow::Result<()> {
    let renewing = Renewing::at_the_rehearsal_ca("replaced", CaRules::default()).await?;
    assert_eq!(renewing.pass_until_queued().await?, 1);
    // Somebody with the same account was there before.
    let id = renewing.orders().await?[1].replaces.clone().expect("it replaces");
    let names = issuance::identifier::Identifiers::new(
        ["replaced-0.com", "www.replaced-0.com"].map(lockkeeper_tests::world::hostname),
    )?;
    renewing.parts.account.new_order(&names, None, Some(&id)).await?;
    renewing.work_off().await?;
    let orders = renewing.orders().await?;
    assert_eq!(orders.len(), 2, "{orders:?}");
    assert_eq!((&*orders[1].stage, &orders[1].replaces, orders[1].is_ari_exempt), ("issued", &None, false));
    let audit = renewing.world.audit()?;
    assert_eq!((audit.certificates, audit.problems.get("alreadyReplaced")), (2, Some(&1)), "{audit:?}");
    renewing.stop().await
}

#[tokio::test]
async fn a_certificate_that_the_ca_does_not_know_is_renewed_without_naming_it() -> anyhow::Result<()> {
    let renewing = Renewing::at_the_rehearsal_ca("unknown", CaRules::default()).await?;
    renewing.pass().await?;
    let forget = "update renewals set renewal_id = split_part(renewal_id, '.', 1) || '.AIdlQyEAAAAAAAAAAAAAAAAA', look_at = $1, poll_at = null";
    spoil(&renewing.world, forget, renewing.now()).await?;
    assert_eq!(renewing.renew.pass(renewing.now()).await?.count("queued"), 1);
    renewing.work_off().await?;
    let orders = renewing.orders().await?;
    assert_eq!(orders.iter().map(|order| &*order.stage).collect::<Vec<_>>(), ["issued", "issued"]);
    assert_eq!(orders[1].replaces, None);
    assert_eq!(renewing.world.audit()?.certificates, 2);
    renewing.stop().await
}

#[tokio::test]
async fn a_ca_that_does_not_answer_is_asked_more_patiently_and_the_lifetime_counts() -> anyhow::Result<()> {
    let (renewing, _transport) = told("silent", Told::Failure).await?;
    renewing.pass().await?;
    let planned = renewing.renewal().await?;
    assert_eq!((&*planned.basis, planned.window), ("lifetime", None));
    let asked = renewing.now();
    assert_eq!(renewing.pass_until_queued().await?, 1);
    assert!(planned.renew_at <= renewing.now(), "not earlier");
    assert!(asked.until(renewing.now()) >= DAY * 59);
    // At most daily, after the first ones.
    let polls: i32 = sqlx::query_scalar("select poll_failures from renewals")
        .fetch_one(renewing.parts.store.pool())
        .await?;
    assert!((60..=80).contains(&polls), "{polls}");
    let orders = renewing.orders().await?;
    assert!(orders[1].replaces.is_some() && !orders[1].is_ari_exempt, "{orders:?}");
    renewing.work_off().await?;
    assert_eq!(renewing.world.audit()?.certificates, 2);
    renewing.stop().await
}

/// What was drawn is kept: by the next process, and by the other replica.
#[tokio::test]
async fn a_restart_neither_draws_nor_orders_again() -> anyhow::Result<()> {
    let mut renewing = Renewing::at_the_rehearsal_ca("restart", CaRules::default()).await?;
    renewing.pass().await?;
    let before = renewing.renewal().await?;
    renewing.app.stop().await?;
    renewing.app = renewing.world.service("one").await?;
    let parts = renewing.world.reconcile_parts().await?;
    renewing.renew = Renew::new(parts, 500);
    assert_eq!(renewing.pass().await?, 0);
    assert_eq!(renewing.renewal().await?, before);
    // And in the middle of it.
    assert_eq!(renewing.pass_until_queued().await?, 1);
    renewing.app.stop().await?;
    renewing.app = renewing.world.service("one").await?;
    assert_eq!(renewing.pass().await?, 0);
    renewing.work_off().await?;
    assert_eq!(renewing.pass().await?, 0);
    assert_eq!(renewing.orders().await?.len(), 2);
    assert_eq!(renewing.world.audit()?.certificates, 2);
    renewing.stop().await
}
