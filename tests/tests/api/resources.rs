//! Certificates and orders as panels write them.

use http::{Method, StatusCode};
use http_body_util::Full;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::{Answer, World};

/// With an Idempotency-Key of its own.
pub(crate) async fn send(world: &World, token: &str, method: Method, path: &str, body: &Value) -> Answer {
    send_with(world, token, method, path, body, &[("idempotency-key", &uuid::Uuid::new_v4().to_string())])
        .await
}

pub(crate) async fn send_with(
    world: &World,
    token: &str,
    method: Method,
    path: &str,
    body: &Value,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = world.request(method, path, token).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).expect("JSON") };
    world.send(request.body(Full::from(body)).expect("a request")).await
}

pub(crate) async fn tenants(pool: PgPool) -> (World, String, String) {
    let world = World::start(pool).await;
    world.import("t1,s0,imported.com,http-01,\nt2,s0,theirs.com,http-01,\n").await;
    let (one, two) = (world.token_of("t1").await, world.token_of("t2").await);
    (world, one, two)
}

pub(crate) fn csr(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = DistinguishedName::new();
    params.serialize_request(&KeyPair::generate().expect("a key")).expect("a request").pem().expect("PEM")
}

pub(crate) fn code_at(answer: &Answer, pointer: &str) -> String {
    let document = answer.json();
    let found = document["errors"].as_array().into_iter().flatten().find(|one| one["pointer"] == pointer);
    found
        .and_then(|one| one["code"].as_str())
        .unwrap_or_else(|| panic!("no {pointer} in {document}"))
        .to_owned()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_certificate_is_ordered_once_however_often_it_is_asked_for(pool: PgPool) {
    let (world, one, _) = tenants(pool).await;
    let wish = json!({ "names": ["b.com", "a.com"], "external_id": "x1", "labels": {"env": "prod"} });
    let nameless = send_with(&world, &one, Method::POST, "/v1/certificates", &wish, &[]).await;
    assert_eq!(nameless.problem(), "idempotency-key-missing");
    let key = [("idempotency-key", "once")];
    let first = send_with(&world, &one, Method::POST, "/v1/certificates", &wish, &key).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.json());
    let again = send_with(&world, &one, Method::POST, "/v1/certificates", &wish, &key).await;
    assert_eq!(
        (&again.json()["id"], &again.headers["idempotency-replayed"]),
        (&first.json()["id"], &"true".parse().unwrap())
    );
    let taken = send(&world, &one, Method::POST, "/v1/certificates", &wish).await;
    assert_eq!((taken.status, taken.problem().as_str()), (StatusCode::CONFLICT, "external-id-taken"));
    assert_eq!((world.rows("certificates").await, world.rows("orders").await), (3, 3));
    let found = world.get_as(&one, "/v1/certificates?label=env=prod&external_id=x1").await.json();
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{found}");

    let items: Vec<Value> = [
        json!({"names": ["c.com"]}),
        json!({"names": ["theirs.com"]}),
        json!({"names": ["co.uk"]}),
        json!({"names": ["d.com"]}),
    ]
    .into();
    let batch = send(&world, &one, Method::POST, "/v1/certificates/batch", &json!({ "items": items })).await;
    let report = batch.json();
    assert_eq!(
        (batch.status, &report["created"], &report["refused"]),
        (StatusCode::OK, &2.into(), &2.into()),
        "{report}"
    );
    let codes: Vec<&Value> =
        report["data"].as_array().expect("items").iter().map(|one| &one["problem"]["code"]).collect();
    assert_eq!(
        codes,
        [&Value::Null, &"hostname-owned-by-other-tenant".into(), &"validation-failed".into(), &Value::Null]
    );
    let many = json!({ "items": vec![json!({"names": ["e.com"]}); 201] });
    assert_eq!(
        send(&world, &one, Method::POST, "/v1/certificates/batch", &many).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_change_is_held_against_what_was_read(pool: PgPool) {
    let (world, one, two) = tenants(pool).await;
    let made = send(&world, &one, Method::POST, "/v1/certificates", &json!({ "names": ["a.com"] })).await;
    let path = format!("/v1/certificates/{}", made.json()["id"].as_str().expect("an id"));
    let read = world.get_as(&one, &path).await;
    let tag = read.headers["etag"].to_str().expect("ASCII").to_owned();
    let cached = send_with(&world, &one, Method::GET, &path, &Value::Null, &[("if-none-match", &tag)]).await;
    assert_eq!((cached.status, cached.body.len()), (StatusCode::NOT_MODIFIED, 0));

    let change = json!({ "labels": {"server": "web2"}, "auto_renew": false, "key_type": "rsa3072" });
    let changed = send_with(&world, &one, Method::PATCH, &path, &change, &[("if-match", &tag)]).await;
    let view = changed.json();
    assert_eq!(
        (changed.status, &view["auto_renew"], &view["key"]["type"]),
        (StatusCode::OK, &false.into(), &"rsa3072".into()),
        "{view}"
    );
    let stale = send_with(&world, &one, Method::PATCH, &path, &change, &[("if-match", &tag)]).await;
    assert_eq!(
        (stale.status, stale.problem().as_str()),
        (StatusCode::PRECONDITION_FAILED, "version-mismatch")
    );
    let stale = send_with(&world, &one, Method::DELETE, &path, &Value::Null, &[("if-match", &tag)]).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    let event: Value = sqlx::query_scalar("select data from events where kind = 'certificate.changed'")
        .fetch_one(&world.pool)
        .await
        .expect("told");
    assert_eq!(
        (&event["before"]["auto_renew"], &event["after"]["auto_renew"]),
        (&true.into(), &false.into()),
        "{event}"
    );

    // An order for the new names replaces the one that waits for the old ones.
    let changed =
        send_with(&world, &one, Method::PATCH, &path, &json!({ "names": ["a.com", "b.com"] }), &[]).await;
    assert_eq!(changed.json()["names"], json!(["a.com", "b.com"]));
    assert_eq!(world.rows("orders where stage = 'cancelled'").await, 1);
    let unknown = send_with(&world, &one, Method::PATCH, &path, &json!({ "colour": "red" }), &[]).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
    for (method, path) in [
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::POST, format!("{path}/renew")),
        (Method::POST, format!("{path}/revoke")),
    ] {
        let other = send(&world, &two, method.clone(), &path, &json!({})).await;
        assert_eq!(
            (other.status, other.problem().as_str()),
            (StatusCode::NOT_FOUND, "not-found"),
            "{method} {path}"
        );
    }

    let gone = send_with(&world, &one, Method::DELETE, &path, &Value::Null, &[]).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get_as(&one, &path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.rows("orders where certificate_id in (select certificate_id from certificates where deleted_at is not null) and due_at is not null").await, 0);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_paused_certificate_waits_and_goes_on_when_resumed(pool: PgPool) {
    let (world, one, _) = tenants(pool).await;
    let made = send(&world, &one, Method::POST, "/v1/certificates", &json!({ "names": ["a.com"] })).await;
    let path = format!("/v1/certificates/{}", made.json()["id"].as_str().expect("an id"));
    let paused = send(&world, &one, Method::POST, &format!("{path}/pause"), &Value::Null).await;
    let view = paused.json();
    assert_eq!((&view["status"], &view["next_attempt_at"]), (&"paused".into(), &Value::Null), "{view}");
    assert_eq!(world.rows("orders where paused and not in_line and due_at > '2100-01-01'").await, 1);
    for action in ["renew", "retry"] {
        let refused = send(&world, &one, Method::POST, &format!("{path}/{action}"), &Value::Null).await;
        assert_eq!(refused.problem(), "certificate-paused");
    }
    // Whatever else makes the order due: it stays out of line.
    world.execute("update orders set due_at = '2026-11-21' where paused").await;
    assert_eq!(world.store.line_up(crate::world::START, 100).await.expect("the database"), 0);
    let resumed = send(&world, &one, Method::POST, &format!("{path}/resume"), &Value::Null).await;
    assert_eq!(resumed.json()["status"], "pending", "{}", resumed.json());
    assert_eq!(world.store.line_up(crate::world::START, 100).await.expect("the database"), 1);
    let underway = send(&world, &one, Method::POST, &format!("{path}/renew"), &Value::Null).await;
    assert_eq!(
        (underway.status, world.rows("orders").await),
        (StatusCode::ACCEPTED, 3),
        "the one that waits goes on"
    );
    let nothing =
        send(&world, &one, Method::POST, &format!("{path}/revoke"), &json!({"reason": "superseded"})).await;
    assert_eq!(nothing.problem(), "nothing-to-revoke");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn requests_made_elsewhere_are_judged_at_the_door(pool: PgPool) {
    let (world, one, _) = tenants(pool).await;
    let wish = json!({ "csr": csr(&["a.com", "www.a.com"]) });
    let made = send(&world, &one, Method::POST, "/v1/certificates", &wish).await;
    let view = made.json();
    assert_eq!(
        (made.status, &view["names"]),
        (StatusCode::ACCEPTED, &json!(["a.com", "www.a.com"])),
        "{view}"
    );
    assert_eq!(
        (&view["key"]["kept_by_owner"], &view["key"]["reuse"], &view["key"]["type"]),
        (&true.into(), &true.into(), &"ecdsa-p256".into())
    );
    assert_eq!(
        world.rows("orders where split and cardinality(names) = 2").await,
        1,
        "its names stay together"
    );

    let other = json!({ "names": ["b.com"], "csr": csr(&["b.com", "evil.org"]) });
    let refused = send(&world, &one, Method::POST, "/v1/certificates", &other).await;
    assert_eq!(code_at(&refused, "/csr"), "csr-other-names");
    let secret = KeyPair::generate().expect("a key").serialize_pem();
    let refused =
        send(&world, &one, Method::POST, "/v1/certificates", &json!({ "names": ["b.com"], "csr": secret }))
            .await;
    assert_eq!(code_at(&refused, "/csr"), "csr-is-private-key");
    assert!(
        !refused.json().to_string().contains(secret.lines().nth(1).expect("a line")),
        "it is not repeated"
    );
    let kind = json!({ "csr": csr(&["b.com"]), "key_type": "rsa2048" });
    assert_eq!(
        code_at(&send(&world, &one, Method::POST, "/v1/certificates", &kind).await, "/key_type"),
        "csr-key-type"
    );

    // New names take a new request; with one, what waited is over and a new order follows.
    let path = format!("/v1/certificates/{}", view["id"].as_str().expect("an id"));
    let refused = send(&world, &one, Method::PATCH, &path, &json!({ "names": ["a.com"] })).await;
    assert_eq!(code_at(&refused, "/csr"), "csr-needed");
    let change = json!({ "names": ["a.com"], "csr": csr(&["a.com"]) });
    let changed = send(&world, &one, Method::PATCH, &path, &change).await;
    assert_eq!(
        (changed.status, &changed.json()["names"]),
        (StatusCode::OK, &json!(["a.com"])),
        "{}",
        changed.json()
    );
    // Once only, and used up: whoever wants to renew sends another one first.
    world.execute("update certificates set csr_received_at = '2025-01-01', key_days_max = 30 where csr_der is not null").await;
    let refused = send(&world, &one, Method::POST, &format!("{path}/renew"), &Value::Null).await;
    assert_eq!(
        (refused.problem().as_str(), &world.get_as(&one, &path).await.json()["key"]["needs_csr"]),
        ("csr-needed", &true.into())
    );
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn whoever_waits_is_told_as_soon_as_there_is_something_to_tell(pool: PgPool) {
    let (world, one, _) = tenants(pool).await;
    let made = send(&world, &one, Method::POST, "/v1/certificates", &json!({ "names": ["a.com"] })).await;
    let path = format!("/v1/certificates/{}", made.json()["id"].as_str().expect("an id"));
    let short = send_with(&world, &one, Method::GET, &path, &Value::Null, &[("prefer", "wait=1")]).await;
    assert_eq!(
        (short.status, &short.headers["preference-applied"]),
        (StatusCode::OK, &"wait=1".parse().unwrap())
    );
    assert_eq!(short.json()["status"], "pending");
    let started = std::time::Instant::now();
    let headers = [("prefer", "wait=30")];
    let waiting = send_with(&world, &one, Method::GET, &path, &Value::Null, &headers);
    let (told, ()) = tokio::join!(waiting, async {
        world.execute("update orders set stage = 'parked', fault_class = 'caa', fault_detail = 'x', in_line = false where names = '{a.com}'").await;
    });
    assert_eq!(
        (told.json()["status"].as_str(), &told.headers["preference-applied"]),
        (Some("parked"), &"wait=30".parse().unwrap())
    );
    assert!(started.elapsed().as_secs() < 20, "another replica's work is seen within moments");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_order_is_cancelled_and_tells_its_life(pool: PgPool) {
    let (world, one, two) = tenants(pool).await;
    let made =
        send(&world, &one, Method::POST, "/v1/certificates", &json!({ "names": ["a.com"] })).await.json();
    let order =
        world.get_as(&one, &format!("/v1/certificates/{}", made["id"].as_str().expect("an id"))).await.json()
            ["order_id"]
            .clone();
    let path = format!("/v1/orders/{}", order.as_str().expect("an order"));
    assert_eq!(
        send(&world, &two, Method::POST, &format!("{path}/cancel"), &Value::Null).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(world.get_as(&two, &format!("{path}/timeline")).await.status, StatusCode::NOT_FOUND);
    let cancelled = send(&world, &one, Method::POST, &format!("{path}/cancel"), &Value::Null).await;
    assert_eq!(
        (cancelled.status, &cancelled.json()["ended"]),
        (StatusCode::OK, &true.into()),
        "{}",
        cancelled.json()
    );
    let again = send(&world, &one, Method::POST, &format!("{path}/cancel"), &Value::Null).await;
    assert_eq!((again.status, again.problem().as_str()), (StatusCode::CONFLICT, "order-ended"));
    let timeline = world.get_as(&one, &format!("{path}/timeline")).await.json();
    let kinds: Vec<&str> = timeline["data"]
        .as_array()
        .expect("moments")
        .iter()
        .map(|one| one["kind"].as_str().expect("a kind"))
        .collect();
    assert_eq!(kinds, ["order.accepted", "order.cancel_requested", "order.cancelled"], "{timeline}");
    assert_eq!(world.get_as(&one, &path).await.json()["stage"], "cancelled");
}
