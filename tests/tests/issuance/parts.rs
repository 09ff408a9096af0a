//! One order, of which some names are ready and some are not.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use lockkeeper_tests::world::{Plan, World, csv, hostname};
use rehearsal::fleet::{Fault, Site};

const WITHIN: Duration = Duration::from_mins(1);

/// The sets of names that the CA has certified, each as often as it has.
fn certified(world: &World) -> anyhow::Result<Vec<Vec<String>>> {
    let mut sets: Vec<_> = world
        .ca
        .rehearsal()
        .context("a rehearsal CA")?
        .certificates()
        .into_iter()
        .map(|one| one.names)
        .collect();
    sets.sort();
    Ok(sets)
}

#[tokio::test]
async fn a_name_that_failed_in_passing_does_not_wait_for_one_that_is_broken_for_good() -> anyhow::Result<()> {
    let names = ["a.com", "shop.a.com", "www.a.com"].map(hostname);
    let [passing, broken, good] = names.each_ref();
    let site = Site::healthy(vec![passing.clone(), broken.clone(), good.clone()]);
    let world = World::start(Plan::new(vec![site.clone()])).await?;
    world.fleet.set_fault(passing, Some(Fault::NotFound));
    world.fleet.set_fault(broken, Some(Fault::NotFound));
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&[site])).await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(certified(&world)?, [["www.a.com"]], "what is ready does not wait");

    // Nothing has changed: the same part is not made again, however often the whole is looked at.
    world.end_rests().await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(certified(&world)?.len(), 1, "{:?}", world.orders().await?);

    world.fleet.set_fault(passing, None);
    let larger = vec!["a.com".to_owned(), "www.a.com".to_owned()];
    world
        .wait_until("the name that is ready now has a certificate", WITHIN, async || {
            world.end_rests().await?;
            Ok(certified(&world)?.contains(&larger))
        })
        .await?;
    world.wait_until_done(WITHIN).await?;
    let sets: BTreeSet<_> = certified(&world)?.into_iter().collect();
    assert_eq!((certified(&world)?.len(), sets.len()), (2, 2), "and nothing twice: {sets:?}");

    world.fleet.set_fault(broken, None);
    world
        .wait_until("the whole has a certificate", WITHIN, async || {
            world.end_rests().await?;
            Ok(certified(&world)?.iter().any(|names| names.len() == 3))
        })
        .await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(certified(&world)?.len(), 3, "{:?}", certified(&world)?);
    let audit = world.audit()?;
    assert_eq!(audit.authorizations.pending, 0, "{audit:?}");
    assert_eq!(audit.authorizations.invalid, 0, "nothing is spent on names that are not ready: {audit:?}");
    app.stop().await?;
    world.stop().await
}
