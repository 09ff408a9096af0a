//! What is no quota: too much from one address, and a CA that is busy.

use std::time::Duration;

use rehearsal::ca::CaRules;
use rehearsal::faults::{Effect, Endpoint, Fault, Plan};
use rehearsal::load_balancer::RequestRate;

use crate::client::Client;
use crate::limits::{boulder, driven};

#[tokio::test]
pub(crate) async fn one_address_has_its_rate_at_each_endpoint() {
    let (ca, clock) = driven(CaRules { request_rates: RequestRate::letsencrypt(), ..boulder() }).await;
    let client = Client::new(&ca);
    let ask = async |path: &str| client.fetch(path).await;
    for (path, burst, per_second) in
        [("/acme/new-nonce", 10, 20), ("/directory", 40, 40), ("/acme/renewal-info/x", 100, 1_000)]
    {
        for number in 0..burst {
            assert_ne!(ask(path).await.status, 503, "{path} {number}");
        }
        let refused = ask(path).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{path}");
        assert_eq!(refused.header("content-type"), Some("text/html"));
        assert!(refused.header("replay-nonce").is_none() && refused.links().is_empty());
        clock.advance(Duration::from_micros(1_000_000 / per_second));
        assert_ne!(ask(path).await.status, 503, "{path}: one came back");
        assert_eq!(ask(path).await.status, 503, "{path}: and one only");
    }
    assert_eq!(ca.limits().turned_away, 6);
    assert_eq!(ca.audit().rate_limited, 0);

    let (ca, _) = driven(boulder()).await;
    let client = Client::new(&ca);
    for _ in 0..300 {
        client.fetch("/acme/new-nonce").await.assert_ok(204);
    }
}

/// A table of the documentation: requests a second and burst.
#[test]
pub(crate) fn the_rates_are_those_of_the_documentation() {
    let rate = |rates: &[RequestRate], endpoint| {
        let mut of = rates.iter().filter(|rate| rate.endpoints.contains(&endpoint));
        let rate = of.next().expect("limited");
        assert!(of.next().is_none(), "in one rate only");
        (rate.per_second, rate.burst)
    };
    for (endpoint, production, staging) in [
        (Endpoint::NewNonce, (20, 10), (20, 10)),
        (Endpoint::NewAccount, (5, 15), (5, 15)),
        (Endpoint::NewOrder, (300, 200), (20, 40)),
        (Endpoint::RevokeCertificate, (10, 100), (10, 100)),
        (Endpoint::RenewalInfo, (1_000, 100), (1_000, 100)),
        (Endpoint::Order, (250, 125), (20, 20)),
        (Endpoint::Authorization, (250, 125), (20, 20)),
        (Endpoint::Challenge, (250, 125), (20, 20)),
        (Endpoint::Finalize, (250, 125), (20, 20)),
        (Endpoint::Certificate, (250, 125), (20, 20)),
        (Endpoint::Directory, (40, 40), (40, 40)),
    ] {
        assert_eq!(rate(&RequestRate::letsencrypt(), endpoint), production, "{endpoint:?}");
        assert_eq!(rate(&RequestRate::letsencrypt_staging(), endpoint), staging, "{endpoint:?}");
    }
}

#[tokio::test]
pub(crate) async fn a_busy_ca_is_503_of_the_same_type() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    ca.set_faults(Plan::of(Fault::new(Effect::Busy { retry_after_seconds: 30 }).times(1))).expect("a plan");
    let refused = client.order(&["a.com"]).await;
    refused.assert_problem(503, "rateLimited", "Service busy; retry later.");
    assert_eq!(refused.header("retry-after"), Some("30"));
    let audit = ca.audit();
    assert_eq!((audit.orders, audit.rate_limited), (0, 0), "no quota");
    client.order(&["a.com"]).await.assert_ok(201);
}
