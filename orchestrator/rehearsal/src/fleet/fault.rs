//! The ways a site can be broken.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One way a name is broken, and what a CA that validates HTTP-01 sees of it.
///
/// A DNS fault breaks DNS-01 too: it also covers the names below with a leading underscore, such as
/// `_acme-challenge.<name>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The name does not exist: `dns` problem, NXDOMAIN.
    Nxdomain,
    /// The zone is broken: `dns` problem, SERVFAIL.
    Servfail,
    /// The name exists without an address: `dns` problem, no valid A or AAAA records.
    NoAddress,
    /// The address belongs to somebody else, who parks every name: `unauthorized` problem, 200 with the
    /// wrong content.
    WrongAddress,
    /// Nothing listens at the address: `connection` problem, refused.
    Refused,
    /// The server accepts the connection, takes the request and never answers: `connection` problem,
    /// timeout after connect.
    Timeout,
    /// 404 for the challenge path: `unauthorized` problem, invalid response 404.
    NotFound,
    /// 200 with other content, as from a site that answers every path with its front page: `unauthorized`
    /// problem, the key authorization does not match.
    WrongBody,
    /// Every path redirects to itself: `connection` problem, redirect loop.
    RedirectLoop,
    /// The headers come at once, then one byte each second for a minute: `connection` problem, timeout
    /// while reading the body.
    Slow,
    /// A firewall drops the packets: `connection` problem, timeout during connect.
    ConnectTimeout,
    /// No DNS answer at all: `dns` problem, the query timed out.
    DnsTimeout,
    /// An AAAA record to `[::1]`, where nothing listens, beside a healthy A record: a `connection` problem
    /// for a CA that does not fall back to IPv4. Means something only where
    /// [`Fleet::has_ipv6`](super::Fleet::has_ipv6) holds.
    DeadIpv6,
    /// Every path answers 500: `unauthorized` problem, invalid response 500.
    ServerError,
    /// The challenge path redirects to another, healthy name of the fleet: validates, if the responder goes
    /// by the token and not by the Host.
    RedirectElsewhere,
    /// Tokens that begin with [`PROBE_TOKEN_PREFIX`] are answered, all others get 404: passes a check
    /// before the order and then fails at the CA as [`Fault::NotFound`] does.
    WrongForCa,
    /// Healthy for this many HTTP requests, counted from when the fault was set, then as
    /// [`Fault::NotFound`].
    BreaksAfter(u32),
}

/// How the token of a probe that is not a CA's begins.
pub const PROBE_TOKEN_PREFIX: &str = "lockkeeper-probe-";

impl Fault {
    /// The ten that the demo spreads over its broken sites.
    pub const DEMO: [Self; 10] = [
        Self::Nxdomain,
        Self::Servfail,
        Self::NoAddress,
        Self::WrongAddress,
        Self::Refused,
        Self::Timeout,
        Self::NotFound,
        Self::WrongBody,
        Self::RedirectLoop,
        Self::Slow,
    ];

    /// Each fault once; the one with a count breaks after the first request.
    pub const ALL: [Self; 17] = [
        Self::Nxdomain,
        Self::Servfail,
        Self::NoAddress,
        Self::WrongAddress,
        Self::Refused,
        Self::Timeout,
        Self::NotFound,
        Self::WrongBody,
        Self::RedirectLoop,
        Self::Slow,
        Self::ConnectTimeout,
        Self::DnsTimeout,
        Self::DeadIpv6,
        Self::ServerError,
        Self::RedirectElsewhere,
        Self::WrongForCa,
        Self::BreaksAfter(1),
    ];

    /// The word that summaries and files use; the count of [`Fault::BreaksAfter`] is not part of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nxdomain => "nxdomain",
            Self::Servfail => "servfail",
            Self::NoAddress => "no_address",
            Self::WrongAddress => "wrong_address",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::NotFound => "not_found",
            Self::WrongBody => "wrong_body",
            Self::RedirectLoop => "redirect_loop",
            Self::Slow => "slow",
            Self::ConnectTimeout => "connect_timeout",
            Self::DnsTimeout => "dns_timeout",
            Self::DeadIpv6 => "dead_ipv6",
            Self::ServerError => "server_error",
            Self::RedirectElsewhere => "redirect_elsewhere",
            Self::WrongForCa => "wrong_for_ca",
            Self::BreaksAfter(_) => "breaks_after",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_written_as_its_word() {
        for fault in Fault::ALL {
            let written = serde_json::to_value(fault).unwrap();
            let expected = match fault {
                Fault::BreaksAfter(count) => serde_json::json!({ "breaks_after": count }),
                _ => serde_json::json!(fault.as_str()),
            };
            assert_eq!(written, expected);
            assert_eq!(serde_json::from_value::<Fault>(written).unwrap(), fault);
        }
    }

    #[test]
    fn no_two_faults_share_a_word() {
        let words: std::collections::HashSet<_> = Fault::ALL.iter().map(|fault| fault.as_str()).collect();
        assert_eq!(words.len(), Fault::ALL.len());
        assert!(Fault::DEMO.iter().all(|fault| Fault::ALL.contains(fault)));
    }
}
