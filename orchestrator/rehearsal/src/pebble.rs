//! Debian's Pebble as a CA that nobody here wrote: started on free loopback ports, with a TLS root of its own,
//! and stopped when dropped.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;

const BINARY: &str = "/usr/bin/pebble";
/// Far more than a start takes; a port that somebody took in between shows at once, as an exit.
const START_MAX: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Ports are found by binding and letting go, so another process may be faster.
const STARTS_MAX: u32 = 5;
const ROOTS_BYTES_MAX: usize = 64 * 1024;

/// Why Pebble is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PebbleError {
    #[error("{BINARY} does not start: install Debian's package pebble")]
    Missing(#[source] io::Error),
    #[error("Pebble's files cannot be written")]
    Files(#[source] io::Error),
    #[error("Pebble's own certificate cannot be made")]
    Tls(#[source] rcgen::Error),
    #[error("no ports are free for Pebble")]
    Ports(#[source] io::Error),
    #[error("Pebble ended with {status}: {log}")]
    Ended { status: ExitStatus, log: String },
    #[error("Pebble does not listen: {log}")]
    Deaf { log: String },
    #[error("Pebble's roots cannot be fetched: {what}")]
    Roots { what: String },
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
    /// A validation begins at a random instant of so many seconds; with 0 at once.
    pub validation_sleep_seconds: u8,
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
            validation_sleep_seconds: 0,
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
    pub fn start(options: &PebbleOptions) -> Result<Self, PebbleError> {
        for _ in 1..STARTS_MAX {
            match Self::try_start(options) {
                Err(PebbleError::Ended { .. }) => {}
                started => return started,
            }
        }
        Self::try_start(options)
    }

    fn try_start(options: &PebbleOptions) -> Result<Self, PebbleError> {
        let home = tempfile::tempdir().map_err(PebbleError::Files)?;
        let root_pem = write_tls(home.path())?;
        let (api, management) = free_ports().map_err(PebbleError::Ports)?;
        let settings = config(options, home.path(), api, management);
        fs::write(home.path().join("config.json"), settings).map_err(PebbleError::Files)?;
        let log = File::create(home.path().join("log")).map_err(PebbleError::Files)?;
        let second_log = log.try_clone().map_err(PebbleError::Files)?;
        let mut command = Command::new(BINARY);
        command.arg("-config").arg(home.path().join("config.json"));
        if let Some(dns) = options.dns {
            command.args(["-dnsserver", &dns.to_string()]);
        }
        let process = command
            .env_clear()
            // Pebble 2.4 locks up under concurrent orders when it runs on more than one thread.
            .env("GOMAXPROCS", "1")
            .env("PEBBLE_VA_NOSLEEP", if options.validation_sleep_seconds == 0 { "1" } else { "0" })
            .env("PEBBLE_VA_SLEEPTIME", options.validation_sleep_seconds.to_string())
            .env("PEBBLE_VA_ALWAYS_VALID", if options.always_valid { "1" } else { "0" })
            .env("PEBBLE_WFE_NONCEREJECT", options.nonce_reject_percent.to_string())
            .env("PEBBLE_AUTHZREUSE", options.authorization_reuse_percent.to_string())
            .env("PEBBLE_WFE_ORDERS_PER_PAGE", options.orders_per_page.to_string())
            .stdin(Stdio::null())
            .stdout(second_log)
            .stderr(log)
            .spawn()
            .map_err(PebbleError::Missing)?;
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

    /// Its process, for whoever measures it.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    fn wait_until_it_listens(&mut self, addresses: &[SocketAddr]) -> Result<(), PebbleError> {
        let start = Instant::now();
        while !addresses.iter().all(|address| TcpStream::connect(address).is_ok()) {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(PebbleError::Ended { status, log: self.log() });
            }
            if start.elapsed() > START_MAX {
                return Err(PebbleError::Deaf { log: self.log() });
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// The root of the certificates it issues, in PEM; a new one at every start.
    pub async fn issuer_roots(&self) -> Result<String, PebbleError> {
        let failed = |what: String| PebbleError::Roots { what };
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.root_pem.as_bytes())
            .map_err(|error| failed(format!("{error:?}")))?;
        roots.add(root).map_err(|error| failed(error.to_string()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
        let url = format!("{}/roots/0", self.management_url);
        let response = client
            .get(url.parse().map_err(|_| failed(format!("{url} is no address")))?)
            .await
            .map_err(|error| failed(error.to_string()))?;
        if !response.status().is_success() {
            return Err(failed(format!("the answer is {}", response.status())));
        }
        let body = Limited::new(response.into_body(), ROOTS_BYTES_MAX);
        let body = body.collect().await.map_err(|error| failed(error.to_string()))?.to_bytes();
        String::from_utf8(body.to_vec()).map_err(|error| failed(error.to_string()))
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
fn write_tls(home: &Path) -> Result<String, PebbleError> {
    let (root_pem, leaf_pem, key_pem) = tls().map_err(PebbleError::Tls)?;
    fs::write(home.join("tls.pem"), leaf_pem).map_err(PebbleError::Files)?;
    fs::write(home.join("tls.key"), key_pem).map_err(PebbleError::Files)?;
    Ok(root_pem)
}

fn tls() -> Result<(String, String, String), rcgen::Error> {
    let mut root = CertificateParams::new(Vec::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(DnType::CommonName, "Pebble's HTTPS root");
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let leaf =
        CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?.signed_by(&key, &root)?;
    Ok((root.pem(), leaf.pem(), key.serialize_pem()))
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
