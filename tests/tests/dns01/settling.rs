//! A CA that sees another DNS than we do: what its verdicts teach.

use std::net::Ipv4Addr;

use lockkeeper::store::settlings;
use lockkeeper_tests::name_server::{Bind, ZoneText, free_address};

use crate::scene::{HEADER, Outset, Scene, WITHIN};

const ZONE: &str = "slow-shop.com";

/// All servers show the record, and a machine that only the CA meets does not: the next attempt waits for longer.
#[tokio::test]
async fn a_record_that_only_the_ca_does_not_see_teaches_its_servers_to_settle() -> anyhow::Result<()> {
    let (near, far) = (free_address(Ipv4Addr::LOCALHOST)?, free_address(Ipv4Addr::LOCALHOST)?);
    let other = Bind::start(far, &[ZoneText::new(ZONE)], &[]).await?;
    let zones = [ZoneText::new(ZONE)];
    let scene = Scene::with(Outset { ca_dns: Some(far), ..Outset::new(near, &zones, &[ZONE]) }).await?;
    let app = scene.world.service("one").await?;
    scene.world.import_into("one", &app, format!("{HEADER}t1,s1,{ZONE},dns-01,\n")).await?;
    let known = async || settlings::read(&scene.world.store, ZONE).await;

    let failed = async || Ok(known().await?.failures == 1);
    scene.world.wait_until("the CA's verdict has taught", WITHIN, failed).await?;
    let once = known().await?.delay;
    assert!(once >= std::time::Duration::from_secs(10), "{once:?}");
    let provider: Option<String> =
        sqlx::query_scalar("select provider from dns_settlings").fetch_one(scene.world.store.pool()).await?;
    assert_eq!(provider.as_deref(), Some("bind"));

    let parked = async || Ok(scene.world.fate_of(&[ZONE]).await?.0 == "parked");
    scene.world.wait_until("the name rests", WITHIN, parked).await?;
    scene.world.end_rests().await?;
    let failed = async || Ok(known().await?.failures == 2);
    scene.world.wait_until("the next attempt has failed as well", WITHIN, failed).await?;
    // Twice as long as was waited is taught: it had waited for what the first one has taught, and not for two rounds.
    assert!(known().await?.delay >= once * 2, "{:?}", known().await?);
    app.stop().await?;
    other.stop().await?;
    scene.stop().await
}
