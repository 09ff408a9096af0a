use std::fs::{File, TryLockError};

use super::error::ClusterError;
use super::folder::Folder;

/// The right to run the cluster of a folder. The kernel takes it back from a process that is killed.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(folder: &Folder) -> Result<Self, ClusterError> {
        let failed = |source| ClusterError::Folder { folder: folder.root().to_path_buf(), source };
        let file = File::create(folder.lock()).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(ClusterError::InUse { folder: folder.root().to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
