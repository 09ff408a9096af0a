//! The same looks at servers that nobody here wrote.

use std::sync::Arc;

use issuance::fault::FailureClass;
use lockkeeper::challenge::caa::{CaaCheck, CaaIssuer, CaaRound, Method};
use lockkeeper::challenge::fetch::FetchConfig;
use lockkeeper::challenge::preflight::{Preflight, Verdict as NameVerdict};
use lockkeeper::challenge::probe::ProbeSecret;
use lockkeeper::challenge::propagation::{Propagation, PropagationConfig, Verdict};
use lockkeeper::challenge::resolver::{NameResolver, ResolverConfig};
use lockkeeper_tests::named::{Named, Signatures, SignedZone};

use crate::world::{hostname, loopback};

const VALUE: &str = "LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo";

/// A zone that is well in every way, one whose signatures have expired, and one that has none.
const ZONES: &[SignedZone] = &[
    SignedZone {
        name: "good.com",
        signatures: Signatures::Good,
        records: "
            www.good.com. A 127.0.0.1
            www.good.com. CAA 0 issue \"ca.example; validationmethods=dns-01\"
            _acme-challenge.good.com. TXT \"other\" \"values\"
            _acme-challenge.good.com. TXT \"LPsIwTo7o8BoG0-vjCyGQ\" \"GBWSVIPxI-i_X336eUOQZo\"
            _acme-challenge.www.good.com. CNAME www.delegated.plain.com.
            old.good.com. DNAME mirror.plain.com.
        ",
    },
    SignedZone {
        name: "broken.com",
        signatures: Signatures::Expired,
        records: "
            www.broken.com. A 127.0.0.1
            _acme-challenge.www.broken.com. TXT \"LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo\"
        ",
    },
    SignedZone {
        name: "plain.com",
        signatures: Signatures::Absent,
        records: "
            www.delegated.plain.com. TXT \"LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo\"
            _acme-challenge.mirror.plain.com. TXT \"LPsIwTo7o8BoG0-vjCyGQGBWSVIPxI-i_X336eUOQZo\"
            wildcard.plain.com. CAA 0 issuewild \";\"
            wildcard.plain.com. CAA 128 iodef \"mailto:a@b.com\"
        ",
    },
];

async fn look(named: &Named, resolver: &Arc<NameResolver>, name: &str) -> (Verdict, String) {
    let config = PropagationConfig { port: named.authority.port(), ..PropagationConfig::default() };
    let propagation = Propagation::new(&config, Arc::clone(resolver), Arc::new(loopback()));
    let report = propagation.look(name, &[VALUE.to_owned()]).await;
    (report.verdict, report.owner)
}

#[tokio::test]
async fn bind_is_understood() {
    let named = Named::start(ZONES).await;
    let config = ResolverConfig { servers: vec![named.resolver], ..ResolverConfig::default() };
    let resolver = Arc::new(NameResolver::new(&config).expect("a resolver"));
    for (name, owner) in [
        ("_acme-challenge.good.com", "_acme-challenge.good.com"),
        ("_acme-challenge.www.good.com", "www.delegated.plain.com"),
        ("_acme-challenge.old.good.com", "_acme-challenge.mirror.plain.com"),
    ] {
        assert_eq!(look(&named, &resolver, name).await, (Verdict::Visible, owner.to_owned()), "{name}");
    }
    let (verdict, _) = look(&named, &resolver, "_acme-challenge.none.good.com").await;
    let missing = matches!(verdict, Verdict::NotYet { class: FailureClass::PropagationTimeout, .. });
    assert!(missing, "{verdict:?}");

    let fetch = FetchConfig::default();
    let secret = ProbeSecret::new([7; 32]);
    let preflight = Preflight::new(&fetch, Arc::clone(&resolver), loopback(), secret).expect("a preflight");
    let preflight = preflight.with_authorities_at(named.authority.port());
    let class = async |name: &str| match preflight.check_name(&hostname(name)).await.verdict {
        NameVerdict::NotReady { class, .. } => class,
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(class("www.broken.com").await, FailureClass::Dnssec);
    assert_eq!(
        class("gone.good.com").await,
        FailureClass::DnsNxdomain,
        "a signed denial is one like any other"
    );
    assert_eq!(class("www.unregistered.com").await, FailureClass::DnsUnregistered);

    let issuer =
        CaaIssuer { identities: vec!["ca.example".into()], account_url: "https://ca.example/1".into() };
    let caa = CaaCheck::new(Arc::clone(&resolver), issuer);
    let bogus = caa.check(&CaaRound::default(), &hostname("www.broken.com"), Method::Http01).await;
    assert_eq!(bogus.expect_err("refused").class, Some(FailureClass::Dnssec));
    for (name, method, allowed) in [
        ("www.good.com", Method::Http01, false),
        ("www.good.com", Method::Dns01, true),
        ("*.wildcard.plain.com", Method::Dns01, false),
        ("wildcard.plain.com", Method::Http01, true),
    ] {
        let verdict = caa.check(&CaaRound::default(), &hostname(name), method).await;
        assert_eq!(verdict.is_ok(), allowed, "{name}: {verdict:?}");
    }
}
