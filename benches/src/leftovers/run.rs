//! One cell: the client is started, meets its accident, and is run again.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rehearsal::faults::Plan;
use tokio::process::Child;
use tokio::time::timeout;

use super::accident::Accident;
use super::cell::{Cell, Outcome};
use super::client::Client;
use super::manners::Manners;
use super::scene::Scene;
use super::{one_shot, service, signal};
use crate::program;

/// For all orders to come as far as the accident.
const THERE_WITHIN: Duration = Duration::from_mins(3);
/// For a client that does what it can.
const ENDED_WITHIN: Duration = Duration::from_mins(5);
/// How long the CA takes to answer whoever was asked to stop.
const CA_TAKES: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
pub struct Job {
    pub client: Client,
    pub accident: Accident,
    pub manners: Manners,
    pub orders: usize,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, accident, manners, .. } = self;
        write!(f, "{}, {} ({})", client.as_str(), accident.as_str(), manners.as_str())
    }
}

pub async fn run(job: &Job) -> Result<Outcome> {
    let scene = Scene::set(job).await?;
    let mut processes = start(job.client, &scene).await?;
    if job.client == Client::Lockkeeper {
        service::import(&scene).await?;
    }
    match job.accident {
        Accident::Killed(_) => {
            reach(job, &scene).await?;
            for process in &mut processes {
                signal::send("KILL", process).await?;
            }
            end(&mut processes).await?;
            // Nobody is there for what was held; only the CA's own looks go on.
            scene.ca.set_faults(Plan { drop_held: true, ..Plan::default() })?;
        }
        Accident::Terminated => {
            reach(job, &scene).await?;
            for process in &mut processes {
                signal::send("TERM", process).await?;
            }
            let drop_held = timeout(CA_TAKES, end(&mut processes)).await.is_ok();
            scene.ca.set_faults(Plan { drop_held, ..Plan::default() })?;
            end(&mut processes).await?;
        }
        Accident::WebrootMissing | Accident::WebrootReadOnly => {
            finish(job.client, &scene, &mut processes, job.accident).await?;
        }
    }
    scene.ca.idle().await;
    let left = Cell::read(&scene.ca, job.manners);
    let mut again = None;
    if job.accident.is_run_again() {
        let mut processes = start(job.client, &scene).await?;
        finish(job.client, &scene, &mut processes, job.accident).await?;
        scene.ca.idle().await;
        again = Some(Cell::read(&scene.ca, job.manners));
    }
    scene.strike().await;
    Ok(Outcome { left, again })
}

async fn start(client: Client, scene: &Scene) -> Result<Vec<Child>> {
    match client {
        Client::Certbot | Client::Lego => one_shot::start(client, scene),
        Client::Lockkeeper => Ok(vec![service::start(scene).await?]),
    }
}

/// Returns when every order is at the accident's moment.
async fn reach(job: &Job, scene: &Scene) -> Result<()> {
    let wanted = job.orders * job.client.held_of_one(job.accident);
    timeout(THERE_WITHIN, scene.ca.holding(wanted))
        .await
        .with_context(|| format!("{} of {wanted} are there: {:?}", scene.ca.faults().held, scene.ca.audit()))
}

async fn end(processes: &mut [Child]) -> Result<()> {
    for process in processes {
        timeout(ENDED_WITHIN, process.wait()).await.context("it does not end")??;
    }
    Ok(())
}

/// Has the client do all it does by itself.
async fn finish(client: Client, scene: &Scene, processes: &mut Vec<Child>, accident: Accident) -> Result<()> {
    if client != Client::Lockkeeper {
        return end(processes).await;
    }
    if accident.is_run_again() {
        service::finish(scene).await?;
    } else {
        service::rest(scene).await?;
    }
    for process in processes.drain(..) {
        program::stop(process).await?;
    }
    Ok(())
}
