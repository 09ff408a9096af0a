//! The service, with a PostgreSQL that it runs by itself.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lockkeeper::api::imports::ImportReport;
use lockkeeper::cli::api_client::{ApiClient, operator_token};
use lockkeeper::cluster::PrivateCluster;
use serde::Deserialize;
use sqlx::{Connection as _, PgConnection};
use tokio::process::{Child, Command};

use super::scene::Scene;
use crate::program;

const STARTED_WITHIN: Duration = Duration::from_mins(2);
/// A name that failed at the CA rests a minute, and up to a tenth of it more.
const DONE_WITHIN: Duration = Duration::from_mins(4);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The part of `endpoints.json` that is needed here.
#[derive(Debug, Deserialize)]
struct Endpoints {
    pid: u32,
    api: std::net::SocketAddr,
}

fn data_folder(scene: &Scene) -> PathBuf {
    scene.folder().join("data")
}

/// Starts it, and has it listen. After an accident that is all a supervisor does.
pub(super) async fn start(scene: &Scene) -> Result<Child> {
    let config = scene.folder().join("lockkeeper.toml");
    std::fs::write(&config, configuration(scene))?;
    let config = config.to_str().context("the folder's name is not Unicode")?;
    let log = scene.folder().join("service.log");
    let log = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(program::path()?);
    command.args(["--config", config, "serve"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut service = command.process_group(0).kill_on_drop(true).spawn()?;
    let deadline = Instant::now() + STARTED_WITHIN;
    while Instant::now() < deadline {
        ensure!(service.try_wait()?.is_none(), "the service ended: {}", said(scene));
        // After a kill, those of the process before it still lie there.
        if endpoints(scene).is_some_and(|endpoints| Some(endpoints.pid) == service.id()) {
            return Ok(service);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("the service does not listen: {}", said(scene))
}

fn endpoints(scene: &Scene) -> Option<Endpoints> {
    let text = std::fs::read(data_folder(scene).join("endpoints.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Hands over all sites.
pub(super) async fn import(scene: &Scene) -> Result<()> {
    let endpoints = endpoints(scene).context("it listens")?;
    let token = operator_token(&data_folder(scene))?;
    let api = ApiClient::new(&format!("http://{}", endpoints.api), &token)?;
    let mut csv = String::from("tenant,external_id,names,challenge,labels\n");
    for [apex, www] in scene.sites() {
        csv.extend(["bench,", &apex, ",", &apex, " ", &www, ",http-01,\n"]);
    }
    let report: ImportReport = api.post_csv("/v1/imports", csv.into()).await?;
    ensure!(report.rows_refused == 0, "{} rows are refused", report.rows_refused);
    Ok(())
}

/// Returns when all is issued and settled.
pub(super) async fn finish(scene: &Scene) -> Result<()> {
    until(scene, "select count(*) = $1 from certificates join issued_certificates using (certificate_id)")
        .await?;
    until(scene, "select count(*) = 0 from orders where due_at is not null and $1 >= 0").await
}

/// Returns when nothing goes on by itself but looking at sites that are not ready.
pub(super) async fn rest(scene: &Scene) -> Result<()> {
    until(scene, "select count(*) = $1 from orders where stage = 'parked' and lease_holder is null").await
}

async fn until(scene: &Scene, condition: &'static str) -> Result<()> {
    let url = PrivateCluster::running_url(&data_folder(scene)).await.context("its database is down")?;
    let mut connection = PgConnection::connect(&url).await?;
    let deadline = Instant::now() + DONE_WITHIN;
    while Instant::now() < deadline {
        let orders = i64::try_from(scene.orders)?;
        if sqlx::query_scalar(condition).bind(orders).fetch_one(&mut connection).await? {
            return Ok(connection.close().await?);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("not in time: {condition}: {}", said(scene))
}

fn configuration(scene: &Scene) -> String {
    format!(
        "[data]\nfolder = {:?}\n[api]\nlisten = \"127.0.0.1:0\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n\
         [responder]\nlisten = \"{}\"\n\
         [ca]\nprofile = \"{}\"\ndirectory_url = \"{}\"\nextra_root = {:?}\nagree_to_terms = true\n\
         [resolver]\nservers = [\"{}\"]\n[http01]\nport = {}\n[addresses]\nallow = [\"127.0.0.0/8\"]\n\
         [worker]\npermits = {}\n",
        data_folder(scene).display().to_string(),
        scene.responder,
        scene.manners.profile(),
        scene.ca.directory_url(),
        scene.root().display().to_string(),
        scene.fleet.dns_addr(),
        scene.fleet.http_port(),
        scene.orders.max(16),
    )
}

/// The end of its log, for an error message.
fn said(scene: &Scene) -> String {
    const LINES_MAX: usize = 12;
    let text = std::fs::read_to_string(scene.folder().join("service.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}
