//! A TXT record is looked for at every address of every authoritative server.

use std::collections::BTreeMap;
use std::time::Duration;

use issuance::fault::FailureClass;
use issuance::propagation::{Round, Sighting};
use lockkeeper::challenge::address::AddressPolicy;
use lockkeeper::challenge::propagation::{PropagationReport, Verdict};
use rehearsal::fleet::{ServerFault, ZonePlan};

use crate::world::World;

const NAME: &str = "_acme-challenge.www.example.com";
const VALUE: &str = "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn look(world: &World) -> PropagationReport {
    world.propagation().look(NAME, &[VALUE.to_owned()]).await
}

fn class(report: &PropagationReport) -> Option<FailureClass> {
    match report.verdict {
        Verdict::NotYet { class, .. } => Some(class),
        Verdict::Visible | Verdict::Unknown { .. } => None,
    }
}

fn detail(report: &PropagationReport) -> &str {
    match &report.verdict {
        Verdict::NotYet { detail, .. } | Verdict::Unknown { detail } => detail,
        Verdict::Visible => "",
    }
}

fn sightings(report: &PropagationReport) -> BTreeMap<String, Sighting> {
    let told = |server: &lockkeeper::challenge::propagation::ServerReport| {
        (server.address.map_or_else(|| server.server.clone(), |address| address.to_string()), server.sighting)
    };
    report.servers.iter().map(told).collect()
}

#[tokio::test]
async fn the_last_server_decides() {
    let world = World::start(3, &["www.example.com"]).await;
    let before = look(&world).await;
    assert_eq!(class(&before), Some(FailureClass::PropagationTimeout), "{before:?}");
    assert_eq!(before.servers.len(), 3);

    world.fleet.publish_txt(NAME, &["other", VALUE], &[seconds(0), seconds(40), seconds(90)]);
    let expected = [(0, [true, false, false]), (40, [true, true, false]), (90, [true, true, true])];
    for (elapsed, shows) in expected {
        world.advance_to(elapsed);
        let report = look(&world).await;
        let seen: Vec<bool> = sightings(&report).values().map(|seen| *seen == Sighting::Shows).collect();
        assert_eq!(seen, shows, "after {elapsed} s: {report:?}");
        assert_eq!(report.verdict == Verdict::Visible, elapsed == 90, "{report:?}");
        assert_eq!((report.owner.as_str(), report.zone.as_deref()), (NAME, Some("example.com")));
    }
    assert_eq!(world.fleet.early_questions(NAME), 0, "no resolver was asked for what was not there yet");
}

#[tokio::test]
async fn the_exact_value_is_wanted_and_all_of_them() {
    let world = World::start(2, &["www.example.com"]).await;
    world.fleet.set_txt(NAME, &[&VALUE.to_lowercase(), &format!("{VALUE} ")]);
    let other = look(&world).await;
    assert_eq!(class(&other), Some(FailureClass::WrongRecord));
    assert!(detail(&other).contains("has other values: \"lpsiwto7"), "{}", detail(&other));

    world.fleet.set_txt(NAME, &[VALUE]);
    let both = [VALUE.to_owned(), "of the wildcard beside it".to_owned()];
    let report = world.propagation().look(NAME, &both).await;
    assert_eq!(report.round, Round::Missing, "{report:?}");
    world.fleet.set_txt(NAME, &[&both[0], &both[1]]);
    assert_eq!(world.propagation().look(NAME, &both).await.verdict, Verdict::Visible);
}

#[tokio::test]
async fn a_long_answer_is_read_over_tcp() {
    let world = World::start(2, &["www.example.com"]).await;
    let leftovers: Vec<String> = (0..60).map(|place| format!("{place:043}")).collect();
    let values: Vec<&str> = leftovers.iter().map(String::as_str).chain([VALUE]).collect();
    world.fleet.set_txt(NAME, &values);
    assert_eq!(look(&world).await.verdict, Verdict::Visible);
}

#[tokio::test]
async fn servers_that_do_not_speak_for_the_zone_are_told_apart() {
    use ServerFault as F;
    let cases = [
        (F::Refused, Sighting::Lame, "answers Query Refused"),
        (F::Servfail, Sighting::Lame, "answers Server Failure"),
        (F::NotAuthoritative, Sighting::Lame, "does not answer for the zone (no AA bit)"),
        (F::Silent, Sighting::Silent, "no answer in time"),
        (F::TruncatesWithoutTcp, Sighting::Silent, "does not fit into UDP, and TCP gives none"),
        (F::Truncates, Sighting::Shows, "shows the record"),
        (F::NoTcp, Sighting::Shows, "shows the record"),
        (F::OtherOverTcp, Sighting::Missing, "does not know the name (NXDOMAIN)"),
    ];
    for (fault, sighting, words) in cases {
        let world = World::start(3, &["www.example.com"]).await;
        world.fleet.set_txt(NAME, &[VALUE]);
        world.fleet.set_server_fault(2, Some(fault));
        let report = look(&world).await;
        let server = report.servers.iter().find(|server| server.server == "ns2.example.com").expect("told");
        assert_eq!(
            (server.sighting, server.detail.contains(words)),
            (sighting, true),
            "{fault:?}: {server:?}"
        );
        let round = match sighting {
            Sighting::Shows => Round::Green { complete: true },
            Sighting::Missing => Round::Missing,
            _ => Round::Green { complete: false },
        };
        assert_eq!(report.round, round, "{fault:?}: {report:?}");
        let no_tcp = report.findings.iter().any(|finding| finding.contains("does not answer over TCP"));
        assert_eq!(no_tcp, fault == F::NoTcp, "{fault:?}: {report:?}");
    }
}

#[tokio::test]
async fn a_zone_that_nobody_serves_is_lame_and_one_that_is_silent_is_not() {
    let cases = [
        (ServerFault::Refused, FailureClass::DnsLame),
        (ServerFault::NotAuthoritative, FailureClass::DnsLame),
        (ServerFault::Silent, FailureClass::DnsTimeout),
    ];
    for (fault, expected) in cases {
        let world = World::start(2, &["www.example.com"]).await;
        world.fleet.set_txt(NAME, &[VALUE]);
        for server in 1..=2 {
            world.fleet.set_server_fault(server, Some(fault));
        }
        let report = look(&world).await;
        assert_eq!(class(&report), Some(expected), "{fault:?}: {report:?}");
    }
}

#[tokio::test]
async fn servers_that_only_one_side_names_are_asked_and_told() {
    let world = World::start(3, &["www.example.com"]).await;
    let plan = ZonePlan { parent: vec![1, 2], child: vec![1, 3], ..ZonePlan::of(&[]) };
    world.fleet.set_zone("example.com", plan);
    world.fleet.publish_txt(NAME, &[VALUE], &[seconds(0), seconds(0), seconds(60)]);
    let report = look(&world).await;
    let expected =
        [("127.0.1.1", Sighting::Shows), ("127.0.1.2", Sighting::Lame), ("127.0.1.3", Sighting::Missing)];
    assert_eq!(sightings(&report), expected.map(|(address, seen)| (address.to_owned(), seen)).into());
    assert_eq!(
        report.findings,
        ["the NS records of example.com differ: only the zone above names ns2.example.com; only the zone \
          itself names ns3.example.com"]
    );
    world.advance_to(60);
    assert_eq!(look(&world).await.round, Round::Green { complete: false });
}

#[tokio::test]
async fn the_zone_cut_below_the_registered_domain_is_found() {
    let world = World::start(4, &["www.example.com"]).await;
    world.fleet.set_zone("example.com", ZonePlan::of(&[1, 2]));
    // Server 1 serves both zones, and so never refers to the other one.
    for (delegated, servers) in [("other servers", [3, 4]), ("one of the same", [1, 3])] {
        world.fleet.set_zone("www.example.com", ZonePlan::of(&servers));
        world.fleet.set_txt(NAME, &[VALUE]);
        let report = look(&world).await;
        assert_eq!(report.zone.as_deref(), Some("www.example.com"), "{delegated}: {report:?}");
        let asked: Vec<String> = sightings(&report).into_keys().collect();
        assert_eq!(asked, servers.map(|server| format!("127.0.1.{server}")), "{delegated}");
        assert_eq!(report.verdict, Verdict::Visible, "{delegated}: {report:?}");
    }
}

#[tokio::test]
async fn aliases_lead_to_the_zone_that_holds_the_record() {
    let world = World::start(4, &["www.example.com"]).await;
    world.fleet.set_zone("example.com", ZonePlan::of(&[1, 2]));
    world.fleet.set_zone("provider.net", ZonePlan::of(&[3, 4]));
    let target = "d420c923.acme.provider.net";
    world.fleet.set_cname(NAME, Some(target));
    world.fleet.publish_txt(target, &[VALUE], &[seconds(0), seconds(0), seconds(0), seconds(30)]);
    let early = look(&world).await;
    assert_eq!((early.owner.as_str(), early.zone.as_deref()), (target, Some("provider.net")));
    assert_eq!(early.round, Round::Missing, "{early:?}");
    world.advance_to(30);
    assert_eq!(look(&world).await.verdict, Verdict::Visible);
    assert_eq!(world.fleet.early_questions(target), 0);
}

#[tokio::test]
async fn a_dname_is_an_alias_for_all_below_it() {
    let world = World::start(2, &["www.example.com"]).await;
    world.fleet.set_dname("www.example.com", Some("mirror.provider.net"));
    world.fleet.set_txt("_acme-challenge.mirror.provider.net", &[VALUE]);
    let report = look(&world).await;
    assert_eq!(report.owner, "_acme-challenge.mirror.provider.net", "{report:?}");
    assert_eq!(report.verdict, Verdict::Visible, "{report:?}");
}

#[tokio::test]
async fn chains_end() {
    let world = World::start(1, &["www.example.com"]).await;
    world.fleet.set_cname(NAME, Some("a.example.net"));
    world.fleet.set_cname("a.example.net", Some("b.example.org"));
    world.fleet.set_cname("b.example.org", Some("a.example.net"));
    let circle = look(&world).await;
    assert_eq!(class(&circle), Some(FailureClass::DnsAlias));
    assert!(detail(&circle).ends_with("a.example.net → b.example.org → a.example.net"), "{circle:?}");

    for place in 0..12 {
        world.fleet.set_cname(&format!("c{place}.example.net"), Some(&format!("c{}.example.net", place + 1)));
    }
    world.fleet.set_cname(NAME, Some("c0.example.net"));
    let long = look(&world).await;
    assert!(detail(&long).contains("more than 8 aliases"), "{long:?}");
}

#[tokio::test]
async fn a_domain_that_is_not_registered_is_told_apart() {
    let world = World::start(1, &["www.example.com"]).await;
    let report = world.propagation().look("_acme-challenge.www.expired.com", &[VALUE.to_owned()]).await;
    assert_eq!(class(&report), Some(FailureClass::DnsUnregistered), "{report:?}");
    assert!(detail(&report).contains("expired.com. is not registered"), "{}", detail(&report));
}

#[tokio::test]
async fn name_servers_at_special_purpose_addresses_are_not_asked() {
    let world = World::start(2, &["www.example.com"]).await;
    world.fleet.set_txt(NAME, &[VALUE]);
    let nothing_allowed = world.propagation_under(AddressPolicy::default());
    let report = nothing_allowed.look(NAME, &[VALUE.to_owned()]).await;
    assert_eq!(class(&report), Some(FailureClass::PrivateAddress), "{report:?}");
    assert!(report.servers.iter().all(|server| server.sighting == Sighting::NotAsked), "{report:?}");
    let allowed = ["127.0.1.2".parse().expect("an address"), "127.0.0.1".parse().expect("an address")];
    let one = world.propagation_under(AddressPolicy { allowed: allowed.into(), expected: Vec::new() });
    let report = one.look(NAME, &[VALUE.to_owned()]).await;
    let expected = [("127.0.1.1", Sighting::NotAsked), ("127.0.1.2", Sighting::Shows)];
    assert_eq!(sightings(&report), expected.map(|(address, seen)| (address.to_owned(), seen)).into());
    assert_eq!(report.round, Round::Green { complete: false });
}
