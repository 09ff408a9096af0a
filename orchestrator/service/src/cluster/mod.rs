//! The private database cluster: a PostgreSQL of the service's own, for whoever brings none.
//!
//! ```text
//! <data folder>/postgres        the cluster, owned by the user it runs as
//! <data folder>/postgres.log    what it says
//! <data folder>/postgres.lock   held by the service that runs it; a second service is turned away
//! <data folder>/run             its Unix socket, or a folder in /tmp where that path would be too long
//! ```
//!
//! There is no TCP port, and the socket lies in a folder that only the cluster's user (and root) may enter, so
//! whoever gets to it is trusted. A cluster whose service was killed runs on; the next service adopts it.

mod binaries;
mod error;
mod folder;
mod lock;
mod owner;
mod pid_file;
mod settings;
mod socket;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use binaries::Binaries;
pub use error::ClusterError;
use folder::Folder;
use lock::Lock;
use owner::Owner;
use pid_file::PidFile;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

/// The role and the database that the service uses.
const NAME: &str = "lockkeeper";

/// Recovery after a crash replays at most `max_wal_size` of log.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// A fast shutdown writes a checkpoint.
const STOPPED_WITHIN: Duration = Duration::from_mins(2);

/// Between two looks at a cluster that is starting.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A running cluster. It is stopped by [`PrivateCluster::stop`], or at the latest when this is dropped.
#[derive(Debug)]
pub struct PrivateCluster {
    binaries: Binaries,
    folder: Folder,
    owner: Owner,
    socket_folder: PathBuf,
    /// Absent for an adopted cluster, which is no child of this process.
    postmaster: Option<Child>,
    adopted: bool,
    running: bool,
    _lock: Lock,
}

impl PrivateCluster {
    /// Starts the cluster of `data_folder`, making it first where there is none, or adopts it where it runs
    /// already, and waits until it takes connections.
    ///
    /// # Errors
    /// No PostgreSQL is installed, the folder cannot be used, another service uses it, or the server does not
    /// start; each says what to do.
    pub async fn start(data_folder: &Path) -> Result<Self, ClusterError> {
        let folder = Folder::prepare(data_folder)?;
        let lock = Lock::take(&folder)?;
        let owner = Owner::of(&folder)?;
        folder.check_reachable(&owner)?;
        let binaries = Binaries::find(folder.version()?)?;

        let mut cluster = Self {
            binaries,
            socket_folder: folder.socket(),
            folder,
            owner,
            postmaster: None,
            adopted: false,
            running: false,
            _lock: lock,
        };
        if !cluster.adopt().await? {
            cluster.launch().await?;
        }
        Ok(cluster)
    }

    /// Takes over a cluster that runs without a service. One that is just shutting down is waited out.
    async fn adopt(&mut self) -> Result<bool, ClusterError> {
        let Some(pid_file) = PidFile::read(&self.folder) else { return Ok(false) };
        if !self.binaries.is_running(&self.folder, &self.owner).await? {
            return Ok(false);
        }
        self.socket_folder = pid_file.socket_folder;
        self.running = true;
        self.adopted = self.wait_until_ready(u64::MAX).await?;
        self.running = self.adopted;
        Ok(self.adopted)
    }

    async fn launch(&mut self) -> Result<(), ClusterError> {
        if self.folder.version()?.is_none() {
            self.binaries.make_cluster(&self.folder, &self.owner, &settings::conf()).await?;
        }
        // Written anew at each start, so that the settings are this release's.
        folder::write_settings(&self.folder.cluster(), &self.owner, &settings::conf())?;
        self.socket_folder = socket::prepare(&self.folder, &self.owner)?;
        let (log, log_start) = open_log(&self.folder)?;
        let program = self.binaries.postgres();
        let mut command = self.owner.command(&program);
        command.arg("-D").arg(self.folder.cluster()).arg("-k").arg(&self.socket_folder).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Ctrl-C on the terminal reaches a whole process group, but the database must outlive the service's drain.
        let postmaster = command.process_group(0).spawn();
        self.postmaster =
            Some(postmaster.map_err(|source| ClusterError::Spawn { program: program.clone(), source })?);
        self.running = true;
        if self.wait_until_ready(log_start).await? {
            return Ok(());
        }
        self.running = false;
        let (log, said) = (self.folder.log(), said_since(&self.folder.log(), log_start));
        Err(ClusterError::Ended { log, said })
    }

    /// The URL of the cluster that runs in `data_folder` now, whoever started it.
    pub async fn running_url(data_folder: &Path) -> Option<String> {
        let pid_file = PidFile::read(&Folder::at(data_folder))?;
        socket::takes_connections(&pid_file.socket_folder).await.then(|| url(&pid_file.socket_folder))
    }

    /// For the store: a URL without secrets.
    pub fn url(&self) -> String {
        url(&self.socket_folder)
    }

    /// Whether the cluster was found running.
    pub fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// Shuts the cluster down in the fast way (open transactions are rolled back) and waits until it is gone.
    pub async fn stop(mut self) -> Result<(), ClusterError> {
        self.running = false;
        self.binaries.stop(&self.folder, &self.owner, STOPPED_WITHIN).await?;
        if let Some(postmaster) = &mut self.postmaster {
            let exited = timeout(STOPPED_WITHIN, postmaster.wait()).await;
            exited
                .map_err(|_| ClusterError::StillRunning { folder: self.folder.cluster() })?
                .map_err(|source| ClusterError::Spawn { program: self.binaries.postgres(), source })?;
        }
        Ok(())
    }

    /// Whether the server takes connections; `false` once it has ended.
    async fn wait_until_ready(&mut self, log_start: u64) -> Result<bool, ClusterError> {
        let deadline = Instant::now() + READY_WITHIN;
        while !socket::takes_connections(&self.socket_folder).await {
            let has_ended = match &mut self.postmaster {
                Some(child) => child.try_wait().is_ok_and(|status| status.is_some()),
                None => PidFile::read(&self.folder).is_none(),
            };
            if has_ended {
                return Ok(false);
            }
            if Instant::now() >= deadline {
                let (log, said) = (self.folder.log(), said_since(&self.folder.log(), log_start));
                return Err(ClusterError::NotReady { waited: READY_WITHIN, log, said });
            }
            sleep(LOOK_INTERVAL).await;
        }
        Ok(true)
    }
}

impl Drop for PrivateCluster {
    fn drop(&mut self) {
        if self.running {
            self.binaries.stop_without_waiting(&self.folder, &self.owner);
        }
    }
}

fn url(socket_folder: &Path) -> String {
    let folder = socket_folder.to_string_lossy();
    let host = percent_encoding::utf8_percent_encode(&folder, percent_encoding::NON_ALPHANUMERIC);
    format!("postgres://{NAME}@{host}:{}/{NAME}", socket::PORT)
}

/// Opened for appending, and set aside first where it has grown: the log of the last run stays readable.
fn open_log(folder: &Folder) -> Result<(File, u64), ClusterError> {
    const LOG_BYTES_MAX: u64 = 16 << 20;
    let path = folder.log();
    let failed = |source| ClusterError::Folder { folder: path.clone(), source };
    if path.metadata().is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        std::fs::rename(&path, path.with_extension("log.1")).map_err(failed)?;
    }
    let log = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
    let start = log.metadata().map_err(failed)?.len();
    Ok((log, start))
}

/// The end of what the server wrote since `start`, for an error message.
fn said_since(log: &Path, start: u64) -> String {
    const LINES_MAX: usize = 8;
    let mut text = String::new();
    let read = File::open(log).and_then(|mut log| {
        log.seek(SeekFrom::Start(start))?;
        log.read_to_string(&mut text)
    });
    if read.is_err() {
        return String::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}

#[cfg(test)]
mod tests;
