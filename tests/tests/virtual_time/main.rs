//! The whole service, driven through hours in seconds: no answer 429, and nothing of what the limits allow left unused.

mod scene;

use std::time::Duration;

use issuance::fairness::Lane;
use issuance::limit::LimitName;
use lockkeeper::rehearse::{Ending, Prediction};

use crate::scene::{DAY, HOUR, START, Scene, sites};

const MINUTE: Duration = Duration::from_mins(1);

/// Sites through a bucket of five that takes a minute for each token, four replicas at it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_fleet_goes_through_a_small_bucket_without_a_refusal() -> anyhow::Result<()> {
    let scene = Scene { broken: 0.05, ..Scene::limited(LimitName::NewOrdersPerAccount, 5, MINUTE) };
    let (report, ending) = scene.play(&sites("tenant", 0..75), HOUR * 12).await?;
    assert_eq!(ending, Ending::Done, "{report:#?}");
    assert_eq!(report.rate_limited, 0, "{report:#?}");
    assert_eq!((report.issued, report.parked), (report.sites - report.broken, report.broken), "{report:#?}");
    // A whole hour with demand, and each token taken within a moment.
    assert!(report.utilisation.is_some_and(|share| share >= 0.98), "{report:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_forecast_is_what_comes_about() -> anyhow::Result<()> {
    let scene = Scene::limited(LimitName::NewOrdersPerAccount, 5, MINUTE);
    let sites = sites("tenant", 0..65);
    let predicted = Prediction::of(&scene.options()?, &sites);
    let (report, _) = scene.play(&sites, HOUR * 12).await?;
    let seconds = predicted.seconds.expect("all of them finish");
    let off = (report.rehearsed_seconds - seconds).abs() / seconds;
    assert!(off <= 0.02, "{seconds} s predicted, {} s rehearsed", report.rehearsed_seconds);
    assert_eq!(predicted.binding_limits.first(), Some(&"new_orders_per_account"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sets_that_were_issued_lately_cost_no_token_and_wait_for_none() -> anyhow::Result<()> {
    let scene = Scene::limited(LimitName::NewOrdersPerAccount, 5, MINUTE);
    let mut sites = sites("tenant", 0..40);
    sites.issued_at = Some(START.before(DAY * 60));
    let (report, ending) = scene.play(&sites, HOUR).await?;
    assert_eq!((ending, report.issued, report.rate_limited), (Ending::Done, 40, 0), "{report:#?}");
    assert_eq!(report.charged, 0, "{report:#?}");
    assert!(report.rehearsed_seconds < 60.0, "{report:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_site_is_next_whoever_has_brought_hundreds() -> anyhow::Result<()> {
    let scene = Scene::limited(LimitName::NewOrdersPerAccount, 5, MINUTE);
    let (mut rehearsal, database) = scene.start().await?;
    rehearsal.import(&sites("flood", 0..300)).await?;
    rehearsal.run_until(START.after(MINUTE * 10)).await?;
    rehearsal.import(&sites("single", 0..1)).await?;
    rehearsal.run_until(START.after(MINUTE * 18)).await?;
    // Somebody else's, and one of the flood's own, for which a person waits.
    for tenant in ["visitor", "flood"] {
        let mut site = sites(tenant, 300..301);
        site.lane = Lane::Interactive;
        rehearsal.import(&site).await?;
        rehearsal.run_until(rehearsal.now().after(MINUTE * 3)).await?;
    }
    let report = rehearsal.report().await?;
    rehearsal.stop().await?;
    database.remove().await?;
    let single = report.issuances.iter().find(|issuance| issuance.tenant == "single");
    let single = single.unwrap_or_else(|| panic!("it waits for the others: {report:#?}"));
    // The next token is its own, whatever is proven already and in hand; then it takes as long as an order does.
    assert!(single.wished_at.until(single.issued_at) <= MINUTE * 3 / 2, "{single:?}");
    let waited_for: Vec<_> =
        report.issuances.iter().filter(|one| one.wished_at >= START.after(MINUTE * 18)).collect();
    assert_eq!(waited_for.len(), 2, "{waited_for:?}");
    for one in waited_for {
        // The same, whoever else has an order of the flood in hand.
        assert!(one.wished_at.until(one.issued_at) <= MINUTE * 5 / 4, "{one:?}");
    }
    assert_eq!(report.rate_limited, 0);
    Ok(())
}

/// At whatever moment between two tokens it comes, and whatever was promised to whom by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_one_site_comes_the_next_token_is_its_own() -> anyhow::Result<()> {
    const PHASES: u32 = 6;
    let scene = Scene::limited(LimitName::NewOrdersPerAccount, 5, MINUTE);
    let (mut rehearsal, database) = scene.start().await?;
    for tenant in ["flood", "other"] {
        rehearsal.import(&sites(tenant, 0..60)).await?;
    }
    for phase in 0..PHASES {
        rehearsal.run_until(START.after(MINUTE * (6 + 3 * phase) + MINUTE * phase / PHASES)).await?;
        rehearsal.import(&sites(&format!("single-{phase}"), 0..1)).await?;
    }
    rehearsal.run_until(START.after(MINUTE * (6 + 3 * PHASES))).await?;
    let report = rehearsal.report().await?;
    rehearsal.stop().await?;
    database.remove().await?;
    let waits: Vec<_> = report
        .issuances
        .iter()
        .filter(|one| one.tenant.starts_with("single"))
        .map(|one| (one.tenant.as_str(), one.wished_at.until(one.issued_at)))
        .collect();
    assert_eq!(waits.len(), 6, "{waits:?}");
    // It takes as long as an order does after its token has come.
    let late: Vec<_> = waits.iter().filter(|(_, wait)| *wait > MINUTE * 5 / 4).collect();
    assert!(late.is_empty(), "{late:?} of {waits:?}");
    Ok(())
}

/// Four replicas with sixteen places each: whatever is under way, one new-order is refused, and no second one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_smaller_than_told_is_learnt_from_one_refusal() -> anyhow::Result<()> {
    let told = Scene::limited(LimitName::NewOrdersPerAccount, 10, MINUTE);
    let granted = Scene::limited(LimitName::NewOrdersPerAccount, 5, MINUTE * 2);
    let (report, ending) = told.play_at(&granted, &sites("tenant", 0..30), HOUR * 3, false).await?;
    assert_eq!((ending, report.issued), (Ending::Done, 30), "{report:#?}");
    assert_eq!(report.rate_limited, 1, "{report:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_larger_limit_is_found_where_that_is_wished() -> anyhow::Result<()> {
    let told = Scene::limited(LimitName::NewOrdersPerAccount, 5, MINUTE * 2);
    let granted = Scene::limited(LimitName::NewOrdersPerAccount, 10, MINUTE);
    for (seeks, rate_limited, minutes) in [(true, 1, 20..22), (false, 0, 52..54)] {
        let (report, ending) = told.play_at(&granted, &sites("tenant", 0..30), HOUR * 3, seeks).await?;
        assert_eq!((ending, report.issued), (Ending::Done, 30), "{report:#?}");
        assert_eq!(report.rate_limited, rate_limited, "{report:#?}");
        let took = (report.rehearsed_seconds / 60.0) as u64;
        assert!(minutes.contains(&took), "{took} minutes, {report:#?}");
    }
    Ok(())
}
