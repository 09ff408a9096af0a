//! `agent.toml`: what an agent fetches, where it writes it, and whom it tells.
//!
//! From the file alone: the variables of a service on the same machine are none of its business.

mod certbot;
mod combined;
mod files;
mod hook;
mod probe;
mod reload;
mod service;
mod template;

use std::path::{Path, PathBuf};

pub use certbot::CertbotConfig;
pub use combined::CombinedConfig;
pub use files::{FilesConfig, Mode};
pub use hook::HookConfig;
pub use probe::{ProbeConfig, ServedAt};
pub use reload::ReloadConfig;
pub use service::{KeyFile, ServiceConfig, ServiceUrl};
pub use template::{CustomConfig, Template};

use super::error::{ConfigError, Place};
use super::layers::Layers;
use super::log::LogConfig;

/// Read where no file is named.
pub const AGENT_FILE_OF_THE_MACHINE: &str = "/etc/lockkeeper/agent.toml";

/// The checked-in example: every key, explained.
pub const AGENT_EXAMPLE: &str = include_str!("../../../../../deploy/agent.example.toml");

/// All that can be configured of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentConfig {
    pub service: ServiceConfig,
    pub files: FilesConfig,
    pub certbot: CertbotConfig,
    pub haproxy: CombinedConfig,
    pub custom: CustomConfig,
    pub reload: ReloadConfig,
    pub hook: HookConfig,
    pub probe: ProbeConfig,
    pub log: LogConfig,
}

impl AgentConfig {
    /// # Errors
    /// The file cannot be read, or something in it is wrong: the error says where and what.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut layers = Layers::new(Some((path, text)), std::iter::empty())?;
        let config = Self::take_from(&mut layers)?;
        layers.finish()?;
        config.check(path, text)?;
        Ok(config)
    }

    fn take_from(layers: &mut Layers<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            service: layers.section("service")?,
            files: layers.section("files")?,
            certbot: layers.section("certbot")?,
            haproxy: layers.section("haproxy")?,
            custom: layers.section("custom")?,
            reload: layers.section("reload")?,
            hook: layers.section("hook")?,
            probe: layers.section("probe")?,
            log: layers.section("log")?,
        })
    }

    /// What no single value can get wrong.
    fn check(&self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let missing = |section: &'static str, key: &str, what: &str| {
            let heading = text.find(&format!("[{section}]")).unwrap_or(0);
            let place = Place::in_file(path.to_owned(), text, heading);
            Err(ConfigError::Value { place, section, key: key.to_owned(), what: what.to_owned() })
        };
        if self.service.url.is_none() {
            return missing("service", "url", "missing: write the service's address, https://…");
        }
        if self.service.key_file.is_none() {
            return missing("service", "key_file", "missing: write the file that holds this agent's API key");
        }
        if self.service.selector.is_none() {
            return missing("service", "selector", "missing: write the labels of what this server needs");
        }
        let somewhere =
            self.certbot.folder.is_some() || self.haproxy.folder.is_some() || self.custom.writes_anything();
        if !somewhere && self.hook.command.is_empty() {
            let what = "nothing is written anywhere: write [certbot] folder, [haproxy] folder, a path of [custom], or [hook] command";
            return missing("certbot", "folder", what);
        }
        Ok(())
    }

    /// Every section with its keys, in order.
    pub fn keys() -> Vec<(&'static str, &'static [&'static str])> {
        let mut layers = Layers::empty();
        Self::take_from(&mut layers).expect("defaults need no input");
        layers.known().to_vec()
    }

    /// The file that is read where `named` is not given.
    pub fn file(named: Option<&Path>) -> PathBuf {
        named.map_or_else(|| AGENT_FILE_OF_THE_MACHINE.into(), Path::to_path_buf)
    }
}

#[cfg(test)]
mod tests;
