//! What agents tell of their servers.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use issuance::ids::VersionId;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::delivery::{Issued, agent_key, issue, sites};
use crate::world::{Answer, START, World};

async fn put(world: &World, token: &str, path: &str, document: &Value) -> Answer {
    let request = world
        .request(Method::PUT, path, token)
        .header("content-type", "application/json")
        .body(Full::from(Bytes::from(document.to_string())));
    world.send(request.expect("a request")).await
}

fn report(issued: &Issued, seen: Option<&str>) -> Value {
    let version = VersionId(issued.order.0);
    json!({
        "version_id": version, "installed_at": START, "fault": null,
        "probes": [{
            "address": "127.0.0.1:443", "server_name": "one.com", "at": START,
            "fingerprint_sha256": seen, "not_after": null, "fault": seen.is_none().then_some("connection refused"),
        }],
    })
}

async fn told(world: &World) -> Vec<String> {
    sqlx::query_scalar("select kind from events where kind like '%deploy%' order by seq")
        .fetch_all(&world.pool)
        .await
        .expect("events")
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_deployment_follows_what_is_really_served(pool: PgPool) {
    let world = World::start(pool).await;
    let sites = sites(&world).await;
    let first = issue(&world, &sites[0], START).await;
    let agent = agent_key(&world, Some(json!({"server": "web17"}))).await;
    let path = format!("/v1/deployments/{}/web17", sites[0].id);

    let kept = put(&world, &agent, &path, &report(&first, Some(&first.fingerprint))).await;
    assert_eq!(kept.status, StatusCode::OK, "{}", kept.json());
    let view = kept.json();
    assert_eq!(
        (&view["state"], &view["stale"], &view["target"]),
        (&json!("deployed"), &json!(false), &json!("web17"))
    );
    assert_eq!(view["tenant_id"], world.tenant("t1").await.to_string().as_str(), "the certificate's");
    // Told again, it is told of once.
    world.clock.advance(Duration::from_hours(1));
    let again = put(&world, &agent, &path, &report(&first, Some(&first.fingerprint))).await.json();
    assert_eq!((&again["id"], &again["changed_at"]), (&view["id"], &view["changed_at"]));
    assert_ne!(again["reported_at"], view["reported_at"]);
    assert_eq!(told(&world).await, ["certificate.deployed"]);

    let other = put(&world, &agent, &path, &report(&first, Some(&"0".repeat(64)))).await.json();
    assert_eq!(other["state"], "not_served");
    let silent = put(&world, &agent, &path, &report(&first, None)).await.json();
    assert_eq!(
        (&silent["state"], &silent["probes"][0]["fault"]),
        (&json!("not_served"), &json!("connection refused"))
    );
    let mut broken = report(&first, Some(&first.fingerprint));
    broken["fault"] = json!("the reload ended with exit status: 1: no such file");
    assert_eq!(put(&world, &agent, &path, &broken).await.json()["state"], "failed");
    let absent = json!({"fault": "the disk is full"});
    let second = format!("/v1/deployments/{}/web18", sites[0].id);
    assert_eq!(put(&world, &world.operator, &second, &absent).await.json()["state"], "failed");
    put(&world, &agent, &path, &report(&first, Some(&first.fingerprint))).await;
    assert_eq!(
        told(&world).await,
        [
            "certificate.deployed",
            "certificate.deploy_failed",
            "certificate.deploy_failed",
            "certificate.deploy_failed",
            "certificate.deployed"
        ],
        "each change once"
    );

    issue(&world, &sites[0], START.after(Duration::from_hours(24))).await;
    let targets = async |query: &str| -> Vec<String> {
        let list = world.get(&format!("/v1/deployments?{query}")).await.json();
        let found = list["data"].as_array().unwrap_or_else(|| panic!("{query}: {list}"));
        found.iter().map(|one| one["target"].as_str().expect("a target").to_owned()).collect()
    };
    assert_eq!(targets("stale=true").await, ["web17", "web18"], "a later version was issued");
    assert_eq!(targets("state=failing").await, ["web18"]);
    assert_eq!(targets("state=deployed&target=web17").await, ["web17"]);
    assert!(targets(&format!("certificate={}&stale=false", sites[0].id)).await.is_empty());
    assert!(targets("reported_before=2020-01-01T00:00:00Z").await.is_empty());
    assert_eq!(world.get("/v1/deployments?state=stale").await.problem(), "validation-failed");

    let gone =
        world.request(Method::DELETE, &second, &world.operator).body(Full::default()).expect("a request");
    assert_eq!(world.send(gone).await.status, StatusCode::NO_CONTENT);
    assert_eq!(targets("").await, ["web17"]);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_makes_no_sense_is_not_kept(pool: PgPool) {
    let world = World::start(pool).await;
    let sites = sites(&world).await;
    let (first, third) = (issue(&world, &sites[0], START).await, issue(&world, &sites[2], START).await);
    let agent = agent_key(&world, Some(json!({"server": "web18"}))).await;
    let path = format!("/v1/deployments/{}/web17", sites[0].id);
    let mine = report(&first, Some(&first.fingerprint));
    assert_eq!(
        put(&world, &agent, &path, &mine).await.problem(),
        "not-found",
        "another server's certificate"
    );
    let stranger = world.token_of("t2").await;
    assert_eq!(put(&world, &stranger, &path, &mine).await.problem(), "not-found");
    let mut odd = mine.clone();
    odd["probes"][0]["fingerprint_sha256"] = json!("AB");
    let mut long = mine.clone();
    long["fault"] = json!("x".repeat(2_000));
    let strange = report(&third, Some(&third.fingerprint));
    for (document, pointer) in [
        (&odd, "/probes/0/fingerprint_sha256"),
        (&long, "/fault"),
        (&strange, "/version_id"),
        (&json!({}), "/fault"),
    ] {
        let refused = put(&world, &world.operator, &path, document).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "validation-failed")
        );
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer);
    }
    let bad = put(&world, &world.operator, &format!("/v1/deployments/{}/a%00b", sites[0].id), &mine).await;
    assert_eq!(bad.problem(), "validation-failed");
    assert_eq!((world.rows("deployments").await, told(&world).await.len()), (0, 0));
}
