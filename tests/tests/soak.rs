//! A short soak, as `make soak` plays it for longer.

use std::time::Duration;

use lockkeeper_tests::soak::{self, Mixture, SoakPlan};

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_are_killed_at_any_instant_leave_nothing_behind() -> anyhow::Result<()> {
    let plan = SoakPlan {
        seed: 20_261_125,
        sites: 60,
        // So few and so far apart that no order loses its worker so often that it has to rest.
        kills: 12,
        storm_max: Duration::from_secs(40),
        pause: Duration::from_millis(700),
        // Without SIGSTOP, which would outlast everything else here.
        mixture: Mixture { stops: 0, ..Mixture::default() },
    };
    let verdict = soak::run(&plan).await?;
    assert!(verdict.is_clean(), "{verdict:?}");
    assert!(verdict.kills == 12 && verdict.certificates >= 50, "hardly anything happened: {verdict:?}");
    Ok(())
}
