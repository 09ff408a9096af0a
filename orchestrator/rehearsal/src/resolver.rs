//! DNS as the CA sees it: one configured resolver, nothing cached, failures worded as Boulder words them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::caa::Property;
use crate::problem::{Kind, Problem};

/// Boulder: three tries of a second each.
const TRY_TIMEOUT: Duration = Duration::from_secs(1);
const RETRIES: usize = 2;
/// Validations in flight towards the one server; the default of 32 would make them queue.
const ACTIVE_REQUESTS_MAX: usize = 4_096;

const BROKEN_SERVERS: &str = "the domain's nameservers may be malfunctioning";

/// A look-up without an answer, in Boulder's sentence.
struct LookupFailure {
    /// NXDOMAIN: the name does not exist.
    missing: bool,
    detail: String,
}

#[derive(Debug)]
pub(crate) struct DnsView {
    resolver: TokioResolver,
}

impl DnsView {
    pub(crate) fn new(server: SocketAddr) -> Result<Self, NetError> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let name_server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = TRY_TIMEOUT;
        options.attempts = RETRIES;
        options.max_active_requests = ACTIVE_REQUESTS_MAX;
        Ok(Self { resolver: builder.build()? })
    }

    /// The addresses of a host, IPv6 first, as Boulder tries them.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Problem> {
        let (v6, v4) = tokio::join!(self.lookup(host, RecordType::AAAA), self.lookup(host, RecordType::A));
        let addresses: Vec<IpAddr> = [&v6, &v4]
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|data| match data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
            .collect();
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        let errors: Vec<String> =
            [v4, v6].into_iter().filter_map(Result::err).map(|failure| failure.detail).collect();
        let detail = if errors.is_empty() {
            format!("No valid IP addresses found for {host}")
        } else {
            errors.join("; ")
        };
        Err(Problem::new(Kind::Dns, detail))
    }

    /// The TXT records of a name, each one's strings joined (RFC 8555 §8.4).
    pub(crate) async fn texts(&self, name: &str) -> Result<Vec<String>, Problem> {
        let records = self
            .lookup(name, RecordType::TXT)
            .await
            .map_err(|failure| Problem::new(Kind::Dns, failure.detail))?;
        let texts = records.iter().filter_map(|data| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The CAA records of exactly this name.
    pub(crate) async fn caa(&self, name: &str) -> Result<Vec<Property>, Problem> {
        let records = match self.lookup(name, RecordType::CAA).await {
            Ok(records) => records,
            // A name that does not exist has no CAA record of its own; the climb goes on.
            Err(failure) if failure.missing => Vec::new(),
            Err(failure) => return Err(Problem::new(Kind::Dns, failure.detail)),
        };
        let properties = records.into_iter().filter_map(|data| match data {
            RData::CAA(record) => Some(Property {
                critical: record.issuer_critical,
                tag: record.tag.to_ascii_lowercase(),
                value: String::from_utf8_lossy(&record.value).into_owned(),
            }),
            _ => None,
        });
        Ok(properties.collect())
    }

    /// Records of a kind; none where the name has none of it.
    async fn lookup(&self, host: &str, kind: RecordType) -> Result<Vec<RData>, LookupFailure> {
        let failed = |missing: bool, what: &str, advice: &str| LookupFailure {
            missing,
            detail: format!("DNS problem: {what} looking up {kind} for {host} - {advice}"),
        };
        let Ok(mut name) = Name::from_ascii(host) else {
            return Err(failed(false, "malformed name", "the name cannot be asked for"));
        };
        name.set_fqdn(true);
        let code = match self.resolver.lookup(name, kind).await {
            Ok(lookup) => return Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => none.response_code,
            Err(NetError::Dns(DnsError::ResponseCode(code))) => code,
            Err(_) => return Err(failed(false, "query timed out", BROKEN_SERVERS)),
        };
        match code {
            ResponseCode::NoError => Ok(Vec::new()),
            ResponseCode::NXDomain => {
                Err(failed(true, "NXDOMAIN", "check that a DNS record exists for this domain"))
            }
            ResponseCode::ServFail => Err(failed(false, "SERVFAIL", BROKEN_SERVERS)),
            ResponseCode::Refused => Err(failed(false, "REFUSED", BROKEN_SERVERS)),
            _ => Err(failed(false, "an error", BROKEN_SERVERS)),
        }
    }
}
