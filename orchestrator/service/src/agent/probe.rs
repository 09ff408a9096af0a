//! Looks at what is really served: a TLS handshake with the certificate's name, as a visitor makes it.

use std::net::SocketAddr;
use std::time::Duration;

use issuance::hexadecimal::hexadecimal;
use issuance::time::Clock;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use super::service::ProbeReport;
use crate::challenge::tls;
use crate::keys::bundle::Leaf;

/// A name under a wildcard, where the certificate has no other.
const UNDER_THE_WILDCARD: &str = "lockkeeper-probe";

/// Whom a visitor would ask for, of the certificate's names.
pub(super) fn server_name(names: &[String]) -> Option<String> {
    let plain = names.iter().find(|name| !name.starts_with("*."));
    plain.cloned().or_else(|| {
        let rest = names.first()?.strip_prefix("*.")?;
        Some(format!("{UNDER_THE_WILDCARD}.{rest}"))
    })
}

/// What `address` serves for `name`. Any certificate will do: it is told, not trusted.
pub(super) async fn look(
    address: SocketAddr,
    name: &str,
    within: Duration,
    clock: &dyn Clock,
) -> ProbeReport {
    let seen = tokio::time::timeout(within, handshake(address, name)).await;
    let seen = seen.unwrap_or_else(|_| Err(format!("no TLS handshake within {} s", within.as_secs())));
    let (leaf, fault) = match seen {
        Ok(leaf) => (Some(leaf), None),
        Err(fault) => (None, Some(fault)),
    };
    ProbeReport {
        address: address.to_string(),
        server_name: name.to_owned(),
        at: clock.now(),
        fingerprint_sha256: leaf.as_ref().map(|leaf| hexadecimal(&leaf.fingerprint)),
        not_after: leaf.map(|leaf| leaf.not_after),
        fault,
    }
}

async fn handshake(address: SocketAddr, name: &str) -> Result<Leaf, String> {
    let host = ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} is no server name"))?;
    let connector = tls::connector().map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let stream = connector.connect(host, stream).await.map_err(|error| error.to_string())?;
    let (_, session) = stream.get_ref();
    let served = session.peer_certificates().and_then(<[_]>::first).ok_or("no certificate was shown")?;
    Leaf::of(served).ok_or_else(|| "what was shown is no certificate".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_visitor_could_ask_for_is_asked_for() {
        let of =
            |names: &[&str]| server_name(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["*.a.com", "a.com"]).as_deref(), Some("a.com"));
        assert_eq!(of(&["*.a.com"]).as_deref(), Some("lockkeeper-probe.a.com"));
        assert_eq!(of(&[]), None);
    }
}
