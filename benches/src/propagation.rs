//! Records that spread over their zones' servers at random, watched in virtual time: looks are real questions to real
//! sockets, and what lies between two looks takes no time.
//!
//! The judge is not the watcher: whenever it would have a CA look, the fleet's resolver is asked, which answers as the
//! server that is furthest behind.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use issuance::propagation::{Next, Pace, ProviderWord, Watch};
use issuance::settling::Settling;
use issuance::time::{Clock, Timestamp};
use lockkeeper::challenge::address::AddressPolicy;
use lockkeeper::challenge::propagation::{Propagation, PropagationConfig, PropagationReport};
use lockkeeper::challenge::resolver::{NameResolver, ResolverConfig};
use lockkeeper::clock::DrivenClock;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rehearsal::fleet::{Fleet, FleetConfig, ZonePlan};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// 2027-01-01T00:00:00Z.
const START: Timestamp = Timestamp::from_unix_seconds(1_798_761_600);
/// Authoritative servers of the fleet; a zone has two to four of them.
const SERVERS: u8 = 8;
const NAMES_PER_ZONE: usize = 20;
/// Looks at once.
const AT_ONCE: usize = 64;
/// For the judge's own question; loopback answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is played.
#[derive(Debug, Clone, Copy)]
pub struct Play {
    pub names: usize,
    /// The most that a server is behind; each is behind each name by a draw of its own.
    pub lag_max: Duration,
    /// Within which the names are published.
    pub published_within: Duration,
    /// The most that a machine is behind which nobody but a CA can see. Zero: there is none.
    pub hidden_lag_max: Duration,
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Outcome {
    pub names: usize,
    /// The CA would have seen the record.
    pub validated: usize,
    /// It would not have, at some attempt; each attempt counts.
    pub failed: usize,
    /// Not visible in time: nothing was submitted.
    pub given_up: usize,
    pub looks: u64,
    /// Questions to a recursive resolver about a name that was not everywhere yet.
    pub early_questions: u64,
    /// Seconds from when the last server had the record to the submission.
    pub late_median_seconds: f64,
    pub late_p99_seconds: f64,
    pub late_max_seconds: f64,
    /// Seconds from publication to when the last server had it.
    pub spread_median_seconds: f64,
    pub took_seconds: f64,
}

struct Record {
    name: String,
    value: String,
    lags: Vec<Duration>,
    published_at: Timestamp,
    watch: Watch,
}

impl Record {
    fn everywhere_at(&self) -> Timestamp {
        let lag = self.lags.iter().take(SERVERS.into()).max().copied().unwrap_or_default();
        self.published_at.after(lag)
    }
}

/// Plays it through.
pub async fn play(play: Play) -> Result<Outcome> {
    let started = std::time::Instant::now();
    let clock = Arc::new(DrivenClock::starting_at(START));
    let fleet = Fleet::start(FleetConfig {
        name_servers: SERVERS,
        clock: Some(Arc::clone(&clock) as Arc<dyn Clock>),
        ..FleetConfig::new((Ipv4Addr::LOCALHOST, 9).into())
    });
    let fleet = fleet.await.context("a fleet")?;
    let propagation = propagation(fleet.dns_addr())?;
    let mut records = records(&fleet, &play);

    let mut due: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        due.entry(record.published_at).or_default().push(place);
    }
    let mut settled: BTreeMap<String, Settling> = BTreeMap::new();
    let mut outcome = Outcome { names: records.len(), ..Outcome::default() };
    let (mut late, mut spread) = (Vec::new(), Vec::new());
    while let Some((now, places)) = due.pop_first() {
        clock.advance_to(now);
        for &place in &places {
            let record = &records[place];
            if record.published_at == now {
                fleet.publish_txt(&record.name, &[&record.value], &record.lags);
            }
        }
        let looks: Vec<(usize, PropagationReport)> =
            stream::iter(places)
                .map(|place| {
                    let (propagation, record) = (&propagation, &records[place]);
                    async move {
                        (place, propagation.look(&record.name, std::slice::from_ref(&record.value)).await)
                    }
                })
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
        outcome.looks += u64::try_from(looks.len()).unwrap_or_default();
        for (place, report) in looks {
            let record = &mut records[place];
            let servers = settled.entry(report.server_set()).or_default();
            let (watch, next) =
                record.watch.after(report.round, ProviderWord::Silent, servers.delay, &Pace::default(), now);
            record.watch = watch;
            let again = match next {
                // Whole seconds, so that many are looked at side by side.
                Next::LookAgain(at) => Some(Timestamp::from_unix_seconds(at.unix_seconds() + 1)),
                Next::GiveUp => {
                    outcome.given_up += 1;
                    None
                }
                Next::Submit { .. } if ca_sees(fleet.dns_addr(), &record.name, &record.value).await? => {
                    *servers = servers.after_success();
                    outcome.validated += 1;
                    late.push(record.everywhere_at().until(now).as_secs_f64());
                    spread.push(record.published_at.until(record.everywhere_at()).as_secs_f64());
                    None
                }
                Next::Submit { green_for } => {
                    *servers = servers.after_failure(green_for);
                    outcome.failed += 1;
                    record.watch = Watch::begin(now);
                    Some(now.after(Duration::from_mins(1)))
                }
            };
            if let Some(at) = again {
                due.entry(at).or_default().push(place);
            }
        }
    }
    outcome.early_questions = records.iter().map(|record| fleet.early_questions(&record.name)).sum();
    [outcome.late_median_seconds, outcome.late_p99_seconds, outcome.late_max_seconds] =
        [0.5, 0.99, 1.0].map(|share| quantile(&mut late, share));
    outcome.spread_median_seconds = quantile(&mut spread, 0.5);
    outcome.took_seconds = started.elapsed().as_secs_f64();
    fleet.stop().await;
    ensure!(outcome.validated + outcome.given_up == outcome.names, "a name got lost: {outcome:?}");
    Ok(outcome)
}

fn propagation(dns: SocketAddr) -> Result<Propagation> {
    let resolvers = ResolverConfig { servers: vec![dns], ..ResolverConfig::default() };
    let resolver = Arc::new(NameResolver::new(&resolvers)?);
    let allowed = vec!["127.0.0.0/8".parse()?];
    // What a crowded machine drops of loopback is asked again soon: all looks of an instant wait for the slowest.
    let (timeout, tries) = (Duration::from_millis(500), 4);
    let config = PropagationConfig { port: dns.port(), timeout, tries, ..PropagationConfig::default() };
    Ok(Propagation::new(&config, resolver, Arc::new(AddressPolicy { allowed, expected: Vec::new() })))
}

/// Hosts of zones, each zone at a few of the servers.
fn records(fleet: &Fleet, play: &Play) -> Vec<Record> {
    let mut draws = StdRng::seed_from_u64(play.seed);
    let mut records = Vec::with_capacity(play.names);
    let mut servers: Vec<u8> = Vec::new();
    for place in 0..play.names {
        let zone = format!("site-{}.com", place / NAMES_PER_ZONE);
        if place % NAMES_PER_ZONE == 0 {
            let first = draws.random_range(0..SERVERS);
            servers = (0..draws.random_range(2..=4_u8)).map(|next| (first + next) % SERVERS + 1).collect();
            let provider = Some(format!("provider-{first}.net"));
            fleet.set_zone(&zone, ZonePlan { servers_in: provider, ..ZonePlan::of(&servers) });
        }
        let mut lag = |max: Duration| max.mul_f64(draws.random::<f64>());
        let lag_of = |number| if servers.contains(&number) { lag(play.lag_max) } else { Duration::ZERO };
        let mut lags: Vec<Duration> = (1..=SERVERS).map(lag_of).collect();
        if !play.hidden_lag_max.is_zero() {
            let seen = lags.iter().max().copied().unwrap_or_default();
            lags.push(seen + lag(play.hidden_lag_max));
        }
        let within = i64::try_from(play.published_within.as_secs()).unwrap_or(1).max(1);
        let published_at = START.after(Duration::from_secs(draws.random_range(0..within).unsigned_abs()));
        records.push(Record {
            name: format!("_acme-challenge.h{place}.{zone}"),
            value: format!("value-of-{place}"),
            lags,
            published_at,
            watch: Watch::begin(published_at),
        });
    }
    records
}

/// Asks as a CA does: a resolver.
async fn ca_sees(resolver: SocketAddr, name: &str, value: &str) -> Result<bool> {
    let mut question = Message::new(1, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(format!("{name}."))?, RecordType::TXT));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(resolver).await?;
    socket.send(&question.to_vec()?).await?;
    let mut buffer = [0; 1500];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.context("the resolver is silent")??;
    let answer = Message::from_vec(&buffer[..length])?;
    let shows = |data: &RData| matches!(data, RData::TXT(text) if text.txt_data.concat() == value.as_bytes());
    Ok(answer.answers.iter().any(|record| shows(&record.data)))
}

fn quantile(figures: &mut [f64], share: f64) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let last = figures.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list that is there"
    )]
    let place = (last as f64 * share).round() as usize;
    figures.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(names: usize) -> Play {
        Play {
            names,
            lag_max: Duration::from_mins(2),
            published_within: Duration::from_mins(2),
            hidden_lag_max: Duration::ZERO,
            seed: 7,
        }
    }

    /// The promise, scaled down: no validation of a good zone fails, and none waits much longer than it must.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn records_that_spread_at_random_are_submitted_soon_after_they_are_everywhere() {
        let outcome = play(scene(200)).await.expect("played");
        assert_eq!((outcome.validated, outcome.failed, outcome.given_up), (200, 0, 0), "{outcome:?}");
        assert_eq!(outcome.early_questions, 0, "{outcome:?}");
        assert!(outcome.late_median_seconds <= 10.0, "{outcome:?}");
        assert!(outcome.spread_median_seconds > 60.0, "the play is not trivial: {outcome:?}");
    }

    /// Machines that nobody can look at fail some validations, and teach how long to wait for them.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_cannot_be_seen_is_learnt() {
        let hidden = Play {
            hidden_lag_max: Duration::from_mins(1),
            published_within: Duration::from_hours(2),
            ..scene(200)
        };
        let outcome = play(hidden).await.expect("played");
        assert_eq!((outcome.validated, outcome.given_up), (200, 0), "{outcome:?}");
        // Without the lessons nine of ten fail, since green lasts 5 s and the machines lag by up to 60.
        assert!((1..60).contains(&outcome.failed), "{outcome:?}");
    }
}
