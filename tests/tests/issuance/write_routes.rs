//! One request for each write that the API describes, and something of its own for each to be about.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use issuance::ids::{AuthorizationId, CertificateId, OrderId};
use issuance::time::Clock as _;
use lockkeeper::clock::SystemClock;
use serde_json::{Value, json};
use sqlx::{PgPool, Row as _};

use crate::campaign_writes;
use crate::killed_writes::{Named, Sender, id_in, put};

/// Writes that have no name to be sent again under, and why they need none.
pub(crate) const NAMELESS: [(&str, &str, &str); 4] = [
    (
        "POST",
        "/acme-dns/register",
        "acme-dns has a language of its own; what is registered twice is two labels",
    ),
    (
        "POST",
        "/acme-dns/update",
        "acme-dns has a language of its own; the same value again is the same value",
    ),
    (
        "POST",
        "/v1/certificates/{certificate}/bundle",
        "a question: a passphrase is sent, and nothing is changed",
    ),
    ("POST", "/v1/headroom/forecast", "a question: a fleet is sent, and nothing is changed"),
];

/// What has something of its own, by the write that it is for.
const HELD: [&str; 19] = [
    "authz-settle",
    "crt-bundle",
    "crt-delete",
    "crt-patch",
    "crt-pause",
    "crt-renew",
    "crt-resume",
    "crt-retry",
    "crt-revoke",
    "dep-put",
    "dep-delete",
    "host-delete",
    "host-check",
    "host-skip",
    "host-unskip",
    "host-resume",
    "host-move",
    "host-withdraw",
    "ord-cancel",
];

const HEADER: &str = "tenant,external_id,names,challenge,labels\n";

/// Ids of what is there, by what they are for.
struct Held {
    certificates: BTreeMap<String, String>,
    orders: BTreeMap<String, String>,
    others: BTreeMap<&'static str, String>,
}

fn host(of: &str) -> String {
    format!("{of}-killed.com")
}

/// Everything that the writes are about, as if it had been there for a while.
async fn hold(sender: &Sender, pool: &PgPool) -> anyhow::Result<Held> {
    let rows: String = HELD.iter().map(|of| format!("acme,{of},{},http-01,\n", host(of))).collect();
    let imported = sender.send_file("/v1/imports", format!("{HEADER}{rows}")).await?;
    ensure!(imported.status == 201, "{imported:?}");
    sqlx::raw_sql(
        "update orders set stage = 'failed', fault_class = 'presentation_failed', fault_detail = 'x', ended_at = accepted_at,
             due_at = case when names = '{authz-settle-killed.com}' then timestamptz '2126-11-21' end, in_line = false
         where names && '{authz-settle-killed.com,crt-retry-killed.com,crt-revoke-killed.com,crt-renew-killed.com}';
         insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin,
             opened_at, expires_at, settle_at)
         select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz/1', names[1], 'pending', 'ours',
             accepted_at, '2126-11-28', '2126-11-21'
         from orders where names = '{authz-settle-killed.com}';
         insert into issued_certificates (order_id, certificate_id, tenant_id, account_id, names, serial, fingerprint_sha256,
             spki_sha256, issuer, chain_pem, key_sealed, not_before, not_after, issued_at)
         select order_id, certificate_id, tenant_id, account_id, names, '0a', sha256('a'), sha256('b'), 'CN=x', 'x', 'x',
             accepted_at, '2126-11-28', accepted_at
         from orders where names = '{crt-revoke-killed.com}';
         insert into paused_names (account_id, hostname, learnt_at)
         select account_id, 'crt-retry-killed.com', created_at from accounts;
         insert into tenants (tenant_id, slug, created_at)
         select gen_random_uuid(), slug, created_at
         from accounts, unnest(array['other', 'empty', 'changed']) as slug;
         insert into hostname_transfers (transfer_id, hostname, tenant_id, value, created_at, expires_at, look_at)
         select gen_random_uuid(), 'host-withdraw-killed.com', tenant_id, 'a value', created_at, '2126-11-28', '2126-11-28'
         from tenants where slug = 'other'",
    )
    .execute(pool)
    .await?;
    let (mut certificates, mut orders) = (BTreeMap::new(), BTreeMap::new());
    for row in sqlx::query(
        "select external_id, certificate_id, order_id from certificates join orders using (certificate_id)",
    )
    .fetch_all(pool)
    .await?
    {
        let of: String = row.try_get(0)?;
        certificates.insert(of.clone(), CertificateId(row.try_get(1)?).to_string());
        orders.insert(of, OrderId(row.try_get(2)?).to_string());
    }
    let authorization =
        sqlx::query_scalar("select authorization_id from authorizations").fetch_one(pool).await?;
    let mut others = BTreeMap::from([("authorization", AuthorizationId(authorization).to_string())]);
    let accounts = put(sender, "GET", "/v1/accounts", &Value::Null).await?;
    others.insert("account", id_in(&accounts["data"][0])?);
    for of in ["key-revoke", "key-change", "key-rotate"] {
        let made = put(sender, "POST", "/v1/api-keys", &json!({ "name": of, "tenant": "acme" })).await?;
        others.insert(of, id_in(&made["key"]).or_else(|_| id_in(&made))?);
    }
    for of in ["hook-delete", "hook-change", "hook-resend", "hook-recover", "hook-rotate", "hook-test"] {
        let made =
            put(sender, "POST", "/v1/webhooks", &json!({ "url": "https://panel.example.com/hooks" })).await?;
        others.insert(of, id_in(&made)?);
    }
    let sent =
        put(sender, "POST", &format!("/v1/webhooks/{}/test", others["hook-resend"]), &Value::Null).await?;
    others.insert("delivery", sent["delivery_id"].as_str().context("a delivery")?.to_owned());
    let wanted = json!({ "limit": "new_orders_per_account", "burst": 600, "period_seconds": 10_800, "note": "by mail" });
    others.insert("override", id_in(&put(sender, "POST", "/v1/limit-overrides", &wanted).await?)?);
    let report = json!({ "fault": "the disk is full" });
    put(sender, "PUT", &format!("/v1/deployments/{}/web1", certificates["dep-delete"]), &report).await?;
    put(sender, "POST", &format!("/v1/certificates/{}/pause", certificates["crt-resume"]), &Value::Null)
        .await?;
    let skip = format!("/v1/hostnames/{}/overrides/dns", host("host-unskip"));
    put(sender, "PUT", &skip, &json!({ "note": "it is right" })).await?;
    let user = json!({ "name": "eve@example.com", "role": "viewer", "password": "correct horse battery" });
    others.insert("user", id_in(&put(sender, "POST", "/v1/users", &user).await?)?);
    others.extend(campaign_writes::hold(sender, pool).await?);
    // Files that change nothing: what follows from them, in the background, is nothing either.
    for (of, mode, status) in [
        ("imp-cancel", "preview", "preview"),
        ("imp-commit", "preview", "preview"),
        ("imp-rollback", "commit", "completed"),
    ] {
        let file = format!("{HEADER}acme,crt-patch,{},http-01,\n", host("crt-patch"));
        let made = sender.send_file(&format!("/v1/imports?mode={mode}"), file).await?;
        ensure!(made.status == 202, "{made:?}");
        let id = id_in(&serde_json::from_slice(&made.body)?)?;
        sender.wait_for(&format!("/v1/imports/{id}"), "status", status).await?;
        others.insert(of, id);
    }
    Ok(Held { certificates, orders, others })
}

/// One of each, in an order in which neighbours have nothing in common that would make one wait for the other's end.
pub(crate) async fn all(sender: &Sender, pool: &PgPool) -> anyhow::Result<Vec<Named>> {
    let held = hold(sender, pool).await?;
    let mut all = Vec::new();
    let mut add = |method, route: &'static str, fill: &[(&str, &str)], body: Value, kind| {
        let path =
            fill.iter().fold(route.to_owned(), |path, (name, is)| path.replace(&format!("{{{name}}}"), is));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        all.push(Named::new(method, route, path, body, kind));
    };
    let other = |of: &str| held.others[of].as_str();
    let certificate = |of: &str| held.certificates[of].clone();
    let since = SystemClock.now().before(std::time::Duration::from_hours(1)).to_string();

    add("POST", "/v1/api-keys", &[], json!({ "name": "panel", "tenant": "acme" }), "api_key.created");
    add("DELETE", "/v1/api-keys/{key}", &[("key", other("key-revoke"))], Value::Null, "api_key.revoked");
    add(
        "PATCH",
        "/v1/api-keys/{key}",
        &[("key", other("key-change"))],
        json!({ "name": "x" }),
        "api_key.changed",
    );
    add("POST", "/v1/api-keys/{key}/rotate", &[("key", other("key-rotate"))], json!({}), "api_key.rotated");
    let limit = json!({ "limit": "certificates_per_registered_domain", "key": "killed.com", "burst": 600,
        "period_seconds": 10_800, "note": "granted by mail" });
    add("POST", "/v1/limit-overrides", &[], limit, "limit_override.entered");
    add(
        "DELETE",
        "/v1/limit-overrides/{override}",
        &[("override", other("override"))],
        Value::Null,
        "limit_override.removed",
    );
    add("POST", "/v1/limit-overrides/search", &[], json!({}), "account.search");
    add(
        "PUT",
        "/v1/checks/{check}/standing",
        &[("check", "dns")],
        json!({ "standing": "advice" }),
        "check.standing_changed",
    );

    add("DELETE", "/v1/limit-overrides/search", &[], Value::Null, "account.search");
    add("POST", "/v1/tenants", &[], json!({ "slug": "newcomer" }), "tenant.created");
    add(
        "PATCH",
        "/v1/tenants/{tenant}",
        &[("tenant", "changed")],
        json!({ "name": "Changed" }),
        "tenant.changed",
    );
    add("DELETE", "/v1/tenants/{tenant}", &[("tenant", "empty")], Value::Null, "tenant.deleted");
    campaign_writes::add(&mut add, other("campaign-change"), other("campaign-cancel"));
    add("POST", "/v1/webhooks", &[], json!({ "url": "https://panel.example.com/other" }), "webhook.created");
    add(
        "DELETE",
        "/v1/webhooks/{webhook}",
        &[("webhook", other("hook-delete"))],
        Value::Null,
        "webhook.deleted",
    );
    add(
        "PATCH",
        "/v1/webhooks/{webhook}",
        &[("webhook", other("hook-change"))],
        json!({ "description": "x" }),
        "webhook.changed",
    );
    let resend = [("webhook", other("hook-resend")), ("delivery", other("delivery"))];
    add(
        "POST",
        "/v1/webhooks/{webhook}/deliveries/{delivery}/resend",
        &resend,
        Value::Null,
        "webhook.resent",
    );

    add(
        "POST",
        "/v1/webhooks/{webhook}/recover",
        &[("webhook", other("hook-recover"))],
        json!({ "since": since }),
        "webhook.recovered",
    );
    add(
        "POST",
        "/v1/webhooks/{webhook}/rotate-secret",
        &[("webhook", other("hook-rotate"))],
        Value::Null,
        "webhook.secret_rotated",
    );
    add(
        "POST",
        "/v1/webhooks/{webhook}/test",
        &[("webhook", other("hook-test"))],
        Value::Null,
        "webhook.test",
    );
    add(
        "PATCH",
        "/v1/accounts/{account}",
        &[("account", other("account"))],
        json!({ "note": "ours" }),
        "account.changed",
    );
    add(
        "POST",
        "/v1/authorizations/{authorization}/settle",
        &[("authorization", other("authorization"))],
        Value::Null,
        "authorization.settle_requested",
    );
    add(
        "POST",
        "/v1/orders/{order}/cancel",
        &[("order", &held.orders["ord-cancel"])],
        Value::Null,
        "order.cancelled",
    );
    add(
        "POST",
        "/v1/imports/{import}/cancel",
        &[("import", other("imp-cancel"))],
        Value::Null,
        "import.cancelled",
    );
    add(
        "POST",
        "/v1/imports/{import}/rollback",
        &[("import", other("imp-rollback"))],
        Value::Null,
        "import.rollback_begun",
    );

    add(
        "POST",
        "/v1/imports/{import}/commit",
        &[("import", other("imp-commit"))],
        Value::Null,
        "import.committed",
    );
    add("POST", "/v1/paused-names/release", &[], Value::Null, "paused_names.released");
    let of = certificate("crt-delete");
    add(
        "DELETE",
        "/v1/certificates/{certificate}",
        &[("certificate", &of)],
        Value::Null,
        "certificate.deleted",
    );
    let of = certificate("crt-patch");
    add(
        "PATCH",
        "/v1/certificates/{certificate}",
        &[("certificate", &of)],
        json!({ "labels": { "a": "b" } }),
        "certificate.changed",
    );
    let of = certificate("crt-pause");
    add(
        "POST",
        "/v1/certificates/{certificate}/pause",
        &[("certificate", &of)],
        Value::Null,
        "certificate.paused",
    );
    let of = certificate("crt-resume");
    add(
        "POST",
        "/v1/certificates/{certificate}/resume",
        &[("certificate", &of)],
        Value::Null,
        "certificate.resumed",
    );
    let of = certificate("crt-revoke");
    add(
        "POST",
        "/v1/certificates/{certificate}/revoke",
        &[("certificate", &of)],
        json!({ "reason": "key_compromise", "replace": false }),
        "certificate.revocation_requested",
    );
    let of = certificate("dep-put");
    let deployment = [("certificate", of.as_str()), ("target", "web1")];
    add(
        "PUT",
        "/v1/deployments/{certificate}/{target}",
        &deployment,
        json!({ "fault": "the disk is full" }),
        "certificate.deploy_failed",
    );

    let of = certificate("dep-delete");
    let deployment = [("certificate", of.as_str()), ("target", "web1")];
    add("DELETE", "/v1/deployments/{certificate}/{target}", &deployment, Value::Null, "deployment.deleted");
    let of = host("host-delete");
    add("DELETE", "/v1/hostnames/{hostname}", &[("hostname", &of)], Value::Null, "hostname.deleted");
    let of = host("host-check");
    add(
        "POST",
        "/v1/hostnames/{hostname}/check",
        &[("hostname", &of)],
        Value::Null,
        "hostname.check_requested",
    );
    let of = host("host-skip");
    add(
        "PUT",
        "/v1/hostnames/{hostname}/overrides/{check}",
        &[("hostname", &of), ("check", "dns")],
        json!({ "note": "it is right" }),
        "check_override.entered",
    );
    let of = host("host-unskip");
    add(
        "DELETE",
        "/v1/hostnames/{hostname}/overrides/{check}",
        &[("hostname", &of), ("check", "dns")],
        Value::Null,
        "check_override.taken_back",
    );
    let of = host("host-resume");
    add("POST", "/v1/hostnames/{hostname}/resume", &[("hostname", &of)], Value::Null, "hostname.resumed");
    let of = host("host-move");
    add(
        "POST",
        "/v1/hostnames/{hostname}/transfer",
        &[("hostname", &of)],
        json!({ "tenant": "other" }),
        "hostname.transferred",
    );
    let of = host("host-withdraw");
    add(
        "DELETE",
        "/v1/hostnames/{hostname}/transfer",
        &[("hostname", &of)],
        Value::Null,
        "hostname.transfer_withdrawn",
    );

    let user = json!({ "name": "ada@example.com", "role": "viewer", "password": "correct horse battery" });
    add("POST", "/v1/users", &[], user, "user.created");
    let disabled = json!({ "disabled": true });
    add("PATCH", "/v1/users/{user}", &[("user", other("user"))], disabled, "user.changed");
    // These queue orders, and wait for each other at the end of a lane.
    let of = certificate("crt-renew");
    add(
        "POST",
        "/v1/certificates/{certificate}/renew",
        &[("certificate", &of)],
        Value::Null,
        "certificate.renewal_requested",
    );
    let of = certificate("crt-retry");
    add(
        "POST",
        "/v1/certificates/{certificate}/retry",
        &[("certificate", &of)],
        Value::Null,
        "certificate.retry_requested",
    );
    add(
        "POST",
        "/v1/certificates",
        &[],
        json!({ "tenant": "acme", "names": ["created-killed.com"] }),
        "certificate.created",
    );
    let items = json!({ "items": [{ "tenant": "other", "names": ["batch-killed.com"] }] });
    add("POST", "/v1/certificates/batch", &[], items, "certificate.created");
    add(
        "PUT",
        "/v1/hostnames/{hostname}",
        &[("hostname", "put-killed.com")],
        json!({ "tenant": "changed" }),
        "hostname.created",
    );
    add(
        "POST",
        "/v1/imports",
        &[],
        Value::String(format!("{HEADER}third,t,imported-killed.com,http-01,\n")),
        "import.completed",
    );
    Ok(all)
}
