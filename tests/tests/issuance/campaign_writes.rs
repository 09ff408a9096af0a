//! Writes of campaigns, and a certificate that no other write is about.

use issuance::time::Clock as _;
use lockkeeper::clock::SystemClock;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::killed_writes::{Sender, id_in, put};

fn campaign() -> Value {
    json!({
        "reason": "the CA revokes it",
        "deadline": SystemClock.now().after(std::time::Duration::from_hours(24)),
        "selector": { "issuer": "campaigns" },
    })
}

/// One to change and one to call off, by what they are for.
pub(crate) async fn hold(sender: &Sender, pool: &PgPool) -> anyhow::Result<[(&'static str, String); 2]> {
    sqlx::raw_sql(
        "insert into issued_certificates (order_id, certificate_id, tenant_id, account_id, names, serial, fingerprint_sha256,
             spki_sha256, issuer, chain_pem, not_before, not_after, issued_at)
         select order_id, certificate_id, tenant_id, account_id, names, '0b', sha256('a'), sha256('b'), 'CN=campaigns', 'x',
             accepted_at, '2126-11-28', accepted_at
         from orders where names = '{crt-bundle-killed.com}'",
    )
    .execute(pool)
    .await?;
    let change = id_in(&put(sender, "POST", "/v1/campaigns", &campaign()).await?)?;
    let cancel = id_in(&put(sender, "POST", "/v1/campaigns", &campaign()).await?)?;
    Ok([("campaign-change", change), ("campaign-cancel", cancel)])
}

/// Method, route, what fills it, the document, and what is told of it.
pub(crate) fn add(
    add: &mut impl FnMut(&'static str, &'static str, &[(&str, &str)], Value, &'static str),
    change: &str,
    cancel: &str,
) {
    const ONE: &str = "/v1/campaigns/{campaign}";
    add("POST", "/v1/campaigns", &[], campaign(), "campaign.started");
    add("PATCH", ONE, &[("campaign", change)], json!({ "status": "paused" }), "campaign.paused");
    add("DELETE", ONE, &[("campaign", cancel)], Value::Null, "campaign.cancelled");
}
