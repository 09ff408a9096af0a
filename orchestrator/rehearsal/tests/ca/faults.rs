//! Faults between the connection and the CA: what is on the wire, and what is in the books.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use rehearsal::faults::{Effect, Endpoint, Fault, Plan};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Answer, Client};
use crate::limits::{boulder, driven};
use crate::raw::{self, Received, wants};

const WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// No test is here that long.
const AGES_MS: u64 = 600_000;

pub(crate) async fn ca(rules: CaRules) -> (RehearsalCa, Client) {
    let ca = RehearsalCa::start(CaConfig { rules, ..CaConfig::default() }).await.expect("a CA");
    let client = Client::registered(&ca).await;
    (ca, client)
}

pub(crate) fn strike(ca: &RehearsalCa, fault: Fault) {
    ca.set_faults(Plan::of(fault)).expect("a plan that makes sense");
}

/// Of which kind how many struck, and no other.
#[track_caller]
pub(crate) fn assert_struck(ca: &RehearsalCa, kind: &str, count: u64) {
    assert_eq!(ca.audit().faults, BTreeMap::from([(kind.to_owned(), count)]));
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(LOOK_EVERY).await;
    }
}

/// The first new-order of a CA meets the fault, byte by byte; the second passes.
async fn ordered_under(effect: Effect) -> (RehearsalCa, Received, Answer) {
    let (ca, client) = ca(boulder()).await;
    strike(&ca, Fault::new(effect).at(Endpoint::NewOrder).times(1));
    let received = timeout(WITHIN, raw::post(&ca, &client, "/acme/new-order", &wants("a.com"))).await;
    let again = client.order(&["a.com"]).await.assert_ok(201);
    (ca, received.expect("an end in time"), again)
}

#[tokio::test]
async fn a_dropped_request_is_not_executed() {
    let (ca, client) = ca(boulder()).await;
    strike(&ca, Fault::new(Effect::DropRequest).at(Endpoint::NewOrder).times(1));
    let received = raw::post(&ca, &client, "/acme/new-order", &wants("a.com")).await;
    assert!(received.is_nothing(), "{received:?}");
    let audit = ca.audit();
    assert_eq!((audit.orders, audit.requests["new_order"]), (0, 0));
    assert_struck(&ca, "drop_request", 1);
    client.order(&["a.com"]).await.assert_ok(201);
}

#[tokio::test]
async fn what_was_executed_is_in_the_books_though_its_answer_is_dropped() {
    let (ca, received, again) = ordered_under(Effect::DropResponse).await;
    assert!(received.is_nothing(), "{received:?}");
    assert_struck(&ca, "drop_response", 1);
    let audit = ca.audit();
    assert_eq!((audit.orders, audit.authorizations.open), (1, 1), "asking again finds the lost order");
    assert!(again.url().ends_with("/1/1"), "{}", again.url());
}

#[tokio::test]
async fn a_reset_comes_in_the_middle_of_the_body() {
    let (ca, received, again) = ordered_under(Effect::ResetBody).await;
    assert_eq!(received.end.as_ref().map_err(std::io::Error::kind), Err(ErrorKind::ConnectionReset));
    assert_eq!((received.status(), received.announced()), (201, again.text.len()));
    assert_eq!(received.body, again.text[..again.text.len() / 2]);
    assert_eq!(ca.audit().orders, 1);
    assert_struck(&ca, "reset_body", 1);
}

#[tokio::test]
async fn a_body_ends_before_its_announced_length() {
    let (ca, received, again) = ordered_under(Effect::TruncateBody).await;
    assert!(received.end.is_ok(), "{received:?}");
    assert_eq!((received.status(), received.announced()), (201, again.text.len()));
    assert_eq!(received.body, again.text[..again.text.len() / 2]);
    assert_eq!(ca.audit().orders, 1);
    assert_struck(&ca, "truncate_body", 1);
}

#[tokio::test]
async fn json_ends_in_the_middle_of_a_whole_answer() {
    let (ca, received, again) = ordered_under(Effect::MalformedJson).await;
    assert!(received.end.is_ok());
    assert_eq!((received.status(), received.announced()), (201, received.body.len()));
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert!(serde_json::from_str::<Value>(&received.body).is_err(), "{}", received.body);
    assert_eq!((received.header("location"), ca.audit().orders), (Some(again.url()), 1));
    assert_struck(&ca, "malformed_json", 1);
}

#[tokio::test]
async fn an_empty_page_takes_the_answers_place() {
    let (ca, received, _) = ordered_under(Effect::EmptyPage).await;
    assert_eq!((received.status(), received.body.as_str(), received.announced()), (200, "", 0));
    assert_eq!(received.header("content-type"), Some("text/html"));
    assert_eq!((received.header("location"), received.header("replay-nonce")), (None, None));
    assert_eq!(ca.audit().orders, 1);
    assert_struck(&ca, "empty_page", 1);
}

#[tokio::test]
async fn one_header_is_missing() {
    let (ca, received, again) = ordered_under(Effect::WithoutLocation).await;
    assert_eq!((received.status(), received.header("location")), (201, None));
    assert_eq!((received.body.as_str(), ca.audit().orders), (again.text.as_str(), 1));
    assert!(received.header("replay-nonce").is_some());
    assert_struck(&ca, "without_location", 1);

    let (ca, received, again) = ordered_under(Effect::WithoutNonce).await;
    assert_eq!((received.status(), received.header("replay-nonce")), (201, None));
    assert_eq!((received.header("location"), ca.audit().orders), (Some(again.url()), 1));
    assert_struck(&ca, "without_nonce", 1);
}

#[tokio::test]
async fn a_request_is_executed_after_its_client_has_given_up() {
    let (ca, client) = ca(boulder()).await;
    strike(&ca, Fault::new(Effect::DelayRequest { ms: 300 }).at(Endpoint::NewOrder).times(1));
    client.fresh_nonce().await;
    assert!(timeout(Duration::from_millis(50), client.order(&["a.com"])).await.is_err());
    assert_eq!(ca.audit().orders, 0);
    drop(client);
    until("the order is made", || ca.audit().orders == 1).await;
    assert_struck(&ca, "delay_request", 1);
}

#[tokio::test]
async fn a_slow_answer_is_about_what_was_executed_at_once() {
    let (ca, client) = ca(boulder()).await;
    strike(&ca, Fault::new(Effect::DelayResponse { ms: AGES_MS }).at(Endpoint::NewOrder));
    tokio::select! {
        answer = client.order(&["a.com"]) => panic!("answered: {answer:?}"),
        () = until("the order is made", || ca.audit().orders == 1) => (),
    }
    strike(&ca, Fault::new(Effect::DelayResponse { ms: 1 }).at(Endpoint::NewOrder));
    assert!(client.order(&["a.com"]).await.assert_ok(201).url().ends_with("/1/1"));
    assert_struck(&ca, "delay_response", 2);
}

#[tokio::test]
async fn what_is_held_goes_on_when_the_plan_is_replaced() {
    for (effect, executed) in [(Effect::HoldRequest, 0), (Effect::HoldResponse, 1)] {
        let (ca, client) = ca(boulder()).await;
        let kind = effect.kind();
        strike(&ca, Fault::new(effect).at(Endpoint::NewOrder));
        let client = Arc::new(client);
        let asking = Arc::clone(&client);
        let order = tokio::spawn(async move { asking.order(&["a.com"]).await });
        timeout(WITHIN, ca.holding(1)).await.expect("it is held");
        assert_eq!((ca.audit().orders, ca.faults().held), (executed, 1), "{kind}");
        ca.set_faults(Plan::default()).expect("a plan");
        timeout(WITHIN, order).await.expect("let go").expect("no panic").assert_ok(201);
        assert_eq!((ca.audit().orders, ca.faults().held), (1, 0), "{kind}");
        assert_struck(&ca, kind, 1);
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_held_request_along() {
    let (ca, client) = ca(boulder()).await;
    strike(&ca, Fault::new(Effect::HoldRequest).at(Endpoint::NewOrder));
    tokio::select! {
        answer = client.order(&["a.com"]) => panic!("answered: {answer:?}"),
        () = ca.holding(1) => (),
    }
    drop(client);
    until("it is held no more", || ca.faults().held == 0).await;
    ca.set_faults(Plan::default()).expect("a plan");
    assert_eq!(ca.audit().orders, 0);
}

#[tokio::test]
async fn what_is_held_can_be_dropped() {
    for (effect, executed) in [(Effect::HoldRequest, 0), (Effect::HoldResponse, 1)] {
        let (ca, client) = ca(boulder()).await;
        strike(&ca, Fault::new(effect).at(Endpoint::NewOrder));
        let lost = async {
            ca.holding(1).await;
            ca.set_faults(Plan { drop_held: true, ..Plan::default() }).expect("a plan");
        };
        let payload = wants("a.com");
        let (received, ()) = tokio::join!(raw::post(&ca, &client, "/acme/new-order", &payload), lost);
        assert!(received.is_nothing(), "{received:?}");
        assert_eq!((ca.audit().orders, ca.faults().held), (executed, 0));
        client.order(&["b.com"]).await.assert_ok(201);
    }
}

#[tokio::test]
async fn an_internal_error_may_have_been_executed_or_not() {
    for executed in [false, true] {
        let detail = "Error creating new order".to_owned();
        let (ca, received, _) = ordered_under(Effect::ServerInternal { detail, executed }).await;
        assert_eq!((received.status(), received.header("retry-after")), (500, Some("60")));
        assert_eq!(received.header("content-type"), Some("application/problem+json"));
        assert!(received.header("replay-nonce").is_some());
        assert_eq!(
            received.body,
            "{\n  \"type\": \"urn:ietf:params:acme:error:serverInternal\",\n  \"detail\": \"Error creating \
             new order\",\n  \"status\": 500\n}"
        );
        let audit = ca.audit();
        assert_eq!((audit.orders, audit.requests["new_order"]), (1, 2));
        assert_eq!(audit.problems["serverInternal"], 1);
        assert_struck(&ca, "server_internal", 1);
    }
    let (ca, client) = ca(boulder()).await;
    let effect = Effect::ServerInternal { detail: "x".to_owned(), executed: false };
    strike(&ca, Fault::new(effect).at(Endpoint::NewOrder));
    assert_eq!(client.order(&["a.com"]).await.status, 500);
    assert_eq!(ca.audit().orders, 0);
}

#[tokio::test]
async fn the_load_balancer_speaks_html_and_knows_no_nonce() {
    for (executed, orders) in [(false, 0), (true, 1)] {
        let (ca, client) = ca(boulder()).await;
        let effect = Effect::Unavailable { retry_after_seconds: 7, executed };
        strike(&ca, Fault::new(effect).times(1));
        let received = raw::post(&ca, &client, "/acme/new-order", &wants("a.com")).await;
        assert_eq!((received.status(), received.header("retry-after")), (503, Some("7")));
        assert_eq!(received.header("content-type"), Some("text/html"));
        for absent in ["replay-nonce", "link", "boulder-requester", "location"] {
            assert_eq!(received.header(absent), None, "{absent}");
        }
        assert!(received.body.starts_with("<html>"), "{}", received.body);
        assert_eq!(ca.audit().orders, orders);
        assert_struck(&ca, "unavailable", 1);
    }
}

#[tokio::test]
async fn one_address_is_turned_away_above_its_rate() {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::new(&ca);
    let unavailable = Fault::new(Effect::Unavailable { retry_after_seconds: 1, executed: false });
    let above_per_second = NonZeroU32::new(20);
    strike(&ca, Fault { above_per_second, ..unavailable.at(Endpoint::NewNonce) });
    for expected in [[204; 20].as_slice(), &[503; 10]].concat() {
        assert_eq!(client.fetch("/acme/new-nonce").await.status, expected);
    }
    client.fetch("/directory").await.assert_ok(200);
    clock.advance(Duration::from_millis(50));
    client.fetch("/acme/new-nonce").await.assert_ok(204);
    assert_eq!(client.fetch("/acme/new-nonce").await.status, 503);
    assert_struck(&ca, "unavailable", 11);
}

#[tokio::test]
async fn too_many_requests_with_a_wait_and_without() {
    for (retry_after_seconds, expected) in [(Some(34), Some("34")), (None, None)] {
        let (ca, client) = ca(boulder()).await;
        strike(&ca, Fault::new(Effect::RateLimited { retry_after_seconds }).at(Endpoint::NewOrder));
        let answer = client.order(&["a.com"]).await;
        answer.assert_problem(429, "rateLimited", "too many requests");
        assert_eq!(answer.header("retry-after"), expected);
        assert!(answer.header("replay-nonce").is_some());
        let audit = ca.audit();
        assert_eq!((audit.orders, audit.rate_limited), (0, 1));
        assert_struck(&ca, "rate_limited", 1);
    }
}

#[tokio::test]
async fn no_nonce_is_good_in_a_storm() {
    let (ca, client) = ca(boulder()).await;
    strike(&ca, Fault::new(Effect::BadNonce));
    for _ in 0..10 {
        let nonce = client.fresh_nonce().await;
        let mut protected = client.protected("/acme/new-order").await;
        protected["nonce"] = json!(nonce);
        let body = client.sign(&protected, &wants("a.com").to_string());
        let refused = client.request(Method::POST, "/acme/new-order", "application/jose+json", body).await;
        let detail = format!("Unable to validate JWS :: JWS has an invalid anti-replay nonce: \"{nonce}\"");
        refused.assert_problem(400, "badNonce", &detail);
        assert!(refused.header("replay-nonce").is_some());
    }
    client.fetch("/directory").await.assert_ok(200);
    assert_eq!(ca.audit().orders, 0);
    assert_struck(&ca, "bad_nonce", 10);

    strike(&ca, Fault::new(Effect::BadNonce).share(0.5));
    let mut passed = 0;
    for _ in 0..40 {
        passed += u64::from(client.order(&["a.com"]).await.status == 201);
    }
    assert!((5..=35).contains(&passed), "{passed} of 40, drawn from seed 0");
    assert_struck(&ca, "bad_nonce", 10 + 40 - passed);
}

#[tokio::test]
async fn a_deactivation_is_told_from_a_read() {
    let (ca, client) = ca(boulder()).await;
    let order = client.order(&["a.com"]).await.assert_ok(201);
    let url = client.authorizations(&order).await.remove(0).url;
    let refusal = Effect::ServerInternal { detail: "x".to_owned(), executed: false };
    strike(&ca, Fault::new(refusal.clone()).at(Endpoint::Deactivation));
    client.read(&url).await.assert_ok(200);
    assert_eq!(client.deactivate(&url).await.status, 500);
    assert_eq!(ca.audit().authorizations.open, 1);
    strike(&ca, Fault::new(refusal).at(Endpoint::Authorization));
    assert_eq!(client.read(&url).await.status, 500);
    client.deactivate(&url).await.assert_ok(200);
    assert_eq!(ca.audit().authorizations.deactivated, 1);
}

#[tokio::test]
async fn over_http2_the_whole_connection_goes() {
    let (ca, client) = ca(boulder()).await;
    strike(&ca, Fault::new(Effect::DropResponse).at(Endpoint::NewOrder));
    let body = client.sign(&client.protected("/acme/new-order").await, &wants("a.com").to_string());
    let http2 = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http::<http_body_util::Full<bytes::Bytes>>();
    let request = http::Request::post(client.url("/acme/new-order"))
        .header("content-type", "application/jose+json")
        .body(body.into())
        .expect("a request");
    assert!(timeout(WITHIN, http2.request(request)).await.expect("an end").is_err());
    assert_eq!(ca.audit().orders, 1);
}

#[tokio::test]
async fn another_process_sets_faults_over_http() {
    let (ca, client) = ca(boulder()).await;
    let put =
        async |text: &str| client.request(Method::PUT, "/faults", "application/json", text.to_owned()).await;
    let set = put(r#"{"faults":[{"endpoints":["new_order"],"times":2,"effect":"drop_response"}]}"#).await;
    assert_eq!(set.assert_ok(200).body["held"], 0);
    raw::post(&ca, &client, "/acme/new-order", &wants("a.com")).await;
    let report = client.fetch("/faults").await.assert_ok(200);
    assert_eq!(report.body["plan"]["faults"][0]["times"], 1);
    assert_eq!(report.body["struck"], json!({ "drop_response": 1 }));
    let audit = client.fetch("/audit").await.assert_ok(200);
    assert_eq!(audit.body["faults"], json!({ "drop_response": 1 }));

    for (text, reason) in [
        (r#"{"fault":[]}"#, "unknown field `fault`"),
        (r#"{"faults":[{"share":2.0,"effect":"bad_nonce"}]}"#, "bad_nonce: the share is 2"),
    ] {
        let refused = put(text).await;
        assert_eq!(refused.status, 400);
        assert!(refused.field("detail").contains(reason), "{}", refused.text);
    }
    assert_eq!(ca.faults().plan.faults.len(), 1, "a plan that is refused changes nothing");
    put("{}").await.assert_ok(200);
    client.order(&["b.com"]).await.assert_ok(201);
}
