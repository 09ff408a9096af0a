//! The client for whoever is asked now and then and is no CA: a collector of traces, a provider of identities.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

const IDLE_MAX: Duration = Duration::from_secs(30);

pub(crate) type HttpsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Why there is no client.
#[derive(Debug)]
pub(crate) enum SetUpError {
    /// What is to be trusted beside the machine's roots holds no certificate in PEM.
    Root,
    Tls(rustls::Error),
}

impl From<rustls::Error> for SetUpError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error)
    }
}

/// Trusts the machine's roots and those in `extra_root_pem`. Speaks plain HTTP as well: whose address may be plain, the caller
/// says.
pub(crate) fn client(extra_root_pem: Option<&str>) -> Result<HttpsClient, SetUpError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = extra_root_pem {
        let certificates: Vec<CertificateDer<'_>> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap_or_default();
        if certificates.is_empty() {
            return Err(SetUpError::Root);
        }
        for root in certificates {
            roots.add(root)?;
        }
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let tls = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().build();
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .build(connector))
}
