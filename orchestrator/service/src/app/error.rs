//! Why the service does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use issuance::ids::AccountId;

use crate::challenge::address::AddressBlockError;
use crate::challenge::dns01::ProviderSetUpError;
use crate::challenge::dns01::authority::OwnZoneError;
use crate::challenge::fetch::FetcherSetUpError;
use crate::challenge::resolver::ResolverSetUpError;
use crate::cluster::ClusterError;
use crate::config::DirectoryUrlError;
use crate::config::ca_profile::CaProfileError;
use crate::keys::{KeyError, MasterKeyError, SealError};
use crate::oidc::OidcSetUpError;
use crate::store::StoreError;
use crate::store::api_keys::OperatorTokenError;
use crate::telemetry::MetricsServerError;
use crate::telemetry::traces::CollectorError;
use crate::webhooks::SenderSetUpError;

use super::identity::IdentityError;

impl AppError {
    /// The database went away while it was asked: worth another try.
    pub(super) fn is_database_away(&self) -> bool {
        match self {
            Self::Store(error) | Self::OperatorToken(OperatorTokenError::Store(error)) => {
                error.is_unavailable()
            }
            _ => false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    CaProfile(#[from] CaProfileError),
    #[error("the CA profile names no directory: set directory_url in [ca]")]
    NoDirectory,
    #[error("the CA profile's directory is unusable")]
    Directory(#[source] DirectoryUrlError),
    #[error(
        "no account is registered at {directory_url} before its terms of service are agreed to: read them and \
         set agree_to_terms = true in [ca]"
    )]
    Terms { directory_url: String },
    #[error("{} cannot be read or written", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Collector(#[from] CollectorError),
    #[error("there is no database")]
    NoDatabase,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    #[error(
        "the key of account {account} does not open: every replica needs the master key it was sealed with"
    )]
    AccountKey {
        account: AccountId,
        #[source]
        source: SealError,
    },
    #[error("an account key could not be made")]
    NewAccountKey(#[from] KeyError),
    #[error("an account key could not be used")]
    UnusableAccountKey(#[from] crate::acme::jws::KeyError),
    #[error("the external account binding's key is not base64url: copy it as the CA shows it")]
    ExternalAccountKey {
        #[source]
        source: base64::DecodeError,
    },
    #[error(transparent)]
    OperatorToken(#[from] OperatorTokenError),
    #[error(transparent)]
    Resolver(#[from] ResolverSetUpError),
    #[error(transparent)]
    Fetcher(#[from] FetcherSetUpError),
    #[error(transparent)]
    Provider(#[from] ProviderSetUpError),
    #[error(transparent)]
    OwnZone(#[from] OwnZoneError),
    #[error(transparent)]
    Webhooks(#[from] SenderSetUpError),
    #[error(transparent)]
    Oidc(#[from] OidcSetUpError),
    #[error(transparent)]
    AddressBlock(AddressBlockError),
    #[error("the {what} cannot listen on {listen}")]
    Listen {
        what: &'static str,
        listen: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("a listener does not know its address")]
    Address(#[source] io::Error),
    #[error("the endpoints cannot be written down")]
    Endpoints(#[source] serde_json::Error),
    #[error(transparent)]
    Metrics(#[from] MetricsServerError),
}
