//! Where the record of a name really stands: aliases and delegations followed as a CA's resolver follows them.

use std::sync::Arc;

use hickory_proto::rr::RecordType;
use issuance::fault::{FailureClass, Fault};
use sha2::{Digest, Sha256};

use super::authoritative::{Authorities, Told, ZoneFault, ZoneServers, told};
use super::record_name::RecordName;

/// Longer chains are taken for loops, as resolvers take them.
const ALIASES_MAX: usize = 8;
/// Of one name: from its parent's zone down to its own.
const REFERRALS_MAX: usize = 4;
/// 20 bytes of the digest in hexadecimal: no two names meet by chance.
const LABEL_BYTES: usize = 20;

/// Follows names.
#[derive(Debug)]
pub struct Delegations {
    authorities: Arc<Authorities>,
}

/// Why it is not known where a record would have to stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DelegationFault {
    #[error(transparent)]
    Zone(#[from] ZoneFault),
    #[error("none of the name servers of {zone} answers for {name}")]
    Silent { zone: RecordName, name: RecordName },
    #[error("{name} is an alias that leads in circles, or through more than {ALIASES_MAX} aliases")]
    Loop { name: RecordName },
}

impl DelegationFault {
    /// None where the name is not to blame.
    pub fn fault(&self) -> Option<Fault> {
        let class = match self {
            Self::Zone(ZoneFault::Resolver) => return None,
            Self::Zone(ZoneFault::NoZone { .. }) => FailureClass::DnsNxdomain,
            Self::Zone(ZoneFault::NoServer { .. }) | Self::Silent { .. } => FailureClass::DnsTimeout,
            Self::Loop { .. } => FailureClass::DnsDelegation,
        };
        Some(Fault::new(class, self.to_string()))
    }
}

/// Where a record stands, and who answers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub owner: RecordName,
    pub servers: ZoneServers,
}

impl Delegations {
    pub fn new(authorities: Arc<Authorities>) -> Self {
        Self { authorities }
    }

    /// Where the record of `name` stands.
    pub async fn follow(&self, name: &RecordName) -> Result<Standing, DelegationFault> {
        let mut owner = name.clone();
        for _ in 0..=ALIASES_MAX {
            let mut servers = self.authorities.of(&owner).await?;
            let mut next = None;
            for _ in 0..REFERRALS_MAX {
                match self.first_told(&servers, &owner).await {
                    Some(Told::Texts(_)) => return Ok(Standing { owner, servers }),
                    Some(Told::Alias(target)) => {
                        next = Some(target);
                        break;
                    }
                    Some(Told::Referral { zone, servers: names }) => {
                        servers = self.authorities.addresses_of(zone, &names).await?;
                    }
                    Some(Told::Lame(_)) | None => break,
                }
            }
            match next {
                Some(target) => owner = target,
                None => return Err(DelegationFault::Silent { zone: servers.zone, name: owner }),
            }
        }
        Err(DelegationFault::Loop { name: name.clone() })
    }

    /// What the first of the servers says that answers for the name.
    async fn first_told(&self, servers: &ZoneServers, name: &RecordName) -> Option<Told> {
        for server in &servers.addresses {
            if let Some(answer) = self.authorities.ask(*server, name, RecordType::TXT).await {
                let told = told(&answer, name);
                if !matches!(told, Told::Lame(_)) {
                    return Some(told);
                }
            }
        }
        None
    }
}

/// The label in our own zone that a name's alias is to lead to. It follows from the name, so that whoever owns the name
/// can be told the record before anything is ordered, and no two names share one.
pub fn label_of(name: &RecordName) -> String {
    let digest = Sha256::digest(name.as_str());
    digest.iter().take(LABEL_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_label_and_no_other_name_has_it() {
        let label = |text: &str| label_of(&RecordName::parse(text).expect(text));
        assert_eq!(label("_acme-challenge.shop.com"), label("_acme-challenge.SHOP.com."));
        assert_ne!(label("_acme-challenge.shop.com"), label("_acme-challenge.www.shop.com"));
        assert_eq!(label("_acme-challenge.shop.com").len(), 40);
        assert!(RecordName::parse(&label("_acme-challenge.shop.com")).is_ok());
    }
}
