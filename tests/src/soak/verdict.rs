//! The verdict: the CA's books against the service's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use issuance::identifier::Hostname;
use issuance::ids::OrderId;
use issuance::time::Timestamp;
use lockkeeper::keys::{CertificateKey, MasterKey, Sealer};
use rehearsal::audit::{AuthorizationRecord, CertificateRecord, Event};
use rehearsal::fleet::Extent;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use tracing::warn;

use super::SoakPlan;
use super::stage::{BUDGET, Stage};
use super::storm::Damage;

/// What `make soak` prints. Everything is counted over the whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    pub kills: u64,
    pub stops: u64,
    pub terminations: u64,
    pub postgres_restarts: u64,
    pub ca_cuts: u64,
    pub database_cuts: u64,
    /// Workers that ended although nobody had ended them.
    pub exits: u64,
    /// Authorizations that nobody settled: open at the CA now, or expired there while they were open.
    pub leaked: u64,
    /// Authorizations made while as many were pending as the budget allows, and answers 429.
    pub budget_violations: u64,
    /// Certificates that the CA signed and that are not stored with their key, and sites that have none and could.
    pub lost: u64,
    /// Certificates beyond the first for the same names.
    pub duplicates: u64,
    pub certificates: u64,
    /// CA orders.
    pub orders: u64,
    pub sites: u64,
    /// Most authorizations pending at once.
    pub peak_pending: u64,
    /// From a kill until every authorization was settled that was open then; over the kills with such ones.
    pub median_settle_seconds: f64,
    pub p99_settle_seconds: f64,
    /// Of the storm.
    pub seconds: u64,
    pub seed: u64,
}

impl Verdict {
    /// Nothing is forgotten, nothing is over the budget, nothing is lost, and nothing was done twice.
    pub fn is_clean(&self) -> bool {
        [self.leaked, self.budget_violations, self.lost, self.duplicates] == [0; 4]
    }
}

pub(super) async fn reach(stage: &Stage, plan: &SoakPlan, damage: Damage) -> anyhow::Result<Verdict> {
    let lives: Vec<Life> = stage.ca.authorizations(None).iter().filter_map(Life::of).collect();
    let audit = stage.ca.audit();
    let (peak_pending, over) = pending(&lives, u64::from(BUDGET.0));
    let signed = stage.ca.certificates();
    let wanting = wanting(stage).await?;
    for names in &wanting {
        warn!(names, "A site has no certificate");
    }
    let mut settle: Vec<Duration> = damage.kills.iter().filter_map(|at| settled_after(&lives, *at)).collect();
    settle.sort_unstable();
    Ok(Verdict {
        kills: damage.kills.len() as u64,
        stops: damage.stops,
        terminations: damage.terminations,
        postgres_restarts: damage.postgres_restarts,
        ca_cuts: damage.ca_cuts,
        database_cuts: damage.database_cuts,
        exits: damage.exits,
        leaked: leaked(&lives),
        budget_violations: over + audit.rate_limited,
        lost: without_key(stage, &signed).await? + wanting.len() as u64,
        duplicates: duplicates(&signed),
        certificates: signed.len() as u64,
        orders: audit.orders,
        sites: stage.sites().len() as u64,
        peak_pending,
        median_settle_seconds: quantile(&settle, 0.5),
        p99_settle_seconds: quantile(&settle, 0.99),
        seconds: damage.lasted.as_secs(),
        seed: plan.seed,
    })
}

/// The sets of names that could have a certificate and have none.
pub(super) async fn wanting(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let rows = sqlx::query("select names from issued_certificates").fetch_all(stage.store.pool()).await?;
    let issued: HashSet<String> =
        rows.iter().map(|row| Ok(set(row.try_get::<Vec<String>, _>(0)?))).collect::<sqlx::Result<_>>()?;
    let possible = stage.sites().iter().filter_map(|site| {
        let names = match site.damage.map(|damage| damage.extent) {
            None => &site.names[..],
            // The apex gets one of its own.
            Some(Extent::Name(1)) => &site.names[..1],
            Some(Extent::Name(_) | Extent::WholeSite) => return None,
        };
        Some(set(names.iter().map(Hostname::to_string).collect()))
    });
    Ok(possible.filter(|names| !issued.contains(names)).collect())
}

fn set(mut names: Vec<String>) -> String {
    names.sort_unstable();
    names.join(" ")
}

/// Signed by the CA, and not stored with the key it was signed for.
async fn without_key(stage: &Stage, signed: &[CertificateRecord]) -> anyhow::Result<u64> {
    let sealer = Sealer::new(&MasterKey::load(&stage.master_key())?);
    let rows = sqlx::query(
        "select order_id, chain_pem, key_sealed, csr_received_at is not null or deleted_at is not null
         from issued_certificates join certificates using (certificate_id)",
    )
    .fetch_all(stage.store.pool())
    .await?;
    let mut keys = HashMap::new();
    for row in rows {
        let order = OrderId(row.try_get(0)?);
        let (chain, key): (String, Option<Vec<u8>>) = (row.try_get(1)?, row.try_get(2)?);
        let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).context("a chain is stored as PEM")?;
        let public = match key {
            Some(key) => {
                let key = sealer.open(&format!("orders/{order}/key"), &key)?;
                CertificateKey::from_pkcs8(key.expose_secret())?.spki_sha256()
            }
            // Its owner keeps the key, or it was erased with the certificate.
            None if row.try_get(3)? => {
                let (_, parsed) = x509_parser::parse_x509_certificate(&leaf)?;
                Sha256::digest(parsed.public_key().raw).into()
            }
            None => continue,
        };
        keys.insert(leaf.to_vec(), public);
    }
    let mut without = 0;
    for certificate in signed {
        let (_, leaf) = x509_parser::parse_x509_certificate(&certificate.der)?;
        let public: [u8; 32] = Sha256::digest(leaf.public_key().raw).into();
        if keys.get(&certificate.der) != Some(&public) {
            warn!(names = ?certificate.names, "A certificate is not stored with its key");
            without += 1;
        }
    }
    Ok(without)
}

fn duplicates(signed: &[CertificateRecord]) -> u64 {
    let mut times: BTreeMap<String, u64> = BTreeMap::new();
    for certificate in signed {
        *times.entry(set(certificate.names.clone())).or_default() += 1;
    }
    for (names, times) in times.iter().filter(|(_, times)| **times > 1) {
        warn!(names, times, "Certified more than once");
    }
    times.values().map(|times| times - 1).sum()
}

/// What became of an authorization that was pending once.
#[derive(Debug, Clone, Copy)]
struct Life {
    created: Timestamp,
    /// Submitted or deactivated: nobody has to think of it any more.
    settled: Option<Timestamp>,
    /// It counts as pending until then.
    ended: Option<Timestamp>,
    expired_open: bool,
}

impl Life {
    fn of(record: &AuthorizationRecord) -> Option<Self> {
        let first = |wanted: &[Event]| {
            record.history.iter().find(|line| wanted.contains(&line.event)).map(|line| line.at)
        };
        let created = first(&[Event::Created])?;
        let settled = first(&[Event::Submitted, Event::DeactivatedWhilePending]);
        let ended = first(&[Event::Validated, Event::Failed, Event::DeactivatedWhilePending, Event::Expired]);
        let expired_open = settled.is_none() && ended.is_some();
        Some(Self { created, settled, ended, expired_open })
    }
}

fn leaked(lives: &[Life]) -> u64 {
    lives.iter().filter(|life| life.expired_open || life.settled.is_none()).count() as u64
}

/// The most that were pending at once, and how many were made beyond `budget`.
fn pending(lives: &[Life], budget: u64) -> (u64, u64) {
    // Of one instant, ends first: the CA does one thing after the other.
    let mut changes: Vec<(Timestamp, bool)> = lives.iter().map(|life| (life.created, true)).collect();
    changes.extend(lives.iter().filter_map(|life| Some((life.ended?, false))));
    changes.sort_unstable();
    let (mut now, mut peak, mut over) = (0_u64, 0, 0);
    for (_, begins) in changes {
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        peak = peak.max(now);
        over += u64::from(begins && now > budget);
    }
    (peak, over)
}

/// `None` where nothing was open then.
fn settled_after(lives: &[Life], kill: Timestamp) -> Option<Duration> {
    let open = lives.iter().filter(|life| life.created <= kill && life.settled.is_none_or(|at| at > kill));
    // What never was settled counts with its end; it shows as leaked.
    open.filter_map(|life| life.settled.or(life.ended)).map(|at| kill.until(at)).max()
}

/// In seconds; 0 of nothing.
fn quantile(sorted: &[Duration], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    let found = sorted.get((last * part).round() as usize);
    (found.map_or(0.0, Duration::as_secs_f64) * 1_000.0).round() / 1_000.0
}
