//! Authorizations, challenges and real validation.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rehearsal::audit::Event;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::{Authorization, Client, ERROR};
use crate::limits::{boulder, driven};
use crate::world::World;

async fn started(world: &World, rules: CaRules) -> (RehearsalCa, Client) {
    let config = CaConfig { rules, dns: Some(world.dns), http_port: world.http_port, ..CaConfig::default() };
    let ca = RehearsalCa::start(config).await.expect("a CA");
    let client = Client::registered(&ca).await;
    (ca, client)
}

fn strict() -> CaRules {
    CaRules::preset("boulder").expect("a preset")
}

/// Orders one name, prepares the world for its challenge, submits it and returns the authorization.
async fn attempt(
    ca: &RehearsalCa,
    client: &Client,
    name: &str,
    kind: &str,
    prepare: impl FnOnce(&str, &str),
) -> Authorization {
    let order = client.order(&[name]).await.assert_ok(201);
    let row = client.authorizations(&order).await.remove(0);
    let challenge = row.challenge(kind);
    let token = challenge["token"].as_str().expect("a token");
    prepare(token, &client.key_authorization(token));
    client.post(challenge["url"].as_str().expect("a URL"), &json!({})).await.assert_ok(200);
    ca.idle().await;
    let body = client.read(&row.url).await.assert_ok(200).body;
    Authorization { url: row.url, body }
}

#[track_caller]
fn assert_failed(row: &Authorization, kind: &str, detail: &str) {
    assert_eq!(row.body["status"], "invalid");
    let challenges = row.body["challenges"].as_array().expect("challenges");
    assert_eq!(challenges.len(), 1, "only the one that was tried");
    let error = &challenges[0]["error"];
    assert_eq!(error["type"], format!("{ERROR}{kind}"));
    let found = error["detail"].as_str().expect("a detail");
    assert!(found.contains(detail), "{found}");
}

#[tokio::test]
async fn a_wildcard_is_proven_in_dns_only() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let order = client.order(&["*.shop.com", "shop.com"]).await.assert_ok(201);
    let rows = client.authorizations(&order).await;
    let kinds = |row: &Authorization| {
        let challenges = row.body["challenges"].as_array().expect("challenges").clone();
        let mut kinds: Vec<String> = challenges
            .iter()
            .map(|challenge| challenge["type"].as_str().expect("a type").to_owned())
            .collect();
        let tokens: std::collections::BTreeSet<&str> =
            challenges.iter().map(|challenge| challenge["token"].as_str().expect("a token")).collect();
        assert_eq!(tokens.len(), 1, "one token for all");
        kinds.sort();
        kinds
    };
    assert!(rows.iter().all(|row| row.name() == "shop.com"));
    let (wild, plain): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.body["wildcard"] == true);
    assert_eq!(kinds(wild[0]), ["dns-01", "x-rehearsal-01"]);
    assert_eq!(kinds(plain[0]), ["dns-01", "http-01", "tls-alpn-01", "x-rehearsal-01"]);
    assert!(plain[0].body.get("wildcard").is_none());
}

#[tokio::test]
pub(crate) async fn http_01_follows_redirects_and_trims_white_space() {
    let world = World::start().await;
    let (ca, client) = started(&world, strict()).await;
    let row = attempt(&ca, &client, "a.com", "http-01", |token, answer| {
        let path = format!("/.well-known/acme-challenge/{token}");
        world.redirect(&path, "http://elsewhere.com/moved");
        world.redirect("/moved", "/again");
        world.page("/again", &format!("{answer} \r\n"));
    })
    .await;
    assert_eq!(row.body["status"], "valid");
    assert_eq!(row.body["challenges"].as_array().map(Vec::len), Some(1));
    assert!(row.challenge("http-01")["validated"].is_string());
    let again = client.post(row.challenge("http-01")["url"].as_str().expect("a URL"), &json!({})).await;
    assert_eq!(again.assert_ok(200).field("status"), "valid");
}

#[tokio::test]
pub(crate) async fn http_01_fails_for_the_reason_it_failed_for() {
    let world = World::start().await;
    let (ca, client) = started(&world, strict()).await;
    world.remove("gone.com");
    let row = attempt(&ca, &client, "gone.com", "http-01", |_, _| ()).await;
    assert_failed(&row, "dns", "DNS problem: NXDOMAIN looking up A for gone.com - check that a DNS record");
    let row = attempt(&ca, &client, "a.com", "http-01", |_, _| ()).await;
    assert_failed(
        &row,
        "unauthorized",
        "127.0.0.1: Invalid response from http://a.com/.well-known/acme-challenge/",
    );
    let row = attempt(&ca, &client, "b.com", "http-01", |token, _| world.serve(token, "wrong")).await;
    assert_failed(
        &row,
        "unauthorized",
        "The key authorization file from the server did not match this challenge.",
    );
    let row =
        attempt(&ca, &client, "c.com", "http-01", |token, _| world.serve(token, &"x".repeat(129))).await;
    assert_failed(&row, "unauthorized", "Invalid response from http://c.com/");
    let row = attempt(&ca, &client, "d.com", "http-01", |token, _| {
        let path = format!("/.well-known/acme-challenge/{token}");
        world.redirect(&path, &path);
    })
    .await;
    assert_failed(&row, "connection", "Redirect loop detected");
    let row = attempt(&ca, &client, "e.com", "http-01", |token, _| {
        world.redirect(&format!("/.well-known/acme-challenge/{token}"), "/hop0");
        for hop in 0..11 {
            world.redirect(&format!("/hop{hop}"), &format!("/hop{}", hop + 1));
        }
    })
    .await;
    assert_failed(&row, "connection", "Too many redirects");
    let row = attempt(&ca, &client, "f.com", "http-01", |token, _| {
        world.redirect(&format!("/.well-known/acme-challenge/{token}"), "http://127.0.0.1/");
    })
    .await;
    assert_failed(&row, "connection", "must be a domain name");
}

#[tokio::test]
async fn a_closed_port_refuses_and_a_silent_one_times_out() {
    let world = World::start().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let http_port = closed.local_addr().expect("bound").port();
    drop(closed);
    let config = CaConfig { rules: strict(), dns: Some(world.dns), http_port, ..CaConfig::default() };
    let ca = RehearsalCa::start(config).await.expect("a CA");
    let client = Client::registered(&ca).await;
    let row = attempt(&ca, &client, "a.com", "http-01", |_, _| ()).await;
    assert_failed(&row, "connection", "Connection refused");

    world.hold();
    let rules = CaRules { validation_timeout_ms: 50, ..strict() };
    let (ca, client) = started(&world, rules).await;
    let row = attempt(&ca, &client, "a.com", "http-01", |_, _| ()).await;
    assert_failed(&row, "connection", "Timeout after connect (your server may be slow or overloaded)");
}

#[tokio::test]
async fn every_perspective_looks() {
    let world = World::start().await;
    let (ca, client) = started(&world, CaRules { perspectives: 5, ..strict() }).await;
    let row = attempt(&ca, &client, "a.com", "http-01", |token, answer| world.serve(token, answer)).await;
    assert_eq!(row.body["status"], "valid");
    let token = row.challenge("http-01")["token"].as_str().expect("a token");
    assert_eq!(world.fetches(&format!("/.well-known/acme-challenge/{token}")), 5);
}

#[tokio::test]
pub(crate) async fn caa_of_the_nearest_ancestor_is_obeyed() {
    let world = World::start().await;
    let (ca, client) = started(&world, strict()).await;
    world.restrict("ours.com", "rehearsal.invalid");
    world.restrict("theirs.com", "other.org");
    let row =
        attempt(&ca, &client, "www.ours.com", "http-01", |token, answer| world.serve(token, answer)).await;
    assert_eq!(row.body["status"], "valid");
    let row =
        attempt(&ca, &client, "www.theirs.com", "http-01", |token, answer| world.serve(token, answer)).await;
    assert_failed(&row, "caa", "CAA record for theirs.com prevents issuance");
    assert_eq!(row.challenge("http-01")["error"]["status"], 403);
}

#[tokio::test]
async fn dns_01_reads_txt_records() {
    let world = World::start().await;
    let (ca, client) = started(&world, strict()).await;
    let row = attempt(&ca, &client, "*.a.com", "dns-01", |_, answer| {
        world.publish("_acme-challenge.a.com", "an older one");
        world.publish("_acme-challenge.a.com", &BASE64.encode(Sha256::digest(answer)));
    })
    .await;
    assert_eq!(row.body["status"], "valid");
    let row = attempt(&ca, &client, "b.com", "dns-01", |_, _| ()).await;
    assert_failed(&row, "unauthorized", "No TXT record found at _acme-challenge.b.com");
    let row =
        attempt(&ca, &client, "c.com", "dns-01", |_, _| world.publish("_acme-challenge.c.com", "x")).await;
    assert_failed(&row, "unauthorized", "Incorrect TXT record \"x\" found at _acme-challenge.c.com");
}

#[tokio::test]
pub(crate) async fn a_failure_ends_its_order_and_leaves_the_sibling_pending() {
    let world = World::start().await;
    let (ca, client) = started(&world, strict()).await;
    let order = client.order(&["bad.com", "good.com"]).await.assert_ok(201);
    let rows = client.authorizations(&order).await;
    let bad = rows.iter().find(|row| row.name() == "bad.com").expect("ordered");
    let url = bad.challenge("http-01")["url"].as_str().expect("a URL").to_owned();
    client.post(&url, &json!({})).await.assert_ok(200);
    ca.idle().await;
    let after = client.read(order.url()).await.assert_ok(200);
    assert_eq!((after.field("status"), after.body.get("error")), ("invalid", None));
    client.post(&url, &json!({})).await.assert_problem(404, "malformed", "No such challenge");
    let good = rows.iter().find(|row| row.name() == "good.com").expect("ordered");
    assert_eq!(client.read(&good.url).await.field("status"), "pending");
    assert_eq!(client.deactivate(&bad.url).await.assert_ok(200).field("status"), "deactivated");
    assert_eq!(client.read(&bad.url).await.field("status"), "invalid", "Boulder only says so");

    let open = ca.authorizations(Some("open"));
    assert_eq!(open.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), ["good.com"]);
    let failed = &ca.authorizations(Some("invalid"))[0];
    let events: Vec<Event> = failed.history.iter().map(|line| line.event).collect();
    assert_eq!(events, [Event::Created, Event::Submitted, Event::Failed]);
    assert!(failed.error.as_ref().is_some_and(|error| error.starts_with("unauthorized: ")));
}

#[tokio::test]
async fn a_challenge_under_validation_is_in_conflict_and_not_open() {
    let world = World::start().await;
    let (ca, client) = started(&world, strict()).await;
    world.hold();
    let order = client.order(&["a.com"]).await.assert_ok(201);
    let row = client.authorizations(&order).await.remove(0);
    let url = row.challenge("http-01")["url"].as_str().expect("a URL");
    client.post(url, &json!({})).await.assert_ok(200);
    let second = client.post(url, &json!({})).await;
    assert_eq!((second.status, second.field("type")), (409, format!("{ERROR}conflict").as_str()));
    assert_eq!(client.read(url).await.assert_ok(200).field("status"), "pending");
    let counts = ca.audit().authorizations;
    assert_eq!((counts.open, counts.submitted, counts.pending), (0, 1, 1));
    world.release();
    ca.idle().await;
    assert_eq!(ca.audit().authorizations.submitted, 0);

    world.hold();
    let (ca, client) = started(&world, CaRules { conflict_on_resubmission: false, ..strict() }).await;
    let order = client.order(&["a.com"]).await.assert_ok(201);
    let row = client.authorizations(&order).await.remove(0);
    let url = row.challenge("http-01")["url"].as_str().expect("a URL");
    for _ in 0..2 {
        client.post(url, &json!({})).await.assert_ok(200);
    }
    world.release();
    ca.idle().await;
    assert_eq!(ca.authorizations(None)[0].history.len(), 3, "one attempt only");
}

#[tokio::test]
async fn the_audit_adds_up_and_is_served_as_json() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    client.issue(&ca, &["a.com", "b.com"]).await;
    client.order(&["c.com"]).await.assert_ok(201);
    let order = client.order(&["d.com"]).await.assert_ok(201);
    client.deactivate(&client.authorizations(&order).await[0].url).await.assert_ok(200);
    let audit = client.fetch("/audit").await.assert_ok(200).body;
    assert_eq!(
        audit["authorizations"],
        json!({ "total": 4, "open": 1, "pending": 1, "valid": 2, "invalid": 0, "deactivated": 1,
                "expired": 0, "submitted": 0 })
    );
    assert_eq!(audit["peak_open"], 2);
    assert_eq!((&audit["orders"], &audit["certificates"]), (&json!(3), &json!(1)));
    assert_eq!((&audit["rate_limited"], &audit["duplicate_certificates"]), (&json!(0), &json!(0)));
    assert_eq!((&audit["requests"]["new_order"], &audit["requests"]["finalize"]), (&json!(3), &json!(1)));
    assert_eq!(audit, serde_json::to_value(ca.audit()).expect("the same as typed values"));
    let listed = client.fetch("/audit/authorizations?status=deactivated").await.assert_ok(200).body;
    assert_eq!(listed[0]["name"], "d.com");
    let events: Vec<&Value> =
        listed[0]["history"].as_array().expect("a history").iter().map(|line| &line["event"]).collect();
    assert_eq!(events, ["created", "deactivated_while_pending"]);
    let orders = client.fetch("/audit/orders?status=valid").await.assert_ok(200).body;
    assert_eq!(orders[0]["names"], json!(["a.com", "b.com"]));
}
