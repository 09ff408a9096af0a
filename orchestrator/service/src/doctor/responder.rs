//! The responder and the provider's own web servers: asked as a CA would ask, with a probe that only this installation
//! can answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

use crate::challenge::probe::{self, Expected, ProbeSecret};
use crate::config::Role;
use crate::keys::MasterKey;

use super::{Diagnosis, Practice, chain};

const RESPONDER: &str = "responder";
const NODE: &str = "node";
const PREFLIGHT: &str = "preflight";
/// The responder goes by the token, whatever the name.
const ANY_NAME: &str = "doctor.lockkeeper.invalid";

/// What a running service has left in its data folder.
#[derive(Debug, Deserialize)]
struct Endpoints {
    responder: Option<SocketAddr>,
}

pub(super) async fn examine(practice: &Practice<'_>) -> Vec<Diagnosis> {
    let config = practice.config;
    let mut diagnoses = Vec::new();
    if !config.http01.preflight {
        let fix = "set [http01] preflight = true, unless another service proves names before they come here";
        diagnoses.push(Diagnosis::warn(PREFLIGHT, "names are not checked before they are ordered", fix));
    } else if config.addresses.expected.is_empty() {
        let fix =
            "list your web servers in [addresses] expected: a name that leads elsewhere is then told as such";
        diagnoses.push(Diagnosis::warn(PREFLIGHT, "it is not known which addresses are yours", fix));
    } else {
        diagnoses.push(Diagnosis::ok(PREFLIGHT, "names are checked before they are ordered"));
    }
    let plays = config.worker.roles.contains(Role::Responder);
    if !plays && config.http01.nodes.is_empty() {
        return diagnoses;
    }
    let Some(fetcher) = practice.fetcher() else { return diagnoses };
    let secret = match MasterKey::load(&config.data.master_key_path()) {
        Ok(master) => ProbeSecret::new(*master.derive("http-01 probes")),
        Err(error) => {
            let fix = "run this as the user of the service";
            diagnoses.push(Diagnosis::warn(RESPONDER, format!("not asked: {}", chain(&error)), fix));
            return diagnoses;
        }
    };
    let ask = async |address: SocketAddr| {
        let token = probe::draw_token();
        let path = format!("/.well-known/acme-challenge/{token}");
        fetcher.check_node(ANY_NAME, address, &path, &Expected::of(secret.answer(&token))).await
    };
    if plays {
        let address = reachable(listening(practice).unwrap_or(config.responder.listen));
        diagnoses.push(match ask(address).await {
            Ok(()) => Diagnosis::ok(RESPONDER, format!("{address} answers a probe")),
            Err(fault) => Diagnosis::fail(
                RESPONDER,
                format!("{address}: {fault}"),
                "start the service with the role responder, and see that nobody else has [responder] listen",
            ),
        });
    }
    for node in &config.http01.nodes {
        let name = node.name.clone().unwrap_or_else(|| node.address.to_string());
        diagnoses.push(match ask(node.address).await {
            Ok(()) => Diagnosis::ok(NODE, format!("{name} answers a probe")),
            Err(fault) => Diagnosis::fail(
                NODE,
                format!("{name}: {fault}"),
                "have this node forward /.well-known/acme-challenge/ to the responder",
            ),
        });
    }
    diagnoses
}

/// Where the running service listens, which may have chosen its port itself.
fn listening(practice: &Practice<'_>) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(practice.config.data.folder.join("endpoints.json")).ok()?;
    serde_json::from_str::<Endpoints>(&text).ok()?.responder
}

/// What listens everywhere listens on loopback too.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
