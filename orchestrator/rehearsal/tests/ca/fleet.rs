//! The CA validates the fake fleet: each fault is seen for what it is.

use std::net::{Ipv4Addr, SocketAddr};

use issuance::identifier::Hostname;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use rehearsal::fleet::{Fault, Fleet, FleetConfig, Site};

use crate::client::{Client, ERROR};
use crate::world::World;

/// What a CA says of a fault: nothing, or a problem type and words of its detail.
fn expected(fault: Fault) -> Option<(&'static str, &'static str)> {
    match fault {
        Fault::Nxdomain => Some(("dns", "NXDOMAIN looking up A for")),
        Fault::Servfail => Some(("dns", "SERVFAIL looking up A for")),
        Fault::NoAddress => Some(("dns", "No valid IP addresses found for")),
        Fault::DnsTimeout => Some(("dns", "query timed out looking up A for")),
        Fault::WrongAddress | Fault::WrongBody => Some(("unauthorized", "did not match this challenge")),
        Fault::NotFound | Fault::WrongForCa => Some(("unauthorized", ": 404")),
        Fault::ServerError => Some(("unauthorized", ": 500")),
        Fault::Refused => Some(("connection", "Connection refused")),
        Fault::ConnectTimeout => Some(("connection", "Timeout during connect")),
        Fault::Timeout | Fault::Slow => Some(("connection", "Timeout after connect")),
        Fault::RedirectLoop => Some(("connection", "Redirect loop detected")),
        Fault::DeadIpv6 | Fault::RedirectElsewhere | Fault::BreaksAfter(_) => None,
    }
}

#[tokio::test]
async fn each_fault_of_the_fleet_is_seen_for_what_it_is() {
    let world = World::start().await;
    let responder = SocketAddr::from((Ipv4Addr::LOCALHOST, world.http_port));
    let name =
        |fault: Fault| Hostname::parse(&format!("{}.com", fault.as_str().replace('_', "-"))).expect("a name");
    let sites = Fault::ALL.map(|fault| Site::broken(vec![name(fault)], fault));
    let healthy = Site::healthy(vec![Hostname::parse("healthy.com").expect("a name")]);
    let sites = sites.into_iter().chain([healthy]).collect();
    let fleet = Fleet::start(FleetConfig { sites, ..FleetConfig::new(responder) }).await.expect("a fleet");
    let config = CaConfig {
        rules: CaRules { validation_timeout_ms: 1_000, ..CaRules::preset("boulder").expect("a preset") },
        dns: Some(fleet.dns_addr()),
        http_port: fleet.http_port(),
        ..CaConfig::default()
    };
    let ca = RehearsalCa::start(config).await.expect("a CA");
    let client = Client::registered(&ca).await;
    let names: Vec<String> = Fault::ALL.map(|fault| name(fault).to_string()).into();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("healthy.com");
    let order = client.order(&names).await.assert_ok(201);
    client.submit(&ca, &order, Some(&world)).await;
    for row in client.authorizations(&order).await {
        let fault = Fault::ALL.into_iter().find(|fault| name(*fault).as_str() == row.name());
        let challenge = row.challenge("http-01");
        match fault.and_then(expected) {
            None => assert_eq!(challenge["status"], "valid", "{} {challenge}", row.name()),
            Some((kind, words)) => {
                assert_eq!(
                    challenge["error"]["type"],
                    format!("{ERROR}{kind}"),
                    "{} {challenge}",
                    row.name()
                );
                let detail = challenge["error"]["detail"].as_str().expect("a detail");
                assert!(detail.contains(words), "{}: {detail}", row.name());
            }
        }
    }
    assert_eq!(ca.audit().authorizations.submitted, 0);
}
