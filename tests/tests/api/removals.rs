//! What goes for good: private keys of certificates that were removed, and tenants.

use http::{Method, StatusCode};
use lockkeeper::cli::api_client::ApiClient;
use lockkeeper::cli::tenant::{self, NameArgs, TenantCommand};
use lockkeeper::cli::{Exit, Format, Output};
use lockkeeper::store::api_keys::Token;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::resources::{send, tenants};
use crate::world::{ACCOUNT, START, World};

const KEYS: &str = "select count(*) from (
    select order_id from issued_certificates where key_sealed is not null
    union all select order_id from orders where key_sealed is not null) as keys";

async fn keys(world: &World) -> i64 {
    sqlx::query_scalar(KEYS).fetch_one(&world.pool).await.expect("a count")
}

async fn id_of(world: &World, name: &str) -> String {
    let list = world.get(&format!("/v1/certificates?hostname={name}")).await.json();
    list["data"][0]["id"].as_str().unwrap_or_else(|| panic!("{list}")).to_owned()
}

/// Two versions of each, and an order of the first that is being finalized.
async fn with_keys(pool: PgPool) -> World {
    let world = World::start(pool).await;
    world.import("t1,s1,one.com,http-01,\nt1,s2,two.com,http-01,\n").await;
    world
        .execute(
            "update orders set stage = 'issued', ended_at = accepted_at, due_at = null, in_line = false, key_sealed = 'sealed',
                 csr_der = 'x', ca_order_url = 'https://ca.test/order/' || names[1], finalize_url = 'https://ca.test/f',
                 ca_expires_at = '2027-01-01', admitted_at = accepted_at, hold_until = accepted_at, asks = 1,
                 certificate_url = 'https://ca.test/c';
             insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, accepted_at, ended_at,
                 key_sealed, csr_der, fault_class, fault_detail)
             select gen_random_uuid(), tenant_id, certificate_id, account_id, names, 1, 'failed', accepted_at, accepted_at,
                 'sealed', 'x', 'internal', 'for the test'
             from orders;
             insert into issued_certificates (order_id, certificate_id, tenant_id, account_id, names, serial, fingerprint_sha256,
                 spki_sha256, issuer, chain_pem, key_sealed, not_before, not_after, issued_at)
             select order_id, certificate_id, tenant_id, account_id, names, order_id::text, sha256('a'), sha256('b'), 'CN=x', 'x',
                 'sealed', accepted_at, '2027-02-01', accepted_at
             from orders;
             insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, accepted_at, due_at, key_sealed,
                 csr_der, ca_order_url, finalize_url, ca_expires_at, admitted_at, hold_until, asks)
             select gen_random_uuid(), tenant_id, certificate_id, account_id, names, 1, 'finalizing', accepted_at, '2027-01-01',
                 'sealed', 'x', 'https://ca.test/order/late', 'https://ca.test/f', '2027-01-01', accepted_at, accepted_at, 1
             from orders where names = '{one.com}' limit 1",
        )
        .await;
    world
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn keys_of_a_certificate_that_is_removed_are_erased_when_its_orders_have_ended(pool: PgPool) {
    let world = with_keys(pool).await;
    assert_eq!(keys(&world).await, 9);
    let (one, two) = (id_of(&world, "one.com").await, id_of(&world, "two.com").await);
    let gone =
        send(&world, &world.operator, Method::DELETE, &format!("/v1/certificates/{one}"), &Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(keys(&world).await, 5, "the other's four, and that of the order which may be signed already");
    for path in ["", "/versions", "/bundle"] {
        let read = world.get(&format!("/v1/certificates/{one}{path}")).await;
        assert_eq!(read.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(world.store.erase_keys(ACCOUNT, START, 10).await.expect("the database"), 0, "it goes on");
    assert_eq!(keys(&world).await, 5);

    // Signed all the same: whoever holds the order writes its key once more.
    world
        .execute(
            "update orders set stage = 'issued', ended_at = '2026-11-22', due_at = null, certificate_url = 'https://ca.test/c',
                 lease_expires_at = '2027-01-01', lease_holder = gen_random_uuid()
             where stage = 'finalizing';
             insert into issued_certificates (order_id, certificate_id, tenant_id, account_id, names, serial, fingerprint_sha256,
                 spki_sha256, issuer, chain_pem, key_sealed, not_before, not_after, issued_at)
             select order_id, certificate_id, tenant_id, account_id, names, 'late', sha256('a'), sha256('b'), 'CN=x', 'x',
                 'sealed', accepted_at, '2027-02-01', '2026-11-22'
             from orders where lease_holder is not null",
        )
        .await;
    assert_eq!(world.store.erase_keys(ACCOUNT, START, 10).await.expect("the database"), 0, "it is in hand");
    assert_eq!(keys(&world).await, 6);
    world.execute("update orders set lease_expires_at = null, lease_holder = null").await;
    assert_eq!(world.store.erase_keys(ACCOUNT, START, 10).await.expect("the database"), 1);
    assert_eq!(keys(&world).await, 4, "the other's alone");
    assert_eq!(world.store.erase_keys(ACCOUNT, START, 10).await.expect("the database"), 0, "once");
    let told = world.get("/v1/events?kind=certificate.keys_erased").await.json();
    assert_eq!((told["data"].as_array().map(Vec::len), &told["data"][0]["subject"]), (Some(1), &json!(one)));
    assert_eq!(world.get(&format!("/v1/certificates/{two}")).await.status, StatusCode::OK);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_was_removed_is_renewed_told_of_and_listed_nowhere(pool: PgPool) {
    let world = with_keys(pool).await;
    let one = id_of(&world, "one.com").await;
    world
        .execute(
            "insert into renewals (certificate_id, account_id, order_id, renewal_id, not_after, renew_at, look_at)
             select certificate_id, account_id, order_id, 'x', not_after, '2026-11-21', '2026-11-21'
             from (select distinct on (certificate_id) * from issued_certificates order by certificate_id) as latest;
             update renewals set not_after = '2026-11-20'",
        )
        .await;
    let report = json!({ "fault": "the disk is full" });
    let told =
        send(&world, &world.operator, Method::PUT, &format!("/v1/deployments/{one}/web1"), &report).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.json());
    send(&world, &world.operator, Method::DELETE, &format!("/v1/certificates/{one}"), &Value::Null).await;
    assert_eq!(world.get("/v1/deployments").await.json()["data"], json!([]));
    let gone =
        send(&world, &world.operator, Method::DELETE, &format!("/v1/deployments/{one}/web1"), &Value::Null)
            .await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let now = START.after(std::time::Duration::from_hours(24 * 30));
    world.store.tell_expiring(ACCOUNT, now).await.expect("the database");
    let told = world.get("/v1/events?kind=certificate.expiring").await.json();
    let told: Vec<&str> =
        told["data"].as_array().expect("a list").iter().filter_map(|one| one["subject"].as_str()).collect();
    assert_eq!(told, [id_of(&world, "two.com").await]);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_certificate_whose_names_have_gone_is_ordered_only_when_they_are_wished_anew(pool: PgPool) {
    let (world, one, _) = tenants(pool).await;
    let id = id_of(&world, "imported.com").await;
    let path = format!("/v1/certificates/{id}");
    let moved = json!({ "tenant": "t2" });
    let operator = world.operator.clone();
    let moved = send(&world, &operator, Method::POST, "/v1/hostnames/imported.com/transfer", &moved).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.json());
    let orders = world.rows("orders").await;
    for action in ["renew", "retry"] {
        let refused = send(&world, &one, Method::POST, &format!("{path}/{action}"), &Value::Null).await;
        assert_eq!(
            (refused.status, refused.problem().as_str()),
            (StatusCode::CONFLICT, "conflict"),
            "{action}"
        );
    }
    let same = send(&world, &one, Method::PATCH, &path, &json!({ "names": ["imported.com"] })).await;
    assert_eq!(same.problem(), "hostname-owned-by-other-tenant");
    let labelled = send(&world, &one, Method::PATCH, &path, &json!({ "labels": { "a": "b" } })).await;
    assert_eq!(labelled.status, StatusCode::OK, "{}", labelled.json());
    assert_eq!(
        (world.rows("orders").await, world.rows("certificates where given_up_at is null").await),
        (orders, 1)
    );
    let wished = send(&world, &one, Method::PATCH, &path, &json!({ "names": ["mine.com"] })).await;
    assert!(wished.status.is_success(), "{}", wished.json());
    assert_eq!(world.rows("certificates where given_up_at is not null").await, 0);
    assert_eq!(world.rows("orders where names = '{mine.com}' and due_at is not null").await, 1);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_the_former_owner_has_proven_is_forgotten_when_no_order_needs_it(pool: PgPool) {
    let (world, _, _) = tenants(pool).await;
    // One that was proven, and one that is being proven.
    world
        .execute(
            "insert into orders (order_id, tenant_id, certificate_id, account_id, names, lane, stage, accepted_at, ended_at,
                 fault_class, fault_detail)
             select '00000000-0000-0000-0000-000000000001', tenant_id, certificate_id, account_id, names, 1, 'failed', accepted_at,
                 accepted_at, 'internal', 'x'
             from orders where names = '{imported.com}';
             insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin, opened_at,
                 expires_at, submit_intended_at, submitted_at, settled_at, final_at)
             select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz/1', 'imported.com', 'valid', 'ours',
                 '2026-11-20', '2026-12-20', '2026-11-20', '2026-11-20', '2026-11-20', '2026-11-20'
             from orders where order_id = '00000000-0000-0000-0000-000000000001';
             insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin, opened_at,
                 expires_at)
             select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz/2', 'imported.com', 'pending', 'ours',
                 '2026-11-20', '2026-12-20'
             from orders where names = '{imported.com}' and stage = 'accepted'",
        )
        .await;
    let operator = world.operator.clone();
    let moved = json!({ "tenant": "t2" });
    let moved = send(&world, &operator, Method::POST, "/v1/hostnames/imported.com/transfer", &moved).await;
    assert_eq!(moved.status, StatusCode::OK, "{}", moved.json());
    assert_eq!(world.rows("relinquishments where hostname = 'imported.com'").await, 2);
    let due = async || {
        let due = world.store.due_relinquishments(ACCOUNT, START, std::time::Duration::ZERO, 10).await;
        let mut urls: Vec<String> = due.expect("the database").into_iter().map(|one| one.url).collect();
        urls.sort_unstable();
        urls
    };
    assert_eq!(
        due().await,
        ["https://ca.test/authz/1"],
        "the other one is pending, and its order may need it"
    );
    world
        .execute(
            "update authorizations set status = 'valid', final_at = '2026-11-21', settled_at = '2026-11-21',
                 submit_intended_at = '2026-11-21', submitted_at = '2026-11-21' where status = 'pending'",
        )
        .await;
    assert_eq!(due().await, ["https://ca.test/authz/1", "https://ca.test/authz/2"]);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_tenant_is_removed_when_it_has_nothing_any_more(pool: PgPool) {
    let (world, one, _) = tenants(pool).await;
    let operator = world.operator.clone();
    let hook = json!({ "url": "https://panel.example.com/hooks" });
    assert_eq!(send(&world, &one, Method::POST, "/v1/webhooks", &hook).await.status, StatusCode::CREATED);
    let user = json!({ "name": "eve@example.com", "role": "viewer", "password": "correct horse battery", "tenant": "t1" });
    assert_eq!(world.post_json("/v1/users", user).await.status, StatusCode::CREATED);
    let delete = async |path: &str| send(&world, &operator, Method::DELETE, path, &Value::Null).await;
    let id = world.get("/v1/tenants/t1").await.json()["id"].as_str().expect("an id").to_owned();
    let refused = delete("/v1/tenants/t1").await;
    assert_eq!((refused.status, refused.problem().as_str()), (StatusCode::CONFLICT, "tenant-not-empty"));
    let detail = refused.json()["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("1 certificate") && detail.contains("1 hostname"), "{detail}");
    assert_eq!(world.get_as(&one, "/v1/certificates").await.status, StatusCode::OK, "nothing was changed");
    let tenants_own = send(&world, &one, Method::DELETE, "/v1/tenants/t1", &Value::Null).await;
    assert_eq!(tenants_own.problem(), "forbidden-scope");

    assert_eq!(delete("/v1/hostnames/imported.com").await.status, StatusCode::NO_CONTENT);
    world
        .execute(
            "insert into hostnames (hostname, tenant_id, created_at, releasing_since)
            select 'leaving.com', tenant_id, created_at, created_at from tenants where slug = 't1'",
        )
        .await;
    let detail = delete("/v1/tenants/t1").await.json()["detail"].as_str().expect("a detail").to_owned();
    assert_eq!(detail.matches("given up").count(), 1, "{detail}");
    world.execute("delete from hostnames where hostname = 'leaving.com'").await;
    let version = world.get("/v1/tenants/t1").await.headers["etag"].to_str().expect("ASCII").to_owned();
    let late =
        world.json_as(&operator, Method::DELETE, "/v1/tenants/t1", &[("if-match", "\"9\"")], None).await;
    assert_eq!(late.problem(), "version-mismatch");
    let gone =
        world.json_as(&operator, Method::DELETE, "/v1/tenants/t1", &[("if-match", &version)], None).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);

    for path in ["/v1/tenants/t1".to_owned(), format!("/v1/tenants/{id}")] {
        assert_eq!(world.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(delete(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        world.get_as(&one, "/v1/certificates").await.status,
        StatusCode::UNAUTHORIZED,
        "its keys are revoked"
    );
    assert_eq!((world.rows("webhooks").await, world.rows("users").await), (0, 0));
    let listed = world.get("/v1/tenants").await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
    let told = world.get("/v1/events?kind=tenant.deleted").await.json();
    let told = &told["data"][0];
    assert_eq!((&told["subject"], &told["data"]["before"]["slug"]), (&json!(id), &json!("t1")), "{told}");
    assert_eq!(told["data"]["gone_with_it"]["api_keys"].as_array().map(Vec::len), Some(1), "{told}");
    assert!(world.rows("events where kind = 'certificate.deleted'").await == 1, "what was done stays");

    // A customer who comes back is another tenant.
    let again = world.post_json("/v1/tenants", json!({ "slug": "t1" })).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.json());
    assert_ne!(again.json()["id"], json!(id));
    let report = world.import("t1,s0,imported.com,http-01,\n").await.json();
    assert_eq!(report["rows_created"], 1, "{report}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_command_removes_a_tenant_and_says_why_not(pool: PgPool) {
    let (world, _, _) = tenants(pool).await;
    world.execute("insert into tenants (tenant_id, slug, created_at) values (gen_random_uuid(), 'empty', '2026-11-21')").await;
    let api =
        ApiClient::new(&world.base, &Token::parse(&world.operator).expect("well formed")).expect("loopback");
    let delete = async |slug: &str| {
        let command = TenantCommand::Delete(NameArgs { tenant: slug.to_owned() });
        tenant::run(&command, &api, Output::new(Format::Json)).await.map_err(|error| error.exit())
    };
    assert_eq!(delete("empty").await, Ok(Exit::Done));
    assert_eq!(delete("empty").await, Err(Exit::NotFound));
    assert_eq!(delete("t1").await, Err(Exit::Conflict));
}
