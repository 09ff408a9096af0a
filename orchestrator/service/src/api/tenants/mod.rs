//! `/v1/tenants`: the provider's customers. The operator's.

mod change;
mod create;
mod delete;
mod list;
mod read;

pub use change::{QuotasChange, TenantChange};
pub use create::{WantedQuotas, WantedTenant};

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ApiState;
use super::auth::Caller;
use super::problem::{Problem, ProblemEntry};
use crate::store::tenants::{self, TenantConflict, TenantName, TenantTerms};
use crate::store::viewer::Viewer;

/// As in `migrations`.
const TEXT_CHARS_MAX: usize = 200;
const WEIGHT_MAX: u32 = 1_000;
const SLUG_CHARS_MAX: usize = 64;
/// The largest number of the tables.
const QUOTA_MAX: u32 = i32::MAX.cast_unsigned();

/// Whose something is to be that is made for `tenant`, a slug: absent, whoever asks. What is no tenant of theirs is among
/// the errors.
pub(super) async fn holder(
    api: &ApiState,
    caller: &Caller,
    tenant: Option<&str>,
    errors: &mut Vec<ProblemEntry>,
) -> Result<Viewer, Problem> {
    let Some(slug) = tenant else { return Ok(caller.viewer) };
    let tenant = tenants::find_as(&api.store, caller.viewer, slug).await?;
    if tenant.is_none() {
        errors.push(ProblemEntry::at("/tenant", "no-such-tenant", "there is no such tenant"));
    }
    Ok(tenant.map_or(caller.viewer, Viewer::Tenant))
}

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list::list, create::create)).routes(routes!(
        read::read,
        change::change,
        delete::delete
    ))
}

/// The tenant in an address: its id, or its slug.
fn named(text: &str) -> TenantName {
    text.parse().map_or_else(|_| TenantName::Slug(text.to_owned()), TenantName::Id)
}

/// As the table has it: lower-case letters, digits, dots, dashes and underscores, the first and the last no sign.
fn is_slug(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    bytes.len() <= SLUG_CHARS_MAX
        && plain(*first)
        && plain(*last)
        && bytes.iter().all(|b| plain(*b) || matches!(b, b'.' | b'_' | b'-'))
}

/// Everything that is wrong with them.
fn errors(terms: &TenantTerms) -> Vec<ProblemEntry> {
    let mut errors = Vec::new();
    let printable =
        |text: &str| text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control);
    if !printable(&terms.name) {
        let detail = format!("a name has up to {TEXT_CHARS_MAX} printable characters");
        errors.push(ProblemEntry::at("/name", "out-of-range", detail));
    }
    if terms.external_id.as_deref().is_some_and(|id| id.is_empty() || !printable(id)) {
        let detail =
            format!("an external id has 1 to {TEXT_CHARS_MAX} printable characters; leave it away for none");
        errors.push(ProblemEntry::at("/external_id", "out-of-range", detail));
    }
    if !(1..=WEIGHT_MAX).contains(&terms.weight) {
        let detail = format!("a weight is 1 to {WEIGHT_MAX}");
        errors.push(ProblemEntry::at("/weight", "out-of-range", detail));
    }
    let quotas = [
        ("hostnames", terms.quotas.hostnames),
        ("new_certificates_per_day", terms.quotas.new_certificates_per_day),
    ];
    for (name, quota) in quotas {
        if quota.is_some_and(|quota| quota > QUOTA_MAX) {
            let detail = format!("a quota is 0 to {QUOTA_MAX}, or null for none");
            errors.push(ProblemEntry::at(format!("/quotas/{name}"), "out-of-range", detail));
        }
    }
    errors
}

fn refused(conflict: &TenantConflict) -> Problem {
    match conflict {
        TenantConflict::Slug => Problem::taken("/slug", "another tenant has this slug"),
        TenantConflict::ExternalId => Problem::taken("/external_id", "another tenant has this external id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_what_the_table_takes() {
        for good in ["a", "acme", "a.b-c_d9", "0", &"a".repeat(64)] {
            assert!(is_slug(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".", "A", "a b", "a/b", "ä", &"a".repeat(65)] {
            assert!(!is_slug(bad), "{bad}");
        }
    }
}
