use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::api_client::fetch_plain;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use crate::config::Config;

/// What `/readyz` of the metrics port says of a service that takes work.
const READY: &str = "ready";

/// Asks the service that this configuration starts, on this machine, whether it is ready: for container images, which have
/// nothing else to ask with. Not ready is a failure; nobody there at all is `Unreachable`.
pub(super) async fn run(config: &Config, output: Output) -> Result<Exit, CliError> {
    let url = format!("http://{}/readyz", near(config.metrics.listen));
    let said = fetch_plain(&url).await?;
    let said = said.trim();
    output.text(said)?;
    Ok(if said == READY { Exit::Done } else { Exit::Failure })
}

/// Who listens at every address is asked at loopback.
fn near(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_listens_everywhere_is_asked_at_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:8401", "127.0.0.1:8401"),
            ("[::]:8401", "[::1]:8401"),
            ("192.0.2.1:9000", "192.0.2.1:9000"),
        ] {
            assert_eq!(near(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
