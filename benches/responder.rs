//! The responder beside nginx, which serves the same body from a file: requests per second on one machine in the same
//! minutes, memory under random tokens, and what slow connections take from the others.
//!
//! ```text
//! cargo bench -p lockkeeper-benches --bench responder            3 runs of each, 1,000,000 random tokens
//! RUNS=1 SECONDS=2 TOKENS=100000 SLOW=500 cargo bench …          shorter
//! ```
//!
//! Needs `nginx` and `wrk`, which is the client of both. The last line is one JSON object with all figures.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lockkeeper::api::imports::ImportReport;
use lockkeeper::cli::api_client::{ApiClient, fetch_plain, operator_token};
use lockkeeper::cluster::PrivateCluster;
use lockkeeper_benches::console::{number, say};
use lockkeeper_benches::exposition::Exposition;
use lockkeeper_benches::measurement::Spread;
use lockkeeper_benches::wrk::wrk;
use lockkeeper_benches::{program, usage};
use serde::Deserialize;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const KEY_AUTHORIZATION: &str =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";
const PATH: &str = "/.well-known/acme-challenge/";
const STARTED_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);
const CONNECTIONS: u32 = 64;
/// Random tokens, as a CA's look, each its own.
const RANDOM_TOKENS: &str = r#"
local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
function init(arguments) math.randomseed(tonumber(arguments[1])) end
function request()
    local token = {}
    for place = 1, 43 do local at = math.random(64); token[place] = letters:sub(at, at) end
    return wrk.format("GET", "/.well-known/acme-challenge/" .. table.concat(token))
end
"#;

#[tokio::main]
async fn main() -> Result<()> {
    program::path()?;
    let folder = tempfile::Builder::new().prefix("lockkeeper-bench-").tempdir()?;
    // The database and nginx's workers run as users of their own, who have to get in.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let cluster = PrivateCluster::start(&folder.path().join("database")).await?;
    let outcome = compare(folder.path(), &cluster.url()).await;
    cluster.stop().await?;
    say(&outcome?.to_string())
}

async fn compare(folder: &Path, database: &str) -> Result<serde_json::Value> {
    let (runs, seconds): (usize, u32) = (number("RUNS", 3)?, number("SECONDS", 5)?);
    let (service, at) = start_service(folder, database).await?;
    present(folder, database, &at).await?;
    let (nginx, nginx_at) = start_nginx(folder).await?;
    let pid = service.id().context("the service has ended")?;
    let known = format!("{PATH}{TOKEN}");
    for address in [nginx_at, at.responder] {
        let body = fetch_plain(&format!("http://{address}{known}")).await?;
        ensure!(body == KEY_AUTHORIZATION, "{address} answers {body:?}");
    }

    let (mut nginx_rates, mut rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=runs {
        let baseline = wrk(nginx_at, &known, CONNECTIONS, seconds, None).await?;
        let own = wrk(at.responder, &known, CONNECTIONS, seconds, None).await?;
        ensure!(baseline.errors + own.errors == 0, "answers that are none: {baseline:?} {own:?}");
        say(&format!(
            "run {run}: nginx {:.0}/s, responder {:.0}/s, ratio {:.2}; p99 {:?} and {:?}",
            baseline.per_second,
            own.per_second,
            own.per_second / baseline.per_second,
            baseline.p99,
            own.p99
        ))?;
        nginx_rates.push(baseline.per_second);
        rates.push(own.per_second);
        ratios.push(own.per_second / baseline.per_second);
    }

    let tokens: u64 = number("TOKENS", 1_000_000)?;
    let script = folder.join("random.lua");
    std::fs::write(&script, RANDOM_TOKENS)?;
    // What a first flood makes the allocator keep is no growth.
    wrk(at.responder, "/", CONNECTIONS, 2, Some((&script, 0))).await?;
    let before = usage::resident_memory(pid)?;
    let (mut asked, mut seed, mut unknown_rates) = (0, 1, Vec::new());
    while asked < tokens {
        let flood = wrk(at.responder, "/", CONNECTIONS, seconds, Some((&script, seed))).await?;
        ensure!(flood.requests > 0, "nothing is answered");
        asked += flood.requests;
        seed += 1;
        unknown_rates.push(flood.per_second);
    }
    let after = usage::resident_memory(pid)?;
    let exposition = Exposition::new(fetch_plain(&format!("http://{}/metrics", at.metrics)).await?);
    let lookups = exposition.total("lockkeeper_responder_lookups_total");
    let held = exposition.total("lockkeeper_responder_responses");
    say(&format!(
        "{asked} random tokens: memory {:.1} MB before, {:.1} MB after; {lookups} questions to the database, {held} responses held",
        megabytes(before),
        megabytes(after)
    ))?;

    let slow_connections: usize = number("SLOW", 4_000)?;
    let quiet = wrk(at.responder, &known, 16, seconds, None).await?;
    let mut slow = Vec::with_capacity(slow_connections);
    let crowd = async {
        loop {
            let mut stream = TcpStream::connect(at.responder).await?;
            stream.write_all(b"GET /.well-known/acme-ch").await?;
            if slow.len() == slow_connections {
                slow.remove(0);
            }
            slow.push(stream);
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    };
    let crowded = tokio::select! {
        crowded = wrk(at.responder, &known, 16, seconds, None) => crowded?,
        ended = crowd => { let ended: Result<()> = ended; return Err(ended.err().context("it never ends")?); }
    };
    let opened = Exposition::new(fetch_plain(&format!("http://{}/metrics", at.metrics)).await?)
        .total("lockkeeper_responder_evictions_total");
    say(&format!(
        "slow heads beside it: {:.0}/s alone, {:.0}/s among them; p99 {:?} and {:?}; {opened} seats taken back",
        quiet.per_second, crowded.per_second, quiet.p99, crowded.p99
    ))?;
    program::stop(nginx).await?;
    program::stop(service).await?;

    let spread = |values: &[f64]| {
        let spread = Spread::of(values.iter().copied());
        spread.map(|spread| json!({ "median": spread.median, "min": spread.min, "max": spread.max }))
    };
    Ok(json!({
        "connections": CONNECTIONS,
        "nginx_per_second": spread(&nginx_rates),
        "responder_per_second": spread(&rates),
        "ratio": spread(&ratios),
        "random_tokens": asked,
        "unknown_per_second": spread(&unknown_rates),
        "memory_before_bytes": before,
        "memory_after_bytes": after,
        "database_questions": lookups,
        "responses_held": held,
        "alone": { "per_second": quiet.per_second, "p99_ms": quiet.p99.as_secs_f64() * 1_000.0, "errors": quiet.errors },
        "among_slow_heads": { "per_second": crowded.per_second, "p99_ms": crowded.p99.as_secs_f64() * 1_000.0, "errors": crowded.errors },
        "seats_taken_back": opened,
    }))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// The part of `endpoints.json` that is needed here.
#[derive(Debug, Deserialize)]
struct Endpoints {
    api: SocketAddr,
    metrics: SocketAddr,
    responder: SocketAddr,
}

/// A service that answers, and orders nothing.
async fn start_service(folder: &Path, database: &str) -> Result<(Child, Endpoints)> {
    let config = folder.join("lockkeeper.toml");
    let sections: String = ["api", "metrics", "responder"]
        .iter()
        .map(|name| format!("[{name}]\nlisten = \"127.0.0.1:0\"\n"))
        .collect();
    std::fs::write(
        &config,
        format!(
            "[data]\nfolder = \"{}\"\n[database]\nurl = {database:?}\n{sections}\
             [ca]\nprofile = \"rehearsal\"\ndirectory_url = \"http://127.0.0.1:9/directory\"\nagree_to_terms = true\n\
             [worker]\nroles = [\"api\", \"responder\"]\n",
            folder.join("data").display()
        ),
    )?;
    let config = config.to_str().context("the folder's name is not Unicode")?;
    let log = folder.join("service.log");
    let mut service = program::start(&["--config", config, "serve"], Stdio::null(), &log)?;
    let deadline = Instant::now() + STARTED_WITHIN;
    while Instant::now() < deadline {
        if let Some(ended) = service.try_wait()? {
            bail!("the service ended ({ended}): {}", std::fs::read_to_string(&log).unwrap_or_default());
        }
        if let Ok(text) = std::fs::read(folder.join("data/endpoints.json")) {
            return Ok((service, serde_json::from_slice(&text)?));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("the service does not listen: {}", std::fs::read_to_string(&log).unwrap_or_default())
}

/// Puts a challenge into the ledger, as if an order had got so far.
async fn present(folder: &Path, database: &str, at: &Endpoints) -> Result<()> {
    let api = ApiClient::new(&format!("http://{}", at.api), &operator_token(&folder.join("data"))?)?;
    let csv = "tenant,external_id,names,challenge,labels\nbench,site,site.com,http-01,\n";
    let report: ImportReport = api.post_csv("/v1/imports", csv.into()).await?;
    ensure!(report.rows_created == 1, "the site is refused");
    let mut connection = PgConnection::connect(database).await?;
    sqlx::query(
        "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin,
             opened_at, expires_at, challenge_type, challenge_url, token, key_authorization)
         select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz', 'site.com', 'pending', 'ours',
             accepted_at, accepted_at, 'http-01', 'https://ca.test/challenge', $1, $2
         from orders",
    )
    .bind(TOKEN)
    .bind(KEY_AUTHORIZATION)
    .execute(&mut connection)
    .await?;
    connection.close().await?;
    Ok(())
}

/// As Debian ships it, with the body in a file.
async fn start_nginx(folder: &Path) -> Result<(Child, SocketAddr)> {
    let here = folder.join("nginx");
    let files = here.join("www").join(PATH.trim_matches('/'));
    std::fs::create_dir_all(&files)?;
    std::fs::write(files.join(TOKEN), KEY_AUTHORIZATION)?;
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let config = here.join("nginx.conf");
    let shown = here.display();
    std::fs::write(
        &config,
        format!(
            "daemon off;\nworker_processes auto;\npid {shown}/pid;\nerror_log {shown}/log;\n\
             events {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\nsendfile on;\ntcp_nopush on;\n\
             keepalive_requests 100000000;\nclient_body_temp_path {shown}/body;\nproxy_temp_path {shown}/proxy;\n\
             fastcgi_temp_path {shown}/fastcgi;\nuwsgi_temp_path {shown}/uwsgi;\nscgi_temp_path {shown}/scgi;\n\
             server {{\nlisten {address};\nroot {shown}/www;\n\
             location ^~ {PATH} {{ default_type text/plain; add_header X-Content-Type-Options nosniff; }}\n}}\n}}\n"
        ),
    )?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg(here.join("log")).arg("-c").arg(&config);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let child = command.spawn().context("no nginx: run .ci/setup nginx wrk")?;
    let deadline = Instant::now() + STARTED_WITHIN;
    while TcpStream::connect(address).await.is_err() {
        ensure!(Instant::now() < deadline, "nginx does not listen");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok((child, address))
}
