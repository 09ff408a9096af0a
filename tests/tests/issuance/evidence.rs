//! What is not ready is looked at until it is, and then goes at once.

use std::sync::Arc;
use std::time::Duration;

use issuance::time::{Clock as _, Timestamp};
use lockkeeper::app::App;
use lockkeeper::reconcile::{Evidence, Reconciler as _};
use lockkeeper::store::explanations::{HostnameStatus, HostnameView};
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{Plan, World, csv, hostname};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rehearsal::fleet::{Fault, Site};
use sqlx::types::time::OffsetDateTime;

const WITHIN: Duration = Duration::from_mins(1);
/// Between two passes.
const STEP: Duration = Duration::from_secs(5);
const FAULTS: [Fault; 5] =
    [Fault::Nxdomain, Fault::WrongAddress, Fault::Refused, Fault::NotFound, Fault::WrongBody];

/// A service that looks at nothing by itself, and a fleet of which all is broken.
async fn broken(stem: &str, count: usize) -> anyhow::Result<(World, App, Evidence, Vec<Site>)> {
    let site = |place: usize| {
        Site::broken(vec![hostname(&format!("{stem}-{place}.com"))], FAULTS[place % FAULTS.len()])
    };
    let sites: Vec<Site> = (0..count).map(site).collect();
    let settings = Settings { reconcile_seconds: Some(100_000), ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;
    let evidence = Evidence::new(world.reconcile_parts().await?, Arc::new(world.preflight()?), 200);
    Ok((world, app, evidence, sites))
}

async fn one_pass(world: &World, app: &App, evidence: &Evidence) -> anyhow::Result<()> {
    let pass = evidence.pass(world.clock.now()).await?;
    if pass.count("released") > 0 {
        app.wake.notify_one();
    }
    nothing_is_due(world).await
}

/// What is due has been taken up, parked or not, and what was begun rests.
async fn nothing_is_due(world: &World) -> anyhow::Result<()> {
    world
        .wait_until("nothing is due", WITHIN, async || {
            let now =
                OffsetDateTime::UNIX_EPOCH + time::Duration::microseconds(world.clock.now().unix_micros());
            let due: i64 = sqlx::query_scalar(
                "select count(*) from orders where due_at <= $1 or lease_holder is not null",
            )
            .bind(now)
            .fetch_one(world.store.pool())
            .await?;
            Ok(due == 0)
        })
        .await?;
    world.wait_until_done(WITHIN).await
}

#[expect(clippy::print_stdout, reason = "the figures are what one wants to know of it")]
#[tokio::test]
async fn a_name_that_is_mended_at_any_instant_has_its_certificate_two_minutes_later() -> anyhow::Result<()> {
    const NAMES: usize = 40;
    const SPAN: Duration = Duration::from_hours(3);
    let (world, app, evidence, sites) = broken("random", NAMES).await?;
    assert_eq!(world.audit()?.orders, 0, "nothing is ordered that cannot pass");

    let mut rng = StdRng::seed_from_u64(11);
    let start = world.clock.now();
    let mut mends: Vec<(Timestamp, usize)> =
        (0..NAMES).map(|place| (start.after(SPAN.mul_f64(rng.random_range(0.0..1.0))), place)).collect();
    mends.sort_unstable();
    let mut mended_at = vec![None; NAMES];
    let mut next = 0;
    while world.clock.now() < start.after(SPAN).after(Duration::from_mins(10)) {
        while let Some((at, place)) = mends.get(next).filter(|(at, _)| *at <= world.clock.now()) {
            world.fleet.set_fault(&sites[*place].names[0], None);
            mended_at[*place] = Some(*at);
            next += 1;
        }
        one_pass(&world, &app, &evidence).await?;
        world.clock.leap(STEP);
    }

    let issued: Vec<(Vec<String>, OffsetDateTime)> =
        sqlx::query_as("select names, issued_at from issued_certificates")
            .fetch_all(world.store.pool())
            .await?;
    assert_eq!(issued.len(), NAMES);
    let mut waits: Vec<Duration> = issued
        .iter()
        .map(|(names, at)| {
            let place = sites.iter().position(|site| site.names[0].as_str() == names[0]).expect("a site");
            mended_at[place].expect("mended").until(Timestamp::from(*at))
        })
        .collect();
    waits.sort_unstable();
    let (median, worst) = (waits[NAMES / 2], waits[NAMES - 1]);
    println!("from the mend to the certificate: median {median:?}, worst {worst:?}, of {NAMES}");
    assert!(median < Duration::from_mins(2), "{waits:?}");
    assert!(worst < Duration::from_mins(5), "{waits:?}");
    let audit = world.audit()?;
    assert_eq!(
        (audit.orders, audit.authorizations.invalid),
        (NAMES as u64, 0),
        "one attempt each: {audit:?}"
    );
    let told: Vec<(String, i64, i64)> = sqlx::query_as(
        "select kind, count(*), count(distinct subject) from events
         where kind like 'hostname.%' or kind like 'certificate.%' group by kind order by kind",
    )
    .fetch_all(world.store.pool())
    .await?;
    let once = NAMES as i64;
    let expected = ["certificate.issued", "hostname.failing", "hostname.ready"];
    let expected: Vec<(String, i64, i64)> =
        expected.iter().map(|kind| ((*kind).to_owned(), once, once)).collect();
    assert_eq!(told, expected, "each is told once, however often it is looked at");
    app.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn what_was_not_ready_for_a_month_is_given_up_and_taken_up_again_by_hand() -> anyhow::Result<()> {
    let (world, app, evidence, sites) = broken("hopeless", 2).await?;
    let api = world.client("one", &app)?;
    let path = format!("/v1/hostnames/{}", sites[0].names[0]);
    // One of them is mended in the last hour, and is no longer hopeless.
    world.clock.leap(Duration::from_hours(30 * 24 - 1));
    one_pass(&world, &app, &evidence).await?;
    world.fleet.set_fault(&sites[1].names[0], None);
    world.clock.leap(Duration::from_hours(2));
    // Its own order was due long ago, and looks first.
    nothing_is_due(&world).await?;
    world.clock.leap(Duration::from_mins(70));
    one_pass(&world, &app, &evidence).await?;

    let given_up: HostnameView = api.get(&path).await?;
    assert_eq!(given_up.status, HostnameStatus::Suspended, "{given_up:?}");
    assert_eq!((given_up.next_attempt_at, given_up.next_look_at), (None, None));
    let told: Vec<(String, serde_json::Value)> = sqlx::query_as(
        "select tenants.slug, data from events join tenants using (tenant_id) where kind = 'hostname.blocked'",
    )
    .fetch_all(world.store.pool())
    .await?;
    let [(tenant, data)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(tenant, "tenant-0");
    assert_eq!(data["hostname"], sites[0].names[0].as_str());
    let other: HostnameView = api.get(&format!("/v1/hostnames/{}", sites[1].names[0])).await?;
    assert_eq!(other.status, HostnameStatus::Active, "{other:?}");

    // Mended, nobody looks; taken up again, it goes.
    world.fleet.set_fault(&sites[0].names[0], None);
    world.clock.leap(Duration::from_hours(48));
    one_pass(&world, &app, &evidence).await?;
    assert_eq!(world.summary().await?.certificates_issued, 1);
    let resumed: HostnameView = api.post(&format!("{path}/resume")).await?;
    assert!(resumed.suspended_at.is_none(), "{resumed:?}");
    world
        .wait_until("it is issued", WITHIN, async || Ok(world.summary().await?.certificates_issued == 2))
        .await?;
    assert_eq!(world.audit()?.orders, 2);
    app.stop().await?;
    world.stop().await
}

/// The check of a name is a wish in the database that a worker carries out; what it sees counts.
#[tokio::test]
async fn a_check_that_is_asked_for_is_made_at_once_and_releases_what_it_sees_mended() -> anyhow::Result<()> {
    let site = Site::broken(vec![hostname("asked.com")], Fault::NotFound);
    let world = World::start(Plan::new(vec![site.clone()])).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&[site])).await?;
    world.wait_until_done(WITHIN).await?;
    let api = world.client("one", &app)?;

    let seen: HostnameView = api.post_waiting("/v1/hostnames/asked.com/check", 30).await?;
    assert_eq!((seen.status, seen.verdict.as_deref()), (HostnameStatus::NotReady, Some("not_ready")));
    assert_eq!(seen.check_requested_at, None);
    let first = &seen.checks[0];
    assert_eq!(first.finding.check.as_str(), "response", "{seen:?}");
    assert!(first.finding.observed.contains("404") && first.hint.is_some(), "{first:?}");
    assert!(seen.to_do.is_some() && seen.next_look_at.is_some(), "{seen:?}");

    world.fleet.set_fault(&hostname("asked.com"), None);
    let mended: HostnameView = api.post_waiting("/v1/hostnames/asked.com/check", 30).await?;
    assert_eq!(mended.verdict.as_deref(), Some("ready"), "{mended:?}");
    world
        .wait_until("it is issued", WITHIN, async || Ok(world.summary().await?.certificates_issued == 1))
        .await?;
    let done: HostnameView = api.get("/v1/hostnames/asked.com").await?;
    assert_eq!((done.status, done.to_do), (HostnameStatus::Active, None));
    app.stop().await?;
    world.stop().await
}

/// What the CA refuses for a reason nobody sees here rests as before: a look that is right proves nothing.
#[tokio::test]
async fn a_refusal_that_no_check_explains_is_not_released_early() -> anyhow::Result<()> {
    let site = Site::broken(vec![hostname("unseen.com")], Fault::BreaksAfter(2));
    let world = World::start(Plan::new(vec![site.clone()])).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&[site])).await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(world.audit()?.authorizations.invalid, 1);
    // Written down beside the order, and not with it.
    world
        .wait_until("the CA's words are kept", WITHIN, async || {
            let kept: i64 =
                sqlx::query_scalar("select count(*) from hostname_checks where ca_problem is not null")
                    .fetch_one(world.store.pool())
                    .await?;
            Ok(kept == 1)
        })
        .await?;
    let api = world.client("one", &app)?;
    let told: HostnameView = api.get("/v1/hostnames/unseen.com").await?;
    assert_eq!(told.status, HostnameStatus::Resting, "{told:?}");
    let said = told.ca_problem.expect("the CA's own words");
    assert!(said.problem.detail.contains("404"), "{said:?}");

    world.fleet.set_fault(&hostname("unseen.com"), None);
    let rested_until = told.next_attempt_at;
    let looked: HostnameView = api.post_waiting("/v1/hostnames/unseen.com/check", 30).await?;
    assert_eq!(looked.verdict.as_deref(), Some("ready"), "{looked:?}");
    assert_eq!(looked.next_attempt_at, rested_until);
    assert_eq!(world.audit()?.orders, 1);
    app.stop().await?;
    world.stop().await
}
