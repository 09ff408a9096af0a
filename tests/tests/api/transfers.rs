//! Hostnames that go from one tenant to another.

use std::time::Duration;

use http::{Method, StatusCode};
use lockkeeper::store::events::Actor;
use lockkeeper::store::transfers::{self, Looked};
use lockkeeper::store::viewer::Viewer;
use lockkeeper::store::work::Work;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::{Answer, START, World};

async fn ask(world: &World, key: &str, hostname: &str, body: &Value) -> Answer {
    world.send_json(Method::POST, &format!("/v1/hostnames/{hostname}/transfer"), key, body).await
}

/// As the reconciler does it, with what its look has seen.
async fn follow(world: &World, after: Duration, looked: Looked) -> usize {
    let at = START.after(after);
    let due = world.store.claim_transfers(at, at.after(Duration::from_mins(2)), 10).await.expect("claimed");
    for one in &due {
        let actor = Actor::service("transfers");
        let mut work = Work::begin(&world.store, Viewer::Operator, actor, at).await.expect("begun");
        transfers::follow(&mut work, one, &looked).await.expect("followed");
        work.commit().await.expect("committed");
    }
    due.len()
}

fn missing(next: Duration) -> Looked {
    Looked::Missing { detail: "ns1.example shows nothing".to_owned(), next_at: START.after(next) }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_name_goes_to_whoever_proves_it(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("old,o1,shop.com,http-01,\nnew,n1,new.com,http-01,\n").await;
    world.import("old,o2,shop.com mail.com,http-01,\n").await;
    let (old, new) = (world.token_of("old").await, world.token_of("new").await);
    let taken = world.import_as(&new, "new,n2,shop.com,http-01,\n").await.json();
    assert_eq!(taken["refused"][0]["code"], "hostname_owned_by_other_tenant");

    let asked = ask(&world, &new, "shop.com", &json!({})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.json());
    let record = asked.json()["record"].clone();
    assert_eq!((&record["type"], &record["name"]), (&json!("TXT"), &json!("_lockkeeper-transfer.shop.com")));
    let again = ask(&world, &new, "shop.com", &json!({})).await;
    assert_eq!(again.json()["record"], record, "asked again, it is the same record");
    assert_eq!(ask(&world, &old, "shop.com", &json!({})).await.problem(), "hostname-own-already");
    assert_eq!(ask(&world, &new, "free.com", &json!({})).await.problem(), "hostname-free");
    let path = "/v1/hostnames/shop.com/transfer";
    assert_eq!(
        world.get_as(&old, path).await.status,
        StatusCode::NOT_FOUND,
        "who asks is not told to the owner"
    );

    assert_eq!(follow(&world, Duration::ZERO, missing(Duration::from_mins(1))).await, 1);
    let view = world.get_as(&new, path).await.json();
    assert_eq!((&view["status"], &view["detail"]), (&json!("waiting"), &json!("ns1.example shows nothing")));
    assert_eq!(world.get_as(&new, "/v1/hostnames/shop.com").await.status, StatusCode::NOT_FOUND);
    assert_eq!(follow(&world, Duration::from_secs(30), Looked::Shown).await, 0, "it is not due yet");
    assert_eq!(follow(&world, Duration::from_mins(1), Looked::Shown).await, 1);

    assert_eq!(world.get_as(&new, path).await.json()["status"], "moved");
    assert_eq!(world.get_as(&new, "/v1/hostnames/shop.com").await.status, StatusCode::OK);
    assert_eq!(world.get_as(&old, "/v1/hostnames/shop.com").await.status, StatusCode::NOT_FOUND);
    // The wish for nothing else is given up, the other goes on without the name, and neither is ordered any more.
    assert_eq!(world.rows("certificates where external_id = 'o1' and given_up_at is not null").await, 1);
    assert_eq!(
        world
            .rows("certificates where external_id = 'o2' and names = '{mail.com}' and given_up_at is null")
            .await,
        1
    );
    assert_eq!(world.rows("orders where stage = 'cancelled' and 'shop.com' = any(names)").await, 2);
    assert_eq!(world.rows("orders where stage <> 'cancelled' and 'shop.com' = any(names)").await, 0);
    assert_eq!(
        world.rows("events where kind = 'hostname.transferred_away' and subject = 'shop.com'").await,
        1
    );
    assert_eq!(world.rows("events where kind = 'certificate.name_lost'").await, 2);
    assert_eq!(world.rows("events where kind = 'hostname.transferred' and subject = 'shop.com'").await, 1);
    let granted = world.import_as(&new, "new,n2,shop.com,http-01,\n").await.json();
    assert_eq!(granted["rows_created"], 1, "{granted}");
    let refused = world.import_as(&old, "old,o1,shop.com,http-01,\n").await.json();
    assert_eq!(refused["refused"][0]["code"], "hostname_owned_by_other_tenant");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_request_ends_by_itself_or_by_who_made_it(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("old,o1,shop.com,http-01,\nnew,n1,new.com,http-01,\n").await;
    let new = world.token_of("new").await;
    let path = "/v1/hostnames/shop.com/transfer";
    ask(&world, &new, "shop.com", &json!({})).await;
    assert_eq!(world.send_json(Method::DELETE, path, &new, &json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get_as(&new, path).await.json()["status"], "withdrawn");
    assert_eq!(follow(&world, Duration::ZERO, Looked::Shown).await, 0);
    ask(&world, &new, "shop.com", &json!({})).await;
    let late = transfers::GOOD_FOR + Duration::from_secs(1);
    assert_eq!(follow(&world, late, missing(late * 2)).await, 1);
    assert_eq!(world.get_as(&new, path).await.json()["status"], "expired");
    assert_eq!(world.get_as(&new, "/v1/hostnames/shop.com").await.status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_operator_moves_a_name_by_its_word(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("old,o1,shop.com,http-01,\nnew,n1,new.com,http-01,\n").await;
    let nobody = ask(&world, &world.operator, "shop.com", &json!({})).await;
    assert_eq!(nobody.json()["errors"][0]["pointer"], "/tenant");
    let moved = ask(&world, &world.operator, "shop.com", &json!({ "tenant": "new" })).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.json());
    assert_eq!(moved.json()["given_up"].as_array().map(Vec::len), Some(1));
    let new = world.token_of("new").await;
    assert_eq!(world.get_as(&new, "/v1/hostnames/shop.com").await.status, StatusCode::OK);
}
