//! Problems of what owners wish for hostnames, certificates and orders.

use axum::http::StatusCode;
use issuance::ids::CertificateId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, ProblemEntry};

/// What is wrong with one of many things that were asked for at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::api) struct ItemProblem {
    pub status: u16,
    pub code: String,
    pub detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<ProblemEntry>,
}

impl Problem {
    /// Without telling whose it is.
    pub(in crate::api) fn hostname_owned(name: &str) -> Self {
        let detail =
            format!("{name} belongs to another tenant: take it over by proof, or choose another name");
        let title = "The hostname belongs to another tenant";
        Self::new(StatusCode::CONFLICT, "hostname-owned-by-other-tenant", title, detail)
    }

    pub(in crate::api) fn external_id_taken(by: &str) -> Self {
        let detail = format!("{by} goes by this external id already: change that one, or choose another id");
        Self::new(StatusCode::CONFLICT, "external-id-taken", "The external id is taken", detail)
    }

    pub(in crate::api) fn hostname_in_use(certificates: &[CertificateId]) -> Self {
        let some: Vec<String> = certificates.iter().take(5).map(ToString::to_string).collect();
        let detail = format!(
            "{} certificates have it among other names: change or delete them first ({})",
            certificates.len(),
            some.join(", ")
        );
        Self::new(StatusCode::CONFLICT, "hostname-in-use", "A certificate has the hostname", detail)
    }

    pub(in crate::api) fn certificate_paused() -> Self {
        let detail = "nothing is ordered for it while it is paused: resume it first";
        Self::new(StatusCode::CONFLICT, "certificate-paused", "The certificate is paused", detail)
    }

    pub(in crate::api) fn csr_needed(why: &str) -> Self {
        let detail = format!("{why}: send a new certificate request (PATCH csr) for exactly its names");
        Self::new(StatusCode::CONFLICT, "csr-needed", "A new certificate request is needed", detail)
    }

    pub(in crate::api) fn nothing_to_revoke() -> Self {
        let detail = "no certificate that is still valid was issued";
        Self::new(StatusCode::CONFLICT, "nothing-to-revoke", "There is nothing to revoke", detail)
    }

    pub(in crate::api) fn order_ended() -> Self {
        let detail = "the order has ended: there is nothing to cancel";
        Self::new(StatusCode::CONFLICT, "order-ended", "The order has ended", detail)
    }

    pub(in crate::api) fn order_finalizing() -> Self {
        let detail = "the CA may have been asked to sign already: revoke the certificate if it must not be";
        Self::new(StatusCode::CONFLICT, "order-finalizing", "It is too late to cancel", detail)
    }

    /// The service is at fault, or cannot answer now.
    pub(in crate::api) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// Its code and its first error, for a list of what became of many.
    pub(in crate::api) fn told(&self) -> ItemProblem {
        ItemProblem {
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
        }
    }
}
