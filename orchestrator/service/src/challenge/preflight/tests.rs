use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use hickory_resolver::proto::op::ResponseCode;

use super::super::resolver::ResolverConfig;
use super::super::world::{self, DEADLINE, Reply, Web, Zone, address, hostname, raw, reply, secret};
use super::*;

const NAME: &str = "www.example.com";

fn policy() -> AddressPolicy {
    let blocks = ["127.0.0.0/24", "::1"].iter().map(|text| text.parse().expect(text));
    AddressPolicy { allowed: blocks.collect(), expected: Vec::new() }
}

fn preflight(web: &Web, resolver: NameResolver) -> Preflight {
    preflight_with(web, resolver, policy())
}

fn preflight_with(web: &Web, resolver: NameResolver, policy: AddressPolicy) -> Preflight {
    let config = FetchConfig { http_port: web.port, deadline: DEADLINE, ..FetchConfig::default() };
    Preflight::new(&config, Arc::new(resolver), policy, secret()).expect("a preflight")
}

async fn check(web: &Web, zone: Zone) -> NameReport {
    preflight(web, world::resolver([(NAME, zone)]).await).check_name(&hostname(NAME)).await
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
        (Zone::Rcode(ResponseCode::NXDomain), FailureClass::DnsNxdomain),
        (Zone::Rcode(ResponseCode::ServFail), FailureClass::DnsServfail),
        (Zone::Silent, FailureClass::DnsTimeout),
        (Zone::NoData, FailureClass::DnsNoAddress),
    ];
    for (zone, class) in cases {
        let report = check(&web, zone).await;
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
    let cases: [(&str, fn(&str) -> Reply, FailureClass, &str); 11] = [
        ("127.0.0.11", |_| reply("404 Not Found", "", "no"), FailureClass::HttpStatus, "404"),
        ("127.0.0.12", |_| reply("500 Internal Server Error", "", ""), FailureClass::HttpStatus, "500"),
        (
            "127.0.0.13",
            |_| reply("200 OK", "", "<html>\x1b[31mparked"),
            FailureClass::WrongContent,
            "<html>[",
        ),
        ("127.0.0.14", |_| Reply::SendAndHang(String::new()), FailureClass::ConnectionTimeout, "nothing"),
        (
            "127.0.0.15",
            |head| {
                let whole = raw("200 OK", "", &right_answer(head));
                Reply::SendAndHang(whole[..whole.len() - 1].to_owned())
            },
            FailureClass::SlowResponse,
            "not complete",
        ),
        (
            "127.0.0.16",
            |_| Reply::SendAndHang("HTTP/1.1 200 O".into()),
            FailureClass::SlowResponse,
            "complete",
        ),
        ("127.0.0.17", |_| Reply::Close, FailureClass::ConnectionTimeout, "closed"),
        ("127.0.0.18", |_| Reply::Send("SSH-2.0-x\r\n\r\n".into()), FailureClass::WrongContent, "no HTTP"),
        (
            "127.0.0.19",
            |head| reply("200 OK", "", &format!("{}{}", right_answer(head), " ".repeat(5000))),
            FailureClass::WrongContent,
            "another",
        ),
        (
            "127.0.0.20",
            |head| reply("200 OK", "", path(head).rsplit('/').next().expect("a token")),
            FailureClass::WrongContent,
            "lockkeeper-probe-",
        ),
        (
            "127.0.0.21",
            |_| Reply::Send(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(100_000))),
            FailureClass::WrongContent,
            "no HTTP",
        ),
    ];
    for (ip, behaviour, class, detail) in cases {
        web.serve(ip, behaviour).await;
        let report = check(&web, Zone::at(&[ip])).await;
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
    let report = preflight_with(&web, resolver, ours).check_name(&hostname(NAME)).await;
    assert_eq!(class_of(&report), FailureClass::WrongAddress);
    assert!(detail_of(&report).contains("127.0.0.11"), "{report:?}");

    assert_eq!(private.load(Ordering::SeqCst) + elsewhere.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn good_redirects_are_followed() {
    let web = Web::start().await;
    let port = web.port;
    web.serve("127.0.0.11", move |head| {
        let location = format!("Location: http://acme.example.net:{port}{}\r\n", path(head));
        reply("302 Found", &location, "")
    })
    .await;
    web.serve("127.0.0.12", |head| {
        reply(
            "308 Permanent Redirect",
            &format!("Location: http://acme.example.net:80{}\r\n", path(head)),
            "",
        )
    })
    .await;
    let resolver = world::resolver([
        (NAME, Zone::at(&["127.0.0.11", "127.0.0.12"])),
        ("acme.example.net", Zone::at(&["127.0.0.1"])),
    ])
    .await;
    let report = preflight(&web, resolver).check_name(&hostname(NAME)).await;
    assert_eq!(report.verdict, Verdict::Ready, "{report:?}");
}

#[tokio::test]
async fn bad_redirects_are_told() {
    let web = Web::start().await;
    let cases: [(&str, fn(&str) -> Reply, &str); 9] = [
        ("127.0.0.11", |head| reply("301 Moved", &format!("Location: {}\r\n", path(head)), ""), "in circles"),
        (
            "127.0.0.12",
            |head| {
                let other = if path(head).ends_with("?b") { "?a" } else { "?b" };
                reply("301 Moved", &format!("Location: {other}\r\n"), "")
            },
            "in circles",
        ),
        (
            "127.0.0.13",
            |head| reply("301 Moved", &format!("Location: {}x\r\n", path(head)), ""),
            "more than 10",
        ),
        ("127.0.0.14", |_| reply("303 See Other", "Location: /x\r\n", ""), "303"),
        ("127.0.0.15", |_| reply("302 Found", "", ""), "missing"),
        ("127.0.0.16", |_| reply("302 Found", "Location: ftp://a.com/\r\n", ""), "scheme"),
        ("127.0.0.17", |_| reply("302 Found", "Location: http://a.com:8080/\r\n", ""), "port"),
        ("127.0.0.18", |_| reply("302 Found", "Location: http://gone.example.net/\r\n", ""), "NXDOMAIN"),
        ("127.0.0.19", |_| reply("302 Found", "Location: http://localhost/\r\n", ""), "full DNS name"),
    ];
    for (ip, behaviour, detail) in cases {
        let connections = web.serve(ip, behaviour).await;
        let report = check(&web, Zone::at(&[ip])).await;
        assert_eq!(class_of(&report), FailureClass::Redirect, "{report:?}");
        assert!(detail_of(&report).contains(detail), "{report:?}");
        assert!(connections.load(Ordering::SeqCst) <= 11);
    }
}

/// The name is public each time it is asked for itself; what it redirects to is not, by literal, by record,
/// by one record of several, or only the second time it is asked.
#[tokio::test]
async fn no_redirect_leads_inside() {
    let web = Web::start().await;
    let inside = web.serve("127.0.1.1", |head| reply("200 OK", "", &right_answer(head))).await;
    let turns = [address("127.0.0.14"), address("127.0.1.1")];
    let resolver = world::resolver([
        ("literal.example.com", Zone::at(&["127.0.0.11"])),
        ("record.example.com", Zone::at(&["127.0.0.12"])),
        ("several.example.com", Zone::at(&["127.0.0.13"])),
        ("rebinding.example.com", Zone::Rebinding(Arc::new(AtomicUsize::new(0)), turns)),
        ("inside.example.net", Zone::at(&["127.0.1.1"])),
        ("half-inside.example.net", Zone::at(&["127.0.0.1", "127.0.1.1"])),
    ])
    .await;
    let redirect = |to: &'static str| {
        move |head: &str| reply("302 Found", &format!("Location: http://{to}{}?\r\n", path(head)), "")
    };
    web.serve("127.0.0.11", redirect("127.0.1.1")).await;
    web.serve("127.0.0.12", redirect("inside.example.net")).await;
    web.serve("127.0.0.13", redirect("half-inside.example.net")).await;
    web.serve("127.0.0.14", redirect("rebinding.example.com")).await;
    let preflight = preflight(&web, resolver);
    for name in ["literal", "record", "several", "rebinding"] {
        let report = preflight.check_name(&hostname(&format!("{name}.example.com"))).await;
        assert_eq!(class_of(&report), FailureClass::PrivateAddress, "{report:?}");
        assert!(detail_of(&report).contains("127.0.1.1"), "{report:?}");
    }
    assert_eq!(inside.load(Ordering::SeqCst), 0);
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
async fn reports_come_in_the_order_of_the_names_and_in_parallel() {
    let web = Web::start().await;
    web.serve("127.0.0.11", |_| Reply::SendAndHang(String::new())).await;
    let names: Vec<_> = (0..20).map(|i| hostname(&format!("site{i}.example.com"))).collect();
    let zone = || Zone::at(&["127.0.0.11"]);
    let resolver = world::resolver([
        ("site0.example.com", zone()),
        ("site1.example.com", Zone::at(&["127.0.0.1"])),
        ("site2.example.com", zone()),
        ("site3.example.com", zone()),
        ("site4.example.com", zone()),
    ])
    .await;
    let started = Instant::now();
    let reports = tokio::spawn(async move {
        let preflight = preflight(&web, resolver);
        let reports = preflight.check(&names).await;
        assert!(reports.iter().map(|report| &report.hostname).eq(&names));
        reports
    })
    .await
    .expect("reports");
    assert!(started.elapsed() < DEADLINE * 3, "{:?}", started.elapsed());
    assert_eq!(reports[1].verdict, Verdict::Ready);
    assert_eq!(class_of(&reports[0]), FailureClass::ConnectionTimeout);
    assert_eq!(class_of(&reports[19]), FailureClass::DnsNxdomain);
}

/// A web server redirects to https and answers there under a certificate nobody would trust.
#[tokio::test]
async fn a_redirect_to_https_is_followed_whatever_the_certificate() {
    let web = Web::start().await;
    web.serve("127.0.0.11", |head| {
        reply("301 Moved", &format!("Location: https://{NAME}{}\r\n", path(head)), "")
    })
    .await;
    let https_port = world::serve_tls("127.0.0.11", |head| raw("200 OK", "", &right_answer(head))).await;
    let resolver = Arc::new(world::resolver([(NAME, Zone::at(&["127.0.0.11"]))]).await);
    let check = async |https_port| {
        let config = FetchConfig { http_port: web.port, https_port, deadline: DEADLINE };
        let preflight =
            Preflight::new(&config, Arc::clone(&resolver), policy(), secret()).expect("a preflight");
        preflight.check_name(&hostname(NAME)).await
    };
    let encrypted = check(https_port).await;
    assert_eq!(encrypted.verdict, Verdict::Ready, "{encrypted:?}");
    let broken = check(world::serve_greeting("127.0.0.11", "HTTP/1.1 400 Bad Request\r\n\r\n").await).await;
    assert_eq!(class_of(&broken), FailureClass::Tls, "{broken:?}");
}

#[test]
fn the_system_resolvers_are_found_or_the_error_says_what_to_do() {
    match NameResolver::new(&ResolverConfig::default()) {
        Ok(_) => {}
        Err(error) => assert!(error.to_string().contains("resolver"), "{error}"),
    }
}
