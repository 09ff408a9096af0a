use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use issuance::exemption::Exemptions;
use issuance::fairness::Lane;
use issuance::identifier::Hostname;
use issuance::ids::AccountId;
use issuance::time::{Clock as _, Timestamp};
use serde::Serialize;

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::import;
use super::notice::notice;
use super::output::{Format, Output};
use crate::adopt::csv::{Parsed, Row, RowFault, Rows};
use crate::api::headroom::Fleet;
use crate::api::headroom::answer::{ForecastAnswer, SiteFinish};
use crate::api::headroom::forecast::{Assumptions, ForecastRequest, SITES_MAX, WantedSite};
use crate::clock::SystemClock;
use crate::config::ca_profile;
use crate::store::forecast::Known;

mod table;

const PATH: &str = "/v1/headroom/forecast";
const HOUR: u64 = 3_600;

/// Tells beforehand how long an import takes: for each site whether the CA counts it, what it waits for and when it
/// is done, and which overrides would help. Asks nobody, unless --account is given.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The sites, as `import csv` takes them. Absent, with --account: what is queued.
    pub file: Option<PathBuf>,
    /// A built-in CA profile, or the path of a file with one; with --account it is the service's.
    #[arg(long, value_name = "PROFILE", default_value = "letsencrypt")]
    pub ca: String,
    /// Begins with the account of the service at --api as it stands: its buckets, what it has issued, what is queued.
    /// Its id, or `current`.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<WhichAccount>,
    /// Finds the overrides with which all is done in so many hours; may be given more than once.
    #[arg(long = "within", value_name = "HOURS", default_values_t = [24])]
    pub within_hours: Vec<u64>,
    /// Orders in hand at once, over all replicas.
    #[arg(long, value_name = "N")]
    pub workers: Option<u32>,
    /// How long one order is in hand.
    #[arg(long, value_name = "SECONDS")]
    pub order_seconds: Option<f64>,
    /// The share of sites, from 0 to 1, that get no certificate for all of their names before somebody has repaired
    /// them.
    #[arg(long, value_name = "SHARE")]
    pub broken_share: Option<f64>,
    /// The share of those that preflight does not see.
    #[arg(long, value_name = "SHARE")]
    pub hidden_share: Option<f64>,
    /// The share of the others with more than one name of which some name is good and gets a certificate.
    #[arg(long, value_name = "SHARE")]
    pub partial_share: Option<f64>,
    /// Every site had a certificate for just these names, by whomever, issued at this instant (RFC 3339); not with
    /// --account.
    #[arg(long, value_name = "INSTANT", conflicts_with = "account", value_parser = instant)]
    pub issued_at: Option<Timestamp>,
    /// The same seed, the same answer.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Prints each site as CSV, and nothing else.
    #[arg(long)]
    pub csv: bool,
}

/// The account to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichAccount {
    /// The one that the service orders from.
    Current,
    Id(AccountId),
}

impl std::str::FromStr for WhichAccount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "current" {
            return Ok(Self::Current);
        }
        text.parse().map(Self::Id).map_err(|error| format!("{error}, or current"))
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    let quoted = serde_json::Value::from(text);
    serde_json::from_value(quoted).map_err(|error| error.to_string())
}

/// One site of the file, with what is foretold of it.
#[derive(Debug, Serialize)]
struct PlannedSite {
    line: u64,
    tenant: String,
    external_id: String,
    names: Vec<String>,
    #[serde(flatten)]
    finish: SiteFinish,
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Plan {
    #[serde(flatten)]
    answer: ForecastAnswer,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sites: Vec<PlannedSite>,
    rows_refused: u64,
}

/// Ends as `Done` if every row is planned, `Partial` if some were refused, `Failure` if all were. `api` is the service
/// whose account is meant.
pub async fn run(args: &PlanArgs, api: Option<&ApiClient>, output: Output) -> Result<Exit, CliError> {
    let assumptions = args.assumptions();
    assumptions.check().map_err(|what| CliError::Plan { what })?;
    let service = args.account.zip(api);
    let Some(path) = &args.file else {
        let Some((which, api)) = service else {
            let what = "give a file, or --account for what is queued".to_owned();
            return Err(CliError::Plan { what });
        };
        let request = ForecastRequest { sites: None, assumptions };
        let answer: ForecastAnswer = api.post_json(PATH, &request).await?;
        return show(answer, &Planned::default(), Some(which), args, output);
    };
    let profile = ca_profile::load(&args.ca)?;
    let planned = Planned::read(path, import::read(path)?, profile.names_max)?;
    if planned.rows.is_empty() && planned.rows_refused > 0 {
        return Ok(Exit::Failure);
    }
    let Some((which, api)) = service else {
        let known = Known::nothing(&profile);
        let fleet = planned.fleet(args.issued_at);
        let answer = fleet.forecast(&known, &profile, &assumptions, SystemClock.now());
        return show(answer, &planned, None, args, output);
    };
    if planned.rows.len() > SITES_MAX {
        let what = format!(
            "a service plans {SITES_MAX} sites at the most: split the file, or plan without --account"
        );
        return Err(CliError::Plan { what });
    }
    let request = ForecastRequest { sites: Some(planned.wanted()), assumptions };
    let answer: ForecastAnswer = api.post_json(PATH, &request).await?;
    show(answer, &planned, Some(which), args, output)
}

impl WhichAccount {
    fn is(self, answer: &ForecastAnswer) -> bool {
        match self {
            Self::Current => true,
            Self::Id(id) => answer.account_id == Some(id),
        }
    }
}

impl PlanArgs {
    fn assumptions(&self) -> Assumptions {
        Assumptions {
            workers: self.workers,
            order_seconds: self.order_seconds,
            broken_share: self.broken_share,
            hidden_share: self.hidden_share,
            partial_share: self.partial_share,
            within_seconds: self.within_hours.iter().map(|hours| hours.saturating_mul(HOUR)).collect(),
            seed: self.seed,
        }
    }
}

/// The rows of the file that an import would take.
#[derive(Debug, Default)]
struct Planned {
    rows: Vec<Row>,
    rows_refused: u64,
}

impl Planned {
    fn read(path: &Path, file: Bytes, names_max: u32) -> Result<Self, CliError> {
        let rows = Rows::new(file, names_max)
            .map_err(|source| CliError::ImportFile { path: path.to_owned(), source })?;
        let mut planned = Self::default();
        for parsed in rows {
            match parsed {
                Parsed::Row(row) => planned.rows.push(*row),
                Parsed::Repeat { .. } => {}
                Parsed::Refused(faults) => {
                    planned.rows_refused += 1;
                    for fault in &faults {
                        tell(path, fault);
                    }
                }
            }
        }
        Ok(planned)
    }

    fn fleet(&self, issued_at: Option<Timestamp>) -> Fleet {
        let exemptions = issued_at.map_or(Exemptions::NONE, Exemptions::of_set);
        let mut fleet = Fleet::default();
        for row in &self.rows {
            fleet.add(&row.tenant, row.names.clone(), Lane::Bulk, exemptions);
        }
        fleet
    }

    fn wanted(&self) -> Vec<WantedSite> {
        let wanted = |row: &Row| WantedSite {
            names: row.names.iter().map(Hostname::to_string).collect(),
            tenant: Some(row.tenant.clone()),
            lane: None,
        };
        self.rows.iter().map(wanted).collect()
    }

    fn with<'a>(&'a self, answer: &'a ForecastAnswer) -> impl Iterator<Item = (&'a Row, &'a SiteFinish)> {
        self.rows.iter().zip(&answer.sites)
    }
}

/// As compilers do it, so that an editor can jump there.
fn tell(path: &Path, fault: &RowFault) {
    notice(&format!("{}:{}:{}: {}", path.display(), fault.line, fault.column, fault.detail));
}

fn show(
    answer: ForecastAnswer,
    planned: &Planned,
    which: Option<WhichAccount>,
    args: &PlanArgs,
    output: Output,
) -> Result<Exit, CliError> {
    if which.is_some_and(|which| !which.is(&answer)) {
        notice("the service orders from another account: its headroom tells which");
        return Ok(Exit::NotFound);
    }
    if args.csv {
        output.text(&table::csv(planned.with(&answer)))?;
    } else {
        match output.format() {
            Format::Json => {
                let sites = planned.with(&answer).map(PlannedSite::of).collect();
                let answer = ForecastAnswer { sites: Vec::new(), ..answer };
                output.json(&Plan { answer, sites, rows_refused: planned.rows_refused })?;
            }
            Format::Table => output.text(&table::text(&answer, planned.with(&answer)))?,
        }
    }
    Ok(if planned.rows_refused > 0 { Exit::Partial } else { Exit::Done })
}

impl PlannedSite {
    fn of((row, finish): (&Row, &SiteFinish)) -> Self {
        Self {
            line: row.line,
            tenant: row.tenant.clone(),
            external_id: row.external_id.clone(),
            names: row.names.iter().map(Hostname::to_string).collect(),
            finish: finish.clone(),
        }
    }
}
