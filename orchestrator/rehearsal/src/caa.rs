//! CAA (RFC 8659, RFC 8657): whether a domain's owner lets this CA issue for it.

use crate::problem::{Kind, Problem};
use crate::resolver::DnsView;
use crate::validation::Attempt;

/// One `issue` or `issuewild` property, or any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) critical: bool,
    pub(crate) tag: String,
    pub(crate) value: String,
}

/// Whom the account's order is for, and how it is validated.
struct Asker<'a> {
    method: &'a str,
    account_url: &'a str,
    identities: &'a [String],
}

/// Climbs from the name towards the root and obeys the first record set it meets.
///
/// The climb ends before the top-level domain: none publishes CAA.
pub(crate) async fn check(dns: &DnsView, attempt: &Attempt, identities: &[String]) -> Result<(), Problem> {
    let name = &attempt.name;
    let asker = Asker { method: attempt.kind.as_str(), account_url: &attempt.account_url, identities };
    let mut at = name.validation_target();
    while at.contains('.') {
        let properties = dns
            .caa(at)
            .await
            .map_err(|problem| problem.prefixed(&format!("While processing CAA for {name}: ")))?;
        if !properties.is_empty() {
            if permits(&properties, name.is_wildcard(), &asker) {
                return Ok(());
            }
            return Err(Problem::new(Kind::Caa, format!("CAA record for {at} prevents issuance")));
        }
        at = at.split_once('.').map_or("", |(_, above)| above);
    }
    Ok(())
}

fn permits(properties: &[Property], wildcard: bool, asker: &Asker<'_>) -> bool {
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
    relevant.is_empty() || relevant.iter().any(|property| names_us(&property.value, asker))
}

/// `identity; accounturi=https://…; validationmethods=http-01,dns-01` (RFC 8659 §4.2, RFC 8657 §3 and §4).
fn names_us(value: &str, asker: &Asker<'_>) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let issuer = parts.next().unwrap_or_default();
    let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let all = |wanted: &str, fits: &dyn Fn(&str) -> bool| {
        parameters.iter().filter(|(name, _)| *name == wanted).all(|(_, value)| fits(value))
    };
    asker.identities.iter().any(|identity| identity.eq_ignore_ascii_case(issuer))
        && all("accounturi", &|url| url == asker.account_url)
        && all("validationmethods", &|methods| methods.split(',').any(|method| method == asker.method))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(records: &[(bool, &str, &str)], wildcard: bool) -> bool {
        let properties: Vec<Property> = records
            .iter()
            .map(|&(critical, tag, value)| Property { critical, tag: tag.into(), value: value.into() })
            .collect();
        let identities = ["ca.org".to_owned()];
        let asker =
            Asker { method: "http-01", account_url: "https://ca.org/acct/7", identities: &identities };
        permits(&properties, wildcard, &asker)
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
        assert!(permitted(&[(false, "issue", "ca.org; accounturi=https://ca.org/acct/7")], false));
        assert!(!permitted(&[(false, "issue", "ca.org; accounturi=https://ca.org/acct/77")], false));
    }
}
