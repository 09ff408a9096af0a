//! A CA in miniature: what it has, what became of it, and how it answers when nothing goes wrong.

use std::time::Duration;

use issuance::answer::{CaOrderStatus, OrderSeen};
use issuance::authorization::{AuthorizationSeen, AuthorizationStatus, Challenge};
use issuance::fault::{FailureClass, Fault};
use issuance::identifier::{Hostname, Identifiers};
use issuance::problem::{Problem, ProblemKind};
use issuance::profile::CaProfile;
use issuance::time::Timestamp;

use super::chance::Chance;

/// How a validation of a name goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Bad,
    /// The CA loses the validation: pending until it expires.
    Stuck,
    /// The CA refuses every response.
    Refused,
}

/// What is wrong with the machine that signs an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signer {
    Well,
    /// Processing for ever.
    Stuck,
    /// Takes finalize, and goes on saying `ready`.
    Deaf,
}

#[derive(Debug)]
pub(crate) struct Authz {
    pub(crate) name: Hostname,
    pub(crate) status: AuthorizationStatus,
    pub(crate) expires_at: Timestamp,
    pub(crate) taken_at: Option<Timestamp>,
    pub(crate) born_at: Timestamp,
    verdict: Verdict,
    verdict_at: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) names: Identifiers,
    pub(crate) authz: Vec<usize>,
    pub(crate) status: CaOrderStatus,
    pub(crate) expires_at: Timestamp,
    pub(crate) born_at: Timestamp,
    pub(crate) csr: Option<Vec<u8>>,
    replaces: Option<Box<str>>,
    processed_at: Timestamp,
    signer: Signer,
}

#[derive(Debug)]
pub(crate) struct Ca {
    pub(crate) profile: CaProfile,
    pub(crate) orders: Vec<Order>,
    pub(crate) authz: Vec<Authz>,
    /// Whether what has expired is still shown.
    pub(crate) shows_expired: bool,
    /// Failures counted against a name: validations that failed, and deactivations.
    pub(crate) charges: Vec<(Hostname, Timestamp)>,
    /// Requests that a slow machine executes later than their sender waits.
    pub(crate) late_orders: Vec<(Timestamp, Identifiers, Option<Box<str>>)>,
}

impl Ca {
    pub(crate) fn new(profile: CaProfile, shows_expired: bool) -> Self {
        Self {
            profile,
            shows_expired,
            orders: Vec::new(),
            authz: Vec::new(),
            charges: Vec::new(),
            late_orders: Vec::new(),
        }
    }

    /// Everything that has happened by `now`.
    pub(crate) fn settle(&mut self, now: Timestamp, chance: &mut Chance) {
        while let Some(at) = self.late_orders.iter().position(|(at, ..)| *at <= now) {
            let (at, names, replaces) = self.late_orders.swap_remove(at);
            drop(self.new_order(&names, replaces, at, chance));
        }
        for authz in &mut self.authz {
            if authz.status != AuthorizationStatus::Pending {
                continue;
            }
            if authz.taken_at.is_some() && authz.verdict_at <= now {
                match authz.verdict {
                    Verdict::Good => authz.status = AuthorizationStatus::Valid,
                    Verdict::Bad => {
                        authz.status = AuthorizationStatus::Invalid;
                        self.charges.push((authz.name.clone(), authz.verdict_at));
                    }
                    Verdict::Stuck | Verdict::Refused => {}
                }
            }
            if authz.status == AuthorizationStatus::Pending && authz.expires_at <= now {
                authz.status = AuthorizationStatus::Expired;
            }
        }
        for order in &mut self.orders {
            let status = |index: &usize| self.authz[*index].status;
            match order.status {
                CaOrderStatus::Pending | CaOrderStatus::Ready => {
                    if order.authz.iter().all(|index| status(index) == AuthorizationStatus::Valid) {
                        order.status = CaOrderStatus::Ready;
                    } else if order.authz.iter().any(|index| {
                        !matches!(status(index), AuthorizationStatus::Valid | AuthorizationStatus::Pending)
                    }) {
                        order.status = CaOrderStatus::Invalid;
                    }
                }
                CaOrderStatus::Processing if order.processed_at <= now && order.signer == Signer::Well => {
                    order.status = CaOrderStatus::Valid;
                }
                _ => {}
            }
        }
    }

    pub(crate) fn new_order(
        &mut self,
        names: &Identifiers,
        replaces: Option<Box<str>>,
        now: Timestamp,
        chance: &mut Chance,
    ) -> Result<usize, Problem> {
        let alive = |order: &Order| order.expires_at > now && order.status != CaOrderStatus::Invalid;
        if replaces.is_some() && self.orders.iter().any(|one| one.replaces == replaces && alive(one)) {
            return Err(Problem::new(ProblemKind::AlreadyReplaced, 409, "already has a replacement order"));
        }
        if chance.below(40) == 0 {
            let first = names.iter().next().cloned();
            let problem = Problem::new(ProblemKind::RejectedIdentifier, 400, "policy forbids issuing");
            return Err(Problem { identifier: first, ..problem });
        }
        if self.profile.reuses_pending_order {
            // Boulder looks at the earliest-expiring order of the set that was not finalized, and at no other.
            let earliest = (0..self.orders.len())
                .filter(|&at| &self.orders[at].names == names && self.orders[at].expires_at > now)
                .filter(|&at| self.orders[at].csr.is_none())
                .min_by_key(|&at| self.orders[at].expires_at);
            if let Some(at) = earliest
                && matches!(self.orders[at].status, CaOrderStatus::Pending | CaOrderStatus::Ready)
            {
                return Ok(at);
            }
        }
        let first = self.authz.len();
        for name in names {
            let verdict = match chance.below(20) {
                0 => Verdict::Stuck,
                1 => Verdict::Refused,
                2..=4 => Verdict::Bad,
                _ => Verdict::Good,
            };
            self.authz.push(Authz {
                name: name.clone(),
                status: AuthorizationStatus::Pending,
                expires_at: now.after(Duration::from_secs(self.profile.pending_authorization_seconds)),
                taken_at: None,
                born_at: now,
                verdict,
                verdict_at: now,
            });
        }
        self.orders.push(Order {
            names: names.clone(),
            authz: (first..self.authz.len()).collect(),
            status: CaOrderStatus::Pending,
            expires_at: now.after(Duration::from_secs(self.profile.order_seconds)),
            born_at: now,
            csr: None,
            replaces,
            processed_at: now,
            signer: match chance.below(25) {
                0 => Signer::Stuck,
                1 => Signer::Deaf,
                _ => Signer::Well,
            },
        });
        Ok(self.orders.len() - 1)
    }

    pub(crate) fn see_order(&self, at: usize) -> OrderSeen {
        let order = &self.orders[at];
        OrderSeen {
            url: format!("order/{at}").into(),
            finalize_url: format!("finalize/{at}").into(),
            status: order.status,
            expires_at: Some(order.expires_at),
            authorizations: order.authz.iter().map(|one| format!("authz/{one}").into()).collect(),
            certificate_url: (order.status == CaOrderStatus::Valid).then(|| format!("cert/{at}").into()),
            problem: None,
            retry_after: None,
        }
    }

    pub(crate) fn see_authz(&self, at: usize) -> AuthorizationSeen {
        let authz = &self.authz[at];
        let challenge = Challenge {
            kind: "http-01".into(),
            url: format!("chall/{at}").into(),
            token: format!("token{at}").into(),
            key_authorization: format!("token{at}.thumb").into(),
        };
        let failed = authz.status == AuthorizationStatus::Invalid;
        AuthorizationSeen {
            status: authz.status,
            identifier: authz.name.clone(),
            wildcard: false,
            expires_at: Some(authz.expires_at),
            challenge: Some(challenge),
            challenge_taken: authz.taken_at.is_some(),
            fault: failed.then(|| Fault::new(FailureClass::DnsNxdomain, "NXDOMAIN")),
            problem: None,
        }
    }

    pub(crate) fn submit(&mut self, at: usize, now: Timestamp, chance: &mut Chance) -> Result<(), Problem> {
        let authz = &mut self.authz[at];
        match authz.status {
            AuthorizationStatus::Valid => Ok(()),
            AuthorizationStatus::Pending if authz.verdict == Verdict::Refused => {
                Err(Problem::new(ProblemKind::Malformed, 400, "no"))
            }
            AuthorizationStatus::Pending if authz.taken_at.is_some() => {
                Err(Problem::new(ProblemKind::Conflict, 409, "already being validated"))
            }
            AuthorizationStatus::Pending => {
                authz.taken_at = Some(now);
                authz.verdict_at = now.after(chance.up_to(Duration::from_secs(30)));
                Ok(())
            }
            AuthorizationStatus::Invalid => Err(Problem::new(ProblemKind::Malformed, 400, "it has ended")),
            _ => Err(Problem::new(ProblemKind::Malformed, 404, "Expired authorization")),
        }
    }

    pub(crate) fn deactivate(&mut self, at: usize, now: Timestamp) -> Result<AuthorizationStatus, Problem> {
        let authz = &mut self.authz[at];
        if self.profile.charges_deactivation && authz.status == AuthorizationStatus::Pending {
            self.charges.push((authz.name.clone(), now));
        }
        match authz.status {
            AuthorizationStatus::Expired => Err(Problem::new(ProblemKind::Malformed, 404, "Expired")),
            AuthorizationStatus::Pending | AuthorizationStatus::Valid => {
                authz.status = AuthorizationStatus::Deactivated;
                Ok(authz.status)
            }
            _ => Ok(AuthorizationStatus::Deactivated),
        }
    }

    pub(crate) fn finalize(
        &mut self,
        at: usize,
        csr: &[u8],
        now: Timestamp,
        chance: &mut Chance,
    ) -> Result<OrderSeen, Problem> {
        let order = &mut self.orders[at];
        if order.status != CaOrderStatus::Ready {
            return Err(Problem::new(ProblemKind::OrderNotReady, 403, "not acceptable for finalization"));
        }
        if order.signer == Signer::Deaf {
            return Ok(self.see_order(at));
        }
        order.csr = Some(csr.to_vec());
        order.status = CaOrderStatus::Processing;
        order.processed_at = now.after(chance.up_to(Duration::from_secs(10)));
        Ok(self.see_order(at))
    }

    pub(crate) fn pending(&self) -> usize {
        self.authz.iter().filter(|one| one.status == AuthorizationStatus::Pending).count()
    }
}
