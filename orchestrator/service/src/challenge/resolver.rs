//! Addresses of a name, asked as a CA asks: both families, no hosts file, no search list, nothing cached.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig as HickoryConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{TokioResolver, system_conf};
use issuance::fault::FailureClass;
use issuance::identifier::Hostname;

use super::question::{self, Manner, Patience};
use crate::telemetry::traces;

/// Where DNS is spoken (RFC 1035 §4.2).
pub(super) const DNS_PORT: u16 = 53;
/// A name with more addresses is probed on the first ones only.
pub const ADDRESSES_MAX: usize = 16;
/// Resolvers that are asked a second time without validation.
const UNCHECKED_MAX: usize = 3;
/// What one name's IPv4 addresses leave to its IPv6 addresses.
const ADDRESSES_V6_MIN: usize = 8;
/// Queries in flight on one TCP connection to a resolver; UDP is not limited by it.
const TCP_QUERIES_MAX: usize = 1024;

#[derive(Debug, Clone)]
pub struct ResolverConfig {
    /// Recursive resolvers, asked over UDP and, for a truncated answer, TCP. Empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// How long one attempt waits for an answer.
    pub timeout: Duration,
    /// Attempts in all; 0 counts as 1.
    pub attempts: u8,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Duration::from_secs(3), attempts: 2 }
    }
}

/// Asks the recursive resolvers. One per process: it keeps their state.
#[derive(Debug)]
pub struct NameResolver {
    resolver: TokioResolver,
    /// The same servers, to be asked in ways that the resolver does not offer.
    servers: Vec<SocketAddr>,
    timeout: Duration,
    /// Answers of any kind so far. When it grows, a resolver is alive.
    answers: AtomicU64,
}

impl NameResolver {
    pub fn new(config: &ResolverConfig) -> Result<Self, ResolverSetUpError> {
        let servers = if config.servers.is_empty() {
            let (system, _) =
                system_conf::read_system_conf().map_err(|source| ResolverSetUpError::System { source })?;
            system.name_servers().to_vec()
        } else {
            config.servers.iter().map(name_server).collect()
        };
        if servers.is_empty() {
            return Err(ResolverSetUpError::NoServer);
        }
        let addresses = servers.iter().map(|server| {
            let port = server.connections.first().map_or(DNS_PORT, |connection| connection.port);
            SocketAddr::new(server.ip, port)
        });
        let addresses = addresses.collect();
        let provider = TokioRuntimeProvider::default();
        let mut builder =
            TokioResolver::builder_with_config(HickoryConfig::from_name_servers(servers), provider);
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = config.timeout;
        // The crate counts the attempts after the first.
        options.attempts = usize::from(config.attempts.saturating_sub(1));
        // A record that was mended a second ago is seen; the recursive resolver caches enough.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.max_active_requests = TCP_QUERIES_MAX;
        let resolver = builder.build().map_err(|source| ResolverSetUpError::Build { source })?;
        Ok(Self { resolver, servers: addresses, timeout: config.timeout, answers: AtomicU64::new(0) })
    }

    /// All A and AAAA records of what the CA looks up for this name.
    ///
    /// A family that fails does not matter where the other one has addresses: CAs go on with those too.
    pub async fn lookup(&self, hostname: &Hostname) -> Result<Addresses, ResolveFault> {
        self.lookup_name(hostname.validation_target()).await
    }

    /// As [`Self::lookup`], for a name that only a redirect or a person gave.
    pub(crate) async fn lookup_name(&self, name: &str) -> Result<Addresses, ResolveFault> {
        let mut name = Name::from_ascii(name).map_err(|_| ResolveFault::Nxdomain)?;
        name.set_fqdn(true);
        let answers_before = self.answers.load(Ordering::Relaxed);
        let (v4, v6) = tokio::join!(self.ask(name.clone(), RecordType::A), self.ask(name, RecordType::AAAA));
        let fault = match (v4, v6) {
            (Ok(v4), Ok(v6)) => return Addresses::of(v4, v6).ok_or(ResolveFault::NoAddress),
            (Ok(some), Err(fault)) | (Err(fault), Ok(some)) => match Addresses::of(some, Vec::new()) {
                Some(addresses) => return Ok(addresses),
                None => fault,
            },
            (Err(v4), Err(v6)) => v4.max(v6),
        };
        if fault == ResolveFault::Timeout && !self.is_alive(answers_before).await {
            return Err(ResolveFault::Unreachable);
        }
        Err(fault)
    }

    /// The NS records that stand at exactly this name; none where no zone begins there.
    ///
    /// Names of zones and of their parents only: a question about a name that does not exist yet would have the
    /// resolver remember that it does not (RFC 2308).
    pub(super) async fn name_servers(&self, zone: &Name) -> Result<Vec<Name>, ResolveFault> {
        let records = self.records(zone.clone(), RecordType::NS).await?;
        let servers = records.into_iter().filter(|record| record.name == *zone);
        Ok(servers
            .filter_map(|record| match record.data {
                RData::NS(server) => Some(server.0),
                _ => None,
            })
            .collect())
    }

    /// Whether the resolvers answer this when they are told not to validate (CD, RFC 4035 §3.2.2): where they
    /// answer SERVFAIL otherwise, it is for DNSSEC.
    pub(super) async fn answers_unchecked(&self, name: &Name, record_type: RecordType) -> bool {
        let patience = Patience { timeout: self.timeout, tries: 1 };
        let asked = self
            .servers
            .iter()
            .take(UNCHECKED_MAX)
            .map(|server| question::ask(*server, name, record_type, Manner::Unchecked, patience));
        join_all(asked).await.into_iter().flatten().any(|answer| {
            matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
        })
    }

    /// The records of this type, those of aliases on the way too. Empty where the name has none.
    pub(super) async fn records(
        &self,
        name: Name,
        record_type: RecordType,
    ) -> Result<Vec<Record>, ResolveFault> {
        let ask = async {
            traces::note("dns.question.name", name.to_ascii());
            traces::note("dns.question.type", record_type.to_string());
            let outcome = self.resolver.lookup(name, record_type).await;
            outcome.map(|lookup| lookup.answers().to_vec()).or_else(|error| {
                let fault = ResolveFault::of(&error);
                if fault == ResolveFault::NoAddress {
                    return Ok(Vec::new());
                }
                traces::fail(format!("{fault:?}").to_lowercase());
                Err(fault)
            })
        };
        let outcome = traces::client_span("dns.lookup", ask).await;
        if !matches!(outcome, Err(ResolveFault::Timeout | ResolveFault::Unreachable)) {
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    /// Empty where the name has no record of this type.
    async fn ask(&self, name: Name, record_type: RecordType) -> Result<Vec<IpAddr>, ResolveFault> {
        self.records(name, record_type).await.map(|records| addresses_in(&records))
    }

    /// Tells a name whose servers are silent from a resolver that is: any answer to any other question
    /// since `answers_before` speaks for the resolver, else it is asked for the root's name servers.
    async fn is_alive(&self, answers_before: u64) -> bool {
        if self.answers.load(Ordering::Relaxed) != answers_before {
            return true;
        }
        match self.resolver.lookup(Name::root(), RecordType::NS).await {
            Ok(_) => true,
            Err(error) => {
                !matches!(ResolveFault::of(&error), ResolveFault::Timeout | ResolveFault::Unreachable)
            }
        }
    }
}

fn name_server(server: &SocketAddr) -> NameServerConfig {
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = server.port();
        connection
    };
    let connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
    NameServerConfig::new(server.ip(), true, connections)
}

fn addresses_in(records: &[Record]) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    records.iter().filter_map(|record| address(&record.data)).collect()
}

/// The addresses of one name: at least one, each once, in numeric order, IPv4 first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(Vec<IpAddr>);

impl Addresses {
    fn of(mut addresses: Vec<IpAddr>, mut more: Vec<IpAddr>) -> Option<Self> {
        addresses.append(&mut more);
        addresses.sort_unstable();
        addresses.dedup();
        let v4 = addresses.partition_point(IpAddr::is_ipv4);
        let v6_kept = (addresses.len() - v4).min(ADDRESSES_V6_MIN.max(ADDRESSES_MAX.saturating_sub(v4)));
        let v4_kept = v4.min(ADDRESSES_MAX - v6_kept);
        addresses.drain(v4_kept..v4);
        addresses.truncate(v4_kept + v6_kept);
        (!addresses.is_empty()).then_some(Self(addresses))
    }

    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().copied()
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// The one a CA connects to first: IPv6 where there is one.
    pub(super) fn preferred(&self) -> IpAddr {
        *self.0.iter().find(|address| address.is_ipv6()).unwrap_or(&self.0[0])
    }
}

/// Why a name has no addresses. Of two causes the greater is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ResolveFault {
    #[error("the name exists in DNS and has neither an A nor an AAAA record")]
    NoAddress,
    /// The resolvers, not the name.
    #[error("the configured DNS resolvers do not answer")]
    Unreachable,
    #[error("no answer came from the name's servers in time")]
    Timeout,
    #[error("the name's servers answer {0}")]
    Servfail(Rcode),
    #[error("the name does not exist in DNS (NXDOMAIN)")]
    Nxdomain,
}

impl ResolveFault {
    /// None where the name is not to blame.
    pub fn class(self) -> Option<FailureClass> {
        match self {
            Self::NoAddress => Some(FailureClass::DnsNoAddress),
            Self::Unreachable => None,
            Self::Timeout => Some(FailureClass::DnsTimeout),
            Self::Servfail(_) => Some(FailureClass::DnsServfail),
            Self::Nxdomain => Some(FailureClass::DnsNxdomain),
        }
    }

    fn of(error: &NetError) -> Self {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => {
                match *response_code {
                    ResponseCode::NXDomain => Self::Nxdomain,
                    ResponseCode::NoError => Self::NoAddress,
                    code => Self::Servfail(Rcode(code.into())),
                }
            }
            NetError::Dns(DnsError::ResponseCode(code)) => Self::Servfail(Rcode((*code).into())),
            NetError::Timeout => Self::Timeout,
            // An answer came and cannot be used.
            NetError::Dns(_)
            | NetError::Proto(_)
            | NetError::Truncated
            | NetError::QueryCaseMismatch
            | NetError::ForeignClassRecord { .. } => Self::Servfail(Rcode(ResponseCode::FormErr.into())),
            _ => Self::Unreachable,
        }
    }
}

/// A DNS response code (RFC 6895 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rcode(u16);

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("FORMERR"),
            2 => f.write_str("SERVFAIL"),
            4 => f.write_str("NOTIMP"),
            5 => f.write_str("REFUSED"),
            other => write!(f, "RCODE {other}"),
        }
    }
}

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub enum ResolverSetUpError {
    #[error("could not read the system's DNS configuration: name the resolvers instead")]
    System {
        #[source]
        source: NetError,
    },
    #[error("no DNS resolver is configured: name at least one as address:port")]
    NoServer,
    #[error("could not set up the DNS resolver")]
    Build {
        #[source]
        source: NetError,
    },
}

#[cfg(test)]
mod tests;
