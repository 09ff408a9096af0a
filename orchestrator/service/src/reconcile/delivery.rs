//! How certificates fare on servers, for whoever watches.

use std::collections::BTreeMap;

use issuance::deployment::DeploymentState;
use issuance::time::Timestamp;
use metrics::{describe_gauge, gauge};

use super::instruments::measured;
use super::{Pass, ReconcileError, ReconcileParts, Reconciler};
use crate::store::deployments;

const DEPLOYMENTS: &str = "lockkeeper_deployments";
/// Installed, and a later version has been issued.
const STALE: &str = "stale";

/// Counts deployments; repairs nothing: servers are their agents' business.
#[derive(Debug)]
pub struct DeliveryWatch {
    parts: ReconcileParts,
}

impl DeliveryWatch {
    pub fn new(parts: ReconcileParts) -> Self {
        describe_gauge!(DEPLOYMENTS, "Certificates on servers, by how they fare there as their agents tell.");
        Self { parts }
    }
}

impl Reconciler for DeliveryWatch {
    const NAME: &'static str = "delivery";
    const KINDS: &'static [&'static str] = &[];

    async fn pass(&self, _: Timestamp) -> Result<Pass, ReconcileError> {
        let mut counts: BTreeMap<&'static str, u64> =
            DeploymentState::ALL.iter().map(|state| (state.as_str(), 0)).collect();
        counts.insert(STALE, 0);
        for (state, is_stale, count) in deployments::count(&self.parts.store).await? {
            // What fails is told as that, however old it is.
            let label = if is_stale && state == DeploymentState::Deployed { STALE } else { state.as_str() };
            *counts.entry(label).or_default() += u64::try_from(count).unwrap_or_default();
        }
        for (state, count) in counts {
            gauge!(DEPLOYMENTS, "state" => state).set(measured(count));
        }
        Ok(Pass::default())
    }
}
