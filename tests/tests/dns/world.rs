//! A fleet with authoritative servers, and what looks at them.

use std::sync::Arc;
use std::time::Duration;

use issuance::identifier::Hostname;
use issuance::propagation::Quorum;
use issuance::time::{Clock, Timestamp};
use lockkeeper::challenge::address::AddressPolicy;
use lockkeeper::challenge::propagation::{Propagation, PropagationConfig};
use lockkeeper::challenge::resolver::{NameResolver, ResolverConfig};
use lockkeeper::clock::DrivenClock;
use rehearsal::fleet::{Fleet, FleetConfig, Site};

/// For servers that are silent: long enough for a busy machine, short enough to be waited out.
pub(crate) const SILENCE: Duration = Duration::from_millis(700);

const START: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);

pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) clock: Arc<DrivenClock>,
    pub(crate) resolver: Arc<NameResolver>,
}

impl World {
    pub(crate) async fn start(servers: u8, names: &[&str]) -> Self {
        let clock = Arc::new(DrivenClock::starting_at(START));
        let nowhere = "127.0.0.1:9".parse().expect("an address");
        let names = names.iter().map(|text| hostname(text)).collect();
        let config = FleetConfig {
            sites: vec![Site::healthy(names)],
            name_servers: servers,
            clock: Some(Arc::clone(&clock) as Arc<dyn Clock>),
            ..FleetConfig::new(nowhere)
        };
        let fleet = Fleet::start(config).await.expect("a fleet");
        let resolvers = ResolverConfig { servers: vec![fleet.dns_addr()], timeout: SILENCE, attempts: 1 };
        let resolver = Arc::new(NameResolver::new(&resolvers).expect("a resolver"));
        Self { fleet, clock, resolver }
    }

    /// So many seconds after the start.
    pub(crate) fn advance_to(&self, elapsed: u64) {
        self.clock.advance_to(START.after(Duration::from_secs(elapsed)));
    }

    pub(crate) fn propagation(&self) -> Propagation {
        self.propagation_under(loopback())
    }

    pub(crate) fn propagation_under(&self, policy: AddressPolicy) -> Propagation {
        let config = PropagationConfig {
            port: self.fleet.dns_addr().port(),
            timeout: SILENCE,
            tries: 1,
            quorum: Quorum::default(),
            ..PropagationConfig::default()
        };
        Propagation::new(&config, Arc::clone(&self.resolver), Arc::new(policy))
    }
}

pub(crate) fn loopback() -> AddressPolicy {
    let allowed = ["127.0.0.0/8", "::1"].map(|block| block.parse().expect(block)).into();
    AddressPolicy { allowed, expected: Vec::new() }
}

pub(crate) fn hostname(text: &str) -> Hostname {
    Hostname::parse(text).expect(text)
}
