//! Challenge records that are not where a CA will look, as they were given.

use issuance::fault::FailureClass as C;

use crate::stage::server;
use crate::topology::Part::{self, Alias, Dname, Txt, Unregistered, Zone};
use crate::topology::{Class, Topology, broken, odd};

/// What the record must be.
pub(crate) const VALUE: &str = "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo";
const OLD: &str = "Zm9ybWVyLW9yZGVyLXZhbHVlLW9mLXRoZS1yZWNvcmQ";
const SET: &[&str] = &[VALUE];
const NOTHING: &[&str] = &[];

pub(crate) fn table() -> Vec<Topology> {
    let bad = |what, name, parts: &[Part], cause| broken(Class::Propagation, what, name, parts, cause);
    let good = |what, name, parts: &[Part]| odd(Class::Propagation, what, name, parts);
    vec![
        bad(
            "nobody has published it",
            "_acme-challenge.p-none.com",
            &[Txt("p-none.com", &[&["v=spf1 -all"]])],
            C::PropagationTimeout,
        ),
        bad(
            "the second server has not got it yet",
            "_acme-challenge.p-behind.com",
            &[Txt("_acme-challenge.p-behind.com", &[SET, NOTHING])],
            C::PropagationTimeout,
        ),
        bad(
            "the second server shows the one of last time",
            "_acme-challenge.p-stale.com",
            &[Txt("_acme-challenge.p-stale.com", &[SET, &[OLD]])],
            C::PropagationTimeout,
        ),
        bad(
            "the name was given relative to its zone",
            "_acme-challenge.p-relative.com",
            &[Txt("_acme-challenge.p-relative.com.p-relative.com", &[SET])],
            C::PropagationTimeout,
        ),
        bad(
            "over TCP stands another machine",
            "_acme-challenge.p-tcp-other.com",
            &[
                Zone("p-tcp-other.com", &[1, server::OTHER_OVER_TCP], &[1, server::OTHER_OVER_TCP], None),
                Txt("_acme-challenge.p-tcp-other.com", &[SET]),
            ],
            C::PropagationTimeout,
        ),
        bad(
            "it is not where its alias leads",
            "_acme-challenge.p-delegated.com",
            &[
                Alias("_acme-challenge.p-delegated.com", "d420c923.p-provider.com"),
                Zone("p-provider.com", &[1, 2], &[1, 2], None),
            ],
            C::PropagationTimeout,
        ),
        bad(
            "the one of last time",
            "_acme-challenge.p-old.com",
            &[Txt("_acme-challenge.p-old.com", &[&[OLD]])],
            C::WrongRecord,
        ),
        bad(
            "quotes are part of it",
            "_acme-challenge.p-quoted.com",
            &[Txt("_acme-challenge.p-quoted.com", &[&["\"LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo\""]])],
            C::WrongRecord,
        ),
        bad(
            "a blank behind it",
            "_acme-challenge.p-blank.com",
            &[Txt("_acme-challenge.p-blank.com", &[&["LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo "]])],
            C::WrongRecord,
        ),
        bad(
            "in lower case",
            "_acme-challenge.p-lower.com",
            &[Txt("_acme-challenge.p-lower.com", &[&["lpsiwto7o8bog0-vjcygqgbwsvipxi-i_x336euoqzo"]])],
            C::WrongRecord,
        ),
        bad(
            "two records, a half in each",
            "_acme-challenge.p-halves.com",
            &[Txt("_acme-challenge.p-halves.com", &[&["LPsIwTo7o8BoG0-vjCyGQ", "GBWSVIPxI-i_X336eUOQZo"]])],
            C::WrongRecord,
        ),
        bad(
            "servers that answer from a cache",
            "_acme-challenge.p-cache.com",
            &[
                Zone("p-cache.com", &[server::NO_AUTHORITY], &[server::NO_AUTHORITY], None),
                Txt("_acme-challenge.p-cache.com", &[SET]),
            ],
            C::DnsLame,
        ),
        bad(
            "servers that are silent",
            "_acme-challenge.p-silent.com",
            &[
                Zone("p-silent.com", &[server::SILENT], &[server::SILENT], None),
                Txt("_acme-challenge.p-silent.com", &[SET]),
            ],
            C::DnsTimeout,
        ),
        bad(
            "too long for UDP, and nothing over TCP",
            "_acme-challenge.p-no-tcp.com",
            &[
                Zone("p-no-tcp.com", &[server::UDP_TOO_SMALL], &[server::UDP_TOO_SMALL], None),
                Txt("_acme-challenge.p-no-tcp.com", &[SET]),
            ],
            C::DnsTcp,
        ),
        bad(
            "an alias into a domain that has expired",
            "_acme-challenge.p-dangling.com",
            &[Alias("_acme-challenge.p-dangling.com", "d420c923.p-gone-provider.com")],
            C::DnsAlias,
        ),
        bad(
            "aliases in a circle",
            "_acme-challenge.p-circle.com",
            &[
                Alias("_acme-challenge.p-circle.com", "a.p-circle.com"),
                Alias("a.p-circle.com", "_acme-challenge.p-circle.com"),
            ],
            C::DnsAlias,
        ),
        bad(
            "a domain that has expired",
            "_acme-challenge.p-expired.com",
            &[Unregistered],
            C::DnsUnregistered,
        ),
        good(
            "one of three servers is silent",
            "_acme-challenge.p-quorum.com",
            &[
                Zone("p-quorum.com", &[1, 2, server::SILENT], &[1, 2, server::SILENT], None),
                Txt("_acme-challenge.p-quorum.com", &[SET]),
            ],
        ),
        good(
            "beside the one of last time",
            "_acme-challenge.p-beside.com",
            &[Txt("_acme-challenge.p-beside.com", &[&[OLD, VALUE]])],
        ),
        good(
            "where its alias leads",
            "_acme-challenge.p-alias.com",
            &[
                Alias("_acme-challenge.p-alias.com", "7c2f11e9.p-host.com"),
                Zone("p-host.com", &[1, 2], &[1, 2], None),
                Txt("7c2f11e9.p-host.com", &[SET]),
            ],
        ),
        good(
            "below a DNAME",
            "_acme-challenge.www.p-dname.com",
            &[
                Dname("www.p-dname.com", "mirror.p-dname.com"),
                Txt("_acme-challenge.mirror.p-dname.com", &[SET]),
            ],
        ),
        good(
            "a short answer, and a server without TCP",
            "_acme-challenge.p-udp.com",
            &[
                Zone("p-udp.com", &[1, server::NO_TCP], &[1, server::NO_TCP], None),
                Txt("_acme-challenge.p-udp.com", &[SET]),
            ],
        ),
        good(
            "parent and zone name different servers",
            "_acme-challenge.p-differ.com",
            &[
                Zone("p-differ.com", &[1, server::REFUSES], &[1, 2], None),
                Txt("_acme-challenge.p-differ.com", &[SET]),
            ],
        ),
    ]
}
