//! The preflight, as the configuration wants it.

use std::sync::Arc;

use issuance::profile::CaProfile;
use tracing::warn;

use crate::acme::Account;
use crate::challenge::address::{AddressBlock, AddressPolicy};
use crate::challenge::caa::CaaIssuer;
use crate::challenge::farm::{Farm, Node};
use crate::challenge::fetch::FetchConfig;
use crate::challenge::preflight::Preflight;
use crate::challenge::probe::ProbeSecret;
use crate::challenge::resolver::{NameResolver, ResolverConfig};
use crate::config::{Cidr, Config, NodeConfig};

use super::AppError;

pub(super) fn blocks(cidrs: &[Cidr]) -> Result<Vec<AddressBlock>, AppError> {
    cidrs.iter().map(|cidr| cidr.to_string().parse().map_err(AppError::AddressBlock)).collect()
}

/// Which addresses may be asked.
pub(super) fn address_policy(config: &Config) -> Result<AddressPolicy, AppError> {
    Ok(AddressPolicy {
        allowed: blocks(&config.addresses.allow)?,
        expected: blocks(&config.addresses.expected)?,
    })
}

/// Asks the configured servers about names.
pub(super) fn resolver(config: &Config) -> Result<NameResolver, AppError> {
    let servers = config.resolver.servers.clone();
    Ok(NameResolver::new(&ResolverConfig { servers, ..ResolverConfig::default() })?)
}

/// `None` where the operator does without.
pub(super) fn preflight(
    config: &Config,
    secret: ProbeSecret,
    thumbprint: &str,
) -> Result<Option<Preflight>, AppError> {
    if !config.http01.preflight {
        warn!(
            event = "preflight.off",
            "Names are not checked before an order is placed: failures will be spent at the CA"
        );
        return Ok(None);
    }
    let resolver = resolver(config)?;
    let policy = address_policy(config)?;
    let fetch = FetchConfig {
        http_port: config.http01.port.get(),
        https_port: config.http01.https_port.get(),
        deadline: config.http01.timeout(),
    };
    let node = |node: &NodeConfig| -> Result<Node, AppError> {
        let name = node.name.clone().unwrap_or_else(|| node.address.to_string()).into();
        Ok(Node { name, address: node.address, behind: blocks(&node.behind)? })
    };
    let farm = Farm::new(config.http01.nodes.iter().map(node).collect::<Result<_, _>>()?);
    let preflight = Preflight::new(&fetch, Arc::new(resolver), policy, secret)?;
    let authorities = config.resolver.authority_port.get();
    Ok(Some(preflight.speaking_for(thumbprint).with_farm(farm).with_authorities_at(authorities)))
}

/// Has the preflight look at CAA records, for the CA and the account that will order.
pub(super) fn with_issuer(preflight: Preflight, account: &Account, profile: &CaProfile) -> Preflight {
    let told = &account.authority().directory().meta.caa_identities;
    let identities = if told.is_empty() { &profile.caa_identities } else { told };
    if identities.is_empty() {
        warn!(
            event = "preflight.no_caa",
            "CAA records are not looked at: neither the CA nor its profile says by which names it knows itself"
        );
        return preflight;
    }
    preflight.issued_by(CaaIssuer { identities: identities.clone(), account_url: account.url().into() })
}
