//! What the tests of the whole stand on: worlds to start, drive and look at.

pub mod clock;
pub mod collector;
pub mod database;
pub mod fate;
pub mod flaky_transport;
pub mod held_transport;
pub mod https_client;
pub mod identity_provider;
pub mod mortal_service;
pub mod name_server;
pub mod named;
pub mod openssl;
pub mod pebble;
pub mod postgres;
pub mod proxy;
pub mod renewal_info;
pub mod scripted_ca;
pub mod scripted_transport;
pub mod service_process;
pub mod settings;
pub mod soak;
pub mod web_server;
pub mod wire;
pub mod world;

/// SHA-256, by a hand other than the service's.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
