use std::io;
use std::path::PathBuf;

use super::api_client::ApiError;
use super::demo::DemoError;
use super::exit::Exit;
use super::http01::snippet::{SnippetError, ThumbprintError};
use crate::adopt::csv::FileError;
use crate::agent::{AgentError, ServiceError, StateError};
use crate::app::{AppError, IdentityError};
use crate::cluster::ClusterError;
use crate::config::ConfigError;
use crate::config::ca_profile::CaProfileError;
use crate::rehearse::RehearsalError;
use crate::store::StoreError;
use crate::telemetry::{LogError, RecorderError};

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
    #[error("{what}")]
    Arguments { what: String },
    #[error(transparent)]
    Snippet(#[from] SnippetError),
    #[error(transparent)]
    Thumbprint(#[from] ThumbprintError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    App(#[from] AppError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    Logs(#[from] LogError),
    #[error(transparent)]
    Metrics(#[from] RecorderError),
    #[error("signals cannot be waited for")]
    Signal(#[source] io::Error),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("{} cannot be read", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is larger than an import may be: split it, each part with the header", path.display())]
    FileTooLarge { path: PathBuf },
    #[error("{} cannot be imported", path.display())]
    ImportFile {
        path: PathBuf,
        #[source]
        source: FileError,
    },
    #[error("there is no plan: {what}")]
    Plan { what: String },
    #[error("the rehearsal came to nothing")]
    Rehearsal(#[from] RehearsalError),
    #[error(transparent)]
    RehearsalRules(#[from] rehearsal::rules::UnknownPreset),
    #[error("{} is no fault plan", path.display())]
    FaultPlan {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error(transparent)]
    RehearsalCa(rehearsal::ca::StartError),
    #[error("the machine has no resolver to ask: give --dns or --always-valid")]
    NoResolver(#[source] io::Error),
    #[error("{} cannot be written", path.display())]
    RootFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the result cannot be printed")]
    Output(#[source] io::Error),
}

impl CliError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::CaProfile(_)
            | Self::RehearsalRules(_)
            | Self::FaultPlan { .. }
            | Self::NoResolver(_)
            | Self::Unfit { .. }
            | Self::Arguments { .. }
            | Self::Snippet(_)
            | Self::Thumbprint(_)
            | Self::ConfiguredFile { .. }
            | Self::File { .. }
            | Self::Plan { .. }
            | Self::Demo(DemoError::Variable { .. })
            | Self::App(
                AppError::CaProfile(_)
                | AppError::NoDirectory
                | AppError::Directory(_)
                | AppError::Terms { .. },
            ) => Exit::Usage,
            Self::Agent(error) => of_agent(error),
            Self::Api(error) => error.exit(),
            Self::Cluster(_) | Self::Store(StoreError::Connect(_)) | Self::App(AppError::Cluster(_)) => {
                Exit::Unreachable
            }
            Self::App(AppError::Identity(IdentityError::InUse { .. })) => Exit::Conflict,
            Self::App(_)
            | Self::Demo(_)
            | Self::Logs(_)
            | Self::Metrics(_)
            | Self::Signal(_)
            | Self::RehearsalCa(_)
            | Self::Rehearsal(_)
            | Self::RootFile { .. }
            | Self::Store(_)
            | Self::FileTooLarge { .. }
            | Self::ImportFile { .. }
            | Self::Output(_) => Exit::Failure,
        }
    }
}

fn of_agent(error: &AgentError) -> Exit {
    match error {
        AgentError::Service(ServiceError::Unreachable { .. }) => Exit::Unreachable,
        AgentError::Service(ServiceError::Refused { status, .. }) => match status.as_u16() {
            401 | 403 => Exit::Unauthorized,
            429 => Exit::Deferred,
            503 => Exit::Unreachable,
            _ => Exit::Failure,
        },
        AgentError::State(StateError::InUse { .. }) => Exit::Conflict,
        AgentError::Service(ServiceError::Foreign) | AgentError::State(_) => Exit::Failure,
        AgentError::Service(_)
        | AgentError::Owner(_)
        | AgentError::NoTarget
        | AgentError::HookWithoutFiles => Exit::Usage,
    }
}
