//! Names that DNS leads wrongly, or nowhere.

use issuance::fault::FailureClass as C;
use rehearsal::fleet::Fault;

use crate::stage::server;
use crate::topology::Part::{self, Absent, Alias, Also, At, Chain, Other, Txt, Unregistered, Zone};
use crate::topology::{Class, Topology, broken, odd};

/// The fleet's first web server.
const OURS: &str = "127.0.1.1";
/// One of ours that was switched off: nothing listens there.
const RETIRED: &str = "127.0.1.254";

pub(crate) fn table() -> Vec<Topology> {
    let bad = |what, name, parts: &[Part], cause| broken(Class::Dns, what, name, parts, cause);
    let good = |what, name, parts: &[Part]| odd(Class::Dns, what, name, parts);
    vec![
        bad("no such name", "www.d-nxdomain.com", &[Absent, Also("d-nxdomain.com")], C::DnsNxdomain),
        bad("a domain that has expired", "www.d-expired.com", &[Unregistered], C::DnsUnregistered),
        bad("an apex that has expired", "d-expired-apex.com", &[Unregistered], C::DnsUnregistered),
        bad("neither A nor AAAA", "www.d-nodata.com", &[Part::Fault(Fault::NoAddress)], C::DnsNoAddress),
        bad(
            "servers that have not loaded the zone",
            "www.d-servfail.com",
            &[Zone("d-servfail.com", &[server::SERVFAIL], &[server::SERVFAIL], None)],
            C::DnsServfail,
        ),
        bad(
            "an error for this name alone",
            "www.d-oops.com",
            &[Part::Fault(Fault::Servfail)],
            C::DnsServfail,
        ),
        bad(
            "servers that refuse the zone",
            "www.d-refused.com",
            &[Zone("d-refused.com", &[server::REFUSES], &[server::REFUSES], None)],
            C::DnsLame,
        ),
        bad(
            "servers that were never told of the zone",
            "www.d-moved.com",
            &[Zone("d-moved.com", &[1, 2], &[server::REFUSES], None)],
            C::DnsLame,
        ),
        bad(
            "servers that answer from a cache",
            "www.d-cache.com",
            &[Zone("d-cache.com", &[server::NO_AUTHORITY], &[server::NO_AUTHORITY], None)],
            C::DnsLame,
        ),
        bad(
            "servers whose names do not exist",
            "www.d-nobody.com",
            &[Zone("d-nobody.com", &[90, 91], &[90, 91], Some("d-vanished-host.com"))],
            C::DnsLame,
        ),
        bad(
            "a zone below that is handed to servers without it",
            "www.shop.d-below.com",
            &[
                Zone("d-below.com", &[1], &[1], None),
                Zone("shop.d-below.com", &[server::REFUSES], &[server::REFUSES], None),
            ],
            C::DnsLame,
        ),
        bad(
            "servers that are silent",
            "www.d-silent.com",
            &[Zone("d-silent.com", &[server::SILENT], &[server::SILENT], None)],
            C::DnsTimeout,
        ),
        bad(
            "servers that were switched off",
            "www.d-off.com",
            &[Zone("d-off.com", &[90, 91], &[90, 91], None)],
            C::DnsTimeout,
        ),
        bad("no answer for this name", "www.d-unheard.com", &[Part::Fault(Fault::DnsTimeout)], C::DnsTimeout),
        bad(
            "aliases in a circle",
            "www.d-circle.com",
            &[Alias("www.d-circle.com", "a.d-circle.com"), Alias("a.d-circle.com", "www.d-circle.com")],
            C::DnsAlias,
        ),
        bad(
            "an alias of itself",
            "www.d-self.com",
            &[Alias("www.d-self.com", "www.d-self.com")],
            C::DnsAlias,
        ),
        bad(
            "an alias of a name that is gone",
            "www.d-dangling.com",
            &[Alias("www.d-dangling.com", "shop7.d-builder.com"), Also("d-builder.com")],
            C::DnsAlias,
        ),
        bad(
            "an alias into a domain that has expired",
            "www.d-takeover.com",
            &[Alias("www.d-takeover.com", "shop.d-gone-builder.com")],
            C::DnsAlias,
        ),
        bad(
            "an alias of a name without addresses",
            "www.d-halfway.com",
            &[Alias("www.d-halfway.com", "txt.d-halfway.com"), Txt("txt.d-halfway.com", &[&["only a text"]])],
            C::DnsAlias,
        ),
        bad("a dozen aliases in a row", "www.d-long.com", &[Chain("www.d-long.com", 12)], C::DnsAlias),
        bad("a private address", "www.d-private.com", &[At("10.20.0.5")], C::PrivateAddress),
        bad("a carrier's address", "www.d-carrier.com", &[At("100.64.3.9")], C::PrivateAddress),
        bad(
            "a link-local address beside ours",
            "www.d-linklocal.com",
            &[At(OURS), At("169.254.169.254")],
            C::PrivateAddress,
        ),
        bad(
            "a NAT64 address beside ours",
            "www.d-nat64.com",
            &[At(OURS), At("64:ff9b::a14:5")],
            C::PrivateAddress,
        ),
        bad("an IPv4-mapped address", "www.d-mapped.com", &[At("::ffff:10.20.0.5")], C::PrivateAddress),
        bad("the documentation's address", "www.d-copied.com", &[At("2001:db8::80")], C::PrivateAddress),
        bad("an address elsewhere", "www.d-elsewhere.com", &[At("198.41.0.4")], C::WrongAddress),
        bad(
            "an AAAA record elsewhere, A ours",
            "www.d-aaaa.com",
            &[At(OURS), At("2606:4700::1111")],
            C::WrongAddress,
        ),
        bad(
            "an old A record of several",
            "www.d-stale.com",
            &[At(OURS), At("127.0.1.2"), At("198.41.0.4")],
            C::WrongAddress,
        ),
        bad("a retired server of ours", "www.d-retired.com", &[At(OURS), At(RETIRED)], C::ConnectionRefused),
        good("an alias of an alias of a name", "www.d-chain.com", &[Chain("www.d-chain.com", 3)]),
        good("six aliases in a row, through two domains", "www.d-six.com", &[Chain("www.d-six.com", 6)]),
        good(
            "several addresses",
            "www.d-several.com",
            &[At(OURS), At("127.0.1.2"), At("127.0.1.3"), At("127.0.1.4")],
        ),
        good("IPv6 only", "www.d-six-only.com", &[At("::1")]),
        good(
            "one of three servers is silent",
            "www.d-one-silent.com",
            &[Zone("d-one-silent.com", &[1, 2, server::SILENT], &[1, 2, server::SILENT], None)],
        ),
        good(
            "one of the servers named above does not have the zone",
            "www.d-one-lame.com",
            &[Zone("d-one-lame.com", &[1, server::REFUSES], &[1, 2], None)],
        ),
        good(
            "an alias into another domain, whose apex leads elsewhere",
            "www.d-cdn.com",
            &[
                Alias("www.d-cdn.com", "edge.d-cdn-host.com"),
                Also("edge.d-cdn-host.com"),
                Other("d-cdn.com", "198.41.0.4"),
            ],
        ),
    ]
}
