use http::{Method, StatusCode};
use http_body_util::Full;
use sqlx::PgPool;

use crate::world::{Answer, World};

async fn two_tenants(pool: PgPool) -> (World, String) {
    let world = World::start(pool).await;
    world.import("t1,s1,one.com www.one.com,http-01,\nt2,s1,two.com,http-01,\n").await;
    let token = world.token_of("t1").await;
    (world, token)
}

async fn send(world: &World, token: &str, method: Method, path: &str, body: &'static str) -> Answer {
    let request = world.request(method, path, token).header("content-type", "application/json");
    world.send(request.body(Full::from(body)).expect("a request")).await
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_name_is_explained_to_its_owner_and_does_not_exist_for_others(pool: PgPool) {
    let (world, token) = two_tenants(pool).await;
    let mine = world.get_as(&token, "/v1/hostnames/www.one.com").await;
    let view = mine.json();
    assert_eq!(
        (mine.status, &view["status"], &view["stage"]),
        (StatusCode::OK, &"issuing".into(), &"accepted".into())
    );
    assert_eq!((&view["verdict"], &view["checks"]), (&serde_json::Value::Null, &serde_json::json!([])));
    // As written in any case, with a dot at the end, or in Unicode: it is the same name.
    assert_eq!(world.get_as(&token, "/v1/hostnames/WWW.One.com").await.status, StatusCode::OK);
    for path in
        ["/v1/hostnames/two.com", "/v1/hostnames/nobodys.com", "/v1/hostnames/-", "/v1/hostnames/a%20b"]
    {
        let answer = world.get_as(&token, path).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::NOT_FOUND, "not-found"),
            "{path}"
        );
    }
    for path in ["/v1/hostnames/two.com/check", "/v1/hostnames/two.com/resume"] {
        let answer = send(&world, &token, Method::POST, path, "").await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::NOT_FOUND, "not-found"),
            "{path}"
        );
    }
    assert_eq!(world.rows("hostname_checks").await, 0, "a wish for another's name is not written");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_check_is_a_wish_that_waits_for_a_worker(pool: PgPool) {
    let (world, token) = two_tenants(pool).await;
    // No worker runs here: the wish stays, and whoever waits is told so when the time is over.
    let request =
        world.request(Method::POST, "/v1/hostnames/one.com/check", &token).header("prefer", "wait=1");
    let answer = world.send(request.body(Full::default()).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(answer.json()["check_requested_at"].is_string(), "{}", answer.json());
    assert_eq!(world.rows("hostname_checks where wished_at is not null").await, 1);
    let again = send(&world, &token, Method::POST, "/v1/hostnames/one.com/check", "").await;
    assert_eq!((again.status, world.rows("hostname_checks").await), (StatusCode::ACCEPTED, 1));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_suspended_name_is_told_and_taken_up_again_by_its_owner(pool: PgPool) {
    let (world, token) = two_tenants(pool).await;
    world
        .execute(
            "insert into hostname_backoffs (account_id, hostname, failures, blocked_until, at_ca, fault_class, fault_detail,
                 failed_at, broken_since, look_at, suspended_at)
             select account_id, 'one.com', 7, '2027-01-01', false, 'wrong_address', '192.0.2.9 is none of the hosting servers',
                 '2026-11-20', '2026-10-01', '2026-11-20', '2026-11-20'
             from accounts;
             update orders set stage = 'parked', fault_class = 'wrong_address', fault_detail = 'x', fault_hostname = 'one.com',
                 in_line = false, due_at = '2126-01-01'
             where names @> array['one.com']",
        )
        .await;
    let view = world.get_as(&token, "/v1/hostnames/one.com").await.json();
    assert_eq!((&view["status"], &view["next_attempt_at"]), (&"suspended".into(), &serde_json::Value::Null));
    assert_eq!((&view["actor"], &view["fault"]["class"]), (&"tenant".into(), &"wrong_address".into()));
    let resumed = send(&world, &token, Method::POST, "/v1/hostnames/one.com/resume", "").await;
    let view = resumed.json();
    assert_eq!((resumed.status, &view["status"]), (StatusCode::OK, &"not_ready".into()), "{view}");
    assert_eq!(world.rows("orders where stage = 'parked' and due_at < '2027-01-01'").await, 1);
    // Once more does no harm.
    let again = send(&world, &token, Method::POST, "/v1/hostnames/one.com/resume", "").await;
    assert_eq!(again.status, StatusCode::OK);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn checks_are_skipped_and_judged_by_the_operator_alone(pool: PgPool) {
    let (world, token) = two_tenants(pool).await;
    let path = "/v1/hostnames/one.com/overrides/response";
    let body = r#"{"note":"the check does not see the second site"}"#;
    for (method, path, body) in [
        (Method::PUT, path, body),
        (Method::DELETE, path, ""),
        (Method::GET, "/v1/checks", ""),
        (Method::PUT, "/v1/checks/response/standing", r#"{"standing":"advice"}"#),
    ] {
        let answer = send(&world, &token, method, path, body).await;
        assert_eq!(answer.problem(), "forbidden-scope", "{path}");
    }
    let operator = world.operator.clone();
    let written = send(&world, &operator, Method::PUT, path, body).await;
    assert_eq!(written.json()["overrides"][0]["check"], "response", "{}", written.json());
    for (path, body, status) in [
        (path, r#"{"note":"  "}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (path, r#"{"note":"x","expires_at":"2020-01-01T00:00:00Z"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (path, r#"{"skip":true}"#, StatusCode::BAD_REQUEST),
        ("/v1/hostnames/one.com/overrides/luck", body, StatusCode::NOT_FOUND),
        ("/v1/hostnames/nobodys.com/overrides/response", body, StatusCode::NOT_FOUND),
    ] {
        assert_eq!(send(&world, &operator, Method::PUT, path, body).await.status, status, "{path} {body}");
    }
    assert_eq!(
        send(&world, &operator, Method::DELETE, path, "").await.json()["overrides"],
        serde_json::json!([])
    );
    assert_eq!(send(&world, &operator, Method::DELETE, path, "").await.status, StatusCode::NOT_FOUND);

    let changed =
        send(&world, &operator, Method::PUT, "/v1/checks/nodes/standing", r#"{"standing":"advice"}"#)
            .await
            .json();
    let nodes =
        changed["data"].as_array().expect("a list").iter().find(|one| one["check"] == "nodes").cloned();
    let nodes = nodes.expect("it is one of them");
    assert_eq!((&nodes["standing"], &nodes["standing_by"]), (&"advice".into(), &"operator".into()));
}
