//! Whatever a tenant's DNS or web server says, nothing inside is connected to. Inside stand listeners that count.

use super::*;

/// The name's own address, where a web server redirects; the only one that is allowed.
const OUTSIDE: &str = "127.0.0.11";
/// What stands for the provider's own network, at the port that is probed.
const INSIDE: [&str; 4] = ["127.0.1.1", "127.0.2.2", "127.1.2.3", "127.255.255.254"];

fn outside_alone() -> AddressPolicy {
    let block = "127.0.0.11".parse().expect("an address");
    AddressPolicy { allowed: vec![block], expected: Vec::new() }
}

/// Listeners that nobody may reach, on IPv6 too where there is any.
async fn silent(web: &Web) -> Vec<Arc<AtomicUsize>> {
    let answer = |head: &str| reply("200 OK", "", &right_answer(head));
    let mut counters = Vec::new();
    for ip in INSIDE {
        counters.push(web.serve(ip, answer).await);
    }
    if tokio::net::TcpListener::bind(("::1", 0)).await.is_ok() {
        counters.push(web.serve("::1", answer).await);
    }
    counters
}

fn connections(counters: &[Arc<AtomicUsize>]) -> usize {
    counters.iter().map(|counter| counter.load(Ordering::SeqCst)).sum()
}

/// Names whose own records lead inside: by every kind of address that means the inside, alone and beside a good one.
#[tokio::test]
async fn no_record_leads_inside() {
    let web = Web::start().await;
    web.serve(OUTSIDE, |head| reply("200 OK", "", &right_answer(head))).await;
    let counters = silent(&web).await;
    for record in world::INSIDE_RECORDS {
        for beside in [&[][..], &[OUTSIDE]] {
            let zone = Zone::at(&[record, beside].concat());
            let resolver = world::resolver([(NAME, zone)]).await;
            let preflight = preflight_with(&web, resolver, outside_alone(), PATIENCE);
            let report = preflight.check_name(&hostname(NAME)).await;
            assert_eq!(class_of(&report), FailureClass::PrivateAddress, "{record:?} {beside:?}: {report:?}");
        }
    }
    assert_eq!(connections(&counters), 0);
}

/// Redirects that lead inside, in every spelling a URL has for an address, and by names that are told inside.
#[tokio::test]
async fn no_redirect_leads_inside_in_whatever_spelling() {
    let web = Web::start().await;
    let counters = silent(&web).await;
    let turn = Arc::new(std::sync::Mutex::new(""));
    let location = Arc::clone(&turn);
    web.serve(OUTSIDE, move |_| {
        let location = *location.lock().expect("nobody panics");
        reply("302 Found", &format!("Location: {location}\r\n"), "")
    })
    .await;
    let resolver = world::resolver([
        (NAME, Zone::at(&[OUTSIDE])),
        ("inside.example.net", Zone::at(&["127.0.1.1"])),
        ("half-inside.example.net", Zone::at(&[OUTSIDE, "127.0.1.1"])),
        ("alias.example.net", Zone::Cname("inside.example.net")),
        ("localhost", Zone::at(&["127.0.1.1"])),
        ("localhost.localdomain", Zone::at(&["127.0.1.1"])),
    ])
    .await;
    // Without a server for https either: both schemes lead to the port where the listeners stand.
    let config = FetchConfig { http_port: web.port, https_port: web.port, deadline: PATIENCE };
    let preflight =
        Preflight::new(&config, Arc::new(resolver), outside_alone(), secret()).expect("a preflight");
    for location in world::INSIDE_URLS {
        *turn.lock().expect("nobody panics") = location;
        let report = preflight.check_name(&hostname(NAME)).await;
        assert_eq!(class_of(&report), FailureClass::Redirect, "{location}: {report:?}");
    }
    assert_eq!(connections(&counters), 0);
}

/// A name that leads outside when it is asked for and inside when it is asked for again.
#[tokio::test]
async fn a_name_that_changes_between_two_questions_leads_nowhere() {
    let web = Web::start().await;
    let counters = silent(&web).await;
    let turns = [address(OUTSIDE), address("127.0.1.1")];
    let resolver = world::resolver([
        (NAME, Zone::at(&[OUTSIDE])),
        ("rebinding.example.net", Zone::Rebinding(Arc::new(AtomicUsize::new(0)), turns)),
    ])
    .await;
    // The first redirect finds the name outside and goes there; the second asks anew.
    web.serve(OUTSIDE, |head| {
        let query = if path(head).contains('?') { "/x?2" } else { "/x?1" };
        reply("302 Found", &format!("Location: http://rebinding.example.net{query}\r\n"), "")
    })
    .await;
    let preflight = preflight_with(&web, resolver, outside_alone(), PATIENCE);
    let report = preflight.check_name(&hostname(NAME)).await;
    assert_eq!(class_of(&report), FailureClass::Redirect, "{report:?}");
    assert_eq!(connections(&counters), 0);
}

/// A declared node may be private; where it redirects to may not.
#[tokio::test]
async fn a_node_opens_only_itself() {
    let web = Web::start().await;
    let counters = silent(&web).await;
    web.serve(OUTSIDE, |head| reply("200 OK", "", &right_answer(head))).await;
    let node = web.serve("127.0.3.3", |_| reply("302 Found", "Location: http://127.0.1.1/\r\n", "")).await;
    let resolver = world::resolver([(NAME, Zone::at(&[OUTSIDE]))]).await;
    let address = std::net::SocketAddr::new(address("127.0.3.3"), web.port);
    let farm = Farm::new(vec![Node { name: "web3".into(), address, behind: Vec::new() }]);
    let preflight = preflight_with(&web, resolver, outside_alone(), PATIENCE).with_farm(farm);
    let report = preflight.check_name(&hostname(NAME)).await;
    assert_eq!(class_of(&report), FailureClass::Redirect, "{report:?}");
    assert!(detail_of(&report).contains("web3"), "{report:?}");
    assert_eq!(node.load(Ordering::SeqCst), 1);
    assert_eq!(connections(&counters), 0);
}
