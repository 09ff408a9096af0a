use std::fmt::{Display, Formatter, Result as FmtResult};
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// A block of addresses, such as `192.0.2.0/24` or `2001:db8::/32`; a bare address is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// An IPv4 block holds the IPv4-mapped IPv6 addresses (`::ffff:a.b.c.d`) of its members too.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V6(v6) if self.network.is_ipv4() => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
            _ => address,
        };
        self.network.is_ipv4() == address.is_ipv4() && masked(address, self.prefix) == self.network
    }
}

impl Cidr {
    /// The one address of a block of one.
    pub fn single(&self) -> Option<IpAddr> {
        let longest = if self.network.is_ipv4() { 32 } else { 128 };
        (self.prefix == longest).then_some(self.network)
    }
}

/// `address` with all but the first `prefix` bits cleared.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(input: &str) -> Result<Self, CidrError> {
        let malformed = || CidrError::Malformed { input: input.to_owned() };
        let (address, prefix) = match input.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (input, None),
        };
        let network: IpAddr = address.parse().map_err(|_| malformed())?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|bits| *bits <= longest).ok_or_else(malformed)?,
            None => longest,
        };
        let first = masked(network, prefix);
        if first == network {
            Ok(Self { network, prefix })
        } else {
            Err(CidrError::HostBits { input: input.to_owned(), meant: Self { network: first, prefix } })
        }
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(input: String) -> Result<Self, CidrError> {
        input.parse()
    }
}

impl Display for Cidr {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    #[error("{input:?} is no block of addresses: write 192.0.2.0/24 or 2001:db8::/32")]
    Malformed { input: String },
    #[error("{input:?} is an address inside a block: for the block write {meant}")]
    HostBits { input: String, meant: Cidr },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(block: &str, address: &str) -> bool {
        block.parse::<Cidr>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        assert!(holds("192.0.2.0/24", "192.0.2.255"));
        assert!(!holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("::/0", "::1"));
        assert!(holds("127.0.0.0/8", "::ffff:127.0.0.1"));
    }

    #[test]
    fn a_slip_is_explained() {
        assert!(matches!("192.0.2.0/33".parse::<Cidr>(), Err(CidrError::Malformed { .. })));
        assert!(matches!("example.com".parse::<Cidr>(), Err(CidrError::Malformed { .. })));
        let error = "192.0.2.7/24".parse::<Cidr>().unwrap_err();
        assert!(error.to_string().ends_with("write 192.0.2.0/24"), "{error}");
    }
}
