use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::proto::op::ResponseCode;

use super::super::resolver::ResolverConfig;
use super::super::world::{
    self, DEADLINE, PATIENCE, Reply, Web, Zone, address, hostname, raw, reply, secret,
};
use super::*;

mod findings;
mod forbidden;
mod redirects;
mod stateless;

const NAME: &str = "www.example.com";

fn policy() -> AddressPolicy {
    let blocks = ["127.0.0.0/24", "::1"].iter().map(|text| text.parse().expect(text));
    AddressPolicy { allowed: blocks.collect(), expected: Vec::new() }
}

fn preflight(web: &Web, resolver: NameResolver) -> Preflight {
    preflight_with(web, resolver, policy(), PATIENCE)
}

fn preflight_with(web: &Web, resolver: NameResolver, policy: AddressPolicy, deadline: Duration) -> Preflight {
    let config = FetchConfig { http_port: web.port, deadline, ..FetchConfig::default() };
    Preflight::new(&config, Arc::new(resolver), policy, secret()).expect("a preflight")
}

async fn check(web: &Web, zone: Zone) -> NameReport {
    preflight(web, world::resolver([(NAME, zone)]).await).check_name(&hostname(NAME)).await
}

async fn check_impatiently(web: &Web, zone: Zone) -> NameReport {
    let resolver = world::impatient_resolver([(NAME, zone)]).await;
    preflight_with(web, resolver, policy(), DEADLINE).check_name(&hostname(NAME)).await
}

fn class_of(report: &NameReport) -> FailureClass {
    match &report.verdict {
        Verdict::NotReady { class, .. } => *class,
        other => panic!("{other:?}"),
    }
}

fn detail_of(report: &NameReport) -> &str {
    match &report.verdict {
        Verdict::NotReady { detail, .. } | Verdict::Unknown { detail } => detail,
        Verdict::Ready => "ready",
    }
}

/// A web server that does one thing wrong, and what must be told of it.
struct Fault {
    ip: &'static str,
    behaviour: fn(&str) -> Reply,
    class: FailureClass,
    detail: &'static str,
}

fn fault(ip: &'static str, behaviour: fn(&str) -> Reply, class: FailureClass, detail: &'static str) -> Fault {
    Fault { ip, behaviour, class, detail }
}

/// The path in a request's first line.
fn path(head: &str) -> &str {
    head.split(' ').nth(1).expect("a request line")
}

fn right_answer(head: &str) -> String {
    secret().answer(path(head).rsplit('/').next().expect("a token"))
}

#[tokio::test]
async fn a_name_that_leads_to_the_responder_is_ready() {
    let web = Web::start().await;
    let report = check(&web, Zone::at(&["127.0.0.1"])).await;
    assert_eq!(report.verdict, Verdict::Ready);
    assert_eq!(report.checks.len(), 1);
    assert_eq!(report.checks[0].outcome, Ok(()));
}

#[tokio::test]
async fn dns_faults_are_told_before_anything_is_connected_to() {
    let web = Web::start().await;
    let cases = [
        (Zone::Rcode(ResponseCode::NXDomain), FailureClass::DnsUnregistered),
        (Zone::Rcode(ResponseCode::ServFail), FailureClass::DnsServfail),
        (Zone::Silent, FailureClass::DnsTimeout),
        (Zone::NoData, FailureClass::DnsNoAddress),
    ];
    for (zone, class) in cases {
        let report = check_impatiently(&web, zone).await;
        assert_eq!(class_of(&report), class);
        assert!(report.checks.is_empty());
    }
}

#[tokio::test]
async fn a_dead_resolver_makes_no_name_bad() {
    let web = Web::start().await;
    let report = preflight(&web, world::dead_resolver().await).check_name(&hostname(NAME)).await;
    assert!(matches!(report.verdict, Verdict::Unknown { .. }), "{report:?}");
}

#[tokio::test]
async fn http_faults_are_told_apart() {
    let web = Web::start().await;
    let faults = [
        fault("127.0.0.11", |_| reply("404 Not Found", "", "no"), FailureClass::HttpStatus, "404"),
        fault("127.0.0.12", |_| reply("500 Internal Server Error", "", ""), FailureClass::HttpStatus, "500"),
        fault(
            "127.0.0.13",
            |_| reply("200 OK", "", "<html>\x1b[31mparked"),
            FailureClass::WrongContent,
            "<html>[",
        ),
        fault(
            "127.0.0.14",
            |_| Reply::SendAndHang(String::new()),
            FailureClass::ConnectionTimeout,
            "nothing",
        ),
        fault(
            "127.0.0.15",
            |head| {
                let whole = raw("200 OK", "", &right_answer(head));
                Reply::SendAndHang(whole[..whole.len() - 1].to_owned())
            },
            FailureClass::SlowResponse,
            "not complete",
        ),
        fault(
            "127.0.0.16",
            |_| Reply::SendAndHang("HTTP/1.1 200 O".into()),
            FailureClass::SlowResponse,
            "complete",
        ),
        fault("127.0.0.17", |_| Reply::Close, FailureClass::ConnectionClosed, "closed"),
        fault("127.0.0.18", |_| Reply::Send("SSH-2.0-x\r\n\r\n".into()), FailureClass::NotHttp, "no HTTP"),
        fault(
            "127.0.0.19",
            |head| reply("200 OK", "", &format!("{}{}", right_answer(head), " ".repeat(5000))),
            FailureClass::WrongContent,
            "another",
        ),
        fault(
            "127.0.0.20",
            |head| reply("200 OK", "", path(head).rsplit('/').next().expect("a token")),
            FailureClass::WrongContent,
            "lockkeeper-probe-",
        ),
        fault(
            "127.0.0.21",
            |_| Reply::Send(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(100_000))),
            FailureClass::NotHttp,
            "no HTTP",
        ),
    ];
    for Fault { ip, behaviour, class, detail } in faults {
        web.serve(ip, behaviour).await;
        let waits = matches!(class, FailureClass::ConnectionTimeout | FailureClass::SlowResponse);
        let zone = Zone::at(&[ip]);
        let report = if waits { check_impatiently(&web, zone).await } else { check(&web, zone).await };
        assert_eq!(class_of(&report), class, "{report:?}");
        assert!(detail_of(&report).contains(detail), "{report:?}");
        assert!(detail_of(&report).contains(ip), "{report:?}");
        assert!(!detail_of(&report).contains(char::is_control), "{report:?}");
    }
    let refused = check(&web, Zone::at(&["127.0.0.99"])).await;
    assert_eq!(class_of(&refused), FailureClass::ConnectionRefused);
}

#[tokio::test]
async fn white_space_after_the_answer_is_no_fault() {
    let web = Web::start().await;
    web.serve("127.0.0.11", |head| reply("200 OK", "", &format!("{}\r\n\t ", right_answer(head)))).await;
    assert_eq!(check(&web, Zone::at(&["127.0.0.11"])).await.verdict, Verdict::Ready);
}

#[tokio::test]
async fn every_address_must_answer() {
    let web = Web::start().await;
    let bad = web.serve("127.0.0.11", |_| reply("404 Not Found", "", "")).await;
    let report = check(&web, Zone::at(&["127.0.0.1", "127.0.0.11"])).await;
    assert_eq!(class_of(&report), FailureClass::HttpStatus);
    assert_eq!(detail_of(&report), "127.0.0.11: the status is 404 (1 of 2 addresses)");
    assert_eq!(bad.load(Ordering::SeqCst), 1);
    let good: Vec<_> = report.checks.iter().map(|check| check.outcome.is_ok()).collect();
    assert_eq!(good, [true, false]);

    let dead_v6 = check(&web, Zone::at(&["127.0.0.1", "::1"])).await;
    assert_eq!(class_of(&dead_v6), FailureClass::ConnectionRefused);
    assert!(detail_of(&dead_v6).starts_with("::1: "), "{dead_v6:?}");
}

#[tokio::test]
async fn where_the_records_lead_comes_before_what_answers() {
    let web = Web::start().await;
    web.serve("127.0.0.11", |_| reply("404 Not Found", "", "")).await;
    let report = check(&web, Zone::at(&["127.0.0.11", "127.0.0.99", "10.0.0.1"])).await;
    assert_eq!(class_of(&report), FailureClass::PrivateAddress);
    assert_eq!(
        detail_of(&report),
        "10.0.0.1 is not a public address (private use, RFC 1918); \
         127.0.0.99: the connection is refused; 127.0.0.11: the status is 404"
    );
}

#[tokio::test]
async fn nothing_is_sent_to_private_or_foreign_addresses() {
    let web = Web::start().await;
    let private = web.serve("127.0.1.1", |head| reply("200 OK", "", &right_answer(head))).await;
    let report = check(&web, Zone::at(&["127.0.1.1"])).await;
    assert_eq!(class_of(&report), FailureClass::PrivateAddress);

    let elsewhere = web.serve("127.0.0.11", |head| reply("200 OK", "", &right_answer(head))).await;
    let ours = AddressPolicy { expected: vec!["127.0.0.1".parse().expect("a block")], ..policy() };
    let resolver = world::resolver([(NAME, Zone::at(&["127.0.0.1", "127.0.0.11"]))]).await;
    let report = preflight_with(&web, resolver, ours, PATIENCE).check_name(&hostname(NAME)).await;
    assert_eq!(class_of(&report), FailureClass::WrongAddress);
    assert!(detail_of(&report).contains("127.0.0.11"), "{report:?}");

    assert_eq!(private.load(Ordering::SeqCst) + elsewhere.load(Ordering::SeqCst), 0);
}

/// RFC 8555 §8.3: to the address, for the name, on the path, and nothing that would tell of us.
#[tokio::test]
async fn a_request_is_what_a_ca_sends() {
    let web = Web::start().await;
    let (heads, mut seen) = tokio::sync::mpsc::unbounded_channel();
    web.serve("127.0.0.11", move |head| {
        heads.send(head.to_ascii_lowercase()).expect("the test listens");
        reply("200 OK", "", &right_answer(head))
    })
    .await;
    assert_eq!(check(&web, Zone::at(&["127.0.0.11"])).await.verdict, Verdict::Ready);
    let head = seen.recv().await.expect("a request");
    assert!(head.starts_with("get /.well-known/acme-challenge/lockkeeper-probe-"), "{head}");
    assert!(head.contains("\r\nhost: www.example.com\r\n"), "{head}");
    for absent in ["cookie", "authorization", "accept-encoding", "content-length", "referer"] {
        assert!(!head.contains(absent), "{head}");
    }
}

/// As many as an engine at full speed may have in flight: nothing inside is short of anything.
#[tokio::test]
async fn five_hundred_names_at_once_are_all_ready() {
    let web = Web::start().await;
    let resolver = world::resolver([("*", Zone::at(&["127.0.0.1"]))]).await;
    let config = FetchConfig { http_port: web.port, ..FetchConfig::default() };
    let preflight = Preflight::new(&config, Arc::new(resolver), policy(), secret()).expect("a preflight");
    let names: Vec<_> = (0..500).map(|i| hostname(&format!("site{i}.example.com"))).collect();
    let reports = preflight.check(&names).await;
    for report in &reports {
        assert_eq!(report.verdict, Verdict::Ready, "{report:?}");
    }
    assert_eq!(reports.len(), 500);
}

#[tokio::test]
async fn the_self_check_wants_the_key_authorization() {
    let web = Web::start().await;
    web.serve("127.0.0.11", |head| {
        let right = path(head) == "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ";
        reply("200 OK", "", if right { "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ.thumbprint" } else { "" })
    })
    .await;
    let preflight = preflight(&web, world::resolver([(NAME, Zone::at(&["127.0.0.11"]))]).await);
    let name = hostname(NAME);
    let token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ";
    let seen = preflight.sees(&name, token, &format!("{token}.thumbprint")).await;
    assert_eq!(seen.verdict, Verdict::Ready);
    let another = preflight.sees(&name, token, &format!("{token}.another")).await;
    assert_eq!(class_of(&another), FailureClass::WrongContent);
}

#[tokio::test]
async fn a_wildcard_needs_another_challenge() {
    let web = Web::start().await;
    let preflight = preflight(&web, world::dead_resolver().await);
    let report = preflight.check_name(&hostname("*.example.com")).await;
    assert_eq!(class_of(&report), FailureClass::RejectedIdentifier);
    assert!(detail_of(&report).contains("DNS-01"));
}

#[tokio::test]
async fn reports_come_in_the_order_of_the_names_and_nobody_waits_for_another() {
    let web = Web::start().await;
    web.serve("127.0.0.11", |_| Reply::SendAndHang(String::new())).await;
    let names: Vec<_> = (0..20).map(|i| hostname(&format!("site{i}.example.com"))).collect();
    let resolver = world::resolver([
        ("*", Zone::at(&["127.0.0.11"])),
        ("site1.example.com", Zone::at(&["127.0.0.1"])),
        ("site19.example.com", Zone::Rcode(ResponseCode::NXDomain)),
    ])
    .await;
    // Spawned, since the engine runs it on any thread.
    let checks = tokio::spawn(async move {
        let preflight = preflight_with(&web, resolver, policy(), DEADLINE);
        let started = Instant::now();
        let reports = preflight.check(&names).await;
        assert!(reports.iter().map(|report| &report.hostname).eq(&names));
        (reports, started.elapsed())
    });
    let (reports, took) = checks.await.expect("reports");
    assert!(took < DEADLINE * 9, "half of what eighteen hanging names take in a row: {took:?}");
    assert_eq!(class_of(&reports[0]), FailureClass::ConnectionTimeout);
    assert_eq!(reports[1].verdict, Verdict::Ready);
    assert_eq!(class_of(&reports[19]), FailureClass::DnsNxdomain);
}

/// Connecting to the broadcast address fails on this side, as connecting to IPv6 does without IPv6.
#[tokio::test]
async fn what_this_machine_cannot_reach_blames_nobody() {
    let web = Web::start().await;
    let mut policy = policy();
    policy.allowed.push("255.255.255.255".parse().expect("a block"));
    let resolver = world::resolver([
        ("only.example.com", Zone::at(&["255.255.255.255"])),
        ("beside.example.com", Zone::at(&["127.0.0.1", "255.255.255.255"])),
        ("behind.example.com", Zone::at(&["127.0.0.99", "255.255.255.255"])),
    ])
    .await;
    let preflight = preflight_with(&web, resolver, policy, PATIENCE);
    let check = async |name| preflight.check_name(&hostname(name)).await;
    let only = check("only.example.com").await;
    assert!(matches!(only.verdict, Verdict::Unknown { .. }), "{only:?}");
    assert_eq!(check("beside.example.com").await.verdict, Verdict::Ready);
    assert_eq!(class_of(&check("behind.example.com").await), FailureClass::ConnectionRefused);
}

#[test]
fn the_system_resolvers_are_found_or_the_error_says_what_to_do() {
    match NameResolver::new(&ResolverConfig::default()) {
        Ok(_) => {}
        Err(error) => assert!(error.to_string().contains("resolver"), "{error}"),
    }
}
