use crate::cluster::PrivateCluster;
use crate::config::Config;
use crate::store::Store;

use super::error::CliError;

/// The database of a command that works on it directly, and the server it started for that, if any.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) store: Store,
    started: Option<PrivateCluster>,
}

impl Database {
    /// The configured server, or the private cluster: as it runs, or else started for this command.
    pub(super) async fn open(config: &Config) -> Result<Self, CliError> {
        let mut started = None;
        let url = match &config.database.url {
            Some(url) => url.expose().to_owned(),
            None => match PrivateCluster::running_url(&config.data.folder).await {
                Some(url) => url,
                None => started.insert(PrivateCluster::start(&config.data.folder).await?).url(),
            },
        };
        let store = Store::open(&url, config.database.connections.get())?;
        store.reach().await?;
        Ok(Self { store, started })
    }

    pub(super) async fn close(self) -> Result<(), CliError> {
        self.store.close().await;
        match self.started {
            Some(cluster) => Ok(cluster.stop().await?),
            None => Ok(()),
        }
    }
}
