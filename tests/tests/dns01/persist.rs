//! Names that are proven by a record that stays, where the CA takes it.

use std::net::Ipv4Addr;

use issuance::persistence;
use lockkeeper_tests::name_server::{ZoneText, free_address};
use rehearsal::rules::CaRules;

use crate::scene::{HEADER, Outset, Scene, WITHIN};

const ZONE: &str = "stay-shop.com";

async fn scene(offers_dns_persist: bool, written: &[&str]) -> anyhow::Result<Scene> {
    let rules = CaRules { offers_dns_persist, ..CaRules::default() };
    let address = free_address(Ipv4Addr::LOCALHOST)?;
    let zones = [ZoneText::new(ZONE), ZoneText::new("other-shop.com")];
    Scene::with(Outset { rules, ..Outset::new(address, &zones, written) }).await
}

/// The service gets its account at the CA.
async fn register(scene: &Scene) -> anyhow::Result<()> {
    let app = scene.world.service("one").await?;
    let registered = async || {
        let count = sqlx::query_scalar("select count(*) from accounts where account_url is not null");
        let count: i64 = count.fetch_one(scene.world.store.pool()).await?;
        Ok(count == 1)
    };
    scene.world.wait_until("the account", WITHIN, registered).await?;
    Ok(app.stop().await?)
}

/// The owner publishes the record of the service's account.
async fn publish(scene: &Scene, wildcard: bool) -> anyhow::Result<()> {
    let account: String =
        sqlx::query_scalar("select account_url from accounts").fetch_one(scene.world.store.pool()).await?;
    let issuer = &CaRules::default().caa_identities[0];
    let value = persistence::value(issuer, &account, wildcard, None);
    scene.bind.update(&format!("update add _validation-persist.{ZONE} 60 TXT \"{value}\"")).await
}

/// By which challenges names were proven.
async fn proven_by(scene: &Scene) -> anyhow::Result<Vec<(String, bool)>> {
    let rows = sqlx::query_as(
        "select challenge_type, wildcard from authorizations where status = 'valid' order by wildcard, challenge_type",
    );
    Ok(rows.fetch_all(scene.world.store.pool()).await?)
}

async fn issue(scene: &Scene, names: &str, count: u64) -> anyhow::Result<()> {
    let row = format!("t1,s{count},{names},dns-01,\n");
    let app = scene.world.service("one").await?;
    scene.world.import_into("one", &app, format!("{HEADER}{row}")).await?;
    let issued = async || Ok(scene.world.summary().await?.certificates_issued == count);
    scene.world.wait_until("the certificate", WITHIN, issued).await?;
    scene.world.wait_until_done(WITHIN).await?;
    scene.assert_issued(count).await?;
    Ok(app.stop().await?)
}

#[tokio::test]
async fn a_record_that_stays_proves_what_it_is_for_and_the_rest_is_proven_by_records_that_go()
-> anyhow::Result<()> {
    let scene = scene(true, &[ZONE]).await?;
    register(&scene).await?;
    publish(&scene, false).await?;
    issue(&scene, &format!("{ZONE} *.{ZONE}"), 1).await?;
    assert_eq!(proven_by(&scene).await?, [("dns-persist-01".to_owned(), false), ("dns-01".to_owned(), true)]);
    let texts = scene.bind.texts(&format!("_validation-persist.{ZONE}")).await?;
    assert_eq!(texts.len(), 1, "it is its owner's, and stays");
    scene.stop().await
}

/// Nobody can write in the zone: once the CA has offered to take records that stay, that needs nobody.
#[tokio::test]
async fn a_name_that_nobody_can_write_for_is_proven_by_a_record_that_stays() -> anyhow::Result<()> {
    let scene = scene(true, &["other-shop.com"]).await?;
    issue(&scene, "other-shop.com", 1).await?;
    publish(&scene, true).await?;
    issue(&scene, &format!("{ZONE} *.{ZONE}"), 2).await?;
    let persisting = ("dns-persist-01".to_owned(), true);
    assert!(proven_by(&scene).await?.contains(&persisting), "{:?}", proven_by(&scene).await?);
    scene.stop().await
}

#[tokio::test]
async fn where_the_ca_does_not_offer_it_the_record_is_of_no_use() -> anyhow::Result<()> {
    let scene = scene(false, &[ZONE]).await?;
    register(&scene).await?;
    publish(&scene, true).await?;
    issue(&scene, ZONE, 1).await?;
    assert_eq!(proven_by(&scene).await?, [("dns-01".to_owned(), false)]);
    scene.stop().await
}
