//! What came of it, against what was planned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use issuance::fault::FailureClass;
use rehearsal::fleet::{Damage, DemoFleet, Fault};
use serde::Serialize;

use crate::cli::api_client::ApiClient;
use crate::cli::error::CliError;
use crate::cli::listing;
use crate::store::orders_view::OrderView;
use crate::store::summary::Summary;

use super::stage::{Places, Stage};
use super::verify::{CaRequests, ca_requests};
use super::{CaChoice, Wishes};

/// The demo's result; its field names are what scripts read.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) domains: usize,
    pub(super) seed: u64,
    pub(super) ca: &'static str,
    /// Sites without a fault.
    good: usize,
    /// Of these, how many have a certificate.
    issued: usize,
    /// Of these, how many hold one that a TLS library verifies for every name.
    verified: usize,
    /// Sites with a fault on one name or on all.
    broken: usize,
    /// Orders that wait for somebody to mend something, by cause.
    parked: BTreeMap<String, u64>,
    /// Broken sites parked for another cause than theirs, or not at all.
    wrong_causes: Vec<String>,
    names_good: usize,
    names_verified: usize,
    certificates: u64,
    /// Exact sets that the CA has certified more than once.
    duplicate_certificates: Option<u64>,
    open_authorizations: u64,
    /// The most authorizations that were open at once, as the CA counted them.
    peak_open_authorizations: Option<u64>,
    rate_limited: u64,
    seconds: f64,
    certificates_per_second: f64,
    ca_requests: u64,
    service_restarts: u32,
}

impl Report {
    pub(super) async fn gather(
        stage: &Stage,
        api: &ApiClient,
        fleet: &DemoFleet,
        wishes: &Wishes,
        verified: &BTreeSet<String>,
        took: Duration,
    ) -> Result<Self, CliError> {
        let summary: Summary = api.get("/v1/summary").await?;
        let only_parked = [("stage", Some("parked".to_owned()))];
        let parked: Vec<OrderView> = listing::fetch_all(api, "/v1/orders", &only_parked).await?;
        let good: Vec<_> = fleet.good_sites().collect();
        let is_verified = |name: &issuance::identifier::Hostname| verified.contains(name.as_str());
        let names_good: BTreeSet<String> = fleet.good_names().map(ToString::to_string).collect();
        let audit = stage.audit();
        let counted = match &audit {
            Some(audit) => {
                CaRequests { total: audit.requests.values().sum(), rate_limited: audit.rate_limited }
            }
            None => ca_requests(stage.places().metrics).await?,
        };
        let seconds = took.as_secs_f64();
        Ok(Self {
            domains: wishes.domains,
            seed: wishes.seed,
            ca: match wishes.ca {
                CaChoice::Rehearsal => "rehearsal",
                CaChoice::Pebble => "pebble",
            },
            good: good.len(),
            issued: good.iter().filter(|site| site.names.iter().any(is_verified)).count(),
            verified: good.iter().filter(|site| site.names.iter().all(is_verified)).count(),
            broken: fleet.broken_sites().count(),
            wrong_causes: wrong_causes(fleet, &parked),
            parked: summary.parked_by_fault,
            names_verified: names_good.intersection(verified).count(),
            names_good: names_good.len(),
            certificates: summary.certificates_issued,
            duplicate_certificates: audit.as_ref().map(|audit| audit.duplicate_certificates),
            open_authorizations: audit
                .as_ref()
                .map_or(summary.open_authorizations, |audit| audit.authorizations.open),
            peak_open_authorizations: audit.as_ref().map(|audit| audit.peak_open),
            rate_limited: counted.rate_limited,
            seconds: (seconds * 1_000.0).round() / 1_000.0,
            certificates_per_second: (summary.certificates_issued as f64 / seconds * 10.0).round() / 10.0,
            ca_requests: counted.total,
            service_restarts: stage.restarts(),
        })
    }

    /// Every good name has a certificate that verifies, every broken site is parked for its own fault, and
    /// nothing is left open.
    pub(super) fn is_well(&self) -> bool {
        self.verified == self.good
            && self.names_verified == self.names_good
            && self.wrong_causes.is_empty()
            && self.open_authorizations == 0
            && self.rate_limited == 0
            && self.duplicate_certificates.unwrap_or(0) == 0
    }

    pub(super) fn prose(&self, places: &Places) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "\nIssued and verified   {} of {} good sites ({} of {} names)",
            self.verified, self.good, self.names_verified, self.names_good
        );
        let _ = writeln!(text, "Parked                {} broken sites", self.broken);
        for (cause, orders) in &self.parked {
            let advice = FailureClass::parse(cause).map_or("", FailureClass::advice);
            let _ = writeln!(text, "  {orders:>4}  {cause:<20} {advice}");
        }
        for wrong in &self.wrong_causes {
            let _ = writeln!(text, "  WRONG CAUSE  {wrong}");
        }
        let _ = writeln!(text, "Open authorizations   {}", self.open_authorizations);
        if let Some(peak) = self.peak_open_authorizations {
            let _ = writeln!(text, "  at the most         {peak} at once");
        }
        let _ = writeln!(text, "429 from the CA       {}", self.rate_limited);
        let _ = writeln!(
            text,
            "Took                  {:.1} s, {:.1} certificates/s, {} requests to the CA",
            self.seconds, self.certificates_per_second, self.ca_requests
        );
        let program = places.program.display();
        let config = places.config.display();
        let _ = writeln!(text, "\nWhere to look next");
        for command in ["cert list --status parked", "authz list --open", "headroom"] {
            let _ = writeln!(text, "  {program} --config {config} --api http://{} {command}", places.api);
        }
        if let Some(audit) = &places.audit {
            let _ = writeln!(text, "  {audit}   the CA's own books");
        }
        let _ = writeln!(text, "  http://{}/metrics", places.metrics);
        let _ = write!(text, "  {}", places.log.display());
        text
    }
}

fn wrong_causes(fleet: &DemoFleet, parked: &[OrderView]) -> Vec<String> {
    fleet
        .broken_sites()
        .filter_map(|(site, damage)| {
            let expected = class_of(damage)?;
            let names: BTreeSet<&str> =
                site.names.iter().map(issuance::identifier::Hostname::as_str).collect();
            let order =
                parked.iter().find(|order| order.names.iter().all(|name| names.contains(name.as_str())));
            let found = order.and_then(|order| order.fault.as_ref()).map(|fault| fault.class);
            (found != Some(expected)).then(|| {
                let found = found.map_or("not parked", FailureClass::as_str);
                format!("{}: {} is shown as {found}", site.external_id, damage.fault)
            })
        })
        .collect()
}

/// The failure class in which each of the demo's faults must end.
fn class_of(damage: Damage) -> Option<FailureClass> {
    Some(match damage.fault {
        // The apex is what is registered.
        Fault::Nxdomain if damage.fault_at(0).is_some() => FailureClass::DnsUnregistered,
        Fault::Nxdomain => FailureClass::DnsNxdomain,
        Fault::Servfail => FailureClass::DnsServfail,
        Fault::NoAddress => FailureClass::DnsNoAddress,
        Fault::WrongAddress => FailureClass::WrongAddress,
        Fault::Refused => FailureClass::ConnectionRefused,
        Fault::Timeout => FailureClass::ConnectionTimeout,
        Fault::NotFound => FailureClass::HttpStatus,
        Fault::WrongBody => FailureClass::WrongContent,
        Fault::RedirectLoop => FailureClass::Redirect,
        Fault::Slow => FailureClass::SlowResponse,
        _ => return None,
    })
}
