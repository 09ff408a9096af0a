use std::path::PathBuf;
use std::time::Duration;

/// Why there is no private cluster, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(
        "no PostgreSQL is installed: `apt-get install postgresql` brings it on Debian, or set [database] url to \
         a server elsewhere"
    )]
    NotInstalled,
    #[error(
        "the cluster was made by PostgreSQL {version}, which is not installed (found: {found}): \
         `apt-get install postgresql-{version}` brings it on Debian"
    )]
    VersionNotInstalled { version: u32, found: String },
    #[error("the data folder {} cannot be used", folder.display())]
    Folder {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the data folder {} is used by another lockkeeper: give both of them a [database] url", folder.display())]
    InUse { folder: PathBuf },
    #[error(
        "PostgreSQL never runs as root but as user {user}, who may not pass through {}: put [data] folder \
         elsewhere, or `chmod o+x {}`", closed.display(), closed.display()
    )]
    Unreachable { user: String, closed: PathBuf },
    #[error("PostgreSQL never runs as root, and this machine has no user postgres and no user nobody")]
    NoUser,
    #[error("{} belongs to somebody else or is open to others: remove it", folder.display())]
    ForeignSocketFolder { folder: PathBuf },
    #[error("{} cannot be run", program.display())]
    Spawn {
        program: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} failed: {said}", program.display())]
    Program { program: PathBuf, said: String },
    #[error("PostgreSQL ended while it was starting (its log: {}):\n{said}", log.display())]
    Ended { log: PathBuf, said: String },
    #[error("PostgreSQL takes no connections after {} s (its log: {}):\n{said}", waited.as_secs(), log.display())]
    NotReady { waited: Duration, log: PathBuf, said: String },
    #[error("PostgreSQL did not leave {} after it was asked to stop", folder.display())]
    StillRunning { folder: PathBuf },
}
