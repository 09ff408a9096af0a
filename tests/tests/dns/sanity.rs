//! Why a name has no address: what is told apart before an order.

use std::sync::Arc;

use issuance::fault::FailureClass;
use lockkeeper::challenge::caa::CaaIssuer;
use lockkeeper::challenge::fetch::FetchConfig;
use lockkeeper::challenge::preflight::{Preflight, Verdict};
use lockkeeper::challenge::probe::ProbeSecret;
use rehearsal::fleet::{Caa, Fault, ServerFault, ZonePlan};

use crate::world::{World, hostname, loopback};

fn preflight(world: &World) -> Preflight {
    let fetch = FetchConfig { http_port: world.fleet.http_port(), ..FetchConfig::default() };
    let resolver = Arc::clone(&world.resolver);
    let preflight =
        Preflight::new(&fetch, resolver, loopback(), ProbeSecret::new([7; 32])).expect("a preflight");
    preflight.with_authorities_at(world.fleet.dns_addr().port())
}

async fn told(world: &World, name: &str) -> (FailureClass, String) {
    match preflight(world).check_name(&hostname(name)).await.verdict {
        Verdict::NotReady { class, detail } => (class, detail),
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn a_broken_signature_is_not_a_broken_server() {
    let world = World::start(2, &["www.example.com", "www.example.org"]).await;
    world.fleet.set_zone("example.com", ZonePlan { bogus: true, ..ZonePlan::of(&[1, 2]) });
    let (class, detail) = told(&world, "www.example.com").await;
    assert_eq!(class, FailureClass::Dnssec, "{detail}");
    assert!(detail.contains("sign example.com anew"), "{detail}");
    world.fleet.set_fault(&hostname("www.example.org"), Some(Fault::Servfail));
    assert_eq!(told(&world, "www.example.org").await.0, FailureClass::DnsServfail);
}

#[tokio::test]
async fn servers_that_disown_the_zone_are_told_by_name() {
    let world = World::start(3, &["www.example.com"]).await;
    world.fleet.set_zone("example.com", ZonePlan { child: vec![3], ..ZonePlan::of(&[1, 2]) });
    world.fleet.set_server_fault(3, Some(ServerFault::Refused));
    let (class, detail) = told(&world, "www.example.com").await;
    assert_eq!(class, FailureClass::DnsLame, "{detail}");
    assert!(detail.contains("ns1.example.com (127.0.1.1): Query Refused"), "{detail}");

    world.fleet.set_server_fault(3, Some(ServerFault::Servfail));
    world.fleet.set_zone("example.com", ZonePlan::of(&[3]));
    assert_eq!(told(&world, "www.example.com").await.0, FailureClass::DnsServfail, "it owns the zone");
}

#[tokio::test]
async fn a_name_that_is_missing_is_told_from_a_domain_that_is() {
    let world = World::start(1, &["www.example.com"]).await;
    let (class, detail) = told(&world, "gone.example.com").await;
    assert_eq!(class, FailureClass::DnsNxdomain);
    assert_eq!(detail, "the name does not exist in DNS (NXDOMAIN); its domain example.com does");
    let (class, detail) = told(&world, "www.expired.com").await;
    assert_eq!(class, FailureClass::DnsUnregistered);
    assert!(
        detail.starts_with(
            "the domain expired.com does not exist in DNS (NXDOMAIN): it is not registered, has expired"
        ),
        "{detail}"
    );

    let parked = ZonePlan { servers_in: Some("sedoparking.com".into()), ..ZonePlan::of(&[1]) };
    world.fleet.set_zone("example.com", parked);
    let (_, detail) = told(&world, "gone.example.com").await;
    assert!(
        detail.ends_with("the domain seems to be parked: its name server is ns1.sedoparking.com"),
        "{detail}"
    );
}

#[tokio::test]
async fn names_proven_in_dns_need_a_zone_and_no_address() {
    let world = World::start(2, &["example.com", "example.org", "example.net"]).await;
    world.fleet.set_zone("example.org", ZonePlan { bogus: true, ..ZonePlan::of(&[1]) });
    world.fleet.set_zone("example.net", ZonePlan { parent: vec![2], child: vec![1], ..ZonePlan::of(&[]) });
    let forbids = Caa { critical: false, tag: "issuewild".into(), value: ";".into() };
    world.fleet.set_caa("shop.example.com", &[forbids]);
    let issuer =
        CaaIssuer { identities: vec!["ca.example".into()], account_url: "https://ca.example/1".into() };
    let names = ["*.example.com", "*.shop.example.com", "*.example.org", "*.expired.com", "*.example.net"];
    let names = names.map(hostname);
    let reports = preflight(&world).issued_by(issuer).check_zones(&names).await;
    let classes: Vec<_> = reports
        .iter()
        .map(|report| match report.verdict {
            Verdict::NotReady { class, .. } => Some(class),
            Verdict::Ready => None,
            Verdict::Unknown { .. } => panic!("{report:?}"),
        })
        .collect();
    let expected = [
        None,
        Some(FailureClass::Caa),
        Some(FailureClass::Dnssec),
        Some(FailureClass::DnsUnregistered),
        // Server 1, which only the zone itself names, does answer.
        None,
    ];
    assert_eq!(classes, expected, "{reports:?}");
}
