//! Names whose owners let others issue only, and those where nobody can tell.

use issuance::fault::FailureClass as C;
use rehearsal::fleet::TypeFault;

use crate::topology::Part::{self, Alias, Also, Caa, CaaFault};
use crate::topology::{Class, Topology, broken, odd};

pub(crate) fn table() -> Vec<Topology> {
    let bad = |what, name, parts: &[Part], cause| broken(Class::Caa, what, name, parts, cause);
    let good = |what, name, parts: &[Part]| odd(Class::Caa, what, name, parts);
    vec![
        bad(
            "another CA",
            "www.c-other.com",
            &[Caa("www.c-other.com", false, "issue", "other.example")],
            C::Caa,
        ),
        bad("no CA at all", "www.c-none.com", &[Caa("www.c-none.com", false, "issue", ";")], C::Caa),
        bad(
            "another CA, at the domain",
            "www.c-parent.com",
            &[Caa("c-parent.com", false, "issue", "other.example")],
            C::Caa,
        ),
        bad(
            "another CA, two labels up",
            "a.b.c-grandparent.com",
            &[Caa("c-grandparent.com", false, "issue", "other.example")],
            C::Caa,
        ),
        bad("no wildcard", "*.c-wild.com", &[Caa("c-wild.com", false, "issuewild", ";")], C::Caa),
        bad(
            "wildcards by another CA",
            "*.c-wild-other.com",
            &[
                Caa("c-wild-other.com", false, "issue", "rehearsal.invalid"),
                Caa("c-wild-other.com", false, "issuewild", "other.example"),
            ],
            C::Caa,
        ),
        bad(
            "a critical tag nobody knows",
            "www.c-critical.com",
            &[
                Caa("www.c-critical.com", false, "issue", "rehearsal.invalid"),
                Caa("www.c-critical.com", true, "policy", "strict"),
            ],
            C::Caa,
        ),
        bad(
            "another account of the CA",
            "www.c-account.com",
            &[Caa(
                "www.c-account.com",
                false,
                "issue",
                "rehearsal.invalid; accounturi=https://ca.example/acct/7",
            )],
            C::Caa,
        ),
        bad(
            "over DNS only",
            "www.c-method.com",
            &[Caa("www.c-method.com", false, "issue", "rehearsal.invalid; validationmethods=dns-01")],
            C::Caa,
        ),
        bad(
            "over HTTP only, and a wildcard",
            "*.c-method-http.com",
            &[Caa("c-method-http.com", false, "issue", "rehearsal.invalid; validationmethods=http-01")],
            C::Caa,
        ),
        bad(
            "a value that is malformed, and so names nobody",
            "www.c-malformed.com",
            &[Caa("www.c-malformed.com", false, "issue", "rehearsal.invalid and others")],
            C::Caa,
        ),
        bad(
            "another CA, at the alias's target",
            "www.c-alias.com",
            &[
                Alias("www.c-alias.com", "edge.c-host.com"),
                Also("edge.c-host.com"),
                Caa("edge.c-host.com", false, "issue", "other.example"),
            ],
            C::Caa,
        ),
        bad(
            "SERVFAIL for CAA",
            "www.c-servfail.com",
            &[CaaFault("www.c-servfail.com", TypeFault::Servfail)],
            C::CaaLookup,
        ),
        bad(
            "NOTIMP for CAA",
            "www.c-notimp.com",
            &[CaaFault("www.c-notimp.com", TypeFault::NotImplemented)],
            C::CaaLookup,
        ),
        bad(
            "silence for CAA",
            "www.c-silent.com",
            &[CaaFault("www.c-silent.com", TypeFault::Silence)],
            C::CaaLookup,
        ),
        bad(
            "SERVFAIL for the domain's CAA",
            "www.c-above.com",
            &[CaaFault("c-above.com", TypeFault::Servfail)],
            C::CaaLookup,
        ),
        good("our CA", "www.c-ours.com", &[Caa("www.c-ours.com", false, "issue", "rehearsal.invalid")]),
        good(
            "our CA among others",
            "www.c-among.com",
            &[
                Caa("www.c-among.com", false, "issue", "other.example"),
                Caa("www.c-among.com", false, "issue", "rehearsal.invalid"),
                Caa("www.c-among.com", true, "iodef", "mailto:security@c-among.com"),
            ],
        ),
        good(
            "the name permits what its domain forbids",
            "www.c-below.com",
            &[
                Caa("c-below.com", false, "issue", ";"),
                Caa("www.c-below.com", false, "issue", "rehearsal.invalid"),
            ],
        ),
        good(
            "our account, over HTTP",
            "www.c-exact.com",
            &[Caa(
                "c-exact.com",
                false,
                "issue",
                "rehearsal.invalid; accounturi={account}; validationmethods=dns-01,http-01",
            )],
        ),
        good(
            "no wildcard, and this is none",
            "www.c-only-wild.com",
            &[Caa("c-only-wild.com", false, "issuewild", ";")],
        ),
    ]
}
