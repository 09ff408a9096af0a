//! What the service tells of its fleet: right, bounded, and of nobody by name.

use std::time::Duration;

use anyhow::ensure;
use issuance::fairness::Lane;
use issuance::time::Clock as _;
use lockkeeper::store::census;
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{Plan, World, csv, hostname};
use rehearsal::fleet::{Fault, Site};

use crate::scrape::Scrape;

const WITHIN: Duration = Duration::from_mins(1);
const SERIES_MAX: usize = 5_000;

/// Of one name each; the last one's server does not answer.
fn sites() -> Vec<Site> {
    let mut sites: Vec<Site> =
        (0..4).map(|place| Site::healthy(vec![hostname(&format!("counted-{place}.com"))])).collect();
    sites[3] = Site::broken(sites[3].names.clone(), Fault::Refused);
    sites
}

#[tokio::test]
async fn the_census_counts_what_is_there() -> anyhow::Result<()> {
    let sites = sites();
    let settings = Settings { reconcile_seconds: Some(1), renewal_seconds: Some(1), ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let service = world.service("one").await?;
    world.import_into("one", &service, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;
    // What was issued counts from when its renewal is planned.
    world
        .wait_until("renewals are planned", WITHIN, async || {
            Ok(census::take(&world.store, world.clock.now()).await?.by_expiry.values().sum::<u64>() == 3)
        })
        .await?;
    let found = census::take(&world.store, world.clock.now()).await?;
    assert_eq!((found.tenants, found.certificates, found.hostnames.all), (1, 4, 4));
    assert_eq!(found.by_expiry.keys().map(String::as_str).collect::<Vec<_>>(), ["later"], "{found:?}");
    assert_eq!(found.orders.get(&(Lane::Bulk, "parked".to_owned())), Some(&1), "{found:?}");
    assert_eq!(found.orders.values().sum::<u64>(), 1, "{found:?}");
    assert_eq!(found.hostnames.failing.values().sum::<u64>(), 1, "{found:?}");
    assert!(found.authorizations.is_empty() && found.heads.is_empty() && found.windows_missed == 0);

    let later = world.clock.now().after(Duration::from_hours(24 * 365));
    let found = census::take(&world.store, later).await?;
    assert_eq!(found.by_expiry.get("expired"), Some(&3), "{found:?}");
    service.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn orders_in_line_are_counted_by_lane_and_the_first_of_each_by_its_age() -> anyhow::Result<()> {
    let world = World::start(Plan::new(sites())).await?;
    // Nobody works on them.
    let service = world.front("front").await?;
    world.import_into("front", &service, csv(&sites())).await?;
    let later = world.clock.now().after(Duration::from_mins(10));
    let found = census::take(&world.store, later).await?;
    assert_eq!(found.orders.get(&(Lane::Bulk, "to_be_proven".to_owned())), Some(&4), "{found:?}");
    let head = found.heads[&Lane::Bulk];
    assert!((Duration::from_mins(10)..Duration::from_mins(11)).contains(&head), "{head:?}");
    service.stop().await?;
    world.stop().await
}

/// Tenants, and as many names of each, which nobody orders for.
async fn fill(world: &World, tenants: i32, names: i32) -> anyhow::Result<()> {
    let slugs = "insert into tenants (tenant_id, slug, created_at)
                 select gen_random_uuid(), concat('customer-', nr), '2026-01-01' from generate_series(1, $1) as nr";
    sqlx::query(slugs).bind(tenants).execute(world.store.pool()).await?;
    let hostnames = "insert into hostnames (hostname, tenant_id, created_at)
                     select concat('shop-', nr, '.', slug, '.example'), tenant_id, '2026-01-01'
                     from tenants cross join generate_series(1, $1) as nr where slug like 'customer-%'";
    sqlx::query(hostnames).bind(names).execute(world.store.pool()).await?;
    Ok(())
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the number is what one wants to know")]
async fn a_thousand_tenants_have_no_more_series_than_one_and_none_is_named() -> anyhow::Result<()> {
    let sites = sites();
    let settings = Settings { reconcile_seconds: Some(1), ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let service = world.process("one").await?;
    world.import_by("one", &service, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;
    let counted = async |names: u64| -> anyhow::Result<Scrape> {
        world
            .wait_until("the names are counted, and headroom is measured", WITHIN, async || {
                let scrape = Scrape::of(&service).await?;
                let measured = scrape.value("lockkeeper_account_stopped").is_some();
                Ok(measured && (scrape.sum("lockkeeper_hostnames{") - names as f64).abs() < 0.5)
            })
            .await?;
        // That one may have been written while the numbers changed.
        Scrape::of(&service).await
    };
    let few = counted(4).await?;
    fill(&world, 1_000, 20).await?;
    let many = counted(20_004).await?;
    println!("{} series with one tenant, {} with a thousand", few.series(), many.series());
    assert!(many.series() <= SERIES_MAX, "{}", many.series());
    assert_eq!(few.of_tenants(), many.of_tenants());
    for name in ["counted-0.com", "shop-1.", "customer-1", "tenant-0", "site-0"] {
        assert!(!many.text.contains(name), "{name} is told");
    }
    assert_eq!(many.without_help(), Vec::<&str>::new());
    assert_eq!(many.value("lockkeeper_tenants"), Some(1_001.0));
    for (series, value) in [
        ("lockkeeper_orders_ended_total{result=\"issued\",kind=\"new\"}", 3.0),
        ("lockkeeper_validations_total{challenge=\"http-01\",result=\"valid\"}", 3.0),
        ("lockkeeper_role_running{role=\"worker\"}", 1.0),
        ("lockkeeper_hostnames{state=\"failing\"}", 1.0),
        ("lockkeeper_account_stopped", 0.0),
        ("lockkeeper_limit_burst{limit=\"new_orders_per_account\"}", 1_000_000.0),
        ("lockkeeper_limit_remaining{limit=\"new_orders_per_account\"}", 1_000_000.0 - 3.0),
    ] {
        let found = many.value(series).unwrap_or(f64::NAN);
        // The bucket of a million refills while we look.
        assert!(
            (found - value).abs() <= if series.contains("remaining") { 3.0 } else { 0.0 },
            "{series}: {found}"
        );
    }
    let imports = many.sum("lockkeeper_api_requests_total{route=\"/v1/imports\",method=\"POST\",");
    assert!((imports - 1.0).abs() < 0.5, "{imports} imports are counted by their route");
    let ended = service.terminate(WITHIN).await?;
    ensure!(ended.success(), "{ended}");
    world.stop().await
}
