//! What may change while a fleet runs, and how it starts and ends.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use http::StatusCode;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::{PATIENCE, Sight, addresses, ask_udp, challenge_path, look, name, start, start_echo};
use crate::fleet::{Fault, Fleet, FleetConfig, FleetError, Site, UnknownNames};

async fn status(fleet: &Fleet, host: &str) -> Option<u16> {
    match look(fleet, &name(host), &challenge_path("token")).await {
        Sight::Answer(status, _) => Some(status.as_u16()),
        _ => None,
    }
}

#[tokio::test]
async fn a_name_breaks_and_heals_while_the_fleet_runs() {
    let fleet = start(vec![Site::healthy(vec![name("example.com"), name("www.example.com")])]).await;
    assert_eq!(status(&fleet, "example.com").await, Some(200));
    fleet.set_fault(&name("example.com"), Some(Fault::NotFound));
    assert_eq!(status(&fleet, "example.com").await, Some(404));
    assert_eq!(status(&fleet, "www.example.com").await, Some(200));
    fleet.set_fault(&name("example.com"), Some(Fault::Nxdomain));
    assert_eq!(addresses(&fleet, "example.com", RecordType::A).await, Err(Sight::Nxdomain));
    fleet.set_fault(&name("example.com"), None);
    assert_eq!(status(&fleet, "example.com").await, Some(200));
    fleet.set_fault_for_all(Some(Fault::ServerError));
    assert_eq!(status(&fleet, "www.example.com").await, Some(500));
    assert_eq!(status(&fleet, "example.com").await, Some(500));
}

#[tokio::test]
async fn a_hit_wakes_who_waits_for_it() {
    let fleet = start(vec![Site::healthy(vec![name("example.com")])]).await;
    let host = name("example.com");
    let waiting = timeout(PATIENCE, fleet.wait_for(&host, |hits| hits.forwarded == 2));
    let asking = async {
        let mut statuses = Vec::new();
        for _ in 0..2 {
            statuses.push(status(&fleet, "example.com").await);
        }
        statuses
    };
    let (hits, statuses) = tokio::join!(waiting, asking);
    assert_eq!(hits.expect("woken").dns, 2);
    assert_eq!(statuses, [Some(200), Some(200)]);
    assert!(timeout(PATIENCE, fleet.wait_for(&host, |hits| hits.http == 3)).await.is_err());
}

#[tokio::test]
async fn sites_join_on_the_server_they_name() {
    let fleet = start(Vec::new()).await;
    assert_eq!(addresses(&fleet, "late.com", RecordType::A).await, Err(Sight::Nxdomain));
    fleet.add(&Site { server: 2, ..Site::healthy(vec![name("late.com")]) });
    let seen = addresses(&fleet, "late.com", RecordType::A).await.unwrap();
    assert_eq!(seen, [IpAddr::from(Ipv4Addr::new(127, 0, 1, 3))]);
    fleet.set_fault(&name("later.com"), None);
    assert_eq!(status(&fleet, "later.com").await, Some(200));
}

#[tokio::test]
async fn unknown_names_are_healthy_where_the_fleet_is_told_so() {
    let config = FleetConfig { unknown_names: UnknownNames::Healthy, ..FleetConfig::new(start_echo().await) };
    let fleet = Fleet::start(config).await.unwrap();
    assert_eq!(status(&fleet, "anything.at-all.co.uk").await, Some(200));
    assert_eq!(fleet.hits(&name("anything.at-all.co.uk")).http, 1);
    for no_hostname in ["under_score.example.com.", "host.invalid.", "label."] {
        let answer = ask_udp(&fleet, no_hostname, RecordType::A).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{no_hostname}");
    }
}

#[tokio::test]
async fn the_responder_may_move_and_may_be_away() {
    let away = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let sites = vec![Site::healthy(vec![name("example.com")])];
    let fleet = Fleet::start(FleetConfig { sites, ..FleetConfig::new(away) }).await.unwrap();
    assert_eq!(status(&fleet, "example.com").await, Some(StatusCode::BAD_GATEWAY.as_u16()));
    fleet.set_responder(start_echo().await);
    assert_eq!(status(&fleet, "example.com").await, Some(200));
}

#[tokio::test]
async fn every_socket_is_free_again_after_stop() {
    let fleet = start(vec![Site::broken(vec![name("example.com")], Fault::Timeout)]).await;
    let (dns, port) = (fleet.dns_addr(), fleet.http_port());
    let addresses = fleet.server_addresses().to_vec();
    // One request that never ends and one idle DNS connection must not hold it up.
    let idle = TcpStream::connect(dns).await.unwrap();
    assert_eq!(look(&fleet, &name("example.com"), "/").await, Sight::Timeout);
    fleet.stop().await;
    drop(idle);
    UdpSocket::bind(dns).await.unwrap();
    for address in addresses {
        TcpListener::bind((address, port)).await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_fleet_lets_go_of_its_sockets() {
    let fleet = start(Vec::new()).await;
    let address = (fleet.server_addresses()[0], fleet.http_port());
    assert!(TcpListener::bind(address).await.is_err());
    drop(fleet);
    let freed = async {
        while TcpListener::bind(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed).await.expect("the port is free again");
}

#[tokio::test]
async fn two_fleets_stand_beside_each_other() {
    let (one, two) = (start(Vec::new()).await, start(Vec::new()).await);
    assert_ne!(one.http_port(), two.http_port());
    assert_ne!(one.dns_addr(), two.dns_addr());
    let taken = FleetConfig { http_port: Some(one.http_port()), ..FleetConfig::new(start_echo().await) };
    assert!(matches!(Fleet::start(taken).await, Err(FleetError::Bind { .. })));
}

#[tokio::test]
async fn only_loopback_and_a_sane_size_are_accepted() {
    let public = FleetConfig { dns: "192.0.2.1:0".parse().unwrap(), ..FleetConfig::new(start_echo().await) };
    assert!(matches!(Fleet::start(public).await, Err(FleetError::NotLoopback { .. })));
    let none = FleetConfig { servers: 0, ..FleetConfig::new(start_echo().await) };
    assert!(matches!(Fleet::start(none).await, Err(FleetError::Servers { servers: 0 })));
}
