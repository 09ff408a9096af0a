//! CAA records are looked for as a CA looks for them.

use std::sync::Arc;

use issuance::fault::FailureClass;
use lockkeeper::challenge::caa::{CaaCheck, CaaFault, CaaIssuer, CaaRound, Method};
use rehearsal::fleet::{Caa, Fault, ServerFault};

use crate::world::{World, hostname};

const ACCOUNT: &str = "https://ca.example/account/7";

fn record(tag: &str, value: &str) -> Caa {
    Caa { critical: false, tag: tag.into(), value: value.into() }
}

async fn check(world: &World, name: &str, method: Method) -> Result<(), CaaFault> {
    let issuer = CaaIssuer { identities: vec!["ca.example".into()], account_url: ACCOUNT.into() };
    let check = CaaCheck::new(Arc::clone(&world.resolver), issuer);
    check.check(&CaaRound::default(), &hostname(name), method).await
}

async fn class(world: &World, name: &str) -> Option<FailureClass> {
    check(world, name, Method::Http01).await.err().and_then(|fault| fault.class)
}

#[tokio::test]
async fn the_nearest_records_on_the_way_up_decide() {
    let world = World::start(0, &["a.b.example.com", "alone.example.net"]).await;
    let (name, forbidden) = ("a.b.example.com", Some(FailureClass::Caa));
    assert_eq!(class(&world, name).await, None, "nobody says anything");
    world.fleet.set_caa("example.com", &[record("issue", "other.example")]);
    assert_eq!(class(&world, name).await, forbidden);
    assert_eq!(class(&world, "alone.example.net").await, None);
    world.fleet.set_caa("b.example.com", &[record("iodef", "mailto:security@example.com")]);
    assert_eq!(class(&world, name).await, None, "records that restrict nobody end the climb as well");
    world.fleet.set_caa(name, &[record("issue", ";")]);
    assert_eq!(class(&world, name).await, forbidden);
}

#[tokio::test]
async fn an_alias_is_followed_and_what_is_above_its_target_is_not_climbed() {
    let world = World::start(0, &["example.com", "customer.host.net"]).await;
    world.fleet.set_cname("www.example.com", Some("customer.host.net"));
    world.fleet.set_caa("host.net", &[record("issue", "other.example")]);
    assert_eq!(
        class(&world, "www.example.com").await,
        None,
        "RFC 8659 climbs from the name, not from the target"
    );
    world.fleet.set_caa("customer.host.net", &[record("issue", "other.example")]);
    assert_eq!(class(&world, "www.example.com").await, Some(FailureClass::Caa));
    world.fleet.set_dname("old.example.com", Some("customer.host.net"));
    world.fleet.set_caa("x.customer.host.net", &[record("issue", "other.example")]);
    assert_eq!(class(&world, "x.old.example.com").await, Some(FailureClass::Caa));
}

#[tokio::test]
async fn wildcards_accounts_and_methods_are_told_apart() {
    let world = World::start(0, &["example.com"]).await;
    world.fleet.set_caa("example.com", &[record("issue", "ca.example"), record("issuewild", ";")]);
    assert_eq!(class(&world, "example.com").await, None);
    let wild = check(&world, "*.example.com", Method::Dns01).await.expect_err("forbidden");
    assert!(wild.detail.ends_with("publish: example.com. CAA 0 issuewild \"ca.example\""), "{}", wild.detail);

    let ours = format!("ca.example; accounturi={ACCOUNT}; validationmethods=dns-01");
    world.fleet.set_caa("example.com", &[record("issue", &ours)]);
    assert_eq!(check(&world, "*.example.com", Method::Dns01).await, Ok(()));
    assert_eq!(class(&world, "example.com").await, Some(FailureClass::Caa));
    let theirs = format!("ca.example; accounturi={ACCOUNT}0");
    world.fleet.set_caa("example.com", &[record("issue", &theirs)]);
    assert_eq!(class(&world, "example.com").await, Some(FailureClass::Caa));
}

#[tokio::test]
async fn a_look_up_that_fails_is_what_a_ca_refuses_for() {
    let world = World::start(1, &["www.example.com", "www.example.org"]).await;
    world.fleet.set_fault(&hostname("www.example.org"), Some(Fault::Servfail));
    let fault = check(&world, "www.example.org", Method::Http01).await.expect_err("refused");
    assert_eq!(fault.class, Some(FailureClass::DnsServfail));
    let words = "the CAA records of www.example.org cannot be looked up: the name's servers answer SERVFAIL";
    assert!(fault.detail.starts_with(words), "{}", fault.detail);
    world.fleet.set_fault(&hostname("www.example.org"), Some(Fault::DnsTimeout));
    assert_eq!(class(&world, "www.example.org").await, Some(FailureClass::DnsTimeout));
    world.fleet.set_fault(&hostname("www.example.org"), Some(Fault::Nxdomain));
    assert_eq!(class(&world, "www.example.org").await, None, "no such name has no such records");

    world.fleet.set_server_fault(1, Some(ServerFault::Refused));
    assert_eq!(class(&world, "www.example.com").await, Some(FailureClass::DnsServfail));
}

#[tokio::test]
async fn names_of_one_check_share_what_is_above_them() {
    let world = World::start(0, &["example.com"]).await;
    let issuer = CaaIssuer { identities: vec!["ca.example".into()], account_url: ACCOUNT.into() };
    let check = CaaCheck::new(Arc::clone(&world.resolver), issuer);
    let round = CaaRound::default();
    for host in 0..20 {
        let name = hostname(&format!("h{host}.example.com"));
        assert_eq!(check.check(&round, &name, Method::Http01).await, Ok(()));
    }
    assert_eq!(world.fleet.hits(&hostname("example.com")).dns, 1);
}
