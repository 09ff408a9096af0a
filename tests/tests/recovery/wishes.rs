//! The operator has an open authorization settled, through the API.

use std::time::Duration;

use lockkeeper_tests::world::pairs;
use serde_json::Value;

use crate::lives::{WITHIN, records, rules, world};
use crate::settling::{deactivated, fails_at_the_ca_and_then_here};

#[tokio::test]
async fn an_authorization_that_waits_is_settled_at_the_operator_s_wish() -> anyhow::Result<()> {
    let sites = pairs("wished", 1);
    let world = world(&sites, rules()).await?;
    let life = fails_at_the_ca_and_then_here(&world, &sites).await?;
    let api = life.api(&world)?;
    let waiting = "select count(*) from authorizations join orders using (order_id)
        where settled_at is null and stage = 'failed' and lease_holder is null and due_at = settle_at";
    let waits = async || {
        world.end_rests().await?;
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(world.store.pool()).await?;
        Ok(waiting == 2)
    };
    world.wait_until("both wait", WITHIN, waits).await?;

    let open: Value = api.get("/v1/authorizations?open=true").await?;
    let open = open["data"].as_array().expect("a list");
    assert_eq!(open.len(), 2, "{open:?}");
    for one in open {
        let outlook = &one["outlook"];
        assert_eq!(outlook["why"], "awaits_failure_budget", "{one}");
        assert_eq!((&outlook["next"], &outlook["cost"]), (&"deactivate".into(), &"failure_token".into()));
        assert_eq!((&outlook["next_at"], &one["external_id"]), (&one["settle_at"], &"site-0".into()));
    }
    let wished = open[0]["id"].as_str().expect("an id");
    let name = open[0]["identifier"].as_str().expect("it was read");
    let path = format!("/v1/authorizations/{wished}/settle");
    let told: Value = api.post(&format!("{path}?dry_run=true")).await?;
    assert_eq!((&told["dry_run"], &told["cost"]), (&true.into(), &"failure_token".into()), "{told}");
    assert_eq!(deactivated(&world), 0, "nothing was done");

    api.post::<Value>(&path).await?;
    let settled = async || Ok(deactivated(&world) == 1);
    world.wait_until("it is deactivated", WITHIN, settled).await?;
    let instants = |status: &str| {
        let record = records(&world).into_iter().find(|one| one.name == name && one.status == status);
        record.expect(status).history.last().expect("an end").at
    };
    let apart = instants("invalid").until(instants("deactivated"));
    assert!(apart < Duration::from_mins(50), "before it was due: {apart:?}");
    let shown = async || {
        let now: Value = api.get(&format!("/v1/authorizations/{wished}")).await?;
        Ok(now["status"] == "deactivated" && now["open"] == false && now["outlook"].is_null())
    };
    world.wait_until("and shown so", WITHIN, shown).await?;
    world.wait_until_done(WITHIN).await?;
    life.app.stop().await?;
    world.stop().await
}
