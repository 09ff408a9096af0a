//! Every stage, in every condition that matters for what comes next.

use issuance::authorization::{Authorization, AuthorizationStatus};
use issuance::fault::{FailureClass, Fault};
use issuance::order::{CaOrder, CertificateRequest, Order, Reservation, Stage};

use super::{NOW, ago, ahead, answers, order_of};

/// Name and order. Each of them has two names, and two authorizations once it is placed.
pub(super) fn all() -> Vec<(&'static str, Order)> {
    let reservation = reservation(0, 1, 10);
    let doubtful = |one: &mut Authorization| one.submit_intended_at = Some(ago(5));
    let acknowledged = |one: &mut Authorization| {
        one.submit_intended_at = Some(ago(5));
        one.submitted_at = Some(ago(4));
    };
    let valid = |one: &mut Authorization| {
        one.status = AuthorizationStatus::Valid;
        one.final_at = Some(ago(3));
    };
    let submitted = |lost| Stage::Submitted { reservation, ca: ca(), lost };
    let finalizing = |url: Option<&str>| Stage::Finalizing {
        reservation,
        ca: ca(),
        request: request(),
        certificate_url: url.map(Box::from),
    };
    let failed = || Stage::Failed { reservation: Some(reservation), ca: Some(ca()), fault: fault(), at: NOW };
    let cancelled = || Stage::Cancelled { reservation: Some(reservation), ca: Some(ca()), at: NOW };
    vec![
        ("accepted", order_of(Stage::Accepted { proven_at: None })),
        ("accepted, proven", order_of(Stage::Accepted { proven_at: Some(ago(9)) })),
        ("accepted, proven long", order_of(Stage::Accepted { proven_at: Some(ago(600)) })),
        ("parked", order_of(Stage::Parked { fault: fault() })),
        ("admitted", order_of(Stage::Admitted { reservation: self::reservation(2, 1, 10) })),
        ("admitted, quiet over", order_of(Stage::Admitted { reservation: self::reservation(2, 1, 130) })),
        ("admitted again", order_of(Stage::Admitted { reservation: self::reservation(4, 2, 10) })),
        ("admitted too often", order_of(Stage::Admitted { reservation: self::reservation(6, 3, 130) })),
        ("admitted too long", order_of(Stage::Admitted { reservation: self::reservation(2, 1, 7_200) })),
        ("placed", with(Stage::Placed { reservation, ca: ca() }, unread())),
        ("placed long ago", {
            let old = self::reservation(0, 1, 130);
            with(
                Stage::Placed { reservation: old, ca: ca() },
                unread().map(|one| Authorization { opened_at: ago(130), ..one }),
            )
        }),
        ("presented", with(Stage::Presented { reservation, ca: ca() }, read(|_| {}))),
        ("presented, tried twice", {
            Order { looks: 2, ..with(Stage::Presented { reservation, ca: ca() }, read(|_| {})) }
        }),
        ("submitted, in doubt", with(submitted(None), read(doubtful))),
        ("submitted", with(submitted(None), read(acknowledged))),
        ("submitted, lost", with(submitted(Some(fault())), read(acknowledged))),
        ("ready", with(Stage::Ready { reservation, ca: ca() }, read(valid))),
        ("finalizing", with(finalizing(None), read(valid))),
        ("finalizing, signed", with(finalizing(Some("https://ca.test/cert/1")), read(valid))),
        ("issued", with(Stage::Issued { reservation, ca: ca(), request: request(), at: NOW }, read(valid))),
        ("failed, unread", with(failed(), unread())),
        ("failed, undecided", with(failed(), read(|_| {}))),
        ("failed, settle asked", with(failed(), read(|one| one.settle_requested_at = Some(ago(1))))),
        ("failed, submitting", with(failed(), read(doubtful))),
        ("failed, deactivating", with(failed(), read(|one| one.deactivate_intended_at = Some(ago(5))))),
        ("failed, doing both", {
            let [mut first, mut second] = read(|_| {});
            doubtful(&mut first);
            second.deactivate_intended_at = Some(ago(5));
            with(failed(), [first, second])
        }),
        ("failed, validating", with(failed(), read(acknowledged))),
        ("failed, at rest", with(failed(), read(valid))),
        ("cancelled, undecided", with(cancelled(), read(|_| {}))),
        ("cancelled, at rest", with(cancelled(), read(valid))),
    ]
}

fn reservation(units: u32, asks: u32, seconds_ago: u64) -> Reservation {
    let admitted_at = ago(seconds_ago);
    let hold_until = admitted_at.after(std::time::Duration::from_mins(62));
    Reservation { admitted_at, hold_until, units, asks }
}

fn ca() -> CaOrder {
    CaOrder {
        url: "https://ca.test/order/1".into(),
        finalize_url: "https://ca.test/finalize/1".into(),
        expires_at: ahead(3_600),
    }
}

fn request() -> CertificateRequest {
    CertificateRequest { key_sealed: Some(vec![1]), csr_der: vec![2] }
}

fn fault() -> Fault {
    Fault::new(FailureClass::PresentationFailed, "not served")
}

fn with(stage: Stage, authorizations: [Authorization; 2]) -> Order {
    Order { authorizations: authorizations.into(), ..order_of(stage) }
}

fn unread() -> [Authorization; 2] {
    [1, 2].map(|n| {
        let url = format!("https://ca.test/authz/{n}").into();
        Authorization::opened(url, ago(8), ahead(3_600), ahead(892))
    })
}

fn read(change: impl Fn(&mut Authorization)) -> [Authorization; 2] {
    let mut both = unread();
    for (one, hostname) in both.iter_mut().zip(answers::hostnames()) {
        one.challenge = Some(answers::challenge());
        one.identifier = Some(hostname);
        change(one);
    }
    both
}
