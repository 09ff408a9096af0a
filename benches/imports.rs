//! What it takes to import a file, by its rows: beside a plain COPY of the same file into one table in the same run, with
//! the memory of the service, and how long others wait for an answer meanwhile.
//!
//! ```text
//! cargo bench -p lockkeeper-benches --bench imports
//! SIZES=10000,100000 cargo bench …
//! SETTINGS="max_wal_size = '16GB'" cargo bench …           of PostgreSQL that need no restart, separated by semicolons
//! ```
//!
//! The service as it ships, a process of its own that only serves the API, against a PostgreSQL of the bench's own with
//! fsync on; each size on a database of its own. Sites of 40 tenants, four of five with two names. The table of the COPY has
//! no index; `keyed` is the same file into a table with the keys that a certificate, its names and its order have. The last
//! line is one JSON object with all figures; `ratio` is the commit beside the COPY.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lockkeeper::cli::api_client::{ApiClient, operator_token};
use lockkeeper::cluster::PrivateCluster;
use lockkeeper::store::imports::view::ImportView;
use lockkeeper_benches::console::say;
use lockkeeper_benches::{program, usage};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::io::AsyncReadExt as _;

const TENANTS: usize = 40;
const STARTED_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two reads of somebody else.
const READ_EVERY: Duration = Duration::from_millis(20);
/// Reads without an import, to have something to compare with.
const READS_BEFORE: usize = 200;
const PIECE: usize = 64 * 1024;
const HEADER: &str = "tenant,external_id,names,challenge,labels\n";

/// Without an index, and with as many as the rows of an import get.
const PLAIN: &str =
    "create table plain (tenant text, external_id text, names text, challenge text, labels text)";
const KEYED: &str =
    "create table plain (tenant text, external_id text, names text, challenge text, labels text,
    unique (tenant, external_id), unique (names), unique (external_id, names))";

#[derive(Debug, Deserialize)]
struct Endpoints {
    api: std::net::SocketAddr,
}

#[tokio::main]
async fn main() -> Result<()> {
    let sizes = std::env::var("SIZES").unwrap_or_else(|_| "10000,1000000".to_owned());
    let settings = std::env::var("SETTINGS").unwrap_or_default();
    let mut figures = Vec::new();
    for size in sizes.split(',') {
        let rows: usize = size.trim().parse().with_context(|| format!("SIZES: {size:?} is no number"))?;
        figures.push(measure(rows, &settings).await?);
    }
    say(&json!({ "imports": figures }).to_string())
}

async fn measure(rows: usize, settings: &str) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    // The database runs as a user of its own, who has to get in.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let cluster = PrivateCluster::start(&folder.path().join("database")).await?;
    let outcome = measure_on(rows, settings, folder.path(), &cluster.url()).await;
    cluster.stop().await?;
    outcome
}

async fn measure_on(rows: usize, settings: &str, folder: &Path, database: &str) -> Result<Value> {
    let mut connection = PgConnection::connect(database).await?;
    for setting in settings.split(';').filter(|setting| !setting.trim().is_empty()) {
        sqlx::query(sqlx::AssertSqlSafe(format!("alter system set {setting}")))
            .execute(&mut connection)
            .await?;
    }
    sqlx::query("select pg_reload_conf()").execute(&mut connection).await?;
    let file = folder.join("fleet.csv");
    let bytes = write_fleet(&file, rows)?;
    let plain_before = copy(&mut connection, PLAIN, &file).await?;
    let keyed = copy(&mut connection, KEYED, &file).await?;

    let (service, endpoints) = start(folder, database).await?;
    let pid = service.id().context("the service has ended")?;
    let api = ApiClient::new(&format!("http://{}", endpoints.api), &operator_token(&folder.join("data"))?)?;
    let api = Arc::new(api);
    let idle = latencies(&api, &AtomicBool::new(false), READS_BEFORE).await?;
    let memory_before = usage::peak_memory(pid)?;

    let started = Instant::now();
    let sent: ImportView = api.post_file("/v1/imports?mode=preview", "text/csv", &file).await?;
    let received = started.elapsed();
    let checked = until(&api, &sent, "preview").await?;
    ensure!(usize::try_from(checked.rows_created)? == rows, "not all of it is good: {checked:?}");
    let previewed = started.elapsed();

    let ended = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (api, ended) = (Arc::clone(&api), Arc::clone(&ended));
        async move { latencies(&api, &ended, usize::MAX).await }
    });
    let started = Instant::now();
    let begun: ImportView = api.post(&format!("/v1/imports/{}/commit", sent.id)).await?;
    let done = until(&api, &begun, "completed").await?;
    let committed = started.elapsed();
    ended.store(true, Ordering::SeqCst);
    let busy = reader.await??;
    let memory = usage::peak_memory(pid)?;
    ensure!(usize::try_from(done.rows_created)? == rows, "not all of it is there: {done:?}");
    let there: i64 = sqlx::query_scalar("select count(*) from orders").fetch_one(&mut connection).await?;
    ensure!(usize::try_from(there)? == rows, "{there} orders");
    program::stop(service).await?;

    let plain_after = copy(&mut connection, PLAIN, &file).await?;
    connection.close().await?;
    let plain = plain_before.min(plain_after);
    let per_second = |took: Duration| rows as f64 / took.as_secs_f64();
    let ratio = per_second(committed) / per_second(plain);
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    say(&format!(
        "{:>10} rows: COPY {:.0}/s, keyed {:.0}/s, received {:.0}/s, previewed {:.0}/s, committed {:.0}/s (ratio {ratio:.3}, to keyed {:.3}); \
         service {:.0} MB at its peak, {:.0} before; read p99 {:.1} ms, {:.1} idle",
        rows,
        per_second(plain),
        per_second(keyed),
        per_second(received),
        per_second(previewed),
        per_second(committed),
        per_second(committed) / per_second(keyed),
        megabytes(memory),
        megabytes(memory_before),
        millis(percentile(&busy, 99)),
        millis(percentile(&idle, 99)),
    ))?;
    Ok(json!({
        "rows": rows,
        "bytes": bytes,
        "copy_rows_per_second": per_second(plain),
        "keyed_rows_per_second": per_second(keyed),
        "received_rows_per_second": per_second(received),
        "previewed_rows_per_second": per_second(previewed),
        "committed_rows_per_second": per_second(committed),
        "ratio": ratio,
        "ratio_to_keyed": per_second(committed) / per_second(keyed),
        "service_peak_mb": megabytes(memory),
        "service_before_mb": megabytes(memory_before),
        "read_p99_ms": millis(percentile(&busy, 99)),
        "read_p50_ms": millis(percentile(&busy, 50)),
        "idle_read_p99_ms": millis(percentile(&idle, 99)),
        "reads": busy.len(),
    }))
}

fn write_fleet(path: &Path, rows: usize) -> Result<u64> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    file.write_all(HEADER.as_bytes())?;
    for nr in 0..rows {
        let www = if nr % 5 == 0 { String::new() } else { format!(" www.shop-{nr}.com") };
        let (tenant, server) = (nr % TENANTS, nr % 97);
        writeln!(file, "tenant-{tenant:02},site-{nr:07},shop-{nr}.com{www},http-01,server=web{server}")?;
    }
    file.flush()?;
    Ok(std::fs::metadata(path)?.len())
}

/// How long the database takes for the file alone.
async fn copy(connection: &mut PgConnection, table: &'static str, path: &Path) -> Result<Duration> {
    sqlx::query("drop table if exists plain").execute(&mut *connection).await?;
    sqlx::query(table).execute(&mut *connection).await?;
    let mut file = tokio::fs::File::open(path).await?;
    let started = Instant::now();
    let mut copy = connection.copy_in_raw("copy plain from stdin with (format csv, header true)").await?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = file.read(&mut piece).await?;
        if read == 0 {
            break;
        }
        copy.send(&piece[..read]).await?;
    }
    copy.finish().await?;
    let took = started.elapsed();
    sqlx::query("drop table plain").execute(connection).await?;
    Ok(took)
}

async fn start(folder: &Path, database: &str) -> Result<(tokio::process::Child, Endpoints)> {
    let data = folder.join("data");
    let config = folder.join("lockkeeper.toml");
    std::fs::write(
        &config,
        format!(
            "[data]\nfolder = \"{}\"\n[database]\nurl = {database:?}\n[api]\nlisten = \"127.0.0.1:0\"\n\
             [metrics]\nlisten = \"127.0.0.1:0\"\n[worker]\nroles = [\"api\"]\n\
             [ca]\nprofile = \"letsencrypt\"\ndirectory_url = \"https://127.0.0.1:9/directory\"\nagree_to_terms = true\n",
            data.display(),
        ),
    )?;
    let config = config.to_str().context("the folder's name is not Unicode")?;
    let log = folder.join("service.log");
    let mut service = program::start(&["--config", config, "serve"], Stdio::null(), &log)?;
    let deadline = Instant::now() + STARTED_WITHIN;
    while Instant::now() < deadline {
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        ensure!(service.try_wait()?.is_none(), "the service ended: {}", said());
        if let Ok(text) = std::fs::read(data.join("endpoints.json")) {
            return Ok((service, serde_json::from_slice(&text)?));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("the service does not listen")
}

async fn until(api: &ApiClient, import: &ImportView, status: &str) -> Result<ImportView> {
    loop {
        let now: ImportView = api.get(&format!("/v1/imports/{}", import.id)).await?;
        ensure!(now.status != "failed" && now.status != "cancelled", "{now:?}");
        if now.status == status {
            return Ok(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How long a page of certificates takes, again and again: one after the other, so that what is slow is not asked for more.
async fn latencies(api: &ApiClient, ended: &AtomicBool, most: usize) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    while took.is_empty() || (took.len() < most && !ended.load(Ordering::SeqCst)) {
        let started = Instant::now();
        let _: Value = api.get("/v1/certificates?limit=50").await?;
        took.push(started.elapsed());
        tokio::time::sleep(READ_EVERY).await;
    }
    took.sort_unstable();
    Ok(took)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}
