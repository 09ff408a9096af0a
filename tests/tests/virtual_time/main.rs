//! The whole service, driven through days in seconds: no answer 429, and nothing of what the limits allow left unused.

mod scene;

use std::time::Duration;

use issuance::limit::LimitName;
use lockkeeper::rehearse::Ending;

use crate::scene::{HOUR, Scene};

/// 50 sites through a bucket of five that takes a minute for each token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_fleet_goes_through_a_small_bucket_without_a_refusal() -> anyhow::Result<()> {
    let scene =
        Scene { broken: 0.1, ..Scene::limited(LimitName::NewOrdersPerAccount, 5, Duration::from_mins(1)) };
    let (report, ending) = scene.play(50, HOUR * 12).await?;
    assert_eq!(ending, Ending::Done, "{report:#?}");
    assert_eq!(report.rate_limited, 0, "{report:#?}");
    assert_eq!((report.issued, report.parked), (report.sites - report.broken, report.broken), "{report:#?}");
    // All tokens but the first five had to be waited for.
    let least = 60.0 * (report.issued as f64 - 5.0);
    let seconds = report.rehearsed_seconds;
    assert!((least..least + 60.0).contains(&seconds), "{seconds} s, not {least} s and a little: {report:#?}");
    Ok(())
}
