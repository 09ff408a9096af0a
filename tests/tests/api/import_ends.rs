//! How imports as jobs go on and end: replicas that die, races, batches that fail, what is cancelled, taken back, forgotten.

use std::time::Duration;

use http::StatusCode;
use issuance::time::Clock as _;
use lockkeeper::intake::Intake;
use lockkeeper::store::imports::job::{self, LEASE, Next, PREVIEW_STANDS, ROWS_STAY};
use lockkeeper::store::imports::staging::UPLOAD_STANDS;
use lockkeeper::store::leases::Replica;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::import_jobs::{counts, intake, read, send, wish, work_off};
use crate::world::{HEADER, World, lines};

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn another_replica_goes_on_where_one_has_died(pool: PgPool) {
    let world = World::start(pool).await;
    let rows = lines((0..5_000).map(|n| format!("t1,s{n},site-{n}.com,http-01,\n")));
    let id = send(&world, "commit", &rows).await;
    let dead = Replica(Uuid::from_u128(1));
    let mut held =
        job::claim(&world.store, dead, world.clock.now()).await.expect("asked").expect("it is due");
    for _ in 0..3 {
        let advance = job::advance(&world.store, world.clock.now(), &mut held).await.expect("a batch");
        assert_eq!(advance.next, Next::On);
    }
    let half_way = read(&world, &id).await;
    assert_eq!(half_way["status"], "running");
    assert_eq!(half_way["rows_created"], 1_999, "one batch of lines, of which the first is the header");
    assert_eq!(world.rows("orders").await, 1_999);

    let other = intake(&world, 2);
    other.work_off_now().await.expect("nothing is due");
    assert_eq!(world.rows("orders").await, 1_999, "it is held");
    world.clock.advance(LEASE + Duration::from_secs(1));
    other.work_off_now().await.expect("worked off");
    assert_eq!(counts(&read(&world, &id).await), [5_000, 5_000, 0, 0, 0, 0]);
    assert_eq!(world.rows("orders").await, 5_000);
    let late = job::advance(&world.store, world.clock.now(), &mut held).await.expect("told");
    assert_eq!(late.next, Next::Lost, "whoever comes back has lost it");
    assert_eq!(world.rows("orders").await, 5_000);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_rollback_removes_what_the_import_alone_has_made(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,old,old.com,http-01,\nt1,kept,kept.com,http-01,\n").await;
    let rows = "t1,old,old.com www.old.com,http-01,\nt1,s1,one.com,http-01,\nt1,s2,two.com sub.two.com,http-01,\n\
        t1,s3,three.com,http-01,\nt1,s4,four.com,http-01,\nt1,s5,five.com,http-01,\nt1,kept,kept.com,http-01,\n";
    let id = send(&world, "commit", rows).await;
    assert_eq!(wish(&world, &id, "rollback").await.problem(), "import-status", "it is under way");
    work_off(&world).await;
    world.execute(
        "update orders set lease_holder = gen_random_uuid(), lease_expires_at = due_at where names = '{one.com}';
         update orders set asks = 1 where names = '{three.com}';
         update certificates set labels = '{\"mine\": \"1\"}' where external_id = 's4';",
    )
    .await;
    assert_eq!(wish(&world, &id, "rollback").await.status, StatusCode::ACCEPTED);
    work_off(&world).await;
    let told = async || {
        let items = world.get(&format!("/v1/imports/{id}/items")).await.json();
        let items = items["data"].as_array().expect("a list").clone();
        items.iter().map(|item| item["rollback"].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        told().await,
        ["there_before", "in_hand", "removed", "ordered", "changed_since", "removed", "-"]
    );
    let import = read(&world, &id).await;
    assert_eq!(
        (&import["status"], &import["rows_removed"], &import["rows_left"]),
        (&json!("rolled_back"), &json!(2), &json!(4))
    );
    let owned: Vec<String> = sqlx::query_scalar("select hostname from hostnames order by 1")
        .fetch_all(&world.pool)
        .await
        .expect("names");
    assert_eq!(owned, ["four.com", "kept.com", "old.com", "one.com", "three.com", "www.old.com"]);
    assert_eq!(world.rows("certificates").await, 5);

    // The worker has let go of it: asked again, it goes too.
    world.execute("update orders set lease_holder = null, lease_expires_at = null").await;
    wish(&world, &id, "rollback").await;
    work_off(&world).await;
    assert_eq!(told().await[1], "removed");
    let import = read(&world, &id).await;
    assert_eq!((&import["rows_removed"], &import["rows_left"]), (&json!(3), &json!(3)));
    // Whoever imports the file again gets what is missing.
    let again = send(&world, "commit", rows).await;
    work_off(&world).await;
    assert_eq!(counts(&read(&world, &again).await), [7, 3, 1, 3, 0, 0]);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_cancelled_half_way_stays_and_can_be_taken_back(pool: PgPool) {
    let world = World::start(pool).await;
    let rows = lines((0..5_000).map(|n| format!("t1,s{n},site-{n}.com,http-01,\n")));
    let id = send(&world, "commit", &rows).await;
    let replica = Replica(Uuid::from_u128(1));
    let mut held =
        job::claim(&world.store, replica, world.clock.now()).await.expect("asked").expect("it is due");
    for _ in 0..3 {
        job::advance(&world.store, world.clock.now(), &mut held).await.expect("a batch");
    }
    assert_eq!(wish(&world, &id, "cancel").await.status, StatusCode::ACCEPTED);
    assert_eq!(
        job::advance(&world.store, world.clock.now(), &mut held).await.expect("told").next,
        Next::Lost
    );
    assert_eq!(wish(&world, &id, "commit").await.problem(), "import-status");
    work_off(&world).await;
    assert_eq!(
        (&read(&world, &id).await["status"], world.rows("certificates").await),
        (&json!("cancelled"), 1_999)
    );
    wish(&world, &id, "rollback").await;
    work_off(&world).await;
    let import = read(&world, &id).await;
    assert_eq!((&import["status"], &import["rows_removed"]), (&json!("rolled_back"), &json!(1_999)));
    for table in ["certificates", "orders", "hostnames"] {
        assert_eq!(world.rows(table).await, 0, "{table}");
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_nobody_comes_back_for_goes(pool: PgPool) {
    use tokio::io::AsyncWriteExt as _;
    let world = World::start(pool).await;
    let address = world.base.strip_prefix("http://").expect("plain http");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    let rows = lines((0..9_000).map(|n| format!("t1,s{n},site-{n}.com,http-01,\n")));
    let head = format!(
        "POST /v1/imports?mode=commit HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\ncontent-length: 100000000\r\n\r\n{HEADER}{rows}",
        world.operator
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while world.rows("import_items").await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "some rows are written away");
        tokio::task::yield_now().await;
    }
    let listed = world.get("/v1/imports?status=receiving").await.json();
    assert_eq!(listed["data"].as_array().expect("a list").len(), 1);
    drop(stream);
    work_off(&world).await;
    world.clock.advance(UPLOAD_STANDS + Duration::from_secs(1));
    work_off(&world).await;
    assert_eq!(
        [world.rows("import_items").await, world.rows("imports").await, world.rows("certificates").await],
        [0; 3]
    );

    let id = send(&world, "preview", "t1,s1,a.com,http-01,\n").await;
    work_off(&world).await;
    world.clock.advance(PREVIEW_STANDS + Duration::from_secs(1));
    work_off(&world).await;
    assert_eq!(read(&world, &id).await["status"], "cancelled");
    world.clock.advance(ROWS_STAY + Duration::from_secs(1));
    work_off(&world).await;
    let import = read(&world, &id).await;
    assert_eq!((&import["status"], &import["rows_kept_until"]), (&json!("cancelled"), &Value::Null));
    assert_eq!(world.rows("import_items").await, 0);
    assert_eq!(wish(&world, &id, "rollback").await.problem(), "import-status", "there is nothing to go by");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn of_jobs_that_race_for_a_name_exactly_one_wins(pool: PgPool) {
    let world = World::start(pool).await;
    let file = |tenant: usize| -> String {
        let names = (0..2_500).map(|n| if tenant.is_multiple_of(2) { n } else { 2_499 - n });
        lines(names.map(|n| format!("t{tenant},s{n},own-{tenant}-{n}.com site-{n}.com,http-01,\n")))
    };
    let mut ids = Vec::new();
    for tenant in 0..3 {
        ids.push(send(&world, "commit", &file(tenant)).await);
    }
    let workers: Vec<Intake> = (0..3).map(|replica| intake(&world, replica)).collect();
    let worked = futures_util::future::join_all(workers.iter().map(Intake::work_off_now)).await;
    assert!(worked.iter().all(Result::is_ok), "{worked:?}");
    let mut created = 0;
    for id in &ids {
        let [total, made, .., refused] = counts(&read(&world, id).await);
        assert_eq!((total, made + refused), (2_500, 2_500));
        created += made;
    }
    assert_eq!(created, 2_500, "every name has one owner");
    assert_eq!(world.rows("hostnames").await, 5_000, "and no refused row has kept a name of its own");
    let stray: i64 = sqlx::query_scalar(
        "select count(*) from certificates join hostnames on hostname = any(names) where certificates.tenant_id <> hostnames.tenant_id",
    )
    .fetch_one(&world.pool)
    .await
    .expect("a count");
    assert_eq!(stray, 0);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_batch_that_fails_is_tried_again_and_then_given_up(pool: PgPool) {
    let world = World::start(pool).await;
    world
        .execute(
            "create function refuse() returns trigger language plpgsql as $$
             begin if new.external_id = 's2400' then raise exception 'the disk is on fire'; end if; return new; end $$;
             create trigger refuse before insert on certificates for each row execute function refuse()",
        )
        .await;
    let rows = lines((0..2_500).map(|n| format!("t1,s{n},site-{n}.com,http-01,\n")));
    let id = send(&world, "commit", &rows).await;
    for _ in 0..6 {
        work_off(&world).await;
        world.clock.advance(Duration::from_mins(5));
    }
    let import = read(&world, &id).await;
    assert_eq!((&import["status"], &import["rows_created"]), (&json!("failed"), &json!(1_999)));
    assert!(import["fault"].as_str().is_some_and(|fault| !fault.contains("fire")), "{import}");
    assert_eq!(world.rows("certificates").await, 1_999);
    wish(&world, &id, "rollback").await;
    work_off(&world).await;
    assert_eq!(world.rows("certificates").await, 0);
}
