//! The envelope: nonces, signatures, accounts, external binding, rollover, errors of form.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::Method;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa, StartError};
use serde_json::{Value, json};

use crate::client::{Client, ERROR};
use crate::limits::{boulder, driven};

const JOSE: &str = "application/jose+json";

#[tokio::test]
async fn a_ca_that_cannot_validate_does_not_start() {
    let refused = RehearsalCa::start(CaConfig::default()).await.expect_err("no resolver");
    assert!(matches!(refused, StartError::NoResolver), "{refused}");
}

#[tokio::test]
async fn the_directory_says_what_the_ca_offers() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::new(&ca);
    let directory = client.fetch("/directory").await.assert_ok(200);
    for name in ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo"] {
        assert!(directory.field(name).starts_with(&ca.directory_url().replace("/directory", "/acme/")));
    }
    assert!(directory.links().is_empty());
    let meta = &directory.body["meta"];
    assert!(meta["profiles"]["shortlived"].is_string());
    assert_eq!(meta["externalAccountRequired"], false);
    let nonce = client.request(Method::HEAD, "/acme/new-nonce", "", String::new()).await.assert_ok(200);
    assert_eq!(nonce.header("cache-control"), Some("no-store"));
    assert!(nonce.header("replay-nonce").is_some());
    assert_eq!(client.fetch("/acme/new-nonce").await.status, 204);
    assert!(directory.header("replay-nonce").is_none());
    let missing = client.fetch("/nowhere").await;
    missing.assert_problem(404, "malformed", "Page not found");
    client.fetch("/acme/new-order").await.assert_problem(405, "malformed", "Method not allowed");
}

#[tokio::test]
async fn a_nonce_is_good_once_and_some_good_ones_are_refused() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let account = client.kid.clone().expect("registered");
    let body = client.sign(&client.protected(&account).await, "");
    client.request(Method::POST, &account, JOSE, body.clone()).await.assert_ok(200);
    let replayed = client.request(Method::POST, &account, JOSE, body).await;
    assert_eq!((replayed.status, replayed.field("type")), (400, format!("{ERROR}badNonce").as_str()));
    assert!(replayed.header("replay-nonce").is_some(), "the refusal brings a fresh one");

    let (ca, _) = driven(CaRules { nonce_rejection: 0.25, ..boulder() }).await;
    let mut client = Client::new(&ca);
    let mut refused = 0;
    for _ in 0..400 {
        let answer = client.post("/acme/new-acct", &json!({ "termsOfServiceAgreed": true })).await;
        match answer.status {
            400 => {
                answer.field("type").strip_suffix("badNonce").expect("no other problem");
                refused += 1;
            }
            _ => client.kid = None,
        }
    }
    assert!((60..=140).contains(&refused), "{refused} of 400 where a quarter is right");
    assert_eq!(ca.audit().problems["badNonce"], refused);
}

#[tokio::test]
async fn what_is_signed_wrongly_is_refused() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let url = "/acme/new-order";
    let good = client.protected(url).await;
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut header = good.clone();
        change(&mut header);
        client.sign(&header, "{}")
    };
    let bodies = [
        ("malformed", changed(&|header| header["url"] = json!("http://elsewhere.com/acme/new-order"))),
        ("badNonce", changed(&|header| header["nonce"] = json!("AAAAAAAAAAA"))),
        ("badNonce", changed(&|header| header["nonce"] = Value::Null)),
        ("malformed", changed(&|header| header["jwk"] = client.jwk())),
        ("malformed", changed(&|header| header["kid"] = Value::Null)),
        ("accountDoesNotExist", changed(&|header| header["kid"] = json!(client.url("/acme/acct/77")))),
        ("badSignatureAlgorithm", changed(&|header| header["alg"] = json!("HS256"))),
        ("malformed", changed(&|_| ()).replace("\"signature\":\"", "\"signature\":\"AAAA")),
    ];
    for (kind, body) in bodies {
        let answer = client.request(Method::POST, url, JOSE, body.clone()).await;
        assert_eq!(answer.field("type"), format!("{ERROR}{kind}"), "{body} -> {}", answer.text);
    }
    let body = client.sign(&client.protected(url).await, "{}");
    let answer = client.request(Method::POST, url, "application/json", body).await;
    answer.assert_problem(
        400,
        "malformed",
        "Invalid Content-Type header on POST. Content-Type must be \"application/jose+json\"",
    );
    assert_eq!(ca.audit().orders, 0);
}

#[tokio::test]
async fn an_account_is_found_updated_rolled_over_and_deactivated() {
    let (ca, clock) = driven(boulder()).await;
    let mut client = Client::registered(&ca).await;
    let account = client.kid.clone().expect("registered");
    let updated = client.post(&account, &json!({ "contact": ["mailto:admin@shop.com"] })).await;
    assert_eq!(updated.assert_ok(200).body["contact"], json!(["mailto:admin@shop.com"]));
    for (contact, kind) in [("tel:123", "unsupportedContact"), ("mailto:nobody", "invalidContact")] {
        let refused = client.post(&account, &json!({ "contact": [contact] })).await;
        assert_eq!((refused.status, refused.field("type")), (400, format!("{ERROR}{kind}").as_str()));
    }

    let next = Client::new(&ca);
    let url = client.url("/acme/key-change");
    let payload = json!({ "account": account, "oldKey": client.jwk() });
    let header = json!({ "alg": "ES256", "jwk": next.jwk(), "url": url });
    let inner: Value = serde_json::from_str(&next.sign(&header, &payload.to_string())).expect("a JWS");
    client.post("/acme/key-change", &inner).await.assert_ok(200);
    let old = client.read(&account).await;
    assert_eq!(old.status, 400, "the old key no longer signs for the account");
    client.key = next.key;
    client.read(&account).await.assert_ok(200);

    let taken = Client::registered(&ca).await;
    let header = json!({ "alg": "ES256", "jwk": taken.jwk(), "url": url });
    let payload = json!({ "account": account, "oldKey": client.jwk() });
    let inner: Value = serde_json::from_str(&taken.sign(&header, &payload.to_string())).expect("a JWS");
    let conflict = client.post("/acme/key-change", &inner).await;
    assert_eq!((conflict.status, conflict.header("location")), (409, taken.kid.as_deref()));

    client.deactivate(&account).await.assert_ok(200);
    client.order(&["a.com"]).await.assert_ok(201);
    clock.advance(std::time::Duration::from_secs(5));
    client.read(&account).await.assert_problem(
        403,
        "unauthorized",
        "Account is not valid, has status \"deactivated\"",
    );
    client.kid = None;
    let again = client.post("/acme/new-acct", &json!({ "onlyReturnExisting": true })).await;
    assert_eq!(again.status, 403);
    let unknown = Client::new(&ca).post("/acme/new-acct", &json!({ "onlyReturnExisting": true })).await;
    unknown.assert_problem(400, "accountDoesNotExist", "No account exists with the provided key");
    let unwilling = Client::new(&ca).post("/acme/new-acct", &json!({})).await;
    unwilling.assert_problem(400, "malformed", "must agree to terms of service");
}

#[tokio::test]
async fn external_binding_is_checked() {
    let secret = [7_u8; 32];
    let rules = CaRules {
        external_account_required: true,
        external_account_keys: [("kid-1".to_owned(), BASE64.encode(secret))].into(),
        ..boulder()
    };
    let (ca, _) = driven(rules).await;
    let client = Client::new(&ca);
    let bind = |kid: &str, secret: &[u8], jwk: &Value| {
        let header = json!({ "alg": "HS256", "kid": kid, "url": client.url("/acme/new-acct") });
        let (header, payload) = (BASE64.encode(header.to_string()), BASE64.encode(jwk.to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let tag = hmac::sign(&key, format!("{header}.{payload}").as_bytes());
        json!({
            "termsOfServiceAgreed": true,
            "externalAccountBinding":
                { "protected": header, "payload": payload, "signature": BASE64.encode(tag.as_ref()) },
        })
    };
    let jwk = client.jwk();
    let without = client.post("/acme/new-acct", &json!({ "termsOfServiceAgreed": true })).await;
    assert_eq!(
        (without.status, without.field("type")),
        (403, format!("{ERROR}externalAccountRequired").as_str())
    );
    for (kid, secret, jwk) in
        [("kid-2", secret, &jwk), ("kid-1", [8; 32], &jwk), ("kid-1", secret, &Client::new(&ca).jwk())]
    {
        let refused = client.post("/acme/new-acct", &bind(kid, &secret, jwk)).await;
        assert!([400, 403].contains(&refused.status), "{}", refused.text);
    }
    assert_eq!(ca.audit().accounts, 0);
    client.post("/acme/new-acct", &bind("kid-1", &secret, &jwk)).await.assert_ok(201);
}
