//! What the writes of every route are about, as if it had been there for a while.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use issuance::ids::{AuthorizationId, CertificateId, OrderId, OrphanId};
use serde_json::{Value, json};
use sqlx::{PgPool, Row as _};

use crate::campaign_writes;
use crate::killed_writes::{Sender, id_in, put};

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

pub(crate) const HEADER: &str = "tenant,external_id,names,challenge,labels\n";

/// Ids of what is there, by what they are for.
pub(crate) struct Held {
    pub(crate) certificates: BTreeMap<String, String>,
    pub(crate) orders: BTreeMap<String, String>,
    pub(crate) others: BTreeMap<&'static str, String>,
}

pub(crate) fn host(of: &str) -> String {
    format!("{of}-killed.com")
}

/// Everything that the writes are about, as if it had been there for a while.
pub(crate) async fn hold(sender: &Sender, pool: &PgPool) -> anyhow::Result<Held> {
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
    // No pass looks at a certificate by itself.
    for of in ["orphan-look", "orphan-settle"] {
        let orphan = sqlx::query_scalar(
            "insert into orphans (url, account_id, order_id, kind, units, learnt_at)
             select 'https://ca.test/cert/' || $1, account_id, order_id, 'certificate', 0, accepted_at
             from orders where names = '{authz-settle-killed.com}'
             returning orphan_id",
        )
        .bind(of)
        .fetch_one(pool)
        .await?;
        others.insert(of, OrphanId(orphan).to_string());
    }
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
