//! Names that stand badly are few among very many, and are found without looking at those.

use issuance::fault::FailureClass;
use issuance::ids::AccountId;
use issuance::time::Timestamp;
use lockkeeper::store::Store;
use lockkeeper::store::explanations::HostnameStatus;
use lockkeeper::store::hostnames_view::{self, HostnameFilter};
use lockkeeper::store::page::Page;
use lockkeeper::store::viewer::Viewer;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use uuid::Uuid;

const NAMES: i64 = 20_000;
/// Of every so many names one stands badly, each in another way.
const APART: i64 = 1_000;
const ACCOUNT: AccountId = AccountId(Uuid::from_u128(7));
const NOW: Timestamp = Timestamp::from_unix_seconds(1_798_761_600);

/// A fleet that is certified, but for some.
async fn fleet(pool: &PgPool) -> sqlx::Result<()> {
    for statement in [
        "insert into tenants (tenant_id, slug, created_at) values (gen_random_uuid(), 't1', '2026-12-01')",
        "insert into accounts (account_id, ca, directory_url, key_sealed, key_thumbprint, pending_authorizations_max,
             recovery_reserve, created_at)
         values ('00000000-0000-0000-0000-000000000007', 'letsencrypt', 'https://ca.test', '', 'x', 300, 0, '2026-12-01')",
        "insert into certificates (certificate_id, tenant_id, account_id, external_id, names, challenge, created_at)
         select gen_random_uuid(), tenant_id, account_id, nr, array[concat('site-', nr, '.com')], 'http-01', '2026-12-01'
         from tenants, accounts, generate_series(1, 20000) as nr",
        "insert into hostnames (hostname, tenant_id, created_at) select names[1], tenant_id, created_at from certificates",
        "insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, accepted_at, ended_at, csr_der,
             ca_order_url, finalize_url, ca_expires_at, admitted_at, hold_until, asks, certificate_url)
         select certificate_id, tenant_id, certificate_id, account_id, names, 3, 'issued', '2026-12-01', '2026-12-01', 'x',
             'https://ca.test/order/' || external_id, 'https://ca.test/f', '2026-12-08', '2026-12-01', '2026-12-01', 1, 'https://ca.test/c'
         from certificates",
        "insert into issued_certificates (order_id, certificate_id, tenant_id, account_id, names, serial, fingerprint_sha256,
             spki_sha256, issuer, chain_pem, not_before, not_after, issued_at)
         select certificate_id, certificate_id, tenant_id, account_id, names, external_id, sha256('a'), sha256('b'), 'CN=x', 'x',
             '2026-12-01', '2027-03-01', '2026-12-01'
         from certificates",
        // One is renewed, one has failed at the CA, one waits for its name, one was given up.
        "insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, accepted_at, due_at, ended_at,
             fault_class, fault_detail)
         select gen_random_uuid(), tenant_id, certificate_id, account_id, names, 2,
             (array['accepted', 'failed', 'parked', 'parked'])[1 + external_id::integer / 1000 % 4], '2026-12-31',
             case when external_id::integer / 1000 % 4 <> 1 then timestamptz '2027-01-01' end,
             case when external_id::integer / 1000 % 4 = 1 then timestamptz '2026-12-31' end,
             case when external_id::integer / 1000 % 4 <> 0 then 'dns_nxdomain' end,
             case when external_id::integer / 1000 % 4 <> 0 then 'x' end
         from certificates where external_id::integer % 1000 = 0",
        "insert into hostname_backoffs (account_id, hostname, failures, blocked_until, at_ca, fault_class, fault_detail, failed_at,
             broken_since, look_at, suspended_at)
         select account_id, names[1], 1, '2027-01-02', false, 'dns_nxdomain', 'x', '2026-12-31', '2026-12-31', '2027-01-02',
             case when external_id::integer / 1000 % 4 = 3 then timestamptz '2026-12-31' end
         from certificates where external_id::integer % 1000 = 0 and external_id::integer / 1000 % 4 > 1",
        "update issued_certificates set not_after = '2026-12-31' where serial::integer % 1000 = 0",
        "analyze",
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(pool).await?;
    }
    Ok(())
}

/// Rows that were read without an index, and those that were fetched by one, ever.
async fn read(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query("select pg_stat_force_next_flush()").execute(pool).await?;
    sqlx::query_scalar(
        "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables
         where relname in ('hostnames', 'certificates', 'orders', 'issued_certificates', 'hostname_backoffs', 'renewals')",
    )
    .fetch_one(pool)
    .await
}

async fn names(store: &Store, filter: &HostnameFilter, limit: u32) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = Page::by_text(Some(limit), cursor.as_deref(), "rare")?;
        let list = hostnames_view::list(store, Viewer::Operator, ACCOUNT, NOW, filter, &page).await?;
        found.extend(list.data.into_iter().map(|one| one.hostname));
        match list.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(found),
        }
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_stands_badly_is_found_without_reading_what_stands_well(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) -> anyhow::Result<()> {
    // One connection, so that its counts are there when they are asked for.
    let pool = PgPoolOptions::new().max_connections(1).connect_with(connect).await?;
    let store = Store::from_pool(pool.clone());
    fleet(&pool).await?;
    let expected = |rest: i64| {
        let mut names: Vec<String> = (1..=NAMES / APART)
            .filter(|nr| nr % 4 == rest)
            .map(|nr| format!("site-{}.com", nr * APART))
            .collect();
        names.sort_unstable();
        names
    };
    let of = |status| HostnameFilter { status: Some(status), ..HostnameFilter::default() };
    for (status, rest) in [
        (HostnameStatus::Issuing, 0),
        (HostnameStatus::Failed, 1),
        (HostnameStatus::NotReady, 2),
        (HostnameStatus::Suspended, 3),
    ] {
        let before = read(&pool).await?;
        assert_eq!(names(&store, &of(status), 100).await?, expected(rest), "{status:?}");
        let rows = read(&pool).await? - before;
        assert!(
            rows < NAMES / 10,
            "{status:?}: {rows} rows were read to find {} among {NAMES}",
            expected(rest).len()
        );
        assert_eq!(names(&store, &of(status), 2).await?, expected(rest), "{status:?}, page by page");
    }
    let class =
        HostnameFilter { failure_class: Some(FailureClass::DnsNxdomain), ..HostnameFilter::default() };
    let mut failing: Vec<String> = (1..=3).flat_map(expected).collect();
    failing.sort_unstable();
    assert_eq!(names(&store, &class, 100).await?, failing);
    let begins = HostnameFilter { prefix: Some("site-1".to_owned()), ..of(HostnameStatus::Failed) };
    let expected: Vec<String> = expected(1).into_iter().filter(|name| name.starts_with("site-1")).collect();
    assert_eq!(names(&store, &begins, 100).await?, expected);
    Ok(())
}
