//! How long records settle, as an operator sees it: by the command, over the API, and as a gauge. All three tell the same.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use lockkeeper::cli::api_client::{ApiClient, operator_token};
use lockkeeper_tests::service_process::program;
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{Plan, World, pairs};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::scrape::Scrape;

const WITHIN: Duration = Duration::from_mins(1);

#[tokio::test]
async fn what_validations_have_taught_is_told_in_three_ways() -> anyhow::Result<()> {
    let settings = Settings { roles: &["api", "worker"], reconcile_seconds: Some(1), ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(pairs("settled", 1)) }).await?;
    sqlx::raw_sql(
        "insert into dns_settlings (server_set, provider, delay_ms, failures, successes, learnt_at)
         values ('quick.example', 'bind', 4000, 1, 7, '2026-11-21'), ('slow.example', 'bind', 62000, 3, 0, '2026-11-22'),
             ('nobody.example', null, 9000, 1, 0, '2026-11-20')",
    )
    .execute(world.store.pool())
    .await?;
    let service = world.process("one").await?;
    let api = service.at.api.context("it plays the role")?;

    let token = operator_token(&world.data_folder("one"))?;
    let list: Value = ApiClient::new(&format!("http://{api}"), &token)?.get("/v1/dns01/settlings").await?;
    let view =
        |servers: &str, provider: Option<&str>, seconds: u64, failures: u32, successes: u32, day: u8| {
            json!({ "servers": servers, "provider": provider, "delay_seconds": seconds, "failures": failures,
            "successes": successes, "learnt_at": format!("2026-11-{day}T00:00:00Z") })
        };
    let expected = json!([
        view("slow.example", Some("bind"), 62, 3, 0, 22),
        view("nobody.example", None, 9, 1, 0, 20),
        view("quick.example", Some("bind"), 4, 1, 7, 21),
    ]);
    assert_eq!(list["data"], expected, "what is waited for the longest in front");

    let told = Command::new(program().await?)
        .args(["--config".as_ref(), world.config_file("one").as_os_str()])
        .args(["--api", &format!("http://{api}"), "-o", "json", "dns01", "settle"])
        .output()
        .await?;
    ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&told.stdout)?, list);

    // Of each provider the set that needs it longest; a set that no provider has written for is nobody's.
    let mut seen = None;
    let scraped = async || {
        let scrape = Scrape::of(&service).await?;
        seen = scrape.value("lockkeeper_dns01_settle_seconds{provider=\"bind\"}");
        Ok(seen.is_some())
    };
    world.wait_until("the sweep has told", WITHIN, scraped).await?;
    assert_eq!(seen, Some(62.0));
    service.terminate(WITHIN).await?;
    world.stop().await
}
