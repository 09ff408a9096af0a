//! The ACME client against a server that misbehaves on purpose: what may a caller conclude from each failure?

use std::sync::Arc;
use std::time::Duration;

use issuance::identifier::{Hostname, Identifiers};
use issuance::problem::ProblemKind;
use issuance::time::Timestamp;
use lockkeeper::acme::transport::BODY_BYTES_MAX;
use lockkeeper::acme::{
    Account, AccountKey, AcmeError, Authority, AuthorityConfig, Endpoint, PlacedOrder, Reply, Timeouts,
};
use lockkeeper::clock::DrivenClock;
use lockkeeper::keys::{KeyKind, account_key};
use lockkeeper_tests::pebble;
use lockkeeper_tests::scripted_ca::{Act, ScriptedCa};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

/// Below one second, the pace of the one endpoint that is smoothed here.
const TIMEOUT: Duration = Duration::from_millis(700);
/// 2026-11-21 08:03:55 UTC.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_248_235);

async fn connect(directory_url: &str) -> Result<Arc<Authority>, AcmeError> {
    let mut profile = pebble::profile();
    profile.requests_per_second.revoke_cert = 1;
    Authority::connect(AuthorityConfig {
        name: "scripted".into(),
        directory_url: directory_url.to_owned(),
        extra_root_pem: None,
        profile: Arc::new(profile),
        timeouts: Timeouts { connect: TIMEOUT / 2, new_order: TIMEOUT, finalize: TIMEOUT, other: TIMEOUT },
        clock: Arc::new(DrivenClock::starting_at(NOW)),
        transport: None,
    })
    .await
}

async fn account_at(ca: &ScriptedCa) -> Account {
    let pkcs8 = account_key::generate(KeyKind::EcdsaP256).expect("a key");
    let key = AccountKey::from_pkcs8(pkcs8.expose_secret()).expect("an account key");
    let authority = connect(&ca.url("dir")).await.expect("a directory");
    Account::restore(authority, &ca.url("acct/1"), key).expect("an account")
}

fn placed(ca: &ScriptedCa) -> Act {
    let body = serde_json::json!({
        "status": "pending", "authorizations": [ca.url("authz/1")], "finalize": ca.url("finalize/1"),
    });
    let headers = format!("Location: {}\r\nReplay-Nonce: next\r\nRetry-After: 3\r\n", ca.url("order/1"));
    Act::answer("201 Created", &headers, body.to_string())
}

async fn order(account: &Account) -> Result<Reply<PlacedOrder>, AcmeError> {
    let names = Identifiers::new([Hostname::parse("shop.example.com").expect("a name")]).expect("one name");
    account.new_order(&names, None, None).await
}

#[tokio::test]
async fn what_may_have_been_executed_is_lost_and_sent_once() {
    let elsewhere = r#"{"status":"pending","authorizations":["http://127.0.0.1:1/authz/1"],"finalize":"x"}"#;
    let huge = vec![b' '; BODY_BYTES_MAX + 1];
    let cases: [(&str, Act); 9] = [
        ("reset", Act::Reset),
        ("stall", Act::Stall),
        ("truncated", Act::Truncate),
        ("html", Act::answer("201 Created", "Location: http://$/order/1\r\n", "<html>")),
        ("empty", Act::answer("200 OK", "Location: http://$/order/1\r\n", "")),
        ("huge", Act::answer("201 Created", "Location: http://$/order/1\r\n", huge)),
        ("redirect", Act::answer("302 Found", "Location: http://$/order/1\r\n", "")),
        ("no location", Act::answer("201 Created", "", elsewhere)),
        ("elsewhere", Act::answer("201 Created", "Location: http://$/order/1\r\n", elsewhere)),
    ];
    for (case, act) in cases {
        let ca = ScriptedCa::start([]).await;
        let act = match act {
            Act::Answer { status, headers, body } => {
                Act::Answer { status, headers: headers.replace('$', &ca.address().to_string()), body }
            }
            other => other,
        };
        ca.then(act);
        let error = order(&account_at(&ca).await).await.expect_err(case);
        assert!(matches!(error, AcmeError::Lost { endpoint: Endpoint::NewOrder, .. }), "{case}: {error:?}");
        assert_eq!(ca.count("POST /new-order"), 1, "{case}");
    }
}

#[tokio::test]
async fn what_never_left_is_not_sent() {
    let mut ca = ScriptedCa::start([]).await;
    let account = account_at(&ca).await;
    let foreign = account.order("http://127.0.0.1:1/order/1").await.expect_err("another origin");
    assert!(matches!(foreign, AcmeError::NotSent { endpoint: Endpoint::Order, .. }), "{foreign:?}");
    assert_eq!(ca.count("HEAD /nonce"), 0);

    ca.then(placed(&ca));
    order(&account).await.unwrap();
    ca.stop().await;
    // The first finds the kept connection broken or refused, the second has no connection to start with.
    let error = order(&account).await.expect_err("nobody listens");
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::NewOrder, .. }), "{error:?}");
    let error = order(&account).await.expect_err("nobody listens");
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::NewOrder, .. }), "{error:?}");
    let error = connect(&ca.url("dir")).await.expect_err("nobody listens");
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::Directory, .. }), "{error:?}");
    assert_eq!(ca.count("POST /new-order"), 1);
}

#[tokio::test]
async fn a_refusal_keeps_status_words_and_wait() {
    let html = Act::answer(
        "503 Service Unavailable",
        "Retry-After: Sat, 21 Nov 2026 08:04:29 GMT\r\n",
        "<b>busy</b>",
    );
    let json = r#"{"type":"urn:ietf:params:acme:error:orderNotReady","detail":"no"}"#;
    let ca = ScriptedCa::start([html, Act::answer("403 Forbidden", "", json)]).await;
    let account = account_at(&ca).await;
    let busy = order(&account).await.expect_err("busy");
    let problem = busy.problem().unwrap();
    assert_eq!(
        (&problem.kind, problem.status, &*problem.detail),
        (&ProblemKind::RateLimited, 503, "<b>busy</b>")
    );
    assert_eq!(problem.retry_after, Some(Duration::from_secs(34)));
    let refused = account.finalize(&ca.url("finalize/1"), b"csr").await.expect_err("not ready");
    assert!(
        matches!(&refused, AcmeError::Refused { endpoint: Endpoint::Finalize, problem }
        if problem.kind == ProblemKind::OrderNotReady && problem.status == 403),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_bad_nonce_is_answered_with_the_nonce_it_brought() {
    let ca = ScriptedCa::start((0..5).map(|number| Act::bad_nonce(&format!("fresh{number}")))).await;
    ca.then(placed(&ca));
    let account = account_at(&ca).await;
    let reply = order(&account).await.unwrap();
    assert_eq!((&*reply.body.url, reply.retry_after), (&*ca.url("order/1"), Some(Duration::from_secs(3))));
    let nonces = ca.nonces_of("POST /new-order");
    assert_eq!(nonces, ["given1", "fresh0", "fresh1", "fresh2", "fresh3", "fresh4"]);

    for number in 0..7 {
        ca.then(Act::bad_nonce(&format!("again{number}")));
    }
    let error = order(&account).await.expect_err("six bad nonces");
    assert_eq!(error.problem().map(|problem| &problem.kind), Some(&ProblemKind::BadNonce));
    assert_eq!(ca.count("POST /new-order"), 12);
}

#[tokio::test]
async fn one_nonce_is_asked_for_and_then_each_answer_brings_the_next() {
    let ca = ScriptedCa::start([]).await;
    let account = account_at(&ca).await;
    for _ in 0..5 {
        ca.then(placed(&ca));
        order(&account).await.unwrap();
    }
    assert_eq!((ca.count("HEAD /nonce"), ca.count("POST /new-order")), (1, 5));
    let refused = Act::answer("429 Too Many Requests", "Replay-Nonce: refused\r\n", "");
    ca.then(refused);
    order(&account).await.expect_err("limited");
    ca.then(placed(&ca));
    order(&account).await.unwrap();
    assert_eq!(ca.nonces_of("POST /new-order").last().map(String::as_str), Some("refused"));
    assert_eq!(ca.count("HEAD /nonce"), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_request() {
    let ca = ScriptedCa::start([]).await;
    let account = account_at(&ca).await;
    let mut closed = ca.close_after_each_answer();
    for number in 1..=5 {
        ca.then(placed(&ca));
        order(&account).await.unwrap();
        assert_eq!(ca.count("POST /new-order"), number);
        // The first order also asked for a nonce.
        let ended = tokio::time::timeout(Duration::from_secs(10), closed.wait_for(|count| *count > number));
        ended.await.expect("the client lets go").unwrap();
    }
}

/// Listens, accepts and then says nothing, as a peer that hangs in the TLS handshake does.
#[tokio::test]
async fn a_connection_that_never_comes_up_is_not_sent() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/dir", silent.local_addr().unwrap());
    let error = connect(&url).await.expect_err("no handshake");
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::Directory, .. }), "{error:?}");
}

#[tokio::test]
async fn a_failing_nonce_endpoint_means_that_nothing_was_sent() {
    let ca = ScriptedCa::start([]).await;
    let account = account_at(&ca).await;
    for (act, unsent) in [
        (Act::answer("200 OK", "", ""), true),
        (Act::answer("200 OK", "Replay-Nonce: not base64url!\r\n", ""), true),
        (Act::Reset, true),
        (Act::Stall, true),
        (Act::answer("503 Service Unavailable", "Retry-After: 7\r\n", ""), false),
    ] {
        ca.next_nonce(act);
        let error = order(&account).await.expect_err("no nonce");
        if unsent {
            assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::NewOrder, .. }), "{error:?}");
        } else {
            assert!(
                matches!(&error, AcmeError::Refused { endpoint: Endpoint::NewNonce, problem }
                if problem.retry_after == Some(Duration::from_secs(7))),
                "{error:?}"
            );
        }
    }
    assert_eq!(ca.count("POST /new-order"), 0);
}

#[tokio::test]
async fn renewal_info_keeps_the_wait_in_every_form() {
    let window = r#"{"suggestedWindow":{"start":"2027-01-19T09:32:14Z","end":"2027-01-21T04:43:03Z"}}"#;
    let ca = ScriptedCa::start([
        Act::answer("200 OK", "Retry-After: 24192\r\n", window),
        Act::answer("200 OK", "Retry-After: Sat, 21 Nov 2026 08:04:29 GMT\r\n", window),
        Act::answer("200 OK", "", window),
        Act::answer(
            "404 Not Found",
            "",
            r#"{"type":"urn:ietf:params:acme:error:malformed","detail":"unknown"}"#,
        ),
        Act::answer("200 OK", "Retry-After: 1\r\n", "<html>"),
    ])
    .await;
    let account = account_at(&ca).await;
    for seconds in [24_192, 34, 6 * 3_600] {
        let reply = account.renewal_info("aYhb.AIdl").await.unwrap();
        let wait = reply.retry_after.unwrap();
        assert!(wait <= Duration::from_secs(seconds) && wait > Duration::from_secs(seconds - 2), "{wait:?}");
        assert_eq!(reply.body.start.to_string(), "2027-01-19T09:32:14Z");
    }
    let unknown = account.renewal_info("aYhb.AIdl").await.expect_err("unknown");
    assert_eq!(unknown.problem().map(|problem| problem.status), Some(404));
    let garbage = account.renewal_info("aYhb.AIdl").await.expect_err("not JSON");
    assert!(matches!(garbage, AcmeError::Lost { endpoint: Endpoint::RenewalInfo, .. }), "{garbage:?}");
    assert_eq!((ca.count("GET /ari/aYhb.AIdl"), ca.count("GET /dir"), ca.count("HEAD /nonce")), (5, 1, 0));
    assert!(matches!(account.renewal_info("nodot").await, Err(AcmeError::BadConfig { .. })));
}

/// The profile allows one revocation a second, and the timeout is shorter than that.
#[tokio::test]
async fn a_request_whose_turn_does_not_come_is_not_sent() {
    let ca = ScriptedCa::start([Act::answer("200 OK", "Replay-Nonce: next\r\n", "")]).await;
    let account = account_at(&ca).await;
    account.revoke(b"certificate", None).await.unwrap();
    let error = account.revoke(b"certificate", None).await.expect_err("too soon");
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::RevokeCert, .. }), "{error:?}");
    assert_eq!(ca.count("POST /revoke"), 1);
}
