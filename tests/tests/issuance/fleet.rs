//! Fleets that are imported whole.

use std::collections::BTreeMap;
use std::time::Duration;

use lockkeeper_tests::world::{Plan, World, csv, pairs};
use rehearsal::fleet::{Damage, Extent, Fault, Site};

const WITHIN: Duration = Duration::from_mins(1);

/// The class in which each fault of the demo must end.
fn class_of(fault: Fault) -> &'static str {
    match fault {
        // Of the whole site, its apex too.
        Fault::Nxdomain => "dns_unregistered",
        Fault::Servfail => "dns_servfail",
        Fault::NoAddress => "dns_no_address",
        Fault::WrongAddress => "wrong_address",
        Fault::Refused => "connection_refused",
        Fault::Timeout => "connection_timeout",
        Fault::NotFound => "http_status",
        Fault::WrongBody => "wrong_content",
        Fault::RedirectLoop => "redirect",
        Fault::Slow => "slow_response",
        other => panic!("{other} is none of the demo's"),
    }
}

fn names(site: &Site) -> Vec<&str> {
    site.names.iter().map(issuance::identifier::Hostname::as_str).collect()
}

#[tokio::test]
async fn good_sites_are_issued_and_each_broken_one_is_parked_with_its_cause() -> anyhow::Result<()> {
    let mut sites = pairs("fleet", 40);
    for (site, fault) in sites.iter_mut().zip(Fault::DEMO) {
        site.damage = Some(Damage { extent: Extent::WholeSite, fault });
    }
    let only_www = Fault::DEMO.len();
    sites[only_www].damage = Some(Damage { extent: Extent::Name(1), fault: Fault::NotFound });
    let world = World::start(Plan::new(sites.clone())).await?;
    let app = world.service("one").await?;

    let report = world.import_into("one", &app, csv(&sites)).await?;
    assert_eq!((report.rows_created, report.rows_refused), (40, 0));
    world.wait_until_done(WITHIN).await?;

    let mut parked = BTreeMap::new();
    for (site, fault) in sites.iter().zip(Fault::DEMO) {
        let fate = world.fate_of(&names(site)).await?;
        assert_eq!(fate, ("parked".to_owned(), Some(class_of(fault).to_owned())), "{fault}");
        *parked.entry(class_of(fault).to_owned()).or_default() += 1;
    }
    // Its apex has a certificate of its own, and the whole waits for `www`.
    let half = &sites[only_www];
    assert_eq!(world.fate_of(&names(half)[..1]).await?, ("issued".to_owned(), None));
    let fate = world.fate_of(&names(half)).await?;
    assert_eq!(fate, ("parked".to_owned(), Some("http_status".to_owned())));
    *parked.entry("http_status".to_owned()).or_default() += 1;
    for site in &sites[only_www + 1..] {
        assert_eq!(world.fate_of(&names(site)).await?, ("issued".to_owned(), None));
    }
    let summary = world.summary().await?;
    assert_eq!(summary.parked_by_fault, parked);
    assert_eq!((summary.certificates_issued, summary.open_authorizations), (30, 0));

    let audit = world.audit()?;
    assert_eq!((audit.authorizations.open, audit.rate_limited), (0, 0), "{audit:?}");
    assert_eq!((audit.certificates, audit.duplicate_certificates), (30, 0), "{audit:?}");
    // Whatever is broken never cost a validation at the CA, nor even an order.
    assert_eq!((audit.orders, audit.authorizations.invalid), (30, 0), "{audit:?}");

    // The same file again changes nothing.
    let again = world.import_into("one", &app, csv(&sites)).await?;
    assert_eq!((again.rows_unchanged, again.rows_created, again.orders_created), (40, 0, 0));
    world.wait_until_done(WITHIN).await?;
    assert_eq!(world.audit()?.orders, 30);
    app.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn a_name_that_is_mended_later_gets_its_certificate_when_it_is_due_again() -> anyhow::Result<()> {
    let mut sites = pairs("mended", 2);
    sites[0].damage = Some(Damage { extent: Extent::WholeSite, fault: Fault::Nxdomain });
    sites[1].damage = Some(Damage { extent: Extent::Name(1), fault: Fault::WrongBody });
    let world = World::start(Plan::new(sites.clone())).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(world.summary().await?.certificates_issued, 1, "the good apex");

    // Not mended yet: it rests again, for longer.
    world.end_rests().await?;
    world
        .wait_until("both were looked at again", WITHIN, async || {
            let orders = world.orders().await?;
            Ok(orders.iter().filter(|order| order.stage == "parked" && order.failures == 2).count() == 2)
        })
        .await?;
    world.fleet.set_fault_for_all(None);
    world.end_rests().await?;
    world
        .wait_until("both are issued", WITHIN, async || Ok(world.summary().await?.certificates_issued == 3))
        .await?;
    for site in &sites {
        assert_eq!(world.fate_of(&names(site)).await?, ("issued".to_owned(), None));
    }
    let audit = world.audit()?;
    assert_eq!((audit.authorizations.open, audit.duplicate_certificates), (0, 0), "{audit:?}");
    app.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn what_fails_at_the_ca_alone_is_parked_with_the_cas_cause_and_leaves_nothing_open()
-> anyhow::Result<()> {
    // Each seen to be served by the probe and by our own look, and then not by the CA.
    let fails_at_the_ca = Fault::BreaksAfter(2);
    let mut sites = pairs("late", 3);
    sites[0].damage = Some(Damage { extent: Extent::WholeSite, fault: fails_at_the_ca });
    sites[1].damage = Some(Damage { extent: Extent::Name(1), fault: fails_at_the_ca });
    let world = World::start(Plan::new(sites.clone())).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;

    for site in &sites[..2] {
        let fate = world.fate_of(&names(site)).await?;
        assert_eq!(fate, ("parked".to_owned(), Some("http_status".to_owned())));
    }
    assert_eq!(world.fate_of(&names(&sites[2])).await?, ("issued".to_owned(), None));
    let mut blamed: Vec<(String, i32, bool)> =
        sqlx::query_as("select hostname, failures, at_ca from hostname_backoffs order by hostname")
            .fetch_all(world.store.pool())
            .await?;
    blamed.sort();
    let blame = |name: &str| (name.to_owned(), 1, true);
    assert_eq!(blamed, [blame("late-0.com"), blame("www.late-0.com"), blame("www.late-1.com")]);
    let audit = world.audit()?;
    assert_eq!(audit.authorizations.open, 0, "{audit:?}");
    assert_eq!((audit.authorizations.invalid, audit.authorizations.deactivated), (3, 0), "{audit:?}");
    app.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn a_response_that_nobody_can_see_is_never_submitted() -> anyhow::Result<()> {
    let mut sites = pairs("unseen", 2);
    sites[0].damage = Some(Damage { extent: Extent::WholeSite, fault: Fault::WrongForCa });
    sites[1].damage = Some(Damage { extent: Extent::Name(1), fault: Fault::WrongForCa });
    let world = World::start(Plan::new(sites.clone())).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;

    for site in &sites {
        let fate = world.fate_of(&names(site)).await?;
        assert_eq!(fate, ("parked".to_owned(), Some("presentation_failed".to_owned())));
    }
    let audit = world.audit()?;
    assert_eq!((audit.authorizations.open, audit.authorizations.invalid), (0, 0), "{audit:?}");
    // The name that could be proven was, at no cost, and is reused by the next attempt.
    assert_eq!((audit.authorizations.valid, audit.authorizations.deactivated), (1, 3), "{audit:?}");
    app.stop().await?;
    world.stop().await
}
