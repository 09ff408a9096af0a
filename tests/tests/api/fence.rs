//! The second fence between tenants: what Postgres itself keeps from them.

use std::time::Instant;

use lockkeeper::store::page::Page;
use lockkeeper::store::viewer::Viewer;
use lockkeeper::store::{Store, orders_view};
use sqlx::{PgConnection, PgPool};

use crate::world::{World, lines};

async fn become_tenant(conn: &mut PgConnection, role: &str, tenant: &str) {
    let statement = format!(
        "select set_config('role', '{role}', true), set_config('lockkeeper.tenant', '{tenant}', true)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(conn).await.expect("behind the fence");
}

async fn count(conn: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(conn).await.expect(statement)
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn every_table_with_a_tenant_is_fenced(pool: PgPool) {
    let store = Store::from_pool(pool.clone());
    assert!(store.raise_fence().await.expect("asked"), "again, there is nothing to do");
    assert!(store.fence_stands().await.expect("asked"));
    let open: Vec<String> = sqlx::query_scalar(
        "select class.relname::text from pg_class class
         join pg_attribute on attrelid = class.oid and attname = 'tenant_id' and not attisdropped
         where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')
             and (not relrowsecurity
                 or (select count(*) from pg_policy where polrelid = class.oid) < 5
                 or not has_table_privilege('lockkeeper_tenant', class.oid, 'select'))",
    )
    .fetch_all(&pool)
    .await
    .expect("the catalogue");
    assert_eq!(open, Vec::<String>::new(), "see migrations/20261128015800_fence_tenants_rows.sql");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_statement_that_forgets_the_tenant_shows_its_own_rows_alone(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,one.com,http-01,\nt2,s1,two.com,http-01,\nt2,s2,three.com,http-01,\n").await;
    let (one, two) = (world.tenant("t1").await.0.to_string(), world.tenant("t2").await.0.to_string());
    for (tenant, own) in [(one.as_str(), 1), (two.as_str(), 2), ("", 0)] {
        let mut tx = world.pool.begin().await.expect("begun");
        become_tenant(&mut tx, "lockkeeper_tenant", tenant).await;
        assert_eq!(count(&mut tx, "select count(*) from certificates").await, own, "{tenant}");
        assert_eq!(count(&mut tx, "select count(*) from orders").await, own, "{tenant}");
        assert_eq!(count(&mut tx, "select count(*) from hostnames").await, own, "{tenant}");
        assert_eq!(count(&mut tx, "select count(*) from tenants").await, i64::from(own > 0), "{tenant}");
        assert_eq!(count(&mut tx, "select count(*) from api_keys").await, 0, "the operator's is nobody's");
        let denied = sqlx::query("select key_sealed from accounts").fetch_all(&mut *tx).await;
        assert!(denied.is_err(), "an account's key is not for tenants");
    }
    let mut tx = world.pool.begin().await.expect("begun");
    become_tenant(&mut tx, "lockkeeper_tenant", &one).await;
    assert!(
        sqlx::query("update hostnames set created_at = created_at").execute(&mut *tx).await.is_err(),
        "it reads"
    );

    let mut tx = world.pool.begin().await.expect("begun");
    become_tenant(&mut tx, "lockkeeper_tenant_writer", &one).await;
    assert_eq!(count(&mut tx, "select count(*) from hostnames").await, 3, "what its writes depend on");
    let changed =
        sqlx::query("update certificates set labels = '{}'").execute(&mut *tx).await.expect("its own");
    assert_eq!(changed.rows_affected(), 1);
    let removed = sqlx::query("delete from hostnames where hostname = 'two.com'").execute(&mut *tx).await;
    assert_eq!(removed.expect("nothing").rows_affected(), 0);
    let statement = format!("insert into hostnames values ('four.com', '{two}', '2026-11-21')");
    let added = sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await;
    assert!(added.is_err_and(|error| error.to_string().contains("row-level security")));
}

/// What a tenant pays for its fence. Prints both, and fails only where something is badly wrong.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
#[expect(clippy::print_stdout, reason = "the figures are what one wants to know of it")]
async fn a_read_behind_the_fence_costs_a_round_trip_more(pool: PgPool) {
    const READS: u32 = 200;
    let world = World::start(pool).await;
    let rows = (0..2_000).map(|n| format!("t{},s{n},n{n}.com,http-01,\n", n % 4));
    world.import(lines(rows)).await;
    sqlx::query("analyze").execute(&world.pool).await.expect("analyzed");
    let tenant = Viewer::Tenant(world.tenant("t1").await);
    let page = || Page::new(Some(50), None, "").expect("a page");
    let mut took = Vec::new();
    for viewer in [Viewer::Operator, tenant, Viewer::Operator, tenant] {
        let start = Instant::now();
        for _ in 0..READS {
            let filter = orders_view::OrderFilter::default();
            let listed = orders_view::list(&world.store, viewer, &filter, &page()).await.expect("listed");
            assert_eq!(listed.data.len(), 50);
        }
        took.push(start.elapsed() / READS);
    }
    println!(
        "a page of 50 orders: {:?} as the operator, {:?} as a tenant behind the fence",
        took[2], took[3]
    );
    assert!(took[3] < took[2] * 20, "{took:?}");
}
