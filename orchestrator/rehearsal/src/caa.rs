//! CAA (RFC 8659): whether a domain's owner lets this CA issue for it.

use issuance::identifier::Hostname;

use crate::challenge::ChallengeKind;
use crate::problem::{Kind, Problem};
use crate::resolver::DnsView;

/// One `issue` or `issuewild` property, or any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) critical: bool,
    pub(crate) tag: String,
    pub(crate) value: String,
}

/// Climbs from the name towards the root and obeys the first record set it meets.
///
/// The climb ends before the top-level domain: none publishes CAA.
pub(crate) async fn check(
    dns: &DnsView,
    name: &Hostname,
    kind: ChallengeKind,
    identities: &[String],
) -> Result<(), Problem> {
    let mut at = name.validation_target();
    while at.contains('.') {
        let properties = dns
            .caa(at)
            .await
            .map_err(|problem| problem.prefixed(&format!("While processing CAA for {name}: ")))?;
        if !properties.is_empty() {
            if permits(&properties, name.is_wildcard(), kind, identities) {
                return Ok(());
            }
            return Err(Problem::new(Kind::Caa, format!("CAA record for {at} prevents issuance")));
        }
        at = at.split_once('.').map_or("", |(_, above)| above);
    }
    Ok(())
}

fn permits(properties: &[Property], wildcard: bool, kind: ChallengeKind, identities: &[String]) -> bool {
    let known = |tag: &str| ["issue", "issuewild", "iodef", "issuemail"].contains(&tag);
    if properties.iter().any(|property| property.critical && !known(&property.tag)) {
        return false;
    }
    let tagged = |tag: &str| properties.iter().filter(|property| property.tag == tag).collect::<Vec<_>>();
    let mut relevant = tagged("issue");
    // RFC 8659 §4.3: for a wildcard `issuewild` replaces `issue` where it is present.
    if wildcard && !tagged("issuewild").is_empty() {
        relevant = tagged("issuewild");
    }
    relevant.is_empty() || relevant.iter().any(|property| names_us(&property.value, kind, identities))
}

/// `identity; validationmethods=http-01,dns-01` (RFC 8659 §4.2, RFC 8657 §4).
fn names_us(value: &str, kind: ChallengeKind, identities: &[String]) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let issuer = parts.next().unwrap_or_default();
    let methods = parts.find_map(|part| part.strip_prefix("validationmethods="));
    identities.iter().any(|identity| identity.eq_ignore_ascii_case(issuer))
        && methods.is_none_or(|methods| methods.split(',').any(|method| method.trim() == kind.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(records: &[(bool, &str, &str)], wildcard: bool) -> bool {
        let properties: Vec<Property> = records
            .iter()
            .map(|&(critical, tag, value)| Property { critical, tag: tag.into(), value: value.into() })
            .collect();
        permits(&properties, wildcard, ChallengeKind::Http01, &["ca.org".to_owned()])
    }

    #[test]
    fn the_owner_decides_who_issues() {
        assert!(permitted(&[(false, "issue", "ca.org")], false));
        assert!(permitted(&[(false, "issue", "other.org"), (false, "issue", "CA.org; x=y")], false));
        assert!(!permitted(&[(false, "issue", "other.org")], false));
        assert!(!permitted(&[(false, "issue", ";")], false), "nobody may");
        assert!(permitted(&[(false, "iodef", "mailto:a@b.com")], false));
        assert!(!permitted(&[(true, "future", "x"), (false, "issue", "ca.org")], false));
    }

    #[test]
    fn wildcards_and_methods_can_be_told_apart() {
        let records = [(false, "issue", "ca.org"), (false, "issuewild", "other.org")];
        assert!(permitted(&records, false));
        assert!(!permitted(&records, true));
        assert!(permitted(&[(false, "issue", "ca.org")], true));
        assert!(permitted(&[(false, "issue", "ca.org; validationmethods=dns-01,http-01")], false));
        assert!(!permitted(&[(false, "issue", "ca.org; validationmethods=dns-01")], false));
    }
}
