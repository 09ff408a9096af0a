//! Files by their paths: `HAProxy`'s folder, and those that the configuration names.

use std::path::PathBuf;

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::super::atomic;
use super::{Paths, Rights, WriteError};
use crate::config::agent::{CustomConfig, Template};
use crate::keys::bundle::Bundle;

#[derive(Debug)]
pub(super) struct Flat {
    custom: CustomConfig,
    /// `NAME.pem` in it holds chain and key.
    combined: Option<PathBuf>,
    rights: Rights,
}

impl Flat {
    pub(super) fn new(custom: &CustomConfig, combined: Option<PathBuf>, rights: Rights) -> Self {
        Self { custom: custom.clone(), combined, rights }
    }

    pub(super) fn key(&self, name: &str) -> Option<PathBuf> {
        self.custom.privkey.as_ref().map(|template| template.path(name))
    }

    pub(super) fn paths(&self, name: &str) -> Option<Paths> {
        let path = |template: &Option<Template>| template.as_ref().map(|template| template.path(name));
        let fullchain = path(&self.custom.fullchain)?;
        Some(Paths {
            lineage: fullchain.parent()?.to_owned(),
            key: path(&self.custom.privkey)?,
            cert: path(&self.custom.cert)?,
            chain: path(&self.custom.chain)?,
            fullchain,
        })
    }

    pub(super) fn write(&self, name: &str, bundle: &Bundle) -> Result<bool, WriteError> {
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        let custom = &self.custom;
        let path = |template: &Option<Template>| template.as_ref().map(|template| template.path(name));
        let key = bundle.key.as_ref().map(|key| secret(key.expose_secret()));
        let combined_path = self.combined.as_ref().map(|folder| folder.join(format!("{name}.pem")));
        let files = [
            (path(&custom.privkey), key, self.rights.key()),
            (path(&custom.combined), bundle.combined(), self.rights.key()),
            (combined_path, bundle.combined(), self.rights.key()),
            (path(&custom.cert), Some(secret(&bundle.cert)), self.rights.cert()),
            (path(&custom.chain), Some(secret(&bundle.chain)), self.rights.cert()),
            (path(&custom.fullchain), Some(secret(&bundle.fullchain())), self.rights.cert()),
        ];
        let mut changed = false;
        for (path, text, rights) in files {
            let (Some(path), Some(text)) = (path, text) else { continue };
            if let Some(folder) = path.parent() {
                atomic::folder(folder, self.rights.owner).map_err(WriteError::at(folder))?;
            }
            changed |= atomic::write(&path, text.as_bytes(), rights).map_err(WriteError::at(&path))?;
        }
        Ok(changed)
    }
}
