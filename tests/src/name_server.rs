//! Real name servers from Debian, each a process of its own in a folder of its own, on loopback.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

const STARTS_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The key that all of them know: 32 bytes that are nobody's secret.
pub const KEY_NAME: &str = "lockkeeper";
pub const KEY: &str = "bG9ja2tlZXBlciB0ZXN0IGtleSBvZiAzMiBieXRlcyE=";

/// One zone of a server. Its name server is `ns1` in the zone, at the server's own address.
#[derive(Debug, Clone, Default)]
pub struct ZoneText {
    pub name: String,
    /// More lines of the zone file.
    pub records: String,
    /// Addresses of further name servers, which hold the zone as well as they do.
    pub more_servers: Vec<Ipv4Addr>,
}

impl ZoneText {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    fn file(&self, address: Ipv4Addr) -> String {
        let mut text = String::from("$TTL 1\n@ SOA ns1 hostmaster 1 3600 600 86400 1\n@ NS ns1\n");
        let _ = writeln!(text, "ns1 A {address}");
        for (place, more) in self.more_servers.iter().enumerate() {
            let _ = write!(text, "@ NS ns{0}\nns{0} A {more}\n", place + 2);
        }
        text.push_str(&self.records);
        text
    }
}

/// BIND 9: primary of its zones, which the key may change, and of the root, so that it answers whatever it is asked.
#[derive(Debug)]
pub struct Bind {
    pub address: SocketAddr,
    folder: TempDir,
    child: Child,
}

impl Bind {
    /// `elsewhere`: zones of others, and where they are asked.
    pub async fn start(
        address: SocketAddr,
        zones: &[ZoneText],
        elsewhere: &[(&str, SocketAddr)],
    ) -> anyhow::Result<Self> {
        let IpAddr::V4(own) = address.ip() else { bail!("an IPv4 address") };
        let folder = tempfile::tempdir()?;
        let at = folder.path().display();
        let port = address.port();
        let mut conf = format!(
            "options {{ directory \"{at}\"; pid-file \"{at}/pid\"; session-keyfile \"{at}/session.key\";
               listen-on port {port} {{ {own}; }}; listen-on-v6 {{ none; }}; recursion yes; allow-query {{ any; }};
               allow-recursion {{ any; }}; dnssec-validation no; notify no; minimal-responses no; }};
             controls {{ }};
             key \"{KEY_NAME}\" {{ algorithm hmac-sha256; secret \"{KEY}\"; }};\n"
        );
        let mut root = String::from("$TTL 1\n. SOA ns. hostmaster. 1 3600 600 86400 1\n. NS ns.\n");
        let _ = writeln!(root, "ns. A {own}");
        for zone in zones {
            let name = &zone.name;
            let _ = writeln!(
                conf,
                "zone \"{name}\" {{ type primary; file \"{name}.zone\"; allow-update {{ key {KEY_NAME}; }}; }};"
            );
            // Its top-level domain exists, or no CA would issue.
            let _ = writeln!(root, "{name}. NS ns.");
            std::fs::write(folder.path().join(format!("{name}.zone")), zone.file(own))?;
        }
        for (name, server) in elsewhere {
            let _ = writeln!(
                conf,
                "zone \"{name}\" {{ type forward; forward only; forwarders {{ {} port {}; }}; }};",
                server.ip(),
                server.port()
            );
            let _ = write!(root, "{name}. NS ns1.{name}.\nns1.{name}. A {}\n", server.ip());
        }
        conf.push_str("zone \".\" { type primary; file \"root.zone\"; };\n");
        std::fs::write(folder.path().join("root.zone"), root)?;
        std::fs::write(folder.path().join("named.conf"), conf)?;
        let child = spawn("/usr/sbin/named", &["-g", "-4", "-n", "1", "-c", "named.conf"], folder.path())?;
        let mut bind = Self { address, folder, child };
        bind.answers().await?;
        Ok(bind)
    }

    async fn answers(&mut self) -> anyhow::Result<()> {
        wait_for(self.address, &mut self.child, self.folder.path()).await
    }

    /// The TXT records that stand at a name, in order.
    pub async fn texts(&self, name: &str) -> anyhow::Result<Vec<String>> {
        texts(self.address, name).await
    }

    /// Waits until so many TXT records stand at a name.
    pub async fn shows(&self, name: &str, count: usize, within: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let texts = self.texts(name).await?;
            if texts.len() == count {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "not within {within:?}: {count} records at {name}, but {texts:?}"
            );
            sleep(LOOK_EVERY).await;
        }
    }

    /// Changes a zone as an operator would, with the key: lines of `nsupdate`.
    pub async fn update(&self, lines: &str) -> anyhow::Result<()> {
        let script = self.folder.path().join("update");
        let (ip, port) = (self.address.ip(), self.address.port());
        std::fs::write(&script, format!("server {ip} {port}\n{lines}\nsend\n"))?;
        let key = format!("hmac-sha256:{KEY_NAME}:{KEY}");
        let output = Command::new("nsupdate").args(["-y", &key]).arg(&script).output().await?;
        ensure!(output.status.success(), "nsupdate: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// `PowerDNS` with its HTTP API, and one zone.
#[derive(Debug)]
pub struct PowerDns {
    pub address: SocketAddr,
    pub api: SocketAddr,
    folder: TempDir,
    child: Child,
}

/// The key of the API.
pub const POWER_DNS_KEY: &str = "an-api-key-of-tests";

impl PowerDns {
    pub async fn start(zone: &str) -> anyhow::Result<Self> {
        Self::start_at(free_address(Ipv4Addr::LOCALHOST)?, zone).await
    }

    /// At any address of loopback; BIND takes no other than 127.0.0.1.
    pub async fn start_at(address: SocketAddr, zone: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = folder.path();
        let api = free_address(Ipv4Addr::LOCALHOST)?;
        let conf = format!(
            "launch=lmdb\nlmdb-filename={0}/zones.lmdb\nsocket-dir={0}\nlocal-address={1}\nlocal-port={2}\napi=yes\n\
             api-key={POWER_DNS_KEY}\nwebserver=yes\nwebserver-address={3}\nwebserver-port={4}\n\
             webserver-allow-from=127.0.0.0/8\nguardian=no\ndaemon=no\nsecurity-poll-suffix=\n",
            at.display(),
            address.ip(),
            address.port(),
            api.ip(),
            api.port()
        );
        std::fs::write(at.join("pdns.conf"), conf)?;
        let config_dir = format!("--config-dir={}", at.display());
        let made =
            Command::new("pdnsutil").args([&config_dir, "create-zone", zone, "ns1.example.net"]).output();
        let made = made.await.context("pdnsutil")?;
        ensure!(made.status.success(), "pdnsutil: {}", String::from_utf8_lossy(&made.stderr));
        let child = spawn("/usr/sbin/pdns_server", &[&config_dir], at)?;
        let mut server = Self { address, api, folder, child };
        wait_for(address, &mut server.child, server.folder.path()).await?;
        listens(api, &mut server.child, server.folder.path()).await?;
        Ok(server)
    }

    pub async fn texts(&self, name: &str) -> anyhow::Result<Vec<String>> {
        texts(self.address, name).await
    }

    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// A port that is free for UDP and TCP at this address.
pub fn free_address(ip: Ipv4Addr) -> anyhow::Result<SocketAddr> {
    for _ in 0..50 {
        let tcp = TcpListener::bind((ip, 0))?;
        let address = tcp.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free for both at {ip}")
}

/// What `dig` makes of a question to one server.
pub async fn dig(server: SocketAddr, arguments: &[&str]) -> anyhow::Result<String> {
    let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
    let output =
        Command::new("dig").args([&at, "-p", &port, "+time=2", "+tries=2"]).args(arguments).output().await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn texts(server: SocketAddr, name: &str) -> anyhow::Result<Vec<String>> {
    let told = dig(server, &["+short", "+norecurse", "TXT", name]).await?;
    let mut texts: Vec<String> = told.lines().map(|line| line.replace('"', "")).collect();
    texts.sort_unstable();
    Ok(texts)
}

/// It ends with its handle, however the test ends.
fn spawn(program: &str, arguments: &[&str], folder: &Path) -> anyhow::Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| {
            format!("{program}: run .ci/setup bind9 bind9-dnsutils pdns-server pdns-backend-lmdb")
        })
}

async fn wait_for(address: SocketAddr, child: &mut Child, folder: &Path) -> anyhow::Result<()> {
    listens(address, child, folder).await?;
    let deadline = Instant::now() + STARTS_WITHIN;
    while !dig(address, &["SOA", "."]).await?.contains("status:") {
        ensure!(Instant::now() < deadline, "it does not answer: {}", log(folder));
    }
    Ok(())
}

async fn listens(address: SocketAddr, child: &mut Child, folder: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + STARTS_WITHIN;
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("it ended with {status}: {}", log(folder));
        }
        ensure!(Instant::now() < deadline, "it does not listen: {}", log(folder));
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}
