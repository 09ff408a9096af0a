//! Names whose web servers do not answer as they should.

use issuance::fault::FailureClass as C;

use crate::conduct::Conduct as W;
use crate::topology::Part::{self, Also, At, Nginx, Other, Web};
use crate::topology::{Class, Topology, broken, odd};

const TO_HTTPS: &str = "server { listen {at}; location / { return 301 https://$host$request_uri; } }";

pub(crate) fn table() -> Vec<Topology> {
    let mut table = statuses_and_contents();
    table.extend(redirects());
    table.extend(connections());
    table
}

fn bad(what: &'static str, name: &'static str, parts: &[Part], cause: C) -> Topology {
    broken(Class::Http, what, name, parts, cause)
}

fn good(what: &'static str, name: &'static str, parts: &[Part]) -> Topology {
    odd(Class::Http, what, name, parts)
}

fn statuses_and_contents() -> Vec<Topology> {
    vec![
        bad(
            "no such file",
            "www.h-404.com",
            &[Nginx("server { listen {at}; root {folder}/site; }")],
            C::HttpStatus,
        ),
        bad(
            "paths with a dot are forbidden",
            "www.h-403.com",
            &[Nginx("server { listen {at}; location ~ /\\. { deny all; } }")],
            C::HttpStatus,
        ),
        bad(
            "a password for everything",
            "www.h-401.com",
            &[Nginx(
                "server { listen {at}; auth_basic shop; auth_basic_user_file {folder}/passwords; root {folder}/site; }",
            )],
            C::HttpStatus,
        ),
        bad(
            "a proxy whose back end is gone",
            "www.h-502.com",
            &[Nginx("server { listen {at}; location / { proxy_pass http://127.0.1.254:9; } }")],
            C::HttpStatus,
        ),
        bad(
            "under maintenance",
            "www.h-503.com",
            &[Nginx("server { listen {at}; return 503; }")],
            C::HttpStatus,
        ),
        bad(
            "an application that fails",
            "www.h-500.com",
            &[Web(W::Status("500 Internal Server Error"))],
            C::HttpStatus,
        ),
        bad("no content", "www.h-204.com", &[Web(W::Status("204 No Content"))], C::HttpStatus),
        bad(
            "the front page for every path",
            "www.h-front.com",
            &[Nginx(
                "server { listen {at}; root {folder}/site; location / { try_files $uri /index.html; } }",
            )],
            C::WrongContent,
        ),
        bad("an empty page", "www.h-empty.com", &[Web(W::Body(""))], C::WrongContent),
        bad(
            "another client's answer",
            "www.h-client.com",
            &[Web(W::Body(
                "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI",
            ))],
            C::WrongContent,
        ),
        bad(
            "a script that is put into every page",
            "www.h-injected.com",
            &[Web(W::Wrapped("", "<script src=/stats.js></script>"))],
            C::WrongContent,
        ),
        bad(
            "a byte order mark in front",
            "www.h-bom.com",
            &[Web(W::Wrapped("\u{feff}", ""))],
            C::WrongContent,
        ),
        bad("kilobytes of blanks behind", "www.h-padded.com", &[Web(W::Padded(9_000))], C::WrongContent),
        good("a line break behind", "www.h-newline.com", &[Web(W::Wrapped("", "\r\n"))]),
    ]
}

fn redirects() -> Vec<Topology> {
    let to = |location| Web(W::Redirect("302 Found", location));
    vec![
        bad("to a parked domain", "www.h-parked.com", &[to("http://h-parking.com{path}"), Other("h-parking.com", "127.0.66.6")], C::RedirectTarget),
        bad("to https, where nobody listens", "www.h-443.com", &[Nginx(TO_HTTPS)], C::RedirectTarget),
        bad(
            "to https, where there is no such file",
            "www.h-https-404.com",
            &[Nginx(
                "server { listen {at}; return 301 https://$host$request_uri; }
                 server { listen {tls} ssl; root {folder}/site; }",
            )],
            C::RedirectTarget,
        ),
        bad(
            "to https, where plain HTTP is spoken",
            "www.h-https-plain.com",
            &[Nginx(
                "server { listen {at}; return 301 https://$host$request_uri; }
                 server { listen {tls}; return 404; }",
            )],
            C::Tls,
        ),
        bad("to the same path", "www.h-loop.com", &[to("http://{host}{path}")], C::Redirect),
        bad("eleven times", "www.h-eleven.com", &[Web(W::Hops(11))], C::Redirect),
        bad("to port 8080", "www.h-8080.com", &[to("http://{host}:8080{path}")], C::Redirect),
        bad("to a private address", "www.h-intern.com", &[to("http://10.0.0.7{path}")], C::Redirect),
        bad(
            "to a name with a private address",
            "www.h-intranet.com",
            &[to("http://intranet.h-intranet.com{path}"), Other("intranet.h-intranet.com", "192.168.3.4")],
            C::Redirect,
        ),
        bad("to a name that does not exist", "www.h-nowhere.com", &[to("http://gone.h-nowhere.com{path}")], C::Redirect),
        bad("by a status that no CA follows", "www.h-303.com", &[Web(W::Redirect("303 See Other", "{path}"))], C::Redirect),
        good("ten times", "www.h-ten.com", &[Web(W::Hops(10))]),
        good("to another healthy site", "www.h-central.com", &[to("http://acme.h-central.com{path}"), Also("acme.h-central.com")]),
        good(
            "to https, with a certificate that nobody trusts",
            "www.h-https.com",
            &[Nginx(
                "server { listen {at}; return 301 https://$host$request_uri; }
                 server { listen {tls} ssl; location / { proxy_pass http://{responder}; proxy_set_header Host $host; } }",
            )],
        ),
    ]
}

fn connections() -> Vec<Topology> {
    vec![
        bad("nobody listens", "www.h-refused.com", &[At("127.0.1.254")], C::ConnectionRefused),
        bad("a firewall drops everything", "www.h-firewall.com", &[At("127.0.1.253")], C::ConnectionTimeout),
        bad("an application that hangs", "www.h-hangs.com", &[Web(W::Silent)], C::ConnectionTimeout),
        bad("a byte now and then", "www.h-slow.com", &[Web(W::Slow)], C::SlowResponse),
        bad("the connection is reset", "www.h-reset.com", &[Web(W::Reset)], C::ConnectionClosed),
        bad(
            "the server hangs up",
            "www.h-444.com",
            &[Nginx("server { listen {at}; return 444; }")],
            C::ConnectionClosed,
        ),
        bad("the answer breaks off", "www.h-truncated.com", &[Web(W::Truncated)], C::ConnectionClosed),
        bad("TLS is expected, and said with an alert", "www.h-alert.com", &[Web(W::TlsAlert)], C::NotHttp),
        bad(
            "TLS is expected, and said with a page",
            "www.h-tls.com",
            &[Nginx("server { listen {at} ssl; return 404; }")],
            C::NotHttp,
        ),
        bad("SSH", "www.h-ssh.com", &[Web(W::Greeting("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"))], C::NotHttp),
    ]
}
