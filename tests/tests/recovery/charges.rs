//! What the CA has counted against a hostname, from the rows that remember it.

use issuance::ids::AccountId;
use issuance::time::Timestamp;
use lockkeeper::store::Store;
use sqlx::PgPool;
use uuid::Uuid;

use crate::commits::{NOW, ONE_ORDER};

/// One authorization for each name: what became of it, and when, in minutes before now.
const ROWS: &str = "
    insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin,
        opened_at, expires_at, submit_intended_at, submitted_at, deactivate_intended_at, settled_at, final_at)
    select gen_random_uuid(), tenant_id, account_id, order_id, concat(row.name, row.status, row.ended), row.name,
        row.status, 'ours', '2026-11-20', '2026-11-28', row.ended, row.ended,
        case when row.intended then timestamptz '2026-11-20' end, row.ended, row.ended
    from orders, (values
        ('failed.com', 'invalid', timestamptz '2026-11-21 09:00Z', false),
        ('failed.com', 'invalid', '2026-11-21 08:00Z', false),
        ('deactivated.com', 'deactivated', '2026-11-21 09:10Z', true),
        ('by-others.com', 'deactivated', '2026-11-21 09:10Z', false),
        ('leaving.com', 'pending', null, true),
        ('open.com', 'pending', null, false),
        ('valid.com', 'valid', '2026-11-21 09:20Z', true),
        ('expired.com', 'expired', '2026-11-21 09:20Z', true)
    ) as row (name, status, ended, intended);
    insert into hostname_backoffs
        (account_id, hostname, failures, blocked_until, at_ca, fault_class, fault_detail, failed_at)
    select account_id, row.name, 1, '2026-11-22', row.at_ca, 'rate_limited', 'x', '2026-11-21 09:30Z'
    from accounts, (values ('limited.com', true), ('failed.com', true), ('at-home.com', false)) as row (name, at_ca)";

/// Validations that failed, deactivations that were or may be charged, and limits of the CA. Neither what failed at
/// home nor what the CA ended in another way.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_counts_against_a_name_is_counted_from_the_ledger(pool: PgPool) {
    sqlx::raw_sql(ONE_ORDER).execute(&pool).await.expect("an order");
    sqlx::raw_sql(ROWS).execute(&pool).await.expect("rows");
    let names = [
        "failed.com",
        "deactivated.com",
        "by-others.com",
        "leaving.com",
        "open.com",
        "valid.com",
        "expired.com",
        "limited.com",
        "at-home.com",
        "unknown.com",
    ];
    let store = Store::from_pool(pool);
    let account = AccountId(Uuid::from_u128(2));
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut counted: Vec<(String, String)> = store
        .last_charges(account, &names, NOW)
        .await
        .expect("the database")
        .into_iter()
        .map(|charge| (charge.hostname.to_string(), charge.at.to_string()))
        .collect();
    counted.sort();
    let now = NOW.to_string();
    let expected = [
        ("deactivated.com", "2026-11-21T09:10:00Z"),
        ("failed.com", "2026-11-21T09:30:00Z"),
        ("leaving.com", now.as_str()),
        ("limited.com", "2026-11-21T09:30:00Z"),
    ];
    assert_eq!(counted, expected.map(|(name, at)| (name.to_owned(), at.to_owned())));
    let others = store.last_charges(AccountId(Uuid::from_u128(9)), &names, NOW).await.expect("the database");
    assert_eq!(others, [], "each account has budgets of its own");
    let nobody = store.last_charges(account, &[], Timestamp::EPOCH).await.expect("the database");
    assert_eq!(nobody, []);
}
