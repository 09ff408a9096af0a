//! What changes something is done once, told of, and answered alike.

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::{Answer, World};

async fn enter(world: &World, name: Option<&str>, burst: u32) -> Answer {
    let wanted = json!({
        "limit": "new_orders_per_account", "burst": burst, "period_seconds": 10_800, "note": "granted by mail",
    });
    let mut request = world
        .request(Method::POST, "/v1/limit-overrides", &world.operator)
        .header("content-type", "application/json");
    if let Some(name) = name {
        request = request.header("idempotency-key", name);
    }
    world.send(request.body(Full::from(Bytes::from(wanted.to_string()))).expect("a request")).await
}

async fn count(world: &World, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&world.pool).await.expect("counted")
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_named_request_is_carried_out_once(pool: PgPool) {
    let world = World::start(pool).await;
    let first = enter(&world, Some("\"one\""), 600).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.json());
    let again = enter(&world, Some("one"), 600).await;
    assert_eq!(
        (again.status, &again.body),
        (first.status, &first.body),
        "quoted or bare, it is the same name"
    );
    assert_eq!(again.headers.get("location"), first.headers.get("location"));
    assert_eq!(
        again.headers.get("idempotency-replayed").map(http::HeaderValue::as_bytes),
        Some(&b"true"[..])
    );
    assert!(first.headers.get("idempotency-replayed").is_none());
    assert_eq!(count(&world, "select count(*) from events where kind = 'limit_override.entered'").await, 1);

    let other = enter(&world, Some("one"), 900).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other.problem(), "idempotency-key-reused");
    assert_eq!(count(&world, "select count(*) from limit_overrides where burst = 900").await, 0);

    world.clock.advance(std::time::Duration::from_hours(25));
    let later = enter(&world, Some("one"), 900).await;
    assert_eq!(later.status, StatusCode::CREATED, "a name is free again after a day");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_ended_in_a_problem_is_tried_anew(pool: PgPool) {
    let world = World::start(pool).await;
    assert_eq!(enter(&world, Some("one"), 0).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(count(&world, "select count(*) from idempotent_answers").await, 0);
    assert_eq!(enter(&world, Some("one"), 600).await.status, StatusCode::CREATED);
    let empty = enter(&world, Some("\"\""), 600).await;
    assert_eq!((empty.status, empty.problem().as_str()), (StatusCode::BAD_REQUEST, "validation-failed"));
}

/// Many at once: one is carried out, and all that are answered are answered alike.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn of_a_request_that_is_sent_many_times_at_once_one_is_carried_out(pool: PgPool) {
    let world = World::start(pool).await;
    let answers = futures_util::future::join_all((0..16).map(|_| enter(&world, Some("one"), 600))).await;
    let (done, busy): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.status == StatusCode::CREATED);
    assert!(!done.is_empty() && done.iter().all(|answer| answer.body == done[0].body));
    for answer in busy {
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::CONFLICT, "idempotency-in-progress")
        );
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(count(&world, "select count(*) from events where kind = 'limit_override.entered'").await, 1);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_change_tells_who_made_it_and_what_was_before(pool: PgPool) {
    let world = World::start(pool).await;
    let first = enter(&world, None, 600).await.json();
    let second = enter(&world, None, 900).await;
    let told: Vec<(String, Value, String, Option<String>, String)> = sqlx::query_as(
        "select subject, data, actor_name, host(address), request_id from events order by seq",
    )
    .fetch_all(&world.pool)
    .await
    .expect("told");
    assert_eq!(told.len(), 2);
    let (subject, data, actor, address, request) = &told[1];
    assert_eq!(subject, first["id"].as_str().expect("an id"), "it was replaced");
    assert_eq!((&data["before"]["burst"], &data["after"]["burst"]), (&json!(600), &json!(900)));
    assert_eq!((actor.as_str(), address.as_deref()), ("test", Some("127.0.0.1")));
    assert_eq!(Some(request.as_str()), second.headers.get("x-request-id").and_then(|id| id.to_str().ok()));
    let rewritten = sqlx::query("update events set subject = 'another'").execute(&world.pool).await;
    assert!(rewritten.is_err(), "what was told stays");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_key_opens_what_it_is_for_while_it_is_valid_and_from_where_it_may_be_used(pool: PgPool) {
    let world = World::start(pool).await;
    let set = async |sql: &'static str| {
        sqlx::query(sql).execute(&world.pool).await.expect("set");
    };
    set("update api_keys set scopes = '{orders:read}'").await;
    assert_eq!(world.get("/v1/orders").await.status, StatusCode::OK);
    let closed = world.get("/v1/certificates").await;
    assert_eq!((closed.status, closed.problem().as_str()), (StatusCode::FORBIDDEN, "forbidden-scope"));
    set("update api_keys set cidrs = '{192.0.2.0/24}'").await;
    assert_eq!(world.get("/v1/orders").await.status, StatusCode::UNAUTHORIZED, "from elsewhere");
    set("update api_keys set cidrs = '{192.0.2.0/24,127.0.0.0/8}'").await;
    assert_eq!(world.get("/v1/orders").await.status, StatusCode::OK);
    sqlx::query("update api_keys set expires_at = $1")
        .bind(time::OffsetDateTime::from_unix_timestamp(1_795_255_445 + 60).expect("an instant"))
        .execute(&world.pool)
        .await
        .expect("set");
    assert_eq!(world.get("/v1/orders").await.status, StatusCode::OK);
    world.clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(world.get("/v1/orders").await.status, StatusCode::UNAUTHORIZED, "it has expired");
}
