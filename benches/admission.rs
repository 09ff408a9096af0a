//! What it takes to admit an order, by the number that are queued, and how many are admitted a second.
//!
//! ```text
//! cargo bench -p lockkeeper-benches --bench admission
//! SIZES=10000,100000 ORDERS=2000 cargo bench …
//! SETTINGS="shared_buffers = '1GB'" cargo bench …          of PostgreSQL, separated by semicolons
//! ```
//!
//! Claim and gate as a replica does them, against a PostgreSQL of the bench's own with fsync on: sixteen orders at a time
//! where tokens are plenty, and one at a time where each new-order has to wait for its token, as at Let's Encrypt. Beside
//! it, in the same run, the rates at which this database commits one row a transaction. The last line is one JSON object
//! with all figures.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use issuance::fairness::Lane;
use issuance::ids::AccountId;
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use lockkeeper::cluster::PrivateCluster;
use lockkeeper::config::ca_profile;
use lockkeeper::store::Store;
use lockkeeper::store::admissions::{AdmissionOutcome, AdmissionRequest};
use lockkeeper::store::leases::{Claim, InLine, Replica, Stand};
use lockkeeper_benches::console::{number, say};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_798_761_600);
const LEASE: Duration = Duration::from_mins(1);
const CA: &str = "letsencrypt";
/// As many places at the CA as a replica has.
const AT_ONCE: u16 = 16;
const CONNECTIONS: u32 = 16;
const ACCOUNTS: u32 = 100;
/// What the database itself spends on an order, whatever else the machine does meanwhile.
const COUNTING: &str = "shared_preload_libraries = 'pg_stat_statements'";
const SPENT: &str =
    "select coalesce(sum(total_exec_time), 0) from pg_stat_statements where query not like 'delete from%'";

/// Orders, proven and in line, of 40 tenants; one name each, and ids in the order of their coming as those of the service.
const QUEUE: [&str; 7] = [
    "truncate tenants, accounts, certificates, orders, buckets, limit_reservations, flights cascade",
    "insert into tenants (tenant_id, slug, created_at)
     select gen_random_uuid(), concat('tenant-', nr), '2027-01-01' from generate_series(1, 40) as nr",
    "insert into accounts (account_id, ca, directory_url, key_sealed, key_thumbprint, pending_authorizations_max,
         recovery_reserve, created_at)
     select gen_random_uuid(), 'letsencrypt', concat('https://ca.test/', nr), '', nr, 1000000, 0, '2027-01-01'
     from generate_series(1, $1) as nr",
    "insert into certificates (certificate_id, tenant_id, account_id, external_id, names, challenge, created_at)
     select concat('01900000-0000-7000-8000-', lpad(to_hex(nr), 12, '0'))::uuid, tenants.tenant_id, accounts.account_id, nr, array[concat('site-', nr, '.com')], 'http-01',
         '2027-01-01'
     from generate_series(1, $1) as nr
     join (select tenant_id, row_number() over () as place from tenants) as tenants on tenants.place = nr % 40 + 1
     join (select account_id, row_number() over () as place, count(*) over () as accounts from accounts) as accounts
         on accounts.place = nr % accounts.accounts + 1",
    "insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, due_at, proven_at,
         accepted_at, fair_tag, in_line)
     select certificate_id, tenant_id, certificate_id, account_id, names, 3, 'accepted', '2027-01-01', '2027-01-01',
         '2027-01-01', external_id::bigint / 40 * 1000000, true
     from certificates
     order by certificate_id",
    // What filling the tables has left to do is not what is measured.
    "vacuum analyze",
    "checkpoint",
];

#[tokio::main]
async fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    open(folder.path())?;
    let data = folder.path().join("database");
    let mut cluster = PrivateCluster::start(&data).await?;
    // Settings beside its own are read at the start.
    cluster.stop().await?;
    let settings = std::env::var("SETTINGS").unwrap_or_default().replace(';', "\n");
    std::fs::write(data.join("postgres/local.conf"), format!("{COUNTING}\n{settings}\n"))?;
    cluster = PrivateCluster::start(&data).await?;
    let store = Store::open(&cluster.url(), CONNECTIONS)?;
    store.migrate().await?;
    let pool = PgPool::connect(&cluster.url()).await?;
    sqlx::query("create extension pg_stat_statements").execute(&pool).await?;
    let figures = measure(&store, &pool).await;
    pool.close().await;
    store.close().await;
    cluster.stop().await?;
    say(&figures?.to_string())
}

/// The database runs as a user of its own, who has to get in.
fn open(folder: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?)
}

async fn measure(store: &Store, pool: &PgPool) -> Result<Value> {
    let sizes = std::env::var("SIZES").unwrap_or_default();
    let sizes = if sizes.is_empty() { "10000,100000,1000000".to_owned() } else { sizes };
    let orders: usize = number("ORDERS", 4_000)?;
    let (one, all) = (raw(pool, 1).await?, raw(pool, CONNECTIONS).await?);
    say(&format!("one row a transaction: {one:.0}/s on one connection, {all:.0}/s on {CONNECTIONS}"))?;
    let mut rows = Vec::new();
    for size in sizes.split(',') {
        let size: i32 = size.trim().parse().with_context(|| format!("SIZES: {size:?} is no number"))?;
        queue(pool, size, 1).await?;
        let plenty = admit(store, pool, &plenty()?, orders, AT_ONCE).await?;
        queue(pool, size, 1).await?;
        let scarce = admit(store, pool, &scarce()?, orders.min(1_000), 1).await?;
        say(&format!("{size:>8} queued, plenty: {plenty}\n{:>8}         scarce: {scarce}", ""))?;
        rows.push((size, plenty, scarce));
    }
    queue(pool, 100_000, ACCOUNTS).await?;
    let spread = spread(store, orders).await?;
    say(&format!("{ACCOUNTS} accounts: {spread:.0} orders/s admitted"))?;
    let ratio = |figure: fn(&(i32, Figures, Figures)) -> f64| match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => Some(figure(last) / figure(first)),
        _ => None,
    };
    Ok(json!({
        "raw_commits_per_second": { "one": one, "sixteen": all },
        "queued": rows.iter().map(|(size, plenty, scarce)| json!({
            "orders": size, "plenty": plenty.json(), "scarce": scarce.json(),
        })).collect::<Vec<_>>(),
        "ratio_database_plenty": ratio(|(_, plenty, _)| plenty.in_database),
        "ratio_database_scarce": ratio(|(_, _, scarce)| scarce.in_database),
        "ratio_p50_plenty": ratio(|(_, plenty, _)| plenty.p50),
        "ratio_p99_plenty": ratio(|(_, plenty, _)| plenty.p99),
        "ratio_p50_scarce": ratio(|(_, _, scarce)| scarce.p50),
        "ratio_p99_scarce": ratio(|(_, _, scarce)| scarce.p99),
        "account_orders_per_second": rows.first().map(|(_, plenty, _)| plenty.rate),
        "hundred_accounts_orders_per_second": spread,
    }))
}

/// Transactions of one row each, a second.
async fn raw(pool: &PgPool, connections: u32) -> Result<f64> {
    const EACH: u32 = 500;
    sqlx::raw_sql("create table if not exists bench_rows (row_id uuid primary key)").execute(pool).await?;
    let began = Instant::now();
    try_join_all((0..connections).map(|_| async {
        let mut connection = pool.acquire().await?;
        for _ in 0..EACH {
            sqlx::query("insert into bench_rows values (gen_random_uuid())")
                .execute(&mut *connection)
                .await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    Ok(f64::from(connections * EACH) / began.elapsed().as_secs_f64())
}

async fn queue(pool: &PgPool, orders: i32, accounts: u32) -> Result<()> {
    for (place, statement) in QUEUE.into_iter().enumerate() {
        let query = sqlx::query(statement);
        let query = match place {
            2 => query.bind(i32::try_from(accounts)?),
            3 => query.bind(orders),
            _ => query,
        };
        query.execute(pool).await?;
    }
    Ok(())
}

fn plenty() -> Result<CaProfile> {
    let mut profile = ca_profile::load(CA)?;
    profile.limits_certain = true;
    for limit in &mut profile.limits {
        limit.burst = 10_000_000;
        limit.count = 10_000_000;
    }
    Ok(profile)
}

/// One token at each instant of the bench.
fn scarce() -> Result<CaProfile> {
    let mut profile = plenty()?;
    for limit in profile.limits.iter_mut().filter(|limit| limit.name.as_str() == "new_orders_per_account") {
        (limit.burst, limit.count, limit.period_seconds) = (1, 1, 36);
    }
    Ok(profile)
}

struct Figures {
    /// Milliseconds for each order admitted.
    p50: f64,
    p99: f64,
    /// Milliseconds of the database's statements for each, on average.
    in_database: f64,
    /// Orders a second.
    rate: f64,
}

impl Figures {
    fn json(&self) -> Value {
        json!({ "p50_ms": self.p50, "p99_ms": self.p99, "database_ms": self.in_database, "orders_per_second": self.rate })
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { p50, p99, in_database, rate } = self;
        write!(
            f,
            "p50 {p50:.3} ms, p99 {p99:.3} ms an order, {in_database:.3} ms of it in statements; {rate:.0} orders/s"
        )
    }
}

/// Claims `at_once` and takes them through the gate, until `orders` were admitted; each batch one token later.
async fn admit(
    store: &Store,
    pool: &PgPool,
    profile: &CaProfile,
    orders: usize,
    at_once: u16,
) -> Result<Figures> {
    let account: Uuid = sqlx::query_scalar("select account_id from accounts").fetch_one(pool).await?;
    let (mut each, mut admitted, mut now) = (Vec::new(), Vec::new(), NOW);
    sqlx::query("select pg_stat_statements_reset()").execute(pool).await?;
    while admitted.len() < orders {
        now = now.after(Duration::from_secs(36));
        let began = Instant::now();
        let claims = claim(store, now, at_once).await?;
        ensure!(!claims.is_empty(), "the queue is empty");
        let requests: Vec<AdmissionRequest> =
            claims.iter().map(|claim| AdmissionRequest::first(claim, NOW)).collect();
        let answer = store.admit(AccountId(account), &requests, profile, now).await?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        let granted =
            answer.outcomes.iter().filter(|one| matches!(one, AdmissionOutcome::Granted(_))).count();
        ensure!(granted == claims.len(), "{:?}", answer.outcomes);
        each.push(took / granted as f64);
        admitted.extend(claims.iter().map(|claim| claim.owner.order.0));
        go_on(pool, &requests).await?;
    }
    let spent: f64 = sqlx::query_scalar(SPENT).fetch_one(pool).await?;
    let in_database = spent / admitted.len() as f64;
    let seconds: f64 = each.iter().sum::<f64>() * f64::from(at_once) / 1e3;
    each.sort_by(f64::total_cmp);
    let percentile = |share: f64| each[((each.len() as f64 * share).ceil() as usize).max(1) - 1];
    let (p50, p99) = (percentile(0.5), percentile(0.99));
    Ok(Figures { p50, p99, in_database, rate: admitted.len() as f64 / seconds })
}

/// What was admitted is at the CA and gone from there, as it would be in a moment: an account holds few at a time.
async fn go_on(pool: &PgPool, requests: &[AdmissionRequest]) -> Result<()> {
    let orders: Vec<Uuid> = requests.iter().map(|request| request.lease.order.0).collect();
    for statement in [
        "delete from flights where order_id = any($1)",
        "delete from limit_reservations where order_id = any($1)",
        "delete from orders where order_id = any($1)",
    ] {
        sqlx::query(statement).bind(&orders).execute(pool).await?;
    }
    Ok(())
}

async fn claim(store: &Store, now: Timestamp, limit: u16) -> Result<Vec<Claim>> {
    let wanted = InLine { stand: Stand::Proven, lanes: Lane::ALL.to_vec(), only_exempt: false };
    let claimed = store.claim_in_line(Replica(Uuid::from_u128(1)), now, LEASE, wanted, limit).await?;
    ensure!(claimed.unreadable.is_empty(), "{:?}", claimed.unreadable);
    Ok(claimed.claims)
}

/// Orders a second over all accounts, each account's at its own gate, as many gates at once as there are connections.
async fn spread(store: &Store, orders: usize) -> Result<f64> {
    let profile = plenty()?;
    let mut claims = Vec::new();
    while claims.len() < orders {
        claims.extend(claim(store, NOW, 512).await?);
    }
    let mut by_account = std::collections::BTreeMap::<AccountId, Vec<AdmissionRequest>>::new();
    for claim in &claims {
        by_account.entry(claim.owner.account).or_default().push(AdmissionRequest::first(claim, NOW));
    }
    let began = Instant::now();
    try_join_all(by_account.iter().map(|(account, requests)| async {
        for batch in requests.chunks(usize::from(AT_ONCE)) {
            store.admit(*account, batch, &profile, NOW).await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    Ok(claims.len() as f64 / began.elapsed().as_secs_f64())
}
