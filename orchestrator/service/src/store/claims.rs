//! Claims on hostnames for one certificate: whose the names become, and what is in the way.

use std::collections::{BTreeMap, BTreeSet};

use issuance::authorization::ValidationMethod;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::TenantId;
use sqlx::types::Uuid;

use super::quotas::{Allowances, Excess, Taken};
use super::work::Work;
use super::{StoreError, hostnames, tenants};

/// Whose a certificate is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Tenant {
        id: TenantId,
        slug: String,
    },
    /// The operator has to name one.
    Unnamed,
    /// A tenant acts for itself alone.
    Other,
}

/// The tenant that is written for, held by this work so that its certificates are written one after the other. `slug` is
/// whom the request names; one that the operator names for the first time comes to be.
pub async fn owner(work: &mut Work, slug: Option<&str>) -> Result<Owner, StoreError> {
    let own = match work.viewer().tenant_id() {
        Some(id) => tenants::slug(work.conn(), TenantId(id)).await?,
        None => None,
    };
    let slug = match (own, slug) {
        (Some(own), Some(slug)) if own != slug => return Ok(Owner::Other),
        (Some(own), _) => own,
        (None, None) => return Ok(Owner::Unnamed),
        (None, Some(slug)) => {
            let (now, mint) = (work.at(), super::mint::Mint::at(work.at()));
            tenants::ensure(work.conn(), now, &mint, &BTreeSet::from([slug])).await?;
            slug.to_owned()
        }
    };
    let held = tenants::hold(work.conn(), &BTreeSet::from([slug.as_str()])).await?;
    match held.get(&slug) {
        Some(id) => Ok(Owner::Tenant { id: TenantId(*id), slug }),
        None => Ok(Owner::Other),
    }
}

/// Why names are not a tenant's. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// Somebody else has it.
    Foreign(Hostname),
    /// A quota does not allow it.
    Excess(Excess),
}

/// Makes the names the tenant's, for so many orders that begin with it. The tenant is held by this work.
pub(super) async fn claim(
    work: &mut Work,
    tenant: TenantId,
    names: &Identifiers,
    method: ValidationMethod,
    orders: u64,
) -> Result<Result<(), Hindrance>, StoreError> {
    let now = work.at();
    let mut allowances = Allowances::read(work.conn(), [tenant.0], now).await?;
    let wished: BTreeMap<&str, Uuid> =
        names.iter().map(|name| (name.validation_target(), tenant.0)).collect();
    let claims = hostnames::claim(work.conn(), now, &wished).await?;
    let above: BTreeSet<String> = match method {
        // Whoever owns a name owns what is below it, where a record that we publish is all the proof there is.
        ValidationMethod::Dns01 => names.iter().flat_map(hostnames::ancestors).map(str::to_owned).collect(),
        ValidationMethod::Http01 => BTreeSet::new(),
    };
    let above = hostnames::owners(work.conn(), &above).await?;
    let is_foreign = |name: &&Hostname| {
        claims.owners.get(name.validation_target()) != Some(&tenant.0)
            || hostnames::ancestors(name).any(|one| above.get(one).is_some_and(|owner| *owner != tenant.0))
    };
    let hindrance = names.iter().find(is_foreign).cloned().map(Hindrance::Foreign).or_else(|| {
        let taken = Taken { hostnames: claims.fresh.len() as u64, certificates: orders };
        allowances.take(tenant.0, taken).err().map(Hindrance::Excess)
    });
    if let Some(hindrance) = hindrance {
        let mut fresh: Vec<String> = claims.fresh.into_iter().collect();
        fresh.sort_unstable();
        hostnames::unclaim(work.conn(), &fresh).await?;
        return Ok(Err(hindrance));
    }
    allowances.record(work.conn()).await?;
    // What its owner had given up, and wants again.
    let targets: Vec<String> = wished.keys().map(|name| (*name).to_owned()).collect();
    sqlx::query!(
        "update hostnames set releasing_since = null where hostname = any($1) and releasing_since is not null",
        &targets
    )
    .execute(work.conn())
    .await
    .map_err(StoreError::of("hostnames.take_back"))?;
    Ok(Ok(()))
}
