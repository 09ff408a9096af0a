//! The names that a new order asks for, and what Boulder says of those that it does not certify.

use std::collections::BTreeSet;

use issuance::identifier::{Hostname, HostnameError, Identifiers, IdentifiersError};
use serde::Deserialize;

use crate::problem::{Kind, Problem};

/// One identifier of a request, as it is written.
#[derive(Debug, Deserialize)]
pub(crate) struct WantedIdentifier {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// The identifiers of a request. A name that policy refuses is reported only after the limits had their say.
#[derive(Debug)]
pub(crate) struct Named {
    /// `None` if there are none.
    pub(crate) good: Option<Identifiers>,
    pub(crate) refused: Option<Problem>,
    /// Distinct names, good and bad.
    pub(crate) count: usize,
}

pub(crate) fn parse(identifiers: &[WantedIdentifier], refused_domains: &[String]) -> Result<Named, Problem> {
    if identifiers.is_empty() {
        return Err(Problem::malformed("NewOrder request did not specify any identifiers"));
    }
    let (mut good, mut bad) = (BTreeSet::new(), Vec::new());
    for WantedIdentifier { kind, value } in identifiers {
        if kind != "dns" {
            return Err(Problem::new(
                Kind::UnsupportedIdentifier,
                format!("NewOrder request included unsupported identifier: type {kind:?}, value {value:?}"),
            ));
        }
        match Hostname::parse(value) {
            Ok(name) if is_refused(&name, refused_domains) => bad.push((
                value,
                "The ACME server refuses to issue a certificate for this domain name, because it is \
                 forbidden by policy",
            )),
            Ok(name) => {
                good.insert(name);
            }
            Err(error) => bad.push((value, refusal_text(&error))),
        }
    }
    let count = good.len() + bad.len();
    let names = match Identifiers::new(good) {
        Ok(names) => Some(names),
        Err(IdentifiersError::Redundant { name }) => {
            return Err(Problem::malformed(format!(
                "Error creating new order :: Domain name \"{name}\" is redundant with a wildcard domain in \
                 the same request. Remove one or the other from the certificate request."
            )));
        }
        Err(IdentifiersError::TooMany { .. }) => {
            return Err(Problem::malformed("Order cannot contain more than 100 identifiers"));
        }
        Err(IdentifiersError::None | IdentifiersError::Duplicate { .. }) => None,
    };
    let refused = bad.first().map(|(name, why)| {
        let first = format!("Error creating new order :: Cannot issue for \"{name}\": {why}");
        if bad.len() == 1 {
            return Problem::new(Kind::RejectedIdentifier, first);
        }
        let others = bad.len() - 1;
        let subs = bad
            .iter()
            .map(|(name, why)| (Problem::new(Kind::RejectedIdentifier, *why), (*name).clone()))
            .collect();
        Problem::new(
            Kind::RejectedIdentifier,
            format!("{first} (and {others} more problems. Refer to sub-problems for more information.)"),
        )
        .with_subproblems(subs)
    });
    Ok(Named { good: names, refused, count })
}

fn is_refused(name: &Hostname, refused_domains: &[String]) -> bool {
    refused_domains.iter().any(|domain| {
        let rest = name.validation_target().strip_suffix(domain.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Boulder's words for each kind of bad name.
fn refusal_text(error: &HostnameError) -> &'static str {
    match error {
        HostnameError::Empty => "Identifier value (name) is empty",
        HostnameError::Whitespace | HostnameError::Underscore | HostnameError::Characters => {
            "Domain name contains an invalid character"
        }
        HostnameError::Wildcard => "Wildcard domain name must be of the form *.<name>",
        HostnameError::Address => "The ACME server can not issue a certificate for an IP address",
        HostnameError::Label => "Domain name contains an invalid label",
        HostnameError::TooLong { .. } => "Domain name is longer than 253 bytes",
        HostnameError::OneLabel => "Domain name needs at least one dot",
        HostnameError::TooManyLabels { .. } => "Domain name has more than 10 labels (parts)",
        HostnameError::PublicSuffix => "Domain name is an ICANN TLD",
        HostnameError::SpecialUse { .. } | HostnameError::UnknownSuffix { .. } => {
            "Domain name does not end with a valid public suffix (TLD)"
        }
    }
}
