//! A commit whose answer was lost is made again.

use std::collections::HashSet;
use std::time::Duration;

use issuance::answer::Wake;
use issuance::fairness::Lane;
use issuance::fault::{FailureClass, Fault};
use issuance::identifier::Identifiers;
use issuance::order::{Order, Stage};
use issuance::time::Timestamp;
use lockkeeper::store::Store;
use lockkeeper::store::aftermath::{Aftermath, NameRests, Successor, SuccessorKind};
use lockkeeper::store::leases::{Claim, InLine, Replica, Stand};
use lockkeeper::store::steps::{Event, StepEnd};
use lockkeeper_tests::world::hostname;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
const LEASE: Duration = Duration::from_secs(20);

/// One accepted order for two names.
pub(crate) const ONE_ORDER: &str = "
    insert into tenants values ('00000000-0000-0000-0000-000000000001', 'one', '2026-11-21');
    insert into accounts (account_id, ca, directory_url, key_sealed, key_thumbprint,
        pending_authorizations_max, recovery_reserve, created_at)
    values ('00000000-0000-0000-0000-000000000002', 'test', 'https://ca.test', '', 'x', 300, 100, '2026-11-21');
    insert into certificates (certificate_id, tenant_id, account_id, external_id, names, challenge, created_at)
    values ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001',
        '00000000-0000-0000-0000-000000000002', 'site', '{a.com,www.a.com}', 'http-01', '2026-11-21');
    insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, due_at, accepted_at)
    select '00000000-0000-0000-0000-000000000004', tenant_id, certificate_id, account_id, names, 3, 'accepted',
        '2026-11-21', '2026-11-21'
    from certificates";

async fn claim(store: &Store, now: Timestamp) -> Claim {
    let replica = Replica(Uuid::from_u128(5));
    assert_eq!(store.line_up(now, 10).await.expect("the database"), 1);
    let wanted = InLine { stand: Stand::Unproven, lanes: Lane::ALL.to_vec(), only_exempt: false };
    let claimed = store.claim_in_line(replica, now, LEASE, wanted, 1).await.expect("the database");
    claimed.claims.into_iter().next().expect("the order is due")
}

/// A name is not ready: it rests, and the other one goes on in an order of its own.
fn parked(store: &Store, claim: &Claim) -> StepEnd {
    let fault = Fault::new(FailureClass::DnsNxdomain, "no such name").of(Some(hostname("a.com")));
    let names = Identifiers::new([hostname("www.a.com")]).expect("a set");
    let rest = NameRests {
        account: claim.owner.account,
        hostname: hostname("a.com"),
        failures: 1,
        until: NOW.after(Duration::from_mins(1)),
        at_ca: false,
        fault: fault.clone(),
    };
    let part =
        Successor { order: store.mint_order(NOW), kind: SuccessorKind::Part { names, proven_at: NOW } };
    let event = Event {
        event: store.mint_event(NOW),
        kind: "order.parked",
        subject: claim.owner.order.to_string(),
        data: json!({}),
    };
    StepEnd {
        lease: claim.lease,
        ledger: Vec::new(),
        order: Order { stage: Stage::Parked { fault }, parted: 1, failures: 1, ..claim.order.clone() },
        wake: Wake::At(NOW.after(Duration::from_mins(1))),
        lease_until: NOW.after(LEASE),
        chain: None,
        events: vec![event],
        aftermath: Aftermath { rests: vec![rest], successors: vec![part], ..Aftermath::default() },
        deferred_as: None,
        problems: Vec::new(),
    }
}

/// Orders, events, backoffs, and the failures remembered.
async fn counts(pool: &PgPool) -> (i64, i64, i64, i64) {
    let count = "select (select count(*) from orders), (select count(*) from events),
        (select count(*) from hostname_backoffs), (select sum(failures) from hostname_backoffs)";
    sqlx::query_as(count).fetch_one(pool).await.expect("counts")
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_written_twice_happens_once(pool: PgPool) {
    sqlx::raw_sql(ONE_ORDER).execute(&pool).await.expect("an order");
    let store = Store::from_pool(pool.clone());
    let claim = claim(&store, NOW).await;
    let ends = [parked(&store, &claim)];
    let mine = HashSet::from([claim.owner.order]);
    for _ in 0..2 {
        assert_eq!(store.commit_steps(&ends, NOW).await.expect("written"), mine);
        assert_eq!(counts(&pool).await, (2, 2, 1, 1));
    }
    let told: Vec<(String, String)> = sqlx::query_as("select kind, subject from events order by kind")
        .fetch_all(&pool)
        .await
        .expect("events");
    let told: Vec<(&str, &str)> = told.iter().map(|(kind, subject)| (&**kind, &**subject)).collect();
    assert_eq!(told, [("hostname.failing", "a.com"), ("order.parked", &claim.owner.order.to_string())]);
}

/// Whoever holds the order meanwhile has looked at what was written, and is not written over.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_written_too_late_does_not_happen(pool: PgPool) {
    sqlx::raw_sql(ONE_ORDER).execute(&pool).await.expect("an order");
    let store = Store::from_pool(pool.clone());
    let first = claim(&store, NOW).await;
    let ends = [parked(&store, &first)];
    let later = NOW.after(2 * LEASE);
    let second = claim(&store, later).await;
    assert!(second.lease.epoch > first.lease.epoch);
    assert_eq!(store.commit_steps(&ends, later).await.expect("no failure"), HashSet::new());
    let (orders, events, backoffs): (i64, i64, i64) =
        sqlx::query_as("select (select count(*) from orders), (select count(*) from events), (select count(*) from hostname_backoffs)")
            .fetch_one(&pool)
            .await
            .expect("counts");
    assert_eq!((orders, events, backoffs), (1, 0, 0));
}
