//! Renewal information, and the exemption that it gives.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use issuance::identifier::Hostname;
use issuance::limit::LimitName;
use issuance::time::Clock as _;
use rehearsal::ca::CaRules;
use serde_json::json;

use super::{fail, limit, limited};
use crate::client::{Client, ERROR};
use crate::limits::{boulder, driven};
use crate::renewal::{issued, window};

const DOMAIN: LimitName = LimitName::CertificatesPerRegisteredDomain;
const ORDERS: LimitName = LimitName::NewOrdersPerAccount;
const SET: LimitName = LimitName::CertificatesPerExactSet;

#[tokio::test]
pub(crate) async fn a_short_life_is_renewed_at_its_half() {
    let mut rules = boulder();
    rules.default_profile.certificate_seconds = 160 * 3_600;
    let (ca, clock) = driven(rules).await;
    let client = Client::registered(&ca).await;
    let (_, id) = issued(&client, &ca, &["a.com"]).await;
    let (start, end) = window(&client.fetch(&format!("/acme/renewal-info/{id}")).await);
    let life = Duration::from_hours(159);
    let expires_at = clock.now().after(life).before(Duration::from_secs(1));
    assert_eq!(start.after(life / 100).until(expires_at), life / 2);
    assert_eq!(start.until(end), life / 50, "3.2 hours");
}

#[tokio::test]
pub(crate) async fn an_incident_says_why() {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let (_, hit) = issued(&client, &ca, &["a.com"]).await;
    let (_, spared) = issued(&client, &ca, &["b.com"]).await;
    let url = "https://ca.test/incidents/7";
    assert_eq!(ca.declare_incident(url, &[Hostname::parse("a.com").expect("a name")]), 1);
    let answer = client.fetch(&format!("/acme/renewal-info/{hit}")).await.assert_ok(200);
    let (start, end) = window(&answer);
    let now = clock.now();
    assert_eq!((start.until(now), end.until(now)), (Duration::from_hours(1), Duration::from_mins(30)));
    assert_eq!(answer.field("explanationURL"), url);
    let other = client.fetch(&format!("/acme/renewal-info/{spared}")).await.assert_ok(200);
    assert!(other.body.get("explanationURL").is_none());
    let all = client
        .request(http::Method::POST, "/incidents", "", json!({ "url": url }).to_string())
        .await
        .assert_ok(200);
    assert_eq!(all.body["certificates"], 2);
}

/// At its start, within, and right before its end; not a second sooner, and not at its end.
#[tokio::test]
pub(crate) async fn only_the_window_exempts() {
    for (from_start, status) in [(-1, 429), (0, 201), (1, 201)] {
        let (ca, clock, client) = limited(vec![limit(SET, 1, 100 * 86_400)]).await;
        let (_, id) = issued(&client, &ca, &["a.com"]).await;
        let (start, _) = window(&client.fetch(&format!("/acme/renewal-info/{id}")).await);
        let wait = clock.now().until(start).as_secs().checked_add_signed(from_start).expect("later");
        clock.advance(Duration::from_secs(wait));
        let answer = client.order_with(&["a.com"], json!({ "replaces": id })).await;
        assert_eq!(answer.status, status, "{from_start} s from the start");
    }
    for (to_end, status) in [(1, 201), (0, 429)] {
        let (ca, clock, client) = limited(vec![limit(SET, 1, 100 * 86_400)]).await;
        let (_, id) = issued(&client, &ca, &["a.com"]).await;
        let (_, end) = window(&client.fetch(&format!("/acme/renewal-info/{id}")).await);
        clock.advance(clock.now().until(end.before(Duration::from_secs(to_end))));
        let answer = client.order_with(&["a.com"], json!({ "replaces": id })).await;
        assert_eq!(answer.status, status, "{to_end} s to the end");
    }
}

/// All four limits are empty, and what replaces the certificate passes each of them.
#[tokio::test]
pub(crate) async fn the_window_exempts_from_every_limit() {
    let failed = LimitName::FailedAuthorizationsPerHostname;
    let all = [ORDERS, DOMAIN, SET, failed].map(|name| limit(name, 1, 100 * 86_400));
    let (ca, clock, client) = limited(all.to_vec()).await;
    let (_, id) = issued(&client, &ca, &["a.com"]).await;
    let (start, _) = window(&client.fetch(&format!("/acme/renewal-info/{id}")).await);
    clock.advance(clock.now().until(start));
    assert_eq!(client.order(&["a.com", "www.a.com"]).await.status, 429, "new orders and the domain");
    let order = client.order_with(&["a.com", "www.a.com"], json!({ "replaces": id })).await.assert_ok(201);
    let rows = client.authorizations(&order).await;
    let row = rows.iter().find(|row| row.name() == "a.com").expect("ordered");
    client.deactivate(&row.url).await.assert_ok(200);
    assert_eq!(client.order(&["a.com"]).await.status, 429, "the set and the name");
    client.order_with(&["a.com"], json!({ "replaces": id })).await.assert_ok(201);
    assert_eq!(ca.limits().new_orders.exempt_by_window, 2);
}

#[tokio::test]
pub(crate) async fn what_was_revoked_is_never_exempt() {
    let (ca, clock, client) = limited(vec![limit(SET, 1, 100 * 86_400)]).await;
    let (leaf, id) = issued(&client, &ca, &["a.com"]).await;
    let (start, _) = window(&client.fetch(&format!("/acme/renewal-info/{id}")).await);
    let body = json!({ "certificate": BASE64.encode(&leaf) });
    client.post("/acme/revoke-cert", &body).await.assert_ok(200);
    for _ in 0..2 {
        assert_eq!(client.order_with(&["a.com"], json!({ "replaces": id })).await.status, 429);
        clock.advance(clock.now().until(start));
    }
}

#[tokio::test]
pub(crate) async fn the_window_does_not_free_a_paused_name() {
    let (ca, clock, client) =
        limited(vec![limit(LimitName::ConsecutiveFailuresPerHostname, 1, 864_000)]).await;
    let (_, id) = issued(&client, &ca, &["a.com"]).await;
    let (start, _) = window(&client.fetch(&format!("/acme/renewal-info/{id}")).await);
    clock.advance(clock.now().until(start));
    fail(&client, "a.com").await;
    fail(&client, "a.com").await;
    let refused = client.order_with(&["a.com"], json!({ "replaces": id })).await;
    assert!(refused.field("detail").starts_with("Your account is temporarily prevented"), "{}", refused.text);
}

#[tokio::test]
pub(crate) async fn the_window_does_not_bend_policy() {
    let (ca, clock) = driven(CaRules { refused_domains: vec!["bank.com".to_owned()], ..boulder() }).await;
    let client = Client::registered(&ca).await;
    let (_, id) = issued(&client, &ca, &["a.com"]).await;
    let (start, _) = window(&client.fetch(&format!("/acme/renewal-info/{id}")).await);
    clock.advance(clock.now().until(start));
    let refused = client.order_with(&["a.com", "www.bank.com"], json!({ "replaces": id })).await;
    assert_eq!((refused.status, refused.field("type")), (400, format!("{ERROR}rejectedIdentifier").as_str()));
    client.order_with(&["a.com"], json!({ "replaces": id })).await.assert_ok(201);
}

/// The set always, the domain only if the set was not issued lately.
#[tokio::test]
pub(crate) async fn what_is_exempt_still_spends() {
    for (names, domains) in [(&["a.com"][..], 0), (&["a.com", "www.a.com"], 1)] {
        let limits = [DOMAIN, SET].map(|name| limit(name, 9, 100 * 86_400));
        let (ca, clock, client) = limited(limits.to_vec()).await;
        let (_, id) = issued(&client, &ca, &["a.com"]).await;
        let before = ca.limits().limits;
        let (start, _) = window(&client.fetch(&format!("/acme/renewal-info/{id}")).await);
        clock.advance(clock.now().until(start));
        let order = client.order_with(names, json!({ "replaces": id })).await.assert_ok(201);
        client.submit(&ca, &order, None).await;
        client.post(order.field("finalize"), &Client::csr(names)).await.assert_ok(200);
        let after = ca.limits().limits;
        let spent = |name: LimitName| after[&name].spent - before[&name].spent;
        assert_eq!((spent(SET), spent(DOMAIN)), (1, domains), "{names:?}");
    }
}

#[tokio::test]
pub(crate) async fn already_replaced_is_said_first() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let (_, id) = issued(&client, &ca, &["a.com"]).await;
    client.order_with(&["a.com"], json!({ "replaces": id })).await.assert_ok(201);
    let stranger = Client::registered(&ca).await;
    assert_eq!(stranger.order_with(&["b.com"], json!({ "replaces": id })).await.status, 409);
}

#[tokio::test]
pub(crate) async fn an_order_found_again_ignores_replaces() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let (_, id) = issued(&client, &ca, &["a.com"]).await;
    let without = client.order(&["a.com"]).await.assert_ok(201);
    for _ in 0..2 {
        let again = client.order_with(&["a.com"], json!({ "replaces": id })).await.assert_ok(201);
        assert_eq!((again.url(), again.body.get("replaces")), (without.url(), None));
    }
}

#[tokio::test]
pub(crate) async fn a_certificate_of_the_same_account_and_a_name_in_common_is_wanted() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let (_, id) = issued(&client, &ca, &["*.a.com", "a.com"]).await;
    let other = client.order_with(&["b.com"], json!({ "replaces": id })).await;
    other.assert_problem(
        400,
        "malformed",
        "Could not validate ARI 'replaces' field :: identifiers in this order do not match any identifiers in the \
         certificate being replaced",
    );
    let (issuer, _) = id.split_once('.').expect("two parts");
    let unknown = client.order_with(&["a.com"], json!({ "replaces": format!("{issuer}.AQ") })).await;
    assert_eq!(unknown.status, 404);
    client.order_with(&["www.a.com"], json!({ "replaces": id })).await.assert_ok(201);
}
