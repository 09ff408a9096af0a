//! The web servers of Debian, as the processes of a test: in a folder of their own, on one loopback address, told what
//! a hosting provider tells them and what `lockkeeper http01 snippet` says.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lockkeeper::cli::http01::snippet::{Snippet, WebServer};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

const STARTED_WITHIN: Duration = Duration::from_secs(30);
const STOPPED_WITHIN: Duration = Duration::from_secs(30);
/// After a failure.
const ENDED_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);
const APACHE_MODULES: &str = "/usr/lib/apache2/modules";
/// What the site says of itself, at `/`.
pub const SITE_BODY: &str = "the site itself";
/// Where the site sends everything but `/`, as most do.
pub const SITE_REDIRECT: &str = "https://";

/// A running web server, which ends when it is dropped, with one site for every name. `/` is a page; everything else is redirected to HTTPS; and
/// paths with a dot in front are forbidden where that is usual.
#[derive(Debug)]
pub struct RunningWebServer {
    child: Child,
    folder: TempDir,
    pub address: SocketAddr,
}

impl RunningWebServer {
    /// Returns when it accepts connections.
    pub async fn start(server: WebServer, snippet: &Snippet, address: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lockkeeper-web-").tempdir()?;
        // Some of them have workers without rights.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let mut command = prepare(server, snippet, address, folder.path())?;
        let log = File::create(folder.path().join("out"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("{command:?}: run .ci/setup"))?;
        let mut running = Self { child, folder, address };
        let deadline = Instant::now() + STARTED_WITHIN;
        while TcpStream::connect(address).await.is_err() {
            ensure!(running.child.try_wait()?.is_none(), "it ended: {}", running.log());
            if Instant::now() > deadline {
                bail!("it does not listen: {}", running.log());
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(running)
    }

    /// What it has said.
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("{}{}", read("out"), read("error.log"))
    }

    /// Asks it to end, and waits until it has, with its workers.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.terminate()?;
        timeout(STOPPED_WITHIN, self.child.wait()).await.context("it does not stop")??;
        Ok(())
    }

    fn terminate(&self) -> std::io::Result<()> {
        // Nothing, once it was waited for.
        let Some(pid) = self.child.id() else { return Ok(()) };
        std::process::Command::new("kill").arg(pid.to_string()).status().map(drop)
    }
}

impl Drop for RunningWebServer {
    /// In a test that fails: killed, it would leave its workers behind.
    fn drop(&mut self) {
        drop(self.terminate());
        let deadline = std::time::Instant::now() + ENDED_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && std::time::Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn part(snippet: &Snippet, place: usize) -> String {
    snippet.parts.get(place).map_or_else(String::new, |part| part.text.clone())
}

/// Writes its configuration, and says how it is started in the foreground.
fn prepare(
    server: WebServer,
    snippet: &Snippet,
    address: SocketAddr,
    folder: &Path,
) -> anyhow::Result<Command> {
    let here = folder.display();
    let last = part(snippet, snippet.parts.len().saturating_sub(1));
    let write = |name: &str, text: String| -> anyhow::Result<String> {
        let path = folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    Ok(match server {
        WebServer::Nginx => {
            // An upstream stands before the locations that use it.
            let once = if snippet.parts.len() > 1 { part(snippet, 0) } else { String::new() };
            let included = write("lockkeeper.conf", last)?;
            let config = write(
                "nginx.conf",
                format!(
                    "daemon off;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\nevents {{ }}\nhttp {{\n\
                 access_log off;\n\
                 client_body_temp_path {here}/body;\nproxy_temp_path {here}/proxy;\nfastcgi_temp_path {here}/fastcgi;\n\
                 uwsgi_temp_path {here}/uwsgi;\nscgi_temp_path {here}/scgi;\n{once}\
                 server {{\nlisten {address};\nlocation ~ /\\. {{ deny all; }}\ninclude {included};\n\
                 location = / {{ default_type text/plain; return 200 \"{SITE_BODY}\"; }}\n\
                 location / {{ return 301 https://$host$request_uri; }}\n}}\n}}\n"
                ),
            )?;
            let mut command = Command::new("nginx");
            command.args(["-e", &format!("{here}/error.log"), "-c", &config]);
            command
        }
        WebServer::Apache => {
            let modules = [
                "mpm_event",
                "authz_core",
                "authn_core",
                "alias",
                "env",
                "setenvif",
                "headers",
                "rewrite",
                "proxy",
                "proxy_http",
                "slotmem_shm",
                "lbmethod_byrequests",
                "proxy_balancer",
            ];
            let modules: String = modules
                .iter()
                .map(|name| format!("LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n"))
                .collect();
            std::fs::create_dir(folder.join("site"))?;
            std::fs::write(folder.join("site/index.html"), SITE_BODY)?;
            let included = write("lockkeeper.conf", last)?;
            let user = if is_root() { "User nobody\nGroup nogroup\n" } else { "" };
            let config = write(
                "apache.conf",
                format!(
                    "ServerRoot {here}\nDefaultRuntimeDir {here}\nPidFile {here}/apache.pid\nErrorLog {here}/error.log\n\
                 Mutex file:{here} default\n{modules}{user}ServerName localhost\nListen {address}\n\
                 <VirtualHost *:*>\nInclude {included}\nDocumentRoot {here}/site\n\
                 <LocationMatch \"/\\.\">\nRequire all denied\n</LocationMatch>\n\
                 Alias / {here}/site/\n\
                 <Location />\nRequire all granted\n</Location>\n\
                 RewriteEngine On\nRewriteRule \"^/$\" \"{here}/site/index.html\" [END]\n\
                 RewriteRule \"^/(.*)\" \"https://%{{HTTP_HOST}}/$1\" [R=301,L]\n</VirtualHost>\n"
                ),
            )?;
            let mut command = Command::new("apache2");
            command.args(["-D", "FOREGROUND", "-f", &config]);
            command
        }
        WebServer::Haproxy => {
            let (frontend, backend) = (part(snippet, 0), part(snippet, 1));
            let unless = if frontend.contains("acl lockkeeper_challenge") {
                " unless lockkeeper_challenge"
            } else {
                ""
            };
            let config = write(
                "haproxy.cfg",
                format!(
                    "defaults\n    mode http\n    timeout connect 2s\n    timeout client 10s\n    timeout server 10s\n\
                 frontend web\n    bind {address}\n{frontend}    \
                 http-request return status 200 content-type text/plain string \"{SITE_BODY}\" if {{ path / }}\n    \
                 http-request redirect scheme https code 301{unless}\n\
                 {backend}"
                ),
            )?;
            let mut command = Command::new("haproxy");
            command.args(["-db", "-f", &config]);
            command
        }
        WebServer::Caddy => {
            let included = write("lockkeeper.caddy", last)?;
            let port = address.port();
            let config = write(
                "Caddyfile",
                format!(
                    "{{\n\tadmin off\n\tauto_https off\n}}\nhttp://:{port} {{\n\tbind {}\n\t\
                 import {included}\n\thandle / {{\n\t\trespond \"{SITE_BODY}\"\n\t}}\n\t\
                 handle {{\n\t\tredir https://{{host}}{{uri}} 301\n\t}}\n}}\n",
                    address.ip()
                ),
            )?;
            let mut command = Command::new("caddy");
            command.args(["run", "--adapter", "caddyfile", "--config", &config]);
            command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
            command
        }
        WebServer::Iis => bail!("IIS runs on Windows only"),
    })
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// An address of the fleet's range at which the fleet itself has no server.
pub const fn spare_address(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 1, 240)), port)
}
