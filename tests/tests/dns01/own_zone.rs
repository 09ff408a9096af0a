//! Names whose owners point an alias into the zone that the service serves itself.

use std::net::{Ipv4Addr, SocketAddr};

use lockkeeper::app::zone_trials;
use lockkeeper::config::Config;
use lockkeeper::doctor::Health;
use lockkeeper_tests::name_server::{ZoneText, dig, free_address};
use lockkeeper_tests::settings::Settings;

use crate::scene::{HEADER, Outset, Scene, WITHIN};

const OWN: &str = "acme-own.net";

/// BIND, and our own name server beside it at the same port: a name server has no other.
async fn scene(zone: ZoneText) -> anyhow::Result<(Scene, SocketAddr)> {
    let address = free_address(Ipv4Addr::LOCALHOST)?;
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 54), address.port()));
    let more = format!(
        "[authority]\nzone = \"{OWN}\"\nlisten = \"{own}\"\nname_servers = [\"ns1.{OWN}\"]\naddresses = [\"{}\"]\n",
        own.ip()
    );
    let settings = Settings { more, ..Settings::default() };
    let zones = [zone];
    let outset = Outset { elsewhere: &[(OWN, own)], settings, ..Outset::new(address, &zones, &[]) };
    Ok((Scene::with(outset).await?, own))
}

#[tokio::test]
async fn an_alias_into_our_own_zone_is_all_that_an_owner_does() -> anyhow::Result<()> {
    let (scene, own) = scene(ZoneText::new("alias-shop.com")).await?;
    let app = scene.world.service("one").await?;
    assert_eq!(app.endpoints.authority, Some(own));
    let names = ["*.alias-shop.com", "alias-shop.com"];
    let row = format!("t1,s1,{},dns-01,\n", names.join(" "));
    scene.world.import_into("one", &app, format!("{HEADER}{row}")).await?;
    let told = async || Ok(scene.world.fate_of(&names).await?.1.as_deref() == Some("dns_delegation"));
    scene.world.wait_until("the record to publish is told", WITHIN, told).await?;
    let orders = scene.world.orders().await?;
    let detail = orders[0].fault_detail.clone().unwrap_or_default();
    let (_, record) = detail.split_once("publish ").expect("the record to publish");
    let (name, target) = record.split_once(" CNAME ").expect("a CNAME");
    assert_eq!(name, "_acme-challenge.alias-shop.com.");
    assert!(target.ends_with(&format!(".{OWN}.")), "{target}");
    assert_eq!(scene.world.audit()?.orders, 0);

    scene.bind.update(&format!("update add {name} 60 CNAME {target}")).await?;
    scene.world.end_rests().await?;
    let issued = async || Ok(scene.world.summary().await?.certificates_issued == 1);
    scene.world.wait_until("the certificate", WITHIN, issued).await?;
    scene.world.wait_until_done(WITHIN).await?;
    scene.assert_issued(1).await?;
    scene.wait_until_clean(&[]).await?;
    let gone = async || Ok(dig(own, &["TXT", target]).await?.contains("status: NXDOMAIN"));
    scene.world.wait_until("the name is gone", WITHIN, gone).await?;
    app.stop().await?;
    scene.stop().await
}

#[tokio::test]
async fn the_doctor_says_whether_our_own_zone_is_delegated() -> anyhow::Result<()> {
    let (scene, _) = scene(ZoneText::new("some-shop.com")).await?;
    let app = scene.world.service("one").await?;
    let mut config = Config::load(Some(&scene.world.config_file("one")), std::iter::empty())?;
    let told = zone_trials::run(&config).await;
    assert_eq!((told.len(), told[0].what, told[0].health), (1, "DNS delegation", Health::Ok), "{told:?}");

    config.authority.zone = Some("acme.some-shop.com".to_owned());
    let told = zone_trials::run(&config).await;
    assert_eq!(told[0].health, Health::Fail, "{told:?}");
    assert!(told[0].found.contains("some-shop.com answers for it"), "{told:?}");
    assert!(told[0].fix.as_ref().is_some_and(|fix| fix.contains("ns1.acme-own.net")), "{told:?}");
    app.stop().await?;
    scene.stop().await
}

#[tokio::test]
async fn it_is_a_name_server_as_it_should_be() -> anyhow::Result<()> {
    let (scene, own) = scene(ZoneText::new("plain-shop.com")).await?;
    let app = scene.world.service("one").await?;
    let soa = dig(own, &["SOA", OWN]).await?;
    assert!(soa.contains("status: NOERROR") && soa.contains("flags: qr aa rd;"), "{soa}");
    assert!(soa.contains("ns1.acme-own.net. hostmaster.acme-own.net. 1 3600 600 86400 1"), "{soa}");
    let servers = dig(own, &["NS", OWN]).await?;
    assert!(servers.contains("NS\tns1.acme-own.net.") && servers.contains("127.0.0.54"), "{servers}");
    let missing = dig(own, &["TXT", "nothing.acme-own.net"]).await?;
    assert!(missing.contains("status: NXDOMAIN") && missing.contains("AUTHORITY: 1"), "{missing}");
    let empty = dig(own, &["TXT", OWN]).await?;
    assert!(empty.contains("status: NOERROR") && empty.contains("ANSWER: 0, AUTHORITY: 1"), "{empty}");
    for foreign in [["TXT", "example.com"], ["AXFR", OWN], ["A", "."]] {
        let refused = dig(own, &foreign).await?;
        assert!(!refused.contains("status: NOERROR") && !refused.contains("SOA\tns1"), "{refused}");
    }
    let over_tcp = dig(own, &["+tcp", "SOA", OWN]).await?;
    assert!(over_tcp.contains("status: NOERROR"), "{over_tcp}");
    let newer = dig(own, &["+edns=1", "+noednsneg", "SOA", OWN]).await?;
    assert!(newer.contains("status: BADVERS"), "{newer}");
    let update = dig(own, &["+opcode=UPDATE", "SOA", OWN]).await?;
    assert!(update.contains("status: NOTIMP"), "{update}");
    let mixed = dig(own, &["SOA", "AcMe-OwN.nEt"]).await?;
    assert!(mixed.contains("AcMe-OwN.nEt."), "{mixed}");
    app.stop().await?;
    scene.stop().await
}
