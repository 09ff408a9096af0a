//! The service: a process of its own, with a database of its own that has every safety on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lockkeeper::api::imports::ImportReport;
use lockkeeper::cli::api_client::{ApiClient, fetch_plain, operator_token};
use lockkeeper::cluster::PrivateCluster;
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};
use tokio::process::Child;

use crate::authority::{Authority, Kind};
use crate::dns::Dns;
use crate::exposition::Exposition;
use crate::measurement::{Measurement, ServiceMeasurement};
use crate::{program, usage};

const STARTED_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Nothing was issued for this long: it is stuck.
const STALLED_AFTER: Duration = Duration::from_mins(1);

/// What the service is to do.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    pub kind: Kind,
    pub names: &'a [String],
    pub in_flight: usize,
    /// Whether each name is looked up and probed before its order, and each response before its challenge.
    pub preflight: bool,
}

/// Hands all names over in one import, and waits until the last certificate is stored.
pub async fn run(authority: &Authority, job: &Job<'_>, folder: &Path) -> Result<Measurement> {
    // The database runs as a user of its own, who has to get in.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    let cluster = PrivateCluster::start(&folder.join("database")).await?;
    let dns = Dns::start().await?;
    let database = cluster.url();
    let world = World { authority, job, folder, database: &database, dns: dns.address };
    let (measurement, before) = world.measure().await?;
    // What a backend has counted is complete when the backend has ended.
    let after = Counters::read(&database).await?;
    cluster.stop().await?;
    let mut measurement = measurement;
    if let Some(service) = &mut measurement.service {
        service.transactions = after.transactions.abs_diff(before.transactions + service.transactions);
        service.disk_waits = after.disk_waits.abs_diff(before.disk_waits);
        service.log_bytes = after.log_bytes.abs_diff(before.log_bytes);
    }
    Ok(measurement)
}

struct World<'a> {
    authority: &'a Authority,
    job: &'a Job<'a>,
    folder: &'a Path,
    database: &'a str,
    dns: SocketAddr,
}

/// The part of `endpoints.json` that is needed here.
#[derive(Debug, Deserialize)]
struct Endpoints {
    api: SocketAddr,
    metrics: SocketAddr,
}

impl World<'_> {
    /// In the answer, `transactions` are those of this process, still to be taken from the total.
    async fn measure(&self) -> Result<(Measurement, Counters)> {
        let (mut service, endpoints) = self.start().await?;
        let mut connection = PgConnection::connect(self.database).await?;
        let own = self.wait_for_account(&mut connection).await?;
        let before = Counters::read(self.database).await?;
        let measured = self.import_and_wait(&mut service, &endpoints, connection, own).await;
        let measurement = measured.with_context(|| self.log())?;
        self.authority.check_books(self.job.names.len()).await?;
        program::stop(service).await?;
        Ok((measurement, before))
    }

    async fn import_and_wait(
        &self,
        service: &mut Child,
        endpoints: &Endpoints,
        mut connection: PgConnection,
        mut own_transactions: u64,
    ) -> Result<Measurement> {
        let api = ApiClient::new(
            &format!("http://{}", endpoints.api),
            &operator_token(&self.folder.join("data"))?,
        )?;
        let pid = service.id().context("the service has ended")?;
        let postmaster = postmaster(&self.folder.join("database"))?;
        let (ca, bench) = (self.authority.pid()?, std::process::id());
        let cpu = || -> Result<[Duration; 4]> {
            Ok([usage::cpu(pid)?, usage::cpu_with_children(postmaster)?, usage::cpu(ca)?, usage::cpu(bench)?])
        };
        let certificates = self.job.names.len();
        let csv = csv(self.job.names);
        let cpu_before = cpu()?;
        let started = Instant::now();
        let report: ImportReport = api.post_csv("/v1/imports", csv.into()).await?;
        ensure!(report.rows_refused == 0, "{} rows are refused", report.rows_refused);
        let (mut issued, mut moved) = (0, Instant::now());
        while issued < certificates {
            tokio::time::sleep(LOOK_EVERY).await;
            let count: i64 = sqlx::query_scalar("select count(*) from issued_certificates")
                .fetch_one(&mut connection)
                .await?;
            own_transactions += 1;
            let count = usize::try_from(count)?;
            if count > issued {
                (issued, moved) = (count, Instant::now());
            }
            if moved.elapsed() > STALLED_AFTER {
                bail!("it stands still at {issued} of {certificates} certificates");
            }
        }
        let took = started.elapsed();
        let cpu_after = cpu()?;
        let postgres_memory = usage::memory_with_children(postmaster)?;
        connection.close().await?;
        let exposition =
            Exposition::new(fetch_plain(&format!("http://{}/metrics", endpoints.metrics)).await?);
        let [service_cpu, postgres_cpu, ca_cpu, bench_cpu] =
            std::array::from_fn(|index| cpu_after[index].saturating_sub(cpu_before[index]));
        Ok(Measurement {
            certificates,
            took,
            ca_cpu,
            bench_cpu,
            ca_memory: usage::peak_memory(ca)?,
            requests: exposition.total("lockkeeper_acme_requests_total") as u64,
            service: Some(ServiceMeasurement {
                service_cpu,
                postgres_cpu,
                service_memory: usage::peak_memory(pid)?,
                postgres_memory,
                transactions: own_transactions,
                disk_waits: 0,
                log_bytes: 0,
                exposition,
            }),
        })
    }

    async fn start(&self) -> Result<(Child, Endpoints)> {
        let config = self.folder.join("lockkeeper.toml");
        std::fs::write(&config, self.configuration()?)?;
        let config = config.to_str().context("the folder's name is not Unicode")?;
        let log = self.folder.join("service.log");
        let mut service = program::start(&["--config", config, "serve"], Stdio::null(), &log)?;
        let deadline = Instant::now() + STARTED_WITHIN;
        while Instant::now() < deadline {
            ensure!(service.try_wait()?.is_none(), "the service ended: {}", self.log());
            if let Ok(text) = std::fs::read(self.folder.join("data/endpoints.json")) {
                return Ok((service, serde_json::from_slice(&text)?));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("the service does not listen: {}", self.log())
    }

    fn configuration(&self) -> Result<String> {
        let responder = free_port()?;
        let extra_root = self
            .authority
            .extra_root()
            .map_or_else(String::new, |(path, _)| format!("extra_root = \"{}\"\n", path.display()));
        Ok(format!(
            "[data]\nfolder = \"{}\"\n[database]\nurl = {:?}\n[api]\nlisten = \"127.0.0.1:0\"\n\
             [metrics]\nlisten = \"127.0.0.1:0\"\n[responder]\nlisten = \"{responder}\"\n\
             [ca]\nprofile = \"{}\"\ndirectory_url = \"{}\"\n{extra_root}agree_to_terms = true\n\
             [resolver]\nservers = [\"{}\"]\n[http01]\nport = {}\npreflight = {}\n\
             [addresses]\nallow = [\"127.0.0.0/8\"]\n[worker]\npermits = {}\n",
            self.folder.join("data").display(),
            self.database,
            self.job.kind.as_str(),
            self.authority.directory_url(),
            self.dns,
            responder.port(),
            self.job.preflight,
            self.job.in_flight,
        ))
    }

    /// The engine starts when the CA knows the account. Returns how often the database was asked.
    async fn wait_for_account(&self, connection: &mut PgConnection) -> Result<u64> {
        let deadline = Instant::now() + STARTED_WITHIN;
        let mut looks = 0;
        while Instant::now() < deadline {
            let known: i64 =
                sqlx::query_scalar("select count(*) from accounts where account_url is not null")
                    .fetch_one(&mut *connection)
                    .await?;
            looks += 1;
            if known > 0 {
                return Ok(looks);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bail!("the CA does not know the account: {}", self.log())
    }

    /// The end of the service's log, for an error message.
    fn log(&self) -> String {
        const LINES_MAX: usize = 10;
        let text = std::fs::read_to_string(self.folder.join("service.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
    }
}

/// What Postgres counts over all backends that have ended or reported.
#[derive(Debug, Clone, Copy)]
struct Counters {
    transactions: u64,
    disk_waits: u64,
    log_bytes: u64,
}

impl Counters {
    async fn read(database: &str) -> Result<Self> {
        let mut connection = PgConnection::connect(database).await?;
        let (transactions, disk_waits, log_bytes): (i64, i64, i64) = sqlx::query_as(
            "select xact_commit, wal_sync, wal_bytes::bigint
             from pg_stat_database, pg_stat_wal where datname = current_database()",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(Self {
            transactions: u64::try_from(transactions)?,
            disk_waits: u64::try_from(disk_waits)?,
            log_bytes: u64::try_from(log_bytes)?,
        })
    }
}

fn postmaster(database: &Path) -> Result<u32> {
    let text = std::fs::read_to_string(database.join("postgres/postmaster.pid"))?;
    text.lines().next().and_then(|line| line.parse().ok()).context("postmaster.pid names no process")
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn csv(names: &[String]) -> String {
    let rows = names.iter().map(|name| format!("bench,{name},{name},http-01,\n"));
    std::iter::once("tenant,external_id,names,challenge,labels\n".to_owned()).chain(rows).collect()
}
