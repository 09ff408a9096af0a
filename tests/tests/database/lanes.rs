//! At the gate a lane goes before those after it, whoever has an order of theirs in hand; and none is passed over for
//! ever.

use std::time::Duration;

use issuance::admission::Denial;
use issuance::fairness::{Lane, PASSED_OVER_MAX};
use issuance::ids::AccountId;
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use lockkeeper::store::Store;
use lockkeeper::store::admissions::{AdmissionOutcome, AdmissionRequest};
use lockkeeper::store::leases::{InLine, Replica, Stand};
use sqlx::PgPool;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_798_761_600);
const ACCOUNT: AccountId = AccountId(Uuid::from_u128(7));

/// Two proven orders, one in the bulk lane and one for which a person waits, and one token for a new order.
async fn scene(pool: &PgPool) -> sqlx::Result<Store> {
    for statement in [
        "insert into tenants (tenant_id, slug, created_at) values (gen_random_uuid(), 't1', '2027-01-01')",
        "insert into accounts (account_id, ca, directory_url, key_sealed, key_thumbprint, pending_authorizations_max,
             recovery_reserve, created_at)
         values ('00000000-0000-0000-0000-000000000007', 'letsencrypt', 'https://ca.test', '', 'x', 300, 0, '2027-01-01')",
        "insert into limit_overrides (override_id, ca, limit_name, burst, count, period_seconds, origin, note, created_at)
         values (gen_random_uuid(), 'letsencrypt', 'new_orders_per_account', 1, 1, 10800, 'operator', 'one', '2027-01-01')",
        "insert into certificates (certificate_id, tenant_id, account_id, external_id, names, challenge, created_at)
         select gen_random_uuid(), tenant_id, account_id, lane, array[concat('site-', lane, '.com')], 'http-01', '2027-01-01'
         from tenants, accounts, unnest(array['1', '3']) as lane",
        "insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, due_at, proven_at,
             accepted_at, fair_tag, in_line)
         select certificate_id, tenant_id, certificate_id, account_id, names, external_id::smallint, 'accepted',
             '2027-01-01', '2027-01-01', '2027-01-01', 0, true
         from certificates",
    ] {
        sqlx::raw_sql(statement).execute(pool).await?;
    }
    Ok(Store::from_pool(pool.clone()))
}

/// The only order of a lane, taken in hand and brought to the gate.
async fn bring(store: &Store, lane: Lane) -> anyhow::Result<AdmissionOutcome> {
    let profile: CaProfile = toml::from_str(include_str!("../../../deploy/ca-profiles/letsencrypt.toml"))?;
    let wanted = InLine { stand: Stand::Proven, lanes: vec![lane], only_exempt: false };
    let lease = Duration::from_mins(1);
    let claimed = store.claim_in_line(Replica(Uuid::from_u128(1)), NOW, lease, wanted, 1).await?;
    let requests: Vec<AdmissionRequest> =
        claimed.claims.iter().map(|claim| AdmissionRequest::first(claim, NOW)).collect();
    assert_eq!(requests.len(), 1, "{lane:?}");
    let mut admitted = store.admit(ACCOUNT, &requests, &profile, NOW).await?;
    Ok(admitted.outcomes.remove(0))
}

async fn passed_over(pool: &PgPool) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar("select passed_over from accounts").fetch_one(pool).await
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_last_token_is_for_the_lane_that_goes_first(pool: PgPool) -> anyhow::Result<()> {
    let store = scene(&pool).await?;
    let bulk = bring(&store, Lane::Bulk).await?;
    assert!(matches!(bulk, AdmissionOutcome::Denied(Denial::Turn { .. })), "{bulk:?}");
    let awaited = bring(&store, Lane::Interactive).await?;
    assert!(matches!(awaited, AdmissionOutcome::Granted(_)), "{awaited:?}");
    assert_eq!(passed_over(&pool).await?, [0, 0, 1, 1], "the lanes after it were passed over");
    Ok(())
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_lane_that_was_passed_over_often_goes_first_once(pool: PgPool) -> anyhow::Result<()> {
    let store = scene(&pool).await?;
    sqlx::query("update accounts set passed_over = array[0, 0, 0, $1]")
        .bind(i32::try_from(PASSED_OVER_MAX)?)
        .execute(&pool)
        .await?;
    let awaited = bring(&store, Lane::Interactive).await?;
    assert!(matches!(awaited, AdmissionOutcome::Denied(Denial::Turn { .. })), "{awaited:?}");
    let bulk = bring(&store, Lane::Bulk).await?;
    assert!(matches!(bulk, AdmissionOutcome::Granted(_)), "{bulk:?}");
    assert_eq!(passed_over(&pool).await?, [0, 0, 0, 0]);
    Ok(())
}
