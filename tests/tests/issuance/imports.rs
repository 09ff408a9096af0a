//! An import whose process is killed in the middle.

use std::time::Duration;

use anyhow::Context as _;
use lockkeeper::cli::api_client::{ApiClient, operator_token};
use lockkeeper::store::imports::view::{self, ImportView};
use lockkeeper::store::viewer::Viewer;
use lockkeeper_tests::service_process::ServiceProcess;
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{Plan, World};

const WITHIN: Duration = Duration::from_mins(1);
const ROWS: i32 = 7_000;

fn client(world: &World, process: &ServiceProcess) -> anyhow::Result<ApiClient> {
    let config = world.config_file("one");
    let data = config.parent().context("it lies in a folder")?.join("data");
    let api = process.at.api.context("it plays the role")?;
    Ok(ApiClient::new(&format!("http://{api}"), &operator_token(&data)?)?)
}

/// It ends with a batch about to be committed, then with one that is, then by a signal; each time the next process goes on.
#[tokio::test]
async fn an_import_that_is_killed_loses_nothing_and_doubles_nothing() -> anyhow::Result<()> {
    let settings = Settings { roles: &["api"], ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(Vec::new()) }).await?;
    let rows = (0..ROWS).map(|n| format!("t{},s{n},site-{n}.com www.site-{n}.com,http-01,\n", n % 3));
    let csv: String =
        std::iter::once("tenant,external_id,names,challenge,labels\n".to_owned()).chain(rows).collect();

    // Two transactions go before the first rows.
    let process = world.process_with_fate("one", "before_commit.import_batch:4=abort").await?;
    let sent: ImportView = client(&world, &process)?.post_csv("/v1/imports?mode=commit", csv.into()).await?;
    assert!(!process.ended(WITHIN).await?.success());
    let read = async || view::find(&world.store, Viewer::Operator, sent.id).await;
    let half_way = read().await?.context("it is there")?;
    assert_eq!((half_way.status.as_str(), half_way.rows_created), ("running", 1_999));

    // It may be over before it has told where it listens.
    if let Ok(process) = world.process_with_fate("one", "after_commit.import_batch:1=abort").await {
        assert!(!process.ended(WITHIN).await?.success());
    }
    let further = read().await?.context("it is there")?;
    assert_eq!((further.status.as_str(), further.rows_created), ("running", 3_999));

    let process = world.process("one").await?;
    process.kill().await?;
    let process = world.process("one").await?;
    world
        .wait_until("it is completed", WITHIN, async || {
            Ok(read().await?.is_some_and(|import| import.status == "completed"))
        })
        .await?;
    let done = read().await?.context("it is there")?;
    assert_eq!((done.rows_total, done.rows_created, done.orders_created), (ROWS, ROWS, ROWS));
    let (certificates, orders, hostnames): (i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from certificates), (select count(*) from orders), (select count(*) from hostnames)",
    )
    .fetch_one(world.store.pool())
    .await?;
    assert_eq!((certificates, orders, hostnames), (i64::from(ROWS), i64::from(ROWS), 2 * i64::from(ROWS)));
    assert!(process.terminate(WITHIN).await?.success());
    world.stop().await
}
