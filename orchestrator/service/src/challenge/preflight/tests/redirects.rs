use super::*;

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
    let faults = [
        fault(
            "127.0.0.11",
            |head| reply("301 Moved", &format!("Location: {}\r\n", path(head)), ""),
            FailureClass::Redirect,
            "in circles",
        ),
        fault(
            "127.0.0.12",
            |head| {
                let other = if path(head).ends_with("?b") { "?a" } else { "?b" };
                reply("301 Moved", &format!("Location: {other}\r\n"), "")
            },
            FailureClass::Redirect,
            "in circles",
        ),
        fault(
            "127.0.0.13",
            |head| reply("301 Moved", &format!("Location: {}x\r\n", path(head)), ""),
            FailureClass::Redirect,
            "more than 10",
        ),
        fault(
            "127.0.0.14",
            |_| reply("303 See Other", "Location: /x\r\n", ""),
            FailureClass::Redirect,
            "303",
        ),
        fault("127.0.0.15", |_| reply("302 Found", "", ""), FailureClass::Redirect, "missing"),
        fault(
            "127.0.0.16",
            |_| reply("302 Found", "Location: ftp://a.com/\r\n", ""),
            FailureClass::Redirect,
            "scheme",
        ),
        fault(
            "127.0.0.17",
            |_| reply("302 Found", "Location: http://a.com:8080/\r\n", ""),
            FailureClass::Redirect,
            "port",
        ),
        fault(
            "127.0.0.18",
            |_| reply("302 Found", "Location: http://gone.example.net/\r\n", ""),
            FailureClass::Redirect,
            "NXDOMAIN",
        ),
        fault(
            "127.0.0.19",
            |_| reply("302 Found", "Location: http://localhost/\r\n", ""),
            FailureClass::Redirect,
            "full DNS name",
        ),
    ];
    for Fault { ip, behaviour, class, detail } in faults {
        let connections = web.serve(ip, behaviour).await;
        let report = check(&web, Zone::at(&[ip])).await;
        assert_eq!(class_of(&report), class, "{report:?}");
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
        assert_eq!(class_of(&report), FailureClass::Redirect, "{report:?}");
        assert!(detail_of(&report).contains("127.0.1.1"), "{report:?}");
    }
    assert_eq!(inside.load(Ordering::SeqCst), 0);
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
        let config = FetchConfig { http_port: web.port, https_port, deadline: PATIENCE };
        let preflight =
            Preflight::new(&config, Arc::clone(&resolver), policy(), secret()).expect("a preflight");
        preflight.check_name(&hostname(NAME)).await
    };
    let encrypted = check(https_port).await;
    assert_eq!(encrypted.verdict, Verdict::Ready, "{encrypted:?}");
    let broken = check(world::serve_greeting("127.0.0.11", "HTTP/1.1 400 Bad Request\r\n\r\n").await).await;
    assert_eq!(class_of(&broken), FailureClass::Tls, "{broken:?}");
}
