//! Why a name or an order does not go on, reduced to a closed set, and what follows from it.
//!
//! A [`FailureClass`] says what is wrong and who must act; it is what tenants read, what metrics count and
//! what the dashboard groups by. A [`Refusal`] says what the service does about a problem document that
//! answered a request. Never judged by the type alone: status, `Retry-After` and the wording count too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identifier::Hostname;
use crate::problem::{Problem, ProblemKind};

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Whoever runs the site or its DNS.
    Tenant,
    /// Whoever runs Lockkeeper.
    Operator,
    /// Nobody: it passes.
    Nobody,
}

macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident, $text:literal, $actor:ident, $advice:literal;)+) => {
        /// What is wrong, as a closed set.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FailureClass {
            $($(#[$doc])* $variant,)+
        }

        impl FailureClass {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The spelling in the database, the API and the metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }

            pub fn actor(self) -> Actor {
                match self { $(Self::$variant => Actor::$actor,)+ }
            }

            /// What to do about it, in one sentence for the person named by [`Self::actor`].
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)+ }
            }
        }
    };
}

classes! {
    /// The name does not exist in DNS.
    DnsNxdomain, "dns_nxdomain", Tenant, "create the name in DNS, or register the domain again if it has expired";
    /// The name servers answer with an error, or DNSSEC does not validate.
    DnsServfail, "dns_servfail", Tenant, "mend the zone at its name servers: they answer SERVFAIL (a broken zone, or bad DNSSEC signatures)";
    /// No name server answers.
    DnsTimeout, "dns_timeout", Tenant, "make the domain's name servers reachable: none of them answers";
    /// DNSSEC does not validate: whoever validates, and CAs must, gets no answer at all.
    Dnssec, "dnssec", Tenant, "sign the zone anew, or have the DS record at the registrar removed: its DNSSEC signatures do not validate";
    /// The servers that the parent zone names do not speak for the zone.
    DnsLame, "dns_lame", Tenant, "serve the zone at the name servers that the registrar names, or have the registrar name those that serve it";
    /// The name exists and has neither A nor AAAA.
    DnsNoAddress, "dns_no_address", Tenant, "publish an A or AAAA record for the name: it has neither";
    /// An address record leads elsewhere than to the provider's servers.
    WrongAddress, "wrong_address", Tenant, "point the A and AAAA records at the hosting servers, and remove those that lead elsewhere";
    /// An address record leads to a private or otherwise unroutable network.
    PrivateAddress, "private_address", Tenant, "publish a public address: the record leads to a private or reserved network";
    ConnectionRefused, "connection_refused", Tenant, "let a web server listen on port 80 at this address: the connection is refused";
    ConnectionTimeout, "connection_timeout", Tenant, "let port 80 through the firewall and answer: nothing comes back in time";
    /// Headers or body come too slowly.
    SlowResponse, "slow_response", Tenant, "answer the challenge path faster: the response is not complete in time";
    Tls, "tls", Tenant, "mend the TLS set-up of the server that the challenge request is redirected to";
    /// The challenge path answers with another status than 200.
    HttpStatus, "http_status", Tenant, "forward /.well-known/acme-challenge/ to the responder: the server answers with an error status";
    /// A redirect loop, too many redirects, or one that leads to a port or scheme no CA follows.
    Redirect, "redirect", Tenant, "do not redirect /.well-known/acme-challenge/ in circles: at most 10 redirects, to http or https on their standard ports";
    /// The challenge path answers 200 with something else.
    WrongContent, "wrong_content", Tenant, "forward /.well-known/acme-challenge/ to the responder: the server answers with other content";
    /// A CAA record forbids this CA.
    Caa, "caa", Tenant, "add a CAA record that allows the CA, or remove the one that forbids it";
    /// A limit of the CA, ours to have known.
    RateLimited, "rate_limited", Nobody, "nothing to do: the order goes on at the instant the limit names";
    /// The CA paused this name after too many failures.
    PausedAtCa, "paused_at_ca", Operator, "open the CA's unpause link once the name is mended";
    /// The CA's policy refuses this name.
    RejectedIdentifier, "rejected_identifier", Tenant, "remove the name: the CA's policy refuses it";
    BadCsr, "bad_csr", Operator, "make a new key and request: the CA refuses this one";
    /// The account is unknown, deactivated, or needs a person's consent.
    Account, "account", Operator, "look at the CA account: it is unknown, deactivated, or has new terms to accept";
    /// The CA fails inside.
    CaInternal, "ca_internal", Nobody, "nothing to do: the CA had an internal error, the order is tried again";
    /// The CA cannot be reached, or answers with what is no ACME.
    CaUnreachable, "ca_unreachable", Operator, "check the network path to the CA; orders wait and nothing is lost";
    /// The response could not be provisioned, or our own check does not see it served.
    PresentationFailed, "presentation_failed", Operator, "check the responder: the challenge response is not served where the CA would look";
    /// No provider that we can write to serves the record that would prove the name.
    DnsDelegation, "dns_delegation", Tenant, "publish the CNAME record that hands the name's challenge over, exactly as shown";
    PropagationTimeout, "propagation_timeout", Tenant, "check the zone's name servers: the record did not reach all of them";
    ProviderApi, "provider_api", Operator, "check the DNS provider's API and its credentials";
    /// The order or an authorization ended at the CA before it was used.
    OrderExpired, "order_expired", Nobody, "nothing to do: a new order is made";
    /// A fault of this service.
    Internal, "internal", Operator, "report this: it is a fault of the service";
}

impl FailureClass {
    /// Reads the problem of a failed validation (RFC 8555 §7.1.6: the challenge's `error`).
    pub fn of_validation(problem: &Problem) -> Self {
        let detail = problem.detail.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| detail.contains(word));
        match &problem.kind {
            ProblemKind::Dns if says(&["nxdomain"]) => Self::DnsNxdomain,
            ProblemKind::Dns
                if says(&["no valid a records", "no valid ip", "no valid aaaa", "no addresses"]) =>
            {
                Self::DnsNoAddress
            }
            ProblemKind::Dns if says(&["timed out", "timeout", "deadline"]) => Self::DnsTimeout,
            ProblemKind::Dns => Self::DnsServfail,
            ProblemKind::Connection if says(&["redirect"]) => Self::Redirect,
            ProblemKind::Connection if says(&["refused"]) => Self::ConnectionRefused,
            ProblemKind::Connection if says(&["nxdomain"]) => Self::DnsNxdomain,
            ProblemKind::Connection => Self::ConnectionTimeout,
            ProblemKind::Tls => Self::Tls,
            ProblemKind::Caa => Self::Caa,
            ProblemKind::Unauthorized
                if says(&["invalid response from"]) && says(&[": 4", ": 5", "status code"]) =>
            {
                Self::HttpStatus
            }
            ProblemKind::Unauthorized | ProblemKind::IncorrectResponse => Self::WrongContent,
            ProblemKind::RateLimited => Self::RateLimited,
            ProblemKind::RejectedIdentifier | ProblemKind::UnsupportedIdentifier => Self::RejectedIdentifier,
            _ => Self::CaInternal,
        }
    }
}

/// One fault: its class, what was seen, and the name it is about where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub class: FailureClass,
    /// What was seen, in the CA's words or ours.
    pub detail: Box<str>,
    pub hostname: Option<Hostname>,
}

impl Fault {
    pub fn new(class: FailureClass, detail: impl Into<Box<str>>) -> Self {
        Self { class, detail: detail.into(), hostname: None }
    }

    #[must_use]
    pub fn of(self, hostname: Option<Hostname>) -> Self {
        Self { hostname, ..self }
    }
}

/// What the service does about a request that was answered with a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Send again at once with a fresh nonce; the CA did nothing (RFC 8555 §6.5).
    Nonce,
    /// The CA did nothing, for a limit: what it says of it is a [`Lesson`](crate::lesson::Lesson).
    Limited,
    /// The CA did nothing, and counts nothing: it, or what stands before it, is busy. Requests of every kind wait.
    Busy { wait: Duration },
    /// The CA did nothing, and will not for the names it names until a person opens `link`.
    Paused { link: Option<Box<str>> },
    /// Whether the CA acted is unknown: read the object before anything is sent again.
    Unknown { wait: Duration },
    /// The object is in another state than we thought: read it.
    Reread,
    /// The certificate named in `replaces` has a replacement, or is not ours to replace: ask without it.
    AlreadyReplaced,
    /// The object is gone at the CA.
    Gone,
    /// The order can never pass as it is.
    Terminal { class: FailureClass },
    /// The account cannot order until the operator acts.
    AccountStopped,
}

/// Where no `Retry-After` came with a limit.
pub(crate) const LIMIT_WAIT_DEFAULT: Duration = Duration::from_hours(1);
/// Where none came with an internal error. Boulder sends 60.
const ERROR_WAIT_DEFAULT: Duration = Duration::from_mins(1);
/// No CA's limit is longer than this; anything above is a mistake or an attack.
pub(crate) const WAIT_MAX: Duration = Duration::from_hours(7 * 24);

impl Refusal {
    /// Reads a problem that answered a request (not one inside a challenge: [`FailureClass::of_validation`]).
    pub fn of(problem: &Problem) -> Self {
        let wait = |default: Duration| {
            problem.retry_after.unwrap_or(default).clamp(Duration::from_secs(1), WAIT_MAX)
        };
        if problem.status == 503 {
            return Self::Busy { wait: wait(ERROR_WAIT_DEFAULT) };
        }
        match &problem.kind {
            ProblemKind::BadNonce => Self::Nonce,
            ProblemKind::RateLimited if problem.detail.contains("temporarily prevented") => {
                Self::Paused { link: unpause_link(&problem.detail) }
            }
            ProblemKind::RateLimited if is_a_load_balancers(&problem.detail) => {
                Self::Busy { wait: wait(ERROR_WAIT_DEFAULT) }
            }
            ProblemKind::RateLimited => Self::Limited,
            ProblemKind::ServerInternal => Self::Unknown { wait: wait(ERROR_WAIT_DEFAULT) },
            ProblemKind::Malformed if problem.status == 404 => Self::Gone,
            ProblemKind::Malformed if problem.detail.contains("must be pending") => Self::Reread,
            ProblemKind::Conflict | ProblemKind::OrderNotReady => Self::Reread,
            ProblemKind::AlreadyReplaced => Self::AlreadyReplaced,
            // Not the account is refused, but the certificate it names: it is not the account's own, or
            // unknown to the CA.
            ProblemKind::Unauthorized | ProblemKind::Malformed
                if problem.detail.contains("being replaced") || problem.detail.contains("'replaces'") =>
            {
                Self::AlreadyReplaced
            }
            ProblemKind::RejectedIdentifier | ProblemKind::UnsupportedIdentifier => {
                Self::Terminal { class: FailureClass::RejectedIdentifier }
            }
            ProblemKind::BadCsr => Self::Terminal { class: FailureClass::BadCsr },
            ProblemKind::Caa => Self::Terminal { class: FailureClass::Caa },
            ProblemKind::Unauthorized if problem.detail.contains("CSR") => {
                Self::Terminal { class: FailureClass::BadCsr }
            }
            ProblemKind::Unauthorized
            | ProblemKind::AccountDoesNotExist
            | ProblemKind::BadPublicKey
            | ProblemKind::BadSignatureAlgorithm
            | ProblemKind::ExternalAccountRequired
            | ProblemKind::InvalidContact
            | ProblemKind::UnsupportedContact
            | ProblemKind::UserActionRequired
            | ProblemKind::AgreementRequired
            | ProblemKind::InvalidProfile => Self::AccountStopped,
            ProblemKind::Dns
            | ProblemKind::Connection
            | ProblemKind::Tls
            | ProblemKind::IncorrectResponse => {
                Self::Terminal { class: FailureClass::of_validation(problem) }
            }
            ProblemKind::Other(_) if problem.status >= 500 => {
                Self::Unknown { wait: wait(ERROR_WAIT_DEFAULT) }
            }
            ProblemKind::Other(_) if problem.status == 404 => Self::Gone,
            ProblemKind::Malformed
            | ProblemKind::AlreadyRevoked
            | ProblemKind::BadRevocationReason
            | ProblemKind::Compound
            | ProblemKind::Other(_) => Self::Terminal { class: FailureClass::Internal },
        }
    }
}

/// No limit of the CA: a page, or nothing, in place of a problem, or the words of one that is overloaded.
fn is_a_load_balancers(detail: &str) -> bool {
    let detail = detail.trim_start();
    detail.is_empty() || detail.starts_with('<') || detail.contains("Service busy")
}

fn unpause_link(detail: &str) -> Option<Box<str>> {
    let start = detail.find("https://")?;
    let link = detail[start..].split_whitespace().next()?;
    Some(link.into())
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            class(dns.clone(), "DNS problem: NXDOMAIN looking up A for a.com"),
            FailureClass::DnsNxdomain
        );
        assert_eq!(class(dns.clone(), "DNS problem: SERVFAIL looking up A"), FailureClass::DnsServfail);
        assert_eq!(class(dns.clone(), "DNS problem: query timed out"), FailureClass::DnsTimeout);
        assert_eq!(class(dns, "no valid A records found for a.com"), FailureClass::DnsNoAddress);
        let connection = ProblemKind::Connection;
        assert_eq!(class(connection.clone(), "Connection refused"), FailureClass::ConnectionRefused);
        assert_eq!(class(connection.clone(), "Timeout during connect"), FailureClass::ConnectionTimeout);
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
}
