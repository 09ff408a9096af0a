use http::StatusCode;
use serde_json::Value;
use sqlx::PgPool;

use crate::world::World;

/// One certificate, order and authorization for each of two tenants.
async fn two_tenants(world: &World) {
    world.import("t1,s1,one.com,http-01,\nt2,s1,two.com,http-01,\n").await;
    world
        .execute(
            "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin, opened_at, expires_at, challenge_type, challenge_url, token, key_authorization)
             select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz/' || names[1], names[1], 'pending', 'ours', '2026-11-21', '2026-11-28', 'http-01', 'https://ca.test/chall', 'secret-token', 'secret-key-authorization'
             from orders",
        )
        .await;
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_tenant_sees_its_own_rows_on_every_route(pool: PgPool) {
    let world = World::start(pool).await;
    two_tenants(&world).await;
    let token = world.token_of("t1").await;
    for path in ["/v1/certificates", "/v1/orders", "/v1/authorizations", "/v1/authorizations?open=true"] {
        let all = world.get(path).await.json();
        assert_eq!(all["data"].as_array().map(Vec::len), Some(2), "the operator sees all of {path}");
        let answer = world.get_as(&token, path).await;
        let mine = answer.json();
        let tenants: Vec<&Value> =
            mine["data"].as_array().expect("a list").iter().map(|row| &row["tenant"]).collect();
        assert_eq!(tenants, ["t1"], "{path}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("two.com") && !text.contains("secret"), "{path}: {text}");
    }
    for path in [
        "/v1/certificates?tenant=t2",
        "/v1/orders?tenant=t2",
        "/v1/authorizations?tenant=t2",
        "/v1/certificates?hostname=two.com",
    ] {
        let found = world.get_as(&token, path).await.json();
        assert_eq!(found["data"].as_array().map(Vec::len), Some(0), "{path}");
    }
    let summary = world.get_as(&token, "/v1/summary").await.json();
    assert_eq!(
        (summary["certificates"].as_u64(), summary["open_authorizations"].as_u64()),
        (Some(1), Some(1))
    );
    for path in ["/v1/headroom", "/v1/paused-names"] {
        let answer = world.get_as(&token, path).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::FORBIDDEN, "forbidden-scope"),
            "{path}"
        );
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn anothers_objects_do_not_exist(pool: PgPool) {
    let world = World::start(pool).await;
    two_tenants(&world).await;
    let token = world.token_of("t1").await;
    let certificates = world.get("/v1/certificates").await.json();
    for row in certificates["data"].as_array().expect("a list") {
        let (certificate, order) =
            (row["id"].as_str().expect("an id"), row["order_id"].as_str().expect("an id"));
        let expected = if row["tenant"] == "t1" { StatusCode::OK } else { StatusCode::NOT_FOUND };
        for path in [format!("/v1/certificates/{certificate}"), format!("/v1/orders/{order}")] {
            assert_eq!(world.get_as(&token, &path).await.status, expected, "{path}");
            assert_eq!(world.get(&path).await.status, StatusCode::OK, "{path}");
        }
        let chain = world.get_as(&token, &format!("/v1/certificates/{certificate}/chain")).await;
        let code = if row["tenant"] == "t1" { "not-issued-yet" } else { "not-found" };
        assert_eq!(chain.problem(), code, "the chain's absence tells a stranger nothing");
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn no_route_opens_without_a_good_token(pool: PgPool) {
    let world = World::start(pool).await;
    two_tenants(&world).await;
    let mut broken = world.operator.clone();
    broken.pop();
    let paths = [
        "/v1/certificates",
        "/v1/certificates/crt_00000000000000000000000000",
        "/v1/certificates/crt_00000000000000000000000000/chain",
        "/v1/orders",
        "/v1/orders/ord_00000000000000000000000000",
        "/v1/authorizations",
        "/v1/headroom",
        "/v1/paused-names",
        "/v1/summary",
    ];
    for path in paths {
        for token in ["", "nonsense", broken.as_str()] {
            let answer = world.get_as(token, path).await;
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (StatusCode::UNAUTHORIZED, "unauthenticated"),
                "{path}"
            );
            assert!(
                answer.headers["www-authenticate"].to_str().expect("ASCII").starts_with("Bearer"),
                "{path}"
            );
        }
    }
    assert_eq!(world.import_as("nonsense", "").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.get_as("", "/livez").await.status, StatusCode::OK);
    assert_eq!(world.get_as("", "/readyz").await.status, StatusCode::OK);
}
