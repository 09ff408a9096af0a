//! What is told to the CA besides its rules, and what it tells of its limits.

use std::time::Duration;

use issuance::identifier::Hostname;
use issuance::limit::LimitName;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use rehearsal::faults::{Effect, Endpoint, Fault, Plan};
use rehearsal::limits::{History, LimitOverride, Owner, PastIssuance, UsedTokens};
use serde_json::json;

use crate::client::Client;
use crate::limits::{START, boulder, driven};

const HOUR: Duration = Duration::from_hours(1);

/// Orders until the CA says no.
async fn admitted(client: &Client, stem: &str) -> usize {
    let mut count = 0;
    while client.order(&[&format!("{stem}{count}.com")]).await.status == 201 {
        count += 1;
    }
    count
}

#[tokio::test]
pub(crate) async fn an_override_holds_from_the_moment_it_is_set() {
    let rules = boulder();
    let new_orders = rules.limit(LimitName::NewOrdersPerAccount).expect("a limit");
    let half = LimitOverride::scaled(new_orders, 0.5);
    let (ca, _) = driven(CaRules { overrides: vec![half], ..rules }).await;
    let (first, second) = (Client::registered(&ca).await, Client::registered(&ca).await);
    assert_eq!(admitted(&first, "half").await, 150);
    let refused = first.order(&["a.com"]).await;
    assert!(
        refused.field("detail").starts_with("too many new orders (150) from this account in the last 3h0m0s")
    );

    let double = LimitOverride::scaled(new_orders, 2.0).of(Owner::Account(2));
    let set = json!({ "overrides": [double] });
    let report = first.request(http::Method::PUT, "/limits", "", set.to_string()).await.assert_ok(200).body;
    assert_eq!(report["overrides"], set["overrides"]);
    assert_eq!(admitted(&second, "double").await, 600);
    // The bucket's instant stays: 150 tokens of 72 s each are owed, as much as 300 of 36 s.
    assert_eq!(first.order(&["a.com"]).await.status, 429);
    for nonsense in [
        r#"{"overrides":[{"limit":"new_orders_per_account","burst":0,"count":1,"period_seconds":1}]}"#,
        "{}{}",
    ] {
        first.request(http::Method::PUT, "/limits", "", nonsense.to_owned()).await.assert_ok(400);
    }
    assert_eq!(ca.limits().overrides.len(), 1, "what is refused changes nothing");
}

#[tokio::test]
pub(crate) async fn a_registered_domain_has_an_override_of_its_own_and_an_account_its_own_buckets() {
    let rules = boulder();
    let domains = rules.limit(LimitName::CertificatesPerRegisteredDomain).expect("a limit");
    let (ca, _) = driven(rules).await;
    let (client, other) = (Client::registered(&ca).await, Client::registered(&ca).await);
    let one = LimitOverride { burst: 1, ..LimitOverride::everybody(domains) };
    ca.set_overrides(vec![one.clone().of(Owner::Domain("shop.com".to_owned()))]).expect("a good one");
    client.issue(&ca, &["one.shop.com"]).await;
    client.issue(&ca, &["one.other.com"]).await;
    client.issue(&ca, &["two.other.com"]).await;
    assert_eq!(other.order(&["two.shop.com"]).await.status, 429);

    let own = LimitOverride { burst: 2, ..one.clone() }.of(Owner::Account(2));
    ca.set_overrides(vec![one.of(Owner::Domain("shop.com".to_owned())), own]).expect("good ones");
    other.issue(&ca, &["two.shop.com"]).await;
    other.issue(&ca, &["three.shop.com"]).await;
    let refused = other.order(&["four.shop.com"]).await;
    assert!(refused.field("detail").starts_with("too many certificates (2) already issued for \"shop.com\""));
    other.order(&["four.other.com"]).await.assert_ok(201);
    assert_eq!(client.order(&["four.shop.com"]).await.status, 429, "and everybody else's is as it was");
}

#[tokio::test]
async fn a_fleet_begins_as_one_that_was_certified_lately() {
    let names = |names: &[&str]| names.iter().map(|name| Hostname::parse(name).expect("a name")).collect();
    let at = |days: u64| START.before(Duration::from_hours(24 * days));
    let history = History {
        issued: vec![
            PastIssuance { names: names(&["a.com", "www.a.com"]), at: at(30) },
            PastIssuance { names: names(&["old.com"]), at: at(120) },
            PastIssuance { names: names(&["b.shop.com"]), at: at(1) },
        ],
        used: vec![UsedTokens {
            limit: LimitName::CertificatesPerRegisteredDomain,
            of: Owner::Domain("shop.com".to_owned()),
            tokens: 60,
        }],
    };
    let (first, _) = driven(boulder()).await;
    let posted = Client::new(&first)
        .request(http::Method::POST, "/history", "", serde_json::to_string(&history).expect("JSON"))
        .await;
    assert_eq!(posted.assert_ok(200).body, json!({ "issued": 3, "used": 1 }));
    let clock = std::sync::Arc::new(rehearsal::clock::DrivenClock::new(START));
    let config = CaConfig { rules: boulder(), clock, history, ..CaConfig::default() };
    let second = RehearsalCa::start(config).await.expect("a CA");
    for ca in [&first, &second] {
        let client = Client::registered(ca).await;
        for set in [&["www.a.com", "a.com"][..], &["b.shop.com"]] {
            client.issue(ca, set).await;
        }
        assert_eq!(ca.limits().limits.get(&LimitName::NewOrdersPerAccount), None, "renewals, both");
        assert_eq!(ca.audit().duplicate_certificates, 0, "it has signed each of them once");
        client.order(&["old.com"]).await.assert_ok(201);
        let refused = client.order(&["c.shop.com"]).await;
        assert!(refused.field("detail").contains("\"shop.com\""), "{}", refused.text);
        let tally = ca.limits().new_orders;
        assert_eq!((tally.charged, tally.exempt_by_set), (1, 2));
    }
    let future = History {
        issued: vec![PastIssuance { names: names(&["a.com"]), at: START.after(HOUR) }],
        ..History::default()
    };
    first.remember(future).expect_err("yet to come");
}

#[tokio::test]
async fn the_books_say_who_took_what_and_who_was_refused_what() {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    assert_eq!(admitted(&client, "first").await, 300);
    clock.advance(HOUR);
    assert_eq!(admitted(&client, "second").await, 100);
    client.order(&["bad_name.com"]).await.assert_ok(429);
    clock.advance(Duration::from_secs(36));
    client.order(&["bad_name.com"]).await.assert_ok(400);
    let usage = ca.usage(LimitName::NewOrdersPerAccount, &Owner::Account(1)).expect("limited");
    let hours: Vec<_> = usage.hours.iter().map(|hour| (hour.allowed, hour.made)).collect();
    assert_eq!(hours, [(399, 300), (101, 100)], "the refused name gave its token back");
    assert_eq!((usage.whole.allowed, usage.whole.made), (401, 400));
    let report = client.fetch("/limits").await.assert_ok(200).body;
    assert_eq!(report, serde_json::to_value(ca.limits()).expect("JSON"));
    assert_eq!(report["limits"]["new_orders_per_account"], json!({ "spent": 400, "refused": 3 }));
    assert_eq!(report["accounts"]["1"]["whole"]["made"], 400);
    assert_eq!(report["refusals"][0]["key"], "1");
    assert_eq!(ca.audit().rate_limited, 3);
}

#[tokio::test]
async fn a_ca_that_answers_or_validates_is_not_quiet() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    ca.quiet().await;
    assert!(ca.is_quiet());
    ca.set_faults(Plan::of(Fault::new(Effect::HoldResponse).at(Endpoint::NewOrder))).expect("a plan");
    let order = client.order(&["a.com"]);
    let watched = async {
        ca.holding(1).await;
        assert!(!ca.is_quiet());
        ca.set_faults(Plan::of(Fault::new(Effect::HoldValidation))).expect("a plan");
    };
    let (order, ()) = tokio::join!(order, watched);
    ca.quiet().await;
    let row = client.authorizations(&order.assert_ok(201)).await.remove(0);
    client.post(row.challenge("http-01")["url"].as_str().expect("a URL"), &json!({})).await.assert_ok(200);
    ca.holding(1).await;
    assert!(!ca.is_quiet(), "it has yet to look");
    ca.set_faults(Plan::default()).expect("a plan");
    ca.quiet().await;
    assert_eq!(ca.audit().authorizations.valid, 1);
}
