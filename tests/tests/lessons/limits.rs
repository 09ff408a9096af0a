//! Limits that the CA's profile does not know, or knows with other numbers.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use issuance::limit::LimitName;
use issuance::time::Clock as _;
use lockkeeper::acme::{Endpoint, Transport};
use lockkeeper_tests::scripted_transport::{CallKind, Fate, ScriptedTransport, problem};
use lockkeeper_tests::world::{World, csv, pairs};
use rehearsal::faults::{Effect, Fault};

use crate::world::{WITHIN, certified, learnt, limit, refusals, sites, world};

const NEW_ORDERS: &str = "new_orders_per_account";

async fn refused_once(world: &World) -> anyhow::Result<()> {
    let refused = async || Ok(refusals(world)? == 1);
    world.wait_until("the CA refuses", WITHIN, refused).await
}

/// The profile says a million; the CA takes three a minute. One refusal teaches it, whoever orders afterwards: the same
/// service, the next one after a restart, or another replica.
#[tokio::test]
async fn one_refusal_teaches_how_many_orders_an_account_has_and_every_replica_knows() -> anyhow::Result<()> {
    let fleet = pairs("orders", 12);
    let world = world(&fleet, vec![limit(LimitName::NewOrdersPerAccount, 3, 60)]).await?;
    let one = world.service("one").await?;
    world.import_into("one", &one, csv(&fleet)).await?;
    refused_once(&world).await?;
    one.stop().await?;
    let (again, other) = (world.service("one").await?, world.service("two").await?);
    world.wait_until_done(WITHIN).await?;
    assert_eq!(refusals(&world)?, 1);
    assert_eq!(world.audit()?.certificates, 12);
    assert_eq!(learnt(&world).await?, [(NEW_ORDERS.to_owned(), 3, 60, true, false)]);
    let held: Option<time::OffsetDateTime> =
        sqlx::query_scalar("select held_until from accounts").fetch_one(world.store.pool()).await?;
    assert_eq!(held, None, "no more than that limit waits");
    again.stop().await?;
    other.stop().await?;
    world.stop().await
}

/// Some of one domain are issued, the next is refused, and teaches it for all domains; a site elsewhere goes on at once.
/// (The CA checks when it is asked, and counts when it issues: before it has refused one, it lets more through than two.)
#[tokio::test]
async fn a_domain_without_tokens_waits_and_nobody_else() -> anyhow::Result<()> {
    let names = ["a.full.com", "b.full.com", "c.full.com", "d.full.com", "e.full.com", "f.full.com"];
    let elsewhere = ["a.other.com", "b.other.com", "c.other.com"];
    let all: Vec<&str> = names.iter().chain(&elsewhere).copied().collect();
    let fleet = sites(&all);
    let domains = LimitName::CertificatesPerRegisteredDomain;
    let world = world(&fleet, vec![limit(domains, 2, 36_000)]).await?;
    let one = world.service("one").await?;
    let begun = world.clock.now();
    world.import_into("one", &one, csv(&fleet[..names.len()])).await?;
    refused_once(&world).await?;
    world.import_into("one", &one, csv(&fleet)).await?;
    let others = async || {
        let issued = certified(&world).await?;
        Ok(issued.iter().filter(|name| name.ends_with(".other.com")).count() == 2)
    };
    world.wait_until("those of another domain are issued", WITHIN, others).await?;
    assert!(begun.until(world.clock.now()) < Duration::from_hours(4), "before the first domain has a token");
    assert!(certified(&world).await?.len() < names.len() + 2, "the first domain waits");
    world.wait_until_done(WITHIN).await?;
    assert_eq!(certified(&world).await?.len(), all.len());
    assert_eq!(refusals(&world)?, 1, "the other domain's limit was known by then");
    assert_eq!(learnt(&world).await?, [(domains.as_str().to_owned(), 2, 36_000, false, false)]);
    let (told, reasons): (i64, i64) = sqlx::query_as(
        "select count(*), count(distinct (order_id, data ->> 'reason')) from events where kind = 'order.deferred'",
    )
    .fetch_one(world.store.pool())
    .await?;
    assert!(told > 0 && told == reasons, "each deferral is told once: {told}, {reasons}");
    one.stop().await?;
    world.stop().await
}

/// The profile lets a name fail five times an hour, the CA twice in ten: each failure is counted here as well, the third
/// attempt is refused once, and nobody tries again before a token is there.
#[tokio::test]
async fn a_name_that_fails_is_refused_once_and_its_failures_are_counted() -> anyhow::Result<()> {
    let fleet = sites(&["bad.failing.com"]);
    let failures = LimitName::FailedAuthorizationsPerHostname;
    let world = world(&fleet, vec![limit(failures, 2, 36_000)]).await?;
    let ca = world.ca.rehearsal().expect("the rehearsal CA");
    let outage = Fault::new(Effect::ValidationOutage { after_ms: 100 });
    ca.set_faults(rehearsal::faults::Plan { faults: vec![outage], ..rehearsal::faults::Plan::default() })?;
    let one = world.service("one").await?;
    world.import_into("one", &one, csv(&fleet)).await?;
    for failed in 1..=2_u32 {
        let fails = async || Ok(world.audit()?.authorizations.invalid == u64::from(failed));
        world.wait_until("it fails", WITHIN, fails).await?;
        world.wait_until_done(WITHIN).await?;
        let counted = world.clock.now().after(Duration::from_mins(12) * failed).to_datetime();
        let ahead = "select count(*) from buckets where limit_name = $1 and key like '%/bad.failing.com'
                     and full_at between $2::timestamptz - interval '15 minutes' and $2";
        let rows: i64 = sqlx::query_scalar(ahead)
            .bind(failures.as_str())
            .bind(counted)
            .fetch_one(world.store.pool())
            .await?;
        assert_eq!(rows, 1, "{failed} failures are counted");
        world.end_rests().await?;
    }
    refused_once(&world).await?;
    let from = world.clock.now();
    ca.set_faults(rehearsal::faults::Plan::default())?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(certified(&world).await?, ["bad.failing.com"]);
    assert!(from.until(world.clock.now()) > Duration::from_hours(4), "a token takes five hours");
    assert_eq!(refusals(&world)?, 1);
    assert_eq!(learnt(&world).await?, [(failures.as_str().to_owned(), 2, 36_000, true, false)]);
    let told: Vec<(String, i64)> = sqlx::query_as(
        "select kind, count(*) from events where kind like 'hostname.%' or kind like 'certificate.%'
         group by kind order by kind",
    )
    .fetch_all(world.store.pool())
    .await?;
    let once = ["certificate.failed", "certificate.issued", "hostname.failing", "hostname.ready"];
    assert_eq!(told, once.map(|kind| (kind.to_owned(), 1)), "one cause is told once");
    one.stop().await?;
    world.stop().await
}

/// 503 is no limit: whoever orders waits for as long as it says, and no bucket moves for it.
#[tokio::test]
async fn a_busy_ca_moves_no_bucket() -> anyhow::Result<()> {
    let fleet = pairs("busy", 2);
    let world = world(&fleet, vec![limit(LimitName::NewOrdersPerAccount, 300, 10_800)]).await?;
    let wire = ScriptedTransport::trusting(None, |call| match call {
        call if call.writes(Endpoint::NewOrder) && call.nth == 0 => Fate::Answer(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "rateLimited",
            "Service busy; retry later.",
        )),
        _ => Fate::Pass,
    })?;
    let one = world.service_through("one", Some(Arc::clone(&wire) as Arc<dyn Transport>)).await?;
    world.import_into("one", &one, csv(&fleet)).await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(certified(&world).await?.len(), 2);
    assert_eq!(wire.count(Endpoint::NewOrder, CallKind::Write), 3);
    let told: i64 = sqlx::query_scalar("select count(*) from buckets where promised_until is not null")
        .fetch_one(world.store.pool())
        .await?;
    assert_eq!((told, refusals(&world)?, learnt(&world).await?.len()), (0, 0, 0));
    one.stop().await?;
    world.stop().await
}
