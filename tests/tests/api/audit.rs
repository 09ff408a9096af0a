//! Whoever changes something over the API is in the audit: with what, from where, and under which request.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use lockkeeper::config::Registration;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::delivery::{Site, issue};
use crate::import_jobs::intake;
use crate::routes;
use crate::world::{ACCOUNT, Answer, HEADER, START, World};

/// Write nothing: what they are sent is a question.
const NO_WRITES: [(&str, &str); 2] =
    [("POST", "/v1/headroom/forecast"), ("POST", "/v1/certificates/{certificate}/bundle")];

/// One request for each route, each of which has an effect.
async fn recipes(world: &World) -> Vec<(&'static str, &'static str, String, Value)> {
    let made = world
        .send_json(Method::POST, "/v1/api-keys", &world.operator, &json!({ "name": "second" }))
        .await
        .json();
    let other = world
        .send_json(Method::POST, "/v1/api-keys", &world.operator, &json!({ "name": "third" }))
        .await
        .json();
    let id = |of: &Value| of["id"].as_str().expect("an id").to_owned();
    let authorization: uuid::Uuid = sqlx::query_scalar("select authorization_id from authorizations")
        .fetch_one(&world.pool)
        .await
        .expect("one");
    let authorization = issuance::ids::AuthorizationId(authorization);
    let orphan: uuid::Uuid = sqlx::query_scalar(
        "insert into orphans (url, account_id, order_id, kind, units, learnt_at)
         select 'https://ca.example/authz/lost', account_id, order_id, 'authorization', 1, accepted_at from orders limit 1
         returning orphan_id",
    )
    .fetch_one(&world.pool)
    .await
    .expect("one");
    let orphan = issuance::ids::OrphanId(orphan);
    let entered = world
        .send_json(
            Method::POST,
            "/v1/limit-overrides",
            &world.operator,
            &json!({ "limit": "certificates_per_registered_domain", "burst": 9, "period_seconds": 60, "note": "n" }),
        )
        .await
        .json();
    let limit = json!({ "limit": "new_orders_per_account", "burst": 600, "period_seconds": 10_800, "note": "by mail" });
    let key = format!("/v1/api-keys/{}", id(&made));
    let certificates = world.get("/v1/certificates?tenant=beta-co").await.json();
    let deployment = format!("/v1/deployments/{}/web17", id(&certificates["data"][0]));
    let nothing = Value::Null;
    let hooks = json!({ "url": "https://panel.example.com/hooks" });
    let hook = id(&world.post_json("/v1/webhooks", hooks.clone()).await.json());
    let hook = format!("/v1/webhooks/{hook}");
    let sent = world.post_json(&format!("{hook}/test"), json!({})).await.json();
    let somebody = |name: &str| json!({ "name": name, "role": "viewer", "password": "a few words do well" });
    let user = id(&world.post_json("/v1/users", somebody("eve")).await.json());
    let user = format!("/v1/users/{user}");
    let delivery = sent["delivery_id"].as_str().expect("an id");
    vec![
        ("POST", "/v1/webhooks", "/v1/webhooks".into(), hooks),
        ("PATCH", "/v1/webhooks/{webhook}", hook.clone(), json!({ "description": "the panel" })),
        ("POST", "/v1/webhooks/{webhook}/rotate-secret", format!("{hook}/rotate-secret"), nothing.clone()),
        ("POST", "/v1/webhooks/{webhook}/test", format!("{hook}/test"), nothing.clone()),
        (
            "POST",
            "/v1/webhooks/{webhook}/recover",
            format!("{hook}/recover"),
            json!({ "since": "2026-11-21T10:00:00Z" }),
        ),
        (
            "POST",
            "/v1/webhooks/{webhook}/deliveries/{delivery}/resend",
            format!("{hook}/deliveries/{delivery}/resend"),
            nothing.clone(),
        ),
        ("DELETE", "/v1/webhooks/{webhook}", hook, nothing.clone()),
        ("POST", "/v1/tenants", "/v1/tenants".into(), json!({ "slug": "new-co" })),
        ("PATCH", "/v1/tenants/{tenant}", "/v1/tenants/beta-co".into(), json!({ "weight": 7 })),
        ("DELETE", "/v1/tenants/{tenant}", "/v1/tenants/new-co".into(), nothing.clone()),
        ("PATCH", "/v1/accounts/{account}", format!("/v1/accounts/{ACCOUNT}"), json!({ "note": "by mail" })),
        ("POST", "/v1/users", "/v1/users".into(), somebody("ada")),
        ("PATCH", "/v1/users/{user}", user, json!({ "role": "operator" })),
        ("POST", "/v1/api-keys", "/v1/api-keys".into(), json!({ "name": "panel" })),
        ("PATCH", "/v1/api-keys/{key}", key.clone(), json!({ "name": "renamed" })),
        ("POST", "/v1/api-keys/{key}/rotate", format!("{key}/rotate"), json!({})),
        ("DELETE", "/v1/api-keys/{key}", format!("/v1/api-keys/{}", id(&other)), nothing.clone()),
        ("POST", "/v1/limit-overrides", "/v1/limit-overrides".into(), limit),
        ("POST", "/v1/limit-overrides/search", "/v1/limit-overrides/search".into(), json!({})),
        ("DELETE", "/v1/limit-overrides/search", "/v1/limit-overrides/search".into(), nothing.clone()),
        (
            "DELETE",
            "/v1/limit-overrides/{override}",
            format!("/v1/limit-overrides/{}", id(&entered)),
            nothing.clone(),
        ),
        ("POST", "/v1/paused-names/release", "/v1/paused-names/release".into(), nothing.clone()),
        (
            "POST",
            "/v1/authorizations/{authorization}/settle",
            format!("/v1/authorizations/{authorization}/settle"),
            nothing.clone(),
        ),
        ("POST", "/v1/orphans/{orphan}/look", format!("/v1/orphans/{orphan}/look"), nothing.clone()),
        ("POST", "/v1/orphans/{orphan}/settle", format!("/v1/orphans/{orphan}/settle"), nothing.clone()),
        ("POST", "/v1/hostnames/{hostname}/check", "/v1/hostnames/alpha.com/check".into(), nothing.clone()),
        ("POST", "/v1/hostnames/{hostname}/resume", "/v1/hostnames/alpha.com/resume".into(), nothing.clone()),
        (
            "PUT",
            "/v1/hostnames/{hostname}/overrides/{check}",
            "/v1/hostnames/alpha.com/overrides/dns".into(),
            json!({ "note": "it knows better" }),
        ),
        (
            "DELETE",
            "/v1/hostnames/{hostname}/overrides/{check}",
            "/v1/hostnames/alpha.com/overrides/dns".into(),
            nothing.clone(),
        ),
        (
            "PUT",
            "/v1/checks/{check}/standing",
            "/v1/checks/dns/standing".into(),
            json!({ "standing": "advice" }),
        ),
        (
            "POST",
            "/v1/hostnames/{hostname}/transfer",
            "/v1/hostnames/alpha.com/transfer".into(),
            json!({ "tenant": "beta-co" }),
        ),
        (
            "PUT",
            "/v1/deployments/{certificate}/{target}",
            deployment.clone(),
            json!({ "fault": "the disk is full" }),
        ),
        ("DELETE", "/v1/deployments/{certificate}/{target}", deployment, nothing.clone()),
        ("POST", "/acme-dns/register", "/acme-dns/register".into(), json!({})),
    ]
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn every_write_of_every_route_is_in_the_audit(pool: PgPool) {
    let world = World::start_otherwise(pool, |state| {
        state.with_own_zone(Some("acme.host.example".to_owned()), Registration::Token)
    })
    .await;
    world.import("alpha-co,a1,alpha.com,http-01,\nbeta-co,b1,beta.com,http-01,\n").await;
    world
        .execute(
            "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin, opened_at, expires_at, challenge_type, challenge_url, token, key_authorization)
             select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz', names[1], 'pending', 'ours', '2026-11-21', '2026-11-28', 'http-01', 'https://ca.test/chall', 'a-token', 'a-key-authorization'
             from orders where names[1] = 'beta.com';
             update orders set stage = 'cancelled', ended_at = '2026-11-21', in_line = false where names[1] = 'beta.com';",
        )
        .await;
    let mut missing: BTreeSet<(String, String)> = routes::all()
        .into_iter()
        .filter(|(method, path)| method != "GET" && !NO_WRITES.contains(&(method.as_str(), path.as_str())))
        .collect();
    for (method, route, path, body) in recipes(&world).await {
        let answer = write(&world, method, &path, &world.operator, &body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
        assert_told(&world, &answer, "key", method, &path).await;
        missing.remove(&(method.to_owned(), route.to_owned()));
        if route == "/acme-dns/register" {
            let update = update_label(&world, &answer.json()).await;
            assert_eq!(update.status, StatusCode::OK, "{}", String::from_utf8_lossy(&update.body));
            assert_told(&world, &update, "user", "POST", "/acme-dns/update").await;
            missing.remove(&("POST".to_owned(), "/acme-dns/update".to_owned()));
        }
    }
    // A tenant's own: asks for a name, and thinks better of it.
    let alpha = world.token_of("alpha-co").await;
    for (method, status) in [("POST", StatusCode::ACCEPTED), ("DELETE", StatusCode::NO_CONTENT)] {
        let path = "/v1/hostnames/alpha.com/transfer";
        let answer = write(&world, method, path, &alpha, &json!({})).await;
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
        assert_told(&world, &answer, "key", method, path).await;
        missing.remove(&(method.to_owned(), "/v1/hostnames/{hostname}/transfer".to_owned()));
    }
    for (method, route, answer) in resources(&world).await {
        assert!(answer.status.is_success(), "{route}: {}", String::from_utf8_lossy(&answer.body));
        assert_told(&world, &answer, "key", method, route).await;
        missing.remove(&(method.to_owned(), route.to_owned()));
    }
    for (method, route, answer) in campaigns(&world).await {
        assert!(answer.status.is_success(), "{route}: {}", String::from_utf8_lossy(&answer.body));
        assert_told(&world, &answer, "key", method, route).await;
        missing.remove(&(method.to_owned(), route.to_owned()));
    }
    for (route, answer) in imports(&world).await {
        assert!(answer.status.is_success(), "{route}: {}", String::from_utf8_lossy(&answer.body));
        assert_told(&world, &answer, "key", "POST", route).await;
        missing.remove(&("POST".to_owned(), route.to_owned()));
    }
    assert!(missing.is_empty(), "write down how each of these is asked: {missing:?}");
}

/// The life of a certificate, by what is asked for it.
async fn resources(world: &World) -> Vec<(&'static str, &'static str, Answer)> {
    let made = write(
        world,
        "POST",
        "/v1/certificates",
        &world.operator,
        &json!({ "tenant": "beta-co", "names": ["c1.com"] }),
    )
    .await;
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let order = made.json()["order_id"].as_str().expect("an order").to_owned();
    let own = format!("/v1/certificates/{id}");
    let site = Site { id: id.parse().expect("an id"), names: vec!["c1.com".to_owned()] };
    let mut answers = vec![("POST", "/v1/certificates", made)];
    let nothing = || json!({});
    let batch = json!({ "items": [{ "tenant": "beta-co", "names": ["c2.com"] }] });
    let steps: [(&'static str, &'static str, String, Value); 12] = [
        ("POST", "/v1/certificates/batch", "/v1/certificates/batch".into(), batch),
        ("PATCH", "/v1/certificates/{certificate}", own.clone(), json!({ "labels": { "server": "web1" } })),
        ("POST", "/v1/certificates/{certificate}/pause", format!("{own}/pause"), nothing()),
        ("POST", "/v1/certificates/{certificate}/resume", format!("{own}/resume"), nothing()),
        ("POST", "/v1/orders/{order}/cancel", format!("/v1/orders/{order}/cancel"), nothing()),
        ("POST", "/v1/certificates/{certificate}/retry", format!("{own}/retry"), nothing()),
        ("POST", "/v1/certificates/{certificate}/renew", format!("{own}/renew"), nothing()),
        (
            "POST",
            "/v1/certificates/{certificate}/revoke",
            format!("{own}/revoke"),
            json!({ "reason": "superseded", "replace": false }),
        ),
        ("DELETE", "/v1/certificates/{certificate}", own, nothing()),
        ("PUT", "/v1/hostnames/{hostname}", "/v1/hostnames/h1.com".into(), json!({ "tenant": "beta-co" })),
        (
            "PUT",
            "/v1/hostnames/{hostname}",
            "/v1/hostnames/h1.com".into(),
            json!({ "tenant": "beta-co", "labels": { "a": "b" } }),
        ),
        ("DELETE", "/v1/hostnames/{hostname}", "/v1/hostnames/h1.com".into(), nothing()),
    ];
    for (method, route, path, body) in steps {
        if route.ends_with("/revoke") {
            issue(world, &site, START).await;
        }
        let body = if method == "DELETE" { Value::Null } else { body };
        answers.push((method, route, write(world, method, &path, &world.operator, &body).await));
    }
    answers
}

/// The life of a campaign.
async fn campaigns(world: &World) -> Vec<(&'static str, &'static str, Answer)> {
    const ONE: &str = "/v1/campaigns/{campaign}";
    let certificates = world.get("/v1/certificates?tenant=beta-co").await.json();
    let one = &certificates["data"][0];
    let names = one["names"].as_array().expect("names").iter();
    let site = Site {
        id: one["id"].as_str().expect("an id").parse().expect("a certificate's"),
        names: names.map(|name| name.as_str().expect("a name").to_owned()).collect(),
    };
    issue(world, &site, START).await;
    let wanted = json!({
        "reason": "the CA revokes it", "deadline": START.after(std::time::Duration::from_hours(24)),
        "selector": { "tenant": "beta-co" },
    });
    let made = write(world, "POST", "/v1/campaigns", &world.operator, &wanted).await;
    let own = format!("/v1/campaigns/{}", made.json()["id"].as_str().expect("an id"));
    let changed = write(world, "PATCH", &own, &world.operator, &json!({ "status": "paused" })).await;
    let ended = write(world, "DELETE", &own, &world.operator, &Value::Null).await;
    vec![("POST", "/v1/campaigns", made), ("PATCH", ONE, changed), ("DELETE", ONE, ended)]
}

/// What is asked of imports: one is taken back, another called off.
async fn imports(world: &World) -> Vec<(&'static str, Answer)> {
    let mut answers = Vec::new();
    for (row, wishes) in [
        ("beta-co,b8,b8.com,http-01,\n", ["commit", "rollback"].as_slice()),
        ("beta-co,b9,b9.com,http-01,\n", &["cancel"]),
    ] {
        let request = world
            .request(Method::POST, "/v1/imports?mode=preview", &world.operator)
            .header("content-type", "text/csv");
        let uploaded =
            world.send(request.body(Full::from(format!("{HEADER}{row}"))).expect("a request")).await;
        let id = uploaded.json()["id"].as_str().expect("an id").to_owned();
        answers.push(("/v1/imports", uploaded));
        for wish in wishes {
            intake(world, 1).work_off_now().await.expect("the database is there");
            let route = match *wish {
                "commit" => "/v1/imports/{import}/commit",
                "rollback" => "/v1/imports/{import}/rollback",
                _ => "/v1/imports/{import}/cancel",
            };
            let request = world.request(Method::POST, &format!("/v1/imports/{id}/{wish}"), &world.operator);
            answers.push((route, world.send(request.body(Full::default()).expect("a request")).await));
        }
    }
    answers
}

async fn write(world: &World, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    let method: Method = method.parse().expect("a method");
    let body = (!body.is_null()).then(|| body.clone());
    // Whatever version it is.
    let name = uuid::Uuid::new_v4().to_string();
    world.json_as(token, method, path, &[("if-match", "*"), ("idempotency-key", &name)], body).await
}

async fn update_label(world: &World, registered: &Value) -> Answer {
    let text = |name: &str| registered[name].as_str().expect("a text").to_owned();
    let body = json!({ "subdomain": text("subdomain"), "txt": "x".repeat(43) }).to_string();
    let request = world
        .request(Method::POST, "/acme-dns/update", "none")
        .header("x-api-user", text("username"))
        .header("x-api-key", text("password"));
    world.send(request.body(Full::from(Bytes::from(body))).expect("a request")).await
}

async fn assert_told(world: &World, answer: &Answer, actor: &str, method: &str, path: &str) {
    let request_id = answer.headers["x-request-id"].to_str().expect("ASCII");
    let told: Vec<(String, String, String, Option<String>, Value)> = sqlx::query_as(
        "select kind, actor_kind, actor_name, host(address), data from events where request_id = $1",
    )
    .bind(request_id)
    .fetch_all(&world.pool)
    .await
    .expect("the audit");
    assert!(!told.is_empty(), "{method} {path} is not in the audit");
    for (what, kind, name, address, data) in told {
        assert_eq!((kind.as_str(), address.as_deref()), (actor, Some("127.0.0.1")), "{method} {path}");
        assert!(!name.is_empty(), "{method} {path}");
        let text = data.to_string();
        assert!(!text.contains("lockkeeper_operator_") || text.contains('…'), "{method} {path}: {text}");
        // What is asked for of a certificate or an order is said by the word for it.
        let by_word = ["certificate.", "order."].iter().any(|object| what.starts_with(object));
        assert!(
            by_word || ["before", "after"].iter().any(|side| data.get(side).is_some()),
            "{method} {path}: {what} {text}"
        );
    }
}
