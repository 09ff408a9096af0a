//! BIND 9, by DNS UPDATE with TSIG.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use lockkeeper::app::zone_trials;
use lockkeeper::config::Config;
use lockkeeper::doctor::Health;
use lockkeeper_tests::name_server::{PowerDns, ZoneText, free_address};
use lockkeeper_tests::settings::Settings;

use crate::scene::{HEADER, Outset, Scene, WITHIN, challenge_names};

#[tokio::test]
async fn a_name_and_its_wildcard_are_proven_together_and_nothing_is_left() -> anyhow::Result<()> {
    let scene = Scene::start(&[ZoneText::new("tls-shop.com")], &["tls-shop.com"]).await?;
    let names = challenge_names(&["tls-shop.com", "new.www.tls-shop.com"]);
    // What others keep there is none of our business.
    let foreign = "another-ca-s-record";
    scene.bind.update(&format!("update add {} 60 TXT {foreign}", names[0])).await?;
    let app = scene.world.service("one").await?;
    let row = "t1,s1,tls-shop.com *.tls-shop.com new.www.tls-shop.com,dns-01,\n";
    let report = scene.world.import_into("one", &app, format!("{HEADER}{row}")).await?;
    assert_eq!(report.orders_created, 1, "{report:?}");
    // In time as it is: a leap would be past them.
    scene.bind.shows(&names[0], 3, WITHIN).await?;
    scene.bind.shows(&names[1], 1, WITHIN).await?;
    scene.world.wait_until_done(WITHIN).await?;
    scene.assert_issued(1).await?;
    scene.wait_until_clean(&names[1..]).await?;
    assert_eq!(scene.bind.texts(&names[0]).await?, [foreign]);
    app.stop().await?;
    scene.stop().await
}

#[tokio::test]
async fn two_replicas_write_at_the_same_names_and_lose_no_value() -> anyhow::Result<()> {
    let scene = Scene::start(&[ZoneText::new("many-shops.com")], &["many-shops.com"]).await?;
    let (one, two) = (scene.world.service("one").await?, scene.world.service("two").await?);
    let mut csv = HEADER.to_owned();
    let sites: Vec<String> = (0..20).map(|number| format!("s{number}.many-shops.com")).collect();
    for (number, site) in sites.iter().enumerate() {
        writeln!(csv, "t{number},s{number},{site} *.{site},dns-01,")?;
    }
    scene.world.import_into("one", &one, csv).await?;
    scene.world.wait_until_done(WITHIN).await?;
    scene.assert_issued(20).await?;
    let sites: Vec<&str> = sites.iter().map(String::as_str).collect();
    scene.wait_until_clean(&challenge_names(&sites)).await?;
    one.stop().await?;
    two.stop().await?;
    scene.stop().await
}

/// The second name server never gets the record: nothing is submitted, the name keeps its good name at the CA, and what
/// was published is removed.
#[tokio::test]
async fn a_record_that_does_not_reach_every_server_is_never_submitted() -> anyhow::Result<()> {
    let address = free_address(Ipv4Addr::LOCALHOST)?;
    let stale_ip = Ipv4Addr::new(127, 0, 0, 55);
    let zone = ZoneText { more_servers: vec![stale_ip], ..ZoneText::new("stale-shop.com") };
    let stale = PowerDns::start_at((stale_ip, address.port()).into(), "stale-shop.com").await?;
    let scene = Scene::with(Outset::new(address, &[zone], &["stale-shop.com"])).await?;
    let app = scene.world.service("one").await?;
    let row = "t1,s1,stale-shop.com *.stale-shop.com,dns-01,\n";
    scene.world.import_into("one", &app, format!("{HEADER}{row}")).await?;
    let failed = async || {
        let orders = scene.world.orders().await?;
        let class = orders.first().and_then(|order| order.fault_class.clone());
        Ok(orders.first().is_some_and(|order| order.stage == "failed")
            && class.as_deref() == Some("propagation_timeout"))
    };
    scene.world.wait_until("the order gives way", WITHIN, failed).await?;
    let seen = scene.world.orders().await?;
    let detail = seen[0].fault_detail.clone().unwrap_or_default();
    assert!(detail.contains("127.0.0.55") || detail.contains("did not get"), "{detail}");
    // Another attempt may have begun meanwhile; of this one nothing is left.
    let cleaned = async || {
        let rows: i64 = sqlx::query_scalar(
            "select count(*) from dns_records where order_id = (select min(order_id::text)::uuid from orders)",
        )
        .fetch_one(scene.world.store.pool())
        .await?;
        Ok(rows == 0)
    };
    scene.world.wait_until("its records are gone", WITHIN, cleaned).await?;
    assert_eq!(scene.world.audit()?.authorizations.submitted, 0);
    let records = scene.world.ca.rehearsal().expect("the rehearsal CA").authorizations(None);
    assert!(records.iter().take(2).all(|one| one.status == "deactivated"), "{records:?}");
    app.stop().await?;
    stale.stop().await?;
    scene.stop().await
}

#[tokio::test]
async fn a_name_that_nobody_can_write_for_waits_at_home_and_goes_on_when_it_is_delegated()
-> anyhow::Result<()> {
    let zones = [ZoneText::new("foreign-shop.com"), ZoneText::new("acme-host.net")];
    let scene = Scene::start(&zones, &["acme-host.net"]).await?;
    let app = scene.world.service("one").await?;
    scene.world.import_into("one", &app, format!("{HEADER}t1,s1,*.foreign-shop.com,dns-01,\n")).await?;
    let parked = async || Ok(scene.world.fate_of(&["*.foreign-shop.com"]).await?.0 == "parked");
    scene.world.wait_until("it is parked", WITHIN, parked).await?;
    let (_, class) = scene.world.fate_of(&["*.foreign-shop.com"]).await?;
    assert_eq!(class.as_deref(), Some("dns_delegation"));
    assert_eq!(scene.world.audit()?.orders, 0);

    let target = "x1.acme-host.net";
    let name = "_acme-challenge.foreign-shop.com";
    scene.bind.update(&format!("update add {name} 60 CNAME {target}.")).await?;
    scene.world.end_rests().await?;
    scene.bind.shows(target, 1, WITHIN).await?;
    let issued = async || Ok(scene.world.summary().await?.certificates_issued == 1);
    scene.world.wait_until("the certificate", WITHIN, issued).await?;
    scene.world.wait_until_done(WITHIN).await?;
    scene.assert_issued(1).await?;
    scene.wait_until_clean(&[target.to_owned()]).await?;
    app.stop().await?;
    scene.stop().await
}

#[tokio::test]
async fn a_wrong_key_is_told_and_costs_no_order_once_it_is_known() -> anyhow::Result<()> {
    let address = free_address(Ipv4Addr::LOCALHOST)?;
    let secret = tempfile::NamedTempFile::new()?;
    std::fs::write(secret.path(), "d3Jvbmcga2V5IG9mIDMyIGJ5dGVzLCBldmVyeXdoZXJlIQ==")?;
    let more = format!(
        "[[dns01.provider]]\nname = \"locked\"\ntype = \"rfc2136\"\nzones = [\"locked-shop.com\"]\n\
         server = \"{address}\"\nkey_name = \"lockkeeper\"\nsecret_file = {:?}\n",
        secret.path().display().to_string()
    );
    let settings = Settings { more, ..Settings::default() };
    let scene =
        Scene::with(Outset { settings, ..Outset::new(address, &[ZoneText::new("locked-shop.com")], &[]) })
            .await?;
    let app = scene.world.service("one").await?;
    let mut csv = HEADER.to_owned();
    for number in 0..12 {
        writeln!(csv, "t1,s{number},s{number}.locked-shop.com,dns-01,")?;
    }
    scene.world.import_into("one", &app, csv).await?;
    // The provider ails after a few; who comes later waits at home, and is told why.
    scene
        .world
        .wait_until("somebody is told", WITHIN, async || {
            let orders = scene.world.orders().await?;
            let told = |order: &&lockkeeper_tests::world::OrderSeen| {
                order.fault_class.as_deref() == Some("provider_api")
                    && order.fault_detail.as_ref().is_some_and(|detail| detail.contains("locked"))
            };
            Ok(orders.iter().any(|order| told(&order)))
        })
        .await?;
    let rows: Vec<String> =
        sqlx::query_scalar("select distinct fault_detail from dns_records where fault_detail is not null")
            .fetch_all(scene.world.store.pool())
            .await?;
    assert!(rows.iter().any(|told| told.contains("key")), "{rows:?}");
    assert!(rows.iter().all(|told| !told.contains("d3Jvbmcg")), "{rows:?}");
    assert_eq!(scene.world.summary().await?.certificates_issued, 0);
    app.stop().await?;
    scene.stop().await
}

#[tokio::test]
async fn the_doctor_tries_each_zone_of_each_provider_and_leaves_nothing() -> anyhow::Result<()> {
    let zones = [ZoneText::new("well-zone.com"), ZoneText::new("other-zone.com")];
    let written = ["well-zone.com", "other-zone.com", "nobody-serves-this.com"];
    let scene = Scene::start(&zones, &written).await?;
    let app = scene.world.service("one").await?;
    let mut config = Config::load(Some(&scene.world.config_file("one")), std::iter::empty())?;
    let told = zone_trials::run(&config).await;
    let health: Vec<Health> = told.iter().map(|one| one.health).collect();
    assert_eq!(health, [Health::Ok, Health::Ok, Health::Fail], "{told:?}");
    assert_eq!(told[0].found, "bind, zone well-zone.com: written, seen, removed");
    assert!(told[2].fix.as_ref().is_some_and(|fix| fix.contains("dns01 test")), "{told:?}");
    for zone in &written[..2] {
        assert!(scene.bind.texts(&format!("_acme-challenge.lockkeeper-doctor.{zone}")).await?.is_empty());
    }
    let key = tempfile::NamedTempFile::new()?;
    std::fs::write(key.path(), "d3Jvbmcga2V5IG9mIDMyIGJ5dGVzLCBldmVyeXdoZXJlIQ==")?;
    config.dns01.provider[0].secret_file = Some(key.path().to_owned());
    let told = zone_trials::run(&config).await;
    assert!(told[0].health == Health::Fail && told[0].found.contains("written failed"), "{told:?}");
    assert!(!told[0].found.contains("d3Jvbmcg"), "{told:?}");
    app.stop().await?;
    scene.stop().await
}
