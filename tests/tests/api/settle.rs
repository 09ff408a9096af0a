//! Open authorizations: why they are open, and the wish to have one settled.

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use sqlx::PgPool;

use crate::world::{Answer, START, World};

/// An ended order for each of two tenants, with an authorization that waits until its deactivation takes nothing.
pub(crate) async fn two_that_wait(world: &World) {
    world.import("t1,s1,one.com,http-01,\nt2,s2,two.com,http-01,\n").await;
    world
        .execute(
            "update orders set stage = 'failed', fault_class = 'presentation_failed', fault_detail = 'x',
                 ended_at = '2026-11-21', due_at = '2126-11-21';
             insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier,
                 status, origin, opened_at, expires_at, settle_at)
             select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz/' || names[1],
                 names[1], 'pending', 'ours', '2026-11-21', '2126-11-28', '2126-11-21'
             from orders",
        )
        .await;
}

/// The one open authorization of the name.
pub(crate) async fn open_of(world: &World, name: &str) -> Value {
    let all = world.get("/v1/authorizations?open=true").await.json();
    let all = all["data"].as_array().expect("a list");
    all.iter().find(|one| one["identifier"] == name).unwrap_or_else(|| panic!("{name}: {all:?}")).clone()
}

pub(crate) async fn id_of(world: &World, name: &str) -> String {
    open_of(world, name).await["id"].as_str().expect("an id").to_owned()
}

async fn settle_as(world: &World, token: &str, id: &str, query: &str) -> Answer {
    let path = format!("/v1/authorizations/{id}/settle{query}");
    let request = world.request(Method::POST, &path, token).body(Full::default()).expect("a request");
    world.send(request).await
}

async fn settle(world: &World, id: &str, query: &str) -> Answer {
    settle_as(world, &world.operator, id, query).await
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_open_one_says_why_until_when_and_what_it_costs(pool: PgPool) {
    let world = World::start(pool).await;
    two_that_wait(&world).await;
    let open = open_of(&world, "one.com").await;
    let until = "2126-11-21T00:00:00Z";
    assert_eq!((&open["tenant"], &open["external_id"]), (&"t1".into(), &"s1".into()), "{open}");
    assert_eq!((&open["order_stage"], &open["settle_at"]), (&"failed".into(), &until.into()), "{open}");
    let outlook = serde_json::json!({
        "why": "awaits_failure_budget", "next": "deactivate", "next_at": until, "cost": "failure_token",
    });
    assert_eq!(open["outlook"], outlook);

    let id = open["id"].as_str().expect("an id");
    assert_eq!(world.get(&format!("/v1/authorizations/{id}")).await.json(), open);
    let order = open["order_id"].as_str().expect("an id");
    let order = world.get(&format!("/v1/orders/{order}")).await.json();
    assert_eq!(order["authorizations"][0], open, "the same wherever it is shown");

    world
        .execute(
            "update authorizations set settled_at = '2026-11-22', final_at = '2026-11-22', status = 'valid'",
        )
        .await;
    let settled = world.get(&format!("/v1/authorizations/{id}")).await.json();
    assert!(settled["outlook"].is_null() && settled["settle_at"].is_null(), "{settled}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_wish_is_written_and_the_order_is_due(pool: PgPool) {
    let world = World::start(pool).await;
    two_that_wait(&world).await;
    let id = id_of(&world, "one.com").await;
    let before = open_of(&world, "one.com").await;

    let told = settle(&world, &id, "?dry_run=true").await;
    assert_eq!(told.status, StatusCode::OK);
    let report = told.json();
    assert_eq!((&report["dry_run"], &report["cost"]), (&true.into(), &"failure_token".into()), "{report}");
    assert!(report["detail"].as_str().is_some_and(|detail| detail.contains("failed validation")), "{report}");
    assert_eq!(open_of(&world, "one.com").await, before, "nothing is written");

    let wished = settle(&world, &id, "").await;
    assert_eq!((wished.status, &wished.json()["dry_run"]), (StatusCode::ACCEPTED, &false.into()));
    tokio::time::timeout(std::time::Duration::from_secs(10), world.wake.notified()).await.expect("it rings");
    let open = open_of(&world, "one.com").await;
    let now = START.to_string();
    assert_eq!(
        (&open["settle_requested_at"], &open["next_attempt_at"]),
        (&now.as_str().into(), &now.as_str().into())
    );
    assert_eq!(open["outlook"]["why"], "being_decided", "it waits no longer");
    let other = open_of(&world, "two.com").await;
    assert_eq!(other["outlook"]["why"], "awaits_failure_budget", "nobody else's");

    world.clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(settle(&world, &id, "").await.status, StatusCode::ACCEPTED);
    assert_eq!(open_of(&world, "one.com").await["settle_requested_at"], now.as_str(), "written once");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_cannot_be_settled_says_why(pool: PgPool) {
    let world = World::start(pool).await;
    two_that_wait(&world).await;
    let id = id_of(&world, "one.com").await;
    let refusal = async || {
        let answer = settle(&world, &id, "").await;
        let retry = answer.headers.contains_key("retry-after");
        (answer.status, answer.problem(), retry)
    };

    let unknown = settle(&world, "azn_00000000000000000000000000", "").await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (StatusCode::NOT_FOUND, "not-found"));
    let misspelt = settle(&world, &id, "?dryrun=true").await;
    assert_eq!(
        (misspelt.status, misspelt.problem().as_str()),
        (StatusCode::BAD_REQUEST, "validation-failed")
    );
    let tenant = world.token_of("t1").await;
    let forbidden = settle_as(&world, &tenant, &id, "").await;
    assert_eq!((forbidden.status, forbidden.problem().as_str()), (StatusCode::FORBIDDEN, "forbidden-scope"));

    world
        .execute(
            "update orders set lease_holder = gen_random_uuid(), lease_expires_at = due_at;
             update authorizations set settle_requested_at = null",
        )
        .await;
    assert_eq!(refusal().await, (StatusCode::CONFLICT, "order-in-hand".to_owned(), true));

    world
        .execute(
            "update orders set stage = 'placed', ended_at = null, admitted_at = '2026-11-21', asks = 1,
                 hold_until = '2026-11-28', ca_order_url = order_id::text, finalize_url = 'https://ca.test/f',
                 ca_expires_at = '2026-11-28', lease_holder = null, lease_expires_at = null",
        )
        .await;
    assert_eq!(refusal().await, (StatusCode::CONFLICT, "order-on-its-way".to_owned(), false));
    world.execute("update orders set stage = 'presented', looks = 1").await;
    assert_eq!(open_of(&world, "one.com").await["outlook"]["why"], "awaits_response");
    assert_eq!(
        settle(&world, &id, "?dry_run=true").await.status,
        StatusCode::OK,
        "what waits may be settled"
    );

    world.execute("update authorizations set settled_at = '2026-11-22', final_at = '2026-11-22', status = 'expired'").await;
    assert_eq!(refusal().await, (StatusCode::CONFLICT, "already-settled".to_owned(), false));
    let wishes = "select count(*) from authorizations where settle_requested_at is not null";
    let written: i64 = sqlx::query_scalar(wishes).fetch_one(&world.pool).await.expect("a count");
    assert_eq!(written, 0, "a refused wish is not written");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn anothers_authorization_does_not_exist(pool: PgPool) {
    let world = World::start(pool).await;
    two_that_wait(&world).await;
    let (mine, other) = (id_of(&world, "one.com").await, id_of(&world, "two.com").await);
    let token = world.token_of("t1").await;
    assert_eq!(world.get_as(&token, &format!("/v1/authorizations/{mine}")).await.status, StatusCode::OK);
    let hidden = world.get_as(&token, &format!("/v1/authorizations/{other}")).await;
    assert_eq!((hidden.status, hidden.problem().as_str()), (StatusCode::NOT_FOUND, "not-found"));
}
