//! Webhooks as they are entered, changed and removed.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::World;

const URL: &str = "https://panel.example.com/hooks";

async fn created(world: &World, token: &str, wanted: Value) -> Value {
    let answer = world.json_as(token, Method::POST, "/v1/webhooks", &[], Some(wanted)).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.json()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn one_is_made_shown_changed_and_removed(pool: PgPool) {
    let world = World::start(pool).await;
    let wanted =
        json!({ "url": URL, "kinds": ["certificate.*"], "description": "the panel", "external_id": "p1" });
    let made = world.post_json("/v1/webhooks", wanted.clone()).await;
    assert_eq!(made.headers.get("etag").map(http::HeaderValue::as_bytes), Some(&b"\"1\""[..]));
    let webhook = made.json();
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    assert_eq!(made.headers.get("location").map(http::HeaderValue::as_bytes), Some(path.as_bytes()));
    let secret = webhook["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44, "{secret}");
    let sealed: Vec<u8> =
        sqlx::query_scalar("select secret_sealed from webhooks").fetch_one(&world.pool).await.expect("a row");
    assert!(!String::from_utf8_lossy(&sealed).contains(&secret[6..20]));

    let shown = world.get(&path).await;
    assert_eq!(shown.headers.get("etag").map(http::HeaderValue::as_bytes), Some(&b"\"1\""[..]));
    let shown = shown.json();
    assert!(shown.get("secret").is_none(), "{shown}");
    assert_eq!((&shown["status"], &shown["tenant_id"]), (&json!("active"), &Value::Null));
    let listed = world.get("/v1/webhooks?external_id=p1").await.json();
    assert_eq!(listed["data"], json!([shown]));

    let send = |method, headers: &'static [(&str, &str)], document| {
        world.json_as(&world.operator, method, &path, headers, document)
    };
    let change = json!({ "enabled": false, "external_id": null });
    let unnamed = send(Method::PATCH, &[], Some(change.clone())).await;
    assert_eq!((unnamed.status.as_u16(), unnamed.problem().as_str()), (428, "precondition-missing"));
    world.clock.advance(Duration::from_millis(1));
    let changed = send(Method::PATCH, &[("if-match", "\"1\"")], Some(change.clone())).await;
    assert_eq!(changed.status, 200, "{}", changed.json());
    let view = changed.json();
    assert_eq!(
        (&view["status"], &view["external_id"], &view["kinds"]),
        (&json!("paused"), &Value::Null, &wanted["kinds"])
    );
    let late = send(Method::PATCH, &[("if-match", "\"1\"")], Some(change)).await;
    assert_eq!((late.status.as_u16(), late.problem().as_str()), (412, "version-mismatch"));

    world.clock.advance(Duration::from_millis(1));
    let unnamed = send(Method::DELETE, &[], None).await;
    assert_eq!(unnamed.status, 428);
    assert_eq!(send(Method::DELETE, &[("if-match", "\"1\"")], None).await.status, 412);
    assert_eq!(send(Method::DELETE, &[("if-match", "\"2\"")], None).await.status, 204);
    assert_eq!(world.get(&path).await.problem(), "not-found");
    let told = world.get("/v1/events?kind=webhook.*").await.json();
    let kinds: Vec<&Value> =
        told["data"].as_array().expect("a list").iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds, ["webhook.deleted", "webhook.changed", "webhook.created"]);
    assert_eq!(told["data"][1]["data"]["before"]["external_id"], "p1");
    assert_eq!(told["data"][1]["actor"]["kind"], "key");
    assert!(!told.to_string().contains("whsec_"));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_wrong_is_told_with_its_place(pool: PgPool) {
    let world = World::start(pool).await;
    let long = "x".repeat(300);
    for (wanted, pointers) in [
        (json!({ "url": "http://panel.example.com/" }), vec!["#/url"]),
        (json!({ "url": "https://169.254.169.254/latest/meta-data" }), vec!["#/url"]),
        (json!({ "url": "https://[::1]/" }), vec!["#/url"]),
        (json!({ "url": "https://user:word@a.com/" }), vec!["#/url"]),
        (json!({ "url": URL, "kinds": ["certificate.*", "certificate.gone"] }), vec!["#/kinds/1"]),
        (
            json!({ "url": "x", "description": long, "external_id": "a\nb" }),
            vec!["#/url", "#/description", "#/external_id"],
        ),
    ] {
        let answer = world.post_json("/v1/webhooks", wanted.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (422, "validation-failed"),
            "{wanted}"
        );
        let errors = answer.json()["errors"].clone();
        let told: Vec<&str> = errors
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["pointer"].as_str().expect("a place"))
            .collect();
        assert_eq!(told, pointers, "{errors}");
    }
    for wanted in [json!({}), json!({ "url": URL, "secret": "whsec_mine" }), json!({ "url": 7 }), json!([])] {
        let answer = world.post_json("/v1/webhooks", wanted.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (400, "validation-failed"),
            "{wanted}"
        );
    }
    assert_eq!(world.rows("webhooks").await, 0);
    assert_eq!(world.rows("events").await, 0);

    let unknown = json!({ "url": URL, "tenant_id": "ten_00000000000000000000000001" });
    let unknown = world.post_json("/v1/webhooks", unknown).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.json()["errors"][0]["pointer"].clone()),
        (422, json!("#/tenant_id"))
    );
    world.post_json("/v1/webhooks", json!({ "url": URL, "external_id": "p1" })).await;
    let taken = world.post_json("/v1/webhooks", json!({ "url": URL, "external_id": "p1" })).await;
    assert_eq!((taken.status.as_u16(), taken.problem().as_str()), (409, "conflict"));
    let since = json!({ "since": "2025-01-01T00:00:00Z" });
    let id = world.get("/v1/webhooks").await.json()["data"][0]["id"].as_str().expect("an id").to_owned();
    let far = world.post_json(&format!("/v1/webhooks/{id}/recover"), since).await;
    assert_eq!(far.json()["errors"][0]["pointer"], "#/since");
}

/// There is an end to how many one owner has.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_owner_has_so_many_and_no_more(pool: PgPool) {
    let world = World::start(pool).await;
    let wanted = || json!({ "url": URL });
    let answers =
        futures_util::future::join_all((0..60).map(|_| world.post_json("/v1/webhooks", wanted()))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!((made, world.rows("webhooks").await), (50, 50));
    let refused = world.post_json("/v1/webhooks", wanted()).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (409, "conflict"));
}

/// Another tenant's webhook does not exist, whatever is tried with it.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_tenant_has_its_own_alone(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,one.com,http-01,\nt2,s2,two.com,http-01,\n").await;
    let (first, second) = (world.token_of("t1").await, world.token_of("t2").await);
    let own = created(&world, &first, json!({ "url": URL })).await;
    assert_eq!(own["tenant_id"], json!(world.tenant("t1").await));
    let operators = created(&world, &world.operator, json!({ "url": URL })).await;
    let other = json!({ "url": URL, "tenant_id": world.tenant("t1").await });
    let other = world.json_as(&second, Method::POST, "/v1/webhooks", &[], Some(other)).await;
    assert_eq!(other.json()["errors"][0]["pointer"], "#/tenant_id");
    assert_eq!(world.get_as(&first, "/v1/webhooks").await.json()["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(world.get("/v1/webhooks").await.json()["data"].as_array().map(Vec::len), Some(2));

    let if_match = [("if-match", "\"1\"")];
    let since = Some(json!({ "since": "2026-11-21T00:00:00Z" }));
    for id in [&own["id"], &operators["id"]] {
        let path = format!("/v1/webhooks/{}", id.as_str().expect("an id"));
        let delivery = format!("{path}/deliveries/dlv_00000000000000000000000000/resend");
        for (method, path, document) in [
            (Method::GET, path.clone(), None),
            (Method::GET, format!("{path}/attempts"), None),
            (Method::GET, format!("{path}/deliveries"), None),
            (Method::PATCH, path.clone(), Some(json!({ "enabled": false }))),
            (Method::DELETE, path.clone(), None),
            (Method::POST, format!("{path}/rotate-secret"), None),
            (Method::POST, format!("{path}/test"), None),
            (Method::POST, format!("{path}/recover"), since.clone()),
            (Method::POST, delivery, None),
        ] {
            let answer = world.json_as(&second, method.clone(), &path, &if_match, document).await;
            assert_eq!(
                (answer.status.as_u16(), answer.problem().as_str()),
                (404, "not-found"),
                "{method} {path}"
            );
        }
    }
    assert_eq!(world.rows("webhooks").await, 2);
}
