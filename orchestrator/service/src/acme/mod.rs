//! Speaks RFC 8555: one request per call, and each answer or failure kept whole.
//!
//! An [`Authority`] is one CA: its directory, its nonces and the connections to it. An [`Account`] is one
//! account there and carries the order path, from new-order to the certificate. Accounts, renewal
//! information and revocation go through instant-acme, on top of the same HTTP client.
//!
//! Nothing here waits for a state, retries or decides. What a caller must know after a crash is in
//! [`AcmeError`]: whether a request left, may have been executed, or was refused.

pub mod account;
pub mod authority;
mod bridge;
pub mod directory;
pub mod endpoint;
pub mod error;
mod http;
mod instruments;
pub mod jws;
pub mod late;
pub mod nonce;
pub mod objects;
pub mod observation;
pub mod order_path;
pub mod orders_list;
pub mod origin;
mod problem;
pub mod registration;
pub mod renewal_info;
pub mod reply;
pub mod revocation;
pub mod transport;

pub use account::Account;
pub use authority::{Authority, AuthorityConfig};
pub use directory::Directory;
pub use endpoint::{Endpoint, Timeouts};
pub use error::AcmeError;
pub use jws::{AccountKey, ExternalAccount};
pub use late::{Bystander, LateAnswers, MadeOrder};
pub use order_path::{DownloadedChain, PlacedOrder};
pub use registration::Registration;
pub use reply::Reply;
pub(crate) use reply::http_date;
pub use transport::{HyperTransport, Transport, TransportError};
