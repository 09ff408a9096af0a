//! The provider's web servers behind its load balancers.
//!
//! A CA meets one of them, and which one is the load balancer's choice. So each is asked by itself: one that answers
//! otherwise than the others fails a validation now and then, and nobody can say when.

use std::net::{IpAddr, SocketAddr};

use super::address::AddressBlock;

/// One web server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is called where tenants read of it too.
    pub name: Box<str>,
    /// Where it is asked; need not be public.
    pub address: SocketAddr,
    /// The addresses of names that it serves. Empty: all of them.
    pub behind: Vec<AddressBlock>,
}

/// All that are declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Farm(Vec<Node>);

impl Farm {
    pub fn new(nodes: Vec<Node>) -> Self {
        Self(nodes)
    }

    /// Those that may be the ones to answer for a name with these addresses.
    pub(super) fn behind(&self, addresses: &[IpAddr]) -> Vec<&Node> {
        let stands_before = |node: &&Node| {
            !addresses.is_empty()
                && (node.behind.is_empty()
                    || addresses
                        .iter()
                        .any(|address| node.behind.iter().any(|block| block.contains(*address))))
        };
        self.0.iter().filter(stands_before).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_at_the_nodes_behind_its_addresses() {
        let node = |address: &str, behind: &[&str]| Node {
            name: address.into(),
            address: address.parse().expect(address),
            behind: behind.iter().map(|block| block.parse().expect(block)).collect(),
        };
        let farm = Farm::new(vec![
            node("10.0.0.1:80", &["192.0.2.0/28"]),
            node("10.0.0.2:8080", &["192.0.2.200", "2001:db8::/32"]),
            node("10.0.0.3:80", &[]),
        ]);
        let behind = |addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect(text)).collect();
            farm.behind(&addresses).iter().map(|node| node.address.port()).collect::<Vec<_>>()
        };
        assert_eq!(behind(&["192.0.2.1"]), [80, 80]);
        assert_eq!(behind(&["198.51.100.1", "2001:db8::7"]), [8080, 80]);
        assert_eq!(behind(&["198.51.100.1"]), [80]);
        assert_eq!(behind(&[]), [0_u16; 0]);
    }
}
