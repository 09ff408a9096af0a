//! `GET /admin/search?q=`: straight to what an id, a hostname or a tenant names.

use axum::response::{IntoResponse as _, Redirect};
use issuance::ids::{CertificateId, ImportId, OrderId, WebhookId};
use serde_json::Value;

use super::Asked;
use crate::api::address::{segment, with_query};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{Fault, Shown};

pub(super) async fn find(visitor: Visitor, Asked(asked): Asked) -> Shown {
    let wanted = asked.get("q").unwrap_or_default().trim();
    let to = if wanted.parse::<CertificateId>().is_ok() {
        format!("/admin/certificates/{wanted}")
    } else if wanted.parse::<OrderId>().is_ok() {
        format!("/admin/orders/{wanted}")
    } else if wanted.parse::<ImportId>().is_ok() {
        format!("/admin/imports/{wanted}")
    } else if wanted.parse::<WebhookId>().is_ok() {
        format!("/admin/webhooks/{wanted}")
    } else {
        by_name(&visitor, wanted).await?
    };
    Ok(Redirect::to(&to).into_response())
}

/// A hostname or a tenant that is called so, or the hostnames that begin so.
async fn by_name(visitor: &Visitor, wanted: &str) -> Result<String, Fault> {
    for (api, page) in [("/v1/hostnames", "/admin/hostnames"), ("/v1/tenants", "/admin/tenants")] {
        let named = segment(wanted);
        if named.is_empty() {
            continue;
        }
        match visitor.ask.find::<Value>(&format!("{api}/{named}")).await {
            Ok(Some(_)) => return Ok(format!("{page}/{named}")),
            Ok(None) => {}
            // No hostname, or nothing this user may ask for.
            Err(refusal) if (400..500).contains(&refusal.status) => {}
            Err(refusal) => return Err(Fault::new(visitor, refusal)),
        }
    }
    Ok(with_query("/admin/hostnames", &[("q", Some(wanted).filter(|wanted| !wanted.is_empty()))]))
}
