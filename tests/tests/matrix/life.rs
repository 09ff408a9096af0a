//! The life of a cell: a world, a fault, its healing, and the wait until nothing moves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use lockkeeper::acme::Endpoint;
use lockkeeper::mishaps::Protection;
use lockkeeper_tests::fate::{Mishap, Plan, PlannedFate};
use lockkeeper_tests::flaky_transport::{FlakyTransport, RequestKind, Strike, Weather, Which};
use lockkeeper_tests::mortal_service::MortalService;
use lockkeeper_tests::world::{World, csv};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rehearsal::fleet::{Damage, Extent, Fault as Breakage, Site};

use crate::cell::{Cell, Fault};
use crate::drive::{Drive, Rests};
use crate::oracle::{self, Expected, Verdict};
use crate::scenery;

// A busy machine takes most of a minute for what a quiet one does in ten seconds.
const STRIKES_WITHIN: Duration = Duration::from_mins(1);
const ENDS_WITHIN: Duration = Duration::from_mins(2);

/// What a cell is played with.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) sites: Option<Vec<Site>>,
    /// Of each worker; the usual ones where there is none.
    pub(crate) permits: Option<u16>,
    pub(crate) lacking: Option<Protection>,
    /// Whether a fault that never struck is a failure of the cell.
    pub(crate) must_strike: bool,
    /// What is waited for before the end is looked at.
    pub(crate) rests: Rests,
}

impl Default for Setting {
    fn default() -> Self {
        let rests = Rests::AreWaitedOutIfShort;
        Self { sites: None, permits: None, lacking: None, must_strike: true, rests }
    }
}

/// Plays the cell, and tells what the oracle says of its end.
pub(crate) async fn play(cell: &Cell, seed: u64, setting: Setting) -> anyhow::Result<Verdict> {
    let mut chance = StdRng::seed_from_u64(seed);
    let sites = setting.sites.clone().unwrap_or_else(|| scenery::sites(&mut chance));
    let mut plan = scenery::plan(sites.clone(), cell.manners);
    plan.settings.permits = setting.permits.unwrap_or(plan.settings.permits);
    let world = World::start(plan).await?;
    let weather = Weather::new(seed, rules(cell));
    let front = world.front("front").await?;
    world.import_into("front", &front, csv(&sites)).await?;

    let drive = Drive::new(&world, &weather);
    let stage = Stage { world: &world, weather: &weather, drive: &drive, lacking: setting.lacking };
    let plan = cell.faults.iter().find_map(|fault| match fault {
        Fault::AtPoint { point, nth, mishap } => Some(Plan { point: *point, nth: *nth, mishap: *mishap }),
        Fault::AtRequests { .. } => None,
    });
    let one = stage.replica("one", plan).await?;
    let strikes_awaited = cell.faults.iter().any(|fault| matches!(fault, Fault::AtRequests { .. }));
    let quiet = Quiet::default();
    // Some places are reached by second attempts only.
    let rests = if setting.must_strike { Rests::AreWaitedOut } else { Rests::Last };
    drive
        .until(rests, STRIKES_WITHIN, "the fault has struck", async |sight| {
            // Of two faults, what befalls the process comes first or never: the other one may strike its successor.
            let has_struck = match plan {
                Some(_) => one.fate().has_struck(),
                None => !strikes_awaited || weather.strikes() > cell.new_orders_lost,
            };
            Ok(has_struck || (!setting.must_strike && quiet.holds(sight.moving == 0)))
        })
        .await?;
    let replicas = stage.after(one, plan, chance.random_bool(0.5)).await?;
    let good = good_names(&sites);
    drive
        .until(Rests::Last, ENDS_WITHIN, "nothing moves", async |sight| {
            Ok(sight.moving == 0 && weather.late() == 0)
        })
        .await?;
    for replica in &replicas {
        replica.fate().let_go_on();
    }
    let healed =
        drive.until(Rests::AreWaitedOut, ENDS_WITHIN, "all good names have certificates", async |_| {
            Ok(oracle::certified(&world).await?.is_superset(&good))
        });
    // The oracle says more of what is wrong than that it is.
    let healed = healed.await;
    let quiet = Quiet::default();
    let ended = drive.until(setting.rests, ENDS_WITHIN, "nothing moves any more", async |sight| {
        let still = sight.moving == 0 && weather.under_way() + weather.late() == 0;
        Ok(quiet.holds(still && sight.is_parked_for_long(&world)))
    });
    let ended = ended.await;
    for replica in replicas {
        replica.stop().await?;
    }
    let expected = Expected {
        good,
        manners: cell.manners,
        // A worker that dies or is overtaken may have had an answer in its hands.
        new_orders_lost: weather.new_orders_lost() + u64::from(plan.is_some()),
        untold: weather.new_orders_lost(),
    };
    let mut verdict = oracle::judge(&world, &expected).await?;
    verdict.extend(healed.err().map(|error| format!("I12 {error:#}")));
    verdict.extend(ended.err().map(|error| format!("I7 {error:#}")));
    if !verdict.is_empty() {
        verdict.extend(world.orders().await?.iter().map(|order| format!("  {order:?}")));
    }
    front.stop().await?;
    world.stop().await?;
    Ok(verdict)
}

/// Something that has held for several looks in a row.
#[derive(Debug, Default)]
struct Quiet(std::cell::Cell<u32>);

impl Quiet {
    fn holds(&self, now: bool) -> bool {
        self.0.set(if now { self.0.get() + 1 } else { 0 });
        self.0.get() > 20
    }
}

struct Stage<'a> {
    world: &'a World,
    weather: &'a Arc<Weather>,
    drive: &'a Drive<'a>,
    lacking: Option<Protection>,
}

impl Stage<'_> {
    async fn replica(&self, name: &str, plan: Option<Plan>) -> anyhow::Result<MortalService> {
        let fate = PlannedFate::new(plan, self.lacking, &self.world.database_url);
        let transport = FlakyTransport::new(Arc::clone(self.weather))?;
        self.world.replica(name, transport, fate).await
    }

    /// What stands ready once the fault has struck: whoever is left, and another one.
    async fn after(
        &self,
        one: MortalService,
        plan: Option<Plan>,
        same_folder: bool,
    ) -> anyhow::Result<Vec<MortalService>> {
        let struck = plan.filter(|_| one.fate().has_struck());
        match struck.map(|plan| plan.mishap) {
            Some(Mishap::Crash) => {
                one.gone().await.context("the crash")?;
                self.drive.all_are_dead().await?;
                // The next process of the same folder knows which leases were its predecessor's; another replica
                // has to wait for their end.
                let next = if same_folder { "one" } else { "two" };
                Ok(vec![self.replica(next, None).await?])
            }
            Some(Mishap::Stall) => {
                self.drive.all_are_dead().await?;
                let two = self.replica("two", None).await?;
                Ok(vec![one, two])
            }
            Some(Mishap::Cut) | None => Ok(vec![one, self.replica("two", None).await?]),
        }
    }
}

fn rules(cell: &Cell) -> Vec<(Which, Strike)> {
    let new_order = RequestKind::To(Endpoint::NewOrder);
    let mut rules = Vec::new();
    if cell.new_orders_lost > 0 {
        let sets = usize::try_from(cell.new_orders_lost).unwrap_or(usize::MAX);
        rules.push((Which::FirstOfEach(new_order, sets), Strike::DropAnswer));
    }
    for fault in &cell.faults {
        if let Fault::AtRequests { kind, from, count, strike } = *fault {
            // What is lost for the scenery's sake comes first.
            let from = if kind == new_order { from + cell.new_orders_lost } else { from };
            rules.push((Which::Of(kind, from..from + count), strike));
        }
    }
    rules
}

/// Names that nothing is wrong with, on sites of which nothing is wrong that only the CA would see.
fn good_names(sites: &[Site]) -> BTreeSet<String> {
    let seen_before = |damage: Option<Damage>| match damage {
        None => true,
        Some(Damage { extent: Extent::Name(_), fault }) => fault == Breakage::NotFound,
        Some(_) => false,
    };
    let sites = sites.iter().filter(|site| seen_before(site.damage));
    sites
        .flat_map(|site| site.names.iter().enumerate().filter(|(place, _)| site.fault_at(*place).is_none()))
        .map(|(_, name)| name.as_str().to_owned())
        .collect()
}

/// The whole life, or what kept it from its end.
pub(crate) async fn verdict_of(cell: &Cell, seed: u64, setting: Setting) -> Verdict {
    match play(cell, seed, setting).await {
        Ok(verdict) => verdict,
        Err(error) => vec![format!("no end: {error:#}")],
    }
}
