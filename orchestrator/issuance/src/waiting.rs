//! What an order waits for before the gate, in plain words.

use crate::limit::LimitName;

/// Of orders that stand in line: nothing is against them but that others are before them.
pub const IN_LINE: &str = "in_line";

/// What an order waits for that was deferred for `reason`, as [`Denial::as_str`](crate::admission::Denial::as_str) spells it.
pub fn sentence(reason: &str) -> &'static str {
    match reason {
        IN_LINE | "turn" => "waits for its turn: the orders before it take what the limits leave",
        "no_room" => "waits for room among the account's pending authorizations",
        "new_orders" => "waits for new orders of the account",
        "held" => "waits because the CA has told the whole account to wait",
        "unproven" => "waits for another order to show whether the CA lets a limit become so empty",
        "backoff" => "waits because one of its names rests after a failure",
        "target_busy" => "waits for another order that is being validated at the same name",
        other => match LimitName::parse(other) {
            Some(LimitName::NewOrdersPerAccount) => "waits for new orders of the account",
            Some(LimitName::NewAccountsPerAddress) => "waits for new accounts of this address",
            Some(LimitName::CertificatesPerRegisteredDomain) => {
                "waits for certificates of its registered domain"
            }
            Some(LimitName::CertificatesPerExactSet) => "waits for certificates of exactly this set of names",
            Some(LimitName::FailedAuthorizationsPerHostname) => {
                "waits for failed validations that one of its hostnames may still have"
            }
            Some(LimitName::ConsecutiveFailuresPerHostname) => {
                "waits because one of its hostnames has failed too often in a row"
            }
            None => "waits for the CA's limits",
        },
    }
}

/// The last of the reasons for which an order was deferred, which is the one that counts now.
pub fn last_reason(deferred_as: &str) -> Option<&str> {
    deferred_as.split(' ').rfind(|reason| !reason.is_empty())
}

/// The reasons for which an order was deferred, with `reason` as the last of them; `None` where it is so already, or was
/// never told.
pub fn with_last(deferred_as: Option<&str>, reason: &str) -> Option<String> {
    let told = deferred_as?;
    if last_reason(told) == Some(reason) || !told.split(' ').any(|one| one == reason) {
        return None;
    }
    let others = told.split(' ').filter(|one| *one != reason);
    Some(others.chain([reason]).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Denial;
    use crate::identifier::Hostname;
    use crate::time::Timestamp;

    #[test]
    fn every_denial_has_words_of_its_own() {
        let until = Timestamp::from_unix_seconds(0);
        let hostname = Hostname::parse("one.example.com").expect("a hostname");
        let mut denials = vec![
            Denial::NoRoom { until },
            Denial::NewOrders { until },
            Denial::Held { until },
            Denial::Unproven { limit: LimitName::NewOrdersPerAccount, until },
            Denial::Turn { until },
            Denial::Backoff { hostname, until },
            Denial::TargetBusy { target: "one.example.com".into(), until },
        ];
        denials.extend(LimitName::ALL.map(|limit| Denial::Limit { limit, key: "k".into(), until }));
        for denial in denials {
            assert_ne!(sentence(denial.as_str()), sentence("something else"), "{denial:?}");
        }
    }

    #[test]
    fn the_reason_that_counts_is_the_last() {
        assert_eq!(last_reason("new_orders backoff"), Some("backoff"));
        assert_eq!(last_reason(""), None);
        assert_eq!(
            with_last(Some("new_orders backoff"), "new_orders").as_deref(),
            Some("backoff new_orders")
        );
        assert_eq!(with_last(Some("new_orders backoff"), "backoff"), None, "it is so already");
        assert_eq!(with_last(Some("new_orders"), "turn"), None, "it was too short to be told");
        assert_eq!(with_last(None, "turn"), None);
    }
}
