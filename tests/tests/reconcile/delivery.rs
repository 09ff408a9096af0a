//! From a certificate that is issued to a server that shows it, and to the next one.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use issuance::time::Clock;
use lockkeeper::agent::Agent;
use lockkeeper::app::App;
use lockkeeper::config::agent::AgentConfig;
use lockkeeper::store::api_keys;
use lockkeeper::store::viewer::Viewer;
use lockkeeper_tests::openssl;
use rehearsal::rules::CaRules;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::renewal_world::{DAY, Renewing};

const WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One address for the service, wherever it listens and whether it is there.
struct Door {
    address: SocketAddr,
    leads_to: Arc<Mutex<Option<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Door {
    async fn open(app: &App) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, leads_to) = (listener.local_addr()?, Arc::new(Mutex::new(app.endpoints.api)));
        let target = Arc::clone(&leads_to);
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = *target.lock().expect("no panic");
                tokio::spawn(async move {
                    // Nobody there: the connection is closed, as by a proxy without a server.
                    let mut server = TcpStream::connect(target?).await.ok()?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()
                });
            }
        });
        Ok(Self { address, leads_to, task })
    }

    fn lead_to(&self, app: Option<&App>) {
        *self.leads_to.lock().expect("no panic") = app.and_then(|app| app.endpoints.api);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A server's folder with all that an agent of it needs.
struct Server {
    folder: TempDir,
    nginx: SocketAddr,
}

impl Server {
    async fn set_up(renewing: &Renewing, door: &Door) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lockkeeper-server-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let nginx = TcpListener::bind(("127.0.0.1", 0)).await?.local_addr()?;
        let store = &renewing.parts.store;
        let token = api_keys::create(store, renewing.now(), Viewer::Operator, "agent").await?;
        sqlx::raw_sql(
            r#"update api_keys set scopes = '{bundles:read,deployments:manage}', selector = '{"server": "web17"}'
                   where name = 'agent';
               update certificates set labels = '{"server": "web17"}'"#,
        )
        .execute(store.pool())
        .await?;
        let server = Self { folder, nginx };
        server.write("agent.key", token.reveal(), 0o600)?;
        let here = server.folder.path().display().to_string();
        // What a reload is told of, and nginx if it runs.
        server.write(
            "reload",
            &format!("#!/bin/sh\necho reload >>{here}/reloads\n[ ! -s {here}/nginx.pid ] || kill -HUP $(cat {here}/nginx.pid)\n"),
            0o755,
        )?;
        server.write(
            "hook",
            &format!("#!/bin/sh\nprintf '%s|' \"$@\" \"$RENEWED_LINEAGE\" \"$RENEWED_DOMAINS\" >>{here}/hooks\necho >>{here}/hooks\n"),
            0o755,
        )?;
        let config = format!(
            "[service]\nurl = 'http://{}'\nkey_file = '{here}/agent.key'\nselector = 'server=web17'\ntarget = 'web17'\n\
             wait_seconds = 30\nretry_seconds_max = 1\n[files]\nstate = '{here}/state/state.json'\n[certbot]\n\
             folder = '{here}/letsencrypt'\n[haproxy]\nfolder = '{here}/haproxy'\n[reload]\ncommand = ['{here}/reload']\n\
             debounce_seconds = 0\n[hook]\ncommand = ['{here}/hook', 'first']\n[probe]\naddresses = ['{nginx}']\n\
             settle_seconds = 8\n",
            door.address
        );
        server.write("agent.toml", &config, 0o644)?;
        Ok(server)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> anyhow::Result<()> {
        fs::write(self.path(name), text)?;
        Ok(fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode))?)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn agent(&self, clock: Arc<dyn Clock>) -> anyhow::Result<Agent> {
        Ok(Agent::new(AgentConfig::load(&self.path("agent.toml"))?, clock)?)
    }

    /// Debian's nginx, with the agent's files as certbot's would be configured.
    async fn start_nginx(&self, name: &str) -> anyhow::Result<Child> {
        let here = self.folder.path().display().to_string();
        let live = format!("{here}/letsencrypt/live/{name}");
        let config = format!(
            "daemon off;\npid {here}/nginx.pid;\nerror_log {here}/error.log;\nevents {{ }}\nhttp {{\naccess_log off;\n\
             client_body_temp_path {here}/body;\nproxy_temp_path {here}/proxy;\nfastcgi_temp_path {here}/fastcgi;\n\
             uwsgi_temp_path {here}/uwsgi;\nscgi_temp_path {here}/scgi;\nserver {{\nlisten {} ssl;\n\
             ssl_certificate {live}/fullchain.pem;\nssl_certificate_key {live}/privkey.pem;\nreturn 200 ok;\n}}\n}}\n",
            self.nginx
        );
        self.write("nginx.conf", &config, 0o644)?;
        let out = fs::File::create(self.path("nginx.log"))?;
        let mut nginx = Command::new("nginx")
            .args(["-e", &format!("{here}/error.log"), "-c", &format!("{here}/nginx.conf")])
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .kill_on_drop(true)
            .spawn()
            .context("run .ci/setup nginx")?;
        until("nginx listens", async || {
            anyhow::ensure!(nginx.try_wait()?.is_none(), "it ended: {:?}", self.lines("nginx.log"));
            Ok(TcpStream::connect(self.nginx).await.is_ok())
        })
        .await?;
        Ok(nginx)
    }

    /// With its workers.
    async fn stop_nginx(&self, mut nginx: Child) -> anyhow::Result<()> {
        let pid = nginx.id().context("it runs")?;
        Command::new("kill").arg(pid.to_string()).status().await?;
        tokio::time::timeout(WITHIN, nginx.wait()).await.context("nginx does not stop")??;
        Ok(())
    }
}

async fn until(what: &str, mut reached: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + WITHIN;
    while !reached().await? {
        anyhow::ensure!(Instant::now() < deadline, "not within {WITHIN:?}: {what}");
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Of the current version, in hexadecimal.
async fn fingerprint(renewing: &Renewing) -> anyhow::Result<String> {
    let found = renewing.certificates().await?;
    Ok(found[0].current.clone().context("it was issued")?.fingerprint_sha256)
}

async fn renew(renewing: &Renewing) -> anyhow::Result<()> {
    renewing.pass_until_queued().await?;
    renewing.work_off().await
}

async fn deployments(renewing: &Renewing) -> anyhow::Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(
        "select deployments.state, encode(fingerprint_sha256, 'hex') from deployments
         join issued_certificates using (order_id)",
    )
    .fetch_all(renewing.parts.store.pool())
    .await?)
}

#[tokio::test]
async fn nginx_shows_what_the_agent_brings_and_the_next_one_after_one_reload() -> anyhow::Result<()> {
    let mut renewing = Renewing::at_the_rehearsal_ca("delivered", CaRules::default()).await?;
    let door = Door::open(&renewing.app).await?;
    let server = Server::set_up(&renewing, &door).await?;
    let (name, clock) = ("delivered-0.com", renewing.world.clock.clone());
    let first = fingerprint(&renewing).await?;

    // Nothing serves yet: that is told, and all else is done.
    let mut agent = server.agent(clock.clone())?;
    let report = agent.once().await?;
    assert_eq!((report.certificates, report.installed, report.reloaded), (1, 1, true), "{report:?}");
    assert_eq!(report.faults, []);
    assert_eq!(deployments(&renewing).await?, [("not_served".to_owned(), first.clone())]);
    let live = server.path("letsencrypt/live").join(name);
    let paths = ["privkey", "cert", "chain", "fullchain"].map(|kind| live.join(format!("{kind}.pem")));
    let [key, cert, chain, fullchain] = paths.each_ref().map(|path| path.display().to_string());
    let called =
        format!("first|{name}|{key}|{cert}|{chain}|{fullchain}|{}|{name} www.{name}|", live.display());
    assert_eq!(server.lines("hooks"), [called], "as acme.sh calls it, and certbot");
    assert!(chain_is_of_the_ca(&renewing, &server, Path::new(&cert), Path::new(&chain)).await?);
    // What is the same is neither written nor reloaded.
    let again = agent.once().await?;
    assert_eq!((again.installed, again.reloaded, server.lines("reloads").len()), (0, false, 1));
    drop(agent);

    let nginx = server.start_nginx(name).await?;
    assert_eq!(openssl::shown(server.nginx, name).await?.as_ref(), Some(&first));
    let stop = CancellationToken::new();
    let mut agent = server.agent(clock)?;
    let running = {
        let stop = stop.clone();
        tokio::spawn(async move { agent.run(&stop).await })
    };
    until("what is served is told", async || {
        Ok(deployments(&renewing).await? == [("deployed".to_owned(), first.clone())])
    })
    .await?;

    // Renewed while the agent waits: it is there after one reload.
    renew(&renewing).await?;
    let second = fingerprint(&renewing).await?;
    assert_ne!(second, first);
    until("the next one is shown and told", async || {
        Ok(openssl::shown(server.nginx, name).await?.as_ref() == Some(&second)
            && deployments(&renewing).await? == [("deployed".to_owned(), second.clone())])
    })
    .await?;
    assert_eq!((server.lines("reloads").len(), server.lines("hooks").len()), (2, 2));
    assert_eq!(
        fs::read_link(live.join("cert.pem"))?,
        Path::new("../../archive").join(name).join("cert2.pem")
    );

    // The service is away: what is there is served on, and what comes meanwhile follows.
    door.lead_to(None);
    let Renewing { app, world, parts, ari, renew: renewer } = renewing;
    app.stop().await?;
    assert_eq!(openssl::shown(server.nginx, name).await?.as_ref(), Some(&second));
    assert!(!running.is_finished(), "the agent waits");
    let app = world.service("one").await?;
    renewing = Renewing { app, world, parts, ari, renew: renewer };
    renewing.world.clock.leap(DAY);
    renew(&renewing).await?;
    let third = fingerprint(&renewing).await?;
    assert_ne!(third, second);
    door.lead_to(Some(&renewing.app));
    until("what came meanwhile is shown", async || {
        Ok(openssl::shown(server.nginx, name).await?.as_ref() == Some(&third))
    })
    .await?;

    stop.cancel();
    tokio::time::timeout(WITHIN, running).await.context("the agent stops")???;
    assert_haproxy_reads(&server).await?;
    server.stop_nginx(nginx).await?;
    let told: Vec<String> =
        sqlx::query_scalar("select kind from events where kind like '%deploy%' order by seq")
            .fetch_all(renewing.parts.store.pool())
            .await?;
    assert_eq!(told[..3], ["certificate.deploy_failed", "certificate.deployed", "certificate.deployed"]);
    renewing.stop().await
}

/// By OpenSSL, with the root that the CA shows to everybody.
async fn chain_is_of_the_ca(
    renewing: &Renewing,
    server: &Server,
    cert: &Path,
    chain: &Path,
) -> anyhow::Result<bool> {
    let root = renewing.world.ca.rehearsal().context("the rehearsal CA")?.root_pem().to_owned();
    server.write("root.pem", &root, 0o644)?;
    let text = |path: &Path| path.display().to_string();
    let root = text(&server.path("root.pem"));
    let verified = openssl::run(&[
        "verify",
        "-no_check_time",
        "-CAfile",
        &root,
        "-untrusted",
        &text(chain),
        &text(cert),
    ])
    .await?;
    Ok(verified.status.success())
}

async fn assert_haproxy_reads(server: &Server) -> anyhow::Result<()> {
    let config = format!(
        "defaults\n    mode http\n    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\nfrontend f\n    \
         bind 127.0.0.1:1 ssl crt {}\n",
        server.path("haproxy").display()
    );
    server.write("haproxy.cfg", &config, 0o644)?;
    let read = Command::new("haproxy")
        .args(["-c", "-f"])
        .arg(server.path("haproxy.cfg"))
        .output()
        .await
        .context("run .ci/setup haproxy")?;
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    Ok(())
}

#[tokio::test]
async fn what_fails_on_the_server_is_told_and_what_is_listed_no_longer_stays() -> anyhow::Result<()> {
    let renewing =
        Renewing::start("kept", 2, lockkeeper_tests::world::CaChoice::Rehearsal(CaRules::default()), None)
            .await?;
    let door = Door::open(&renewing.app).await?;
    let server = Server::set_up(&renewing, &door).await?;
    server.write("hook", "#!/bin/sh\ncase $2 in kept-0*) echo 'no such site' >&2; exit 3;; esac\n", 0o755)?;
    // A folder that cannot be made: a file stands in its way.
    fs::create_dir_all(server.path("letsencrypt/live"))?;
    server.write("letsencrypt/live/kept-1.com", "", 0o644)?;
    let clock = renewing.world.clock.clone();
    let mut agent = server.agent(clock)?;
    let report = agent.once().await?;
    let faults: Vec<(&str, &str)> =
        report.faults.iter().map(|(name, fault)| (name.as_str(), fault.as_str())).collect();
    assert!(
        matches!(&faults[..], [("kept-0.com", hook), ("kept-1.com", disk)]
            if *hook == "the hook ended with exit status: 3: no such site" && disk.contains("cannot be written")),
        "{faults:?}"
    );
    let states: Vec<(String, String)> =
        sqlx::query_as("select state, fault from deployments order by fault desc")
            .fetch_all(renewing.parts.store.pool())
            .await?;
    assert_eq!(states.iter().map(|(state, _)| state.as_str()).collect::<Vec<_>>(), ["failed", "failed"]);

    fs::remove_file(server.path("letsencrypt/live/kept-1.com"))?;
    server.write("hook", "#!/bin/sh\nexit 0\n", 0o755)?;
    let report = agent.once().await?;
    assert_eq!((report.certificates, report.installed, report.faults.len()), (2, 1, 0), "{report:?}");

    sqlx::query("update certificates set labels = '{}' where 'kept-1.com' = any(names)")
        .execute(renewing.parts.store.pool())
        .await?;
    let report = agent.once().await?;
    assert_eq!((report.certificates, report.installed), (2, 0), "it may be a mistake of whoever lists");
    assert!(server.path("letsencrypt/live/kept-1.com/privkey.pem").exists());

    // A service that does not take the key is no reason to lose anything either.
    drop(agent);
    server.write("agent.key", api_keys::Token::generate(Viewer::Operator).reveal(), 0o600)?;
    let mut agent = server.agent(renewing.world.clock.clone())?;
    assert!(agent.once().await.is_err());
    assert!(server.path("haproxy/kept-0.com.pem").exists());
    renewing.stop().await
}
