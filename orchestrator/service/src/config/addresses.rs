use std::net::IpAddr;

use serde::Deserialize;

use super::cidr::Cidr;

/// `[addresses]`: which addresses may be probed, and which are the provider's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddressesConfig {
    /// Blocks that may be connected to although they are not public; a tenant's DNS must not be able to point
    /// our probes into the provider's own network.
    pub allow: Vec<Cidr>,
    /// Blocks of the provider's web servers, so that "points elsewhere" can be told from "does not answer".
    pub expected: Vec<Cidr>,
    /// The addresses that tenants are told to publish. Empty: those of `expected` that are blocks of one.
    pub publish: Vec<IpAddr>,
}

impl AddressesConfig {
    /// What a tenant is told to publish.
    pub fn publish(&self) -> Vec<IpAddr> {
        if !self.publish.is_empty() {
            return self.publish.clone();
        }
        self.expected.iter().filter_map(Cidr::single).collect()
    }
}
