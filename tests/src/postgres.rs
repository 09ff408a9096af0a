//! A PostgreSQL server of a test's own, with every safety on, that may be treated as badly as the world treats one.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

const ROLE: &str = "lockkeeper";
const STARTED_WITHIN: Duration = Duration::from_mins(1);
const STOPPED_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Where Debian puts the programs, one folder for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Transactions are rolled back, a checkpoint is written.
    Fast,
    /// Backends quit where they stand; the next start recovers.
    Immediate,
    /// The postmaster is killed, and its backends find out by themselves.
    Killed,
}

/// Whom servers run as: ourselves, or `postgres` where that is root.
#[derive(Debug, Clone, Copy)]
struct Owner {
    uid: u32,
    gid: u32,
}

/// It listens on loopback, on a port of its own that stays the same over restarts.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    owner: Option<Owner>,
    /// Shared with the standbys made from it.
    root: Arc<TempDir>,
    data: PathBuf,
    port: u16,
    postmaster: Option<Child>,
}

impl PostgresServer {
    /// Makes a cluster with a database for the service, and starts it. `settings` are lines of `postgresql.conf`.
    pub async fn start_new(settings: &str) -> anyhow::Result<Self> {
        let root = tempfile::Builder::new().prefix("lockkeeper-server-").tempdir()?;
        let owner = owner(root.path())?;
        if let Some(Owner { uid, gid }) = owner {
            chown(root.path(), Some(uid), Some(gid))?;
        }
        let data = root.path().join("primary");
        let (root, port) = (Arc::new(root), free_port()?);
        let mut server = Self { programs: programs()?, owner, root, data, port, postmaster: None };
        let mut command = server.command("initdb");
        command.arg("-D").arg(&server.data);
        command.args(["-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        run(command).await?;
        server.configure(settings)?;
        server.start().await?;
        let mut connection = server.connect_to("postgres").await?;
        sqlx::query(AssertSqlSafe(format!("create database {ROLE}"))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(server)
    }

    /// Makes a standby that follows this server, and starts it. `name` is what this server's
    /// `synchronous_standby_names` would call it.
    pub async fn standby(&self, name: &str) -> anyhow::Result<Self> {
        let port = free_port()?;
        let data = self.root.path().join(name);
        let mut command = self.command("pg_basebackup");
        command.arg("-D").arg(&data).args(["-X", "stream", "-c", "fast", "--no-sync", "-d"]);
        let primary = format!("host=127.0.0.1 port={} user={ROLE} application_name={name}", self.port);
        run({
            command.arg(&primary);
            command
        })
        .await?;
        let (programs, owner, root) = (self.programs.clone(), self.owner, Arc::clone(&self.root));
        let mut standby = Self { programs, owner, root, data, port, postmaster: None };
        std::fs::write(standby.data.join("standby.signal"), "")?;
        standby.configure(&format!("primary_conninfo = '{primary}'\nsynchronous_standby_names = ''\n"))?;
        standby.start().await?;
        Ok(standby)
    }

    /// Adds to the settings; what stands last holds.
    fn configure(&self, settings: &str) -> anyhow::Result<()> {
        let path = self.data.join("postgresql.conf");
        let mut file = std::fs::File::options().append(true).open(&path)?;
        write!(
            file,
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nshared_buffers = '64MB'\n\
             fsync = on\nfull_page_writes = on\njit = off\ntimezone = 'UTC'\n{settings}",
            self.port
        )?;
        Ok(())
    }

    /// Starts a server that was stopped, and waits until it answers.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + STARTED_WITHIN;
        self.launch()?;
        while Instant::now() < deadline {
            if let Ok(connection) = self.connect_to("postgres").await {
                return Ok(connection.close().await?);
            }
            let ended =
                self.postmaster.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|end| end.is_some()));
            if ended {
                // The backends of one that was killed may hold its shared memory for a moment longer.
                self.launch()?;
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("PostgreSQL does not start: {}", self.log())
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.log_path())?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.data).stdout(Stdio::null()).stderr(log);
        // Ctrl-C on the terminal must not reach it before whoever uses it.
        self.postmaster = Some(command.process_group(0).spawn().context("PostgreSQL cannot be run")?);
        Ok(())
    }

    /// Ends the server and waits until it is gone.
    pub async fn stop(&mut self, ending: Ending) -> anyhow::Result<()> {
        let mut postmaster = self.postmaster.take().context("it does not run")?;
        let pid = postmaster.id().context("it has ended already")?;
        let signal = match ending {
            Ending::Fast => "INT",
            Ending::Immediate => "QUIT",
            Ending::Killed => "KILL",
        };
        signal_process(pid, signal).await?;
        timeout(STOPPED_WITHIN, postmaster.wait()).await.context("PostgreSQL does not stop")??;
        Ok(())
    }

    pub async fn restart(&mut self, ending: Ending) -> anyhow::Result<()> {
        self.stop(ending).await?;
        self.start().await
    }

    /// Ends the recovery of a standby: it takes writes when this returns.
    pub async fn promote(&self) -> anyhow::Result<()> {
        self.sql("select pg_promote(true, 60)").await?;
        let deadline = Instant::now() + STARTED_WITHIN;
        while Instant::now() < deadline {
            let mut connection = self.connect().await?;
            let recovering: bool =
                sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(&mut connection).await?;
            if !recovering {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("the standby stays one: {}", self.log())
    }

    /// SIGKILL to one of the backends that serve `application`: the postmaster then ends all others, and recovers.
    /// `false` where there is none.
    pub async fn kill_a_backend(&self, application: &str) -> anyhow::Result<bool> {
        let mut connection = self.connect().await?;
        let pid: Option<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity where application_name = $1 order by state_change desc limit 1",
        )
        .bind(application)
        .fetch_optional(&mut connection)
        .await?;
        let Some(pid) = pid else { return Ok(false) };
        signal_process(u32::try_from(pid)?, "KILL").await?;
        Ok(true)
    }

    /// Runs statements, whatever they return.
    pub async fn sql(&self, statements: &str) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        self.connect_to(ROLE).await
    }

    async fn connect_to(&self, database: &str) -> sqlx::Result<PgConnection> {
        PgConnection::connect(&format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port)).await
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn url(&self) -> String {
        url_at(self.address())
    }

    /// All that the server has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if let Some(Owner { uid, gid }) = self.owner {
            command.gid(gid).uid(uid);
        }
        command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(pid) = self.postmaster.as_ref().and_then(Child::id) {
            let _ = std::process::Command::new("kill").args(["-QUIT", &pid.to_string()]).status();
        }
    }
}

/// The service's database, reached at that address.
pub fn url_at(address: SocketAddr) -> String {
    format!("postgres://{ROLE}@{address}/{ROLE}")
}

/// `signal` as kill(1) calls it.
pub async fn signal_process(pid: u32, signal: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().await?;
    ensure!(sent.success(), "process {pid} cannot be signalled");
    Ok(())
}

async fn run(mut command: Command) -> anyhow::Result<()> {
    let output = command.output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The newest that is installed.
fn programs() -> anyhow::Result<PathBuf> {
    let installed = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let installed = installed.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin"))).filter(|(_, folder)| folder.join("initdb").is_file())
    });
    if let Some((_, folder)) = installed.max() {
        return Ok(folder);
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&on_path)
        .find(|folder| folder.join("initdb").is_file())
        .context("no PostgreSQL is installed: run .ci/setup postgresql")
}

/// PostgreSQL never runs as root. A folder we have made tells who we are.
fn owner(ours: &Path) -> anyhow::Result<Option<Owner>> {
    use std::os::unix::fs::MetadataExt as _;
    if ours.metadata()?.uid() != 0 {
        return Ok(None);
    }
    std::fs::set_permissions(ours, std::fs::Permissions::from_mode(0o755))?;
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let account = fields.into_iter().find(|fields| fields.first() == Some(&"postgres"));
    let account = account.context("there is no user postgres")?;
    Ok(Some(Owner {
        uid: account.get(2).context("no uid")?.parse()?,
        gid: account.get(3).context("no gid")?.parse()?,
    }))
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
