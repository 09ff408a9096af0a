//! The orphan inbox: who sees it, and what may be asked of what is in it.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::{START, World};

/// One of each kind; the order of the first is in a worker's hands.
async fn inbox(world: &World) {
    world.import("acme,s1,one.example.com,http-01,\nacme,s2,two.example.com,http-01,\n").await;
    sqlx::query(
        "with numbered as (select *, row_number() over (order by names) as nr from orders),
             held as (update orders set lease_expires_at = $1 + interval '20 seconds', lease_holder = gen_random_uuid()
                 where names = '{one.example.com}')
         insert into orphans (url, account_id, order_id, kind, units, learnt_at, looked_at)
         select 'https://ca.test/' || kind, account_id, order_id, kind, units, $1 - interval '2 minutes',
             $1 - interval '1 minute'
         from numbered
         join (values (1, 'order', 2), (2, 'authorization', 1), (2, 'certificate', 0)) as found (nr, kind, units) using (nr)",
    )
    .bind(time::OffsetDateTime::from_unix_timestamp(START.unix_seconds()).expect("an instant"))
    .execute(&world.pool)
    .await
    .expect("an inbox");
}

async fn waiting(world: &World, kind: &str) -> Value {
    let found = world.get("/v1/orphans").await.json();
    let found = found["data"].as_array().expect("rows").iter().find(|one| one["kind"] == kind);
    found.unwrap_or(&Value::Null).clone()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_operator_sees_what_was_found_at_the_ca_and_what_is_done_about_it(pool: PgPool) {
    let world = World::start(pool).await;
    inbox(&world).await;
    let order = waiting(&world, "order").await;
    assert_eq!(
        (&order["url"], &order["tenant"], &order["units"]),
        (&json!("https://ca.test/order"), &json!("acme"), &json!(2))
    );
    assert_eq!(order["names"], json!(["one.example.com"]));
    assert!(order["held_until"].is_string(), "a worker has its order: {order}");
    let detail = order["detail"].as_str().expect("words");
    assert!(detail.contains("as soon as no worker has its order"), "{detail}");
    let authorization = waiting(&world, "authorization").await;
    assert!(
        authorization["held_until"].is_null() && authorization["settle_at"].is_string(),
        "{authorization}"
    );
    assert!(waiting(&world, "certificate").await["settle_at"].is_null(), "there is nothing to settle");

    let tenant = world.token_of("acme").await;
    assert_eq!(world.get_as(&tenant, "/v1/orphans").await.status, StatusCode::FORBIDDEN);
    let path = format!("/v1/orphans/{}/settle", authorization["id"].as_str().expect("an id"));
    let refused = world.send_json(Method::POST, &path, &tenant, &Value::Null).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn it_is_looked_at_first_and_settled_at_once_where_that_is_wished(pool: PgPool) {
    let world = World::start(pool).await;
    inbox(&world).await;
    let (order, authorization) = (waiting(&world, "order").await, waiting(&world, "authorization").await);
    let id = |of: &Value| of["id"].as_str().expect("an id").to_owned();
    let post = async |id: &str, wish: &str| {
        world.json_as(&world.operator, Method::POST, &format!("/v1/orphans/{id}/{wish}"), &[], None).await
    };
    let looked = post(&id(&order), "look").await;
    assert_eq!(looked.status, StatusCode::ACCEPTED, "{}", looked.json());
    let after = waiting(&world, "order").await;
    assert_eq!((&after["looked_at"], &after["settle_requested_at"]), (&Value::Null, &Value::Null));
    let settled = post(&id(&authorization), "settle").await;
    assert_eq!(settled.status, StatusCode::ACCEPTED, "{}", settled.json());
    let after = waiting(&world, "authorization").await;
    assert_eq!(after["settle_requested_at"], json!(START.to_string()), "{after}");
    assert_eq!(after["settle_at"], after["settle_requested_at"], "and not by the deadline");
    assert!(after["looked_at"].is_null(), "{after}");
    let told: Vec<(String, String)> =
        sqlx::query_as("select kind, subject from events where kind like 'orphan.%' order by seq")
            .fetch_all(&world.pool)
            .await
            .expect("events");
    let expected = [("orphan.look_requested", id(&order)), ("orphan.settle_requested", id(&authorization))];
    assert_eq!(told, expected.map(|(kind, id)| (kind.to_owned(), id)));

    world.execute("update orphans set resolved_at = learnt_at, resolution = 'gone'").await;
    assert_eq!(post(&id(&order), "look").await.status, StatusCode::NOT_FOUND, "nothing is left of it");
    assert_eq!(world.get("/v1/orphans").await.json()["data"], json!([]));
}
