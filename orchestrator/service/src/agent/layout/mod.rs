//! Where a certificate's files lie, for whom.

mod certbot;
mod flat;

use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use self::certbot::Certbot;
use self::flat::Flat;
use super::atomic::Kind;
use super::owner::Owner;
use crate::config::agent::AgentConfig;
use crate::keys::bundle::Bundle;

/// All that this agent writes for a certificate.
#[derive(Debug)]
pub(super) struct Layouts {
    certbot: Option<Certbot>,
    flat: Flat,
}

/// The rights of what is written.
#[derive(Debug, Clone, Copy)]
struct Rights {
    owner: Owner,
    key_mode: u32,
    cert_mode: u32,
}

impl Rights {
    fn key(&self) -> Kind {
        Kind { mode: self.key_mode, owner: self.owner }
    }

    fn cert(&self) -> Kind {
        Kind { mode: self.cert_mode, owner: self.owner }
    }
}

/// Where a hook finds the files of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths {
    /// certbot's word for the folder.
    pub(super) lineage: PathBuf,
    pub(super) key: PathBuf,
    pub(super) cert: PathBuf,
    pub(super) chain: PathBuf,
    pub(super) fullchain: PathBuf,
}

/// What could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written", path.display())]
pub(super) struct WriteError {
    pub(super) path: PathBuf,
    #[source]
    pub(super) source: io::Error,
}

impl WriteError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), source }
    }
}

impl Layouts {
    pub(super) fn new(config: &AgentConfig, owner: Owner) -> Self {
        let files = &config.files;
        let rights = Rights { owner, key_mode: files.key_mode.0, cert_mode: files.cert_mode.0 };
        Self {
            certbot: config.certbot.folder.clone().map(|folder| Certbot::new(folder, rights)),
            flat: Flat::new(&config.custom, config.haproxy.folder.clone(), rights),
        }
    }

    /// Writes all of it, and says whether anything is other than it was. `bundle` has a key.
    pub(super) fn write(&self, name: &str, bundle: &Bundle) -> Result<bool, WriteError> {
        let mut changed = false;
        if let Some(certbot) = &self.certbot {
            changed |= certbot.write(name, bundle)?;
        }
        changed |= self.flat.write(name, bundle)?;
        Ok(changed)
    }

    /// A key that whoever asked for the certificate has put where ours would lie.
    pub(super) fn local_key(&self, name: &str) -> Option<SecretString> {
        let paths = self.certbot.iter().map(|certbot| certbot.paths(name).key);
        paths.chain(self.flat.key(name)).find_map(|path| {
            let key = SecretString::from(std::fs::read_to_string(path).ok()?);
            (!key.expose_secret().is_empty()).then_some(key)
        })
    }

    /// Where a key would have to lie for [`Self::local_key`] to find it.
    pub(super) fn key_path(&self, name: &str) -> Option<PathBuf> {
        self.certbot.as_ref().map(|certbot| certbot.paths(name).key).or_else(|| self.flat.key(name))
    }

    /// `None` where no layout has all four files apart.
    pub(super) fn paths(&self, name: &str) -> Option<Paths> {
        self.certbot.as_ref().map(|certbot| certbot.paths(name)).or_else(|| self.flat.paths(name))
    }

    /// Whether certbot itself still renews what is called so.
    pub(super) fn rival(&self, name: &str) -> Option<PathBuf> {
        self.certbot.as_ref().and_then(|certbot| certbot.rival(name))
    }
}

#[cfg(test)]
mod tests;
