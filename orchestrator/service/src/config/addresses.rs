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
}
