use super::*;

#[test]
fn paused_busy_and_limited_are_told_apart() {
    let paused = Problem::new(
        ProblemKind::RateLimited,
        429,
        "Your account is temporarily prevented from requesting certificates for zombie.com and possibly others. Please visit: https://ca.test/sfe/v1/unpause?jwt=eyJ",
    );
    assert_eq!(
        Refusal::of(&paused),
        Refusal::Paused { link: Some("https://ca.test/sfe/v1/unpause?jwt=eyJ".into()) }
    );
    for (status, detail) in [
        (503, "Service busy; retry later."),
        (503, "too many new orders (300) from this account in the last 3h0m0s"),
        (429, "<html><body>429 Too Many Requests</body></html>"),
        (429, ""),
    ] {
        let busy = Problem::new(ProblemKind::RateLimited, status, detail);
        assert_eq!(Refusal::of(&busy), Refusal::Busy { wait: Duration::from_mins(1) }, "{detail}");
    }
    for detail in ["too many new orders (300) from this account in the last 3h0m0s", "quota exceeded"] {
        let limited = Problem::new(ProblemKind::RateLimited, 429, detail);
        assert_eq!(Refusal::of(&limited), Refusal::Limited, "{detail}");
    }
}

/// Every known type leads somewhere on purpose, under the status it is sent with.
#[test]
fn every_problem_type_has_its_consequence() {
    use ProblemKind as K;
    let terminal = |class| Refusal::Terminal { class };
    let cases = [
        (K::AccountDoesNotExist, 400, Refusal::AccountStopped),
        (K::AlreadyReplaced, 409, Refusal::AlreadyReplaced),
        (K::AlreadyRevoked, 400, terminal(FailureClass::Internal)),
        (K::BadCsr, 400, terminal(FailureClass::BadCsr)),
        (K::BadNonce, 400, Refusal::Nonce),
        (K::BadPublicKey, 400, Refusal::AccountStopped),
        (K::BadRevocationReason, 400, terminal(FailureClass::Internal)),
        (K::BadSignatureAlgorithm, 400, Refusal::AccountStopped),
        (K::Caa, 403, terminal(FailureClass::Caa)),
        (K::Compound, 400, terminal(FailureClass::Internal)),
        (K::Conflict, 409, Refusal::Reread),
        (K::Connection, 400, terminal(FailureClass::ConnectionTimeout)),
        (K::Dns, 400, terminal(FailureClass::DnsServfail)),
        (K::ExternalAccountRequired, 400, Refusal::AccountStopped),
        (K::IncorrectResponse, 403, terminal(FailureClass::WrongContent)),
        (K::InvalidContact, 400, Refusal::AccountStopped),
        (K::InvalidProfile, 400, Refusal::AccountStopped),
        (K::Malformed, 404, Refusal::Gone),
        (K::OrderNotReady, 403, Refusal::Reread),
        (K::RateLimited, 429, Refusal::Limited),
        (K::RejectedIdentifier, 400, terminal(FailureClass::RejectedIdentifier)),
        (K::ServerInternal, 500, Refusal::Unknown { wait: ERROR_WAIT_DEFAULT }),
        (K::Tls, 400, terminal(FailureClass::Tls)),
        (K::Unauthorized, 403, Refusal::AccountStopped),
        (K::UnsupportedContact, 400, Refusal::AccountStopped),
        (K::UnsupportedIdentifier, 400, terminal(FailureClass::RejectedIdentifier)),
        (K::UserActionRequired, 403, Refusal::AccountStopped),
        (K::AgreementRequired, 403, Refusal::AccountStopped),
    ];
    for kind in K::KNOWN {
        assert!(cases.iter().any(|(known, ..)| known == kind), "{kind} has no case");
        assert_eq!(&K::parse(&format!("urn:ietf:params:acme:error:{kind}")), kind);
    }
    for (kind, status, consequence) in cases {
        assert_eq!(Refusal::of(&Problem::new(kind.clone(), status, "why")), consequence, "{kind}");
    }
    let odd = |status| Problem::new(K::parse("teapot"), status, "?");
    assert_eq!(Refusal::of(&odd(500)), Refusal::Unknown { wait: ERROR_WAIT_DEFAULT });
    assert_eq!(Refusal::of(&odd(404)), Refusal::Gone);
    assert_eq!(Refusal::of(&odd(400)), terminal(FailureClass::Internal));
}

#[test]
fn a_wait_is_never_absurd() {
    for (told, wait) in [(0, 1), (5, 5), (10_u64.pow(9), 7 * 86_400)] {
        let problem = Problem {
            retry_after: Some(Duration::from_secs(told)),
            ..Problem::new(ProblemKind::ServerInternal, 500, "")
        };
        assert_eq!(Refusal::of(&problem), Refusal::Unknown { wait: Duration::from_secs(wait) });
    }
}

#[test]
fn validation_errors_name_their_cause() {
    let class = |kind, detail: &str| FailureClass::of_validation(&Problem::new(kind, 400, detail));
    let dns = ProblemKind::Dns;
    assert_eq!(class(dns.clone(), "DNS problem: NXDOMAIN looking up A for a.com"), FailureClass::DnsNxdomain);
    assert_eq!(class(dns.clone(), "DNS problem: SERVFAIL looking up A"), FailureClass::DnsServfail);
    assert_eq!(class(dns.clone(), "DNS problem: query timed out"), FailureClass::DnsTimeout);
    assert_eq!(class(dns, "no valid A records found for a.com"), FailureClass::DnsNoAddress);
    let connection = ProblemKind::Connection;
    assert_eq!(class(connection.clone(), "Connection refused"), FailureClass::ConnectionRefused);
    assert_eq!(class(connection.clone(), "Timeout during connect"), FailureClass::ConnectionTimeout);
    assert_eq!(class(connection.clone(), "Connection reset by peer"), FailureClass::ConnectionClosed);
    assert_eq!(class(connection, "Too many redirects"), FailureClass::Redirect);
    let unauthorized = ProblemKind::Unauthorized;
    assert_eq!(
        class(unauthorized.clone(), "192.0.2.1: Invalid response from http://a.com/x: 404"),
        FailureClass::HttpStatus
    );
    assert_eq!(
        class(unauthorized, "The key authorization file from the server did not match"),
        FailureClass::WrongContent
    );
}

#[test]
fn class_names_come_back() {
    for class in FailureClass::ALL {
        assert_eq!(FailureClass::parse(class.as_str()), Some(*class));
        assert!(!class.advice().is_empty());
    }
}
