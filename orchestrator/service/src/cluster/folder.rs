use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::ClusterError;
use super::owner::Owner;

/// The data folder, as far as the cluster is concerned.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes the folder where it is missing, open for passing through: what lies in it protects itself.
    pub(super) fn prepare(data_folder: &Path) -> Result<Self, ClusterError> {
        let failed = |source| ClusterError::Folder { folder: data_folder.to_path_buf(), source };
        if !data_folder.exists() {
            std::fs::create_dir_all(data_folder).map_err(failed)?;
            set_mode(data_folder, 0o711).map_err(failed)?;
        }
        Ok(Self { root: data_folder.canonicalize().map_err(failed)? })
    }

    /// Without a look at the disk.
    pub(super) fn at(data_folder: &Path) -> Self {
        Self { root: data_folder.to_path_buf() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// Where a cluster is made, so that one whose making was interrupted is never taken for a whole one.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.root.join("postgres.unfinished")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("postgres.lock")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The major version that made the cluster; `None` where there is no cluster yet.
    pub(super) fn version(&self) -> Result<Option<u32>, ClusterError> {
        let path = self.cluster().join("PG_VERSION");
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().split('.').next().and_then(|major| major.parse().ok())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ClusterError::Folder { folder: path, source }),
        }
    }

    /// Whether the cluster's user may pass through every folder down to the data folder.
    pub(super) fn check_reachable(&self, owner: &Owner) -> Result<(), ClusterError> {
        let Some(account) = owner.account() else { return Ok(()) };
        for folder in self.root.ancestors().collect::<Vec<_>>().into_iter().rev() {
            let about = folder
                .metadata()
                .map_err(|source| ClusterError::Folder { folder: folder.to_path_buf(), source })?;
            let pass = match () {
                () if about.uid() == account.uid => 0o100,
                () if about.gid() == account.gid => 0o010,
                () => 0o001,
            };
            if about.mode() & pass == 0 {
                return Err(ClusterError::Unreachable {
                    user: account.name.clone(),
                    closed: folder.to_path_buf(),
                });
            }
        }
        Ok(())
    }
}

/// An empty folder that only the cluster's user may enter.
pub(super) fn make_private(path: &Path, owner: &Owner) -> Result<(), ClusterError> {
    let failed = |source| ClusterError::Folder { folder: path.to_path_buf(), source };
    std::fs::create_dir(path).map_err(failed)?;
    set_mode(path, 0o700).map_err(failed)?;
    owner.give(path).map_err(failed)
}

pub(super) fn write_settings(cluster: &Path, owner: &Owner, settings: &str) -> Result<(), ClusterError> {
    let path = cluster.join("postgresql.conf");
    std::fs::write(&path, settings)
        .and_then(|()| set_mode(&path, 0o600))
        .and_then(|()| owner.give(&path))
        .map_err(|source| ClusterError::Folder { folder: path, source })
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}
