//! OpenSSL's program: how others read what the service and its agent write.

use std::net::SocketAddr;
use std::process::{Output, Stdio};

use anyhow::Context as _;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::process::Command;

/// What a server shows for a name: SHA-256 of the leaf, in hexadecimal. `None`: it shows nothing.
pub async fn shown(address: SocketAddr, name: &str) -> anyhow::Result<Option<String>> {
    let address = address.to_string();
    let seen = run(&["s_client", "-connect", &address, "-servername", name]).await?;
    let leaf = CertificateDer::from_pem_slice(&seen.stdout).ok();
    Ok(leaf.map(|der| crate::sha256(&der).iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// What `openssl` says with these arguments, and nothing to read.
pub async fn run(arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new("openssl");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.context("run .ci/setup openssl")
}
