//! What nobody's step tells is told once, by however many replicas find it.

use std::time::Duration;

use issuance::time::Timestamp;
use lockkeeper::store::announcements::LimitLeft;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::{START, World};

const HOUR: Duration = Duration::from_hours(1);

/// Kinds and data, in their order.
async fn told(world: &World) -> Vec<(String, Value)> {
    sqlx::query_as("select kind, data from events order by xid, seq")
        .fetch_all(&world.pool)
        .await
        .expect("events")
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_limit_is_told_of_when_it_comes_to_another_stage(pool: PgPool) {
    let world = World::start(pool).await;
    let account = crate::world::ACCOUNT;
    let mut kinds = Vec::new();
    for (hour, left) in [0.5, 0.1, 0.05, 0.0, 0.02, 0.2, 0.0, 0.3, 0.3, 0.0].into_iter().enumerate() {
        let now = START.after(HOUR * u32::try_from(hour).expect("few"));
        let limit = LimitLeft { name: "new_orders_per_account", left, data: json!({ "left": left }) };
        let limits = [limit];
        let looks = (0..4).map(|_| world.store.tell_headroom(account, &limits, now));
        let told: u64 =
            futures_util::future::join_all(looks).await.into_iter().map(|one| one.expect("told")).sum();
        assert!(told <= 1, "of four replicas one tells");
        kinds.extend((told == 1).then_some(left));
    }
    let told = told(&world).await;
    let heard: Vec<(&str, f64)> =
        told.iter().map(|(kind, data)| (&**kind, data["left"].as_f64().expect("a number"))).collect();
    let expected = [
        ("headroom.low", 0.1),
        ("headroom.exhausted", 0.0),
        ("headroom.recovered", 0.3),
        ("headroom.exhausted", 0.0),
    ];
    assert_eq!(heard, expected);
    assert_eq!(kinds, [0.1, 0.0, 0.3, 0.0]);
}

/// A certificate whose renewal does not come: when a fifth of its life is left, on the last day, and when it is over.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_end_that_comes_near_is_told_in_three_steps(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,one.com,http-01,\n").await;
    world
        .execute(
            "delete from events;
             insert into issued_certificates (order_id, certificate_id, tenant_id, account_id, names, serial,
                 fingerprint_sha256, spki_sha256, issuer, chain_pem, key_sealed, not_before, not_after, issued_at)
             select order_id, certificate_id, tenant_id, account_id, names, '01', '', '', 'x', '', '',
                 '2027-01-01', '2027-04-11', '2027-01-01'
             from orders;
             insert into renewals (certificate_id, account_id, order_id, not_after, renew_at, look_at)
             select certificate_id, account_id, order_id, not_after, '2027-03-08', '2027-03-08' from issued_certificates",
        )
        .await;
    let day = |number: u64| {
        // From 2027-01-01.
        Timestamp::from_unix_seconds(1_798_761_600).after(Duration::from_hours(24 * number))
    };
    let mut steps = Vec::new();
    for number in 0..110 {
        for _ in 0..2 {
            let told = world.store.tell_expiring(crate::world::ACCOUNT, day(number)).await.expect("told");
            steps.extend((0..told).map(|_| number));
        }
    }
    assert_eq!(steps, [80, 99, 100]);
    let told = told(&world).await;
    assert!(told.iter().all(|(kind, _)| kind == "certificate.expiring"), "{told:?}");
    let expired: Vec<&Value> = told.iter().map(|(_, data)| &data["expired"]).collect();
    assert_eq!(
        (expired, &told[0].1["external_id"]),
        (vec![&json!(false), &json!(false), &json!(true)], &json!("s1"))
    );
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_authorization_that_is_stuck_is_told_once(pool: PgPool) {
    let world = World::start(pool).await;
    crate::settle::two_that_wait(&world).await;
    let account = crate::world::ACCOUNT;
    assert_eq!(
        world.store.tell_stuck(account, START, START).await.expect("told"),
        0,
        "their deadlines are far"
    );
    world.execute("update authorizations set settle_at = '2026-11-21' where identifier = 'one.com'").await;
    for expected in [1, 0] {
        assert_eq!(world.store.tell_stuck(account, START, START).await.expect("told"), expected);
    }
    let event = world.get("/v1/events?kind=authorization.stuck").await.json()["data"][0].clone();
    assert_eq!(event["data"]["identifier"], "one.com");
    let id = event["subject"].as_str().expect("an id");
    assert_eq!(world.get(&format!("/v1/authorizations/{id}")).await.json()["identifier"], "one.com");
    assert_eq!(event["tenant_id"], json!(world.tenant("t1").await));
}
