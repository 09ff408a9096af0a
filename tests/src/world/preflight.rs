//! The preflight of a world's services, for a test that looks by itself.

use std::sync::Arc;

use anyhow::Context;
use lockkeeper::challenge::address::AddressPolicy;
use lockkeeper::challenge::farm::{Farm, Node};
use lockkeeper::challenge::fetch::FetchConfig;
use lockkeeper::challenge::preflight::Preflight;
use lockkeeper::challenge::probe::ProbeSecret;
use lockkeeper::challenge::resolver::{NameResolver, ResolverConfig};
use lockkeeper::config::Config;
use lockkeeper::keys::MasterKey;

use super::World;
use crate::settings::FarmNode;

impl World {
    /// What the services check names with.
    pub fn preflight(&self) -> anyhow::Result<Preflight> {
        let config = Config::load(Some(&self.config_file("one")), std::iter::empty())?;
        let secret = ProbeSecret::new(*MasterKey::load(&self.master_key())?.derive("http-01 probes"));
        let resolvers =
            ResolverConfig { servers: config.resolver.servers.clone(), ..ResolverConfig::default() };
        let block = |text: &str| text.parse().with_context(|| text.to_owned());
        let policy =
            AddressPolicy { allowed: vec![block("127.0.0.0/8")?], expected: vec![block("127.0.1.0/24")?] };
        let fetch = FetchConfig {
            http_port: config.http01.port.get(),
            deadline: config.http01.timeout(),
            ..FetchConfig::default()
        };
        let node = |FarmNode { name, address, .. }: &FarmNode| Node {
            name: name.as_str().into(),
            address: *address,
            behind: Vec::new(),
        };
        let farm = Farm::new(self.settings.nodes.iter().map(node).collect());
        Ok(Preflight::new(&fetch, Arc::new(NameResolver::new(&resolvers)?), policy, secret)?.with_farm(farm))
    }
}
