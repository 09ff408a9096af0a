//! The closed list of what can be done.

use super::{Action, Before, Field, Kind};
use crate::store::scope::Scope;

const NO_FIELDS: &[Field] = &[];

const fn post(name: &'static str, label: &'static str, scope: Scope, path: &'static str) -> Action {
    Action {
        name,
        label,
        scope,
        destroys: false,
        method: "POST",
        path,
        fixed: "",
        fields: NO_FIELDS,
        before: Before::Nothing,
    }
}

const fn text(name: &'static str) -> Field {
    Field { name, kind: Kind::Text }
}

const fn ticked(name: &'static str) -> Field {
    Field { name, kind: Kind::Ticked }
}

const fn number(name: &'static str) -> Field {
    Field { name, kind: Kind::Number }
}

pub(in crate::dashboard) const SETTLE: Action = Action {
    before: Before::DryRun,
    ..post("settle", "Settle", Scope::AuthorizationsManage, "/v1/authorizations/{id}/settle")
};
pub(in crate::dashboard) const LOOK_AT_ORPHAN: Action =
    post("look-at-orphan", "Look again", Scope::AuthorizationsManage, "/v1/orphans/{id}/look");
pub(in crate::dashboard) const SETTLE_ORPHAN: Action = Action {
    before: Before::Confirm(
        "The next pass of the reconciler begins with it. What is open in it is settled at once instead of by its deadline: \
         submitted where its response is served, deactivated otherwise, which spends a failure token of its hostname where \
         the CA charges for it.",
    ),
    ..post("settle-orphan", "Settle now", Scope::AuthorizationsManage, "/v1/orphans/{id}/settle")
};
pub(in crate::dashboard) const CHECK: Action =
    post("check", "Check now", Scope::HostnamesWrite, "/v1/hostnames/{hostname}/check");
pub(in crate::dashboard) const TAKE_UP: Action =
    post("take-up", "Take up again", Scope::HostnamesWrite, "/v1/hostnames/{hostname}/resume");
pub(in crate::dashboard) const FORGET_HOSTNAME: Action = Action {
    destroys: true,
    method: "DELETE",
    before: Before::Confirm(
        "The hostname is given up: it gets no more certificates, its certificate is deleted if it has no other name, and \
         other tenants may have it. What servers have installed stays there until it expires.",
    ),
    ..post("forget-hostname", "Delete hostname", Scope::HostnamesWrite, "/v1/hostnames/{hostname}")
};
pub(in crate::dashboard) const SKIP_CHECK: Action = Action {
    method: "PUT",
    fields: &[text("note")],
    before: Before::Confirm(
        "This check no longer keeps the name from being ordered. If the check is right, the CA's validation fails, and \
         each failure spends one of the hostname's five failure tokens an hour.",
    ),
    ..post(
        "skip-check",
        "Skip this check",
        Scope::HostnamesWrite,
        "/v1/hostnames/{hostname}/overrides/{check}",
    )
};
pub(in crate::dashboard) const MIND_CHECK: Action = Action {
    method: "DELETE",
    ..post("mind-check", "Mind it again", Scope::HostnamesWrite, "/v1/hostnames/{hostname}/overrides/{check}")
};
pub(in crate::dashboard) const RENEW: Action = Action {
    before: Before::Confirm(
        "A new certificate is ordered now. It is exempt from the CA's limits only inside the renewal window that the CA \
         names; otherwise it spends one of the account's new-order tokens.",
    ),
    ..post("renew", "Renew now", Scope::CertificatesWrite, "/v1/certificates/{id}/renew")
};
pub(in crate::dashboard) const RETRY: Action =
    post("retry", "Try again", Scope::CertificatesWrite, "/v1/certificates/{id}/retry");
pub(in crate::dashboard) const PAUSE: Action = Action {
    before: Before::Confirm(
        "Nothing is ordered for it, and nothing renewed, until it is resumed. What is served expires in the end.",
    ),
    ..post("pause", "Pause", Scope::CertificatesWrite, "/v1/certificates/{id}/pause")
};
pub(in crate::dashboard) const RESUME: Action =
    post("resume", "Resume", Scope::CertificatesWrite, "/v1/certificates/{id}/resume");
pub(in crate::dashboard) const DELETE_CERTIFICATE: Action = Action {
    destroys: true,
    method: "DELETE",
    before: Before::Confirm(
        "It is renewed no more and handed out no more, its order is cancelled and its authorizations settled. What servers \
         have installed stays there until it expires; revoke it first if its key is lost.",
    ),
    ..post("delete-certificate", "Delete certificate", Scope::CertificatesWrite, "/v1/certificates/{id}")
};
pub(in crate::dashboard) const REVOKE: Action = Action {
    destroys: true,
    fields: &[text("reason"), ticked("replace")],
    before: Before::Confirm(
        "The CA says publicly that what it has signed is not to be trusted, and that cannot be taken back. Servers that \
         still have it are refused by browsers that look. With a replacement, a new certificate with a new key is ordered \
         first in its lane.",
    ),
    ..post("revoke", "Revoke", Scope::CertificatesRevoke, "/v1/certificates/{id}/revoke")
};
pub(in crate::dashboard) const CANCEL_ORDER: Action = Action {
    destroys: true,
    before: Before::Confirm(
        "The order ends, and each of its authorizations is submitted or deactivated. Deactivating one that is pending \
         spends a failure token of its hostname.",
    ),
    ..post("cancel-order", "Cancel order", Scope::CertificatesWrite, "/v1/orders/{id}/cancel")
};
pub(in crate::dashboard) const COMMIT_IMPORT: Action = Action {
    before: Before::Confirm(
        "Every row that was not refused is carried out: certificates are wished for and orders are queued.",
    ),
    ..post("commit-import", "Commit import", Scope::ImportsWrite, "/v1/imports/{id}/commit")
};
pub(in crate::dashboard) const CANCEL_IMPORT: Action = Action {
    destroys: true,
    before: Before::Confirm(
        "No further row is carried out. What was carried out stays; roll the import back to take it back.",
    ),
    ..post("cancel-import", "Cancel import", Scope::ImportsWrite, "/v1/imports/{id}/cancel")
};
pub(in crate::dashboard) const ROLL_BACK_IMPORT: Action = Action {
    destroys: true,
    before: Before::Confirm(
        "What this import has created, and nobody has changed since, is deleted again; orders that are not at the CA yet \
         are cancelled.",
    ),
    ..post("roll-back-import", "Roll back", Scope::ImportsWrite, "/v1/imports/{id}/rollback")
};
pub(in crate::dashboard) const PAUSE_CAMPAIGN: Action = Action {
    method: "PATCH",
    fixed: r#"{"status":"paused"}"#,
    before: Before::Confirm(
        "Nothing more of it is ordered until it is resumed; orders that are under way go on. The deadline stays, and the CA \
         revokes what is not replaced by then.",
    ),
    ..post("pause-campaign", "Pause", Scope::CertificatesWrite, "/v1/campaigns/{id}")
};
pub(in crate::dashboard) const RESUME_CAMPAIGN: Action = Action {
    method: "PATCH",
    fixed: r#"{"status":"running"}"#,
    before: Before::Confirm(
        "What still waits is ordered again, at the campaign's rate. An order that is neither in the renewal window that the \
         CA names nor for a set of names that was issued lately spends one of the account's new-order tokens.",
    ),
    ..post("resume-campaign", "Resume", Scope::CertificatesWrite, "/v1/campaigns/{id}")
};
pub(in crate::dashboard) const CHANGE_CAMPAIGN: Action = Action {
    method: "PATCH",
    fields: &[text("deadline"), number("rate_per_hour")],
    before: Before::Confirm(
        "The campaign goes on by this. A higher rate takes more of what the CA's limits leave to other orders; without one \
         it takes as much as they allow.",
    ),
    ..post("change-campaign", "Save", Scope::CertificatesWrite, "/v1/campaigns/{id}")
};
pub(in crate::dashboard) const CANCEL_CAMPAIGN: Action = Action {
    destroys: true,
    method: "DELETE",
    before: Before::Confirm(
        "Nothing more of it is ordered, and that cannot be taken back: whatever still waits is revoked by the CA unless \
         another campaign replaces it. Orders that are under way go on to their end, and what was replaced stays.",
    ),
    ..post("cancel-campaign", "Call off", Scope::CertificatesWrite, "/v1/campaigns/{id}")
};
pub(in crate::dashboard) const CHANGE_TENANT: Action = Action {
    method: "PATCH",
    fields: &[
        text("name"),
        number("weight"),
        number("quotas.hostnames"),
        number("quotas.new_certificates_per_day"),
    ],
    ..post("change-tenant", "Save", Scope::TenantsManage, "/v1/tenants/{tenant}")
};
pub(in crate::dashboard) const SUSPEND_TENANT: Action = Action {
    method: "PATCH",
    fixed: r#"{"status":"suspended"}"#,
    before: Before::Confirm("Nothing new is begun for this tenant. What it has is renewed and served."),
    ..post("suspend-tenant", "Suspend", Scope::TenantsManage, "/v1/tenants/{tenant}")
};
pub(in crate::dashboard) const RESUME_TENANT: Action = Action {
    method: "PATCH",
    fixed: r#"{"status":"active"}"#,
    ..post("resume-tenant", "Resume", Scope::TenantsManage, "/v1/tenants/{tenant}")
};
pub(in crate::dashboard) const SET_OVERRIDE: Action = Action {
    fields: &[
        text("limit"),
        text("key"),
        number("burst"),
        number("period_seconds"),
        text("note"),
        text("expires_at"),
    ],
    before: Before::Confirm(
        "The mirror counts by this from now on, on all replicas. If it says more than the CA grants, the CA will answer 429.",
    ),
    ..post("set-override", "Enter override", Scope::AccountsManage, "/v1/limit-overrides")
};
pub(in crate::dashboard) const REMOVE_OVERRIDE: Action = Action {
    destroys: true,
    method: "DELETE",
    before: Before::Confirm("The limit is again what the CA's profile says."),
    ..post("remove-override", "Remove override", Scope::AccountsManage, "/v1/limit-overrides/{id}")
};
pub(in crate::dashboard) const RELEASE_NAMES: Action = Action {
    before: Before::Confirm(
        "Every name that the CA has paused counts as released here and is tried again. Open the CA's link first: a name \
         that is still paused there is refused once more.",
    ),
    ..post("release-names", "They were unpaused", Scope::AccountsManage, "/v1/paused-names/release")
};
pub(in crate::dashboard) const DEMOTE_CHECK: Action = Action {
    method: "PUT",
    fixed: r#"{"standing":"advice"}"#,
    before: Before::Confirm(
        "For all tenants, this check only advises from now on: names that it would have kept back are ordered, and where it was \
         right they fail at the CA, which costs a failure token each.",
    ),
    ..post("demote-check", "Let it only advise", Scope::AccountsManage, "/v1/checks/{check}/standing")
};
pub(in crate::dashboard) const PROMOTE_CHECK: Action = Action {
    method: "PUT",
    fixed: r#"{"standing":"blocks"}"#,
    before: Before::Confirm(
        "For all tenants, this check keeps names from being ordered from now on, until what it finds is mended.",
    ),
    ..post("promote-check", "Let it keep names back", Scope::AccountsManage, "/v1/checks/{check}/standing")
};
pub(in crate::dashboard) const TEST_WEBHOOK: Action =
    post("test-webhook", "Send a test", Scope::WebhooksManage, "/v1/webhooks/{id}/test");
pub(in crate::dashboard) const ENABLE_WEBHOOK: Action = Action {
    method: "PATCH",
    fixed: r#"{"enabled":true}"#,
    ..post("enable-webhook", "Enable", Scope::WebhooksManage, "/v1/webhooks/{id}")
};
pub(in crate::dashboard) const DISABLE_WEBHOOK: Action = Action {
    method: "PATCH",
    fixed: r#"{"enabled":false}"#,
    before: Before::Confirm("It is told nothing more. What happens meanwhile can be had again with Recover."),
    ..post("disable-webhook", "Disable", Scope::WebhooksManage, "/v1/webhooks/{id}")
};
pub(in crate::dashboard) const RECOVER_WEBHOOK: Action = Action {
    fields: &[text("since")],
    before: Before::Confirm("Every event since then that it was not told successfully is sent to it."),
    ..post("recover-webhook", "Recover", Scope::WebhooksManage, "/v1/webhooks/{id}/recover")
};
pub(in crate::dashboard) const RESEND_DELIVERY: Action = post(
    "resend-delivery",
    "Send again",
    Scope::WebhooksManage,
    "/v1/webhooks/{id}/deliveries/{delivery}/resend",
);
pub(in crate::dashboard) const CREATE_USER: Action = Action {
    fields: &[text("name"), text("role"), text("tenant"), text("sign_in"), text("password")],
    ..post("create-user", "Let sign in", Scope::KeysManage, "/v1/users")
};
pub(in crate::dashboard) const DISABLE_USER: Action = Action {
    method: "PATCH",
    fixed: r#"{"disabled":true}"#,
    before: Before::Confirm("Nobody signs in by this name any more, and whoever has is signed out."),
    ..post("disable-user", "Disable", Scope::KeysManage, "/v1/users/{id}")
};
pub(in crate::dashboard) const ENABLE_USER: Action = Action {
    method: "PATCH",
    fixed: r#"{"disabled":false}"#,
    ..post("enable-user", "Enable", Scope::KeysManage, "/v1/users/{id}")
};

pub(in crate::dashboard) const ACTIONS: &[Action] = &[
    SETTLE,
    LOOK_AT_ORPHAN,
    SETTLE_ORPHAN,
    CHECK,
    TAKE_UP,
    FORGET_HOSTNAME,
    SKIP_CHECK,
    MIND_CHECK,
    RENEW,
    RETRY,
    PAUSE,
    RESUME,
    DELETE_CERTIFICATE,
    REVOKE,
    CANCEL_ORDER,
    COMMIT_IMPORT,
    CANCEL_IMPORT,
    ROLL_BACK_IMPORT,
    PAUSE_CAMPAIGN,
    RESUME_CAMPAIGN,
    CHANGE_CAMPAIGN,
    CANCEL_CAMPAIGN,
    CHANGE_TENANT,
    SUSPEND_TENANT,
    RESUME_TENANT,
    SET_OVERRIDE,
    REMOVE_OVERRIDE,
    RELEASE_NAMES,
    DEMOTE_CHECK,
    PROMOTE_CHECK,
    TEST_WEBHOOK,
    ENABLE_WEBHOOK,
    DISABLE_WEBHOOK,
    RECOVER_WEBHOOK,
    RESEND_DELIVERY,
    CREATE_USER,
    DISABLE_USER,
    ENABLE_USER,
];
