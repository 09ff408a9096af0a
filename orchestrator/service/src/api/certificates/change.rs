//! `PATCH` and `DELETE /v1/certificates/{certificate}`

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use issuance::ids::CertificateId;
use issuance::key_kind::KeyKind;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::create::refused;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::body::given;
use crate::api::etag::{self, Etag};
use crate::api::problem::{Problem, Problems};
use crate::api::query::PathId;
use crate::api::wanted::{Faults, WantedChallenge, WantedKey};
use crate::api::write::{Answer, WriteRequest, or_answered};
use crate::store::certificate_actions;
use crate::store::certificate_wishes::{self, Change, Locked};
use crate::store::certificates::CertificateView;
use crate::store::events::Event;
use crate::store::scope::Scope;

/// What is to be different (RFC 7396): what is left out stays, and `null` takes a value away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// All of them: an order for the new set follows at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    #[serde(
        default,
        deserialize_with = "crate::json::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub challenge: Option<WantedChallenge>,
    /// All of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub key_type: Option<Option<KeyKind>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse_key: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<u16>)]
    pub key_days_max: Option<Option<u16>>,
    /// In PEM; an order with it follows at once. `null`: keys are made here from now on.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub csr: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_renew: Option<bool>,
}

/// Changes what is wished. What is at the CA for other names goes on to its end; what waits for them is over.
#[utoipa::path(
    patch,
    path = "/v1/certificates/{certificate}",
    tag = "certificates",
    params(
        ("certificate" = CertificateId, Path, description = "The certificate's id, `crt_…`"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: 412 if it was changed meanwhile")
    ),
    request_body = CertificateChange,
    security(("bearer" = ["certificates:write"])),
    responses((status = 200, description = "As it is wished now", body = CertificateView), Problems)
)]
#[tracing::instrument(name = "api.certificates.change", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn change(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    let wanted: CertificateChange = request.json()?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let locked = certificate_wishes::lock(&mut write.work, id).await?;
    let locked = locked.ok_or_else(|| Problem::not_found("certificate"))?;
    etag::require(&request.headers, locked.version)?;
    let change = judged(&wanted, &locked)?;
    let changed = certificate_wishes::change(&mut write.work, &locked, change).await?.map_err(refused)?;
    let has_changed = changed.is_some();
    if let Some(over) = changed {
        let after = certificate_wishes::lock(&mut write.work, id).await?.map(|locked| locked.told());
        let data = json!({ "before": locked.told(), "after": after });
        write.work.tell(told("certificate.changed", &locked, data)).await?;
        super::tell_over(&mut write.work, locked.tenant, id, &over).await?;
    }
    let view = super::within(&api, &mut write.work, id).await?;
    let tag = Etag::of(view.version, &view);
    let response = write.finish(Answer::ok(&view).with_etag(tag.as_str())).await?;
    if has_changed {
        api.wake.notify_one();
    }
    Ok(response)
}

fn judged(wanted: &CertificateChange, locked: &Locked) -> Result<Change, Problem> {
    let mut faults = Faults::default();
    faults.external_id(wanted.external_id.as_deref());
    if let Some(labels) = &wanted.labels {
        faults.labels(labels);
    }
    let names = wanted.names.as_ref().map(|names| faults.names("/names", names));
    let stored = locked.identifiers()?;
    let set = match &names {
        None => Some(&stored),
        Some(names) => names.as_ref(),
    };
    let method = match (&wanted.challenge, &names) {
        (None, None) => None,
        // As it was, unless a wildcard needs the other.
        (None, Some(_)) => {
            let was = WantedChallenge { r#type: locked.challenge.clone() };
            faults.method(Some(&was), set)
        }
        (Some(challenge), _) => faults.method(Some(challenge), set),
    };
    let is_about_keys = wanted.key_type.is_some()
        || wanted.reuse_key.is_some()
        || wanted.key_days_max.is_some()
        || wanted.csr.is_some();
    let mut key = None;
    let mut orders_anew = false;
    if let Some(set) = set.filter(|_| is_about_keys || locked.csr_der.is_some()) {
        let was = locked.key();
        let sends = matches!(wanted.csr, Some(Some(_)));
        let keeps = wanted.csr.is_none() && locked.csr_der.is_some();
        let asked = WantedKey {
            kind: wanted.key_type.unwrap_or(if sends { None } else { was.kind }),
            reuse: wanted.reuse_key.or(Some(was.reuse).filter(|_| !sends || locked.csr_der.is_some())),
            days_max: wanted.key_days_max.unwrap_or(was.days_max),
            csr: wanted.csr.clone().flatten(),
        };
        if keeps && names.is_some() && *set != stored {
            let detail = "its owner keeps the key: send a request (csr) for the new names beside them";
            faults.add("/csr", "csr-needed", detail);
        } else if keeps && wanted.key_type.is_some() {
            faults.add(
                "/key_type",
                "csr-key-type",
                "the key is its owner's: send a request for another kind of key",
            );
        } else if let Some((mut wish, _)) = faults.key(&asked, Some(set)) {
            if keeps {
                wish.csr_der = was.csr_der;
            }
            orders_anew = sends;
            key = Some(wish);
        }
    }
    faults.end()?;
    Ok(Change {
        external_id: wanted.external_id.clone(),
        names: names.flatten(),
        method,
        labels: wanted.labels.clone(),
        key,
        orders_anew,
        auto_renew: wanted.auto_renew,
    })
}

/// Removes a certificate. Its orders end: what is at the CA is settled first, each authorization submitted or deactivated.
/// What was issued stays valid until it expires; its names stay with their tenant.
#[utoipa::path(
    delete,
    path = "/v1/certificates/{certificate}",
    tag = "certificates",
    params(
        ("certificate" = CertificateId, Path, description = "The certificate's id, `crt_…`"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read: 412 if it was changed meanwhile")
    ),
    security(("bearer" = ["certificates:write"])),
    responses((status = 204, description = "It is gone"), Problems)
)]
#[tracing::instrument(name = "api.certificates.delete", skip_all, fields(certificate.id = %id))]
pub(in crate::api) async fn delete(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<CertificateId>,
    request: WriteRequest,
) -> Result<Response, Problem> {
    caller.require(Scope::CertificatesWrite)?;
    let mut write = or_answered!(request.begin(&api, &caller).await?);
    let locked = certificate_wishes::lock(&mut write.work, id).await?;
    let locked = locked.ok_or_else(|| Problem::not_found("certificate"))?;
    etag::require(&request.headers, locked.version)?;
    let over = certificate_actions::remove(&mut write.work, &locked).await?;
    write.work.tell(told("certificate.deleted", &locked, json!({ "before": locked.told() }))).await?;
    super::tell_over(&mut write.work, locked.tenant, id, &over).await?;
    let response = write.finish(Answer::no_content()).await?;
    api.wake.notify_one();
    Ok(response)
}

pub(super) fn told(kind: &'static str, locked: &Locked, data: serde_json::Value) -> Event {
    Event {
        kind,
        tenant: Some(locked.tenant),
        certificate: Some(locked.id),
        subject: locked.id.to_string(),
        data,
    }
}
