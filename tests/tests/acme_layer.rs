//! The ACME client against Pebble: the order path, what instant-acme does for us, and nonces that are refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Request;
use issuance::identifier::{Hostname, Identifiers};
use issuance::problem::ProblemKind;
use issuance::time::Clock;
use lockkeeper::acme::objects::{
    AccountStatus, AuthorizationStatus, ChallengeKind, Identifier, OrderObject, OrderStatus,
};
use lockkeeper::acme::revocation::RevocationReason;
use lockkeeper::acme::transport::{Exchange, HyperTransport};
use lockkeeper::acme::{
    Account, AccountKey, AcmeError, Authority, AuthorityConfig, Endpoint, ExternalAccount, Registration,
    Timeouts, Transport, TransportError,
};
use lockkeeper::clock::SystemClock;
use lockkeeper::keys::{CertificateKey, CheckedChain, KeyKind, account_key};
use lockkeeper_tests::pebble::{self, Pebble, PebbleOptions};
use secrecy::{ExposeSecret, SecretSlice};

const POLL: Duration = Duration::from_millis(10);
const POLLS_MAX: u32 = 500;

async fn authority(pebble: &Pebble) -> anyhow::Result<Arc<Authority>> {
    authority_through(pebble, None).await
}

async fn authority_through(
    pebble: &Pebble,
    transport: Option<Arc<dyn Transport>>,
) -> anyhow::Result<Arc<Authority>> {
    let config = AuthorityConfig {
        name: "pebble".into(),
        directory_url: pebble.directory_url.clone(),
        extra_root_pem: Some(pebble.root_pem.clone()),
        profile: Arc::new(pebble::profile()),
        timeouts: Timeouts::default(),
        clock: Arc::new(SystemClock),
        transport,
    };
    Ok(Authority::connect(config).await?)
}

fn key_of(kind: KeyKind) -> anyhow::Result<AccountKey> {
    Ok(AccountKey::from_pkcs8(account_key::generate(kind)?.expose_secret())?)
}

fn agreed() -> Registration {
    Registration { terms_of_service_agreed: true, ..Registration::default() }
}

async fn account(pebble: &Pebble, kind: KeyKind) -> anyhow::Result<Account> {
    Ok(Account::register(&authority(pebble).await?, key_of(kind)?, &agreed()).await?)
}

fn names(names: &[&str]) -> anyhow::Result<Identifiers> {
    Ok(Identifiers::new(names.iter().map(|name| Hostname::parse(name)).collect::<Result<Vec<_>, _>>()?)?)
}

async fn order_in(account: &Account, url: &str, wanted: OrderStatus) -> anyhow::Result<OrderObject> {
    for _ in 0..POLLS_MAX {
        let order = account.order(url).await?.body;
        if order.status == wanted {
            return Ok(order);
        }
        if matches!(order.status, OrderStatus::Invalid | OrderStatus::Other(_)) {
            bail!("the order became {}", order.status);
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("the order never became {wanted}")
}

/// From new-order to the checked certificate.
async fn issue(account: &Account, wanted: &Identifiers) -> anyhow::Result<CheckedChain> {
    let placed = account.new_order(wanted, None, None).await?.body;
    for url in &placed.order.authorizations {
        let authorization = account.authorization(url).await?.body;
        let challenge = authorization.challenge(&ChallengeKind::Dns01).context("a dns-01 challenge")?;
        account.submit(&challenge.url).await?;
    }
    let ready = order_in(account, &placed.url, OrderStatus::Ready).await?;
    let key = CertificateKey::generate(KeyKind::EcdsaP256)?;
    account.finalize(&ready.finalize, &key.csr_der(wanted)?).await?;
    let valid = order_in(account, &placed.url, OrderStatus::Valid).await?;
    let chain = account.certificate(&valid.certificate.context("a certificate")?).await?.body;
    Ok(CheckedChain::check(&chain.pem, &key.spki_sha256(), wanted, SystemClock.now())?)
}

#[tokio::test]
async fn an_order_goes_from_its_names_to_a_checked_certificate() -> anyhow::Result<()> {
    let pebble = Pebble::start(&PebbleOptions::default())?;
    for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Rsa2048] {
        let account = account(&pebble, kind).await?;
        let wanted = names(&["shop.example.com", "*.example.net"])?;
        let chain = issue(&account, &wanted).await.with_context(|| format!("with a key of kind {kind}"))?;
        assert!(chain.length >= 2, "{kind}");
        account.revoke(&chain.leaf_der, Some(RevocationReason::Superseded)).await?;
        let again = account.revoke(&chain.leaf_der, None).await.expect_err("revoked already");
        assert_eq!(
            again.problem().map(|problem| &problem.kind),
            Some(&ProblemKind::AlreadyRevoked),
            "{kind}"
        );
    }
    assert!(pebble.issuer_roots().await?.contains("BEGIN CERTIFICATE"));
    Ok(())
}

#[tokio::test]
async fn many_orders_at_once_share_connection_and_nonces() -> anyhow::Result<()> {
    let pebble = Pebble::start(&PebbleOptions::default())?;
    let account = account(&pebble, KeyKind::EcdsaP256).await?;
    let issued = (0..64).map(|number| {
        let account = &account;
        async move { issue(account, &names(&[&format!("at-once{number}.example.com")])?).await }
    });
    let chains = futures_util::future::try_join_all(issued).await?;
    let serials: HashSet<_> = chains.iter().map(|chain| &chain.serial).collect();
    assert_eq!(serials.len(), 64);
    Ok(())
}

#[tokio::test]
async fn deactivating_settles_an_authorization_and_ends_its_order() -> anyhow::Result<()> {
    let pebble = Pebble::start(&PebbleOptions::default())?;
    let account = account(&pebble, KeyKind::EcdsaP256).await?;
    let placed = account.new_order(&names(&["a.example.com", "b.example.com"])?, None, None).await?.body;
    assert_eq!(placed.order.status, OrderStatus::Pending);
    assert!(placed.order.expires.is_some());
    for url in &placed.order.authorizations {
        let settled = account.deactivate(url).await?.body;
        assert_eq!(settled.status, AuthorizationStatus::Deactivated);
        assert_eq!(account.authorization(url).await?.body.status, AuthorizationStatus::Deactivated);
    }
    // Pebble's own word for it, which no RFC knows.
    assert_eq!(account.order(&placed.url).await?.body.status, OrderStatus::Deactivated);
    Ok(())
}

#[tokio::test]
async fn every_order_is_on_the_list_page_after_page() -> anyhow::Result<()> {
    let pebble = Pebble::start(&PebbleOptions { orders_per_page: 2, ..PebbleOptions::default() })?;
    let account = account(&pebble, KeyKind::EcdsaP256).await?;
    let mut placed = Vec::new();
    for number in 0..5 {
        let wanted = names(&[&format!("list{number}.example.com")])?;
        placed.push(account.new_order(&wanted, None, None).await?.body.url);
    }
    let mut list = account.orders().await?.context("Pebble keeps a list")?;
    list.urls.sort();
    placed.sort();
    assert_eq!((list.urls, list.complete), (placed, true));
    Ok(())
}

/// Lets a request through and drops its answer.
#[derive(Debug)]
struct Losing {
    inner: HyperTransport,
    endpoint: Endpoint,
}

impl Transport for Losing {
    fn exchange(&self, endpoint: Endpoint, request: Request<Bytes>) -> Exchange<'_> {
        let exchange = self.inner.exchange(endpoint, request);
        Box::pin(async move {
            let response = exchange.await?;
            if endpoint == self.endpoint {
                Err(TransportError::Lost("dropped on purpose".into()))
            } else {
                Ok(response)
            }
        })
    }
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_found_on_the_list() -> anyhow::Result<()> {
    let pebble = Pebble::start(&PebbleOptions { nonce_reject_percent: 0, ..PebbleOptions::default() })?;
    let losing = Losing {
        inner: HyperTransport::new(Some(&pebble.root_pem), Timeouts::default().connect)?,
        endpoint: Endpoint::NewOrder,
    };
    let authority = authority_through(&pebble, Some(Arc::new(losing))).await?;
    let account = Account::register(&authority, key_of(KeyKind::EcdsaP256)?, &agreed()).await?;
    let wanted = names(&["lost.example.com"])?;
    let error = account.new_order(&wanted, None, None).await.expect_err("the answer is dropped");
    assert!(matches!(error, AcmeError::Lost { endpoint: Endpoint::NewOrder, .. }), "{error:?}");
    let list = account.orders().await?.context("Pebble keeps a list")?;
    let [url] = &list.urls[..] else { bail!("one order was made, not {}", list.urls.len()) };
    let found = account.order(url).await?.body;
    assert_eq!(found.identifiers.iter().find_map(Identifier::hostname), wanted.iter().next().cloned());
    Ok(())
}

#[tokio::test]
async fn a_ca_whose_root_nobody_vouches_for_is_sent_nothing() -> anyhow::Result<()> {
    let mut pebble = Pebble::start(&PebbleOptions::default())?;
    pebble.root_pem = Pebble::start(&PebbleOptions::default())?.root_pem.clone();
    let error = authority(&pebble).await.expect_err("the wrong root");
    let error = error.downcast::<AcmeError>()?;
    assert!(matches!(error, AcmeError::NotSent { endpoint: Endpoint::Directory, .. }), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn registering_the_same_key_again_finds_the_same_account() -> anyhow::Result<()> {
    let pebble = Pebble::start(&PebbleOptions::default())?;
    let authority = authority(&pebble).await?;
    let pkcs8 = account_key::generate(KeyKind::EcdsaP256)?;
    let key = || AccountKey::from_pkcs8(pkcs8.expose_secret());
    let first = Account::register(&authority, key()?, &agreed()).await?;
    let with_contact = Registration { contacts: vec!["mailto:ops@example.com".into()], ..agreed() };
    let second = Account::register(&authority, key()?, &with_contact).await?;
    assert_eq!(first.url(), second.url(), "through instant-acme and directly");
    let restored = Account::restore(Arc::clone(&authority), first.url(), key()?)?;
    assert_eq!(restored.account_status().await?.body.status, AccountStatus::Valid);
    let not_agreed =
        Account::register(&authority, key_of(KeyKind::EcdsaP256)?, &Registration::default()).await;
    assert!(
        matches!(not_agreed, Err(AcmeError::Refused { endpoint: Endpoint::NewAccount, .. })),
        "{not_agreed:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_external_account_is_bound() -> anyhow::Result<()> {
    let mac_key = [0x5a_u8; 32];
    let external = ("kid-1".to_owned(), BASE64_URL_SAFE_NO_PAD.encode(mac_key));
    let pebble =
        Pebble::start(&PebbleOptions { external_account: Some(external), ..PebbleOptions::default() })?;
    let authority = authority(&pebble).await?;
    assert!(authority.directory().meta.external_account_required);
    let refused =
        Account::register(&authority, key_of(KeyKind::EcdsaP256)?, &agreed()).await.expect_err("no binding");
    assert_eq!(refused.problem().map(|problem| &problem.kind), Some(&ProblemKind::ExternalAccountRequired));
    let registration = Registration {
        external_account: Some(ExternalAccount {
            key_id: "kid-1".into(),
            mac_key: SecretSlice::from(mac_key.to_vec()),
        }),
        ..agreed()
    };
    let account = Account::register(&authority, key_of(KeyKind::EcdsaP256)?, &registration).await?;
    assert_eq!(account.account_status().await?.body.status, AccountStatus::Valid);
    Ok(())
}

#[tokio::test]
async fn a_storm_of_refused_nonces_duplicates_nothing() -> anyhow::Result<()> {
    let stormy = PebbleOptions { nonce_reject_percent: 50, ..PebbleOptions::default() };
    let pebble = Pebble::start(&stormy)?;
    let authority = authority(&pebble).await?;
    let account = loop {
        // Half of the nonces are refused and instant-acme tries three times.
        match Account::register(&authority, key_of(KeyKind::EcdsaP256)?, &agreed()).await {
            Ok(account) => break account,
            Err(error) => {
                assert_eq!(error.problem().map(|problem| &problem.kind), Some(&ProblemKind::BadNonce));
            }
        }
    };
    let mut placed = 0;
    for number in 0..30 {
        let wanted = names(&[&format!("storm{number}.example.com")])?;
        match account.new_order(&wanted, None, None).await {
            Ok(_) => placed += 1,
            Err(error) => {
                assert_eq!(error.problem().map(|problem| &problem.kind), Some(&ProblemKind::BadNonce));
            }
        }
    }
    assert!(placed >= 25, "of 30 orders with 6 tries each, {placed} were placed");
    let list = loop {
        match account.orders().await {
            Ok(list) => break list.context("Pebble keeps a list")?,
            Err(error) => {
                assert_eq!(error.problem().map(|problem| &problem.kind), Some(&ProblemKind::BadNonce));
            }
        }
    };
    assert_eq!(list.urls.len(), placed);
    Ok(())
}

#[tokio::test]
async fn a_certificate_unknown_to_renewal_info_or_no_renewal_info_at_all() -> anyhow::Result<()> {
    let pebble = Pebble::start(&PebbleOptions::default())?;
    let account = account(&pebble, KeyKind::Rsa2048).await?;
    let answer = account.renewal_info("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE").await;
    match account.authority().directory().renewal_info {
        Some(_) => assert!(matches!(answer, Err(AcmeError::Refused { .. })), "{answer:?}"),
        None => assert!(matches!(answer, Err(AcmeError::Unsupported { .. })), "{answer:?}"),
    }
    Ok(())
}
