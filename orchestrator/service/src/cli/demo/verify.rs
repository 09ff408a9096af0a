//! Verifies what was issued the way a visitor's TLS library does: every chain up to the CA's root, for every
//! name in it, now.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::cli::api_client::ApiClient;
use crate::cli::error::CliError;
use crate::cli::listing;
use crate::store::certificates::CertificateView;

use super::stage::DemoError;

const CHAINS_AT_ONCE: usize = 8;

/// The names for which a certificate is there that a TLS library accepts.
pub(super) async fn verify(api: &ApiClient, roots_pem: &str) -> Result<BTreeSet<String>, CliError> {
    let roots: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(roots_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| DemoError::Root)?;
    let anchors: Vec<TrustAnchor<'static>> = roots
        .iter()
        .map(|root| anchor_from_trusted_cert(root).map(|anchor| anchor.to_owned()))
        .collect::<Result<_, _>>()
        .map_err(|_| DemoError::Root)?;
    let mut issued: Vec<CertificateView> = listing::fetch_all(api, "/v1/certificates", &[]).await?;
    issued.retain(|certificate| certificate.current.is_some());
    let chains: Vec<(CertificateView, String)> = stream::iter(issued)
        .map(|certificate| async move {
            let chain = api.fetch_text(&format!("/v1/certificates/{}/chain", certificate.id)).await?;
            Ok::<_, CliError>((certificate, chain))
        })
        .buffer_unordered(CHAINS_AT_ONCE)
        .try_collect()
        .await?;
    let now = UnixTime::now();
    let mut verified = BTreeSet::new();
    for (certificate, chain) in chains {
        verified.extend(names_verified(&chain, &certificate.names, &anchors, now));
    }
    Ok(verified)
}

/// Those of `names` that the chain is good for.
fn names_verified(chain: &str, names: &[String], anchors: &[TrustAnchor<'_>], now: UnixTime) -> Vec<String> {
    let Ok(ders) = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>() else {
        return Vec::new();
    };
    let Some((leaf, intermediates)) = ders.split_first() else { return Vec::new() };
    let Ok(leaf) = EndEntityCert::try_from(leaf) else { return Vec::new() };
    let path = leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        anchors,
        intermediates,
        now,
        KeyUsage::server_auth(),
        None,
        None,
    );
    if path.is_err() {
        return Vec::new();
    }
    names
        .iter()
        .filter(|name| {
            let subject = ServerName::try_from(name.as_str());
            subject.is_ok_and(|subject| leaf.verify_is_valid_for_subject_name(&subject).is_ok())
        })
        .cloned()
        .collect()
}

/// Requests to the CA as the service counted them, for a CA that keeps no books.
#[derive(Debug, Default)]
pub(super) struct CaRequests {
    pub(super) total: u64,
    pub(super) rate_limited: u64,
}

/// Reads the counters of the service that runs now.
pub(super) async fn ca_requests(metrics: std::net::SocketAddr) -> Result<CaRequests, CliError> {
    let text = crate::cli::api_client::fetch_plain(&format!("http://{metrics}/metrics")).await?;
    let mut counted = CaRequests::default();
    for line in text.lines().filter(|line| line.starts_with("lockkeeper_acme_requests_total{")) {
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0);
        counted.total += value as u64;
        if line.contains("code=\"429\"") {
            counted.rate_limited += value as u64;
        }
    }
    Ok(counted)
}
