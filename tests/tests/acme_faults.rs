//! The ACME client against a server that misbehaves on purpose: what may a caller conclude from each failure?

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use issuance::identifier::{Hostname, Identifiers};
use issuance::problem::ProblemKind;
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use lockkeeper::acme::transport::BODY_BYTES_MAX;
use lockkeeper::acme::{
    Account, AccountKey, AcmeError, Authority, AuthorityConfig, Endpoint, PlacedOrder, Reply, Timeouts,
};
use lockkeeper::clock::DrivenClock;
use lockkeeper::keys::{KeyKind, account_key};
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const TIMEOUT: Duration = Duration::from_millis(300);
/// 2026-11-21 08:03:55 UTC.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_248_235);

/// What the server does with one request, once it has read it whole.
enum Act {
    Answer {
        status: &'static str,
        headers: String,
        body: Vec<u8>,
    },
    /// Announces more than it sends.
    Truncate,
    Reset,
    Stall,
}

fn answer(status: &'static str, headers: &str, body: impl Into<Vec<u8>>) -> Act {
    Act::Answer { status, headers: headers.into(), body: body.into() }
}

fn bad_nonce(fresh: &str) -> Act {
    let body = r#"{"type":"urn:ietf:params:acme:error:badNonce","detail":"unknown nonce","status":400}"#;
    answer("400 Bad Request", &format!("Replay-Nonce: {fresh}\r\n"), body)
}

#[derive(Default)]
struct Script {
    /// For everything but the directory and nonces, in order.
    acts: VecDeque<Act>,
    /// Method and path of every request, and the nonce it was signed with.
    seen: Vec<(String, Option<String>)>,
    nonces_given: u32,
    /// For the next nonce asked for.
    nonce_act: Option<Act>,
    /// Closes the connection after each answer, and counts here when the client has closed its side too.
    closes: Option<watch::Sender<usize>>,
}

/// A CA over plain HTTP on loopback.
struct ScriptedCa {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    stop: CancellationToken,
    server: AbortOnDropHandle<()>,
}

impl ScriptedCa {
    async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let script = Arc::new(Mutex::new(Script { acts: acts.into_iter().collect(), ..Script::default() }));
        let stop = CancellationToken::new();
        let (shared, stopping) = (Arc::clone(&script), stop.clone());
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Some(Ok((stream, _))) = stopping.run_until_cancelled(listener.accept()).await {
                connections.spawn(serve(stream, address, Arc::clone(&shared)));
            }
            drop(listener);
            connections.shutdown().await;
        });
        Self { address, script, stop, server: AbortOnDropHandle::new(server) }
    }

    async fn connect(&self) -> Result<Arc<Authority>, AcmeError> {
        self.connect_to(&self.url("dir")).await
    }

    async fn connect_to(&self, directory_url: &str) -> Result<Arc<Authority>, AcmeError> {
        let profile: CaProfile = serde_json::from_value(serde_json::json!({
            "name": "scripted", "pending_authorizations_max": 1, "recovery_reserve": 0,
            "charges_deactivation": false, "reuses_pending_order": false, "lists_orders": false,
            "pending_authorization_seconds": 1, "order_seconds": 1, "names_max": 1, "poll_first_ms": 1,
            "poll_max_ms": 1, "requests_per_second": { "new_nonce": 0, "new_account": 0, "new_order": 0,
            "revoke_cert": 1, "renewal_info": 0, "directory": 0, "other": 0 },
        }))
        .expect("a profile");
        Authority::connect(AuthorityConfig {
            name: "scripted".into(),
            directory_url: directory_url.to_owned(),
            extra_root_pem: None,
            profile: Arc::new(profile),
            timeouts: Timeouts {
                connect: TIMEOUT / 3,
                new_order: TIMEOUT,
                finalize: TIMEOUT,
                other: TIMEOUT,
            },
            clock: Arc::new(DrivenClock::starting_at(NOW)),
            transport: None,
        })
        .await
    }

    async fn account(&self) -> Account {
        let pkcs8 = account_key::generate(KeyKind::EcdsaP256).expect("a key");
        let key = AccountKey::from_pkcs8(pkcs8.expose_secret()).expect("an account key");
        let authority = self.connect().await.expect("a directory");
        Account::restore(authority, &self.url("acct/1"), key).expect("an account")
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    fn count(&self, request: &str) -> usize {
        self.script
            .lock()
            .expect("no panic while locked")
            .seen
            .iter()
            .filter(|(seen, _)| seen == request)
            .count()
    }

    fn nonces_of(&self, request: &str) -> Vec<String> {
        let script = self.script.lock().expect("no panic while locked");
        script
            .seen
            .iter()
            .filter(|(seen, _)| seen == request)
            .filter_map(|(_, nonce)| nonce.clone())
            .collect()
    }

    /// Stops listening and closes every connection; both are done when this returns.
    async fn stop(&mut self) {
        self.stop.cancel();
        (&mut self.server).await.expect("the server ends");
    }
}

async fn serve(mut stream: TcpStream, address: SocketAddr, script: Arc<Mutex<Script>>) {
    while let Some((line, body)) = read_request(&mut stream).await {
        let (act, closes) = {
            let mut script = script.lock().expect("no panic while locked");
            script.seen.push((line.clone(), nonce_of(&body)));
            let act = match line.as_str() {
                "GET /dir" => answer("200 OK", "", directory(address)),
                "HEAD /nonce" if script.nonce_act.is_some() => script.nonce_act.take().unwrap_or(Act::Stall),
                "HEAD /nonce" => {
                    script.nonces_given += 1;
                    answer("200 OK", &format!("Replay-Nonce: given{}\r\n", script.nonces_given), "")
                }
                _ => script.acts.pop_front().unwrap_or(Act::Stall),
            };
            (act, script.closes.clone())
        };
        match act {
            Act::Answer { status, headers, body } => {
                let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
                if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
                    return;
                }
                if let Some(closed) = closes {
                    let _ = stream.shutdown().await;
                    let _ = stream.read(&mut [0]).await;
                    closed.send_modify(|count| *count += 1);
                    return;
                }
            }
            Act::Truncate => {
                let _ = stream
                    .write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{\"status\":")
                    .await;
                return;
            }
            Act::Reset => return stream.set_zero_linger().expect("a socket"),
            Act::Stall => std::future::pending().await,
        }
    }
}

/// Method and path, and the body.
async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length =
        text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    while bytes.len() < head + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let line = String::from_utf8_lossy(&bytes[..head]).lines().next()?.strip_suffix(" HTTP/1.1")?.to_owned();
    Some((line, bytes.split_off(head)))
}

fn nonce_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let header = BASE64_URL_SAFE_NO_PAD.decode(body["protected"].as_str()?).ok()?;
    Some(serde_json::from_slice::<serde_json::Value>(&header).ok()?["nonce"].as_str()?.to_owned())
}

fn directory(address: SocketAddr) -> Vec<u8> {
    let url = |path: &str| format!("http://{address}/{path}");
    serde_json::to_vec(&serde_json::json!({
        "newNonce": url("nonce"), "newAccount": url("new-account"), "newOrder": url("new-order"),
        "revokeCert": url("revoke"), "keyChange": url("key"), "renewalInfo": url("ari"),
    }))
    .expect("JSON")
}

fn placed(ca: &ScriptedCa) -> Act {
    let body = serde_json::json!({
        "status": "pending", "authorizations": [ca.url("authz/1")], "finalize": ca.url("finalize/1"),
    });
    let headers = format!("Location: {}\r\nReplay-Nonce: next\r\nRetry-After: 3\r\n", ca.url("order/1"));
    answer("201 Created", &headers, body.to_string())
}

async fn order(account: &Account) -> Result<Reply<PlacedOrder>, AcmeError> {
    let names = Identifiers::new([Hostname::parse("shop.example.com").expect("a name")]).expect("one name");
    account.new_order(&names, None, None).await
}

fn push(ca: &ScriptedCa, act: Act) {
    ca.script.lock().expect("no panic while locked").acts.push_back(act);
}

#[tokio::test]
async fn what_may_have_been_executed_is_lost_and_sent_once() {
    let elsewhere = r#"{"status":"pending","authorizations":["http://127.0.0.1:1/authz/1"],"finalize":"x"}"#;
    let huge = vec![b' '; BODY_BYTES_MAX + 1];
    let cases: [(&str, Act); 9] = [
        ("reset", Act::Reset),
        ("stall", Act::Stall),
        ("truncated", Act::Truncate),
        ("html", answer("201 Created", "Location: http://$/order/1\r\n", "<html>")),
        ("empty", answer("200 OK", "Location: http://$/order/1\r\n", "")),
        ("huge", answer("201 Created", "Location: http://$/order/1\r\n", huge)),
        ("redirect", answer("302 Found", "Location: http://$/order/1\r\n", "")),
        ("no location", answer("201 Created", "", elsewhere)),
        ("elsewhere", answer("201 Created", "Location: http://$/order/1\r\n", elsewhere)),
    ];
    for (case, act) in cases {
        let ca = ScriptedCa::start([]).await;
        let act = match act {
            Act::Answer { status, headers, body } => {
                Act::Answer { status, headers: headers.replace('$', &ca.address.to_string()), body }
            }
            other => other,
        };
        push(&ca, act);
        let error = order(&ca.account().await).await.expect_err(case);
        assert!(matches!(error, AcmeError::Lost { endpoint: Endpoint::NewOrder, .. }), "{case}: {error:?}");
        assert_eq!(ca.count("POST /new-order"), 1, "{case}");
    }
}

#[tokio::test]
async fn what_never_left_is_not_sent() {
    let mut ca = ScriptedCa::start([]).await;
    let account = ca.account().await;
    let foreign = account.order("http://127.0.0.1:1/order/1").await.expect_err("another origin");
    assert!(matches!(foreign, AcmeError::NotSent { endpoint: Endpoint::Order, .. }), "{foreign:?}");
    assert_eq!(ca.count("HEAD /nonce"), 0);

    push(&ca, placed(&ca));
    order(&account).await.unwrap();
    ca.stop().await;
    // The first finds the kept connection broken or refused, the second has no connection to start with.
    let error = order(&account).await.expect_err("nobody listens");
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::NewOrder, .. }), "{error:?}");
    let error = order(&account).await.expect_err("nobody listens");
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::NewOrder, .. }), "{error:?}");
    let error = ca.connect().await.expect_err("nobody listens");
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::Directory, .. }), "{error:?}");
    assert_eq!(ca.count("POST /new-order"), 1);
}

#[tokio::test]
async fn a_refusal_keeps_status_words_and_wait() {
    let html =
        answer("503 Service Unavailable", "Retry-After: Sat, 21 Nov 2026 08:04:29 GMT\r\n", "<b>busy</b>");
    let json = r#"{"type":"urn:ietf:params:acme:error:orderNotReady","detail":"no"}"#;
    let ca = ScriptedCa::start([html, answer("403 Forbidden", "", json)]).await;
    let account = ca.account().await;
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
    let ca = ScriptedCa::start((0..5).map(|number| bad_nonce(&format!("fresh{number}")))).await;
    push(&ca, placed(&ca));
    let account = ca.account().await;
    let reply = order(&account).await.unwrap();
    assert_eq!((&*reply.body.url, reply.retry_after), (&*ca.url("order/1"), Some(Duration::from_secs(3))));
    let nonces = ca.nonces_of("POST /new-order");
    assert_eq!(nonces, ["given1", "fresh0", "fresh1", "fresh2", "fresh3", "fresh4"]);

    for number in 0..7 {
        push(&ca, bad_nonce(&format!("again{number}")));
    }
    let error = order(&account).await.expect_err("six bad nonces");
    assert_eq!(error.problem().map(|problem| &problem.kind), Some(&ProblemKind::BadNonce));
    assert_eq!(ca.count("POST /new-order"), 12);
}

#[tokio::test]
async fn one_nonce_is_asked_for_and_then_each_answer_brings_the_next() {
    let ca = ScriptedCa::start([]).await;
    let account = ca.account().await;
    for _ in 0..5 {
        push(&ca, placed(&ca));
        order(&account).await.unwrap();
    }
    assert_eq!((ca.count("HEAD /nonce"), ca.count("POST /new-order")), (1, 5));
    let refused = answer("429 Too Many Requests", "Replay-Nonce: refused\r\n", "");
    push(&ca, refused);
    order(&account).await.expect_err("limited");
    push(&ca, placed(&ca));
    order(&account).await.unwrap();
    assert_eq!(ca.nonces_of("POST /new-order").last().map(String::as_str), Some("refused"));
    assert_eq!(ca.count("HEAD /nonce"), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_request() {
    let ca = ScriptedCa::start([]).await;
    let account = ca.account().await;
    let (closing, mut closed) = watch::channel(0);
    ca.script.lock().unwrap().closes = Some(closing);
    for number in 1..=5 {
        push(&ca, placed(&ca));
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
    let mut ca = ScriptedCa::start([]).await;
    ca.stop().await;
    ca.address = silent.local_addr().unwrap();
    let error = ca.connect_to(&format!("https://{}/dir", ca.address)).await.expect_err("no handshake");
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::Directory, .. }), "{error:?}");
}

#[tokio::test]
async fn a_failing_nonce_endpoint_means_that_nothing_was_sent() {
    let ca = ScriptedCa::start([]).await;
    let account = ca.account().await;
    for (act, unsent) in [
        (answer("200 OK", "", ""), true),
        (answer("200 OK", "Replay-Nonce: not base64url!\r\n", ""), true),
        (Act::Reset, true),
        (Act::Stall, true),
        (answer("503 Service Unavailable", "Retry-After: 7\r\n", ""), false),
    ] {
        ca.script.lock().unwrap().nonce_act = Some(act);
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
        answer("200 OK", "Retry-After: 24192\r\n", window),
        answer("200 OK", "Retry-After: Sat, 21 Nov 2026 08:04:29 GMT\r\n", window),
        answer("200 OK", "", window),
        answer("404 Not Found", "", r#"{"type":"urn:ietf:params:acme:error:malformed","detail":"unknown"}"#),
        answer("200 OK", "Retry-After: 1\r\n", "<html>"),
    ])
    .await;
    let account = ca.account().await;
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
    let ca = ScriptedCa::start([answer("200 OK", "Replay-Nonce: next\r\n", "")]).await;
    let account = ca.account().await;
    account.revoke(b"certificate", None).await.unwrap();
    let error = account.revoke(b"certificate", None).await.expect_err("too soon");
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::RevokeCert, .. }), "{error:?}");
    assert_eq!(ca.count("POST /revoke"), 1);
}
