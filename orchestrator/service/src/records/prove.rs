//! Before an order is placed: would we be able to publish what it will need?

use std::collections::BTreeSet;

use futures_util::future::join_all;
use issuance::answer::Proof;
use issuance::fault::{FailureClass, Fault};
use issuance::identifier::Hostname;
use issuance::ids::TenantId;

use super::Records;
use super::write::Written;
use crate::challenge::dns01::{Provider, RecordName, Turn, challenge_name, digest, label_of};
use crate::challenge::propagation::Verdict;
use crate::store::StoreError;
use crate::store::dns_records::WantedRecord;
use crate::store::leases::Lease;

/// In place of an authorization: there is none.
const TRIAL: &str = "trial";

/// A name whose record could be written, and through whom.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) provider: &'a Provider,
    pub(super) zone: &'a RecordName,
    /// Where it is to stand, aliases followed.
    pub(super) owner: RecordName,
}

impl Records {
    /// Whether each of the names could be proven now. Nothing of the CA's is spent.
    pub async fn prove(
        &self,
        names: impl IntoIterator<Item = &Hostname>,
        lease: Lease,
        tenant: TenantId,
    ) -> Vec<(Hostname, Proof)> {
        let Ok(tenant) = self.tenant(tenant).await else {
            return names.into_iter().map(|name| (name.clone(), Proof::Unknown)).collect();
        };
        let proofs = names.into_iter().map(|name| {
            let tenant = tenant.as_deref();
            async move { (name.clone(), self.prove_name(name, lease, tenant).await) }
        });
        join_all(proofs).await
    }

    async fn prove_name(&self, name: &Hostname, lease: Lease, tenant: Option<&str>) -> Proof {
        let place = match self.place(name, tenant).await {
            Ok(place) => place,
            Err(Some(fault)) => return Proof::NotReady(fault),
            Err(None) => return Proof::Unknown,
        };
        // Where the database does not answer, nothing is known.
        self.trial(lease, &place).await.unwrap_or(Proof::Unknown)
    }

    /// The tenant's word in the configuration; `None` where no provider asks for it.
    pub(super) async fn tenant(&self, tenant: TenantId) -> Result<Option<String>, StoreError> {
        if self.providers.ask_for_tenants() { self.store.tenant_slug(tenant).await } else { Ok(None) }
    }

    /// Where the name's record would stand. `None` in place of a fault: that could not be found out.
    pub(super) async fn place(
        &self,
        name: &Hostname,
        tenant: Option<&str>,
    ) -> Result<Place<'_>, Option<Fault>> {
        if self.providers.is_empty() {
            let detail =
                "no DNS provider is configured: dns-01 needs a [[dns01.provider]] or an [authority] zone";
            return Err(Some(Fault::new(FailureClass::ProviderApi, detail)));
        }
        let asked = challenge_name(name)
            .map_err(|error| Some(Fault::new(FailureClass::RejectedIdentifier, error.to_string())))?;
        let standing = self.propagation.standing(&asked).await.map_err(|verdict| match verdict {
            Verdict::NotYet { class, detail } => Some(Fault::new(class, detail)),
            Verdict::Visible | Verdict::Unknown { .. } => None,
        })?;
        match self.providers.serving(&standing.owner, tenant) {
            Some((provider, zone)) => Ok(Place { provider, zone, owner: standing.owner }),
            None => Err(Some(Fault::new(FailureClass::DnsDelegation, self.advice(&asked, &standing.owner)))),
        }
    }

    /// What is to be published by whoever owns the name.
    fn advice(&self, asked: &RecordName, owner: &RecordName) -> String {
        let wrong = if owner == asked {
            format!("no configured provider serves the zone of {asked}")
        } else {
            format!("{asked} is an alias of {owner}, whose zone no configured provider serves")
        };
        match self.providers.own_zone() {
            Some(zone) => format!("{wrong}: publish {asked}. CNAME {}.{zone}.", label_of(asked)),
            None => wrong,
        }
    }

    /// A provider that has failed again and again is tried with a record of no meaning before anything is ordered; and
    /// not while it is left alone. No authorization needs that record, so the next sweep removes it.
    async fn trial(&self, lease: Lease, place: &Place<'_>) -> Result<Proof, StoreError> {
        let provider = &place.provider.name;
        let ails = |detail: String| Proof::NotReady(Fault::new(FailureClass::ProviderApi, detail));
        match self.providers.turn(place.provider) {
            Turn::Well => return Ok(Proof::Ready),
            Turn::Ails { until } => {
                return Ok(ails(format!("the DNS provider {provider} fails, and is tried again at {until}")));
            }
            Turn::Trial => {}
        }
        let record = WantedRecord {
            authorization_url: TRIAL.to_owned(),
            provider: provider.clone(),
            zone: place.zone.to_string(),
            owner: place.owner.to_string(),
            value: digest(place.owner.as_str()),
        };
        if !self.store.want_records(lease, &[record], self.clock.now()).await? {
            return Ok(Proof::Unknown);
        }
        let owners = BTreeSet::from([place.owner.to_string()]);
        Ok(match self.write(place.provider, place.zone, &owners).await? {
            Written::All | Written::Busy => Proof::Ready,
            Written::Failed(detail) => ails(format!("the DNS provider {provider} fails: {detail}")),
        })
    }
}
