//! One request for each write that the API describes, and something of its own for each to be about.

use issuance::time::Clock as _;
use lockkeeper::clock::SystemClock;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::campaign_writes;
use crate::held::{HEADER, hold, host};
use crate::killed_writes::{Named, Sender};

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
    for (of, route, kind) in [
        ("orphan-look", "/v1/orphans/{orphan}/look", "orphan.look_requested"),
        ("orphan-settle", "/v1/orphans/{orphan}/settle", "orphan.settle_requested"),
    ] {
        add("POST", route, &[("orphan", other(of))], Value::Null, kind);
    }
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
