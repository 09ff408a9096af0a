use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

/// `[authority]`: a zone that this service serves itself, for names whose owners point an alias into it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthorityConfig {
    /// Delegated to these machines by its parent. Absent: none is served.
    pub zone: Option<String>,
    /// UDP and TCP.
    pub listen: SocketAddr,
    /// The zone's name servers, as its parent has them.
    pub name_servers: Vec<String>,
    /// Their addresses, in the same order, where they lie in the zone itself.
    pub addresses: Vec<IpAddr>,
    /// The person responsible, as in an SOA record: `hostmaster.host.example` is hostmaster@host.example.
    pub contact: Option<String>,
    /// Who may have a label by the acme-dns protocol.
    pub registration: Registration,
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Whoever has the operator's token.
    #[default]
    Token,
    /// Whoever reaches the API, as acme-dns has it.
    Open,
    Closed,
}

impl Default for AuthorityConfig {
    fn default() -> Self {
        Self {
            zone: None,
            listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 53)),
            name_servers: Vec::new(),
            addresses: Vec::new(),
            contact: None,
            registration: Registration::Token,
        }
    }
}
