//! Names that are proven by records which stay (`dns-persist-01`): whoever owns them has published those, and they are
//! only looked for.

use futures_util::StreamExt;
use futures_util::stream;
use issuance::answer::Proof;
use issuance::authorization::{Authorization, Challenge, ValidationMethod};
use issuance::fault::Fault;
use issuance::identifier::{Hostname, Identifiers};
use issuance::order::Order;

use crate::acme::objects::{AuthorizationObject, ChallengeKind};

use super::performer::{Performer, REQUESTS_AT_ONCE};

impl Performer {
    /// A name that nobody can write a record for may have one that stays, where the CA takes that.
    pub(super) async fn unless_persisting(
        &self,
        names: &Identifiers,
        proofs: Vec<(Hostname, Proof)>,
    ) -> Vec<(Hostname, Proof)> {
        let issuers = &self.account.authority().directory().meta.caa_identities;
        let is_ready = proofs.iter().all(|(_, proof)| *proof == Proof::Ready);
        // Where that cannot be found out, the names wait for another reason already.
        if is_ready
            || issuers.is_empty()
            || !self.store.offers_persist(self.account_id).await.unwrap_or(false)
        {
            return proofs;
        }
        let url = self.account.url();
        let looked = names.iter().zip(proofs).map(|(name, (target, proof))| async move {
            let found = matches!(proof, Proof::NotReady(_))
                && self.records.persists(name, name.is_wildcard(), issuers, url).await.is_ok();
            (target, if found { Proof::Ready } else { proof })
        });
        stream::iter(looked.collect::<Vec<_>>()).buffered(REQUESTS_AT_ONCE).collect().await
    }

    /// Whether an authorization is answered by the record that stays: where the CA takes that and the record is there.
    /// What was chosen once is kept to, since the challenge may have been posted.
    pub(super) async fn persists(
        &self,
        order: &Order,
        known: &Authorization,
        offered: &AuthorizationObject,
    ) -> bool {
        if let Some(challenge) = &known.challenge {
            return challenge.persists();
        }
        let challenge = offered.challenge(&ChallengeKind::DnsPersist01);
        let (Some(challenge), Some(name), ValidationMethod::Dns01) =
            (challenge, offered.identifier.hostname(), order.method)
        else {
            return false;
        };
        let issuers = &challenge.issuer_domain_names;
        self.records.persists(&name, offered.wildcard, issuers, self.account.url()).await.is_ok()
    }

    /// Those of the order that a record which stays answers, each with what is wrong with it.
    pub(super) async fn persisting(&self, order: &Order, indexes: &[usize]) -> Vec<(usize, Option<Fault>)> {
        let persists = |index: &usize| {
            let challenge = order.authorizations.get(*index).and_then(|one| one.challenge.as_ref());
            challenge.is_some_and(Challenge::persists)
        };
        let indexes: Vec<usize> = indexes.iter().copied().filter(persists).collect();
        let looked = Self::for_each(order, &indexes, "dns.propagation", |authorization| async move {
            let (Some(name), Some(challenge)) = (&authorization.identifier, &authorization.challenge) else {
                return None;
            };
            let issuers: Vec<Box<str>> = challenge.key_authorization.split(' ').map(Box::from).collect();
            let url = self.account.url();
            self.records.persists(name, authorization.wildcard, &issuers, url).await.err()
        });
        looked.await
    }
}
