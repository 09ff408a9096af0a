//! Who has the port at which challenges are answered.

use super::listeners::{self, Listener};
use super::{Diagnosis, Practice};

const PORT: &str = "challenge port";

pub(super) fn examine(practice: &Practice<'_>) -> Vec<Diagnosis> {
    let port = practice.config.http01.port.get();
    let owners = match listeners::of_port(port) {
        Ok(owners) => owners,
        Err(error) => {
            let found = format!("who listens on port {port} cannot be seen: {error}");
            return vec![Diagnosis::warn(PORT, found, "mount /proc, or look with `ss -ltnp`")];
        }
    };
    if owners.is_empty() {
        return vec![Diagnosis::warn(
            PORT,
            format!("nobody listens on port {port} of this machine"),
            "nothing, where the web servers are other machines; else start the web server, or set [responder] listen to it",
        )];
    }
    owners.iter().map(|owner| of(port, owner)).collect()
}

fn of(port: u16, owner: &Listener) -> Diagnosis {
    match &owner.process {
        Some((pid, name)) => {
            let found = format!("{} belongs to {name} (pid {pid})", owner.address);
            if name.starts_with("lockkeeper") {
                return Diagnosis::ok(PORT, found);
            }
            let mut told = Diagnosis::ok(PORT, found);
            told.fix = Some(format!(
                "see that {name} forwards /.well-known/acme-challenge/ to the responder for every name on port {port}"
            ));
            told
        }
        None => Diagnosis::warn(
            PORT,
            format!("{} belongs to a process of another user", owner.address),
            "run this as root to see whose",
        ),
    }
}
