//! When tokens are taken, and when they are not.

use std::time::Duration;

use issuance::identifier::Hostname;
use issuance::limit::LimitName;
use rehearsal::ca::CaRules;
use rehearsal::faults::{Effect, Fault, Plan};
use rehearsal::limits::{History, PastIssuance};
use serde_json::json;

use super::{DAY, fail, limit, limited};
use crate::client::Client;
use crate::limits::{START, boulder, driven};

const DOMAIN: LimitName = LimitName::CertificatesPerRegisteredDomain;
const FAILED: LimitName = LimitName::FailedAuthorizationsPerHostname;
const ORDERS: LimitName = LimitName::NewOrdersPerAccount;
const SET: LimitName = LimitName::CertificatesPerExactSet;

#[tokio::test]
pub(crate) async fn deactivating_gives_no_new_order_back() {
    let (ca, _, client) = limited(vec![limit(ORDERS, 2, 3_600)]).await;
    fail(&client, "a.com").await;
    fail(&client, "a.com").await;
    assert_eq!(client.order(&["a.com"]).await.status, 429);
    assert_eq!(ca.limits().limits[&ORDERS].spent, 2);
}

#[tokio::test]
pub(crate) async fn a_renewal_passes_new_orders_and_its_domain_and_nothing_else() {
    let limits = vec![
        limit(ORDERS, 1, 10_800),
        limit(DOMAIN, 1, 604_800),
        limit(SET, 2, 604_800),
        limit(FAILED, 1, 3_600),
    ];
    let (ca, _, client) = limited(limits).await;
    client.issue(&ca, &["a.com"]).await;
    assert_eq!(client.order(&["b.com"]).await.status, 429, "no new-order is left");
    let renewal = client.order(&["a.com"]).await.assert_ok(201);
    assert_eq!(renewal.field("status"), "ready");
    let stranger = Client::registered(&ca).await;
    fail(&stranger, "a.com").await;
    let refused = stranger.order(&["a.com"]).await;
    assert!(refused.field("detail").starts_with("too many failed authorizations (1) for \"a.com\""));
    client.post(renewal.field("finalize"), &Client::csr(&["a.com"])).await.assert_ok(200);
    let refused = client.order(&["a.com"]).await;
    assert!(
        refused.field("detail").starts_with("too many certificates (2) already issued for this exact set")
    );
    let tally = ca.limits().limits;
    assert_eq!((tally[&ORDERS].spent, tally[&DOMAIN].spent, tally[&SET].spent), (1, 1, 2));
}

#[tokio::test]
pub(crate) async fn a_set_is_a_renewal_for_120_days_whoever_had_it() {
    for (days, status) in [(119, 201), (120, 429)] {
        let (ca, clock, client) = limited(vec![limit(ORDERS, 1, 10_800)]).await;
        Client::registered(&ca).await.issue(&ca, &["a.com", "www.a.com"]).await;
        clock.advance(days * DAY);
        client.order(&["other.com"]).await.assert_ok(201);
        assert_eq!(client.order(&["www.a.com", "a.com"]).await.status, status, "after {days} days");
        assert_eq!(client.order(&["a.com"]).await.status, 429, "part of the set is another set");
    }
}

#[tokio::test]
pub(crate) async fn what_is_abandoned_costs_nothing() {
    let (ca, clock, client) =
        limited(vec![limit(FAILED, 1, 3_600), limit(LimitName::ConsecutiveFailuresPerHostname, 1, 86_400)])
            .await;
    for _ in 0..3 {
        client.order(&["a.com"]).await.assert_ok(201);
        clock.advance(7 * DAY);
    }
    assert_eq!(ca.audit().authorizations.expired, 3);
    assert_eq!(ca.limits().limits.get(&FAILED), None);
}

#[tokio::test]
pub(crate) async fn a_success_resets_only_the_pausing_bucket() {
    let limits = vec![limit(FAILED, 5, 36_000), limit(LimitName::ConsecutiveFailuresPerHostname, 2, 864_000)];
    let (ca, _, client) = limited(limits).await;
    for _ in 0..2 {
        fail(&client, "a.com").await;
        fail(&client, "a.com").await;
        let order = client.order(&["a.com"]).await.assert_ok(201);
        client.submit(&ca, &order, None).await;
        let url = client.authorizations(&order).await.remove(0).url;
        client.deactivate(&url).await.assert_ok(200);
    }
    fail(&client, "a.com").await;
    let refused = client.order(&["a.com"]).await;
    assert!(
        refused.field("detail").starts_with("too many failed authorizations (5) for \"a.com\""),
        "{}",
        refused.text
    );
    assert_eq!(ca.limits().paused, 0);
}

#[tokio::test]
pub(crate) async fn a_failed_validation_spends_a_token() {
    let (ca, _, client) = limited(vec![limit(FAILED, 2, 3_600)]).await;
    for _ in 0..2 {
        ca.set_faults(Plan::of(Fault::new(Effect::ValidationOutage { after_ms: 0 }))).expect("a plan");
        let order = client.order(&["a.com"]).await.assert_ok(201);
        client.submit(&ca, &order, None).await;
    }
    assert_eq!(client.order(&["a.com"]).await.status, 429);
}

#[tokio::test]
pub(crate) async fn each_refusal_draws_its_own_jitter() {
    let (_ca, _, client) = limited(vec![limit(ORDERS, 1, 604_800)]).await;
    client.order(&["a.com"]).await.assert_ok(201);
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let refused = client.order(&["b.com"]).await;
        waits.insert(refused.header("retry-after").expect("a wait").parse::<u64>().expect("seconds"));
    }
    assert!(waits.len() > 15, "{waits:?}");
    let all_within = waits.iter().all(|wait| (604_800..=604_800 * 103 / 100).contains(wait));
    assert!(all_within, "{waits:?}");
}

#[tokio::test]
pub(crate) async fn revoking_gives_nothing_back() {
    let (ca, _, client) = limited(vec![limit(DOMAIN, 1, 604_800), limit(SET, 1, 604_800)]).await;
    let done = client.issue(&ca, &["a.shop.com"]).await;
    let chain = client.read(done.field("certificate")).await.assert_ok(200).text;
    let body = json!({ "certificate": crate::renewal::leaf_of(&chain) });
    client.post("/acme/revoke-cert", &body).await.assert_ok(200);
    assert_eq!(client.order(&["b.shop.com"]).await.status, 429);
    assert_eq!(client.order(&["a.shop.com"]).await.status, 429);
}

#[tokio::test]
pub(crate) async fn a_wildcard_fails_alone() {
    let (_ca, _, client) = limited(vec![limit(FAILED, 1, 3_600)]).await;
    fail(&client, "*.shop.com").await;
    let refused = client.order(&["*.shop.com", "shop.com"]).await;
    assert!(refused.field("detail").starts_with("too many failed authorizations (1) for \"*.shop.com\""));
    client.order(&["shop.com"]).await.assert_ok(201);
}

#[tokio::test]
pub(crate) async fn tenants_below_one_registered_domain_share_its_bucket() {
    let (ca, _, client) = limited(vec![limit(DOMAIN, 1, 604_800)]).await;
    client.issue(&ca, &["one.host.co.uk"]).await;
    let refused = client.order(&["two.host.co.uk"]).await;
    assert!(refused.field("detail").contains("already issued for \"host.co.uk\""), "{}", refused.text);
    client.issue(&ca, &["one.github.io"]).await;
    client.order(&["two.github.io"]).await.assert_ok(201);
}

#[tokio::test]
pub(crate) async fn an_order_over_several_domains_spends_one_of_each() {
    let (ca, _, client) = limited(vec![limit(DOMAIN, 2, 604_800)]).await;
    client.issue(&ca, &["a.one.com", "b.one.com", "two.com"]).await;
    assert_eq!(ca.limits().limits[&DOMAIN].spent, 2, "one certificate counts once for each domain");
}

#[tokio::test]
pub(crate) async fn orders_are_judged_in_boulders_sequence() {
    let paused = limit(LimitName::ConsecutiveFailuresPerHostname, 1, 864_000);
    let (ca, _, client) = limited(vec![paused, limit(ORDERS, 3, 864_000)]).await;
    fail(&client, "zombie.com").await;
    fail(&client, "zombie.com").await;
    client.order(&["spent.com"]).await.assert_ok(201);
    let all_wrong = json!({ "replaces": "nonsense", "profile": "nosuch" });
    let detail = |answer: crate::client::Answer| answer.field("detail").to_owned();
    let refused = client.order_with(&["zombie.com", "bad_name.com"], all_wrong.clone()).await;
    assert!(detail(refused).starts_with("Your account is temporarily prevented"));
    let refused = client.order_with(&["a.com", "bad_name.com"], all_wrong).await;
    assert!(detail(refused).starts_with("Could not validate ARI 'replaces' field"));
    let refused = client.order_with(&["a.com", "bad_name.com"], json!({ "profile": "nosuch" })).await;
    assert_eq!(detail(refused), "profile name \"nosuch\" not recognized");
    let refused = client.order(&["a.com", "bad_name.com"]).await;
    assert!(detail(refused).starts_with("too many new orders (3)"));
    let stranger = Client::registered(&ca).await;
    assert_eq!(stranger.order(&["a.com", "bad_name.com"]).await.status, 400, "names come last");
}

#[tokio::test]
pub(crate) async fn an_order_needs_no_token_where_the_set_was_issued_before_the_ca_knew_the_account() {
    let names = vec![Hostname::parse("a.com").expect("a name")];
    let (ca, _) = driven(CaRules { limits: vec![limit(ORDERS, 1, 10_800)], ..boulder() }).await;
    let issued = vec![PastIssuance { names, at: START.before(Duration::from_hours(1)) }];
    ca.remember(History { issued, ..History::default() }).expect("it can have been");
    let client = Client::registered(&ca).await;
    client.order(&["b.com"]).await.assert_ok(201);
    client.order(&["a.com"]).await.assert_ok(201);
}

#[tokio::test]
pub(crate) async fn an_exact_set_is_counted_over_all_accounts() {
    let (ca, _, client) = limited(vec![limit(SET, 2, 604_800)]).await;
    for client in [&client, &Client::registered(&ca).await] {
        client.issue(&ca, &["a.com"]).await;
    }
    assert_eq!(Client::registered(&ca).await.order(&["a.com"]).await.status, 429);
}

/// The header is rounded, and where it would be zero there is none, and no help.
#[tokio::test]
pub(crate) async fn less_than_half_a_second_is_no_wait() {
    let (_ca, clock, client) = limited(vec![limit(ORDERS, 1, 3_600)]).await;
    client.order(&["a.com"]).await.assert_ok(201);
    clock.advance(Duration::from_millis(3_599_700));
    let refused = client.order(&["b.com"]).await;
    assert!(refused.field("detail").starts_with("too many new orders (1)"), "{}", refused.text);
    assert_eq!((refused.status, refused.header("retry-after"), refused.links().len()), (429, None, 1));
    clock.advance(Duration::from_millis(300));
    client.order(&["b.com"]).await.assert_ok(201);
}
