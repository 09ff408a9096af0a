//! Keys: made, sealed at rest, and held against the certificates made for them.

pub mod account_key;
pub mod bundle;
pub mod chain;
pub mod csr;
pub mod master;
pub mod password;
pub mod pkcs12;
pub mod request;
pub mod seal;

pub use chain::{ChainError, CheckedChain};
pub use csr::{CertificateKey, KeyError};
pub use issuance::key_kind::KeyKind;
pub use master::{MasterKey, MasterKeyError};
pub use seal::{SealError, Sealer};
