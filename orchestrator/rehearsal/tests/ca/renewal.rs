//! Renewal information, replacement orders, and revocation.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use issuance::limit::{Limit, LimitName};
use issuance::time::Timestamp;
use rehearsal::ca::{CaRules, RehearsalCa};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

use crate::client::{Answer, Client, ERROR};
use crate::limits::{boulder, driven};

pub(crate) async fn issued(
    client: &Client,
    ca: &RehearsalCa,
    names: &[&str],
) -> (CertificateDer<'static>, String) {
    let order = client.issue(ca, names).await;
    let chain = client.read(order.field("certificate")).await.assert_ok(200).text;
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).expect("a leaf");
    let id = certificate_id(&leaf);
    (leaf, id)
}

/// As a revocation wants it.
pub(crate) fn leaf_of(chain: &str) -> String {
    BASE64.encode(CertificateDer::from_pem_slice(chain.as_bytes()).expect("a leaf"))
}

/// RFC 9773 §4.1, taken from the certificate alone.
fn certificate_id(der: &[u8]) -> String {
    let (_, leaf) = X509Certificate::from_der(der).expect("a certificate");
    let issuer = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(issuer) => {
            issuer.key_identifier.as_ref().map(|id| id.0.to_vec())
        }
        _ => None,
    });
    let issuer = issuer.expect("an authority key identifier");
    format!("{}.{}", BASE64.encode(issuer), BASE64.encode(leaf.raw_serial()))
}

pub(crate) fn window(answer: &Answer) -> (Timestamp, Timestamp) {
    let instant = |name: &str| {
        let text = &answer.body["suggestedWindow"][name];
        serde_json::from_value::<Timestamp>(text.clone()).expect("an instant")
    };
    (instant("start"), instant("end"))
}

#[tokio::test]
pub(crate) async fn the_window_is_two_percent_wide_at_two_thirds_of_the_life() {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let (_, id) = issued(&client, &ca, &["a.com"]).await;
    let answer = client.fetch(&format!("/acme/renewal-info/{id}")).await.assert_ok(200);
    let poll: u64 = answer.header("retry-after").expect("a wait").parse().expect("seconds");
    assert!((17_280..=25_920).contains(&poll), "{poll}");
    assert!(answer.header("replay-nonce").is_none());
    let (start, end) = window(&answer);
    // As at Boulder, of 90 days less the hour by which the certificate is dated back.
    let life = Duration::from_hours(90 * 24 - 1);
    assert_eq!(start.until(end), life / 50);
    let expires_at = clock_now(&clock).after(life).before(Duration::from_secs(1));
    assert_eq!(start.after(life / 100).until(expires_at), life / 3);
    let (issuer, _) = id.split_once('.').expect("two parts");
    for wrong in ["AAAA.AAAA", &format!("{issuer}.AAAA"), &format!("{issuer}.*")] {
        let answer = client.fetch(&format!("/acme/renewal-info/{wrong}")).await;
        assert_eq!((answer.status, answer.field("type")), (404, format!("{ERROR}malformed").as_str()));
    }
    assert_eq!(client.fetch("/acme/renewal-info/nodot").await.status, 400);
}

fn clock_now(clock: &rehearsal::clock::DrivenClock) -> Timestamp {
    issuance::time::Clock::now(clock)
}

#[tokio::test]
pub(crate) async fn a_certificate_is_replaced_once_and_exempt_only_inside_its_window() {
    let limits = vec![Limit {
        name: LimitName::CertificatesPerExactSet,
        burst: 1,
        count: 1,
        period_seconds: 100 * 86_400,
    }];
    let (ca, clock) = driven(CaRules { limits, ..boulder() }).await;
    let client = Client::registered(&ca).await;
    let (_, id) = issued(&client, &ca, &["a.com"]).await;
    let replaces = || json!({ "replaces": id });
    assert_eq!(client.order_with(&["a.com"], replaces()).await.status, 429, "too early");
    let (start, end) = window(&client.fetch(&format!("/acme/renewal-info/{id}")).await);
    clock.advance(clock_now(&clock).until(end));
    assert_eq!(client.order_with(&["a.com"], replaces()).await.status, 429, "too late");
    drop(ca);

    let limits = vec![Limit {
        name: LimitName::CertificatesPerExactSet,
        burst: 1,
        count: 1,
        period_seconds: 100 * 86_400,
    }];
    let (ca, clock) = driven(CaRules { limits, ..boulder() }).await;
    let client = Client::registered(&ca).await;
    let (leaf, id) = issued(&client, &ca, &["a.com"]).await;
    clock.advance(clock_now(&clock).until(start));
    let stranger = Client::registered(&ca).await;
    stranger.order_with(&["a.com"], json!({ "replaces": id })).await.assert_problem(
        403,
        "unauthorized",
        "Could not validate ARI 'replaces' field :: requester account did not request the certificate being \
         replaced by this order",
    );
    let other = client.order_with(&["b.com"], json!({ "replaces": id })).await;
    assert_eq!((other.status, other.field("type")), (400, format!("{ERROR}malformed").as_str()));
    let order = client.order_with(&["a.com"], json!({ "replaces": id })).await.assert_ok(201);
    assert_eq!(order.field("replaces"), id);
    let (_, parsed) = X509Certificate::from_der(&leaf).expect("a certificate");
    let serial = parsed.raw_serial_as_string().replace(':', "");
    let serial = serial.strip_prefix("00").filter(|rest| rest.len() == 32).unwrap_or(&serial);
    client.order_with(&["a.com"], json!({ "replaces": id })).await.assert_problem(
        409,
        "alreadyReplaced",
        &format!(
            "Could not validate ARI 'replaces' field :: cannot indicate an order replaces certificate with \
             serial \"{serial}\", which already has a replacement order"
        ),
    );
    client.deactivate(&client.authorizations(&order).await[0].url).await.assert_ok(200);
    assert_eq!(client.read(order.url()).await.field("status"), "invalid");
    client.order_with(&["a.com"], json!({ "replaces": id })).await.assert_ok(201);
}

/// The hazard of a lost answer: with `replaces` it is a conflict, without it the same order comes back.
#[tokio::test]
pub(crate) async fn a_lost_replacement_order_is_found_without_replaces() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let (_, id) = issued(&client, &ca, &["a.com"]).await;
    let lost = client.order_with(&["a.com"], json!({ "replaces": id })).await.assert_ok(201);
    assert_eq!(client.order_with(&["a.com"], json!({ "replaces": id })).await.status, 409);
    let found = client.order(&["a.com"]).await.assert_ok(201);
    assert_eq!((found.url(), found.field("replaces")), (lost.url(), id.as_str()));
}

#[tokio::test]
pub(crate) async fn a_revoked_certificate_should_have_been_renewed_already() {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let (leaf, id) = issued(&client, &ca, &["a.com"]).await;
    let body = |reason: u8| json!({ "certificate": BASE64.encode(&leaf), "reason": reason });
    let stranger = Client::registered(&ca).await;
    assert_eq!(stranger.post("/acme/revoke-cert", &body(0)).await.status, 403);
    let refused = client.post("/acme/revoke-cert", &body(9)).await;
    assert_eq!(refused.field("type"), format!("{ERROR}badRevocationReason"));
    client.post("/acme/revoke-cert", &body(4)).await.assert_ok(200);
    let again = client.post("/acme/revoke-cert", &body(4)).await;
    assert_eq!((again.status, again.field("type")), (400, format!("{ERROR}alreadyRevoked").as_str()));
    let (start, end) = window(&client.fetch(&format!("/acme/renewal-info/{id}")).await);
    let now = clock_now(&clock);
    assert_eq!((start.until(now), end.until(now)), (Duration::from_hours(1), Duration::from_mins(30)));
}

#[tokio::test]
async fn the_key_of_a_certificate_revokes_it_and_is_barred_afterwards() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let holder = Client::new(&ca);
    let order = client.order(&["a.com"]).await.assert_ok(201);
    client.submit(&ca, &order, None).await;
    let der = holder.key.to_pkcs8v1().expect("exported");
    let key = rcgen::KeyPair::try_from(der.as_ref()).expect("the same key");
    let mut params = rcgen::CertificateParams::new(vec!["a.com".to_owned()]).expect("names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let csr: Value = json!({ "csr": BASE64.encode(params.serialize_request(&key).expect("a CSR").der()) });
    let done = client.post(order.field("finalize"), &csr).await.assert_ok(200);
    let chain = client.read(done.field("certificate")).await.text;
    let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).expect("a leaf");
    let body = json!({ "certificate": BASE64.encode(&leaf) });
    assert_eq!(Client::new(&ca).post("/acme/revoke-cert", &body).await.status, 403, "any other key");
    holder.post("/acme/revoke-cert", &body).await.assert_ok(200);
    let order = client.order(&["a.com"]).await.assert_ok(201);
    let barred = client.post(order.field("finalize"), &csr).await;
    assert_eq!((barred.status, barred.field("type")), (400, format!("{ERROR}badCSR").as_str()));
}
