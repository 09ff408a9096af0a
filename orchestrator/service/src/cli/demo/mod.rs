//! `lockkeeper demo`: the main job in front of your eyes. A fleet of which a few sites are broken, a strict CA,
//! and the service between them, all on loopback.
//!
//! The CA and the fleet live in this process. The service is a process of its own, started with a
//! configuration file like any other, so that it can be killed: then it is started again and finishes.

mod ca;
pub mod first;
mod process;
mod report;
mod stage;
mod verify;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rehearsal::fleet::{DemoFleet, DemoPlan, plan};
use secrecy::ExposeSecret as _;

use super::admin::{USERS, drawn_password};
use super::api_client::{ApiClient, ApiError};
use super::error::CliError;
use super::exit::Exit;
use super::notice::notice;
use super::output::{Format, Output};
use crate::api::imports::ImportReport;
use crate::api::users::{Password, WantedUser};
use crate::store::summary::Summary;
use crate::store::users::{Role, UserView};

pub use self::stage::DemoError;

use self::report::Report;
use self::stage::Stage;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Nothing has moved for this long: something is stuck, and the summary says what.
const STALLED_AFTER: Duration = Duration::from_mins(5);

/// Which CA the demo orders from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CaChoice {
    /// The rehearsal CA: Boulder's manners and limits, with an audit.
    Rehearsal,
    /// Debian's Pebble, which nobody here wrote.
    Pebble,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Sites in the fleet; most have two names. 5 % are broken in ten ways. [env: DOMAINS] [default: 2000]
    #[arg(long, value_name = "N")]
    domains: Option<usize>,
    /// Ends when all is done, with a line of JSON last, and code 0 only if all is well. [env: ONCE=1]
    #[arg(long)]
    once: bool,
    /// The CA to order from. [env: CA] [default: rehearsal]
    #[arg(long, value_enum)]
    ca: Option<CaChoice>,
    /// Draws the fleet: its names, tenants and faults. [env: SEED] [default: 1]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Keeps everything here [default: a temporary folder that is removed].
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// What is to be shown.
#[derive(Debug, Clone)]
struct Wishes {
    domains: usize,
    once: bool,
    ca: CaChoice,
    seed: u64,
    folder: Option<PathBuf>,
}

impl Wishes {
    /// Flags win over the variables that `make demo` hands on; an empty variable is none.
    fn gather(args: &DemoArgs) -> Result<Self, DemoError> {
        let variable = |name: &'static str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let number = |name: &'static str| match variable(name) {
            None => Ok(None),
            Some(text) => text.parse::<u64>().map(Some).map_err(|_| DemoError::Variable { name, text }),
        };
        let ca = match (args.ca, variable("CA")) {
            (Some(ca), _) => ca,
            (None, None) => CaChoice::Rehearsal,
            (None, Some(text)) => {
                CaChoice::from_str(&text, true).map_err(|_| DemoError::Variable { name: "CA", text })?
            }
        };
        let domains = match args.domains {
            Some(domains) => domains,
            None => {
                number("DOMAINS")?.map_or(2_000, |domains| usize::try_from(domains).unwrap_or(usize::MAX))
            }
        };
        Ok(Self {
            domains,
            once: args.once || variable("ONCE").is_some_and(|text| text != "0"),
            ca,
            seed: match args.seed {
                Some(seed) => seed,
                None => number("SEED")?.unwrap_or(1),
            },
            folder: args.folder.clone(),
        })
    }
}

pub(super) async fn run(args: &DemoArgs, output: Output) -> Result<Exit, CliError> {
    let wishes = Wishes::gather(args)?;
    let shutdown = crate::shutdown::listen().map_err(CliError::Signal)?;
    let fleet = plan(DemoPlan::new(wishes.domains, wishes.seed));
    let mut stage = Stage::set(&wishes, fleet.clone()).await?;
    notice(&stage.announcement());
    let shown = tokio::select! {
        shown = show(&mut stage, &fleet, &wishes) => shown,
        () = shutdown.asked.cancelled() => Ok(None),
    };
    let exit = match shown {
        Ok(Some(report)) => {
            let json_wanted = wishes.once || output.format() == Format::Json;
            notice(&report.prose(&stage.places()));
            if !wishes.once {
                notice(&stage.first_certificate());
                notice("The service stays up. Press Ctrl-C to end the demo.");
                stage.watch_until(shutdown.asked.cancelled()).await?;
            }
            if json_wanted {
                output.line(&report)?;
            }
            Ok(if report.is_well() { Exit::Done } else { Exit::Failure })
        }
        Ok(None) => Ok(Exit::Failure),
        Err(error) => Err(error),
    };
    stage.strike().await?;
    exit
}

/// Imports the fleet, follows it to its end, and looks at what came of it. `None` if it stalled.
async fn show(stage: &mut Stage, fleet: &DemoFleet, wishes: &Wishes) -> Result<Option<Report>, CliError> {
    let api = stage.api()?;
    let (name, password) = ("demo", drawn_password());
    let (role, tenant) = (Role::Owner, None);
    let user = WantedUser {
        name: name.to_owned(),
        tenant,
        role,
        sign_in: None,
        password: Some(Password(password.clone())),
    };
    api.post_json::<UserView>(USERS, &user).await?;
    notice(&format!("{}   sign in as {name} with {}", stage.dashboard(), password.expose_secret()));
    let started = Instant::now();
    let report: ImportReport = api.post_csv("/v1/imports", fleet.to_csv().into()).await?;
    notice(&format!("Imported {} sites, {} refused.", report.rows_created, report.rows_refused));
    follow(stage, &api, fleet.broken_sites().count() as u64).await?;
    let seconds = started.elapsed();
    notice("Nothing moves any more. Verifying every chain with a TLS library …");
    let verified = verify::verify(&api, &stage.issuer_roots().await?).await?;
    Report::gather(stage, &api, fleet, wishes, &verified, seconds).await.map(Some)
}

async fn follow(stage: &mut Stage, api: &ApiClient, broken: u64) -> Result<(), CliError> {
    let bar = progress_bar();
    let mut last: Option<(Summary, Instant)> = None;
    let mut quiet = 0;
    loop {
        stage.keep_up().await?;
        let summary: Summary = match api.get("/v1/summary").await {
            Ok(summary) => summary,
            // Killed just now: it is started again, and the numbers come back with it.
            Err(ApiError::Unreachable { .. }) => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            Err(other) => return Err(other.into()),
        };
        show_progress(&bar, &summary);
        quiet = if is_done(&summary, broken) { quiet + 1 } else { 0 };
        if quiet >= 2 {
            bar.finish_and_clear();
            return Ok(());
        }
        match &last {
            Some((before, since)) if *before == summary => {
                if since.elapsed() > STALLED_AFTER {
                    bar.finish_and_clear();
                    notice("Nothing has moved for five minutes: giving up on the rest.");
                    return Ok(());
                }
            }
            _ => last = Some((summary, Instant::now())),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Every order is issued, parked or failed, nothing is left to settle, and no more are parked than sites are
/// broken: a good site that failed because somebody killed the service in the middle of its validation comes
/// back within a minute or so.
fn is_done(summary: &Summary, broken: u64) -> bool {
    let parked: u64 = summary.parked_by_fault.values().sum();
    summary.orders_moving == 0 && summary.open_authorizations == 0 && parked <= broken
}

fn progress_bar() -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {msg}  {elapsed}")
        .expect("the template is a constant that parses");
    ProgressBar::with_draw_target(None, target).with_style(style)
}

fn show_progress(bar: &ProgressBar, summary: &Summary) {
    let at = |stage: &str| summary.orders_by_stage.get(stage).copied().unwrap_or_default();
    let in_flight: u64 = summary.orders_moving - at("accepted").min(summary.orders_moving);
    bar.set_length(summary.orders);
    bar.set_position(summary.orders - summary.orders_moving);
    bar.set_message(format!(
        "issued {}  parked {}  at the CA {}  open authorizations {}",
        at("issued"),
        at("parked"),
        in_flight,
        summary.open_authorizations
    ));
}
