//! Starts Debian's Pebble on free loopback ports, with a TLS root of its own, and stops it when dropped.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::Request;
use issuance::profile::CaProfile;
use lockkeeper::acme::transport::{HyperTransport, Transport};
use lockkeeper::acme::{Endpoint, Timeouts};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

const BINARY: &str = "/usr/bin/pebble";
/// Far more than a start takes; a port that somebody took in between shows at once, as an exit.
const START_MAX: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Ports are found by binding and letting go, so another process may be faster.
const STARTS_MAX: u32 = 5;

/// Pebble as a CA: what `deploy/` says of it.
pub fn profile() -> CaProfile {
    toml::from_str(include_str!("../../deploy/ca-profiles/pebble.toml"))
        .expect("a profile that is shipped parses")
}

/// How a Pebble behaves.
#[derive(Debug, Clone)]
pub struct PebbleOptions {
    /// Where http-01 is validated.
    pub http_port: u16,
    /// Where tls-alpn-01 is validated.
    pub tls_port: u16,
    /// The resolver that validations ask; the system's where there is none.
    pub dns: Option<SocketAddr>,
    /// Every validation succeeds without a look.
    pub always_valid: bool,
    /// Good nonces refused as `badNonce`, in percent.
    pub nonce_reject_percent: u8,
    /// Valid authorizations reused by new orders, in percent.
    pub authorization_reuse_percent: u8,
    pub orders_per_page: u8,
    /// Key id and MAC key (base64url); newAccount then needs a binding.
    pub external_account: Option<(String, String)>,
}

impl Default for PebbleOptions {
    fn default() -> Self {
        Self {
            http_port: 5002,
            tls_port: 5001,
            dns: None,
            always_valid: true,
            nonce_reject_percent: 5,
            authorization_reuse_percent: 0,
            orders_per_page: 3,
            external_account: None,
        }
    }
}

/// A running Pebble.
#[derive(Debug)]
pub struct Pebble {
    pub directory_url: String,
    /// The root of Pebble's own HTTPS server, not of what it issues.
    pub root_pem: String,
    management_url: String,
    process: Child,
    home: TempDir,
}

impl Pebble {
    /// Returns when the API accepts connections.
    pub fn start(options: &PebbleOptions) -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..STARTS_MAX {
            match Self::try_start(options) {
                Ok(pebble) => return Ok(pebble),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no start was tried")?)
    }

    fn try_start(options: &PebbleOptions) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let root_pem = write_tls(home.path())?;
        let (api, management) = free_ports()?;
        fs::write(home.path().join("config.json"), config(options, home.path(), api, management))?;
        let log = File::create(home.path().join("log"))?;
        let mut command = Command::new(BINARY);
        command.arg("-config").arg(home.path().join("config.json"));
        if let Some(dns) = options.dns {
            command.args(["-dnsserver", &dns.to_string()]);
        }
        let process = command
            .env_clear()
            // Pebble 2.4 locks up under concurrent orders when it runs on more than one thread.
            .env("GOMAXPROCS", "1")
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_VA_ALWAYS_VALID", if options.always_valid { "1" } else { "0" })
            .env("PEBBLE_WFE_NONCEREJECT", options.nonce_reject_percent.to_string())
            .env("PEBBLE_AUTHZREUSE", options.authorization_reuse_percent.to_string())
            .env("PEBBLE_WFE_ORDERS_PER_PAGE", options.orders_per_page.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{BINARY} does not start"))?;
        let mut pebble = Self {
            directory_url: format!("https://{api}/dir"),
            root_pem,
            management_url: format!("https://{management}"),
            process,
            home,
        };
        pebble.wait_until_it_listens(&[api, management])?;
        Ok(pebble)
    }

    fn wait_until_it_listens(&mut self, addresses: &[SocketAddr]) -> anyhow::Result<()> {
        let start = Instant::now();
        while !addresses.iter().all(|address| TcpStream::connect(address).is_ok()) {
            if let Some(status) = self.process.try_wait()? {
                bail!("Pebble ended with {status}: {}", self.log());
            }
            ensure!(start.elapsed() < START_MAX, "Pebble does not listen: {}", self.log());
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// The roots of the certificates it issues, in PEM; new ones at every start.
    pub async fn issuer_roots(&self) -> anyhow::Result<String> {
        let transport = HyperTransport::new(Some(&self.root_pem), Timeouts::default().connect)?;
        let request = Request::get(format!("{}/roots/0", self.management_url)).body(Bytes::new())?;
        let response = transport.exchange(Endpoint::Directory, request).await?;
        ensure!(response.status().is_success(), "Pebble's management answered {}", response.status());
        Ok(String::from_utf8(response.into_body().to_vec())?)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_ports() -> io::Result<(SocketAddr, SocketAddr)> {
    let (first, second) =
        (TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    Ok((first.local_addr()?, second.local_addr()?))
}

/// A root, and a certificate of its own for 127.0.0.1; returns the root.
fn write_tls(home: &Path) -> anyhow::Result<String> {
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "Pebble's HTTPS root");
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf =
        CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?.signed_by(&key, &root)?;
    fs::write(home.join("tls.pem"), leaf.pem())?;
    fs::write(home.join("tls.key"), key.serialize_pem())?;
    Ok(root.pem())
}

fn config(options: &PebbleOptions, home: &Path, api: SocketAddr, management: SocketAddr) -> String {
    let keys = options.external_account.iter().map(|(id, key)| (id.clone(), key.clone().into()));
    serde_json::json!({
        "pebble": {
            "listenAddress": api,
            "managementListenAddress": management,
            "certificate": home.join("tls.pem"),
            "privateKey": home.join("tls.key"),
            "httpPort": options.http_port,
            "tlsPort": options.tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": options.external_account.is_some(),
            "externalAccountMACKeys": keys.collect::<serde_json::Map<_, _>>(),
        }
    })
    .to_string()
}
