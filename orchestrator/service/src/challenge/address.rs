//! Which addresses a preflight may connect to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use issuance::fault::FailureClass;

/// A block of addresses in CIDR notation, as in `192.0.2.0/24`. A bare address is a block of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressBlock(IpNet);

impl AddressBlock {
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for AddressBlock {
    type Err = AddressBlockError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let block = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        block.map(Self).map_err(|source| AddressBlockError { text: text.into(), source })
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{text:?} is no block of addresses: write it as in 192.0.2.0/24 or 2001:db8::/32")]
pub struct AddressBlockError {
    text: Box<str>,
    #[source]
    source: std::net::AddrParseError,
}

/// Decides about an address before anything is sent to it.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    /// Special-purpose addresses that may be connected to nevertheless: a rehearsal on loopback, a fleet
    /// behind split-horizon DNS.
    pub allowed: Vec<AddressBlock>,
    /// The provider's own servers. Empty: unknown, every public address is as good as another.
    pub expected: Vec<AddressBlock>,
}

impl AddressPolicy {
    /// For an address the name itself leads to.
    pub fn check(&self, address: IpAddr) -> Result<(), AddressRefusal> {
        self.check_reachable(address)?;
        if self.expected.is_empty() || self.expected.iter().any(|block| block.contains(address)) {
            Ok(())
        } else {
            Err(AddressRefusal::Unexpected { address })
        }
    }

    /// For an address a redirect leads to, which may well be a central server elsewhere.
    pub fn check_reachable(&self, address: IpAddr) -> Result<(), AddressRefusal> {
        match special_purpose(address) {
            Some(purpose) if !self.allowed.iter().any(|block| block.contains(address)) => {
                Err(AddressRefusal::SpecialPurpose { address, purpose })
            }
            _ => Ok(()),
        }
    }
}

/// Why an address is not connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefusal {
    #[error("{address} is not a public address ({purpose})")]
    SpecialPurpose { address: IpAddr, purpose: &'static str },
    #[error("{address} is none of the hosting servers")]
    Unexpected { address: IpAddr },
}

impl AddressRefusal {
    pub fn class(&self) -> FailureClass {
        match self {
            Self::SpecialPurpose { .. } => FailureClass::PrivateAddress,
            Self::Unexpected { .. } => FailureClass::WrongAddress,
        }
    }
}

fn special_purpose(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => {
            SPECIAL_V4.iter().find(|(block, _)| block.contains(&address)).map(|(_, purpose)| *purpose)
        }
        IpAddr::V6(address) => SPECIAL_V6
            .iter()
            .find(|(block, _)| block.contains(&address))
            .map(|(_, purpose)| *purpose)
            .or_else(|| (!GLOBAL_UNICAST.contains(&address)).then_some("not global unicast")),
    }
}

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), prefix)
}

const fn v6(a: u16, b: u16, c: u16, d: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// IANA IPv4 special-purpose registry (RFC 6890), and multicast. Entries that are globally reachable by
/// name, such as AS112, are in it too: no web site is hosted there.
const SPECIAL_V4: &[(Ipv4Net, &str)] = &[
    (v4([0, 0, 0, 0], 8), "this network, RFC 791"),
    (v4([10, 0, 0, 0], 8), "private use, RFC 1918"),
    (v4([100, 64, 0, 0], 10), "shared address space, RFC 6598"),
    (v4([127, 0, 0, 0], 8), "loopback, RFC 1122"),
    // Public by the registry, yet inside Azure it is the platform's metadata and agent server.
    (v4([168, 63, 129, 16], 32), "cloud metadata"),
    (v4([169, 254, 0, 0], 16), "link-local and cloud metadata, RFC 3927"),
    (v4([172, 16, 0, 0], 12), "private use, RFC 1918"),
    (v4([192, 0, 0, 0], 24), "protocol assignments, RFC 6890"),
    (v4([192, 0, 2, 0], 24), "documentation, RFC 5737"),
    (v4([192, 31, 196, 0], 24), "AS112, RFC 7535"),
    (v4([192, 52, 193, 0], 24), "AMT, RFC 7450"),
    (v4([192, 88, 99, 0], 24), "6to4 relays, RFC 7526"),
    (v4([192, 168, 0, 0], 16), "private use, RFC 1918"),
    (v4([192, 175, 48, 0], 24), "AS112, RFC 7534"),
    (v4([198, 18, 0, 0], 15), "benchmarking, RFC 2544"),
    (v4([198, 51, 100, 0], 24), "documentation, RFC 5737"),
    (v4([203, 0, 113, 0], 24), "documentation, RFC 5737"),
    (v4([224, 0, 0, 0], 4), "multicast, RFC 1112"),
    (v4([240, 0, 0, 0], 4), "reserved, RFC 1112"),
];

/// The only block unicast addresses are assigned from (RFC 3513 §2.5.4): whatever lies outside is not one.
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 0, 3);

/// IANA IPv6 special-purpose registry. Blocks that carry an IPv4 address inside are refused as a whole: a
/// private one would pass unseen.
const SPECIAL_V6: &[(Ipv6Net, &str)] = &[
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback, RFC 4291"),
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128), "unspecified, RFC 4291"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), "IPv4-mapped, RFC 4291"),
    (Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96), "IPv4-compatible, RFC 4291"),
    (v6(0x64, 0xff9b, 0, 0, 96), "NAT64, RFC 6052"),
    (v6(0x64, 0xff9b, 1, 0, 48), "local NAT64, RFC 8215"),
    (v6(0x100, 0, 0, 0, 64), "discard only, RFC 6666"),
    (v6(0x100, 0, 0, 1, 64), "dummy prefix, RFC 9780"),
    (v6(0x2001, 0, 0, 0, 32), "Teredo, RFC 4380"),
    (v6(0x2001, 0, 0, 0, 23), "protocol assignments, RFC 2928"),
    (v6(0x2001, 0xdb8, 0, 0, 32), "documentation, RFC 3849"),
    (v6(0x2002, 0, 0, 0, 16), "6to4, RFC 3056"),
    (v6(0x2620, 0x4f, 0x8000, 0, 48), "AS112, RFC 7534"),
    (v6(0x3fff, 0, 0, 0, 20), "documentation, RFC 9637"),
    (v6(0x5f00, 0, 0, 0, 16), "segment routing, RFC 9602"),
    (v6(0xfc00, 0, 0, 0, 7), "unique local and cloud metadata, RFC 4193"),
    (v6(0xfe80, 0, 0, 0, 10), "link-local, RFC 4291"),
    (v6(0xfec0, 0, 0, 0, 10), "site-local, RFC 3879"),
    (v6(0xff00, 0, 0, 0, 8), "multicast, RFC 4291"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    fn blocks(texts: &[&str]) -> Vec<AddressBlock> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    #[test]
    fn special_purpose_addresses_are_refused() {
        let literals = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.170",
            "192.0.0.192",
            "192.0.2.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "192.175.48.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::a00:1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:0:4136:e378::1",
            "2001:1::1",
            "2001:2::1",
            "2001:3::1",
            "2001:4:112::1",
            "2001:10::1",
            "2001:20::1",
            "2001:30::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2620:4f:8000::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "4000::1",
            "9000::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ];
        assert!(literals.len() >= 60);
        let policy = AddressPolicy::default();
        for literal in literals {
            let refusal = policy.check(address(literal)).expect_err(literal);
            assert_eq!(refusal.class(), FailureClass::PrivateAddress, "{literal}");
            assert!(policy.check_reachable(address(literal)).is_err(), "{literal}");
        }
    }

    #[test]
    fn public_addresses_pass_up_to_the_edges() {
        let literals = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "3ffe::1",
            "3fff:1000::1",
        ];
        for literal in literals {
            assert_eq!(AddressPolicy::default().check(address(literal)), Ok(()), "{literal}");
        }
    }

    #[test]
    fn an_allowed_block_opens_only_itself() {
        let policy = AddressPolicy { allowed: blocks(&["127.0.0.0/8", "fd00::1"]), expected: Vec::new() };
        assert_eq!(policy.check(address("127.3.2.1")), Ok(()));
        assert_eq!(policy.check(address("fd00::1")), Ok(()));
        for closed in ["fd00::2", "10.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(policy.check(address(closed)).is_err(), "{closed}");
        }
    }

    #[test]
    fn only_the_name_itself_must_lead_to_the_servers() {
        let policy = AddressPolicy { allowed: Vec::new(), expected: blocks(&["8.8.8.0/24", "2a00::/16"]) };
        assert_eq!(policy.check(address("8.8.8.8")), Ok(()));
        assert_eq!(policy.check(address("2a00::5")), Ok(()));
        let elsewhere = policy.check(address("1.1.1.1")).expect_err("another server");
        assert_eq!(elsewhere.class(), FailureClass::WrongAddress);
        assert_eq!(policy.check_reachable(address("1.1.1.1")), Ok(()));
        let private = policy.check(address("10.0.0.1")).expect_err("a private address");
        assert_eq!(private.class(), FailureClass::PrivateAddress);
    }

    #[test]
    fn blocks_are_parsed_or_refused_with_their_text() {
        assert_eq!("127.0.0.0/8".parse::<AddressBlock>().expect("a block").to_string(), "127.0.0.0/8");
        assert_eq!("::1".parse::<AddressBlock>().expect("an address").to_string(), "::1/128");
        for bad in ["", "127.0.0.0/33", "::/129", "localhost", "1.2.3/8", "1.2.3.4/"] {
            let error = bad.parse::<AddressBlock>().expect_err(bad);
            assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
        }
    }
}
