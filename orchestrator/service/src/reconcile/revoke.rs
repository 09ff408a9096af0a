//! Certificates that are to be revoked, and names whose proofs the CA is to forget: wishes that are carried out here.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use issuance::authorization::AuthorizationStatus;
use issuance::problem::{Problem, ProblemKind};
use issuance::time::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tracing::{info, warn};

use crate::acme::AcmeError;
use crate::acme::observation::status;
use crate::acme::revocation::RevocationReason;
use crate::store::relinquishments::DueRelinquishment;
use crate::store::revocations::{Attempt, DueRevocation, Reason};

use super::{ASKED_MAX, Pass, REQUESTS_AT_ONCE, ROWS_MAX, ReconcileError, ReconcileParts, Reconciler};

const REVOKED: &str = "revoked";
const REFUSED: &str = "refused";
const FORGOTTEN: &str = "forgotten";
const RELEASED: &str = "released";

/// Whoever dies with one in hand leaves it to be asked again after this; and the first wait after a trouble.
const AGAIN: Duration = Duration::from_mins(2);
const AGAIN_MAX: Duration = Duration::from_hours(6);

#[derive(Debug)]
pub struct Revoke {
    parts: ReconcileParts,
}

impl Revoke {
    pub fn new(parts: ReconcileParts) -> Self {
        Self { parts }
    }

    async fn revoke(&self, now: Timestamp, pass: &mut Pass) -> Result<(), ReconcileError> {
        let ReconcileParts { store, account_id, .. } = &self.parts;
        let due = store.due_revocations(*account_id, now, AGAIN, ASKED_MAX).await?;
        let mut asked = stream::iter(due)
            .map(|one| async move {
                let attempt = self.attempt(&one, now).await;
                (one, attempt)
            })
            .buffer_unordered(REQUESTS_AT_ONCE);
        while let Some((one, attempt)) = asked.next().await {
            store.revocation_attempted(one.order, &attempt, now).await?;
            let order = one.order;
            match attempt {
                Attempt::Revoked => {
                    info!(event = "certificate.revoked", order.id = %order, "The certificate of order {order} is revoked");
                    pass.add(REVOKED, 1);
                }
                Attempt::Refused(problem) => {
                    warn!(event = "certificate.revoke_refused", order.id = %order, %problem, "The CA refuses to revoke the certificate of order {order}");
                    pass.add(REFUSED, 1);
                }
                Attempt::Again { .. } => {}
            }
        }
        Ok(())
    }

    async fn attempt(&self, one: &DueRevocation, now: Timestamp) -> Attempt {
        let Ok(leaf) = CertificateDer::from_pem_slice(one.chain_pem.as_bytes()) else {
            return Attempt::Refused(Problem::new(
                ProblemKind::Malformed,
                0,
                "the stored chain cannot be read",
            ));
        };
        let again = |problem| Attempt::Again { at: now.after(patience(one.attempts)), problem };
        match self.parts.account.revoke(&leaf, Some(reason(one.reason))).await {
            Ok(()) => Attempt::Revoked,
            Err(AcmeError::Refused { problem, .. }) => match problem.kind {
                ProblemKind::AlreadyRevoked => Attempt::Revoked,
                ProblemKind::RateLimited | ProblemKind::ServerInternal | ProblemKind::BadNonce => {
                    again(Some(problem))
                }
                _ => Attempt::Refused(problem),
            },
            Err(AcmeError::Unsupported { .. }) => {
                Attempt::Refused(Problem::new(ProblemKind::Malformed, 0, "the CA offers no revocation"))
            }
            Err(_) => again(None),
        }
    }

    async fn relinquish(&self, now: Timestamp, pass: &mut Pass) -> Result<(), ReconcileError> {
        let ReconcileParts { store, account_id, .. } = &self.parts;
        let due = store.due_relinquishments(*account_id, now, AGAIN, ASKED_MAX).await?;
        let mut asked = stream::iter(due)
            .map(|one| async move {
                let is_forgotten = self.is_forgotten(&one).await;
                (one, is_forgotten)
            })
            .buffer_unordered(REQUESTS_AT_ONCE);
        while let Some((one, is_forgotten)) = asked.next().await {
            if is_forgotten {
                store.relinquished(*account_id, &one.url).await?;
                pass.add(FORGOTTEN, 1);
            } else {
                let at = now.after(patience(one.attempts));
                store.relinquish_again(*account_id, &one.url, at).await?;
            }
        }
        let released = store.release_hostnames(*account_id, now, ROWS_MAX).await?;
        pass.add(RELEASED, released.len() as u64);
        Ok(())
    }

    /// Deactivating a valid authorization is free everywhere. One that is gone, or has ended, proves nothing any more.
    async fn is_forgotten(&self, one: &DueRelinquishment) -> bool {
        match self.parts.account.deactivate(&one.url).await {
            Ok(reply) => !matches!(
                status(&reply.body.status),
                AuthorizationStatus::Valid | AuthorizationStatus::Pending
            ),
            Err(AcmeError::Refused { problem, .. }) => {
                if problem.status == 404 {
                    return true;
                }
                // Deactivated, expired or revoked by now: asked, it says so.
                match self.parts.account.authorization(&one.url).await {
                    Ok(reply) => status(&reply.body.status) != AuthorizationStatus::Valid,
                    Err(AcmeError::Refused { problem, .. }) => problem.status == 404,
                    Err(_) => false,
                }
            }
            Err(_) => false,
        }
    }
}

fn patience(attempts: u32) -> Duration {
    AGAIN.saturating_mul(1 << attempts.min(8)).min(AGAIN_MAX)
}

fn reason(reason: Reason) -> RevocationReason {
    match reason {
        Reason::Unspecified => RevocationReason::Unspecified,
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::AffiliationChanged => RevocationReason::AffiliationChanged,
        Reason::Superseded => RevocationReason::Superseded,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
    }
}

impl Reconciler for Revoke {
    const NAME: &'static str = "revoke";
    const KINDS: &'static [&'static str] = &[REVOKED, REFUSED, FORGOTTEN, RELEASED];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let mut pass = Pass::default();
        self.revoke(now, &mut pass).await?;
        self.relinquish(now, &mut pass).await?;
        Ok(pass)
    }
}
