//! BIND as others run it: an authoritative server with signed zones, and a resolver in front of it that validates.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A zone of the authoritative server.
#[derive(Debug, Clone, Copy)]
pub struct SignedZone {
    pub name: &'static str,
    /// Records beside SOA and NS, as in a zone file.
    pub records: &'static str,
    pub signatures: Signatures,
}

#[derive(Debug, Clone, Copy)]
pub enum Signatures {
    Absent,
    Good,
    /// They ended months ago.
    Expired,
    /// They begin in years.
    Future,
    /// The zone above has the DS record of a key that the zone does not use.
    OtherKey,
    /// The zone above has a DS record, and the zone is not signed any more.
    Stripped,
    /// Good, and the zone above has no DS record.
    Unanchored,
    /// Good, and then a line was changed by hand: each line goes through this.
    Edited(fn(&str) -> String),
}

/// Both servers. Dropped, they are killed.
#[derive(Debug)]
pub struct Named {
    pub authority: SocketAddr,
    pub resolver: SocketAddr,
    _processes: [Child; 2],
    _folder: TempDir,
}

impl Named {
    pub async fn start(zones: impl IntoIterator<Item = &SignedZone>) -> Self {
        let folder = TempDir::new().expect("a folder");
        let (authority, resolver) = (free_port(), free_port());
        let mut config = String::new();
        let mut anchors = String::new();
        write_zone(folder.path(), "root", &soa(".", "ns.test.", "ns.test. A 127.0.0.1\n"));
        write_zone(folder.path(), "com", &soa("com.", "ns.test.", ""));
        config.push_str(
            "zone \".\" { type primary; file \"root\"; };\nzone \"com\" { type primary; file \"com\"; };\n",
        );
        for zone in zones {
            let name = zone.name;
            let records = format!("ns1.{name}. A 127.0.0.1\n{}", zone.records);
            write_zone(folder.path(), name, &soa(&format!("{name}."), &format!("ns1.{name}."), &records));
            let at = folder.path();
            let file = match zone.signatures {
                Signatures::Absent => name.to_owned(),
                signatures => {
                    let (file, anchor) = sign_as(at, name, signatures).await;
                    anchors.extend(anchor.map(|key| trusted(name, &key)));
                    file
                }
            };
            writeln!(config, "zone \"{name}\" {{ type primary; file \"{file}\"; }};").expect("a string");
        }
        let options = options(folder.path(), authority, "recursion no; dnssec-validation no;");
        let of_authority = start(folder.path(), "authority.conf", &format!("{options}{config}")).await;
        let forwards = format!(
            "recursion yes; allow-recursion {{ any; }}; dnssec-validation yes; max-cache-ttl 0; max-ncache-ttl 0; \
             forward only; forwarders {{ 127.0.0.1 port {}; }}; qname-minimization off;",
            authority.port()
        );
        let options = self::options(folder.path(), resolver, &forwards);
        let of_resolver =
            start(folder.path(), "resolver.conf", &format!("{options}trust-anchors {{ {anchors} }};\n"))
                .await;
        Self { authority, resolver, _processes: [of_authority, of_resolver], _folder: folder }
    }
}

fn options(folder: &Path, at: SocketAddr, more: &str) -> String {
    let (folder, port) = (folder.display(), at.port());
    format!(
        "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
         pid-file none; session-keyfile none; allow-query {{ any; }}; allow-transfer {{ none; }}; notify no; \
         minimal-responses no; managed-keys-directory \"{folder}\"; {more} }};\n\
         controls {{ }};\n"
    )
}

/// Runs until it says that it does.
async fn start(folder: &Path, config: &str, text: &str) -> Child {
    std::fs::write(folder.join(config), text).expect("written");
    let mut process = Command::new("/usr/sbin/named")
        .args(["-g", "-n", "1", "-c"])
        .arg(folder.join(config))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("named runs: .ci/setup bind9");
    let mut lines = BufReader::new(process.stderr.take().expect("its log")).lines();
    let mut told = String::new();
    let running = async {
        while let Some(line) = lines.next_line().await.expect("its log") {
            let is_running = line.ends_with(" running");
            told.push_str(&line);
            told.push('\n');
            if is_running {
                return true;
            }
        }
        false
    };
    let is_running = timeout(PATIENCE, running).await;
    assert_eq!(is_running, Ok(true), "{config}:\n{told}");
    // Its log must be read on: who writes into a full pipe stands still.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    process
}

fn soa(zone: &str, server: &str, records: &str) -> String {
    // A line that begins with a space is about the owner of the one before.
    let records: Vec<&str> = records.lines().map(str::trim).collect();
    let records = records.join("\n");
    format!(
        "$ORIGIN {zone}\n$TTL 0\n{zone} SOA {server} hostmaster.test. 1 3600 600 86400 0\n{zone} NS {server}\n{records}\n"
    )
}

fn write_zone(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("written");
}

/// The file of the zone, and the DNSKEY record that the zone above vouches for.
async fn sign_as(at: &Path, zone: &str, signatures: Signatures) -> (String, Option<String>) {
    let own = make_key(at, zone).await;
    let vouched = match signatures {
        Signatures::Unanchored => None,
        Signatures::OtherKey => {
            let elsewhere = at.join(format!("{zone}.other"));
            std::fs::create_dir(&elsewhere).expect("a folder");
            Some(make_key(&elsewhere, zone).await)
        }
        _ => Some(own),
    };
    let (from, until) = match signatures {
        Signatures::Expired => ("20260101000000", "20260201000000"),
        Signatures::Future => ("20400101000000", "20410101000000"),
        _ => ("now-3600", "now+864000"),
    };
    let file = match signatures {
        Signatures::Stripped => zone.to_owned(),
        _ => sign(at, zone, from, until).await,
    };
    if let Signatures::Edited(edit) = signatures {
        let text = std::fs::read_to_string(at.join(&file)).expect("the zone");
        let lines: Vec<String> = text.lines().map(edit).collect();
        std::fs::write(at.join(&file), lines.join("\n") + "\n").expect("written");
    }
    (file, vouched)
}

/// Makes a key for a zone, and returns its DNSKEY record.
async fn make_key(folder: &Path, zone: &str) -> String {
    let made = Command::new("dnssec-keygen")
        .current_dir(folder)
        .args(["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", zone])
        .output()
        .await
        .expect("dnssec-keygen");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = String::from_utf8(made.stdout).expect("a name");
    let public = std::fs::read_to_string(folder.join(format!("{}.key", key.trim()))).expect("the key");
    public.lines().find(|line| line.contains("DNSKEY")).expect("a DNSKEY record").to_owned()
}

/// The line by which the resolver trusts a key, as it would by a DS record in the zone above.
fn trusted(zone: &str, record: &str) -> String {
    let data: Vec<&str> = record.split_once("DNSKEY ").expect("a DNSKEY record").1.split(' ').collect();
    format!("\"{zone}.\" static-key {} {} {} \"{}\";\n", data[0], data[1], data[2], data[3..].concat())
}

/// Signs a zone with the keys in the folder, one record a line. Returns the file.
async fn sign(folder: &Path, zone: &str, from: &str, until: &str) -> String {
    let signed = Command::new("dnssec-signzone")
        .current_dir(folder)
        .args(["-S", "-P", "-z", "-O", "full", "-s", from, "-e", until, "-o", zone, zone])
        .output()
        .await
        .expect("dnssec-signzone");
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    format!("{zone}.signed")
}

/// A port that is free for both.
fn free_port() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = tcp.local_addr().expect("an address");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}
