//! Every answer a step may bring back, and every trouble.

use std::time::Duration;

use issuance::answer::{Admission, Answer, CaOrderStatus, OrderSeen, Proof, Trouble};
use issuance::authorization::{AuthorizationSeen, AuthorizationStatus, Challenge};
use issuance::fault::{FailureClass, Fault};
use issuance::identifier::Hostname;
use issuance::order::{CertificateRequest, Reservation};
use issuance::problem::{Problem, ProblemKind};
use issuance::settle::{Circumstances, Pressure};

use super::{NOW, ago, ahead};

/// Name and answer. Where an answer speaks of each authorization, the name tells of the first, and the second
/// one fares well.
pub(super) fn all() -> Vec<(&'static str, Answer)> {
    let mut all = vec![
        ("proofs ready", proofs(Proof::Ready)),
        ("proofs not ready", proofs(Proof::NotReady(fault()))),
        ("proofs unknown", proofs(Proof::Unknown)),
        ("granted", granted(2, 1)),
        ("granted again", granted(4, 2)),
        ("denied", Answer::Admission(Admission::Denied { until: ahead(7) })),
        ("placed pending", Answer::Placed(order(CaOrderStatus::Pending))),
        ("placed pending, older", {
            // One hour of life, begun well before the latest ask.
            Answer::Placed(OrderSeen { expires_at: Some(ahead(3_400)), ..order(CaOrderStatus::Pending) })
        }),
        ("placed ready", Answer::Placed(order(CaOrderStatus::Ready))),
        ("placed processing", Answer::Placed(order(CaOrderStatus::Processing))),
        ("placed valid", Answer::Placed(order(CaOrderStatus::Valid))),
        ("placed invalid", Answer::Placed(order(CaOrderStatus::Invalid))),
        ("placed late", Answer::PlacedLate(order(CaOrderStatus::Pending))),
        ("not found", Answer::NotFound),
        ("given up", Answer::GivenUp),
        ("authz pending", authorizations(Ok(authorization(AuthorizationStatus::Pending)))),
        ("authz taken", {
            let taken =
                AuthorizationSeen { challenge_taken: true, ..authorization(AuthorizationStatus::Pending) };
            authorizations(Ok(taken))
        }),
        ("authz unanswerable", {
            let none = AuthorizationSeen { challenge: None, ..authorization(AuthorizationStatus::Pending) };
            authorizations(Ok(none))
        }),
        ("authz valid", authorizations(Ok(authorization(AuthorizationStatus::Valid)))),
        ("authz invalid", authorizations(Ok(authorization(AuthorizationStatus::Invalid)))),
        ("authz deactivated", authorizations(Ok(authorization(AuthorizationStatus::Deactivated)))),
        ("authz expired", authorizations(Ok(authorization(AuthorizationStatus::Expired)))),
        ("authz revoked", authorizations(Ok(authorization(AuthorizationStatus::Revoked)))),
        ("authz not found", authorizations(Err(refused(ProblemKind::Malformed, 404)))),
        ("authz lost", authorizations(Err(lost()))),
        ("served", served(true)),
        ("not served", served(false)),
        ("not served, crowded", served_under(false, Pressure::High)),
        ("not served, near the cap", served_under(false, Pressure::NearCap)),
        ("not served, for a cause", {
            let fault = Fault::new(FailureClass::ProviderApi, "no");
            Answer::Unserved { seen: circumstances(false, Pressure::Low), fault }
        }),
        ("served in parts, near the cap", {
            let fault = Fault::new(FailureClass::PropagationTimeout, "not yet");
            Answer::Unserved { seen: circumstances(false, Pressure::NearCap), fault }
        }),
        ("awaited", Answer::Awaited { until: ahead(5) }),
        ("awaited, now", Answer::Awaited { until: NOW }),
        ("awaited for too long", Answer::Awaited { until: ahead(892) }),
        ("submitted", submitted(Ok(()))),
        ("submitted before", submitted(Err(refused(ProblemKind::Conflict, 409)))),
        ("submit not found", submitted(Err(refused(ProblemKind::Malformed, 404)))),
        ("submit refused", submitted(Err(refused(ProblemKind::Malformed, 400)))),
        ("submit lost", submitted(Err(lost()))),
        ("order pending", Answer::Order(order(CaOrderStatus::Pending))),
        ("order pending, wait 0", {
            Answer::Order(OrderSeen { retry_after: Some(Duration::ZERO), ..order(CaOrderStatus::Pending) })
        }),
        ("order pending, wait 3", {
            Answer::Order(OrderSeen {
                retry_after: Some(Duration::from_secs(3)),
                ..order(CaOrderStatus::Pending)
            })
        }),
        ("order ready", Answer::Order(order(CaOrderStatus::Ready))),
        ("order processing", Answer::Order(order(CaOrderStatus::Processing))),
        ("order valid", {
            let certificate_url = Some("https://ca.test/cert/1".into());
            Answer::Order(OrderSeen { certificate_url, ..order(CaOrderStatus::Valid) })
        }),
        ("order valid, no address", Answer::Order(order(CaOrderStatus::Valid))),
        ("order invalid", Answer::Order(order(CaOrderStatus::Invalid))),
        ("request", Answer::Request(CertificateRequest { key_sealed: Some(vec![1]), csr_der: vec![2] })),
        ("no request", Answer::NoRequest(Fault::new(FailureClass::CsrNeeded, "it has served its time"))),
        ("chain", Answer::Chain),
        ("bad chain", Answer::BadChain(Fault::new(FailureClass::Internal, "another key"))),
        ("deactivated", deactivated(Ok(AuthorizationStatus::Deactivated))),
        ("deactivated, pending", deactivated(Ok(AuthorizationStatus::Pending))),
        ("deactivate not found", deactivated(Err(refused(ProblemKind::Malformed, 404)))),
        ("deactivate conflict", deactivated(Err(refused(ProblemKind::Conflict, 409)))),
        ("deactivate lost", deactivated(Err(lost()))),
        ("not sent", Answer::Trouble(Trouble::NotSent { detail: "no route".into() })),
        ("lost", Answer::Trouble(lost())),
        ("busy (503)", Answer::Trouble(refused(ProblemKind::RateLimited, 503))),
        ("new-orders (429)", {
            let detail = "too many new orders (300) from this account in the last 3h0m0s, retry after x";
            let problem = Problem::new(ProblemKind::RateLimited, 429, detail);
            let retry_after = Some(Duration::from_secs(36));
            Answer::Trouble(Trouble::Refused(Problem { retry_after, ..problem }))
        }),
        ("paused", {
            let detail = "Your account is temporarily prevented from requesting certificates for a.com";
            Answer::Trouble(Trouble::Refused(Problem::new(ProblemKind::RateLimited, 429, detail)))
        }),
        ("not found (404)", Answer::Trouble(refused(ProblemKind::Malformed, 404))),
    ];
    all.extend(ProblemKind::KNOWN.iter().map(|kind| {
        let status = match kind {
            ProblemKind::RateLimited => 429,
            ProblemKind::ServerInternal => 500,
            _ => 400,
        };
        let problem = Problem::new(kind.clone(), status, "no certificate for www.a.com");
        (kind.as_str(), Answer::Trouble(Trouble::Refused(problem)))
    }));
    all
}

/// `a.com` and `www.a.com`.
pub(super) fn hostnames() -> [Hostname; 2] {
    ["a.com", "www.a.com"].map(|name| Hostname::parse(name).expect("a name"))
}

pub(super) fn challenge() -> Challenge {
    Challenge {
        kind: "http-01".into(),
        url: "https://ca.test/challenge/1".into(),
        token: "token".into(),
        key_authorization: "token.thumbprint".into(),
    }
}

fn fault() -> Fault {
    Fault::new(FailureClass::DnsNxdomain, "NXDOMAIN")
}

fn lost() -> Trouble {
    Trouble::Lost { detail: "reset".into() }
}

fn refused(kind: ProblemKind, status: u16) -> Trouble {
    Trouble::Refused(Problem::new(kind, status, "no"))
}

fn proofs(first: Proof) -> Answer {
    let [a, www] = hostnames();
    Answer::Proofs(vec![(a, first), (www, Proof::Ready)])
}

fn granted(units: u32, asks: u32) -> Answer {
    let reservation = Reservation { admitted_at: NOW, hold_until: ahead(3_720), units, asks };
    Answer::Admission(Admission::Granted(reservation))
}

fn order(status: CaOrderStatus) -> OrderSeen {
    OrderSeen {
        url: "https://ca.test/order/1".into(),
        finalize_url: "https://ca.test/finalize/1".into(),
        status,
        expires_at: Some(ahead(3_600)),
        authorizations: vec!["https://ca.test/authz/1".into(), "https://ca.test/authz/2".into()],
        certificate_url: None,
        problem: None,
        retry_after: None,
    }
}

fn authorization(status: AuthorizationStatus) -> AuthorizationSeen {
    let [identifier, _] = hostnames();
    AuthorizationSeen {
        status,
        identifier,
        wildcard: false,
        expires_at: Some(ahead(3_600)),
        challenge: Some(challenge()),
        challenge_taken: false,
        fault: (status == AuthorizationStatus::Invalid).then(fault),
        problem: None,
    }
}

fn authorizations(first: Result<AuthorizationSeen, Trouble>) -> Answer {
    let [_, www] = hostnames();
    let second = AuthorizationSeen { identifier: www, ..authorization(AuthorizationStatus::Valid) };
    Answer::Authorizations(vec![(0, first), (1, Ok(second))])
}

fn served(first: bool) -> Answer {
    served_under(first, Pressure::Low)
}

/// The CA has counted a failure an hour less a minute ago.
fn served_under(first: bool, pressure: Pressure) -> Answer {
    Answer::Served(circumstances(first, pressure))
}

fn circumstances(first: bool, pressure: Pressure) -> Vec<(usize, Circumstances)> {
    let of = |served| Circumstances { served, failed_at: Some(ago(3_540)), pressure };
    vec![(0, of(first)), (1, of(true))]
}

fn submitted(first: Result<(), Trouble>) -> Answer {
    Answer::Submitted(vec![(0, first), (1, Ok(()))])
}

fn deactivated(first: Result<AuthorizationStatus, Trouble>) -> Answer {
    Answer::Deactivated(vec![(0, first), (1, Ok(AuthorizationStatus::Deactivated))])
}
