//! Who asks: the peer, or whom a proxy of ours says that it asks for.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use super::cidr::Cidr;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// No chain of proxies is longer; what stands before is not read.
const HOPS_MAX: usize = 16;

/// The address that asked. `X-Forwarded-For` counts only where a trusted proxy has written it: read from its end, the
/// first address that is none of `trusted` is the one. An entry that is no address ends the search at the hop that
/// passed it on.
pub fn origin(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|block| block.contains(address));
    let mut last = peer.to_canonical();
    if !is_trusted(last) {
        return last;
    }
    let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
    let lines: Vec<&str> = lines.collect();
    let entries = lines.iter().rev().flat_map(|line| line.rsplit(','));
    for entry in entries.take(HOPS_MAX) {
        let Some(address) = parse(entry.trim()) else { break };
        last = address;
        if !is_trusted(address) {
            break;
        }
    }
    last
}

/// Some proxies write the port too.
fn parse(entry: &str) -> Option<IpAddr> {
    let address = entry.parse::<IpAddr>().or_else(|_| entry.parse::<SocketAddr>().map(|pair| pair.ip()));
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.ok().or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, lines: &[&'static str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().expect("a header"));
        }
        let trusted: Vec<Cidr> = trusted.iter().map(|block| block.parse().expect("a block")).collect();
        origin(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        assert_eq!(seen("192.0.2.1", &["203.0.113.9"], &[]), "192.0.2.1");
        assert_eq!(seen("192.0.2.1", &["203.0.113.9"], &["10.0.0.0/8"]), "192.0.2.1");
        assert_eq!(seen("::ffff:192.0.2.1", &[], &[]), "192.0.2.1");
    }

    #[test]
    fn the_chain_is_read_from_its_end_through_our_own_proxies() {
        let ours = ["10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(seen("10.0.0.1", &["203.0.113.9"], &ours), "203.0.113.9");
        assert_eq!(seen("::ffff:10.0.0.1", &["203.0.113.9"], &ours), "203.0.113.9");
        // What the client itself has written stands before what our proxy has seen.
        assert_eq!(seen("10.0.0.1", &["1.2.3.4, 203.0.113.9"], &ours), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["1.2.3.4, 203.0.113.9, 10.9.9.9"], &ours), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["1.2.3.4", "203.0.113.9", "2001:db8::7"], &ours), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["[2a00::9]:443"], &ours), "2a00::9");
        assert_eq!(seen("10.0.0.1", &["203.0.113.9:5000"], &ours), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["10.3.3.3, 10.4.4.4"], &ours), "10.3.3.3", "all of them ours");
    }

    #[test]
    fn nonsense_ends_the_search() {
        let ours = ["10.0.0.0/8"];
        for line in ["", "unknown", "203.0.113.9;", "_hidden", "203.0.113.9, unknown", "localhost"] {
            assert_eq!(seen("10.0.0.1", &[line], &ours), "10.0.0.1", "{line}");
        }
        assert_eq!(seen("10.0.0.1", &["203.0.113.9, x, 10.0.0.2"], &ours), "10.0.0.2");
    }
}
