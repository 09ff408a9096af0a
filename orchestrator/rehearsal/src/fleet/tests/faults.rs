//! Each fault looks from outside as its documentation says.

use std::net::{IpAddr, Ipv6Addr};

use hickory_proto::rr::RecordType;
use http::StatusCode;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PATIENCE, Sight, addresses, challenge_path, look, name, start};
use crate::fleet::{
    DnsReply, FIREWALLED_ADDRESS, Fault, Fleet, HttpReply, REFUSING_ADDRESS, STRANGER_ADDRESS, Site,
};

const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

async fn broken(fault: Fault) -> Fleet {
    start(vec![Site::broken(vec![name("broken.com")], fault), Site::healthy(vec![name("healthy.net")])]).await
}

async fn sight_of(fleet: &Fleet) -> Sight {
    look(fleet, &name("broken.com"), &challenge_path(TOKEN)).await
}

fn answer(status: StatusCode, body: impl Into<String>) -> Sight {
    Sight::Answer(status, body.into())
}

/// What the responder says for this name's challenge: the web server kept Host and path.
fn forwarded(fleet: &Fleet, host: &str) -> Sight {
    answer(StatusCode::OK, format!("{host}:{} {}", fleet.http_port(), challenge_path(TOKEN)))
}

#[tokio::test]
async fn a_healthy_name_is_forwarded_with_its_host_and_path() {
    let fleet = broken(Fault::NotFound).await;
    assert_eq!(
        look(&fleet, &name("healthy.net"), &challenge_path(TOKEN)).await,
        forwarded(&fleet, "healthy.net")
    );
    let hits = fleet.hits(&name("healthy.net"));
    assert_eq!((hits.dns, hits.http, hits.forwarded), (1, 1, 1));
    assert_eq!(hits.last_dns, Some(DnsReply::Records(1)));
    assert_eq!(hits.last_http, Some(HttpReply::Status(200)));
    assert_eq!(addresses(&fleet, "healthy.net", RecordType::AAAA).await, Err(Sight::NoRecords));
}

#[tokio::test]
async fn dns_faults_are_seen_by_a_resolver() {
    for (fault, sight, reply) in [
        (Fault::Nxdomain, Sight::Nxdomain, DnsReply::Nxdomain),
        (Fault::Servfail, Sight::Servfail, DnsReply::Servfail),
        (Fault::NoAddress, Sight::NoRecords, DnsReply::NoData),
        (Fault::DnsTimeout, Sight::DnsTimeout, DnsReply::Silence),
    ] {
        let fleet = broken(fault).await;
        assert_eq!(sight_of(&fleet).await, sight, "{fault}");
        assert_eq!(fleet.hits(&name("broken.com")).last_dns, Some(reply), "{fault}");
    }
}

#[tokio::test]
async fn dns_faults_reach_the_challenge_name_below() {
    for (fault, sight) in [(Fault::Nxdomain, Sight::Nxdomain), (Fault::Servfail, Sight::Servfail)] {
        let fleet = broken(fault).await;
        fleet.set_txt("_acme-challenge.broken.com", &["value"]);
        let seen = addresses(&fleet, "_acme-challenge.broken.com", RecordType::TXT).await;
        assert_eq!(seen, Err(sight), "{fault}");
    }
}

#[tokio::test]
async fn the_wrong_address_is_a_strangers_who_parks_every_name() {
    let fleet = broken(Fault::WrongAddress).await;
    let seen = addresses(&fleet, "broken.com", RecordType::A).await.unwrap();
    assert_eq!(seen, [IpAddr::from(STRANGER_ADDRESS)]);
    assert!(!fleet.server_addresses().contains(&STRANGER_ADDRESS));
    assert_eq!(sight_of(&fleet).await, answer(StatusCode::OK, super::super::web::PARKED));
    assert_eq!(fleet.hits(&name("broken.com")).forwarded, 0);
}

#[tokio::test]
async fn nothing_listens_at_the_refusing_address() {
    let fleet = broken(Fault::Refused).await;
    let seen = addresses(&fleet, "broken.com", RecordType::A).await.unwrap();
    assert_eq!(seen, [IpAddr::from(REFUSING_ADDRESS)]);
    assert_eq!(sight_of(&fleet).await, Sight::Refused);
}

#[tokio::test]
async fn a_firewall_lets_no_connection_come_about() {
    let fleet = broken(Fault::ConnectTimeout).await;
    let seen = addresses(&fleet, "broken.com", RecordType::A).await.unwrap();
    assert_eq!(seen, [IpAddr::from(FIREWALLED_ADDRESS)]);
    let attempts = (0..4).map(|_| timeout(PATIENCE, TcpStream::connect((seen[0], fleet.http_port()))));
    let outcomes = futures_util::future::join_all(attempts).await;
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
}

#[tokio::test]
async fn a_request_that_times_out_was_accepted() {
    let fleet = broken(Fault::Timeout).await;
    assert_eq!(sight_of(&fleet).await, Sight::Timeout);
    let hits = fleet.hits(&name("broken.com"));
    assert_eq!((hits.http, hits.last_http), (1, Some(HttpReply::Silence)));
}

#[tokio::test]
async fn web_faults_are_seen_by_a_client() {
    for (fault, sight) in [
        (Fault::NotFound, answer(StatusCode::NOT_FOUND, "Not found.\n")),
        (Fault::WrongBody, answer(StatusCode::OK, super::super::web::IT_WORKS)),
        (Fault::RedirectLoop, Sight::RedirectLoop),
        (Fault::Slow, Sight::BodyTimeout(StatusCode::OK)),
        (Fault::ServerError, answer(StatusCode::INTERNAL_SERVER_ERROR, "Broken.\n")),
        (Fault::WrongForCa, answer(StatusCode::NOT_FOUND, "Not found.\n")),
    ] {
        let fleet = broken(fault).await;
        assert_eq!(sight_of(&fleet).await, sight, "{fault}");
        assert_eq!(fleet.hits(&name("broken.com")).forwarded, 0, "{fault}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_healthy_name_validates() {
    let fleet = broken(Fault::RedirectElsewhere).await;
    assert_eq!(sight_of(&fleet).await, forwarded(&fleet, "healthy.net"));
    assert_eq!(fleet.hits(&name("broken.com")).last_http, Some(HttpReply::Status(302)));
}

#[tokio::test]
async fn wrong_for_the_ca_still_answers_probes() {
    let fleet = broken(Fault::WrongForCa).await;
    let path = challenge_path("lockkeeper-probe-1");
    let expected = answer(StatusCode::OK, format!("broken.com:{} {path}", fleet.http_port()));
    assert_eq!(look(&fleet, &name("broken.com"), &path).await, expected);
    assert_eq!(sight_of(&fleet).await, answer(StatusCode::NOT_FOUND, "Not found.\n"));
}

#[tokio::test]
async fn a_site_breaks_after_its_count() {
    let fleet = broken(Fault::BreaksAfter(2)).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let Sight::Answer(status, _) = sight_of(&fleet).await else { panic!("no answer") };
        statuses.push(status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 404, 404]);
    // The count begins anew with every fault.
    fleet.set_fault(&name("broken.com"), Some(Fault::BreaksAfter(1)));
    assert_eq!(sight_of(&fleet).await, forwarded(&fleet, "broken.com"));
    assert_eq!(sight_of(&fleet).await, answer(StatusCode::NOT_FOUND, "Not found.\n"));
}

#[tokio::test]
async fn a_dead_ipv6_address_stands_beside_a_healthy_one() {
    let fleet = broken(Fault::DeadIpv6).await;
    let six = addresses(&fleet, "broken.com", RecordType::AAAA).await.unwrap();
    assert_eq!(six, [IpAddr::from(Ipv6Addr::LOCALHOST)]);
    assert!(TcpStream::connect((six[0], fleet.http_port())).await.is_err());
    assert_eq!(sight_of(&fleet).await, forwarded(&fleet, "broken.com"));
}

#[tokio::test]
async fn other_paths_of_a_site_work_and_unknown_hosts_do_not() {
    let fleet = broken(Fault::NotFound).await;
    let page = answer(StatusCode::OK, super::super::web::IT_WORKS);
    assert_eq!(look(&fleet, &name("broken.com"), "/").await, page);
    assert_eq!(look(&fleet, &name("nobody.org"), "/").await, Sight::Nxdomain);
    let url = format!("http://nobody.org:{}/", fleet.http_port()).parse().unwrap();
    let (_, seen) = super::fetch(fleet.server_addresses()[0].into(), &url).await;
    assert_eq!(seen, answer(StatusCode::NOT_FOUND, "No such site.\n"));
}
