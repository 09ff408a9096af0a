//! Web servers behind load balancers, of which one or all do not answer as they should.

use issuance::fault::FailureClass as C;

use crate::conduct::Conduct as W;
use crate::topology::Part::{At, Balancer, Other};
use crate::topology::{Class, Topology, bad_node, broken, odd};

pub(crate) fn table() -> Vec<Topology> {
    const PARKING: &str = "127.0.66.6";
    let mut hijacked = bad_node(
        "one redirects to a parked domain",
        "www.l-hijacked.com",
        &[("a", W::Forward), ("b", W::Redirect("302 Found", "http://l-parking.com{path}"))],
        C::RedirectTarget,
    );
    hijacked.parts.push(Other("l-parking.com", PARKING));
    vec![
        hijacked,
        bad_node(
            "one has no such file",
            "www.l-404.com",
            &[("a", W::Forward), ("b", W::Status("404 Not Found")), ("c", W::Forward)],
            C::HttpStatus,
        ),
        bad_node(
            "one shows the front page",
            "www.l-front.com",
            &[("a", W::FrontPage), ("b", W::Forward)],
            C::WrongContent,
        ),
        bad_node(
            "one is down",
            "www.l-down.com",
            &[("a", W::Forward), ("b", W::Closed)],
            C::ConnectionRefused,
        ),
        bad_node("one is slow", "www.l-slow.com", &[("a", W::Slow), ("b", W::Forward)], C::SlowResponse),
        bad_node(
            "one hangs",
            "www.l-hangs.com",
            &[("a", W::Forward), ("b", W::Silent)],
            C::ConnectionTimeout,
        ),
        bad_node("one expects TLS", "www.l-tls.com", &[("a", W::TlsAlert), ("b", W::Forward)], C::NotHttp),
        bad_node(
            "one hangs up",
            "www.l-closes.com",
            &[("a", W::Forward), ("b", W::Close)],
            C::ConnectionClosed,
        ),
        bad_node(
            "one redirects in a circle",
            "www.l-circle.com",
            &[("a", W::Forward), ("b", W::Forward), ("c", W::Redirect("301 Moved", "{path}"))],
            C::Redirect,
        ),
        broken(
            Class::LoadBalancer,
            "all have no such file",
            "www.l-all-404.com",
            [Balancer(&[("a", W::Status("404 Not Found")), ("b", W::Status("404 Not Found"))])],
            C::HttpStatus,
        ),
        broken(
            Class::LoadBalancer,
            "all are down",
            "www.l-all-down.com",
            [Balancer(&[("a", W::Closed), ("b", W::Closed)])],
            C::HttpStatus,
        ),
        broken(
            Class::LoadBalancer,
            "the second load balancer is down",
            "www.l-second.com",
            [Balancer(&[("a", W::Forward), ("b", W::Forward)]), At("127.0.1.254")],
            C::ConnectionRefused,
        ),
        odd(
            Class::LoadBalancer,
            "three that are well, each in its way",
            "www.l-well.com",
            [Balancer(&[("a", W::Forward), ("b", W::Wrapped("", "\r\n")), ("c", W::Wrapped("", "   \n"))])],
        ),
    ]
}
