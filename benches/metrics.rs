//! What it takes to watch a large fleet: a scrape of `/metrics`, the census that its numbers come from, and the pages for
//! people.
//!
//! ```text
//! cargo bench -p lockkeeper-benches --bench metrics
//! HOSTNAMES=1000000 TENANTS=1000 IN_FLIGHT=100000 SCRAPES=200 cargo bench …
//! ```
//!
//! Rows are made by the database itself, and the service runs in this process against a rehearsal CA, with every role and
//! a PostgreSQL of the bench's own. The last line is one JSON object: milliseconds of a scrape and of the census, and the
//! number of series, and of each view of the dashboard.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use issuance::ids::{CertificateId, OrderId};
use issuance::time::Clock as _;
use lockkeeper::app::{App, Launch};
use lockkeeper::cli::api_client::fetch_plain;
use lockkeeper::clock::{Pace, SystemClock};
use lockkeeper::cluster::PrivateCluster;
use lockkeeper::config::Config;
use lockkeeper::store::{Store, census};
use lockkeeper::telemetry::install_recorder;
use lockkeeper_benches::console::{number, say};
use lockkeeper_benches::pages::Pages;
use rehearsal::ca::{CaConfig, RehearsalCa};
use rehearsal::rules::CaRules;
use serde_json::json;
use sqlx::PgPool;
use sqlx::types::Uuid;

/// The longest that a scrape may take.
const SCRAPE_MS_MAX: f64 = 200.0;
const SERIES_MAX: usize = 5_000;
/// The longest that a page may take, for nineteen of twenty.
const PAGE_MS_MAX: f64 = 200.0;
const PAGE_ROUNDS: usize = 40;
const COUNTED_WITHIN: Duration = Duration::from_mins(5);
const CENSUSES: usize = 5;

/// Tenants, names, wishes, and orders: nine in ten names have a certificate, the first ones an order that does not rest,
/// one in a hundred fails.
const ROWS: [&str; 13] = [
    "insert into tenants (tenant_id, slug, created_at)
     select gen_random_uuid(), concat('tenant-', nr), '2026-01-01' from generate_series(1, $1::bigint) as nr",
    "create temporary table owners as
     select tenant_id, row_number() over () - 1 as place, count(*) over () as owners from tenants",
    "insert into hostnames (hostname, tenant_id, created_at)
     select concat('site-', nr, '.example.com'), tenant_id, '2026-01-01'
     from generate_series(1, $1::bigint) as nr join owners on place = nr % owners",
    "insert into certificates (certificate_id, tenant_id, account_id, external_id, names, challenge, created_at)
     select concat('01900000-0000-7000-8000-', lpad(to_hex(nr), 12, '0'))::uuid, tenant_id,
         (select account_id from accounts limit 1), nr, array[concat('site-', nr, '.example.com')], 'http-01',
         '2026-01-01'
     from generate_series(1, $1::bigint) as nr join owners on place = nr % owners",
    "insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, accepted_at, ended_at,
         admitted_at, hold_until, asks, ca_order_url, finalize_url, ca_expires_at, key_sealed, csr_der)
     select certificate_id, tenant_id, certificate_id, account_id, names, 3, 'issued', '2026-01-01', '2026-01-01',
         '2026-01-01', '2026-01-08', 1, concat('https://ca.test/order/', external_id), 'https://ca.test/f',
         '2026-01-08', '\\x00', '\\x00'
     from certificates where external_id::bigint % 10 <> 0 and $1::bigint > 0",
    "insert into issued_certificates (order_id, certificate_id, tenant_id, account_id, names, serial, fingerprint_sha256,
         spki_sha256, issuer, chain_pem, key_sealed, not_before, not_after, issued_at, renewal_planned)
     select order_id, certificate_id, tenant_id, account_id, names, order_id, '\\x00', '\\x00', 'bench', '', '\\x00',
         '2026-01-01', timestamptz '2031-01-01' + random() * interval '90 days', '2026-01-01', true
     from orders where stage = 'issued' and $1::bigint > 0",
    "insert into renewals (certificate_id, account_id, order_id, not_after, renew_at, look_at)
     select certificate_id, account_id, order_id, not_after, '2031-01-01', '2031-01-01'
     from issued_certificates where $1::bigint > 0",
    // All due late, so that no worker takes them while others are measured.
    "insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, due_at, accepted_at,
         fault_class, fault_detail)
     select gen_random_uuid(), tenant_id, certificate_id, account_id, names, 3, 'parked', '2031-01-01', '2026-01-01',
         'connection', 'refused'
     from certificates where external_id::bigint <= $1::bigint and external_id::bigint % 3 = 0",
    "insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, due_at, accepted_at,
         admitted_at, hold_until, asks, ca_order_url, finalize_url, ca_expires_at)
     select gen_random_uuid(), tenant_id, certificate_id, account_id, names, external_id::bigint % 4,
         (array['placed', 'presented', 'submitted', 'ready'])[external_id::bigint % 4 + 1], '2031-01-01', '2026-01-01',
         '2026-01-01', '2031-01-01', 1, concat('https://ca.test/open/', external_id), 'https://ca.test/f', '2031-01-01'
     from certificates where external_id::bigint <= $1::bigint and external_id::bigint % 3 > 0",
    "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin,
         challenge_type, challenge_url, token, key_authorization, opened_at, expires_at, submit_intended_at, submitted_at,
         settled_at, settle_at)
     select gen_random_uuid(), tenant_id, account_id, order_id, concat(ca_order_url, '/a'), names[1], 'pending', 'ours',
         'http-01', concat(ca_order_url, '/c'), 't', 't.k', '2026-11-01', '2031-01-01', submitted, submitted, submitted,
         '2031-01-01'
     from orders
     cross join lateral (
         select case when stage = 'submitted' then timestamptz '2026-11-01' end as submitted) as at_the_ca
     where stage in ('placed', 'presented', 'submitted') and $1::bigint > 0",
    "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin,
         opened_at, expires_at, settled_at, final_at, fault_class, fault_detail)
     select gen_random_uuid(), tenant_id, account_id, order_id, concat(ca_order_url, '/f'), names[1], 'invalid', 'ours',
         '2026-11-01', '2026-11-08', '2026-11-01', '2026-11-01', 'connection_refused', 'nobody listens'
     from orders where stage = 'issued' and right(ca_order_url, 1) = '1' and $1::bigint > 0",
    "insert into events (event_id, tenant_id, kind, subject, certificate_id, order_id, data, happened_at)
     select gen_random_uuid(), tenant_id, 'certificate.issued', concat('crt_', certificate_id), certificate_id, order_id,
         '{}', issued_at
     from issued_certificates where $1::bigint > 0",
    "insert into hostname_backoffs (account_id, hostname, failures, blocked_until, at_ca, fault_class, fault_detail,
         failed_at)
     select account_id, names[1], 1, '2031-01-01', false,
         (array['connection', 'dns_nxdomain', 'caa', 'wrong_address'])[external_id::bigint % 4 + 1], '', '2026-01-01'
     from certificates where external_id::bigint % 100 = 0 and $1::bigint > 0",
];

/// Every view that names nothing, and some that do.
const VIEWS: [&str; 29] = [
    "/admin",
    "/admin/authorizations",
    "/admin/authorizations?tab=failed",
    "/admin/authorizations?tab=orphaned",
    "/admin/queue",
    "/admin/queue?stage=parked",
    "/admin/queue?lane=bulk",
    "/admin/hostnames",
    "/admin/hostnames?status=not_ready",
    "/admin/hostnames?failure_class=caa",
    "/admin/hostnames?q=site-99",
    "/admin/hostnames/site-5.example.com",
    "/admin/certificates",
    "/admin/certificates?status=failed",
    "/admin/certificates?hostname=site-77.example.com",
    "/admin/deployments",
    "/admin/tenants",
    "/admin/imports",
    "/admin/plan",
    "/admin/events",
    "/admin/webhooks",
    "/admin/accounts",
    "/admin/campaigns",
    "/admin/campaigns/new",
    "/admin/tenants/tenant-5",
    "/admin/checks",
    "/admin/dns",
    "/admin/users",
    "/admin/search?q=nothing",
];

/// A certificate that was issued, and the order that brought it.
const ISSUED: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_000b);

async fn fill(pool: &PgPool, hostnames: i64, tenants: i64, in_flight: i64) -> Result<()> {
    let mut connection = pool.acquire().await?;
    for (place, statement) in ROWS.into_iter().enumerate() {
        let amount = match place {
            0 => tenants,
            7 | 8 => in_flight,
            _ => hostnames,
        };
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") { query.bind(amount) } else { query };
        query.execute(&mut *connection).await.with_context(|| format!("row statement {place}"))?;
    }
    sqlx::query("vacuum analyze").execute(&mut *connection).await?;
    Ok(())
}

fn configuration(folder: &Path, database: &str, ca: &str) -> Result<Config> {
    let mut text = format!(
        "[database]\nurl = {database:?}\n[data]\nfolder = {:?}\n[ca]\nprofile = \"rehearsal\"\n\
         directory_url = {ca:?}\nagree_to_terms = true\n[reconcile]\ninterval_seconds = 1\n\
         evidence_interval_seconds = 100000\n",
        folder.join("data").display().to_string()
    );
    for section in ["api", "metrics", "responder"] {
        write!(text, "[{section}]\nlisten = \"127.0.0.1:0\"\n")?;
    }
    let path = folder.join("lockkeeper.toml");
    std::fs::write(&path, text)?;
    Ok(Config::load(Some(&path), std::iter::empty())?)
}

/// The value below which that share of them lies.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted[place.clamp(1, sorted.len()) - 1]
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

#[tokio::main]
async fn main() -> Result<()> {
    let (hostnames, tenants): (i64, i64) = (number("HOSTNAMES", 1_000_000)?, number("TENANTS", 1_000)?);
    let (in_flight, scrapes): (i64, usize) = (number("IN_FLIGHT", 100_000)?, number("SCRAPES", 200)?);
    let folder = tempfile::tempdir()?;
    // The database runs as a user of its own, who has to get in.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let cluster = PrivateCluster::start(&folder.path().join("database")).await?;
    // It is not asked to validate anything: nothing here is the fleet's.
    let rules = CaRules { always_valid: true, ..CaRules::default() };
    let ca = RehearsalCa::start(CaConfig { rules, ..CaConfig::default() }).await?;
    let config = configuration(folder.path(), &cluster.url(), &ca.directory_url())?;
    let app = App::start(Launch {
        config,
        clock: Arc::new(SystemClock),
        pace: Pace::REAL,
        profile: None,
        exposition: Some(install_recorder()?),
        transport: None,
    })
    .await?;
    let url = format!("http://{}/metrics", app.endpoints.metrics.context("it serves metrics")?);
    let pool = PgPool::connect(&cluster.url()).await?;
    let before = fetch_plain(&url).await?;
    say(&format!("{} series with no tenant", series(&before)))?;
    let began = Instant::now();
    fill(&pool, hostnames, tenants, in_flight).await?;
    say(&format!("{hostnames} hostnames of {tenants} tenants, {:.0} s", began.elapsed().as_secs_f64()))?;
    wait_until_counted(&url, tenants).await?;

    let mut took = Vec::with_capacity(scrapes);
    let mut text = String::new();
    for _ in 0..scrapes {
        let began = Instant::now();
        text = fetch_plain(&url).await?;
        took.push(milliseconds(began));
    }
    took.sort_by(f64::total_cmp);
    let store = Store::open(&cluster.url(), 1)?;
    let mut counted = Vec::new();
    for _ in 0..CENSUSES {
        let began = Instant::now();
        let found = census::take(&store, SystemClock.now()).await?;
        counted.push(milliseconds(began));
        ensure!(found.hostnames.all == hostnames.unsigned_abs(), "{found:?}");
    }
    counted.sort_by(f64::total_cmp);
    let (p50, p95, series) = (quantile(&took, 0.5), quantile(&took, 0.95), series(&text));
    let census_ms = quantile(&counted, 0.5);
    say(&format!("a scrape: p50 {p50:.1} ms, p95 {p95:.1} ms; {series} series, {} bytes", text.len()))?;
    say(&format!(
        "the census: {census_ms:.0} ms of the database, {:.0} ms the slowest",
        counted[CENSUSES - 1]
    ))?;
    let api = app.endpoints.api.context("it serves the API")?;
    let pages = Pages::open(api, &folder.path().join("data/operator.token")).await?;
    let (mut views, mut slowest) = (Vec::new(), 0.0_f64);
    let of_one = [
        format!("/admin/certificates/{}", CertificateId(ISSUED)),
        format!("/admin/orders/{}", OrderId(ISSUED)),
    ];
    for view in VIEWS.into_iter().chain(of_one.iter().map(String::as_str)) {
        let took = pages.milliseconds(view, PAGE_ROUNDS).await?;
        let (p50, p95) = (quantile(&took, 0.5), quantile(&took, 0.95));
        say(&format!("{view}: p50 {p50:.1} ms, p95 {p95:.1} ms"))?;
        views.push(json!({ "view": view, "p50_ms": p50, "p95_ms": p95 }));
        slowest = slowest.max(p95);
    }
    app.stop().await?;
    store.close().await;
    pool.close().await;
    ca.stop().await;
    cluster.stop().await?;
    ensure!(!text.contains("site-") && !text.contains("tenant-"), "somebody is named");
    ensure!(p95 <= SCRAPE_MS_MAX && series <= SERIES_MAX, "a scrape is slow, or has too many series");
    ensure!(slowest <= PAGE_MS_MAX, "a page takes {slowest:.0} ms");
    say(&json!({
        "views": views,
        "hostnames": hostnames, "tenants": tenants, "in_flight": in_flight, "series": series,
        "scrape_ms": { "p50": p50, "p95": p95 }, "scrape_bytes": text.len(), "census_ms": census_ms,
    })
    .to_string())
}

fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count()
}

async fn wait_until_counted(url: &str, tenants: i64) -> Result<()> {
    let deadline = Instant::now() + COUNTED_WITHIN;
    let counted = format!("lockkeeper_tenants {tenants}\n");
    while Instant::now() < deadline {
        if fetch_plain(url).await?.contains(&counted) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the tenants are not counted")
}
