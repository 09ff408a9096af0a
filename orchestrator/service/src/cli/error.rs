use std::io;

use super::exit::Exit;
use crate::cluster::ClusterError;
use crate::config::ConfigError;
use crate::config::ca_profile::CaProfileError;
use crate::store::StoreError;

/// Why a command failed. Printed once, with its causes, by `main`.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    CaProfile(#[from] CaProfileError),
    #[error("the configuration does not hold together: {what}")]
    Unfit { what: String },
    #[error("{what} cannot be read")]
    ConfiguredFile {
        what: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    RehearsalRules(#[from] rehearsal::rules::UnknownPreset),
    #[error(transparent)]
    RehearsalCa(rehearsal::ca::StartError),
    #[error("the machine has no resolver to ask: give --dns or --always-valid")]
    NoResolver(#[source] io::Error),
    #[error("{} cannot be written", path.display())]
    RootFile {
        path: std::path::PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("signals cannot be waited for")]
    Signal(#[source] io::Error),
    #[error("the result cannot be printed")]
    Output(#[source] io::Error),
}

impl CliError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::RehearsalRules(_)
            | Self::CaProfile(_)
            | Self::Unfit { .. }
            | Self::ConfiguredFile { .. }
            | Self::NoResolver(_) => Exit::Usage,
            Self::Cluster(_) | Self::Store(StoreError::Connect(_)) => Exit::Unreachable,
            Self::Store(_)
            | Self::RehearsalCa(_)
            | Self::RootFile { .. }
            | Self::Signal(_)
            | Self::Output(_) => Exit::Failure,
        }
    }
}
