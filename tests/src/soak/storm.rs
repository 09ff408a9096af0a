//! The storm: one fault after another, drawn from the seed.

use std::time::Duration;

use anyhow::Context as _;
use issuance::time::{Clock as _, Timestamp};
use lockkeeper::clock::SystemClock;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{Instant, sleep};
use tracing::info;

use super::stage::{LEASE_SECONDS, Stage};
use super::worker::Worker;
use super::{Mixture, SoakPlan, verdict};
use crate::postgres::Ending;
use crate::world::order;

const WORKERS: usize = 3;
/// A drain, and what it takes to end.
const TERMINATED_WITHIN: Duration = Duration::from_secs(10);
/// With less to do than a tenth of a fleet, the next one is imported.
const FLEET_PARTS: usize = 10;
/// Nothing moves for this long: it never will.
const HEALED_WITHIN: Duration = Duration::from_mins(20);
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// What was done to the service.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// The instant of each SIGKILL.
    pub(super) kills: Vec<Timestamp>,
    pub(super) stops: u64,
    pub(super) terminations: u64,
    pub(super) postgres_restarts: u64,
    pub(super) ca_cuts: u64,
    pub(super) database_cuts: u64,
    /// Workers that ended although nobody had ended them.
    pub(super) exits: u64,
    pub(super) lasted: Duration,
}

enum Blow {
    Kill,
    Stop,
    Terminate,
    Restart(Ending),
    CutCa,
    CutDatabase,
}

#[derive(Debug)]
pub(super) struct Storm {
    stage: Stage,
    workers: Vec<Worker>,
    chance: StdRng,
    plan: SoakPlan,
    damage: Damage,
    began: Instant,
    reported: Instant,
}

impl Storm {
    /// Starts the workers, and gives them the first fleet.
    pub(super) async fn over(mut stage: Stage, plan: &SoakPlan) -> anyhow::Result<Self> {
        let mut workers = Vec::new();
        for number in 0..WORKERS {
            workers.push(Worker::start(stage.worker(number)?).await?);
        }
        anyhow::ensure!(stage.import_next().await?, "the first fleet is not imported");
        let (chance, began) = (StdRng::seed_from_u64(plan.seed), Instant::now());
        let (plan, damage) = (plan.clone(), Damage::default());
        Ok(Self { stage, workers, chance, plan, damage, began, reported: began })
    }

    /// Until there were enough kills, or the time is up.
    pub(super) async fn rage(&mut self) -> anyhow::Result<()> {
        while (self.damage.kills.len() as u64) < self.plan.kills && self.began.elapsed() < self.plan.storm_max
        {
            sleep(self.plan.pause.mul_f64(self.chance.random_range(0.1..1.9))).await;
            let blow = self.draw();
            self.strike(blow).await?;
            self.tend().await?;
            if self.reported.elapsed() > REPORT_EVERY {
                self.report().await;
            }
        }
        self.report().await;
        Ok(())
    }

    fn draw(&mut self) -> Blow {
        let Mixture { stops, terminations, postgres_restarts, ca_cuts, database_cuts } = self.plan.mixture;
        let endings = [Ending::Fast, Ending::Immediate, Ending::Killed];
        let ending = *endings.choose(&mut self.chance).unwrap_or(&Ending::Fast);
        let mut draw = self.chance.random_range(0..1_000);
        for (share, blow) in [
            (stops, Blow::Stop),
            (terminations, Blow::Terminate),
            (postgres_restarts, Blow::Restart(ending)),
            (ca_cuts, Blow::CutCa),
            (database_cuts, Blow::CutDatabase),
        ] {
            if draw < share {
                return blow;
            }
            draw -= share;
        }
        Blow::Kill
    }

    async fn strike(&mut self, blow: Blow) -> anyhow::Result<()> {
        let running: Vec<usize> =
            (0..WORKERS).filter(|number| self.workers[*number].stopped_until.is_none()).collect();
        let number = *running.choose(&mut self.chance).context("one is stopped at a time")?;
        let victim = &mut self.workers[number];
        match blow {
            Blow::Kill => {
                let at = SystemClock.now();
                victim.kill().await?;
                self.damage.kills.push(at);
            }
            Blow::Stop if running.len() == WORKERS => {
                victim.stop_for(Duration::from_secs(u64::from(LEASE_SECONDS) + 2)).await?;
                self.damage.stops += 1;
            }
            Blow::Stop => {}
            Blow::Terminate => {
                victim.terminate(TERMINATED_WITHIN).await?;
                self.damage.terminations += 1;
            }
            Blow::Restart(ending) => {
                self.stage.postgres.restart(ending).await?;
                self.damage.postgres_restarts += 1;
            }
            Blow::CutCa => {
                self.stage.ca_wire.cut();
                self.damage.ca_cuts += 1;
            }
            Blow::CutDatabase => {
                self.stage.database_wire.cut();
                self.damage.database_cuts += 1;
            }
        }
        Ok(())
    }

    /// Lets stopped workers go on in time, starts those that ended, and sees to it that there is work.
    async fn tend(&mut self) -> anyhow::Result<()> {
        for worker in &mut self.workers {
            match worker.stopped_until {
                Some(until) if until > Instant::now() => {}
                Some(_) => worker.go_on().await?,
                None => self.damage.exits += u64::from(worker.revive().await?),
            }
        }
        // Orders that rest because their workers were killed are no work.
        let left = order::in_motion(&self.stage.store, SystemClock.now()).await;
        if left.is_ok_and(|left| left < (self.plan.sites / FLEET_PARTS) as i64) {
            self.stage.import_next().await?;
        }
        Ok(())
    }

    async fn report(&mut self) {
        self.reported = Instant::now();
        let issued = sqlx::query_scalar::<_, i64>("select count(*) from issued_certificates")
            .fetch_one(self.stage.store.pool())
            .await;
        let open = self.stage.ca.audit().authorizations.open;
        info!(
            kills = self.damage.kills.len(),
            stops = self.damage.stops,
            postgres_restarts = self.damage.postgres_restarts,
            exits = self.damage.exits,
            issued = issued.unwrap_or(-1),
            open,
            "It storms"
        );
    }

    /// Lets everything heal, and waits until nothing moves and every site that can have a certificate has one.
    pub(super) async fn calm(mut self) -> anyhow::Result<(Stage, Damage)> {
        self.damage.lasted = self.began.elapsed();
        let deadline = Instant::now() + HEALED_WITHIN;
        for worker in &mut self.workers {
            if worker.stopped_until.is_some() {
                worker.go_on().await?;
            }
        }
        let mut quiet = false;
        while !quiet && Instant::now() < deadline {
            sleep(Duration::from_secs(1)).await;
            for worker in &mut self.workers {
                self.damage.exits += u64::from(worker.revive().await?);
            }
            let store = &self.stage.store;
            if order::moving(store).await? > 0 {
                // They rest because their workers were killed; what is at the CA is left to come back by itself.
                order::forgive(store, SystemClock.now()).await?;
            } else if verdict::wanting(&self.stage).await?.is_empty() {
                quiet = true;
            } else {
                // Names that failed at the CA because of the storm rest for minutes; nothing is learnt by waiting.
                order::end_rests(store, SystemClock.now()).await?;
            }
            if self.reported.elapsed() > REPORT_EVERY {
                self.report().await;
            }
        }
        info!(quiet, "It is calm");
        for mut worker in self.workers {
            worker.terminate(TERMINATED_WITHIN).await?;
            worker.kill().await?;
        }
        Ok((self.stage, self.damage))
    }
}
