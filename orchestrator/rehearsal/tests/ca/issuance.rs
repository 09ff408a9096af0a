//! A whole issuance over TLS by a client nobody here wrote.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{
    Account, AccountBuilder, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, Error,
    Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};

use crate::client::Client;
use crate::world::World;

struct Https(HttpClient<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl instant_acme::HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let answer = self.0.request(request);
        Box::pin(async move {
            answer.await.map(BytesResponse::from).map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

fn roots(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a root")).expect("a good root");
    roots
}

fn builder(ca: &RehearsalCa) -> AccountBuilder {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots(ca.tls_root_pem().expect("TLS")))
        .with_no_client_auth();
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_all_versions().build();
    Account::builder_with_http(Box::new(Https(HttpClient::builder(TokioExecutor::new()).build(connector))))
}

#[tokio::test]
async fn instant_acme_gets_a_certificate_that_verifies() {
    let world = World::start().await;
    let rules = CaRules { nonce_rejection: 0.0, ..CaRules::default() };
    let config = CaConfig {
        tls: true,
        rules,
        dns: Some(world.dns),
        http_port: world.http_port,
        ..CaConfig::default()
    };
    let ca = RehearsalCa::start(config).await.expect("a CA");
    let new_account = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let (account, _) = builder(&ca).create(&new_account, ca.directory_url(), None).await.expect("an account");

    let names = ["shop.com", "www.shop.com"].map(|name| Identifier::Dns(name.to_owned()));
    let mut order = account.new_order(&NewOrder::new(&names)).await.expect("an order");
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.expect("an authorization");
        assert_eq!(authorization.status, AuthorizationStatus::Pending);
        let mut challenge = authorization.challenge(ChallengeType::Http01).expect("offered");
        world.serve(&challenge.token, challenge.key_authorization().as_str());
        challenge.set_ready().await.expect("submitted");
    }
    ca.idle().await;
    assert_eq!(order.poll_ready(&RetryPolicy::default()).await.expect("a status"), OrderStatus::Ready);
    order.finalize().await.expect("finalized");
    let chain = order.poll_certificate(&RetryPolicy::default()).await.expect("a chain");

    assert_verifies(&chain, ca.root_pem(), &["shop.com", "www.shop.com"]);
    let audit = ca.audit();
    assert_eq!((audit.certificates, audit.authorizations.valid, audit.authorizations.open), (1, 2, 0));
    assert_eq!(audit.peak_open, 2);
    ca.stop().await;
}

/// What a TLS library says of the chain.
#[track_caller]
fn assert_verifies(chain: &str, root: &str, names: &[&str]) {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().expect("PEM");
    assert_eq!(chain.len(), 2);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(root)), provider);
    let verifier = verifier.build().expect("a verifier");
    for &name in names {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let verdict = verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now());
        verdict.expect("the chain verifies");
    }
}

#[tokio::test]
async fn both_chains_verify_each_to_its_root() {
    let rules = CaRules { always_valid: true, nonce_rejection: 0.0, ..CaRules::default() };
    let ca = RehearsalCa::start(CaConfig { rules, ..CaConfig::default() }).await.expect("a CA");
    let client = Client::registered(&ca).await;
    let done = client.issue(&ca, &["*.shop.com", "shop.com"]).await;
    let first = client.read(done.field("certificate")).await.assert_ok(200);
    assert_eq!(first.header("content-type"), Some("application/pem-certificate-chain"));
    assert_verifies(&first.text, ca.root_pem(), &["shop.com", "any.shop.com"]);
    let other = first.links().into_iter().find(|link| link.ends_with(";rel=\"alternate\""));
    let other = other.expect("an alternate").trim_start_matches('<').split('>').next().expect("a URL");
    let second = client.read(other).await.assert_ok(200);
    assert_verifies(&second.text, ca.alternate_root_pem(), &["shop.com", "any.shop.com"]);
    assert_eq!(client.fetch("/root.pem").await.assert_ok(200).text, ca.root_pem());
}
