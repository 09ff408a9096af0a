//! Imports of tenants that may not have everything: what a preview foresees is what a commit refuses.

use http::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;

use crate::import_jobs::{send, verdicts, work_off};
use crate::world::{World, lines};

/// Tenants with little left, and rows of theirs.
async fn bounded(pool: PgPool) -> (World, &'static str) {
    let world = World::start(pool).await;
    world.import("t1,s0,zero.com,http-01,\nt2,s0,idle.com,http-01,\nt3,s0,free.com,http-01,\n").await;
    world
        .execute(
            "update tenants set hostnames_max = 4 where slug = 't1';
             update tenants set status = 'suspended' where slug = 't2';",
        )
        .await;
    let rows = "t1,s1,one.com www.one.com,http-01,\nt1,s2,two.com www.two.com,http-01,\nt1,s3,three.com,http-01,\n\
        t1,s4,four.com,http-01,\nt2,s1,more.com,http-01,\nt2,s0,idle.com,http-01,\nt3,s1,more-free.com,http-01,\n";
    (world, rows)
}

async fn judged(world: &World, id: &str) -> Vec<(String, String)> {
    verdicts(world, id).await.into_iter().map(|(_, verdict, _, code)| (verdict, code)).collect()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_job_takes_no_more_than_its_tenants_may_have(pool: PgPool) {
    let (world, rows) = bounded(pool).await;
    let id = send(&world, "commit", rows).await;
    work_off(&world).await;
    let row = |verdict: &str, code: &str| (verdict.to_owned(), code.to_owned());
    assert_eq!(
        judged(&world, &id).await,
        [
            row("created", ""),
            row("refused", "tenant_quota_exceeded"),
            row("created", ""),
            row("refused", "tenant_quota_exceeded"),
            row("refused", "tenant_suspended"),
            row("unchanged", ""),
            row("created", ""),
        ]
    );
    let owned: i64 =
        sqlx::query_scalar("select count(*) from hostnames").fetch_one(&world.pool).await.expect("names");
    assert_eq!(owned, 7, "what is refused claims nothing");
    let begun: Vec<(String, i32)> = sqlx::query_as(
        "select slug, new_certificates from tenant_days join tenants using (tenant_id) order by slug",
    )
    .fetch_all(&world.pool)
    .await
    .expect("counted");
    assert_eq!(begun, [("t1".to_owned(), 3), ("t2".to_owned(), 1), ("t3".to_owned(), 2)]);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_preview_foresees_what_quotas_will_refuse(pool: PgPool) {
    let (world, rows) = bounded(pool).await;
    let preview = send(&world, "preview", rows).await;
    work_off(&world).await;
    let foreseen = judged(&world, &preview).await;
    assert_eq!(foreseen.iter().filter(|(_, code)| !code.is_empty()).count(), 3, "{foreseen:?}");
    assert_eq!((world.rows("hostnames").await, world.rows("orders").await), (3, 3), "nothing was changed");
    let counted = world.get(&format!("/v1/imports/{preview}")).await.json();
    assert_eq!((&counted["rows_created"], &counted["rows_refused"]), (&json!(3), &json!(3)), "{counted}");

    // The commit judges each row anew, by what is then: first alike, and with what was raised meanwhile.
    world.execute("update tenants set status = 'active' where slug = 't2'").await;
    let path = format!("/v1/imports/{preview}/commit");
    let committed = world.json_as(&world.operator, Method::POST, &path, &[], None).await;
    assert_eq!(committed.status, StatusCode::ACCEPTED, "{}", committed.json());
    work_off(&world).await;
    let done = judged(&world, &preview).await;
    let (mut expected, raised) = (foreseen, 4);
    expected[raised] = ("created".to_owned(), String::new());
    assert_eq!(done, expected);
    let counted = world.get(&format!("/v1/imports/{preview}")).await.json();
    assert_eq!((&counted["rows_created"], &counted["rows_refused"]), (&json!(4), &json!(2)), "{counted}");
    let again = send(&world, "commit", rows).await;
    work_off(&world).await;
    let refused = judged(&world, &again).await.iter().filter(|(verdict, _)| verdict == "refused").count();
    assert_eq!(refused, 2, "and another file is judged by what this one has taken");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_preview_counts_over_all_of_its_batches(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s0,zero.com,http-01,\n").await;
    world
        .execute("update tenants set hostnames_max = 2050, new_certificates_per_day = 2100 where slug = 't1'")
        .await;
    // 2,000 lines are one batch. The wildcard of a name is no other name, also where the name came in the batch before.
    let names = (0..2_200).map(|nr| format!("t1,n{nr},n{nr}.com,dns-01,\n"));
    let rows = lines(std::iter::once("t1,w0,*.n0.com,dns-01,\n".to_owned()).chain(names));
    let rows = format!("{rows}t1,w1,*.n1.com,dns-01,\n");
    let refused = async |mode| {
        let id = send(&world, mode, &rows).await;
        work_off(&world).await;
        let view = world.get(&format!("/v1/imports/{id}")).await.json();
        (view["rows_created"].as_i64(), view["rows_refused"].as_i64())
    };
    let foreseen = refused("preview").await;
    assert_eq!(foreseen, (Some(2_051), Some(151)), "2,049 names, and the wildcards of two");
    assert_eq!(refused("commit").await, foreseen, "as it was foreseen");
}
