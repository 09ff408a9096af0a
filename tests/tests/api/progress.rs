//! How what the engine writes is shown.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::World;

const IN_FLIGHT: &str = "admitted_at = '2026-11-21', hold_until = '2026-11-28', asks = 1, ca_order_url = 'https://ca.test/order/' || external_id,
    finalize_url = 'https://ca.test/finalize', ca_expires_at = '2026-11-28'";

/// Four certificates, one in each way an order can stand.
async fn fleet(world: &World) {
    world.import("t1,ready,ready.com,http-01,\nt1,parked,parked.com,http-01,\nt1,done,done.com,http-01,\nt1,new,new.com,http-01,\n").await;
    let set = |assignments: &str, id: &str| {
        format!(
            "update orders set {assignments} from certificates where certificates.certificate_id = orders.certificate_id and external_id = '{id}'; "
        )
    };
    let statements = [
        set(&format!("{IN_FLIGHT}, stage = 'ready'"), "ready"),
        set("stage = 'parked', fault_class = 'dns_nxdomain', fault_detail = 'NXDOMAIN', fault_hostname = 'parked.com'", "parked"),
        set(&format!("{IN_FLIGHT}, stage = 'issued', due_at = null, ended_at = '2026-11-21', key_sealed = 'sealed-secret', csr_der = ''"), "done"),
        "insert into issued_certificates
            select order_id, certificate_id, tenant_id, account_id, names, '04ab', sha256('leaf'), sha256('key'), 'Test CA',
                'PEM CHAIN', 'sealed-secret', '2026-11-20', '2027-02-18', '2026-11-21' from orders where stage = 'issued';".to_owned(),
    ];
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.concat())).execute(&world.pool).await.expect("a fleet");
}

async fn certificate(world: &World, external_id: &str) -> Value {
    world.get(&format!("/v1/certificates?external_id={external_id}")).await.json()["data"][0].clone()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn one_word_says_how_a_certificate_is(pool: PgPool) {
    let world = World::start(pool).await;
    fleet(&world).await;
    for (external_id, status) in
        [("new", "pending"), ("ready", "issuing"), ("parked", "parked"), ("done", "active")]
    {
        assert_eq!(certificate(&world, external_id).await["status"], status, "{external_id}");
        let listed = world.get(&format!("/v1/certificates?status={status}")).await.json();
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{status}");
    }
    let parked = certificate(&world, "parked").await;
    let fault = &parked["last_fault"];
    assert_eq!(
        (&fault["class"], &fault["actor"], &fault["hostname"]),
        (&json!("dns_nxdomain"), &json!("tenant"), &json!("parked.com"))
    );
    assert!(fault["advice"].as_str().is_some_and(|advice| advice.contains("create the name")));

    let done = certificate(&world, "done").await;
    assert_eq!(done["current"]["serial"], "04ab");
    assert_eq!(done["current"]["fingerprint_sha256"].as_str().map(str::len), Some(64));
    assert!(!done.to_string().contains("secret"));
    let chain = world.get(&format!("/v1/certificates/{}/chain", done["id"].as_str().expect("an id"))).await;
    assert_eq!(
        (chain.content_type(), &chain.body[..]),
        ("application/pem-certificate-chain", &b"PEM CHAIN"[..])
    );
    let order = world.get(&format!("/v1/orders/{}", done["order_id"].as_str().expect("an id"))).await;
    assert!(!String::from_utf8_lossy(&order.body).contains("secret"));

    world.clock.advance(Duration::from_hours(24 * 120));
    assert_eq!(certificate(&world, "done").await["status"], "attention", "it has run out");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_summary_counts_every_order_once(pool: PgPool) {
    let world = World::start(pool).await;
    fleet(&world).await;
    let summary = world.get("/v1/summary").await.json();
    assert_eq!(summary["orders"], 4);
    assert_eq!(summary["orders_moving"], 2);
    assert_eq!(summary["certificates_issued"], 1);
    assert_eq!(summary["parked_by_fault"], json!({"dns_nxdomain": 1}));
    let stages = summary["orders_by_stage"].as_object().expect("a map");
    assert_eq!(stages.len(), 11, "every stage is listed");
    assert_eq!(stages.values().filter_map(Value::as_u64).sum::<u64>(), 4);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn headroom_is_what_the_books_leave(pool: PgPool) {
    let world = World::start(pool).await;
    fleet(&world).await;
    world
        .execute(
            "update orders set reserved_authorizations = 3, stage = 'admitted', ca_order_url = null where stage = 'ready';
             insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, status, origin, opened_at, expires_at, submit_intended_at, submitted_at, settled_at)
                select gen_random_uuid(), tenant_id, account_id, order_id, 'u', 'pending', 'ours', '2026-11-21', '2026-11-28', '2026-11-21', '2026-11-21', '2026-11-21'
                from orders where stage = 'admitted';
             insert into buckets (ca, limit_name, key, full_at) select ca, 'new_orders_per_account', account_id::text, '2026-11-21T10:05:17Z' from accounts;
             insert into buckets (ca, limit_name, key, full_at) select ca, 'failed_authorizations_per_hostname', gen_random_uuid() || '/theirs.com', '2026-12-01' from accounts;
             insert into buckets (ca, limit_name, key, full_at) select ca, 'certificates_per_registered_domain', 'busy.com', '2026-11-28T09:00:00Z' from accounts;
             insert into limit_reservations select order_id, ca, 'certificates_per_registered_domain', 'busy.com', 1 from orders join accounts using (account_id) limit 1;
             insert into buckets (ca, limit_name, key, full_at) select ca, 'failed_authorizations_per_hostname', account_id || '/old.com', '2026-11-01' from accounts;
             insert into hostname_backoffs (account_id, hostname, failures, blocked_until, at_ca, fault_class, fault_detail, failed_at)
                select account_id, 'bad.com', 1, '2026-11-22', true, 'tls', 'x', '2026-11-21' from accounts",
        )
        .await;
    let headroom = world.get("/v1/headroom").await.json();
    let expected =
        json!({"max": 300, "recovery_reserve": 100, "reserved": 3, "held": 1, "open": 0, "remaining": 196});
    assert_eq!(headroom["pending_authorizations"], expected);
    assert_eq!(headroom["hostnames_in_backoff"], 1);
    let limits = headroom["limits"].as_array().expect("a list");
    assert_eq!(limits.len(), 6);
    let orders = limits.iter().find(|limit| limit["name"] == "new_orders_per_account").expect("listed");
    // One token comes back every 36 s, and the bucket is full 72 s from now.
    assert_eq!((&orders["burst"], &orders["buckets"][0]["remaining"]), (&json!(300), &json!(298)));
    assert_eq!(orders["buckets"][0]["full_at"], "2026-11-21T10:05:17Z");
    let failed =
        limits.iter().find(|limit| limit["name"] == "failed_authorizations_per_hostname").expect("listed");
    assert_eq!((&failed["buckets_touched"], &failed["buckets"]), (&json!(0), &json!([])));
    assert_eq!(orders["demand"], json!({"within_1h": 1, "within_24h": 1, "within_7d": 1}));
    let domains =
        limits.iter().find(|limit| limit["name"] == "certificates_per_registered_domain").expect("listed");
    // 50 a week: of busy.com, all but what came back in an hour is gone.
    assert_eq!(domains["bands"], json!({"empty": 1, "low": 0, "high": 0}));
    assert_eq!((&domains["worst_ratio"], &domains["reserved"]), (&json!(0.0), &json!(1)));
    assert_eq!((&domains["buckets"][0]["key"], &domains["demand"]), (&json!("busy.com"), &json!(null)));
}
