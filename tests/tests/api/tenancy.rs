//! Tenants: who they are, and how much they may have.

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::import_jobs::intake;
use crate::world::{HEADER, World, counts};

async fn set(world: &World, slug: &str, change: &Value) -> Value {
    let path = format!("/v1/tenants/{slug}");
    let answer = world.send_json(Method::PATCH, &path, &world.operator, change).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    answer.json()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_tenant_is_made_read_changed_and_listed(pool: PgPool) {
    let world = World::start(pool).await;
    let wanted = json!({
        "slug": "acme", "name": "ACME & Sons", "external_id": "whmcs:17", "weight": 3,
        "quotas": { "hostnames": 10 },
    });
    let made = world.send_json(Method::POST, "/v1/tenants", &world.operator, &wanted).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
    assert_eq!(made.headers["etag"], "\"1\"");
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(made.headers["location"], format!("/v1/tenants/{id}").as_str());
    for name in [id.as_str(), "acme"] {
        let read = world.get(&format!("/v1/tenants/{name}")).await.json();
        assert_eq!((&read["id"], &read["external_id"]), (&json!(id), &json!("whmcs:17")));
        assert_eq!(read["usage"], json!({ "hostnames": 0, "new_certificates_today": 0 }));
    }
    let again = world.send_json(Method::POST, "/v1/tenants", &world.operator, &wanted).await;
    assert_eq!((again.status, again.problem().as_str()), (StatusCode::CONFLICT, "conflict"));

    let late = world
        .request(Method::PATCH, "/v1/tenants/acme", &world.operator)
        .header("content-type", "application/json")
        .header("if-match", "\"9\"")
        .body(Full::from("{\"weight\":5}"))
        .expect("a request");
    let late = world.send(late).await;
    assert_eq!((late.status, late.problem().as_str()), (StatusCode::PRECONDITION_FAILED, "version-mismatch"));
    let changed = set(&world, "acme", &json!({ "external_id": null, "quotas": { "hostnames": null } })).await;
    assert_eq!((&changed["external_id"], &changed["quotas"]["hostnames"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&changed["name"], &changed["weight"], &changed["version"]),
        (&json!("ACME & Sons"), &json!(3), &json!(2))
    );

    let wrong = json!({ "slug": "Not a slug", "weight": 0, "name": "\u{7}" });
    let wrong = world.send_json(Method::POST, "/v1/tenants", &world.operator, &wrong).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let errors = wrong.json()["errors"].clone();
    let pointers: Vec<&str> =
        errors.as_array().expect("a list").iter().filter_map(|one| one["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/slug", "/name", "/weight"]);
    let unknown =
        world.send_json(Method::PATCH, "/v1/tenants/acme", &world.operator, &json!({ "wight": 5 })).await;
    assert_eq!(unknown.problem(), "validation-failed");

    let key = world.token_of("acme").await;
    for path in ["/v1/tenants", "/v1/tenants/acme"] {
        assert_eq!(world.get_as(&key, path).await.problem(), "forbidden-scope", "{path}");
    }
    let listed = world.get("/v1/tenants?status=active").await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_quota_refuses_what_is_beyond_it_and_nothing_else(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("acme,a1,a1.com,http-01,\n").await;
    set(&world, "acme", &json!({ "quotas": { "hostnames": 3 } })).await;
    let rows = "acme,a1,a1.com,http-01,\nacme,a2,a2.com www.a2.com,http-01,\nacme,a3,a3.com,http-01,\nother,o1,o1.com,http-01,\n";
    let report = world.import(rows).await.json();
    assert_eq!(counts(&report), [4, 2, 0, 1, 1, 2], "{report}");
    let refused = &report["refused"][0];
    assert_eq!(
        (&refused["line"], &refused["code"]),
        (&json!(4), &json!("tenant_quota_exceeded")),
        "{report}"
    );
    let detail = refused["detail"].as_str().expect("a detail");
    assert!(detail.contains("may have 3 hostnames, and has 3"), "{detail}");
    assert_eq!(world.rows("hostnames where hostname = 'a3.com'").await, 0, "what was refused is nobody's");
    let report = world.import("acme,a4,www.a2.com,http-01,\n").await.json();
    assert_eq!(counts(&report), [1, 1, 0, 0, 0, 1], "it has that name already: {report}");
    let usage = world.get("/v1/tenants/acme").await.json()["usage"].clone();
    assert_eq!(usage, json!({ "hostnames": 3, "new_certificates_today": 3 }));

    set(&world, "acme", &json!({ "quotas": { "hostnames": null, "new_certificates_per_day": 4 } })).await;
    let report = world.import("acme,a5,a5.com,http-01,\nacme,a6,a6.com,http-01,\n").await.json();
    assert_eq!(counts(&report), [2, 1, 0, 0, 1, 1], "{report}");
    let detail = report["refused"][0]["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("4 certificates a day, and has begun 4") && detail.contains("T00:00:00Z"),
        "{detail}"
    );
    world.clock.advance(std::time::Duration::from_hours(24));
    let report = world.import("acme,a6,a6.com,http-01,\n").await.json();
    assert_eq!(counts(&report), [1, 1, 0, 0, 0, 1], "tomorrow is another day");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_suspended_tenant_begins_nothing_and_keeps_what_it_has(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("acme,a1,a1.com,http-01,\n").await;
    let key = world.token_of("acme").await;
    assert_eq!(set(&world, "acme", &json!({ "status": "suspended" })).await["status"], "suspended");
    let report = world.import_as(&key, "acme,a1,a1.com,http-01,\nacme,a2,a2.com,http-01,\n").await.json();
    assert_eq!(counts(&report), [2, 0, 0, 1, 1, 0], "{report}");
    assert_eq!(report["refused"][0]["code"], "tenant_suspended");
    assert_eq!(world.get_as(&key, "/v1/certificates").await.json()["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(world.rows("orders where stage = 'accepted'").await, 1, "what it has begun goes on");
    set(&world, "acme", &json!({ "status": "active" })).await;
    let report = world.import_as(&key, "acme,a2,a2.com,http-01,\n").await.json();
    assert_eq!(counts(&report), [1, 1, 0, 0, 0, 1], "{report}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_job_keeps_to_the_quota_too(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("acme,a1,a1.com,http-01,\n").await;
    set(&world, "acme", &json!({ "quotas": { "hostnames": 2, "new_certificates_per_day": 9 } })).await;
    let file = format!(
        "{HEADER}acme,a1,a1.com,http-01,\nacme,a2,a2.com,http-01,\nacme,a3,a3.com,http-01,\nother,o1,o1.com,http-01,\n"
    );
    let request = world
        .request(Method::POST, "/v1/imports?mode=commit", &world.operator)
        .header("content-type", "text/csv");
    let answer = world.send(request.body(Full::from(file)).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.json());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    intake(&world, 1).work_off_now().await.expect("the database is there");
    let import = world.get(&format!("/v1/imports/{id}")).await.json();
    let counts = ["rows_created", "rows_unchanged", "rows_refused"].map(|name| import[name].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(1)], "{import}");
    let items = world.get(&format!("/v1/imports/{id}/items")).await.json();
    let fault = &items["data"][2]["errors"][0];
    assert_eq!(
        (&items["data"][2]["line"], &fault["code"]),
        (&json!(4), &json!("tenant_quota_exceeded")),
        "{items}"
    );
    assert_eq!(world.rows("hostnames where hostname = 'a3.com'").await, 0, "what was refused is nobody's");
    let usage = world.get("/v1/tenants/acme").await.json()["usage"].clone();
    assert_eq!(usage, json!({ "hostnames": 2, "new_certificates_today": 2 }));
}
