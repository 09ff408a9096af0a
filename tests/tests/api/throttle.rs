//! How many requests a key may make.

use std::num::NonZeroU32;
use std::time::Duration;

use http::StatusCode;
use lockkeeper::api::ThrottleSettings;
use sqlx::PgPool;

use crate::world::World;

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_key_is_told_what_is_left_and_when_to_go_on(pool: PgPool) {
    let settings =
        ThrottleSettings { requests: NonZeroU32::new(3), failed_authentications: NonZeroU32::new(2) };
    let world = World::start_otherwise(pool, |state| state.with_throttle(settings)).await;
    for left in ["\"requests\";r=2;t=20", "\"requests\";r=1;t=40", "\"requests\";r=0;t=60"] {
        let answer = world.get("/v1/summary").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["ratelimit-policy"], "\"requests\";q=3;w=60");
        assert_eq!(answer.headers["ratelimit"], left);
    }
    let answer = world.get("/v1/summary").await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::TOO_MANY_REQUESTS, "quota-exceeded"));
    assert_eq!(answer.headers["retry-after"], "20");
    assert_eq!(answer.headers["ratelimit-policy"], "\"requests\";q=3;w=60");
    let document = answer.json();
    assert_eq!(document["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(document["violated-policies"], serde_json::json!(["requests"]));
    assert_eq!(world.get_as("", "/livez").await.status, StatusCode::OK, "the probes are not counted");
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(world.get("/v1/summary").await.status, StatusCode::OK);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn whoever_guesses_is_not_heard_for_a_while(pool: PgPool) {
    let settings = ThrottleSettings { requests: None, failed_authentications: NonZeroU32::new(2) };
    let world = World::start_otherwise(pool, |state| state.with_throttle(settings)).await;
    for _ in 0..3 {
        assert_eq!(world.get_as("nonsense", "/v1/summary").await.status, StatusCode::UNAUTHORIZED);
    }
    let shut = world.get_as("nonsense", "/v1/summary").await;
    assert_eq!((shut.status, shut.problem().as_str()), (StatusCode::TOO_MANY_REQUESTS, "quota-exceeded"));
    assert_eq!(shut.json()["violated-policies"], serde_json::json!(["failed-authentications"]));
    assert_eq!(
        world.get("/v1/summary").await.status,
        StatusCode::TOO_MANY_REQUESTS,
        "a good key from there too"
    );
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.get("/v1/summary").await.status, StatusCode::OK);
}
