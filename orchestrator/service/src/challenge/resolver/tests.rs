use super::super::world::{self, Zone, address, dead_resolver, hostname};
use super::*;

async fn look_up(zone: Zone) -> Result<Vec<IpAddr>, ResolveFault> {
    let resolver = world::impatient_resolver([("www.example.com", zone)]).await;
    resolver.lookup(&hostname("www.example.com")).await.map(|addresses| addresses.iter().collect())
}

fn servfail(code: ResponseCode) -> ResolveFault {
    ResolveFault::Servfail(Rcode(code.into()))
}

#[tokio::test]
async fn both_families_are_found_each_address_once() {
    let found = look_up(Zone::at(&["8.8.8.8", "2a00::1", "1.1.1.1", "8.8.8.8"])).await;
    assert_eq!(found, Ok(vec![address("1.1.1.1"), address("8.8.8.8"), address("2a00::1")]));
}

#[tokio::test]
async fn a_wildcard_is_looked_up_without_its_star() {
    let resolver = world::resolver([("example.com", Zone::at(&["1.1.1.1"]))]).await;
    assert!(resolver.lookup(&hostname("*.example.com")).await.is_ok());
}

#[tokio::test]
async fn each_fault_is_told_by_its_name() {
    let cases = [
        (Zone::Rcode(ResponseCode::NXDomain), ResolveFault::Nxdomain, FailureClass::DnsNxdomain),
        (Zone::NoData, ResolveFault::NoAddress, FailureClass::DnsNoAddress),
        (Zone::Silent, ResolveFault::Timeout, FailureClass::DnsTimeout),
        (Zone::Rcode(ResponseCode::ServFail), servfail(ResponseCode::ServFail), FailureClass::DnsServfail),
        (Zone::Rcode(ResponseCode::Refused), servfail(ResponseCode::Refused), FailureClass::DnsServfail),
        (Zone::Rcode(ResponseCode::FormErr), servfail(ResponseCode::FormErr), FailureClass::DnsServfail),
        (Zone::Rcode(ResponseCode::NotImp), servfail(ResponseCode::NotImp), FailureClass::DnsServfail),
    ];
    for (zone, fault, class) in cases {
        let told = format!("{zone:?}");
        assert_eq!(look_up(zone).await, Err(fault), "{told}");
        assert_eq!(fault.class(), Some(class), "{told}");
    }
}

#[tokio::test]
async fn one_good_family_is_enough() {
    let good = || Box::new(Zone::at(&["1.1.1.1", "2a00::1"]));
    for bad in [Zone::NoData, Zone::Silent, Zone::Rcode(ResponseCode::ServFail)] {
        let v4 = look_up(Zone::Split(good(), Box::new(bad.clone()))).await;
        assert_eq!(v4, Ok(vec![address("1.1.1.1")]), "{bad:?}");
        let v6 = look_up(Zone::Split(Box::new(bad.clone()), good())).await;
        assert_eq!(v6, Ok(vec![address("2a00::1")]), "{bad:?}");
    }
}

#[tokio::test]
async fn of_two_faults_the_telling_one_is_told() {
    let split = |v4, v6| look_up(Zone::Split(Box::new(v4), Box::new(v6)));
    let (nxdomain, failed) = (Zone::Rcode(ResponseCode::NXDomain), Zone::Rcode(ResponseCode::ServFail));
    assert_eq!(split(Zone::NoData, failed.clone()).await, Err(servfail(ResponseCode::ServFail)));
    assert_eq!(split(failed.clone(), Zone::Silent).await, Err(servfail(ResponseCode::ServFail)));
    assert_eq!(split(Zone::Silent, Zone::NoData).await, Err(ResolveFault::Timeout));
    assert_eq!(split(failed, nxdomain).await, Err(ResolveFault::Nxdomain));
}

#[tokio::test]
async fn a_cut_off_answer_is_asked_for_again_over_tcp() {
    assert_eq!(look_up(Zone::Long(vec![address("1.1.1.1")])).await, Ok(vec![address("1.1.1.1")]));
}

#[tokio::test]
async fn aliases_are_followed_to_their_end() {
    let resolver = world::resolver([
        ("www.example.com", Zone::Cname("edge.example.net")),
        ("edge.example.net", Zone::at(&["1.1.1.1"])),
        ("dangling.example.com", Zone::Cname("gone.example.net")),
        ("loop.example.com", Zone::Cname("loop.example.com")),
    ])
    .await;
    let look_up = async |name| resolver.lookup(&hostname(name)).await;
    assert!(look_up("www.example.com").await.is_ok_and(|found| found.contains(address("1.1.1.1"))));
    assert_eq!(look_up("dangling.example.com").await, Err(ResolveFault::Nxdomain));
    assert_eq!(look_up("loop.example.com").await, Err(ResolveFault::NoAddress));
}

#[tokio::test]
async fn a_dead_resolver_is_not_the_names_fault() {
    let fault = dead_resolver().await.lookup(&hostname("www.example.com")).await;
    assert_eq!(fault, Err(ResolveFault::Unreachable));
    assert_eq!(ResolveFault::Unreachable.class(), None);
}

#[test]
fn very_many_addresses_are_cut_to_both_families() {
    let v4 = |count: u8| (0..count).map(|i| IpAddr::from([8, 8, 8, i])).collect::<Vec<_>>();
    let v6 = |count: u16| (0..count).map(|i| IpAddr::from([0x2a00, 0, 0, 0, 0, 0, 0, i])).collect();
    let kept = |addresses: Addresses| {
        let v4 = addresses.iter().filter(IpAddr::is_ipv4).count();
        (v4, addresses.iter().count() - v4)
    };
    assert_eq!(Addresses::of(v4(200), v6(200)).map(kept), Some((8, 8)));
    assert_eq!(Addresses::of(v4(200), v6(2)).map(kept), Some((14, 2)));
    assert_eq!(Addresses::of(v4(3), v6(200)).map(kept), Some((3, 13)));
    assert_eq!(Addresses::of(v4(3), v6(2)).map(kept), Some((3, 2)));
    assert_eq!(Addresses::of(Vec::new(), Vec::new()), None);
}
