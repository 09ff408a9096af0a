//! The configured providers: which one a record belongs to, and how much is asked of each at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use issuance::time::Clock;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;

use super::cloud::{self, Cloud, CloudSetUpError};
use super::exec::{EnvironmentError, Exec};
use super::health::{Health, Turn};
use super::instruments::ProviderInstruments;
use super::presenter::{Change, PresentError, Presenter};
use super::record_name::{RecordName, RecordNameError};
use super::rfc2136::{self, Rfc2136, TsigKeyError};
use super::secret::{self, SecretError};
use crate::config::{AuthorityConfig, Dns01Config, Dns01Provider};

/// The word that our own zone goes by among the providers.
pub const AUTHORITY: &str = "authority";

/// Whoever waits for a provider holds a place that others could use: no more than so many do, and the rest come back.
const QUEUE_PER_SEAT: usize = 4;

/// Where `PowerDNS` keeps the only server that it has.
const POWERDNS_SERVER: &str = "localhost";

/// One provider.
#[derive(Debug)]
pub struct Provider {
    pub name: String,
    zones: Vec<RecordName>,
    tenants: Vec<String>,
    presenter: Box<dyn Presenter>,
    seats: Semaphore,
    /// Those that have a seat or wait for one.
    queue: Semaphore,
    pace: Option<DefaultDirectRateLimiter>,
    /// For a write, the wait for its turn included.
    timeout: Duration,
    health: Health,
    instruments: ProviderInstruments,
}

/// All of them.
#[derive(Debug)]
pub struct Providers {
    providers: Vec<Arc<Provider>>,
    clock: Arc<dyn Clock>,
}

/// Why a provider cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("[[dns01.provider]] {provider}: {fault}")]
pub struct ProviderSetUpError {
    pub provider: String,
    #[source]
    pub fault: ProviderFault,
}

#[derive(Debug, thiserror::Error)]
pub enum ProviderFault {
    #[error("there is no type {kind:?}: write {known}")]
    Kind { kind: String, known: String },
    #[error("its type needs the key `{key}`")]
    Missing { key: &'static str },
    #[error("its type has no use for the key `{key}`")]
    Useless { key: &'static str },
    #[error("write a name of 1 to 32 lower-case letters, digits and hyphens, and no other provider's")]
    Name,
    #[error("name at least one zone")]
    NoZone,
    #[error(transparent)]
    Zone(#[from] RecordNameError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Key(#[from] TsigKeyError),
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Cloud(#[from] CloudSetUpError),
}

impl Providers {
    /// `clock` rules what is remembered of a provider's health, `machine` what is signed for another machine to check.
    pub fn new(
        config: &Dns01Config,
        authority: &AuthorityConfig,
        clock: Arc<dyn Clock>,
        machine: &Arc<dyn Clock>,
    ) -> Result<Self, ProviderSetUpError> {
        let mut providers: Vec<Arc<Provider>> = Vec::new();
        for one in &config.provider {
            let taken = one.name == AUTHORITY || providers.iter().any(|other| other.name == one.name);
            let made = if taken { Err(ProviderFault::Name) } else { Provider::of(one, machine) };
            let made = made.map_err(|fault| ProviderSetUpError { provider: one.name.clone(), fault })?;
            providers.push(Arc::new(made));
        }
        if let Some(zone) = &authority.zone {
            let own = RecordName::parse(zone)
                .map_err(|fault| ProviderSetUpError { provider: AUTHORITY.into(), fault: fault.into() })?;
            providers.push(Arc::new(Provider::own(own)));
        }
        Ok(Self { providers, clock })
    }

    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// Whether some are for certain tenants only.
    pub fn ask_for_tenants(&self) -> bool {
        self.providers.iter().any(|one| !one.tenants.is_empty())
    }

    pub fn named(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|one| one.name == name)
    }

    /// Who serves the record for that tenant, and in which of its zones: the longest that holds it. Of two with the same
    /// zone, the one that is for this tenant.
    pub fn serving(&self, owner: &RecordName, tenant: Option<&str>) -> Option<(&Arc<Provider>, &RecordName)> {
        let for_tenant =
            |one: &Provider| tenant.is_some_and(|tenant| one.tenants.iter().any(|own| own == tenant));
        self.providers
            .iter()
            .filter(|one| one.tenants.is_empty() || for_tenant(one))
            .flat_map(|one| one.zones.iter().map(move |zone| (one, zone)))
            .filter(|(_, zone)| owner.is_in(zone))
            .max_by_key(|(one, zone)| (zone.as_str().len(), for_tenant(one)))
    }

    /// Our own zone, if one is served.
    pub fn own_zone(&self) -> Option<&RecordName> {
        self.named(AUTHORITY).and_then(|own| own.zones.first())
    }

    /// Whether the provider may be counted on, or has failed too often.
    pub fn turn(&self, provider: &Provider) -> Turn {
        provider.health.turn(self.clock.now())
    }

    /// Writes through `provider`, when its turn comes. `room`: how long all of it may take.
    pub async fn write(
        &self,
        provider: &Provider,
        zone: &RecordName,
        changes: &[Change],
        room: Duration,
    ) -> Result<(), PresentError> {
        let Ok(_place) = provider.queue.try_acquire() else { return Err(PresentError::Busy) };
        let within = provider.timeout.min(room);
        let started = Instant::now();
        let written = tokio::time::timeout(within, async {
            let _seat = provider.seats.acquire().await;
            if let Some(pace) = &provider.pace {
                pace.until_ready().await;
            }
            provider.presenter.write(zone, changes).await
        });
        let outcome = written.await.unwrap_or(Err(PresentError::Timeout { within }));
        provider.instruments.wrote(outcome.as_ref().err(), changes, started.elapsed());
        let ails = provider.health.note(outcome.is_ok(), self.clock.now());
        provider.instruments.ails(ails.is_some());
        if let Err(error) = &outcome {
            warn!(
                event = "provider.write_failed",
                provider.name = provider.name,
                dns.zone = %zone,
                records = changes.len(),
                error = error as &dyn std::error::Error,
                "Provider {}: records of {zone} could not be written",
                provider.name
            );
        }
        outcome
    }
}

impl Provider {
    /// Names of one write.
    pub fn names_max(&self) -> usize {
        self.presenter.names_max()
    }

    fn of(config: &Dns01Provider, machine: &Arc<dyn Clock>) -> Result<Self, ProviderFault> {
        let good = (1..=32).contains(&config.name.len())
            && config
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !good {
            return Err(ProviderFault::Name);
        }
        if config.zones.is_empty() {
            return Err(ProviderFault::NoZone);
        }
        let zones = config.zones.iter().map(|zone| RecordName::parse(zone)).collect::<Result<_, _>>()?;
        let presenter = presenter(config, machine)?;
        Ok(Self {
            name: config.name.clone(),
            zones,
            tenants: config.tenants.clone(),
            presenter,
            seats: Semaphore::new(config.concurrent_max.get().into()),
            queue: Semaphore::new(QUEUE_PER_SEAT * usize::from(config.concurrent_max.get())),
            pace: config.requests_per_second.map(|rate| RateLimiter::direct(Quota::per_second(rate))),
            timeout: config.timeout(),
            health: Health::default(),
            instruments: ProviderInstruments::register(&config.name),
        })
    }

    fn own(zone: RecordName) -> Self {
        Self {
            name: AUTHORITY.into(),
            zones: vec![zone],
            tenants: Vec::new(),
            presenter: Box::new(OwnZone),
            seats: Semaphore::new(Semaphore::MAX_PERMITS),
            queue: Semaphore::new(Semaphore::MAX_PERMITS),
            pace: None,
            timeout: Duration::from_secs(10),
            health: Health::default(),
            instruments: ProviderInstruments::register(AUTHORITY),
        }
    }
}

/// Our own zone: what is committed is what is served, so there is nobody to tell.
#[derive(Debug)]
struct OwnZone;

impl Presenter for OwnZone {
    fn names_max(&self) -> usize {
        usize::MAX
    }

    fn write<'a>(
        &'a self,
        _: &'a RecordName,
        _: &'a [Change],
    ) -> futures_util::future::BoxFuture<'a, Result<(), PresentError>> {
        Box::pin(async { Ok(()) })
    }
}

/// The keys that one type needs or may have, beside those that all have.
const KEYS: &[(&str, &[&str], &[&str])] = &[
    ("rfc2136", &["server"], &["key_name", "key_algorithm", "secret"]),
    ("exec", &["program"], &["environment_file"]),
    ("powerdns", &["endpoint", "secret"], &["server_id"]),
    ("route53", &["access_key_id", "secret"], &["hosted_zone_id", "region"]),
];

fn check_keys(config: &Dns01Provider) -> Result<(), ProviderFault> {
    let by_token = cloud::BY_TOKEN.contains(&&*config.kind).then_some((&["secret"][..], &[][..]));
    let listed =
        KEYS.iter().find(|(kind, ..)| *kind == config.kind).map(|(_, needed, optional)| (*needed, *optional));
    let Some((needed, optional)) = listed.or(by_token) else {
        let known: Vec<&str> =
            KEYS.iter().map(|(kind, ..)| *kind).chain(cloud::BY_TOKEN.iter().copied()).collect();
        return Err(ProviderFault::Kind { kind: config.kind.clone(), known: known.join(", ") });
    };
    let written: [(&'static str, bool); 11] = [
        ("secret", config.secret_file.is_some() || config.secret_env.is_some()),
        ("server", config.server.is_some()),
        ("key_name", config.key_name.is_some()),
        ("key_algorithm", config.key_algorithm.is_some()),
        ("program", config.program.is_some()),
        ("environment_file", config.environment_file.is_some()),
        ("endpoint", config.endpoint.is_some()),
        ("server_id", config.server_id.is_some()),
        ("access_key_id", config.access_key_id.is_some()),
        ("hosted_zone_id", config.hosted_zone_id.is_some()),
        ("region", config.region.is_some()),
    ];
    for (key, is_written) in written {
        let told = if key == "secret" { "secret_file" } else { key };
        if needed.contains(&key) && !is_written {
            return Err(ProviderFault::Missing { key: told });
        }
        if is_written && !needed.contains(&key) && !optional.contains(&key) {
            return Err(ProviderFault::Useless { key: told });
        }
    }
    if config.kind == "rfc2136" {
        let signs = config.secret_file.is_some() || config.secret_env.is_some();
        match (signs, &config.key_name) {
            (true, None) => return Err(ProviderFault::Missing { key: "key_name" }),
            (false, Some(_)) => return Err(ProviderFault::Missing { key: "secret_file" }),
            _ => {}
        }
    }
    Ok(())
}

fn presenter(config: &Dns01Provider, machine: &Arc<dyn Clock>) -> Result<Box<dyn Presenter>, ProviderFault> {
    check_keys(config)?;
    let secret = secret::read(config.secret_file.as_ref(), config.secret_env.as_deref())?;
    let (ttl, timeout) = (config.ttl_seconds, config.timeout());
    let missing = |key| ProviderFault::Missing { key };
    let needed = |value: &'_ Option<String>, key| value.clone().ok_or_else(|| missing(key));
    Ok(match config.kind.as_str() {
        "rfc2136" => {
            let signer = match (&config.key_name, &secret) {
                (Some(name), Some(secret)) => {
                    let algorithm = config.key_algorithm.as_deref().unwrap_or("hmac-sha256");
                    Some(rfc2136::signer(name, algorithm, secret)?)
                }
                _ => None,
            };
            let server = config.server.ok_or_else(|| missing("server"))?;
            Box::new(Rfc2136::new(server, signer, ttl, Arc::clone(machine)))
        }
        "exec" => {
            let program = config.program.clone().ok_or_else(|| missing("program"))?;
            Box::new(Exec::new(program, config.environment_file.as_deref(), timeout)?)
        }
        kind => {
            let secret = secret.ok_or_else(|| missing("secret_file"))?;
            Box::new(match kind {
                "powerdns" => {
                    let endpoint = needed(&config.endpoint, "endpoint")?;
                    let server = config.server_id.as_deref().unwrap_or(POWERDNS_SERVER);
                    Cloud::power_dns(&endpoint, server, secret, ttl, timeout)?
                }
                "route53" => {
                    let access_key_id = needed(&config.access_key_id, "access_key_id")?;
                    let (zone, region) = (config.hosted_zone_id.as_deref(), config.region.as_deref());
                    Cloud::route53(&access_key_id, zone, region, secret, ttl)?
                }
                kind => Cloud::by_token(kind, secret, ttl, timeout)?,
            })
        }
    })
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests;
