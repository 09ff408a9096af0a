//! Configuration, parsed into sections: one struct and one file each.
//!
//! A value comes from the first of these that has it: the environment variable `LOCKKEEPER_<SECTION>__<KEY>`,
//! the file (see [`Config::load`]), the section's default. Nothing inside the service re-checks a value.

mod addresses;
pub mod agent;
mod api;
mod authority;
mod ca;
pub mod ca_profile;
mod cidr;
mod contact;
mod data;
mod database;
mod directory_url;
mod dns01;
mod error;
mod http01;
mod layers;
mod log;
mod metrics;
mod oidc;
mod pending;
mod reconcile;
mod resolver;
mod responder;
mod traces;
pub mod trusted_proxies;
mod variable;
mod webhooks;
mod worker;

use std::path::{Path, PathBuf};

pub use addresses::AddressesConfig;
pub use api::ApiConfig;
pub use authority::{AuthorityConfig, Registration};
pub use ca::{CaConfig, ExternalAccount};
pub use cidr::{Cidr, CidrError};
pub use contact::{Contact, ContactError};
pub use data::DataConfig;
pub use database::{DatabaseConfig, DatabaseUrl, DatabaseUrlError};
pub use directory_url::{DirectoryUrl, DirectoryUrlError};
pub use dns01::{Dns01Config, Dns01Provider};
pub use error::{ConfigError, Place};
pub use http01::{Http01Config, NodeConfig};
use layers::Layers;
pub use log::{LogConfig, LogFormat};
pub use metrics::MetricsConfig;
pub use oidc::{NameClaim, OidcConfig, OidcRole, ProviderUrl, ProviderUrlError, RoleWord, UnknownUsers};
pub use pending::{PendingBudget, PendingConfig};
pub use reconcile::ReconcileConfig;
pub use resolver::ResolverConfig;
pub use responder::ResponderConfig;
pub use traces::{
    CollectorUrl, CollectorUrlError, ResourceAttribute, ResourceAttributeError, SampleRatio, TracesConfig,
};
pub use webhooks::WebhooksConfig;
pub use worker::{Role, Roles, RolesError, WorkerConfig};

/// Looked for in the working folder where no file is named.
pub const FILE_HERE: &str = "lockkeeper.toml";

/// Looked for where there is none in the working folder either.
pub const FILE_OF_THE_MACHINE: &str = "/etc/lockkeeper/config.toml";

/// The checked-in example: every key with its default, explained.
pub const EXAMPLE: &str = include_str!("../../../../deploy/lockkeeper.example.toml");

/// All that can be configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    pub database: DatabaseConfig,
    pub data: DataConfig,
    pub api: ApiConfig,
    pub oidc: OidcConfig,
    pub metrics: MetricsConfig,
    pub responder: ResponderConfig,
    pub ca: CaConfig,
    pub resolver: ResolverConfig,
    pub http01: Http01Config,
    pub dns01: Dns01Config,
    pub authority: AuthorityConfig,
    pub addresses: AddressesConfig,
    pub worker: WorkerConfig,
    pub pending: PendingConfig,
    pub reconcile: ReconcileConfig,
    pub webhooks: WebhooksConfig,
    pub log: LogConfig,
    pub traces: TracesConfig,
}

impl Config {
    /// Reads `path`, or else [`FILE_HERE`], or else [`FILE_OF_THE_MACHINE`], or else no file, and lays the
    /// variables of `env` over it. Variables that are not `LOCKKEEPER_<SECTION>__<KEY>` are nobody's business,
    /// save those that would be with a second underscore: they are refused with the right spelling.
    ///
    /// # Errors
    /// The file cannot be read, or something in it or in a variable is wrong: the error says where and what.
    pub fn load(
        path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        match file_to_read(path) {
            Some(path) => {
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
                Self::parse(Some((&path, &text)), env)
            }
            None => Self::parse(None, env),
        }
    }

    fn parse(
        file: Option<(&Path, &str)>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::new(file, env)?;
        let config = Self::take_from(&mut layers)?;
        layers.finish()?;
        config.check()?;
        Ok(config)
    }

    fn take_from(layers: &mut Layers<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            database: layers.section("database")?,
            data: layers.section("data")?,
            api: layers.section("api")?,
            oidc: layers.section("oidc")?,
            metrics: layers.section("metrics")?,
            responder: layers.section("responder")?,
            ca: layers.section("ca")?,
            resolver: layers.section("resolver")?,
            http01: layers.section("http01")?,
            dns01: layers.section("dns01")?,
            authority: layers.section("authority")?,
            addresses: layers.section("addresses")?,
            worker: layers.section("worker")?,
            pending: layers.section("pending")?,
            reconcile: layers.section("reconcile")?,
            webhooks: layers.section("webhooks")?,
            log: layers.section("log")?,
            traces: layers.section("traces")?,
        })
    }

    /// What no single value can get wrong.
    fn check(&self) -> Result<(), ConfigError> {
        if self.ca.eab_kid.is_some() != self.ca.eab_hmac_file.is_some() {
            return Err(ConfigError::Contradiction {
                keys: "[ca] eab_kid, eab_hmac_file",
                what: "external account binding needs both or neither",
            });
        }
        if let Err((keys, what)) = self.oidc.check() {
            return Err(ConfigError::Contradiction { keys, what });
        }
        match (self.pending.max, self.pending.recovery_reserve) {
            (Some(max), Some(reserve)) if reserve >= max.get() => Err(ConfigError::Contradiction {
                keys: "[pending] max, recovery_reserve",
                what: "the reserve must be smaller than the maximum, or no order is ever admitted",
            }),
            _ => Ok(()),
        }
    }

    /// Every section with its keys, in order.
    pub fn keys() -> Vec<(&'static str, &'static [&'static str])> {
        let mut layers = Layers::empty();
        Self::take_from(&mut layers).expect("defaults need no input");
        layers.known().to_vec()
    }
}

fn file_to_read(named: Option<&Path>) -> Option<PathBuf> {
    named.map(Path::to_path_buf).or_else(|| {
        [FILE_HERE, FILE_OF_THE_MACHINE].into_iter().map(PathBuf::from).find(|path| path.exists())
    })
}

#[cfg(test)]
mod tests;
