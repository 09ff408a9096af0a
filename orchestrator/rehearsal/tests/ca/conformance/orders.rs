//! Orders and authorizations, where the other tests do not say it already.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use rehearsal::faults::{Effect, Fault, Plan};
use serde_json::json;

use crate::client::{Answer, Client};
use crate::limits::{boulder, driven};
use crate::world::World;

fn urls(order: &Answer) -> Vec<&str> {
    let urls = order.body["authorizations"].as_array().expect("authorizations");
    urls.iter().map(|url| url.as_str().expect("a URL")).collect()
}

#[tokio::test]
pub(crate) async fn valid_authorizations_are_not_shared_across_profiles() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let first = client.order(&["a.com"]).await.assert_ok(201);
    client.submit(&ca, &first, None).await;
    for profile in ["classic", "tlsserver"] {
        let other = client.order_with(&["a.com"], json!({ "profile": profile })).await.assert_ok(201);
        assert_eq!(other.field("status"), "pending", "{profile}");
        assert_ne!(urls(&other), urls(&first));
    }
    let again = client.order(&["a.com"]).await.assert_ok(201);
    // The order itself is hidden by that of `tlsserver`, which expires sooner; its authorization is not.
    assert_eq!((again.field("status"), urls(&again)), ("ready", urls(&first)));
}

#[tokio::test]
pub(crate) async fn identical_orders_in_parallel_do_not_see_each_other() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    ca.set_faults(Plan::of(Fault::new(Effect::SlowPlacement { ms: 100 }).times(8))).expect("a plan");
    let answers = join_all((0..8).map(|_| client.order(&["a.com"]))).await;
    let orders: BTreeSet<&str> = answers.iter().map(Answer::url).collect();
    assert!(answers.iter().all(|answer| answer.status == 201));
    assert!(orders.len() > 1, "{orders:?}");
    let one_of_them = client.order(&["a.com"]).await.assert_ok(201);
    assert!(orders.contains(one_of_them.url()));
}

#[tokio::test]
pub(crate) async fn authorizations_come_in_the_order_of_their_numbers() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let valid = client.order(&["z.com"]).await.assert_ok(201);
    client.submit(&ca, &valid, None).await;
    let order = client.order(&["a.com", "m.com", "z.com"]).await.assert_ok(201);
    assert_eq!(urls(&order)[0], urls(&valid)[0], "the oldest first, whatever its name");
    let mut sorted = urls(&order);
    sorted.sort_unstable();
    assert_eq!(urls(&order), sorted);

    let mut shuffles = BTreeSet::new();
    for number in 0..20 {
        let order = client.order(&[&format!("h{number}.com")]).await.assert_ok(201);
        let row = client.authorizations(&order).await.remove(0);
        let challenges = row.body["challenges"].as_array().expect("challenges");
        let tokens: BTreeSet<&str> = challenges.iter().filter_map(|one| one["token"].as_str()).collect();
        assert_eq!(tokens.len(), 1, "all share one token");
        shuffles
            .insert(challenges.iter().filter_map(|one| one["type"].as_str()).collect::<Vec<_>>().join(" "));
    }
    assert!(shuffles.len() > 1, "{shuffles:?}");
}

#[tokio::test]
pub(crate) async fn a_dead_order_is_replaced_whole() {
    let (ca, _) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let dead = client.order(&["a.com", "b.com"]).await.assert_ok(201);
    let answer = client.deactivate(urls(&dead)[0]).await.assert_ok(200);
    assert_eq!(answer.field("status"), "deactivated");
    let read = client.read(dead.url()).await.assert_ok(200);
    assert_eq!((read.field("status"), read.body.get("error")), ("invalid", None));
    let next = client.order(&["a.com", "b.com"]).await.assert_ok(201);
    assert_eq!((next.field("status"), urls(&next).len()), ("pending", 2));
    assert!(
        urls(&next).iter().all(|url| !urls(&dead).contains(url)),
        "also for the name that is still pending"
    );
    assert_eq!(ca.audit().authorizations.open, 3);
}

#[tokio::test]
pub(crate) async fn too_few_perspectives_fail_everything() {
    let world = World::start().await;
    let rules = CaRules { remote_perspectives_min: 3, perspectives: 3, always_valid: false, ..boulder() };
    let config = CaConfig { rules, dns: Some(world.dns), http_port: world.http_port, ..CaConfig::default() };
    let ca = RehearsalCa::start(config).await.expect("a CA");
    let client = Client::registered(&ca).await;
    let order = client.order(&["a.com"]).await.assert_ok(201);
    client.submit(&ca, &order, Some(&world)).await;
    let row = client.authorizations(&order).await.remove(0);
    let error = &row.challenge("http-01")["error"];
    assert_eq!(error["type"], "urn:ietf:params:acme:error:serverInternal");
    assert_eq!(error["detail"], "Insufficient remote perspectives: need at least 3");
    assert_eq!(error["status"], 500);
}

#[tokio::test]
pub(crate) async fn a_deactivated_account_is_served_for_five_seconds() {
    let (ca, clock) = driven(boulder()).await;
    let client = Client::registered(&ca).await;
    let account = client.kid.clone().expect("registered");
    client.deactivate(&account).await.assert_ok(200);
    client.order(&["a.com"]).await.assert_ok(201);
    clock.advance(Duration::from_secs(5));
    assert_eq!(client.order(&["b.com"]).await.status, 403);
}
