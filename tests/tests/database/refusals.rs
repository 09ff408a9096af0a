//! The server answers, and refuses what it will take later.

use std::time::Duration;

use crate::scene::{Scene, WITHIN};

const SITES: usize = 24;

/// While `refusal` holds a code, each so many writes are refused with it. The sequence counts on through what is rolled
/// back.
const TRIGGERS: &str = "
    create sequence refusals;
    create table refusal (code text not null, every integer not null);
    create function refuse() returns trigger language plpgsql as $$
    declare
        reason record;
    begin
        select * into reason from refusal;
        if found and nextval('refusals') % reason.every = 0 then
            raise exception 'refused as asked' using errcode = reason.code;
        end if;
        return null;
    end $$;
    create trigger refuse before update on orders for each statement execute function refuse();
    create trigger refuse before insert or update on authorizations for each statement execute function refuse();
    create trigger refuse before insert on issued_certificates for each statement execute function refuse();
";

async fn refused(scene: &Scene) -> anyhow::Result<i64> {
    let mut connection = scene.postgres.connect().await?;
    Ok(sqlx::query_scalar("select last_value from refusals").fetch_one(&mut connection).await?)
}

/// A third of all writes is refused with each code in turn: what was learnt is kept and written again, so that nothing
/// has to be found out a second time at the CA.
#[tokio::test]
async fn writes_that_are_refused_for_a_passing_reason_are_made_again() -> anyhow::Result<()> {
    let scene = Scene::open("refused", SITES, "").await?;
    scene.postgres.sql(TRIGGERS).await?;
    // Serialization, deadlock, lock timeout, statement timeout, disk full, read-only.
    for code in ["40001", "40P01", "55P03", "57014", "53100", "25006"] {
        let before = refused(&scene).await?;
        let set = format!("delete from refusal; insert into refusal values ('{code}', 3)");
        scene.postgres.sql(&set).await?;
        scene
            .world
            .wait_until("some were refused, or all is done", WITHIN, async || {
                let done = scene.world.summary().await?.certificates_issued == SITES as u64;
                Ok(done || refused(&scene).await? >= before + 15)
            })
            .await?;
    }
    assert!(refused(&scene).await? >= 60, "hardly anything was refused");
    scene.postgres.sql("delete from refusal").await?;
    let closed = scene.close().await?;
    assert_eq!((closed.ca_orders, closed.asks), (SITES as u64, 1), "no answer of the CA was lost");
    Ok(())
}

/// Nothing can be written at all: no order is placed for which there is no intent, and what was learnt waits.
#[tokio::test]
async fn a_full_disk_stops_orders_and_loses_none() -> anyhow::Result<()> {
    let scene = Scene::open("full", SITES, "").await?;
    scene.postgres.sql(TRIGGERS).await?;
    scene.reach(4).await?;
    scene.postgres.sql("insert into refusal values ('53100', 1)").await?;
    // What was intended before is sent within a moment, and nothing after that.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = scene.world.audit()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = scene.world.audit()?;
    assert_eq!(before.orders, after.orders, "orders without an intent");
    assert!(after.certificates < SITES as u64, "it was done too early");
    scene.postgres.sql("delete from refusal").await?;
    let closed = scene.close().await?;
    assert_eq!((closed.ca_orders, closed.asks), (SITES as u64, 1), "no answer of the CA was lost");
    Ok(())
}
