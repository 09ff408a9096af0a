//! Overrides of limits: entered, listed, counted, taken back, and refused where they make no sense.

use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::{Answer, World};

const PATH: &str = "/v1/limit-overrides";

async fn post_as(world: &World, token: &str, document: &str) -> Answer {
    let request = world
        .request(Method::POST, PATH, token)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(document.to_owned()))
        .expect("a request");
    world.send(request).await
}

async fn post(world: &World, document: &Value) -> Answer {
    post_as(world, &world.operator, &document.to_string()).await
}

async fn delete(world: &World, id: &str) -> Answer {
    let path = format!("{PATH}/{id}");
    let request = world.request(Method::DELETE, &path, &world.operator).body(Full::default());
    world.send(request.expect("a request")).await
}

fn wanted() -> Value {
    json!({"limit": "new_orders_per_account", "burst": 3000, "period_seconds": 10800, "note": "granted 2026-11-20"})
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_entered_counts_until_it_ends_or_is_taken_back(pool: PgPool) {
    let world = World::start(pool).await;
    let burst = async || {
        let headroom = world.get("/v1/headroom").await.json();
        let limits = headroom["limits"].as_array().expect("a list").clone();
        let orders = limits.into_iter().find(|one| one["name"] == "new_orders_per_account").expect("listed");
        (orders["burst"].clone(), orders["overridden"].clone())
    };
    assert_eq!(burst().await, (json!(300), json!(false)));
    let entered = post(&world, &wanted()).await;
    assert_eq!(entered.status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&entered.body));
    let entered = entered.json();
    assert_eq!((&entered["count"], &entered["origin"]), (&json!(3000), &json!("operator")));
    assert!(entered["account_id"].as_str().is_some_and(|id| id.starts_with("acc_")));
    assert_eq!(burst().await, (json!(3000), json!(true)));

    // Again: the later number holds, and stands alone.
    let later = json!({"burst": 600, "expires_at": "2026-11-22T00:00:00Z"});
    let mut second = wanted();
    second.as_object_mut().expect("an object").extend(later.as_object().expect("an object").clone());
    let second = post(&world, &second).await.json();
    assert_eq!(second["id"], entered["id"]);
    let all = world.get(PATH).await.json();
    assert_eq!(all["data"].as_array().expect("a list").len(), 1);
    assert_eq!(burst().await, (json!(600), json!(true)));
    world.clock.advance(std::time::Duration::from_hours(48));
    assert_eq!(burst().await, (json!(300), json!(false)), "it has ended");
    assert_eq!(world.get(PATH).await.json()["data"][0]["expired"], true);

    let id = entered["id"].as_str().expect("an id");
    assert_eq!(delete(&world, id).await.status, StatusCode::NO_CONTENT);
    assert_eq!(delete(&world, id).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get(PATH).await.json(), json!({"data": []}));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_makes_no_sense_is_refused_with_its_place(pool: PgPool) {
    let world = World::start(pool).await;
    let with = |changes: Value| {
        let mut document = wanted();
        document.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        document
    };
    for (changes, pointer) in [
        (json!({"burst": 0}), "/burst"),
        (json!({"period_seconds": 0}), "/period_seconds"),
        (json!({"note": "  "}), "/note"),
        (json!({"expires_at": "2026-11-01T00:00:00Z"}), "/expires_at"),
        (json!({"key": "example.com"}), "/key"),
        (json!({"limit": "certificates_per_registered_domain", "key": "www.example.com"}), "/key"),
        (json!({"limit": "certificates_per_registered_domain", "key": "co.uk"}), "/key"),
    ] {
        let refused = post(&world, &with(changes.clone())).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{changes}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{changes}");
    }
    for malformed in ["{", "{\"limit\": \"teapots\"}", "{\"unknown\": 1}"] {
        let refused = post_as(&world, &world.operator, malformed).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{malformed}");
    }
    assert_eq!(world.get(PATH).await.json(), json!({"data": []}), "nothing of it was kept");
}

/// The wish is shown as long as it holds, and refused where its end makes no sense.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_search_for_more_new_orders_is_begun_shown_and_stopped(pool: PgPool) {
    let world = World::start(pool).await;
    let seek = async |document: Value| {
        let request = world
            .request(Method::POST, "/v1/limit-overrides/search", &world.operator)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(document.to_string()))
            .expect("a request");
        world.send(request).await
    };
    let shown = async || world.get("/v1/headroom").await.json()["seeks_more_until"].clone();
    assert_eq!(shown().await, Value::Null);
    let begun = seek(json!({})).await;
    assert_eq!(begun.status, StatusCode::OK, "{}", String::from_utf8_lossy(&begun.body));
    assert_eq!(shown().await, begun.json()["until"]);
    for wrong in [json!({"until": "2026-01-01T00:00:00Z"}), json!({"until": "2036-01-01T00:00:00Z"})] {
        let refused = seek(wrong).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.json()["errors"][0]["pointer"], "/until");
    }
    assert_eq!(delete(&world, "search").await.status, StatusCode::NO_CONTENT);
    assert_eq!(shown().await, Value::Null);
    seek(json!({})).await;
    world.clock.advance(std::time::Duration::from_hours(8 * 24));
    assert_eq!(shown().await, Value::Null, "it has ended");
}
