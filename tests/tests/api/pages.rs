use std::collections::BTreeSet;

use http::StatusCode;
use sqlx::PgPool;

use crate::world::{World, lines};

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn pages_neither_repeat_nor_hide_a_row_while_rows_are_added(pool: PgPool) {
    let world = World::start(pool).await;
    let rows = lines((0..250).map(|n| format!("t{},s{n},site-{n}.com,http-01,\n", n % 3)));
    world.import(&rows).await;
    for (collection, key) in [("certificates", "id"), ("orders", "id")] {
        let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = world.get(&format!("/v1/{collection}?limit=40{cursor}")).await.json();
            let ids = page["data"].as_array().expect("a list");
            seen.extend(ids.iter().map(|row| row[key].as_str().expect("an id").to_owned()));
            pages += 1;
            if pages == 2 {
                world.clock.advance(std::time::Duration::from_secs(1));
                world.import(format!("t9,{collection},late-{collection}.com,http-01,\n")).await;
            }
            if page["has_more"] == false {
                assert!(page["next_cursor"].is_null());
                break;
            }
            cursor = format!("&cursor={}", page["next_cursor"].as_str().expect("a cursor"));
        }
        assert!(seen.is_sorted(), "by age");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "no row twice");
        assert_eq!(seen.len() as i64, world.rows(collection).await, "no row missing");
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_cursor_is_worth_something_for_its_own_list_only(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,a.com,http-01,\nt1,s2,b.com,http-01,\n").await;
    let page = world.get("/v1/certificates?tenant=t1&limit=1").await.json();
    let cursor = page["next_cursor"].as_str().expect("a cursor");
    let cases = [
        format!("/v1/certificates?tenant=t2&limit=1&cursor={cursor}"),
        "/v1/certificates?cursor=nonsense".to_owned(),
        "/v1/certificates?limit=0".to_owned(),
        "/v1/certificates?limit=1001".to_owned(),
        "/v1/certificates?limit=x".to_owned(),
        "/v1/certificates?colour=red".to_owned(),
        "/v1/certificates?status=great".to_owned(),
        "/v1/certificates?hostname=co.uk".to_owned(),
        "/v1/orders?stage=nowhere".to_owned(),
        "/v1/orders?certificate=ord_00000000000000000000000000".to_owned(),
        "/v1/authorizations?status=odd".to_owned(),
    ];
    for path in cases {
        let answer = world.get(&path).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::BAD_REQUEST, "validation-failed"),
            "{path}"
        );
    }
    let rest = world.get(&format!("/v1/certificates?tenant=t1&limit=1&cursor={cursor}")).await.json();
    assert_eq!(rest["data"][0]["external_id"], "s2");
}
