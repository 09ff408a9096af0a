//! Renewals without a word of the CA, and what holds for all of them.

use std::sync::Arc;
use std::time::Duration;

use issuance::time::Timestamp;
use lockkeeper::acme::Transport;
use lockkeeper::reconcile::{Ari, Reconciler, Renew};
use lockkeeper::store::certificates::CertificateStatus;
use lockkeeper_tests::renewal_info::{RenewalInfoTransport, Told};
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, QUICK_PEBBLE, World, csv, pairs};
use rehearsal::rules::CaRules;

use crate::renewal_world::{DAY, Renewing};
use crate::world::{HOUR, WITHIN, spoil, until};

/// At a CA without renewal information, with certificates of the default profile of `rules`. Returns when the
/// certificate was valid from, and when it was ordered again.
async fn by_lifetime(stem: &str, rules: CaRules) -> anyhow::Result<(Timestamp, Timestamp)> {
    let transport: Arc<dyn Transport> = RenewalInfoTransport::new(Told::Nothing)?;
    let renewing = Renewing::start(stem, 1, CaChoice::Rehearsal(rules), Some(transport)).await?;
    renewing.pass().await?;
    let renewal = renewing.renewal().await?;
    assert_eq!((&*renewal.basis, renewal.window), ("lifetime", None));
    assert_eq!(renewing.pass_until_queued().await?, 1);
    let at = renewing.now();
    let orders = renewing.orders().await?;
    assert_eq!((&orders[1].replaces, orders[1].is_ari_exempt), (&None, false), "there is nothing to name");
    assert!(orders[1].is_set_exempt);
    renewing.work_off().await?;
    let audit = renewing.world.audit()?;
    assert_eq!((audit.certificates, audit.requests.get("renewal_info").copied().unwrap_or(0)), (2, 0));
    let second = renewing.certificates().await?[0].current.clone().expect("the second one");
    assert!(second.not_before.after(HOUR * 2) > at, "{second:?}");
    let first: sqlx::types::time::OffsetDateTime =
        sqlx::query_scalar("select min(not_before) from issued_certificates")
            .fetch_one(renewing.parts.store.pool())
            .await?;
    let told: Vec<String> =
        sqlx::query_scalar("select kind from events where kind like 'certificate.%' order by xid, seq")
            .fetch_all(renewing.parts.store.pool())
            .await?;
    assert_eq!(told, ["certificate.issued", "certificate.renewed"]);
    renewing.stop().await?;
    Ok((first.into(), at))
}

#[tokio::test]
async fn without_renewal_info_it_is_two_thirds_of_the_lifetime() -> anyhow::Result<()> {
    let (from, at) = by_lifetime("long", CaRules::default()).await?;
    let elapsed = from.until(at);
    assert!((DAY * 60..DAY * 62).contains(&(elapsed + Duration::from_secs(2))), "{elapsed:?}");
    Ok(())
}

#[tokio::test]
async fn and_half_of_a_short_one() -> anyhow::Result<()> {
    let rules = CaRules::default();
    let short = rules.profiles["shortlived"].clone();
    let life = Duration::from_secs(short.certificate_seconds);
    let (from, at) = by_lifetime("short", CaRules { default_profile: short, ..rules }).await?;
    let elapsed = from.until(at) + Duration::from_secs(2);
    assert!((life / 2..life / 2 + life / 40).contains(&elapsed), "{elapsed:?} of {life:?}");
    Ok(())
}

#[tokio::test]
async fn two_replicas_order_each_renewal_once() -> anyhow::Result<()> {
    let renewing = Renewing::start("both", 8, CaChoice::Rehearsal(CaRules::default()), None).await?;
    renewing.pass().await?;
    let other = renewing.world.reconcile_parts().await?;
    let (ari, renew) = (Ari::new(other.clone(), 500), Renew::new(other, 500));
    let last = renewing
        .certificates()
        .await?
        .iter()
        .filter_map(|one| one.renewal.as_ref())
        .map(|one| one.renew_at)
        .max();
    renewing.leap_to(last.expect("all are planned"));
    let now = renewing.now();
    tokio::try_join!(renewing.ari.pass(now), ari.pass(now))?;
    let (one, two) = tokio::try_join!(renewing.renew.pass(now), renew.pass(now))?;
    assert_eq!(one.count("queued") + two.count("queued"), 8, "{one:?} {two:?}");
    renewing.work_off().await?;
    assert_eq!(renewing.orders().await?.len(), 16);
    assert_eq!(renewing.world.audit()?.certificates, 16);
    renewing.stop().await
}

/// The old certificate is served until it runs out, nothing is ordered beside the order that waits, and on the last
/// day it goes before everything else.
#[tokio::test]
async fn a_renewal_that_does_not_come_is_not_ordered_twice_and_becomes_urgent() -> anyhow::Result<()> {
    let mut renewing = Renewing::at_the_rehearsal_ca("late", CaRules::default()).await?;
    renewing.pass().await?;
    // Nobody works on orders.
    renewing.app.stop().await?;
    renewing.app = renewing.world.front("front").await?;
    assert_eq!(renewing.pass_until_queued().await?, 1);
    let expires = renewing.certificates().await?[0].current.clone().expect("it is there").not_after;
    let mut hastened = 0;
    for _ in 0..60 {
        let next = renewing.parts.store.next_renewal_at(renewing.parts.account_id).await?;
        let next = next.expect("it is looked after");
        if next >= expires {
            break;
        }
        renewing.leap_to(next);
        let pass = renewing.renew.pass(renewing.now()).await?;
        assert_eq!(pass.count("queued"), 0, "{pass:?}");
        if pass.count("hastened") > 0 {
            hastened += 1;
            assert!(renewing.now().until(expires) <= DAY);
        }
        assert_eq!(renewing.certificates().await?[0].status, CertificateStatus::Active);
    }
    let orders = renewing.orders().await?;
    assert_eq!((hastened, orders.len(), orders[1].lane), (1, 2, 0), "{orders:?}");
    let counts = renewing
        .parts
        .store
        .count_renewals(
            renewing.parts.account_id,
            renewing.now(),
            renewing.now().before(DAY),
            renewing.now().after(DAY),
        )
        .await?;
    assert_eq!(
        (counts.due, counts.underway, counts.overdue, counts.expiring, counts.expired),
        (0, 1, 1, 1, 0)
    );
    renewing.stop().await
}

/// A wish that has changed has an order of its own.
#[tokio::test]
async fn a_certificate_whose_wish_has_changed_is_not_renewed_beside_it() -> anyhow::Result<()> {
    let mut renewing = Renewing::at_the_rehearsal_ca("wish", CaRules::default()).await?;
    renewing.pass().await?;
    renewing.app.stop().await?;
    renewing.app = renewing.world.front("front").await?;
    let csv = "tenant,external_id,names,challenge,labels\ntenant-0,site-0,wish-0.com,http-01,\n";
    renewing.world.import_into("front", &renewing.app, csv.to_owned()).await?;
    renewing.leap_to(renewing.renewal().await?.renew_at.after(HOUR));
    assert_eq!(renewing.pass().await?, 0);
    assert_eq!(renewing.orders().await?.len(), 2);
    renewing.stop().await
}

/// Debian's Pebble has no renewal information, and goes by the machine's clock.
#[tokio::test]
async fn pebble_renews_by_the_lifetime() -> anyhow::Result<()> {
    let sites = pairs("pebble", 1);
    let settings = Settings { renewal_seconds: Some(1), ..Settings::default() };
    let world = World::start(Plan { ca: QUICK_PEBBLE, settings, ..Plan::new(sites.clone()) }).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    until("the first is there and planned", async || {
        let planned: i64 = sqlx::query_scalar(
            "select count(*) from renewals where poll_at is null and window_start is null",
        )
        .fetch_one(world.store.pool())
        .await?;
        Ok(planned == 1)
    })
    .await?;
    let share: f64 = sqlx::query_scalar(
        "select (extract(epoch from renew_at - not_before) / extract(epoch from renewals.not_after - not_before))::float8
         from renewals join issued_certificates using (order_id)",
    )
    .fetch_one(world.store.pool())
    .await?;
    assert!((0.666..0.687).contains(&share), "{share}");
    // Years from now; brought forward.
    spoil(
        &world,
        "update renewals set renew_at = $1, look_at = $1",
        issuance::time::Clock::now(&*world.clock),
    )
    .await?;
    until("the service has renewed it by itself", async || {
        let orders = world.orders().await?;
        Ok(orders.len() == 2 && orders[1].stage == "issued")
    })
    .await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(world.orders().await?.len(), 2);
    app.stop().await?;
    world.stop().await
}
