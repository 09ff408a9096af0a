//! Limits and their documents, as observed on a Boulder with production numbers.

use std::sync::Arc;
use std::time::Duration;

use issuance::limit::{Limit, LimitName};
use issuance::time::Timestamp;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use rehearsal::clock::DrivenClock;
use serde_json::json;

use crate::client::Client;
use crate::world::World;

pub(crate) const START: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

pub(crate) async fn driven(rules: CaRules) -> (RehearsalCa, Arc<DrivenClock>) {
    let clock = Arc::new(DrivenClock::new(START));
    let config = CaConfig { rules, clock: Arc::clone(&clock) as _, ..CaConfig::default() };
    (RehearsalCa::start(config).await.expect("a CA"), clock)
}

pub(crate) fn boulder() -> CaRules {
    CaRules { always_valid: true, ..CaRules::preset("boulder").expect("a preset") }
}

fn only(name: LimitName, burst: u32, period_seconds: u64) -> Vec<Limit> {
    vec![Limit { name, burst, count: burst, period_seconds }]
}

/// The wait in the header, checked to be the true one plus at most 3 % and a whole second.
fn retry_after(answer: &crate::client::Answer, truth: u64) -> u64 {
    let wait = answer.header("retry-after").expect("a wait").parse().expect("seconds");
    assert!((truth..=truth + truth * 3 / 100 + 1).contains(&wait), "{wait} s where {truth} s is the truth");
    wait
}

#[tokio::test]
pub(crate) async fn the_301st_order_is_refused_with_boulders_document() {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    for i in 0..300 {
        client.order(&[&format!("host{i}.com")]).await.assert_ok(201);
    }
    let refused = client.order(&["host300.com"]).await;
    let wait = retry_after(&refused, 36);
    let retry_at = START.after(Duration::from_secs(wait)).to_string();
    let (date, time) = (&retry_at[..10], &retry_at[11..19]);
    assert_eq!(
        refused.text,
        format!(
            "{{\n  \"type\": \"urn:ietf:params:acme:error:rateLimited\",\n  \"detail\": \"too many new \
             orders (300) from this account in the last 3h0m0s, retry after {date} {time} UTC: see \
             https://letsencrypt.org/docs/rate-limits/#new-orders-per-account\",\n  \"status\": 429\n}}"
        )
    );
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.header("cache-control"), Some("public, max-age=0, no-cache"));
    assert_eq!(refused.header("boulder-requester"), Some("1"));
    assert!(refused.header("replay-nonce").is_some());
    let index = format!("<{}>;rel=\"index\"", ca.directory_url());
    assert_eq!(
        refused.links().into_iter().collect::<std::collections::BTreeSet<_>>(),
        [index.as_str(), "<https://letsencrypt.org/docs/rate-limits>;rel=\"help\""].into()
    );

    clock.advance(Duration::from_secs(33));
    assert_eq!(client.order(&["host300.com"]).await.status, 429, "three seconds early");
    clock.advance(Duration::from_secs(3));
    client.order(&["host300.com"]).await.assert_ok(201);
    assert_eq!(client.order(&["host301.com"]).await.status, 429, "one token came back, not two");
    clock.advance(Duration::from_hours(1));
    let mut admitted = 0;
    while client.order(&[&format!("later{admitted}.com")]).await.status == 201 {
        admitted += 1;
    }
    assert_eq!(admitted, 100, "an hour's worth");
    assert_eq!(ca.audit().rate_limited, 4);
}

#[tokio::test]
pub(crate) async fn asking_for_an_order_again_costs_and_a_refused_name_does_not() {
    let rules = CaRules { limits: only(LimitName::NewOrdersPerAccount, 10, 10_800), ..boulder() };
    let (ca, _) = driven(rules).await;
    let client = Client::registered(&ca).await;
    for _ in 0..12 {
        let refused = client.order(&["bad_name.com"]).await;
        refused.assert_problem(
            400,
            "rejectedIdentifier",
            "Error creating new order :: Cannot issue for \"bad_name.com\": Domain name contains an \
             invalid character",
        );
    }
    let first = client.order(&["a.com"]).await.assert_ok(201).url().to_owned();
    for _ in 0..9 {
        assert_eq!(client.order(&["a.com"]).await.assert_ok(201).url(), first);
    }
    assert_eq!(client.order(&["a.com"]).await.status, 429);
    assert_eq!(ca.audit().orders, 1);
}

#[tokio::test]
pub(crate) async fn certificates_are_checked_at_the_order_and_spent_at_issuance() {
    let limits = only(LimitName::CertificatesPerRegisteredDomain, 3, 604_800);
    let (ca, _) = driven(CaRules { limits, ..boulder() }).await;
    let client = Client::registered(&ca).await;
    let names: Vec<String> = (0..6).map(|i| format!("h{i}.shop.co.uk")).collect();
    let mut orders = Vec::new();
    for name in &names {
        orders.push((name, client.order(&[name]).await.assert_ok(201)));
    }
    for (name, order) in &orders {
        client.submit(&ca, order, None).await;
        let done = client.post(order.field("finalize"), &Client::csr(&[name])).await;
        assert_eq!(done.assert_ok(200).body["status"], "valid", "what was admitted is never refused");
    }
    let other = Client::registered(&ca).await;
    let refused = other.order(&["h9.shop.co.uk"]).await;
    retry_after(&refused, 201_600);
    let detail = refused.field("detail");
    assert!(
        detail.starts_with(
            "too many certificates (3) already issued for \"shop.co.uk\" in the last 168h0m0s, retry after "
        ) && detail.ends_with(
            ": see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-registered-domain"
        ),
        "{detail}"
    );
    let renewal = client.order(&[&names[0]]).await.assert_ok(201);
    assert_eq!(renewal.body["status"], "ready", "the exact set is a renewal, and passes");
}

#[tokio::test]
async fn an_exact_set_is_limited_also_for_renewals() {
    let limits = only(LimitName::CertificatesPerExactSet, 2, 3_600);
    let (ca, _) = driven(CaRules { limits, ..boulder() }).await;
    let client = Client::registered(&ca).await;
    client.issue(&ca, &["a.com", "www.a.com"]).await;
    client.issue(&ca, &["www.a.com", "a.com"]).await;
    let refused = client.order(&["a.com", "www.a.com"]).await;
    retry_after(&refused, 1_800);
    let detail = refused.field("detail");
    assert!(
        detail.starts_with("too many certificates (2) already issued for this exact set of identifiers in the last 1h0m0s, retry after ")
            && detail.ends_with(": see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-exact-set-of-identifiers"),
        "{detail}"
    );
    assert!(refused.body.get("subproblems").is_none());
    client.order(&["a.com"]).await.assert_ok(201);
    assert_eq!(ca.audit().duplicate_certificates, 1);
}

#[tokio::test]
pub(crate) async fn deactivating_what_is_pending_counts_as_a_failure_and_what_is_valid_does_not() {
    let limits = only(LimitName::FailedAuthorizationsPerHostname, 3, 600);
    let (ca, clock) = driven(CaRules { limits: limits.clone(), ..boulder() }).await;
    let client = Client::registered(&ca).await;
    for _ in 0..3 {
        let order = client.order(&["bad.shop.com"]).await.assert_ok(201);
        let url = client.authorizations(&order).await.remove(0).url;
        let answer = client.deactivate(&url).await.assert_ok(200);
        assert_eq!(answer.body["status"], "deactivated");
        let order = client.read(order.url()).await.assert_ok(200);
        assert_eq!(order.body["status"], "invalid");
        assert!(order.body.get("error").is_none());
    }
    let refused = client.order(&["bad.shop.com", "good.shop.com"]).await;
    retry_after(&refused, 200);
    let detail = refused.field("detail");
    assert!(
        detail.starts_with("too many failed authorizations (3) for \"bad.shop.com\" in the last 10m0s, retry after ")
            && detail.ends_with(": see https://letsencrypt.org/docs/rate-limits/#authorization-failures-per-identifier-per-account"),
        "{detail}"
    );
    client.order(&["good.shop.com"]).await.assert_ok(201);
    Client::registered(&ca).await.order(&["bad.shop.com"]).await.assert_ok(201);
    clock.advance(Duration::from_secs(200));
    client.order(&["bad.shop.com"]).await.assert_ok(201);

    for _ in 0..5 {
        let order = client.order(&["valid.com"]).await.assert_ok(201);
        client.submit(&ca, &order, None).await;
        let url = client.authorizations(&order).await.remove(0).url;
        client.deactivate(&url).await.assert_ok(200);
    }
    let free = CaRules { limits, charges_deactivation: false, ..boulder() };
    let (ca, _) = driven(free).await;
    let client = Client::registered(&ca).await;
    for _ in 0..5 {
        let order = client.order(&["bad.shop.com"]).await.assert_ok(201);
        client.deactivate(&client.authorizations(&order).await[0].url).await.assert_ok(200);
    }
}

#[tokio::test]
pub(crate) async fn a_deactivation_during_a_failing_validation_costs_two() {
    let world = World::start().await;
    let rules = CaRules {
        limits: only(LimitName::FailedAuthorizationsPerHostname, 2, 600),
        ..CaRules::preset("boulder").expect("a preset")
    };
    let config = CaConfig { rules, dns: Some(world.dns), http_port: world.http_port, ..CaConfig::default() };
    let ca = RehearsalCa::start(config).await.expect("a CA");
    let client = Client::registered(&ca).await;
    let order = client.order(&["a.com"]).await.assert_ok(201);
    let row = client.authorizations(&order).await.remove(0);
    world.hold();
    let url = row.challenge("http-01")["url"].as_str().expect("a URL");
    client.post(url, &json!({})).await.assert_ok(200);
    client.deactivate(&row.url).await.assert_ok(200);
    world.release();
    ca.idle().await;
    assert_eq!(client.order(&["a.com"]).await.status, 429, "both tokens are gone");
    let counts = ca.audit().authorizations;
    assert_eq!((counts.deactivated, counts.invalid, counts.total), (1, 0, 1));
}

#[tokio::test]
pub(crate) async fn a_name_that_only_fails_is_paused_until_a_person_acts() {
    let limits = vec![Limit {
        name: LimitName::ConsecutiveFailuresPerHostname,
        burst: 2,
        count: 1,
        period_seconds: 86_400,
    }];
    let (ca, _) = driven(CaRules { limits, ..boulder() }).await;
    let client = Client::registered(&ca).await;
    for _ in 0..3 {
        let order = client.order(&["zombie.com"]).await.assert_ok(201);
        client.deactivate(&client.authorizations(&order).await[0].url).await.assert_ok(200);
    }
    let refused = client.order(&["zombie.com"]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    assert_eq!(refused.links().len(), 1, "no help link");
    let detail = refused.field("detail");
    assert!(
        detail.starts_with("Your account is temporarily prevented from requesting certificates for zombie.com and possibly others. Please visit: http"),
        "{detail}"
    );
    let page = detail.rsplit(' ').next().expect("a URL");
    let unpause = page.replace("/unpause?", "/do-unpause?");
    let answer = client.request(http::Method::POST, &unpause, "", String::new()).await;
    assert_eq!((answer.status, answer.url()), (302, "/sfe/v1/unpause-status?count=1"));
    client.order(&["zombie.com"]).await.assert_ok(201);
}

#[tokio::test]
async fn the_pending_cap_refuses_what_needs_new_authorizations() {
    let rules = CaRules { pending_authorizations_max: Some(3), limits: Vec::new(), ..boulder() };
    let (ca, _) = driven(rules).await;
    let client = Client::registered(&ca).await;
    let order = client.order(&["a.com", "b.com", "c.com"]).await.assert_ok(201);
    let refused = client.order(&["d.com"]).await;
    refused.assert_problem(
        429,
        "rateLimited",
        "Error creating new order :: too many currently pending authorizations: see \
         https://letsencrypt.org/docs/rate-limits/",
    );
    client.order(&["c.com", "b.com", "a.com"]).await.assert_ok(201);
    Client::registered(&ca).await.order(&["d.com"]).await.assert_ok(201);
    client.submit(&ca, &order, None).await;
    client.order(&["d.com"]).await.assert_ok(201);
    assert_eq!(ca.audit().peak_open, 4);
}

#[tokio::test]
async fn new_accounts_are_limited_by_address() {
    let limits = only(LimitName::NewAccountsPerAddress, 2, 10_800);
    let (ca, _) = driven(CaRules { limits, ..boulder() }).await;
    let first = Client::registered(&ca).await;
    Client::registered(&ca).await;
    let mut third = Client::new(&ca);
    let refused = third.post("/acme/new-acct", &json!({ "termsOfServiceAgreed": true })).await;
    retry_after(&refused, 5_400);
    assert!(
        refused
            .field("detail")
            .starts_with("too many new registrations (2) from this IP address in the last 3h0m0s")
    );
    third.key = first.key;
    let existing = third.post("/acme/new-acct", &json!({ "onlyReturnExisting": true })).await;
    assert_eq!(existing.assert_ok(200).url(), first.kid.expect("registered"));
}

#[tokio::test]
pub(crate) async fn the_longer_wait_is_the_one_reported() {
    let limits = vec![
        only(LimitName::NewOrdersPerAccount, 1, 60)[0],
        only(LimitName::CertificatesPerRegisteredDomain, 1, 1_216)[0],
    ];
    let (ca, _) = driven(CaRules { limits, ..boulder() }).await;
    let client = Client::registered(&ca).await;
    client.issue(&ca, &["one.shop.com"]).await;
    let refused = client.order(&["two.shop.com"]).await;
    retry_after(&refused, 1_216);
    assert!(refused.field("detail").contains("\"shop.com\""));
}
