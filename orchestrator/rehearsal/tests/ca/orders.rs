//! Orders: reuse and what hides it, finalization in both ways, expiry, lists.

use std::time::Duration;

use futures_util::future::join_all;
use rehearsal::ca::CaRules;
use rehearsal::rules::AsyncFinalize;
use serde_json::{Value, json};

use crate::client::{Answer, Client, ERROR};
use crate::limits::{boulder, driven};

fn urls(answer: &Answer) -> Vec<String> {
    let urls = answer.body["authorizations"].as_array().expect("authorizations");
    urls.iter().map(|url| url.as_str().expect("a URL").to_owned()).collect()
}

#[tokio::test]
pub(crate) async fn a_lost_answer_is_repaired_by_asking_again() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let first = client.order(&["a.com", "b.com"]).await.assert_ok(201);
    let again = client.order(&["B.com", "a.com"]).await.assert_ok(201);
    assert_eq!((again.url(), again.text.as_str()), (first.url(), first.text.as_str()));
    client.submit(&ca, &first, None).await;
    let ready = client.order(&["a.com", "b.com"]).await.assert_ok(201);
    assert_eq!((ready.url(), ready.field("status")), (first.url(), "ready"));
    assert_eq!(ca.audit().authorizations.total, 2);

    let other =
        client.order_with(&["a.com", "b.com"], json!({ "profile": "tlsserver" })).await.assert_ok(201);
    assert_ne!(other.url(), first.url());
    assert_eq!((other.field("status"), other.field("profile")), ("pending", "tlsserver"));
    let stranger = Client::registered(&ca).await;
    assert_ne!(stranger.order(&["a.com", "b.com"]).await.assert_ok(201).url(), first.url());
}

#[tokio::test]
pub(crate) async fn pending_authorizations_are_not_shared_and_valid_ones_are() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let both = client.order(&["a.com", "b.com"]).await.assert_ok(201);
    let one = client.order(&["a.com"]).await.assert_ok(201);
    assert!(!urls(&both).contains(&urls(&one)[0]));
    client.submit(&ca, &both, None).await;
    let third = client.order(&["b.com"]).await.assert_ok(201);
    assert_eq!(third.field("status"), "ready");
    assert!(urls(&both).contains(&urls(&third)[0]));

    let b = client.authorizations(&both).await.into_iter().find(|row| row.name() == "b.com").expect("b.com");
    client.deactivate(&b.url).await.assert_ok(200);
    assert_eq!(client.read(both.url()).await.field("status"), "invalid");
    let refused = client.post(third.field("finalize"), &Client::csr(&["b.com"])).await;
    refused.assert_problem(
        403,
        "orderNotReady",
        "Order's status (\"invalid\") is not acceptable for finalization",
    );
    let next = client.order(&["a.com", "b.com", "c.com"]).await.assert_ok(201);
    let reused: Vec<_> = urls(&next).into_iter().filter(|url| urls(&both).contains(url)).collect();
    assert_eq!(reused.len(), 1, "the valid one of the two");
}

/// Boulder looks only at the order of a set that expires first. A failed one hides the later ones.
#[tokio::test]
pub(crate) async fn a_failed_order_hides_later_ones_of_its_set_until_it_expires() {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let failed = client.order(&["a.com"]).await.assert_ok(201);
    client.deactivate(&urls(&failed)[0]).await.assert_ok(200);
    clock.advance(Duration::from_hours(24));
    let second = client.order(&["a.com"]).await.assert_ok(201);
    let third = client.order(&["a.com"]).await.assert_ok(201);
    assert_ne!(second.url(), third.url(), "hidden");
    clock.advance(Duration::from_hours(6 * 24));
    let found = client.order(&["a.com"]).await.assert_ok(201);
    assert_eq!(found.url(), second.url(), "the failed order has expired");
    let stranger = Client::registered(&ca).await;
    let theirs = stranger.order(&["a.com"]).await.assert_ok(201);
    assert_ne!(stranger.order(&["a.com"]).await.assert_ok(201).url(), theirs.url(), "another's hides, too");
}

#[tokio::test]
pub(crate) async fn what_has_expired_is_not_found() {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let order = client.order(&["a.com"]).await.assert_ok(201);
    let row = client.authorizations(&order).await.remove(0);
    let valid = client.order(&["valid.com"]).await.assert_ok(201);
    client.submit(&ca, &valid, None).await;
    assert_eq!(ca.audit().authorizations.open, 1);
    clock.advance(Duration::from_hours(7 * 24));
    client.read(order.url()).await.assert_problem(404, "malformed", "No order for ID 1");
    client.read(&row.url).await.assert_problem(404, "malformed", "Expired authorization");
    let challenge = row.challenge("dns-01")["url"].as_str().expect("a URL");
    client.post(challenge, &json!({})).await.assert_problem(404, "malformed", "Expired authorization");
    let counts = ca.audit().authorizations;
    assert_eq!((counts.open, counts.pending, counts.valid, counts.expired), (0, 0, 1, 1));
    assert_eq!(client.order(&["valid.com"]).await.field("status"), "ready", "valid for 30 days");
}

#[tokio::test]
pub(crate) async fn finalize_wants_a_ready_order_and_the_same_names() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let order = client.order(&["a.com", "b.com"]).await.assert_ok(201);
    let finalize = order.field("finalize");
    client.post(finalize, &Client::csr(&["a.com", "b.com"])).await.assert_problem(
        403,
        "orderNotReady",
        "Order's status (\"pending\") is not acceptable for finalization",
    );
    client.submit(&ca, &order, None).await;
    for names in [&["a.com"][..], &["a.com", "b.com", "c.com"]] {
        let refused = client.post(finalize, &Client::csr(names)).await;
        refused.assert_problem(
            403,
            "unauthorized",
            "Error finalizing order :: CSR does not specify same identifiers as Order",
        );
    }
    let refused = client.post(finalize, &json!({ "csr": "AAAA" })).await;
    assert_eq!((refused.status, refused.field("type")), (400, format!("{ERROR}badCSR").as_str()));
    assert_eq!(client.read(order.url()).await.field("status"), "ready");
    let done = client.post(finalize, &Client::csr(&["b.com", "a.com"])).await.assert_ok(200);
    assert_eq!(done.field("status"), "valid");
    client.post(finalize, &Client::csr(&["a.com", "b.com"])).await.assert_problem(
        403,
        "orderNotReady",
        "Order's status (\"valid\") is not acceptable for finalization",
    );
    let cancelled = client.deactivate(order.url()).await;
    cancelled.assert_problem(400, "malformed", "POST-as-GET requests must have an empty payload");
}

#[tokio::test]
pub(crate) async fn parallel_finalizations_make_one_certificate() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let order = client.order(&["a.com"]).await.assert_ok(201);
    client.submit(&ca, &order, None).await;
    let csr = Client::csr(&["a.com"]);
    let answers = join_all((0..4).map(|_| client.post(order.field("finalize"), &csr))).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 403).count();
    assert_eq!((done, refused, ca.audit().certificates), (1, 3, 1));
}

#[tokio::test]
pub(crate) async fn an_asynchronous_ca_is_done_when_its_clock_says_so() {
    let async_finalize = Some(AsyncFinalize { delay_ms: 10_000, retry_after_seconds: 3 });
    let (ca, clock) = driven(CaRules { async_finalize, ..boulder() }).await;
    let client = Client::registered(&ca).await;
    let order = client.order(&["a.com"]).await.assert_ok(201);
    client.submit(&ca, &order, None).await;
    let answer = client.post(order.field("finalize"), &Client::csr(&["a.com"])).await.assert_ok(200);
    assert_eq!((answer.field("status"), answer.header("retry-after")), ("processing", Some("3")));
    assert!(answer.body.get("certificate").is_none());
    let again = client.post(order.field("finalize"), &Client::csr(&["a.com"])).await;
    assert_eq!(again.status, 403);
    assert!(again.field("detail").starts_with("Error finalizing order :: Order was already processing."));
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(client.read(order.url()).await.field("status"), "processing");
    clock.advance(Duration::from_millis(1));
    let done = client.read(order.url()).await.assert_ok(200);
    assert_eq!((done.field("status"), done.header("retry-after")), ("valid", None));
    assert!(client.read(done.field("certificate")).await.text.starts_with("-----BEGIN CERTIFICATE-----\n"));
}

#[tokio::test]
pub(crate) async fn bad_requests_are_refused_in_boulders_words() {
    let rules = CaRules { refused_domains: vec!["bank.com".to_owned()], ..boulder() };
    let (ca, _) = driven(rules).await;
    let client = Client::registered(&ca).await;
    client.order_with(&["a.com"], json!({ "profile": "nosuch" })).await.assert_problem(
        400,
        "invalidProfile",
        "profile name \"nosuch\" not recognized",
    );
    let many: Vec<String> = (0..26).map(|i| format!("h{i}.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    client.order_with(&many, json!({ "profile": "tlsserver" })).await.assert_problem(
        400,
        "malformed",
        "Order cannot contain more than 25 identifiers",
    );
    client.order(&[]).await.assert_problem(
        400,
        "malformed",
        "NewOrder request did not specify any identifiers",
    );
    client.order_with(&["a.com"], json!({ "notAfter": "2027-01-01T00:00:00Z" })).await.assert_problem(
        400,
        "malformed",
        "NotBefore and NotAfter are not supported",
    );
    let answer = client
        .post("/acme/new-order", &json!({ "identifiers": [{ "type": "ip", "value": "192.0.2.1" }] }))
        .await;
    assert_eq!(answer.field("type"), format!("{ERROR}unsupportedIdentifier"));

    let one = client.order(&["www.bank.com", "a.com"]).await;
    assert_eq!((one.status, one.field("type")), (400, format!("{ERROR}rejectedIdentifier").as_str()));
    assert!(one.body.get("subproblems").is_none(), "none for a single bad name");
    let two = client.order(&["www.bank.com", "a.com", "b.nosuchtld"]).await;
    let named: Vec<&Value> = two.body["subproblems"]
        .as_array()
        .expect("one for each bad name")
        .iter()
        .map(|sub| &sub["identifier"]["value"])
        .collect();
    assert_eq!(named, ["www.bank.com", "b.nosuchtld"]);
    client.order(&["a.com", "A.COM", "a.com"]).await.assert_ok(201);
}

#[tokio::test]
pub(crate) async fn orders_of_others_are_unknown_and_lists_are_paged_where_there_are_lists() {
    let (ca, _) = driven(boulder()).await;
    let (client, stranger) = (Client::registered(&ca).await, Client::registered(&ca).await);
    let order = client.order(&["a.com"]).await.assert_ok(201);
    assert_eq!(client.fetch(order.url()).await.status, 200, "anybody may GET");
    stranger.read(order.url()).await.assert_problem(404, "malformed", "No order found for account ID 1");
    let account = client.kid.clone().expect("registered");
    assert!(client.read(&account).await.assert_ok(200).body.get("orders").is_none());
    assert_eq!(client.read(&format!("{account}/orders")).await.status, 404);

    let rules = CaRules { orders_list: true, orders_per_page: 2, plain_get: false, ..boulder() };
    let (ca, _) = driven(rules).await;
    let client = Client::registered(&ca).await;
    let mut made = Vec::new();
    for name in ["a.com", "b.com", "c.com"] {
        made.push(client.order(&[name]).await.assert_ok(201).url().to_owned());
    }
    assert_eq!(client.fetch(&made[0]).await.status, 405);
    let account = client.kid.clone().expect("registered");
    let first = client.read(client.read(&account).await.field("orders")).await.assert_ok(200);
    assert_eq!(first.body["orders"], json!(made[..2]));
    let next = first.links().into_iter().find(|link| link.ends_with(";rel=\"next\"")).expect("a next page");
    let next = next.trim_start_matches('<').split('>').next().expect("a URL");
    let second = client.read(next).await.assert_ok(200);
    assert_eq!(second.body["orders"], json!(made[2..]));
    assert!(!second.links().iter().any(|link| link.contains("next")));
}
