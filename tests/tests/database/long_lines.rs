//! However many wait, those at the head are all that is looked at.

use std::time::Duration;

use issuance::fairness::Lane;
use issuance::ids::AccountId;
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use lockkeeper::store::Store;
use lockkeeper::store::admissions::{AdmissionOutcome, AdmissionRequest};
use lockkeeper::store::leases::{InLine, Replica, Stand};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

const QUEUED: i64 = 20_000;
const NOW: Timestamp = Timestamp::from_unix_seconds(1_798_761_600);
const LEASE: Duration = Duration::from_mins(1);

/// One tenant's orders, half of them proven.
async fn queue(pool: &PgPool) -> sqlx::Result<AccountId> {
    let account = AccountId(Uuid::from_u128(7));
    for statement in [
        "insert into tenants (tenant_id, slug, created_at) values (gen_random_uuid(), 't1', '2027-01-01')",
        "insert into accounts (account_id, ca, directory_url, key_sealed, key_thumbprint, pending_authorizations_max,
             recovery_reserve, created_at)
         values ('00000000-0000-0000-0000-000000000007', 'letsencrypt', 'https://ca.test', '', 'x', 300, 0, '2027-01-01')",
        "insert into certificates (certificate_id, tenant_id, account_id, external_id, names, challenge, created_at)
         select gen_random_uuid(), tenant_id, account_id, nr, array[concat('site-', nr, '.com')], 'http-01', '2027-01-01'
         from tenants, accounts, generate_series(1, 20000) as nr",
        "insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, due_at, proven_at,
             accepted_at, fair_tag, in_line)
         select certificate_id, tenant_id, certificate_id, account_id, names, 3, 'accepted', '2027-01-01',
             case when external_id::bigint % 2 = 0 then timestamptz '2027-01-01' end, '2027-01-01', external_id::bigint, true
         from certificates",
        "analyze",
    ] {
        sqlx::raw_sql(statement).execute(pool).await?;
    }
    Ok(account)
}

/// Rows of orders that were read without an index, ever.
async fn scanned(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query("select pg_stat_force_next_flush()").execute(pool).await?;
    let row = sqlx::query("select seq_tup_read from pg_stat_user_tables where relname = 'orders'");
    row.fetch_one(pool).await?.try_get(0)
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn nothing_on_the_way_through_the_gate_reads_the_whole_line(
    _: PgPoolOptions,
    connect: PgConnectOptions,
) -> anyhow::Result<()> {
    // One connection, so that its counts are there when they are asked for.
    let pool = PgPoolOptions::new().max_connections(1).connect_with(connect).await?;
    let store = Store::from_pool(pool.clone());
    let account = queue(&pool).await?;
    let profile: CaProfile = toml::from_str(include_str!("../../../deploy/ca-profiles/letsencrypt.toml"))?;
    let before = scanned(&pool).await?;

    assert_eq!(store.proven_and_counted(100).await?, 100);
    assert_eq!(store.unproven_ahead(4).await?, 1, "the first in line is not proven");
    for stand in [Stand::Proven, Stand::Unproven] {
        let wanted = InLine { stand, lanes: Lane::ALL.to_vec(), only_exempt: false };
        let claimed = store.claim_in_line(Replica(Uuid::from_u128(1)), NOW, LEASE, wanted, 4).await?;
        assert_eq!(claimed.claims.len(), 4);
        if stand == Stand::Proven {
            let requests: Vec<AdmissionRequest> =
                claimed.claims.iter().map(|claim| AdmissionRequest::first(claim, NOW)).collect();
            let answer = store.admit(account, &requests, &profile, NOW).await?;
            let granted = |one: &&AdmissionOutcome| matches!(one, AdmissionOutcome::Granted(_));
            assert!(answer.outcomes.iter().any(|one| granted(&one)), "{:?}", answer.outcomes);
        }
    }
    assert_eq!(store.line_up(NOW, 100).await?, 0);
    let read = scanned(&pool).await? - before;
    assert!(read < QUEUED / 10, "{read} rows were read to find a few among {QUEUED}");
    Ok(())
}
