//! The baseline: `instant-acme` in a loop, as fast as it goes. One account, kept connections, polls after a
//! millisecond, no database, nothing looked at before an order and nothing remembered after it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{
    Account, BodyWrapper, BytesResponse, ChallengeType, Error, HttpClient, Identifier, NewAccount, NewOrder,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::task::JoinSet;

use crate::authority::Authority;
use crate::measurement::Measurement;
use crate::usage;

const POLLS: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(1)).backoff(1.0).timeout(Duration::from_mins(1));

/// Issues one certificate for each of `names`, `in_flight` at once.
pub async fn run(authority: &Authority, names: Vec<String>, in_flight: usize) -> Result<Measurement> {
    let requests = Arc::new(AtomicU64::new(0));
    let http = CountingClient {
        client: Client::builder(TokioExecutor::new()).build(connector(authority)?),
        requests: Arc::clone(&requests),
    };
    let terms = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let directory = authority.directory_url().to_owned();
    let (account, _) = Account::builder_with_http(Box::new(http)).create(&terms, directory, None).await?;

    let (ca, own) = (authority.pid()?, std::process::id());
    let certificates = names.len();
    let (ca_before, own_before) = (usage::cpu(ca)?, usage::cpu(own)?);
    requests.store(0, Ordering::Relaxed);
    let started = Instant::now();
    let (names, next) = (Arc::new(names), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (account, names, next) = (account.clone(), Arc::clone(&names), Arc::clone(&next));
        tasks.spawn(async move {
            while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                issue(&account, name).await.with_context(|| name.clone())?;
            }
            Ok::<(), anyhow::Error>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let took = started.elapsed();
    Ok(Measurement {
        certificates,
        took,
        ca_cpu: usage::cpu(ca)?.saturating_sub(ca_before),
        bench_cpu: usage::cpu(own)?.saturating_sub(own_before),
        ca_memory: usage::peak_memory(ca)?,
        requests: requests.load(Ordering::Relaxed),
        service: None,
    })
}

async fn issue(account: &Account, name: &str) -> Result<()> {
    let identifiers = [Identifier::Dns(name.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let mut challenge =
            authorization.challenge(ChallengeType::Http01).context("no http-01 challenge is offered")?;
        challenge.set_ready().await?;
    }
    let status = order.poll_ready(&POLLS).await?;
    if status != OrderStatus::Ready {
        bail!("the order is {status:?}");
    }
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new([name.to_owned()])?;
    parameters.distinguished_name = DistinguishedName::new();
    order.finalize_csr(parameters.serialize_request(&key)?.der()).await?;
    order.poll_certificate(&POLLS).await?;
    Ok(())
}

fn connector(authority: &Authority) -> Result<HttpsConnector<HttpConnector>> {
    let mut roots = RootCertStore::empty();
    if let Some((_, pem)) = authority.extra_root() {
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    Ok(builder.enable_all_versions().wrap_connector(tcp))
}

struct CountingClient {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    requests: Arc<AtomicU64>,
}

impl HttpClient for CountingClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = self.client.request(request);
        Box::pin(async move {
            answer.await.map(BytesResponse::from).map_err(|error| Error::Other(Box::new(error)))
        })
    }
}
