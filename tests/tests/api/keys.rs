//! Keys: made, changed, replaced and revoked, and what each of them opens.

use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::{Answer, World};

async fn make(world: &World, with: &str, wanted: &Value) -> Answer {
    world.send_json(Method::POST, "/v1/api-keys", with, wanted).await
}

fn text(made: &Answer) -> String {
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
    made.json()["key"].as_str().expect("its text").to_owned()
}

fn path(made: &Answer) -> String {
    format!("/v1/api-keys/{}", made.json()["id"].as_str().expect("an id"))
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_tenant_makes_keys_for_itself_that_open_no_more_than_its_own(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,one.com,http-01,\nt2,s1,two.com,http-01,\n").await;
    let scopes = json!(["keys:manage", "certificates:read"]);
    let made =
        make(&world, &world.operator, &json!({ "name": "panel", "tenant": "t1", "scopes": scopes })).await;
    let key = text(&made);
    assert!(key.starts_with("lockkeeper_tenant_"));
    assert_eq!(world.get_as(&key, "/v1/certificates").await.status, StatusCode::OK);
    assert_eq!(world.get_as(&key, "/v1/orders").await.problem(), "forbidden-scope");

    let second = make(&world, &key, &json!({ "name": "second" })).await;
    assert_eq!(second.json()["tenant"], "t1");
    assert_eq!(second.json()["scopes"], json!(["certificates:read", "keys:manage"]));
    for (wanted, pointer) in [
        (json!({ "name": "n", "scopes": ["bundles:read"] }), "/scopes/0"),
        (json!({ "name": "n", "scopes": ["certificates:read", "tenants:manage"] }), "/scopes/1"),
        (json!({ "name": "n", "scopes": [] }), "/scopes"),
        (json!({ "name": "n", "tenant": "t2" }), "/tenant"),
        (json!({ "name": " " }), "/name"),
        (json!({ "name": "n", "cidrs": ["192.0.2.1/24"] }), "/cidrs/0"),
        (json!({ "name": "n", "expires_at": "2020-01-01T00:00:00Z" }), "/expires_at"),
    ] {
        let refused = make(&world, &key, &wanted).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wanted}");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{wanted}");
    }
    let listed = world.get_as(&key, "/v1/api-keys").await;
    assert_eq!(listed.json()["data"].as_array().map(Vec::len), Some(2));
    let shown = String::from_utf8_lossy(&listed.body).into_owned();
    assert!(!shown.contains(&key) && shown.contains(&key[key.len() - 4..]), "{shown}");

    // One that opens more is not for it to change or replace, but to revoke.
    let more =
        make(&world, &world.operator, &json!({ "name": "more", "tenant": "t1", "scopes": ["bundles:read"] }))
            .await;
    for (method, path) in [(Method::PATCH, path(&more)), (Method::POST, format!("{}/rotate", path(&more)))] {
        let refused = world.send_json(method, &path, &key, &json!({})).await;
        assert_eq!((refused.status, refused.problem().as_str()), (StatusCode::FORBIDDEN, "forbidden-scope"));
    }
    assert_eq!(
        world.send_json(Method::DELETE, &path(&more), &key, &json!({})).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(world.get_as(&text(&more), "/v1/certificates").await.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_key_is_replaced_without_a_gap(pool: PgPool) {
    let world = World::start(pool).await;
    let made = make(
        &world,
        &world.operator,
        &json!({ "name": "panel", "scopes": ["headroom:read", "keys:manage"] }),
    )
    .await;
    let old = text(&made);
    let rotate = format!("{}/rotate", path(&made));
    let next =
        world.send_json(Method::POST, &rotate, &world.operator, &json!({ "overlap_seconds": 3600 })).await;
    let new = text(&next);
    assert_eq!(next.json()["scopes"], made.json()["scopes"]);
    for key in [&old, &new] {
        assert_eq!(world.get_as(key, "/v1/api-keys").await.status, StatusCode::OK);
    }
    let third = world.send_json(Method::POST, &rotate, &world.operator, &json!({})).await;
    assert_eq!((third.status, third.problem().as_str()), (StatusCode::CONFLICT, "rotation-under-way"));
    world.clock.advance(Duration::from_secs(3601));
    assert_eq!(world.get_as(&old, "/v1/api-keys").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.get_as(&new, "/v1/api-keys").await.status, StatusCode::OK);
    let again = world.send_json(Method::POST, &rotate, &world.operator, &json!({})).await;
    assert_eq!(again.problem(), "key-not-good");
    let successor = format!("{}/rotate", path(&next));
    text(&world.send_json(Method::POST, &successor, &world.operator, &json!({})).await);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_agents_key_stays_bound_to_its_labels(pool: PgPool) {
    let world = World::start(pool).await;
    let made = make(&world, &world.operator, &json!({ "name": "web17", "selector": "server=web17" })).await;
    let key = text(&made);
    assert!(key.starts_with("lockkeeper_agent_"), "its kind is to be seen");
    assert_eq!(made.json()["scopes"], json!(["bundles:read", "deployments:manage"]));
    assert_eq!(made.json()["selector"], json!({ "server": "web17" }));
    assert_eq!(world.get_as(&key, "/v1/bundles").await.status, StatusCode::OK);
    let rotate = format!("{}/rotate", path(&made));
    let next = world.send_json(Method::POST, &rotate, &world.operator, &json!({})).await;
    assert!(text(&next).starts_with("lockkeeper_agent_"));
    assert_eq!(next.json()["selector"], json!({ "server": "web17" }), "its successor is bound as well");
    for wanted in [
        json!({ "name": "n", "selector": "server=web17", "scopes": ["orders:read"] }),
        json!({ "name": "n", "selector": "server" }),
    ] {
        assert_eq!(make(&world, &world.operator, &wanted).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let more = json!({ "scopes": ["bundles:read", "certificates:read"] });
    let more = world.send_json(Method::PATCH, &path(&made), &world.operator, &more).await;
    assert_eq!(more.json()["errors"][0]["code"], "not-with-a-selector");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_operators_last_key_stays(pool: PgPool) {
    let world = World::start(pool).await;
    let only = world.get("/v1/api-keys").await.json()["data"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/api-keys/{only}");
    let refused = world.send_json(Method::DELETE, &path, &world.operator, &json!({})).await;
    assert_eq!((refused.status, refused.problem().as_str()), (StatusCode::CONFLICT, "last-operator-key"));
    let second = text(&make(&world, &world.operator, &json!({ "name": "second" })).await);
    assert_eq!(
        world.send_json(Method::DELETE, &path, &world.operator, &json!({})).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(world.get("/v1/summary").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.get_as(&second, "/v1/summary").await.status, StatusCode::OK);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_key_is_used_from_where_it_may_be_and_its_use_is_written_once_a_minute(pool: PgPool) {
    let world = World::start_otherwise(pool, |mut state| {
        state.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a block")].into();
        state
    })
    .await;
    let made = make(&world, &world.operator, &json!({ "name": "panel", "cidrs": ["192.0.2.0/24"] })).await;
    let key = text(&made);
    let from = async |forwarded: &str| {
        let request = world.request(Method::GET, "/v1/api-keys", &key).header("x-forwarded-for", forwarded);
        world.send(request.body(Full::default()).expect("a request")).await.status
    };
    assert_eq!(
        world.get_as(&key, "/v1/api-keys").await.status,
        StatusCode::UNAUTHORIZED,
        "from the proxy itself"
    );
    assert_eq!(from("192.0.2.7").await, StatusCode::OK);
    assert_eq!(from("192.0.2.7, 198.51.100.1").await, StatusCode::UNAUTHORIZED, "who says so himself");
    assert_eq!(from("198.51.100.1, 192.0.2.7").await, StatusCode::OK);

    let used = || async {
        let statement = "select last_used_at::text from api_keys where name = 'panel'";
        sqlx::query_scalar::<_, Option<String>>(statement).fetch_one(&world.pool).await.expect("a row")
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while used().await.is_none() {
        assert!(tokio::time::Instant::now() < deadline, "its use is written down beside the request");
        tokio::task::yield_now().await;
    }
    let first = used().await;
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(from("192.0.2.7").await, StatusCode::OK);
    assert_eq!(used().await, first);
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(from("192.0.2.7").await, StatusCode::OK);
    while used().await == first {
        assert!(tokio::time::Instant::now() < deadline, "and again after a minute");
        tokio::task::yield_now().await;
    }
}
