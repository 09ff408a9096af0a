//! nginx and `HAProxy` from Debian, one process each for the whole corpus. Ended when they are dropped.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

const STARTS_WITHIN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Daemon {
    _process: Child,
    _folder: TempDir,
}

/// `servers` are whole `server` blocks. Beside them stand a page, and a certificate that nobody trusts.
pub(crate) async fn nginx(servers: &str, listens: &[SocketAddr]) -> anyhow::Result<Daemon> {
    let folder = TempDir::with_prefix("lockkeeper-corpus-")?;
    let here = folder.path().display();
    std::fs::create_dir(folder.path().join("site"))?;
    std::fs::write(folder.path().join("site/index.html"), "<h1>Welcome to our shop</h1>")?;
    std::fs::write(folder.path().join("passwords"), "admin:{PLAIN}admin\n")?;
    let certified = rcgen::generate_simple_self_signed([String::from("nobody.example.org")])?;
    std::fs::write(folder.path().join("cert.pem"), certified.cert.pem())?;
    std::fs::write(folder.path().join("key.pem"), certified.signing_key.serialize_pem())?;
    let config = format!(
        "daemon off;\nmaster_process off;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\nevents {{ }}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {here}/body;\nproxy_temp_path {here}/proxy;\n\
         fastcgi_temp_path {here}/fastcgi;\nuwsgi_temp_path {here}/uwsgi;\nscgi_temp_path {here}/scgi;\n\
         ssl_certificate {here}/cert.pem;\nssl_certificate_key {here}/key.pem;\n{}\n}}\n",
        servers.replace("{folder}", &here.to_string())
    );
    std::fs::write(folder.path().join("nginx.conf"), config)?;
    let mut command = Command::new("nginx");
    command.args(["-e", &format!("{here}/error.log"), "-c", &format!("{here}/nginx.conf")]);
    start(command, folder, listens).await.context("run .ci/setup nginx")
}

/// Each with its address and the web servers behind it, by turns.
pub(crate) async fn haproxy(farms: &[(SocketAddr, Vec<SocketAddr>)]) -> anyhow::Result<Daemon> {
    let folder = TempDir::with_prefix("lockkeeper-corpus-")?;
    let mut config = String::from(
        "global\n    maxconn 512\ndefaults\n    mode http\n    timeout connect 1s\n    timeout client 10s\n    \
         timeout server 10s\n    retries 0\n",
    );
    for (place, (address, nodes)) in farms.iter().enumerate() {
        write!(
            config,
            "frontend f{place}\n    bind {address}\n    default_backend b{place}\nbackend b{place}\n    \
             balance roundrobin\n    option http-server-close\n"
        )?;
        for (number, node) in nodes.iter().enumerate() {
            writeln!(config, "    server n{number} {node}")?;
        }
    }
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, config)?;
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f"]).arg(&file);
    let listens: Vec<_> = farms.iter().map(|(address, _)| *address).collect();
    start(command, folder, &listens).await.context("run .ci/setup haproxy")
}

async fn start(mut command: Command, folder: TempDir, listens: &[SocketAddr]) -> anyhow::Result<Daemon> {
    let log = folder.path().join("log");
    let file = std::fs::File::create(&log)?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
    let mut process = command.spawn().with_context(|| format!("{command:?}"))?;
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    let deadline = Instant::now() + STARTS_WITHIN;
    for address in listens {
        while TcpStream::connect(address).await.is_err() {
            ensure!(process.try_wait()?.is_none(), "it ended: {}", told());
            ensure!(Instant::now() < deadline, "it does not listen on {address}: {}", told());
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(Daemon { _process: process, _folder: folder })
}
