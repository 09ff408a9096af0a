//! Performs one step: one request, or one thing to do at home. Makes no choices.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use issuance::answer::{Answer, OrderSeen, Proof, Trouble};
use issuance::authorization::{Authorization, Challenge, ValidationMethod};
use issuance::fault::{FailureClass, Fault};
use issuance::identifier::Hostname;
use issuance::ids::{AccountId, OrderId};
use issuance::order::{CertificateRequest, Order, Stage};
use issuance::settle::{Circumstances, Pressure};
use issuance::time::Clock;

use crate::acme::objects::{ChallengeKind, OrderObject, OrderStatus};
use crate::acme::observation::{authorization_seen, order_seen, status, trouble};
use crate::acme::{Account, AcmeError, Bystander};
use crate::keys::{ChainError, CheckedChain, KeyKind, Sealer};
use crate::records::{Presented, Records};
use crate::store::Store;
use crate::store::leases::Claim;
use crate::store::steps::IssuedChain;
use crate::telemetry::traces;

use super::proof::Prover;

/// Requests of one order under way at once. All challenges of an order are posted before any is waited for.
pub(super) const REQUESTS_AT_ONCE: usize = 8;
/// Orders of an account's list that are read in search of a lost one: the newest ones.
const LISTED_ORDERS_MAX: usize = 200;

#[derive(Debug)]
pub(super) struct Performer {
    pub(super) store: Store,
    pub(super) account: Arc<Account>,
    pub(super) account_id: AccountId,
    pub(super) prover: Prover,
    pub(super) records: Arc<Records>,
    pub(super) sealer: Arc<Sealer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) key_kind: KeyKind,
}

/// A chain that fits, beside the answer that says so.
pub(super) type Downloaded = (Answer, Option<IssuedChain>);

impl Performer {
    pub(super) async fn prove(&self, claim: &Claim) -> Answer {
        let Claim { order, lease, owner, .. } = claim;
        if order.method != ValidationMethod::Dns01 {
            return Answer::Proofs(self.prover.prove(&order.names).await);
        }
        let (writable, issuable) = tokio::join!(
            self.records.prove(&order.names, *lease, owner.tenant),
            self.prover.prove_issuable(&order.names)
        );
        let writable = self.unless_persisting(&order.names, writable).await;
        // Both are in the order of the names. What the CA is forbidden is to be mended before anything is published.
        let both = writable.into_iter().zip(issuable).map(|(writable, issuable)| match issuable {
            (_, Proof::Ready) => writable,
            forbidden => forbidden,
        });
        Answer::Proofs(both.collect())
    }

    /// The answer outlives the lease on the order: should it come too late, the bystander hears it.
    pub(super) async fn place(&self, order: &Order, bystander: &Bystander) -> Answer {
        let (profile, replaces) = (order.profile.as_deref(), order.replaces.as_deref());
        match self.account.new_order_beside(bystander, &order.names, profile, replaces).await {
            Ok(reply) => {
                let url = reply.body.url.clone();
                Answer::Placed(order_seen(&url, reply.map(|placed| placed.order)))
            }
            Err(error) => Answer::Trouble(trouble(error)),
        }
    }

    /// Looks for an order whose answer was lost in the account's list (RFC 8555 §7.1.2.1).
    pub(super) async fn find(&self, order: &Order) -> Answer {
        match self.search(order).await {
            Ok(Some(seen)) => Answer::Placed(seen),
            Ok(None) => Answer::NotFound,
            Err(trouble) => Answer::Trouble(trouble),
        }
    }

    async fn search(&self, order: &Order) -> Result<Option<OrderSeen>, Trouble> {
        let lost = |detail: &str| Trouble::Lost { detail: detail.into() };
        let list = self.account.orders().await.map_err(trouble)?;
        let Some(list) = list else {
            return Err(lost("the CA's account lists no orders, though its profile says so"));
        };
        let urls: Vec<String> = list.urls.iter().map(ToString::to_string).collect();
        let known = self.store.known_ca_orders(&urls).await.map_err(|error| lost(&error.to_string()))?;
        let unknown: Vec<String> = urls.into_iter().filter(|url| !known.contains(url)).rev().collect();
        let all_read = list.complete && unknown.len() <= LISTED_ORDERS_MAX;
        for url in unknown.into_iter().take(LISTED_ORDERS_MAX) {
            let reply = self.account.order(&url).await.map_err(trouble)?;
            let open = matches!(reply.body.status, OrderStatus::Pending | OrderStatus::Ready);
            if open && same_names(&reply.body, order) {
                return Ok(Some(order_seen(&url, reply)));
            }
        }
        if all_read { Ok(None) } else { Err(lost("the CA's list of orders could not be read to its end")) }
    }

    pub(super) async fn read_authorizations(&self, order: &Order, indexes: &[usize]) -> Answer {
        let read = Self::for_each(order, indexes, "acme.authorization", |authorization| async move {
            let reply = self.account.authorization(&authorization.url).await.map_err(trouble)?;
            let persists = self.persists(order, authorization, &reply.body).await;
            let seen = authorization_seen(&self.account, &reply.body, order.method, persists)?;
            let problem = reply.body.challenges.iter().find_map(|challenge| challenge.error.as_ref());
            let offers_persist = reply.body.challenge(&ChallengeKind::DnsPersist01).is_some();
            if let Some(name) = authorization.ordered_name().or_else(|| Some(seen.identifier.clone())) {
                self.prover.heard(&name, problem, offers_persist);
            }
            Ok(seen)
        });
        Answer::Authorizations(read.await)
    }

    /// Sees whether each response is served where the CA would look.
    pub(super) async fn check_served(&self, claim: &Claim, indexes: &[usize]) -> Answer {
        let order = &claim.order;
        let served =
            match order.method {
                ValidationMethod::Http01 => {
                    Self::for_each(order, indexes, "challenge.present", |one| async move {
                        self.is_served(one).await
                    })
                    .await
                }
                ValidationMethod::Dns01 if order.stage.is_ended() => {
                    let persisting = self.persisting(order, indexes).await;
                    let others = without(indexes, &persisting);
                    let seen = Self::for_each(order, &others, "challenge.present", |one| async move {
                        self.records.are_seen(&[one]).await
                    });
                    let mut seen = seen.await;
                    seen.extend(persisting.into_iter().map(|(index, fault)| (index, fault.is_none())));
                    seen
                }
                ValidationMethod::Dns01 => return self.present_records(claim, indexes).await,
            };
        match self.circumstances(order, served).await {
            Ok(seen) => Answer::Served(seen),
            Err(trouble) => Answer::Trouble(trouble),
        }
    }

    /// Publishes the order's records, all of them, and sees whether they are where the CA would look.
    async fn present_records(&self, claim: &Claim, indexes: &[usize]) -> Answer {
        let order = &claim.order;
        let persisting = self.persisting(order, indexes).await;
        let written = without(indexes, &persisting);
        let wanted: Vec<&Authorization> =
            written.iter().filter_map(|index| order.authorizations.get(*index)).collect();
        let served = |served| {
            let standing = persisting.iter().map(|(index, fault)| (*index, fault.is_none()));
            written.iter().map(|index| (*index, served)).chain(standing).collect()
        };
        let not_sent = |detail: &str| Answer::Trouble(Trouble::NotSent { detail: detail.into() });
        let presented = match persisting.iter().find_map(|(_, fault)| fault.clone()) {
            // It was there when it was chosen: whoever took it away is told, and nothing else is published for the order.
            Some(fault) => Ok(Presented::Unserved { fault }),
            None if wanted.is_empty() => Ok(Presented::Seen),
            None => self.records.present(claim.lease, claim.owner.tenant, &wanted).await,
        };
        match presented {
            Ok(Presented::Awaited { until }) => Answer::Awaited { until },
            Ok(Presented::Seen) => match self.circumstances(order, served(true)).await {
                Ok(seen) => Answer::Served(seen),
                Err(trouble) => Answer::Trouble(trouble),
            },
            Ok(Presented::Unserved { fault }) => match self.circumstances(order, served(false)).await {
                Ok(seen) => Answer::Unserved { seen, fault },
                Err(trouble) => Answer::Trouble(trouble),
            },
            Ok(Presented::LeaseLost) => not_sent("the lease on the order was lost"),
            Err(error) => not_sent(&error.to_string()),
        }
    }

    /// What the CA has found by the way teaches of name servers.
    pub(super) async fn learn(&self, before: &Claim, after: &Order) {
        if after.method == ValidationMethod::Dns01 {
            self.records.learn(before.owner.order, &before.order.authorizations, &after.authorizations).await;
        }
    }

    /// What the decision about each needs to know.
    async fn circumstances(
        &self,
        order: &Order,
        served: Vec<(usize, bool)>,
    ) -> Result<Vec<(usize, Circumstances)>, Trouble> {
        let unserved: Vec<String> = served
            .iter()
            .filter(|(_, seen)| !seen)
            .filter_map(|(index, _)| order.authorizations.get(*index)?.identifier.as_ref())
            .map(|name| name.validation_target().to_owned())
            .collect();
        let (charges, pressure) = if unserved.is_empty() {
            (Vec::new(), Pressure::Low)
        } else {
            let now = self.clock.now();
            let known = futures_util::try_join!(
                self.store.last_charges(self.account_id, &unserved, now),
                self.store.pressure(self.account_id, now)
            );
            match known {
                Ok(known) => known,
                Err(error) => return Err(Trouble::NotSent { detail: error.to_string().into() }),
            }
        };
        let failed_at = |name: Option<&Hostname>| {
            charges.iter().find(|charge| Some(&charge.hostname) == name).map(|charge| charge.at)
        };
        let seen = |(index, served): (usize, bool)| {
            let name = order.authorizations.get(index).and_then(|one| one.identifier.as_ref());
            (index, Circumstances { served, failed_at: failed_at(name), pressure })
        };
        Ok(served.into_iter().map(seen).collect())
    }

    async fn is_served(&self, authorization: &Authorization) -> bool {
        let (Some(name), Some(challenge)) = (&authorization.identifier, &authorization.challenge) else {
            return false;
        };
        self.prover.is_served(name, &challenge.token, &challenge.key_authorization).await
    }

    pub(super) async fn submit(&self, order: &Order, indexes: &[usize]) -> Answer {
        let answers = Self::for_each(order, indexes, "acme.challenge_ready", |authorization| async move {
            let Some(Challenge { url, .. }) = &authorization.challenge else {
                return Err(Trouble::NotSent { detail: "no challenge to submit".into() });
            };
            self.account.submit(url).await.map(drop).map_err(trouble)
        });
        Answer::Submitted(answers.await)
    }

    pub(super) async fn deactivate(&self, order: &Order, indexes: &[usize]) -> Answer {
        let answers = Self::for_each(order, indexes, "acme.deactivate", |authorization| async move {
            let reply = self.account.deactivate(&authorization.url).await.map_err(trouble)?;
            Ok(status(&reply.body.status))
        });
        Answer::Deactivated(answers.await)
    }

    pub(super) async fn read_order(&self, order: &Order) -> Answer {
        let Some(ca) = order.stage.ca() else { return no_ca_order() };
        ordered(&ca.url, self.account.order(&ca.url).await)
    }

    pub(super) async fn finalize(&self, order: &Order) -> Answer {
        let Stage::Finalizing { ca, request, .. } = &order.stage else { return no_ca_order() };
        ordered(&ca.url, self.account.finalize(&ca.finalize_url, &request.csr_der).await)
    }

    /// Fetches the chain, and takes it only if it fits the committed key and the names.
    pub(super) async fn download(&self, id: OrderId, order: &Order) -> Downloaded {
        let Stage::Finalizing { request, certificate_url: Some(url), .. } = &order.stage else {
            return (no_ca_order(), None);
        };
        let pem = match self.account.certificate(url).await {
            Ok(reply) => reply.body.pem,
            Err(error) => return (Answer::Trouble(trouble(error)), None),
        };
        match self.checked(id, order, request, pem) {
            Ok(chain) => (Answer::Chain, Some(chain)),
            Err(answer) => (*answer, None),
        }
    }

    fn checked(
        &self,
        id: OrderId,
        order: &Order,
        request: &CertificateRequest,
        pem: String,
    ) -> Result<IssuedChain, Box<Answer>> {
        let spki_sha256 = self
            .key_of(id, request)
            .map_err(|what| Box::new(Answer::BadChain(Fault::new(FailureClass::Internal, what))))?;
        let chain =
            CheckedChain::check(&pem, &spki_sha256, &order.names, self.clock.now()).map_err(|error| {
                let detail = error.to_string();
                Box::new(match error {
                    // Damaged on its way: the certificate is there, and is downloaded again.
                    ChainError::Pem | ChainError::Certificate { .. } => {
                        Answer::Trouble(Trouble::Lost { detail: detail.into() })
                    }
                    _ => Answer::BadChain(Fault::new(FailureClass::CaInternal, detail)),
                })
            })?;
        Ok(IssuedChain {
            serial: chain.serial,
            fingerprint_sha256: chain.fingerprint_sha256.to_vec(),
            spki_sha256: spki_sha256.to_vec(),
            issuer: chain.issuer,
            chain_pem: pem,
            not_before: chain.not_before,
            not_after: chain.not_after,
        })
    }

    /// Performs `each` for the authorizations named, a few at once, as a span of each; outcomes carry their index.
    pub(super) fn for_each<'a, T, F, R>(
        order: &'a Order,
        indexes: &[usize],
        span: &'static str,
        each: F,
    ) -> impl Future<Output = Vec<(usize, T)>>
    where
        F: Fn(&'a Authorization) -> R,
        R: Future<Output = T>,
    {
        let mut asked = Vec::with_capacity(indexes.len());
        for &index in indexes {
            if let Some(authorization) = order.authorizations.get(index) {
                let name = authorization.ordered_name();
                let outcome = each(authorization);
                asked.push(async move {
                    let name = name.as_ref().map(Hostname::as_str);
                    (index, traces::name(name, span, outcome).await)
                });
            }
        }
        stream::iter(asked).buffer_unordered(REQUESTS_AT_ONCE).collect()
    }
}

fn ordered(url: &str, reply: Result<crate::acme::Reply<OrderObject>, AcmeError>) -> Answer {
    match reply {
        Ok(reply) => Answer::Order(order_seen(url, reply)),
        Err(error) => Answer::Trouble(trouble(error)),
    }
}

/// Those that are not among `others`.
fn without(indexes: &[usize], others: &[(usize, Option<Fault>)]) -> Vec<usize> {
    indexes.iter().copied().filter(|index| others.iter().all(|(other, _)| other != index)).collect()
}

fn no_ca_order() -> Answer {
    Answer::Trouble(Trouble::NotSent { detail: "the order is not at the CA".into() })
}

fn same_names(seen: &OrderObject, order: &Order) -> bool {
    seen.identifiers.len() == order.names.len()
        && seen
            .identifiers
            .iter()
            .all(|identifier| order.names.iter().any(|name| name.as_str() == &*identifier.value))
}
