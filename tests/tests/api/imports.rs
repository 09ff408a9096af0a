use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use issuance::time::Clock as _;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::{World, counts, lines};

fn refused(report: &Value) -> Vec<(u64, u64, &str, &str)> {
    let rows = report["refused"].as_array().expect("a list");
    rows.iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            assert!(!text("detail").is_empty(), "{row}");
            (
                row["line"].as_u64().expect("a line"),
                row["column"].as_u64().expect("a column"),
                text("field"),
                text("code"),
            )
        })
        .collect()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_good_rows_are_imported_and_each_bad_one_is_named(pool: PgPool) {
    let world = World::start(pool).await;
    let rows = b"t1,s1,shop.com www.shop.com,http-01,server=web1\n\
        t1,s2,co.uk,http-01,\n\
        t1,s3,bad\xff.com,http-01,\n\
        t2,s1,shop.com,http-01,\n\
        t2,s2,other.com,http-01\n\
        t2,s3,fine.com,http-01,a=1;b=2\n";
    let answer = world.import(rows).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let report = answer.json();
    assert_eq!(counts(&report), [6, 2, 0, 0, 4, 2]);
    let expected = [
        (3, 7, "names", "public_suffix"),
        (4, 10, "names", "not_utf8"),
        (5, 7, "names", "name_repeated_in_file"),
        (6, 24, "labels", "column_count"),
    ];
    assert_eq!(refused(&report), expected);
    assert!(report["id"].as_str().expect("an id").starts_with("imp_"));

    let stored = world.get("/v1/certificates?tenant=t2").await.json();
    let certificate = &stored["data"][0];
    assert_eq!(certificate["external_id"], "s3");
    assert_eq!(certificate["labels"], json!({"a": "1", "b": "2"}));
    assert_eq!(certificate["status"], "pending");
    assert_eq!(certificate["next_attempt_at"], "2026-11-21T10:04:05Z");
    let order =
        world.get(&format!("/v1/orders/{}", certificate["order_id"].as_str().expect("one"))).await.json();
    assert_eq!((&order["stage"], &order["lane"]), (&json!("accepted"), &json!("bulk")));
    assert_eq!(order["names"], json!(["fine.com"]));
    let written: (i32, i32, i32) =
        sqlx::query_as("select rows_total, rows_created, rows_refused from imports")
            .fetch_one(&world.pool)
            .await
            .expect("one import");
    assert_eq!(written, (6, 2, 4));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_same_file_again_changes_nothing_and_wakes_nobody(pool: PgPool) {
    let world = World::start(pool).await;
    let rows =
        lines((0..2_345).map(|n| format!("t{},s{n},site-{n}.com www.site-{n}.com,http-01,n={n}\n", n % 7)));
    let first = world.import(&rows).await;
    assert_eq!(counts(&first.json()), [2_345, 2_345, 0, 0, 0, 2_345]);
    assert_eq!(world.rows("hostnames").await, 4_690);
    assert!(tokio::time::timeout(Duration::from_secs(5), world.wake.notified()).await.is_ok(), "woken");

    world.clock.advance(Duration::from_hours(1));
    let again = world.import(&rows).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(counts(&again.json()), [2_345, 0, 0, 2_345, 0, 0]);
    assert_eq!(again.json()["id"], Value::Null);
    for (table, expected) in
        [("imports", 1), ("certificates", 2_345), ("orders", 2_345), ("tenants", 7), ("hostnames", 4_690)]
    {
        assert_eq!(world.rows(table).await, expected, "{table}");
    }
    let unread = futures_util::FutureExt::now_or_never(world.wake.notified());
    assert!(unread.is_none(), "nothing new, nobody is woken");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_changed_wish_is_stored_and_ordered_again_only_if_its_names_differ(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,a.com,http-01,x=1\nt1,s2,b.com,http-01,\nt1,s3,c.com,http-01,\n").await;
    world.clock.advance(Duration::from_secs(1));
    let report = world.import("t1,s1,a.com,http-01,x=2\nt1,s2,b.com www.b.com,http-01,\nt1,s3,c.com,http-01,\nt1,s3,c.com,http-01,\n").await.json();
    assert_eq!(counts(&report), [4, 0, 2, 2, 0, 1]);
    let changed = world.get("/v1/certificates?external_id=s2").await.json();
    assert_eq!(changed["data"][0]["names"], json!(["b.com", "www.b.com"]));
    let id = changed["data"][0]["id"].as_str().expect("an id");
    let orders = world.get(&format!("/v1/orders?certificate={id}")).await.json();
    let names: Vec<&Value> =
        orders["data"].as_array().expect("a list").iter().map(|order| &order["names"]).collect();
    assert_eq!(names, [&json!(["b.com"]), &json!(["b.com", "www.b.com"])]);
    let labelled = world.get("/v1/certificates?hostname=A.com").await.json();
    assert_eq!(labelled["data"][0]["labels"], json!({"x": "2"}));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn another_tenants_name_costs_its_row_and_nothing_else(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,taken.com,http-01,\n").await;
    let report = world.import("t2,s2,own.com TAKEN.com,http-01,\nt2,s3,third.com,http-01,\n").await.json();
    assert_eq!(refused(&report), [(2, 15, "names", "hostname_owned_by_other_tenant")]);
    assert_eq!(counts(&report), [2, 1, 0, 0, 1, 1]);
    let owned: Vec<String> = sqlx::query_scalar("select hostname from hostnames order by 1")
        .fetch_all(&world.pool)
        .await
        .expect("names");
    assert_eq!(owned, ["taken.com", "third.com"], "a refused row claims nothing, own.com neither");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_import_that_fails_half_way_leaves_nothing(pool: PgPool) {
    let world = World::start(pool).await;
    world
        .execute(
            "create function refuse() returns trigger language plpgsql as $$
             begin if new.external_id = 's2400' then raise exception 'the disk is on fire'; end if; return new; end $$;
             create trigger refuse before insert on certificates for each row execute function refuse()",
        )
        .await;
    let rows = lines((0..2_500).map(|n| format!("t1,s{n},site-{n}.com,http-01,\n")));
    let answer = world.import(&rows).await;
    assert_eq!((answer.status, answer.problem().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    assert!(!String::from_utf8_lossy(&answer.body).contains("fire"), "the cause stays inside");
    for table in ["imports", "tenants", "hostnames", "certificates", "orders"] {
        assert_eq!(world.rows(table).await, 0, "{table}");
    }
    world.execute("drop trigger refuse on certificates").await;
    assert_eq!(counts(&world.import(&rows).await.json())[1], 2_500);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn of_imports_that_race_for_a_name_exactly_one_wins(pool: PgPool) {
    let world = World::start(pool).await;
    // The names in opposite orders: whoever locks in the order of the file meets the other in a circle.
    let file = |tenant: usize| -> String {
        let names = (0..1_500).map(|n| if tenant.is_multiple_of(2) { n } else { 1_499 - n });
        lines(names.map(|n| format!("t{tenant},s{n},site-{n}.com,http-01,\n")))
    };
    let files: Vec<String> = (0..4).map(file).collect();
    let answers = join_all(files.iter().map(|file| world.import(file))).await;
    let reports: Vec<Value> = answers.iter().map(crate::world::Answer::json).collect();
    let created: u64 = reports.iter().map(|report| counts(report)[1]).sum();
    assert_eq!(created, 1_500, "every name has one owner");
    for report in &reports {
        let [_, created, _, _, refused_rows, _] = counts(report);
        assert_eq!(created + refused_rows, 1_500);
        assert!(refused(report).iter().all(|row| row.3 == "hostname_owned_by_other_tenant"));
    }
    assert_eq!(world.rows("hostnames").await, 1_500);
    let strays: i64 = sqlx::query_scalar(
        "select count(*) from certificates join hostnames on hostname = names[1] where certificates.tenant_id <> hostnames.tenant_id",
    )
    .fetch_one(&world.pool)
    .await
    .expect("a count");
    assert_eq!(strays, 0);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_same_file_twice_at_once_is_imported_once(pool: PgPool) {
    let world = World::start(pool).await;
    let rows = lines((0..1_200).map(|n| format!("t{},s{n},site-{n}.com,http-01,\n", n % 3)));
    let answers = join_all((0..3).map(|_| world.import(&rows))).await;
    let mut created: Vec<u64> = answers.iter().map(|answer| counts(&answer.json())[1]).collect();
    created.sort_unstable();
    assert_eq!(created, [0, 0, 1_200]);
    assert_eq!(world.rows("orders").await, 1_200);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_tenant_imports_for_itself_alone(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,a.com,http-01,\n").await;
    let token = world.token_of("t1").await;
    let report = world.import_as(&token, "t1,s2,b.com,http-01,\nt2,s1,c.com,http-01,\n").await.json();
    assert_eq!(counts(&report), [2, 1, 0, 0, 1, 1]);
    assert_eq!(refused(&report), [(3, 1, "tenant", "other_tenant")]);
    assert_eq!(world.rows("tenants").await, 1, "only the operator's import makes tenants");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_a_person_waits_for_goes_before_what_waits_already(pool: PgPool) {
    let world = World::start(pool).await;
    let rows = lines((0..300).map(|n| format!("t1,s{n},site-{n}.com,http-01,\n")));
    world.import(&rows).await;
    assert!(tokio::time::timeout(Duration::from_secs(5), world.wake.notified()).await.is_ok(), "woken");
    // One of them is resting after a failure, and goes on to rest.
    sqlx::query("update orders set stage = 'parked', fault_class = 'preflight_failed', fault_detail = 'no address', due_at = due_at + interval '1 hour', in_line = false where names = '{site-7.com}'")
        .execute(&world.pool)
        .await
        .expect("a parked one");

    let file = "t1,s299,site-299.com,http-01,\nt1,s7,site-7.com,http-01,\nt1,new,new.com,http-01,\n";
    let report = world.import_into_lane(&world.operator, "interactive", file).await.json();
    assert_eq!(counts(&report), [3, 1, 0, 2, 0, 1]);
    assert_eq!(report["orders_hastened"], 2);
    assert!(tokio::time::timeout(Duration::from_secs(5), world.wake.notified()).await.is_ok(), "woken again");
    let again = world.import_into_lane(&world.operator, "interactive", file).await;
    assert_eq!((again.status, &again.json()["orders_hastened"]), (StatusCode::OK, &json!(0)));
    let bulk = world.import(file).await.json();
    assert_eq!(bulk["orders_hastened"], 0, "nothing goes back behind");

    world.store.line_up(world.clock.now(), 1_000).await.expect("they line up");
    let first: Vec<(Vec<String>, i16)> = sqlx::query_as(
        "select names, lane from orders where in_line order by lane, fair_tag, order_id limit 3",
    )
    .fetch_all(&world.pool)
    .await
    .expect("a line");
    let mut names: Vec<&str> = first[..2].iter().map(|(names, _)| names[0].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["new.com", "site-299.com"]);
    assert_eq!(first.iter().map(|(_, lane)| *lane).collect::<Vec<_>>(), [1, 1, 3]);
    let resting: (i16, bool) =
        sqlx::query_as("select lane, due_at > accepted_at from orders where names = '{site-7.com}'")
            .fetch_one(&world.pool)
            .await
            .expect("it rests");
    assert_eq!(resting, (1, true));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_lane_is_one_of_those_that_may_be_asked_for(pool: PgPool) {
    let world = World::start(pool).await;
    let row = "t1,s1,a.com,http-01,\n";
    for lane in ["renewal", "fast", ""] {
        let answer = world.import_into_lane(&world.operator, lane, row).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{lane}");
        let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
        assert!(detail.contains("bulk, interactive, urgent"), "{detail}");
    }
    let urgent = world.import_into_lane(&world.operator, "urgent", row).await;
    assert_eq!(urgent.status, StatusCode::CREATED);
    let lane: i16 = sqlx::query_scalar("select lane from orders").fetch_one(&world.pool).await.expect("one");
    assert_eq!(lane, 0);
    let tenant = world.token_of("t1").await;
    let refused = world.import_into_lane(&tenant, "urgent", "t1,s2,b.com,http-01,\n").await;
    assert_eq!((refused.status, world.rows("orders").await), (StatusCode::BAD_REQUEST, 1));
    assert!(refused.json()["detail"].as_str().expect("a detail").contains("ask for interactive"));
    let taken = world.import_into_lane(&tenant, "interactive", "t1,s2,b.com,http-01,\n").await;
    assert_eq!(taken.status, StatusCode::CREATED);
}
