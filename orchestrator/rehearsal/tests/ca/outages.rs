//! Faults in the CA itself: its states, its clock, and the outages seen on a Boulder whose services were stopped.

use std::sync::Arc;
use std::time::Duration;

use rehearsal::audit::Event;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use rehearsal::clock::DrivenClock;
use rehearsal::faults::{Effect, Endpoint, Fault, Plan};
use serde_json::json;

use crate::client::{Answer, Client};
use crate::faults::{assert_struck, ca, strike};
use crate::limits::{boulder, driven};
use crate::raw::wants;
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

async fn on_a_driven_clock() -> (RehearsalCa, Arc<DrivenClock>, Client) {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    (ca, clock, client)
}

async fn ready_order(ca: &RehearsalCa, client: &Client) -> Answer {
    let order = client.order(&["a.com"]).await.assert_ok(201);
    client.submit(ca, &order, None).await;
    order
}

async fn finalize(client: &Client, order: &Answer) -> Answer {
    client.post(order.field("finalize"), &Client::csr(&["a.com"])).await
}

#[tokio::test]
async fn the_ca_deactivates_the_account_that_asks() {
    let (ca, client) = ca(boulder()).await;
    strike(&ca, Fault::new(Effect::DeactivateAccount).at(Endpoint::NewOrder));
    for _ in 0..2 {
        let refused = client.order(&["a.com"]).await;
        let detail = "Account is not valid, has status \"deactivated\"";
        refused.assert_problem(403, "unauthorized", detail);
        ca.set_faults(Plan::default()).expect("a plan");
    }
    assert_eq!(ca.audit().orders, 0);
    assert_struck(&ca, "deactivate_account", 1);
}

#[tokio::test]
async fn authorizations_expire_midway() {
    let (ca, clock, client) = on_a_driven_clock().await;
    strike(&ca, Fault::new(Effect::ShortLifetime { ms: 5_000 }).times(1));
    let order = client.order(&["a.com"]).await.assert_ok(201);
    let row = client.authorizations(&order).await.remove(0);
    clock.advance(5 * SECOND);
    let challenge = row.challenge("http-01")["url"].as_str().expect("a URL");
    client.post(challenge, &json!({})).await.assert_problem(404, "malformed", "Expired authorization");
    client.read(order.url()).await.assert_problem(404, "malformed", "No order for ID 1");
    let counts = ca.audit().authorizations;
    assert_eq!((counts.expired, counts.open), (1, 0));
    assert_struck(&ca, "short_lifetime", 1);
}

#[tokio::test]
async fn a_replica_does_not_know_what_is_new() {
    let (ca, clock, client) = on_a_driven_clock().await;
    strike(&ca, Fault::new(Effect::UnknownYet { age_ms: 500 }));
    let order = client.order(&["a.com"]).await.assert_ok(201);
    let authorization = order.body["authorizations"][0].as_str().expect("a URL");
    client.read(order.url()).await.assert_problem(404, "malformed", "No order for ID 1");
    client.read(authorization).await.assert_problem(404, "malformed", "No such authorization");
    clock.advance(Duration::from_millis(501));
    client.read(order.url()).await.assert_ok(200);
    client.read(authorization).await.assert_ok(200);
    assert_struck(&ca, "unknown_yet", 2);
}

#[tokio::test]
async fn a_replica_has_not_seen_the_verdicts() {
    let (ca, client) = ca(boulder()).await;
    strike(&ca, Fault::new(Effect::StaleOrder).times(1));
    let order = client.order(&["a.com"]).await.assert_ok(201);
    assert_eq!(client.read(order.url()).await.body["status"], "pending", "as it is: that is no fault");
    client.submit(&ca, &order, None).await;
    let stale = client.read(order.url()).await.assert_ok(200);
    assert_eq!((&stale.body["status"], stale.url()), (&json!("pending"), order.url()));
    assert_eq!(client.authorizations(&order).await[0].body["status"], "valid");
    assert_eq!(client.read(order.url()).await.body["status"], "ready");
    assert_struck(&ca, "stale_order", 1);
}

#[tokio::test]
async fn a_verdict_is_kept_back_by_the_cas_clock() {
    let (ca, clock, client) = on_a_driven_clock().await;
    strike(&ca, Fault::new(Effect::SlowValidation { look_ms: 1, verdict_ms: 30_000 }));
    let order = ready_order(&ca, &client).await;
    assert_eq!(ca.audit().authorizations.submitted, 1);
    clock.advance(29 * SECOND);
    assert_eq!(client.read(order.url()).await.body["status"], "pending");
    clock.advance(60 * SECOND);
    assert_eq!(client.read(order.url()).await.body["status"], "ready");
    let history = &ca.authorizations(Some("valid"))[0].history;
    let [submitted, validated] = [Event::Submitted, Event::Validated]
        .map(|event| history.iter().find(|line| line.event == event).expect("in the history").at);
    assert_eq!(validated.since(submitted), 30 * SECOND, "when it was due, not when somebody looked");
    assert_struck(&ca, "slow_validation", 1);
}

#[tokio::test]
async fn the_ca_looks_when_the_plan_is_replaced() {
    let world = World::start().await;
    let rules = CaRules { always_valid: false, ..boulder() };
    let config = CaConfig { rules, dns: Some(world.dns), http_port: world.http_port, ..CaConfig::default() };
    let ca = RehearsalCa::start(config).await.expect("a CA");
    let client = Client::registered(&ca).await;
    strike(&ca, Fault::new(Effect::HoldValidation));
    let order = client.order(&["a.com"]).await.assert_ok(201);
    let row = client.authorizations(&order).await.remove(0);
    let challenge = row.challenge("http-01");
    let (token, url) = (&challenge["token"], challenge["url"].as_str().expect("a URL"));
    client.post(url, &json!({})).await.assert_ok(200);
    ca.holding(1).await;
    assert_eq!(ca.audit().authorizations.submitted, 1);
    // Served only now: had it looked at once, it would have found nothing.
    let token = token.as_str().expect("a token");
    world.serve(token, &client.key_authorization(token));
    ca.set_faults(Plan::default()).expect("a plan");
    ca.idle().await;
    assert_eq!(ca.audit().authorizations.valid, 1);
    assert_struck(&ca, "hold_validation", 1);
}

#[tokio::test]
async fn an_order_is_stuck_in_processing_for_a_time() {
    let (ca, clock, client) = on_a_driven_clock().await;
    let order = ready_order(&ca, &client).await;
    strike(&ca, Fault::new(Effect::StuckProcessing { ms: Some(7_200_000) }));
    let answer = finalize(&client, &order).await.assert_ok(200);
    assert_eq!((&answer.body["status"], answer.header("retry-after")), (&json!("processing"), Some("3")));
    clock.advance(7_199 * SECOND);
    let waiting = client.read(order.url()).await.assert_ok(200);
    assert_eq!((&waiting.body["status"], &waiting.body["certificate"]), (&json!("processing"), &json!(null)));
    clock.advance(SECOND);
    let done = client.read(order.url()).await.assert_ok(200);
    assert_eq!(done.body["status"], "valid");
    client.read(done.field("certificate")).await.assert_ok(200);
    assert_struck(&ca, "stuck_processing", 1);
}

#[tokio::test]
async fn an_order_is_stuck_in_processing_for_ever() {
    let (ca, clock, client) = on_a_driven_clock().await;
    let order = ready_order(&ca, &client).await;
    strike(&ca, Fault::new(Effect::StuckProcessing { ms: None }));
    assert_eq!(finalize(&client, &order).await.assert_ok(200).body["status"], "processing");
    clock.advance(6 * 86_400 * SECOND);
    assert_eq!(client.read(order.url()).await.assert_ok(200).body["status"], "processing");
    assert_eq!((ca.audit().certificates, ca.orders(Some("processing")).len()), (0, 1));
    assert_struck(&ca, "stuck_processing", 1);
}

/// 500 after a while, the order invalid for good, its authorizations valid, and a new order ready at once.
async fn assert_hangs_synchronously(effect: Effect, detail: &str) {
    let (ca, client) = ca(boulder()).await;
    let order = ready_order(&ca, &client).await;
    let kind = effect.kind();
    strike(&ca, Fault::new(effect).times(1));
    let refused = finalize(&client, &order).await;
    refused.assert_problem(500, "serverInternal", detail);
    assert_eq!(refused.header("retry-after"), Some("60"));
    let failed = client.read(order.url()).await.assert_ok(200);
    assert_eq!(
        (&failed.body["status"], &failed.body["error"]["detail"]),
        (&json!("invalid"), &json!(detail))
    );
    let audit = ca.audit();
    assert_eq!((audit.certificates, audit.authorizations.valid), (0, 1));
    let next = client.order(&["a.com"]).await.assert_ok(201);
    assert_eq!(next.body["status"], "ready");
    assert_eq!(finalize(&client, &next).await.assert_ok(200).body["status"], "valid");
    assert_struck(&ca, kind, 1);
}

#[tokio::test]
pub(crate) async fn the_signing_service_hangs() {
    assert_hangs_synchronously(Effect::SigningOutage { after_ms: 20 }, "Error finalizing order").await;
}

#[tokio::test]
pub(crate) async fn the_ct_logs_hang() {
    let detail = "Error finalizing order :: Unable to meet CA SCT embedding requirements";
    assert_hangs_synchronously(Effect::LogOutage { after_ms: 20 }, detail).await;
}

#[tokio::test]
async fn an_order_fails_at_a_hanging_ca_although_its_client_has_left() {
    let (ca, client) = ca(boulder()).await;
    let order = ready_order(&ca, &client).await;
    strike(&ca, Fault::new(Effect::SigningOutage { after_ms: 200 }));
    let asked = tokio::time::timeout(Duration::from_millis(40), finalize(&client, &order)).await;
    assert!(asked.is_err(), "{asked:?}");
    let deadline = tokio::time::Instant::now() + 20 * SECOND;
    while ca.orders(Some("invalid")).is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", ca.orders(None));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
pub(crate) async fn the_signing_service_of_an_asynchronous_ca_hangs() {
    let (ca, clock, client) = on_a_driven_clock().await;
    let order = ready_order(&ca, &client).await;
    strike(&ca, Fault::new(Effect::AsyncSigningOutage { after_ms: 15_000 }));
    assert_eq!(finalize(&client, &order).await.assert_ok(200).body["status"], "processing");
    clock.advance(14 * SECOND);
    let waiting = client.read(order.url()).await.assert_ok(200);
    assert_eq!((&waiting.body["status"], &waiting.body["error"]), (&json!("processing"), &json!(null)));
    clock.advance(SECOND);
    let failed = client.read(order.url()).await.assert_ok(200);
    let error = json!({
        "type": "urn:ietf:params:acme:error:serverInternal",
        "detail": "Error finalizing order",
        "status": 500,
    });
    assert_eq!((&failed.body["status"], &failed.body["error"]), (&json!("invalid"), &error));
    assert_eq!((ca.audit().certificates, ca.audit().authorizations.valid), (0, 1));
    assert_struck(&ca, "async_signing_outage", 1);
}

#[tokio::test]
pub(crate) async fn the_validation_service_hangs_and_the_client_pays() {
    let limits = vec![issuance::limit::Limit {
        name: issuance::limit::LimitName::FailedAuthorizationsPerHostname,
        burst: 1,
        count: 1,
        period_seconds: 600,
    }];
    let (ca, clock) = driven(CaRules { limits, ..boulder() }).await;
    let client = Client::registered(&ca).await;
    strike(&ca, Fault::new(Effect::ValidationOutage { after_ms: 20_000 }));
    let order = ready_order(&ca, &client).await;
    clock.advance(19 * SECOND);
    assert_eq!(client.authorizations(&order).await[0].body["status"], "pending");
    clock.advance(SECOND);
    let row = client.authorizations(&order).await.remove(0);
    assert_eq!(row.body["status"], "invalid");
    let error = &row.challenge("http-01")["error"];
    assert_eq!(error["type"], "urn:ietf:params:acme:error:serverInternal");
    assert_eq!(error["detail"], "Could not communicate with VA");
    assert_eq!(client.order(&["a.com"]).await.status, 429, "it counts as a failure");
    assert_struck(&ca, "validation_outage", 1);
}

#[tokio::test]
pub(crate) async fn a_service_that_new_order_needs_hangs() {
    for (effect, detail) in [
        (Effect::RegistrationOutage { after_ms: 10 }, "Error creating new order"),
        (Effect::StorageOutage { after_ms: 10 }, "Unable to validate JWS"),
        (Effect::DatabaseOutage { after_ms: 10 }, "Failure while checking pause status of identifiers"),
    ] {
        let (ca, client) = ca(boulder()).await;
        let kind = effect.kind();
        strike(&ca, Fault::new(effect).times(1));
        let asked_at = tokio::time::Instant::now();
        let refused = client.post("/acme/new-order", &wants("a.com")).await;
        assert!(asked_at.elapsed() >= Duration::from_millis(10));
        refused.assert_problem(500, "serverInternal", detail);
        assert_eq!(refused.header("retry-after"), Some("60"));
        assert_eq!(ca.audit().orders, 0);
        assert_struck(&ca, kind, 1);
        client.order(&["a.com"]).await.assert_ok(201);
    }
}

#[tokio::test]
pub(crate) async fn limits_that_cannot_be_asked_do_not_apply() {
    let limits = vec![issuance::limit::Limit {
        name: issuance::limit::LimitName::NewOrdersPerAccount,
        burst: 1,
        count: 1,
        period_seconds: 600,
    }];
    let (ca, _) = driven(CaRules { limits, ..boulder() }).await;
    let client = Client::registered(&ca).await;
    client.order(&["a.com"]).await.assert_ok(201);
    assert_eq!(client.order(&["b.com"]).await.status, 429);
    strike(&ca, Fault::new(Effect::LimitStoreOutage { after_ms: 10 }).times(3));
    for name in ["b.com", "c.com", "d.com"] {
        client.order(&[name]).await.assert_ok(201);
    }
    assert_eq!(client.order(&["e.com"]).await.status, 429, "it is back");
    assert_struck(&ca, "limit_store_outage", 3);
}

#[tokio::test]
async fn the_cas_clock_is_off() {
    let (ca, _, client) = on_a_driven_clock().await;
    let expires = |answer: &Answer| answer.field("expires").to_owned();
    assert_eq!(expires(&client.order(&["a.com"]).await.assert_ok(201)), "2026-11-28T10:04:05Z");
    ca.set_faults(Plan { clock_skew_ms: 3_600_000, ..Plan::default() }).expect("a plan");
    let ahead = client.order(&["b.com"]).await.assert_ok(201);
    assert_eq!(expires(&ahead), "2026-11-28T11:04:05Z");
    assert_eq!(ahead.header("date"), Some("Sat, 21 Nov 2026 11:04:05 GMT"));
    ca.set_faults(Plan { clock_skew_ms: -3_600_000, ..Plan::default() }).expect("a plan");
    let behind = client.order(&["c.com"]).await.assert_ok(201);
    assert_eq!(expires(&behind), "2026-11-28T09:04:05Z");
    assert_eq!(behind.header("date"), Some("Sat, 21 Nov 2026 09:04:05 GMT"));
    assert_eq!(ca.orders(None)[2].created_at.to_string(), "2026-11-21T09:04:05Z");
    assert_struck(&ca, "clock_skew", 2);
}
