//! Which replica this is: a name kept in the data folder, and the folder held by one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::store::leases::Replica;

/// The data folder in this process's hands. Because no other process can have it, the leases that carry its
/// replica's name are those of a process that is gone.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) replica: Replica,
    _lock: File,
}

/// Why this process cannot be a replica.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the data folder {} cannot be used", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the data folder {} is in use by another lockkeeper: give each replica its own", path.display())]
    InUse { path: PathBuf },
    #[error("{} does not hold a replica's name: remove it to get a new one", path.display())]
    Name { path: PathBuf },
}

impl Identity {
    /// Makes the folder where it is missing, takes it, and reads or writes the replica's name.
    pub(super) fn take(folder: &Path) -> Result<Self, IdentityError> {
        let failed = |path: &Path, source| IdentityError::Folder { path: path.to_owned(), source };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(|source| failed(folder, source))?;
        let path = folder.join("lockkeeper.lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|source| failed(&path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(IdentityError::InUse { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(&path, source)),
        }
        let path = folder.join("replica");
        let name = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| IdentityError::Name { path: path.clone() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = Uuid::new_v4();
                write(&path, &name.to_string()).map_err(|source| failed(&path, source))?;
                name
            }
            Err(source) => return Err(failed(&path, source)),
        };
        Ok(Self { replica: Replica(name), _lock: lock })
    }
}

/// Whole or not at all.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_replica_and_keeps_its_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = Identity::take(folder.path()).expect("free");
        let name = first.replica;
        assert!(matches!(Identity::take(folder.path()), Err(IdentityError::InUse { .. })));
        drop(first);
        assert_eq!(Identity::take(folder.path()).expect("free again").replica, name);
    }

    #[test]
    fn a_spoilt_name_is_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("replica"), "not a name").expect("writable");
        assert!(matches!(Identity::take(folder.path()), Err(IdentityError::Name { .. })));
    }
}
