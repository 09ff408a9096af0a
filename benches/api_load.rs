//! The API under load, with few certificates and with many: requests per second and the 99th percentile of lists, reads and
//! writes.
//!
//! ```text
//! cargo bench -p lockkeeper-benches --bench api_load         10,000 and 1,000,000 certificates
//! FEW=1000 MANY=10000 SECONDS=2 cargo bench …                shorter
//! ```
//!
//! Needs `wrk`. The rows are made by SQL, as if each certificate had been issued once. Reads ask for one of 10,000 drawn
//! ids; lists ask for the first page, a tenant's, and one after a drawn id. The last line is one JSON object with all figures.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lockkeeper::cli::api_client::operator_token;
use lockkeeper::cluster::PrivateCluster;
use lockkeeper_benches::console::{number, say};
use lockkeeper_benches::program;
use lockkeeper_benches::wrk::{Load, wrk};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::process::Child;

const CONNECTIONS: u32 = 64;
const TENANTS: u32 = 100;
/// Ids that reads draw from.
const SAMPLE: u32 = 10_000;
/// Rows of one statement.
const CHUNK: u64 = 100_000;
const STARTED_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What an answer of reads may take with many, as a multiple of what it takes with few.
const RATIO_AIM: f64 = 3.0;

#[tokio::main]
async fn main() -> Result<()> {
    program::path()?;
    let few: u64 = number("FEW", 10_000)?;
    let many: u64 = number("MANY", 1_000_000)?;
    let seconds: u32 = number("SECONDS", 10)?;
    ensure!(few <= many, "FEW is more than MANY");
    let folder = tempfile::Builder::new().prefix("lockkeeper-bench-").tempdir()?;
    // The database runs as a user of its own, who has to get in.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let cluster = PrivateCluster::start(&folder.path().join("database")).await?;
    let outcome = compare(folder.path(), &cluster.url(), few, many, seconds).await;
    cluster.stop().await?;
    say(&outcome?.to_string())
}

async fn compare(folder: &Path, database: &str, few: u64, many: u64, seconds: u32) -> Result<Value> {
    let (service, api) = start_service(folder, database).await?;
    let token = operator_token(&folder.join("data"))?.reveal().to_owned();
    let mut connection = PgConnection::connect(database).await?;
    let mut sizes = Vec::new();
    let mut made = 0;
    for size in [few, many] {
        let began = Instant::now();
        fill(&mut connection, made, size).await?;
        made = size;
        say(&format!("{size} certificates are there after {:.0?} more", began.elapsed()))?;
        sizes.push((size, measure(folder, &mut connection, api, &token, size, seconds).await?));
    }
    connection.close().await?;
    program::stop(service).await?;
    let p99 = |of: &[(&'static str, Load)], name: &str| {
        of.iter().find(|(one, _)| *one == name).map_or(0.0, |(_, load)| load.p99.as_secs_f64())
    };
    let names: Vec<&str> = sizes[0].1.iter().map(|(name, _)| *name).collect();
    let ratios: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(p99(&sizes[1].1, name) / p99(&sizes[0].1, name))))
        .collect();
    let reads_grow_little =
        ratios.get("read").and_then(Value::as_f64).is_some_and(|ratio| ratio <= RATIO_AIM);
    let figures = |loads: &[(&'static str, Load)]| -> Value {
        let one = |load: &Load| json!({ "per_second": load.per_second, "p99_ms": load.p99.as_secs_f64() * 1_000.0 });
        loads.iter().map(|(name, load)| ((*name).to_owned(), one(load))).collect()
    };
    Ok(json!({
        "connections": CONNECTIONS,
        "few": { "certificates": sizes[0].0, "loads": figures(&sizes[0].1) },
        "many": { "certificates": sizes[1].0, "loads": figures(&sizes[1].1) },
        "p99_ratio": ratios,
        "read_p99_ratio_aim": RATIO_AIM,
        "reads_grow_little": reads_grow_little,
    }))
}

/// Certificates `from + 1` to `to`, each issued once.
async fn fill(connection: &mut PgConnection, from: u64, to: u64) -> Result<()> {
    let mut at = from;
    while at < to {
        let end = (at + CHUNK).min(to);
        for statement in rows(at + 1, end) {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await?;
        }
        at = end;
    }
    sqlx::raw_sql("vacuum analyze").execute(connection).await?;
    Ok(())
}

/// Ids ascend with the number, as those of the service do with time.
fn rows(first: u64, last: u64) -> Vec<String> {
    let id = |kind: u8| format!("('00000000-0000-7000-80{kind:02}-' || lpad(to_hex(nr), 12, '0'))::uuid");
    let (tenant, certificate, order) = (
        format!("('00000000-0000-7000-8001-' || lpad(to_hex(nr % {TENANTS}), 12, '0'))::uuid"),
        id(2),
        id(3),
    );
    let series = format!("from generate_series({first}, {last}) as nr, accounts");
    vec![
        format!(
            "insert into tenants (tenant_id, slug, created_at)
             select distinct {tenant}, 'bench-' || nr % {TENANTS}, timestamptz '2026-11-01' {series} on conflict do nothing"
        ),
        format!(
            "insert into hostnames (hostname, tenant_id, created_at)
             select 'www' || nr || '.example.com', {tenant}, '2026-11-01' {series}"
        ),
        format!(
            "insert into certificates (certificate_id, tenant_id, account_id, external_id, names, challenge, labels, created_at)
             select {certificate}, {tenant}, account_id, 'site-' || nr, array['www' || nr || '.example.com'], 'http-01',
                 jsonb_build_object('server', 'web' || nr % 1000), '2026-11-01' {series}"
        ),
        format!(
            "insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, proven_at, admitted_at,
                 hold_until, asks, ca_order_url, finalize_url, ca_expires_at, key_sealed, csr_der, certificate_url,
                 accepted_at, ended_at)
             select {order}, {tenant}, {certificate}, account_id, array['www' || nr || '.example.com'], 3, 'issued',
                 '2026-11-01', '2026-11-01', '2026-11-08', 1, 'https://ca.test/order/' || nr, 'https://ca.test/finalize/' || nr,
                 '2026-11-08', '\\x00', '\\x00', 'https://ca.test/certificate/' || nr, '2026-11-01', '2026-11-01' {series}"
        ),
        format!(
            "insert into issued_certificates (order_id, certificate_id, tenant_id, account_id, names, serial,
                 fingerprint_sha256, spki_sha256, issuer, chain_pem, key_sealed, not_before, not_after, issued_at)
             select {order}, {certificate}, {tenant}, account_id, array['www' || nr || '.example.com'], to_hex(nr),
                 sha256(nr::text::bytea), sha256(nr::text::bytea), 'Bench CA', '-----BEGIN CERTIFICATE-----', '\\x00',
                 '2026-11-01', '2027-01-30', '2026-11-01' {series}"
        ),
    ]
}

async fn measure(
    folder: &Path,
    connection: &mut PgConnection,
    api: SocketAddr,
    token: &str,
    size: u64,
    seconds: u32,
) -> Result<Vec<(&'static str, Load)>> {
    let ids: Vec<String> = sqlx::query_scalar(
        "select certificate_id::text from certificates where external_id like 'site-%' order by random() limit $1",
    )
    .bind(i64::from(SAMPLE))
    .fetch_all(&mut *connection)
    .await?;
    let ids: Vec<String> = ids.iter().map(|id| public(id)).collect::<Result<_>>()?;
    std::fs::write(folder.join("ids"), ids.join("\n"))?;
    let mut loads = Vec::new();
    for (name, request) in scripts(size) {
        let script = folder.join(format!("{name}.lua"));
        std::fs::write(&script, script_of(folder, token, &request))?;
        // Plans are made and pages read before it counts.
        wrk(api, "/", CONNECTIONS, 2, Some((&script, 1))).await?;
        let load = wrk(api, "/", CONNECTIONS, seconds, Some((&script, 2))).await?;
        ensure!(load.errors == 0, "{name}: {load:?}");
        say(&format!("{size} certificates, {name}: {:.0}/s, p99 {:?}", load.per_second, load.p99))?;
        loads.push((name, load));
    }
    Ok(loads)
}

/// An id as the API writes it.
fn public(id: &str) -> Result<String> {
    Ok(issuance::ids::CertificateId(id.parse()?).to_string())
}

/// Bodies of `request()` in Lua.
fn scripts(size: u64) -> Vec<(&'static str, String)> {
    let get = |path: &str| format!("return wrk.format(\"GET\", {path})");
    vec![
        ("read", get("\"/v1/certificates/\" .. ids[math.random(#ids)]")),
        ("read_hostname", get(&format!("\"/v1/hostnames/www\" .. math.random({size}) .. \".example.com\""))),
        ("list", get("\"/v1/certificates\"")),
        ("list_of_tenant", get(&format!("\"/v1/certificates?tenant=bench-\" .. math.random({TENANTS}) - 1"))),
        ("list_orders", get(&format!("\"/v1/orders?tenant=bench-\" .. math.random({TENANTS}) - 1"))),
        ("find_by_hostname", get(&format!("\"/v1/certificates?hostname=www\" .. math.random({size}) .. \".example.com\""))),
        (
            // Each thread of the load has a table of its own, at an address of its own.
            "put",
            "made = made + 1\nme = me or tostring({}):match(\"0x(%w+)\")\n\
             headers[\"content-type\"] = \"application/json\"\n\
             local name = \"w\" .. seed .. \"-\" .. me .. \"-\" .. made .. \"-\" .. os.time() .. \".example.org\"\n\
             return wrk.format(\"PUT\", \"/v1/hostnames/\" .. name, headers, '{\"tenant\":\"bench-' .. math.random(0, 99) .. '\"}')"
                .to_owned(),
        ),
    ]
}

fn script_of(folder: &Path, token: &str, request: &str) -> String {
    format!(
        "ids = {{}}\nfor line in io.lines(\"{}\") do ids[#ids + 1] = line end\n\
         headers = {{ [\"authorization\"] = \"Bearer {token}\" }}\nwrk.headers[\"authorization\"] = headers[\"authorization\"]\n\
         made = 0\nfunction init(arguments) seed = arguments[1]; math.randomseed(tonumber(seed)) end\n\
         function request()\n{request}\nend\n",
        folder.join("ids").display()
    )
}

/// The part of `endpoints.json` that is needed here.
#[derive(Debug, Deserialize)]
struct Endpoints {
    api: SocketAddr,
}

/// A service that answers, and orders nothing.
async fn start_service(folder: &Path, database: &str) -> Result<(Child, SocketAddr)> {
    let config = folder.join("lockkeeper.toml");
    std::fs::write(
        &config,
        format!(
            "[data]\nfolder = \"{}\"\n[database]\nurl = {database:?}\n[api]\nlisten = \"127.0.0.1:0\"\n\
             requests_per_minute = 0\n[metrics]\nlisten = \"127.0.0.1:0\"\n\
             [ca]\nprofile = \"rehearsal\"\ndirectory_url = \"http://127.0.0.1:9/directory\"\nagree_to_terms = true\n\
             [worker]\nroles = [\"api\"]\n",
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
            let endpoints: Endpoints = serde_json::from_slice(&text)?;
            return Ok((service, endpoints.api));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("the service does not listen: {}", std::fs::read_to_string(&log).unwrap_or_default())
}
