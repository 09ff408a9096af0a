//! The documents, word by word.

use std::time::Duration;

use issuance::limit::LimitName;
use rehearsal::ca::CaRules;
use rehearsal::limits::{History, Owner, UsedTokens};
use serde_json::json;

use super::{assert_refused, fail, limit, limited};
use crate::client::Client;
use crate::limits::{boulder, driven};

#[tokio::test]
pub(crate) async fn the_51st_certificate_of_a_domain() {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let used = UsedTokens {
        limit: LimitName::CertificatesPerRegisteredDomain,
        of: Owner::Domain("zone93fa90.com".to_owned()),
        tokens: 49,
    };
    ca.remember(History { used: vec![used], ..History::default() }).expect("it can have been");
    client.issue(&ca, &["fifty.zone93fa90.com"]).await;
    let refused = client.order(&["one.zone93fa90.com"]).await;
    assert_refused(
        &refused,
        &clock,
        12_096,
        "too many certificates (50) already issued for \"zone93fa90.com\" in the last 168h0m0s",
        "new-certificates-per-registered-domain",
    );
    clock.advance(Duration::from_secs(12_096));
    client.order(&["one.zone93fa90.com"]).await.assert_ok(201);
}

#[tokio::test]
pub(crate) async fn the_third_certificate_of_a_set_within_the_hour() {
    let (ca, clock, client) = limited(vec![limit(LimitName::CertificatesPerExactSet, 2, 3_600)]).await;
    for _ in 0..2 {
        client.issue(&ca, &["a.com", "www.a.com"]).await;
    }
    assert_refused(
        &client.order(&["www.a.com", "a.com"]).await,
        &clock,
        1_800,
        "too many certificates (2) already issued for this exact set of identifiers in the last 1h0m0s",
        "new-certificates-per-exact-set-of-identifiers",
    );
}

#[tokio::test]
pub(crate) async fn a_name_that_failed_three_times() {
    let (_ca, clock, client) = limited(vec![limit(LimitName::FailedAuthorizationsPerHostname, 3, 600)]).await;
    for _ in 0..3 {
        fail(&client, "bad.tf0b1b8.com").await;
    }
    assert_refused(
        &client.order(&["bad.tf0b1b8.com"]).await,
        &clock,
        200,
        "too many failed authorizations (3) for \"bad.tf0b1b8.com\" in the last 10m0s",
        "authorization-failures-per-identifier-per-account",
    );
}

#[tokio::test]
pub(crate) async fn the_51st_account_of_an_address() {
    let limits = vec![limit(LimitName::NewAccountsPerAddress, 50, 10_800)];
    let (ca, clock) = driven(CaRules { limits, ..boulder() }).await;
    for _ in 0..50 {
        Client::registered(&ca).await;
    }
    let refused = Client::new(&ca).post("/acme/new-acct", &json!({ "termsOfServiceAgreed": true })).await;
    assert_refused(
        &refused,
        &clock,
        216,
        "too many new registrations (50) from this IP address in the last 3h0m0s",
        "new-registrations-per-ip-address",
    );
}

#[tokio::test]
pub(crate) async fn a_hundred_names_are_refused_for_one() {
    let (_ca, clock, client) =
        limited(vec![limit(LimitName::FailedAuthorizationsPerHostname, 1, 3_600)]).await;
    fail(&client, "h57.shop.com").await;
    let names: Vec<String> = (0..100).map(|number| format!("h{number}.shop.com")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_refused(
        &client.order(&names).await,
        &clock,
        3_600,
        "too many failed authorizations (1) for \"h57.shop.com\" in the last 1h0m0s",
        "authorization-failures-per-identifier-per-account",
    );
}

#[tokio::test]
pub(crate) async fn nothing_limits_what_is_pending() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    for order in 0..4 {
        let names: Vec<String> = (0..100).map(|number| format!("h{number}.shop{order}.com")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        client.order(&names).await.assert_ok(201);
    }
    assert_eq!(ca.audit().authorizations.open, 400, "one more than the old cap, and more");
}
