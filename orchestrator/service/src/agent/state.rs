//! What an agent remembers between runs. Lost, everything is fetched again, and what is the same is left as it is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use issuance::ids::{CertificateId, VersionId};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::atomic::{self, Kind};
use super::name;
use super::owner::Owner;

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("{} cannot be {act}", path.display())]
    File {
        path: PathBuf,
        act: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{} holds no state of an agent: remove it, and everything is fetched again", path.display())]
    Text {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("another agent is running with {}: give each a state file of its own", path.display())]
    InUse { path: PathBuf },
}

/// All of it, by certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// Of the list, where everything in it was installed.
    pub(super) listing_etag: Option<String>,
    /// Why the server could not be made to read its files again.
    #[serde(default)]
    pub(super) reload_fault: Option<String>,
    #[serde(default)]
    pub(super) certificates: BTreeMap<Key, Installed>,
}

/// A certificate's id as the key of a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Key(String);

impl From<CertificateId> for Key {
    fn from(id: CertificateId) -> Self {
        Self(id.to_string())
    }
}

impl Key {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A certificate as it lies in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Installed {
    /// What its files are called; stays for good.
    pub(super) name: String,
    pub(super) names: Vec<String>,
    /// `None`: it was never installed, for the reason that `fault` tells.
    pub(super) version: Option<Version>,
    /// What went wrong last, with its files or its hook.
    pub(super) fault: Option<String>,
    /// The hook has not been called with it, or has failed.
    #[serde(default)]
    pub(super) hook_pending: bool,
    /// Its files have changed since the server last read them, or may have: this is written down before they do.
    #[serde(default)]
    pub(super) reload_pending: bool,
    /// The service does not know of it yet.
    #[serde(default)]
    pub(super) report_pending: bool,
}

/// What is installed of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) id: VersionId,
    pub(super) etag: String,
    /// In lower-case hexadecimal.
    pub(super) fingerprint_sha256: String,
    pub(super) not_after: Timestamp,
    pub(super) installed_at: Timestamp,
}

/// The file, held by one agent at a time.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    _lock: std::fs::File,
}

impl StateFile {
    /// # Errors
    /// It cannot be read or written, holds something else, or another agent has it.
    pub(super) fn open(path: &Path) -> Result<(Self, State), StateError> {
        let failed = |act| move |source| StateError::File { path: path.to_owned(), act, source };
        if let Some(folder) = path.parent() {
            atomic::folder(folder, Owner::default()).map_err(failed("written"))?;
        }
        let lock = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.with_extension("lock"))
            .map_err(failed("written"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(StateError::InUse { path: path.to_owned() });
            }
            Err(std::fs::TryLockError::Error(source)) => return Err(failed("locked")(source)),
        }
        let state = match std::fs::read(path) {
            Ok(text) => serde_json::from_slice::<State>(&text)
                .map_err(|source| StateError::Text { path: path.to_owned(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(failed("read")(error)),
        };
        let mut state = state;
        // Somebody else's hand may have been in it.
        state.certificates.retain(|_, installed| name::is_fit(&installed.name));
        Ok((Self { path: path.to_owned(), _lock: lock }, state))
    }

    pub(super) fn save(&self, state: &State) -> Result<(), StateError> {
        let text = serde_json::to_vec_pretty(state).expect("texts, numbers and lists serialize");
        let kind = Kind { mode: 0o600, owner: Owner::default() };
        atomic::write(&self.path, &text, kind).map(drop).map_err(|source| StateError::File {
            path: self.path.clone(),
            act: "written",
            source,
        })
    }
}

impl State {
    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.certificates.values().any(|installed| installed.name == name)
    }

    /// Whether files have changed since the server last read them.
    pub(super) fn reload_pending(&self) -> bool {
        self.certificates.values().any(|installed| installed.reload_pending)
    }

    /// What keeps a certificate from being served as it should, by what it is called.
    pub(super) fn faults(&self) -> impl Iterator<Item = (&str, &str)> {
        self.certificates.values().filter_map(|installed| Some((&*installed.name, self.fault(installed)?)))
    }

    /// Of one certificate.
    pub(super) fn fault<'s>(&'s self, installed: &'s Installed) -> Option<&'s str> {
        let reload = self.reload_fault.as_deref().filter(|_| installed.reload_pending);
        installed.fault.as_deref().or(reload)
    }
}

#[cfg(test)]
mod tests {
    use issuance::ids::CertificateId;
    use issuance::time::Timestamp;

    use super::*;

    #[test]
    fn what_is_saved_is_read_and_one_agent_has_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent/state.json");
        let (file, mut state) = StateFile::open(&path).expect("a new one");
        assert_eq!(state, State::default());
        let installed = |name: &str| Installed {
            name: name.to_owned(),
            names: vec![name.to_owned()],
            version: Some(Version {
                id: "ver_00000000000000000000000007".parse().expect("an id"),
                etag: "\"x\"".to_owned(),
                fingerprint_sha256: "00".to_owned(),
                not_after: Timestamp::from_unix_seconds(2),
                installed_at: Timestamp::from_unix_seconds(1),
            }),
            fault: None,
            hook_pending: true,
            reload_pending: false,
            report_pending: false,
        };
        let id: CertificateId = "crt_00000000000000000000000001".parse().expect("an id");
        state.certificates.insert(id.into(), installed("a.com"));
        state.listing_etag = Some("\"list\"".to_owned());
        assert!(!state.reload_pending() && state.faults().next().is_none());
        file.save(&state).expect("saved");
        assert!(matches!(StateFile::open(&path), Err(StateError::InUse { .. })));
        drop(file);
        let (file, read) = StateFile::open(&path).expect("there");
        assert_eq!(read, state);

        let other: CertificateId = "crt_00000000000000000000000002".parse().expect("an id");
        state.certificates.insert(other.into(), installed("../../etc"));
        file.save(&state).expect("saved");
        drop(file);
        let (file, read) = StateFile::open(&path).expect("there");
        assert_eq!(read.certificates.len(), 1, "a name that leads out of the folder is forgotten");
        drop(file);
        std::fs::write(&path, "{").expect("written");
        assert!(matches!(StateFile::open(&path), Err(StateError::Text { .. })));
    }
}
