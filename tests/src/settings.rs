//! A service's configuration file, as a test wants it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What tests vary. Everything else is the product's default, on loopback and on ports of its own choice.
#[derive(Debug, Clone)]
pub struct Settings {
    pub permits: u16,
    pub lease_seconds: u32,
    pub drain_seconds: u32,
    pub poll_interval_ms: u32,
    /// Between two looks of the reconcilers; the default where there is none.
    pub reconcile_seconds: Option<u32>,
    /// Between two looks for renewals; the default where there is none.
    pub renewal_seconds: Option<u32>,
    /// Between two looks for names that are to be looked at again. So long by default that a test hears of none that it did
    /// not ask for.
    pub evidence_seconds: u32,
    /// Web servers behind load balancers.
    pub nodes: Vec<FarmNode>,
    /// Addresses and blocks beside 127.0.1.0/24 that are the provider's own.
    pub hosting: &'static [&'static str],
    /// Where redirects to https lead; 443 where there is none.
    pub https_port: Option<u16>,
    /// For one probe of one address.
    pub probe_ms: u32,
    /// Of a thousand names that are not ready, so many are ordered all the same.
    pub sampled_per_thousand: u16,
    /// Maximum and recovery reserve; the CA profile's where there is none.
    pub pending: Option<(u32, u32)>,
    /// Of `api`, `worker` and `responder`.
    pub roles: &'static [&'static str],
    /// Sections that others do not have, as TOML.
    pub more: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            permits: 16,
            lease_seconds: 20,
            drain_seconds: 20,
            poll_interval_ms: 50,
            reconcile_seconds: None,
            renewal_seconds: None,
            evidence_seconds: 100_000,
            nodes: Vec::new(),
            hosting: &[],
            https_port: None,
            probe_ms: 1_500,
            sampled_per_thousand: 0,
            pending: None,
            roles: &["api", "worker", "responder"],
            more: String::new(),
        }
    }
}

/// A web server behind a load balancer.
#[derive(Debug, Clone)]
pub struct FarmNode {
    pub name: String,
    pub address: SocketAddr,
    /// The addresses of load balancers that it stands behind. Empty: all.
    pub behind: Vec<String>,
}

impl FarmNode {
    /// Behind all addresses.
    pub fn new(name: &str, address: SocketAddr) -> Self {
        Self { name: name.to_owned(), address, behind: Vec::new() }
    }
}

/// What a service is pointed at.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub database_url: String,
    /// A built-in CA profile by name, or the path of a file.
    pub profile: String,
    pub directory_url: String,
    /// The root of the CA's own HTTPS server, where it has one.
    pub extra_root: Option<PathBuf>,
    pub dns: SocketAddr,
    pub http_port: u16,
    /// Where the service's responder listens; the same after a restart.
    pub responder: SocketAddr,
}

impl Settings {
    /// Writes `lockkeeper.toml` into the service's folder; its data folder is `data` beside it, and the master key
    /// is shared by all services below one parent folder.
    pub fn write(&self, surroundings: &Surroundings, folder: &Path) -> anyhow::Result<PathBuf> {
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let mut text = format!("[database]\nurl = {:?}\nconnections = 12\n", surroundings.database_url);
        let master_key = folder.parent().unwrap_or(folder).join("master.key");
        write!(
            text,
            "[data]\nfolder = {}\nmaster_key = {}\n",
            quoted(&folder.join("data")),
            quoted(&master_key)
        )?;
        for section in ["api", "metrics"] {
            write!(text, "[{section}]\nlisten = \"127.0.0.1:0\"\n")?;
        }
        write!(text, "[responder]\nlisten = \"{}\"\n", surroundings.responder)?;
        write!(
            text,
            "[ca]\nname = \"test\"\nprofile = \"{}\"\ndirectory_url = \"{}\"\nagree_to_terms = true\n",
            surroundings.profile, surroundings.directory_url
        )?;
        if let Some(root) = &surroundings.extra_root {
            writeln!(text, "extra_root = {}", quoted(root))?;
        }
        let blocks = |first: &'static str| [&[first], self.hosting].concat();
        write!(
            text,
            "[resolver]\nservers = [\"{}\"]\nauthority_port = {}\n[addresses]\nallow = {:?}\nexpected = {:?}\n\
             [http01]\nport = {}\nhttps_port = {}\ntimeout_ms = {}\nsampled_per_thousand = {}\n",
            surroundings.dns,
            surroundings.dns.port(),
            blocks("127.0.0.0/8"),
            blocks("127.0.1.0/24"),
            surroundings.http_port,
            self.https_port.unwrap_or(443),
            self.probe_ms,
            self.sampled_per_thousand
        )?;
        for FarmNode { name, address, behind } in &self.nodes {
            write!(
                text,
                "[[http01.nodes]]\nname = {name:?}\naddress = \"{address}\"\nbehind = {behind:?}\n"
            )?;
        }
        write!(
            text,
            "[worker]\npermits = {}\nlease_seconds = {}\ndrain_seconds = {}\npoll_interval_ms = {}\nroles = {:?}\n",
            self.permits, self.lease_seconds, self.drain_seconds, self.poll_interval_ms, self.roles
        )?;
        text.push_str("[reconcile]\n");
        if let Some(seconds) = self.reconcile_seconds {
            writeln!(text, "interval_seconds = {seconds}")?;
        }
        if let Some(seconds) = self.renewal_seconds {
            writeln!(text, "renewal_interval_seconds = {seconds}")?;
        }
        writeln!(text, "evidence_interval_seconds = {}", self.evidence_seconds)?;
        if let Some((max, reserve)) = self.pending {
            write!(text, "[pending]\nmax = {max}\nrecovery_reserve = {reserve}\n")?;
        }
        text.push_str(&self.more);
        std::fs::create_dir_all(folder)?;
        let path = folder.join("lockkeeper.toml");
        std::fs::write(&path, text)?;
        Ok(path)
    }
}
