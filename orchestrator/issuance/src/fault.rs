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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Whoever runs the site or its DNS.
    Tenant,
    /// Whoever runs Lockkeeper.
    Operator,
    /// Nobody: it passes.
    Nobody,
}

impl Actor {
    /// The spelling in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Operator => "operator",
            Self::Nobody => "nobody",
        }
    }
}

macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident, $text:literal, $actor:ident, $advice:literal;)+) => {
        /// What is wrong, as a closed set.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
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
    DnsNxdomain, "dns_nxdomain", Tenant, "create the name in DNS: its domain is there, the name is not";
    /// The zone above does not know the registered domain.
    DnsUnregistered, "dns_unregistered", Tenant, "register the domain again, or have its registrar release it: it is in DNS no more";
    /// The name is an alias (CNAME) that ends nowhere: at a name that does not exist or has no address, in a circle, or
    /// after too many others.
    DnsAlias, "dns_alias", Tenant, "change the CNAME record, or mend what it leads to: the alias does not end at an address";
    /// The name servers answer with an error, or a resolver has nothing but one to tell.
    DnsServfail, "dns_servfail", Tenant, "mend the zone at its name servers: they answer SERVFAIL (a zone that is not loaded or has expired there)";
    /// No name server answers.
    DnsTimeout, "dns_timeout", Tenant, "make the domain's name servers reachable: none of them answers";
    /// DNSSEC does not validate: whoever validates, and CAs must, gets no answer at all.
    Dnssec, "dnssec", Tenant, "sign the zone anew, or have the DS record at the registrar removed: its DNSSEC signatures do not validate";
    /// The servers that the parent zone names do not speak for the zone.
    DnsLame, "dns_lame", Tenant, "serve the zone at the name servers that the registrar names, or have the registrar name those that serve it";
    /// The answer is too long for UDP, and the name servers give none over TCP.
    DnsTcp, "dns_tcp", Tenant, "let the zone's name servers answer over TCP too, or remove old TXT records: the answer does not fit into UDP";
    /// The name exists and has neither A nor AAAA.
    DnsNoAddress, "dns_no_address", Tenant, "publish an A or AAAA record for the name: it has neither";
    /// An address record leads elsewhere than to the provider's servers.
    WrongAddress, "wrong_address", Tenant, "point the A and AAAA records at the hosting servers, and remove those that lead elsewhere";
    /// An address record leads to a private or otherwise unroutable network.
    PrivateAddress, "private_address", Tenant, "publish a public address: the record leads to a private or reserved network";
    ConnectionRefused, "connection_refused", Tenant, "let a web server listen on port 80 at this address: the connection is refused";
    ConnectionTimeout, "connection_timeout", Tenant, "let port 80 through the firewall and answer: nothing comes back in time";
    /// The connection is taken, and ends before the answer is whole.
    ConnectionClosed, "connection_closed", Tenant, "look into the web server's log, and what filters in front of it: it closes the connection before its answer is complete";
    /// Headers or body come too slowly.
    SlowResponse, "slow_response", Tenant, "answer the challenge path faster: the response is not complete in time";
    Tls, "tls", Tenant, "mend the TLS set-up of the server that the challenge request is redirected to";
    /// The challenge path answers with another status than 200.
    HttpStatus, "http_status", Tenant, "forward /.well-known/acme-challenge/ to the responder: the server answers with an error status";
    /// A redirect loop, too many redirects, or one that leads to a port, scheme, name or network no CA follows.
    Redirect, "redirect", Tenant, "redirect /.well-known/acme-challenge/ only as CAs follow, or not at all: no circle, 10 times at the most, to public names, over http or https on their standard ports";
    /// The redirect is one that CAs follow, and the answer is not where it leads.
    RedirectTarget, "redirect_target", Tenant, "do not redirect /.well-known/acme-challenge/, or forward it to the responder where the redirect leads as well: the answer is not there";
    /// Something that is not a web server, or one that expects TLS, answers on the port for plain HTTP.
    NotHttp, "not_http", Tenant, "let a web server that speaks plain HTTP listen on port 80: what answers there speaks something else";
    /// The challenge path answers 200 with something else.
    WrongContent, "wrong_content", Tenant, "forward /.well-known/acme-challenge/ to the responder: the server answers with other content";
    /// A CAA record forbids this CA.
    Caa, "caa", Tenant, "add a CAA record that allows the CA, or remove the one that forbids it";
    /// The CAA records cannot be looked up, though the zone answers otherwise: a CA takes that for a refusal.
    CaaLookup, "caa_lookup", Tenant, "have the zone's name servers answer questions for CAA records, if only with none: they fail for that type";
    /// A limit of the CA, ours to have known.
    RateLimited, "rate_limited", Nobody, "nothing to do: the order goes on at the instant the limit names";
    /// The CA paused this name after too many failures.
    PausedAtCa, "paused_at_ca", Operator, "open the CA's unpause link once the name is mended";
    /// The CA's policy refuses this name.
    RejectedIdentifier, "rejected_identifier", Tenant, "remove the name: the CA's policy refuses it";
    BadCsr, "bad_csr", Operator, "make a new key and request: the CA refuses this one";
    /// The tenant keeps the key, and its request may not be used (again).
    CsrNeeded, "csr_needed", Tenant, "send a new certificate request (CSR) for exactly the names of the certificate";
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
    /// All name servers agree, on other values.
    WrongRecord, "wrong_record", Tenant, "let the name have the TXT record exactly as it was given: its name servers agree on other values";
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
            ProblemKind::Connection if says(&["reset by peer", "error getting validation data"]) => {
                Self::ConnectionClosed
            }
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
mod tests;
