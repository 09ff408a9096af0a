use std::fmt::Write as _;

use issuance::time::Timestamp;
use serde::Deserialize;

use super::*;
use crate::clock::{DrivenClock, SystemClock};

fn config(text: &str) -> Dns01Config {
    Dns01Config::deserialize(toml::de::ValueDeserializer::parse(text).expect("an inline table")).expect(text)
}

fn providers(entries: &[&str]) -> Result<Providers, ProviderSetUpError> {
    let mut text = String::from("{ provider = [");
    for entry in entries {
        write!(text, "{{ {entry} }},").expect("a string takes it");
    }
    text.push_str("] }");
    let machine: Arc<dyn Clock> = Arc::new(SystemClock);
    let clock = Arc::new(DrivenClock::starting_at(Timestamp::from_unix_seconds(1_000)));
    let authority = AuthorityConfig { zone: Some("acme.host.net".into()), ..AuthorityConfig::default() };
    Providers::new(&config(&text), &authority, clock, &machine)
}

fn name(text: &str) -> RecordName {
    RecordName::parse(text).expect(text)
}

const EXEC: &str = "type = 'exec', program = '/bin/false'";

#[test]
fn the_longest_zone_serves_a_name_and_of_two_the_one_for_the_tenant() {
    let all = providers(&[
        &format!("name = 'wide', zones = ['com', 'net'], {EXEC}"),
        &format!("name = 'shop', zones = ['shop.com'], {EXEC}"),
        &format!("name = 'mine', zones = ['shop.com'], tenants = ['t1'], {EXEC}"),
        &format!("name = 'theirs', zones = ['www.shop.com'], tenants = ['t2'], {EXEC}"),
    ])
    .expect("providers");
    let serving =
        |owner: &str, tenant| all.serving(&name(owner), tenant).map(|(one, zone)| format!("{one} {zone}"));
    assert_eq!(serving("_acme-challenge.a.com", None).as_deref(), Some("wide com"));
    assert_eq!(serving("_acme-challenge.www.shop.com", None).as_deref(), Some("shop shop.com"));
    assert_eq!(serving("_acme-challenge.www.shop.com", Some("t1")).as_deref(), Some("mine shop.com"));
    assert_eq!(serving("_acme-challenge.www.shop.com", Some("t2")).as_deref(), Some("theirs www.shop.com"));
    assert_eq!(serving("_acme-challenge.a.org", Some("t1")), None);
    assert_eq!(serving("0a.acme.host.net", None).as_deref(), Some("authority acme.host.net"));
    assert_eq!(all.own_zone(), Some(&name("acme.host.net")));
    assert!(all.ask_for_tenants());
}

#[test]
fn a_slip_in_a_provider_says_what_to_write() {
    let told = |entry: &str| providers(&[entry]).expect_err(entry).to_string();
    let is = |entry: &str, ending: &str| {
        let told = told(entry);
        assert!(told.ends_with(ending), "{told}");
    };
    is("name = 'a', zones = ['shop.com'], type = 'exec'", "a: its type needs the key `program`");
    is(&format!("name = 'a', zones = ['shop.com'], {EXEC}, region = 'x'"), "has no use for the key `region`");
    is(&format!("name = 'a', zones = [], {EXEC}"), "name at least one zone");
    is(&format!("name = 'A b', zones = ['shop.com'], {EXEC}"), "and no other provider's");
    is(&format!("name = 'authority', zones = ['shop.com'], {EXEC}"), "and no other provider's");
    is("name = 'a', zones = ['shop.com'], type = 'cloudflare'", "needs the key `secret_file`");
    is(
        "name = 'a', zones = ['shop.com'], type = 'rfc2136', server = '127.0.0.1:53', key_name = 'k'",
        "`secret_file`",
    );
    assert!(
        told("name = 'a', zones = ['shop.com'], type = 'bind'")
            .contains("rfc2136, exec, powerdns, route53, bunny")
    );
    let twice = format!("name = 'a', zones = ['shop.com'], {EXEC}");
    assert!(providers(&[&twice, &twice]).is_err());
}

#[tokio::test]
async fn a_provider_that_fails_again_and_again_is_left_alone_for_a_while() {
    let all = providers(&[&format!("name = 'a', zones = ['shop.com'], {EXEC}")]).expect("providers");
    let (provider, zone) = all.serving(&name("_acme-challenge.shop.com"), None).expect("it serves the zone");
    let change =
        Change { owner: name("_acme-challenge.shop.com"), add: vec!["x".into()], remove: Vec::new() };
    for _ in 0..4 {
        let failed = all.write(provider, zone, std::slice::from_ref(&change), Duration::from_secs(20)).await;
        assert_eq!(failed.expect_err("it fails").as_str(), "refused");
        assert_eq!(all.turn(provider), Turn::Well);
    }
    all.write(provider, zone, &[change], Duration::from_secs(20)).await.expect_err("it fails");
    assert_eq!(all.turn(provider), Turn::Ails { until: Timestamp::from_unix_seconds(1_060) });
}

#[tokio::test]
async fn a_write_that_does_not_get_its_turn_in_time_is_given_up() {
    let all = providers(&[&format!("name = 'a', zones = ['shop.com'], {EXEC}")]).expect("providers");
    let provider = all.named("a").expect("it is there");
    let _busy = provider.seats.acquire().await.expect("the only seat");
    let change =
        Change { owner: name("_acme-challenge.shop.com"), add: Vec::new(), remove: vec!["x".into()] };
    let late = all.write(provider, &name("shop.com"), &[change], Duration::from_millis(20)).await;
    assert_eq!(late.expect_err("no turn").as_str(), "timeout");
    let _waiting = provider.queue.acquire_many(4).await.expect("all places");
    let full = all.write(provider, &name("shop.com"), &[], Duration::from_secs(20)).await;
    assert_eq!(full.expect_err("no place"), PresentError::Busy);
    assert_eq!(all.turn(provider), Turn::Well, "one that is asked for much does not ail");
}
