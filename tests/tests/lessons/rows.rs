//! What is learnt, in rows: written twice, it happens once.

use std::collections::HashSet;
use std::time::Duration;

use issuance::answer::Wake;
use issuance::gcra::Bucket;
use issuance::ids::{AccountId, OrderId};
use issuance::limit::LimitName;
use issuance::mirror::{BucketKey, LimitOverride};
use issuance::order::{CaOrder, Order, Stage};
use issuance::time::Timestamp;
use lockkeeper::store::Store;
use lockkeeper::store::aftermath::Aftermath;
use lockkeeper::store::leases::{Claim, Replica};
use lockkeeper::store::lessons::{Failure, Lessons, LimitTold};
use lockkeeper::store::steps::StepEnd;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::world::name;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
const ACCOUNT: AccountId = AccountId(Uuid::from_u128(2));
const URL: &str = "https://ca.test/authz/1";

/// An order at the gate's other side, for whose new-order a token is reserved; a bucket from which two are missing.
const ADMITTED: &str = "
    insert into tenants values ('00000000-0000-0000-0000-000000000001', 'one', '2026-11-21');
    insert into accounts (account_id, ca, directory_url, key_sealed, key_thumbprint,
        pending_authorizations_max, recovery_reserve, created_at)
    values ('00000000-0000-0000-0000-000000000002', 'test', 'https://ca.test', '', 'x', 300, 100, '2026-11-21');
    insert into certificates (certificate_id, tenant_id, account_id, external_id, names, challenge, created_at)
    values ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001',
        '00000000-0000-0000-0000-000000000002', 'site', '{a.com}', 'http-01', '2026-11-21');
    insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, due_at, accepted_at,
        admitted_at, hold_until, reserved_authorizations, asks, charged)
    select '00000000-0000-0000-0000-000000000004', tenant_id, certificate_id, account_id, names, 3, 'admitted',
        '2026-11-21', '2026-11-21', '2026-11-21', '2026-11-29', 1, 1, true
    from certificates;
    insert into limit_reservations (order_id, ca, limit_name, key, refill_micros)
    select order_id, 'test', 'new_orders_per_account', account_id::text, 36000000 from orders;
    insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin,
        opened_at, expires_at)
    select '00000000-0000-0000-0000-000000000005', tenant_id, account_id, order_id, 'https://ca.test/authz/1', 'a.com',
        'pending', 'ours', '2026-11-20', '2026-11-28'
    from orders";

fn new_orders() -> Bucket {
    Bucket::new(300, 300, Duration::from_hours(3)).expect("a bucket")
}

async fn scene(pool: &PgPool) -> (Store, Claim) {
    sqlx::raw_sql(ADMITTED).execute(pool).await.expect("rows");
    let full_at = NOW.after(new_orders().refill() * 2).to_datetime();
    sqlx::query("insert into buckets (ca, limit_name, key, full_at) values ('test', $1, $2, $3)")
        .bind("new_orders_per_account")
        .bind(ACCOUNT.0.to_string())
        .bind(full_at)
        .execute(pool)
        .await
        .expect("a bucket");
    let store = Store::from_pool(pool.clone());
    let claims = store
        .claim_in_flight(Replica(Uuid::from_u128(5)), NOW, Duration::from_secs(20), 1)
        .await
        .expect("the database");
    let claim = claims.claims.into_iter().next().expect("the order is due");
    (store, claim)
}

/// Back at the gate, with what was learnt.
fn refused(claim: &Claim, lessons: Lessons) -> StepEnd {
    StepEnd {
        problems: Vec::new(),
        lease: claim.lease,
        ledger: Vec::new(),
        order: Order { stage: Stage::Accepted { proven_at: None }, ..claim.order.clone() },
        wake: Wake::At(NOW.after(Duration::from_mins(1))),
        lease_until: NOW.after(Duration::from_secs(20)),
        chain: None,
        events: Vec::new(),
        aftermath: Aftermath { lessons: Some((ACCOUNT, lessons)), ..Aftermath::default() },
        deferred_as: None,
    }
}

async fn full_at(pool: &PgPool, limit: &str) -> Timestamp {
    let at: OffsetDateTime = sqlx::query_scalar("select full_at from buckets where limit_name = $1")
        .bind(limit)
        .fetch_one(pool)
        .await
        .expect("one bucket");
    at.into()
}

async fn write(store: &Store, end: &StepEnd) {
    let mine: HashSet<OrderId> = HashSet::from([end.lease.order]);
    assert_eq!(store.commit_steps(std::slice::from_ref(end), NOW).await.expect("written"), mine);
}

async fn reserved(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select coalesce(sum(tokens), 0) from limit_reservations")
        .fetch_one(pool)
        .await
        .expect("the rows")
}

/// In a stage of which no row but this one knows.
fn placed(claim: &Claim) -> Stage {
    let Stage::Admitted { reservation } = claim.order.stage else { panic!("{:?}", claim.order.stage) };
    let url = || "https://ca.test/order/1".into();
    let expires_at = NOW.after(Duration::from_hours(24));
    Stage::Placed { reservation, ca: CaOrder { url: url(), finalize_url: url(), expires_at } }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_new_order_is_counted_once_when_it_is_answered(pool: PgPool) {
    let (store, claim) = scene(&pool).await;
    let end = StepEnd {
        order: Order { stage: placed(&claim), ..claim.order.clone() },
        wake: Wake::Now,
        ..refused(&claim, Lessons::default())
    };
    for _ in 0..3 {
        write(&store, &end).await;
        assert_eq!(full_at(&pool, "new_orders_per_account").await, NOW.after(new_orders().refill() * 3));
        assert_eq!(reserved(&pool).await, 0);
    }
    let proven: i64 =
        sqlx::query_scalar("select proven_micros from buckets").fetch_one(&pool).await.expect("one bucket");
    assert_eq!(proven, 108_000_000, "so empty the CA has let it become");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_new_order_that_was_refused_is_not_counted(pool: PgPool) {
    let (store, claim) = scene(&pool).await;
    let end = refused(&claim, Lessons { unspent: true, ..Lessons::default() });
    for _ in 0..3 {
        write(&store, &end).await;
        assert_eq!(full_at(&pool, "new_orders_per_account").await, NOW.after(new_orders().refill() * 2));
        assert_eq!(reserved(&pool).await, 0);
    }
}

/// Asked for a second time and refused, it may still have been counted the first time.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn of_an_order_in_doubt_the_earlier_token_stays_reserved(pool: PgPool) {
    let (store, claim) = scene(&pool).await;
    sqlx::raw_sql("update limit_reservations set tokens = 2").execute(&pool).await.expect("asked twice");
    let end = StepEnd {
        order: claim.order.clone(),
        ..refused(&claim, Lessons { unspent: true, ..Lessons::default() })
    };
    for _ in 0..3 {
        write(&store, &end).await;
        assert_eq!(reserved(&pool).await, 1);
    }
    // Given up, it counts as taken.
    let end = refused(&claim, Lessons::default());
    for _ in 0..2 {
        write(&store, &end).await;
        assert_eq!(full_at(&pool, "new_orders_per_account").await, NOW.after(new_orders().refill() * 3));
        assert_eq!(reserved(&pool).await, 0);
    }
}

/// And nobody seeks more than the CA has said there is.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_the_ca_says_of_a_bucket_holds(pool: PgPool) {
    let (store, claim) = scene(&pool).await;
    sqlx::raw_sql("update accounts set seeks_more_until = '2030-01-01'")
        .execute(&pool)
        .await
        .expect("a wish");
    let bucket = BucketKey::of_account(ACCOUNT);
    let until = NOW.after(Duration::from_secs(36));
    let numbers = LimitOverride {
        limit: LimitName::NewOrdersPerAccount,
        account: Some(ACCOUNT),
        key: None,
        burst: 150,
        count: 150,
        period_seconds: 10_800,
    };
    let emptied = new_orders().emptied_until(until);
    let told = LimitTold { bucket, full_at: emptied, until, correction: Some(numbers) };
    let end = refused(&claim, Lessons { unspent: true, limits: vec![told], ..Lessons::default() });
    for _ in 0..2 {
        write(&store, &end).await;
        assert_eq!(full_at(&pool, "new_orders_per_account").await, emptied);
    }
    let seeks: Option<OffsetDateTime> = sqlx::query_scalar("select seeks_more_until from accounts")
        .fetch_one(&pool)
        .await
        .expect("one account");
    assert_eq!(seeks, None);
    let overrides: Vec<(i32, String)> =
        sqlx::query_as("select burst, origin from limit_overrides").fetch_all(&pool).await.expect("rows");
    assert_eq!(overrides, [(150, "learnt".to_owned())]);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_failure_is_counted_once_for_each_authorization(pool: PgPool) {
    let (store, claim) = scene(&pool).await;
    let limit = LimitName::FailedAuthorizationsPerHostname;
    let bucket = Bucket::new(2, 2, Duration::from_hours(1)).expect("a bucket");
    let failure = |url: &str| Failure {
        authorization: url.into(),
        hostname: name("a.com"),
        counted: vec![(limit, bucket)],
    };
    let end = refused(&claim, Lessons { failures: vec![failure(URL)], ..Lessons::default() });
    for _ in 0..2 {
        write(&store, &end).await;
        assert_eq!(full_at(&pool, limit.as_str()).await, NOW.after(bucket.refill()));
    }
    let more = "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status,
            origin, opened_at, expires_at)
        select gen_random_uuid(), tenant_id, account_id, order_id, concat('https://ca.test/authz/', number), 'a.com',
            'pending', 'ours', '2026-11-20', '2026-11-28'
        from orders, generate_series(2, 4) as number";
    sqlx::raw_sql(more).execute(&pool).await.expect("three more");
    let failures = (2..5).map(|number| failure(&format!("https://ca.test/authz/{number}"))).collect();
    write(&store, &refused(&claim, Lessons { failures, ..Lessons::default() })).await;
    let empty = NOW.after(bucket.horizon());
    assert_eq!(full_at(&pool, limit.as_str()).await, empty, "what is empty gets no emptier");
}
