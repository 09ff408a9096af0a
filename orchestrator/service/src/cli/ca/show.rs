use std::time::Duration;

use issuance::exemption::Exemption;
use issuance::limit::Limit;
use issuance::profile::CaProfile;

use crate::cli::error::CliError;
use crate::cli::output::Output;

pub(super) fn list(profiles: &[CaProfile], output: Output) -> Result<(), CliError> {
    let header = ["profile", "directory", "account binding", "renewal info", "limits"];
    output.show(&profiles, header, |profiles| {
        profiles
            .iter()
            .map(|profile| {
                let directory = if profile.directory.is_empty() { "to be given" } else { &profile.directory };
                [
                    profile.name.clone(),
                    directory.to_owned(),
                    needed(profile.external_account),
                    yes_or_no(profile.renewal_info),
                    profile.limits_note.to_string(),
                ]
            })
            .collect()
    })
}

pub(super) fn one(profile: &CaProfile, output: Output) -> Result<(), CliError> {
    output.show(profile, ["CA", ""], facts)
}

fn facts(profile: &CaProfile) -> Vec<[String; 2]> {
    let seconds = |seconds: u64| span(Duration::from_secs(seconds));
    let mut facts = vec![
        ("profile", profile.name.clone()),
        ("directory", profile.directory.clone()),
        ("external account binding", needed(profile.external_account)),
        ("renewal information (RFC 9773)", yes_or_no(profile.renewal_info)),
        ("limits", profile.limits_note.to_string()),
    ];
    facts.extend(profile.limits.iter().map(|limit| (limit.name.as_str(), told(limit, profile))));
    facts.extend([
        (
            "pending authorizations",
            format!(
                "{} at once, {} of them kept for the recovery of lost orders",
                profile.pending_authorizations_max, profile.recovery_reserve
            ),
        ),
        (
            "deactivating a pending authorization",
            if profile.charges_deactivation { "counts as a failed validation" } else { "costs nothing" }
                .to_owned(),
        ),
        ("asking again for the same names", {
            let same = "gives the same order while it is pending";
            if profile.reuses_pending_order { same } else { "may make another order" }.to_owned()
        }),
        ("list of orders (RFC 8555 §7.1.2.1)", yes_or_no(profile.lists_orders)),
        ("an authorization is pending for", seconds(profile.pending_authorization_seconds)),
        ("an order lives for", seconds(profile.order_seconds)),
        ("names in an order", profile.names_max.to_string()),
    ]);
    let rates = &profile.requests_per_second;
    for (endpoint, rate) in [
        ("new-nonce", rates.new_nonce),
        ("new-account", rates.new_account),
        ("new-order", rates.new_order),
        ("revoke-cert", rates.revoke_cert),
        ("renewal-info", rates.renewal_info),
        ("directory", rates.directory),
        ("all else", rates.other),
    ] {
        let text = if rate == 0 { "not held back".to_owned() } else { format!("{rate} a second") };
        facts.push(("requests", format!("{endpoint}: {text}")));
    }
    for kind in &profile.certificate_profiles {
        facts.push((
            "certificate profile",
            format!(
                "{}: valid for {}, {} names, a valid authorization stands for {}",
                kind.name,
                seconds(kind.certificate_seconds),
                kind.names_max,
                seconds(kind.valid_authorization_seconds)
            ),
        ));
    }
    facts.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
}

/// One limit in plain words.
fn told(limit: &Limit, profile: &CaProfile) -> String {
    let refill = limit.bucket().map_or_else(|| "never".to_owned(), |bucket| span(bucket.refill()));
    let grants = |exemption: &&Exemption| match exemption {
        Exemption::RenewalInfo => profile.exempts_replacements,
        Exemption::ExactSet => profile.exempts_exact_sets,
    };
    let exempt: Vec<&str> = limit
        .name
        .exempt()
        .iter()
        .filter(grants)
        .map(|exemption| match exemption {
            Exemption::RenewalInfo => "replacements in their window",
            Exemption::ExactSet => "exact sets issued within 120 days",
        })
        .collect();
    let exempt =
        if exempt.is_empty() { String::new() } else { format!("; not for {}", exempt.join(" nor ")) };
    let more =
        if limit.name.is_overridable() && profile.exempts_exact_sets { "; more on request" } else { "" };
    format!(
        "{} at once, then 1 per {refill}; by {}; counted at {}{exempt}{more}",
        limit.burst,
        limit.name.scope().as_str().replace('_', " "),
        limit.name.spent_at().as_str(),
    )
}

fn needed(needed: bool) -> String {
    if needed { "needed" } else { "not needed" }.to_owned()
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

/// In its largest units, down to a thousandth of a second.
fn span(of: Duration) -> String {
    let seconds = of.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds % 60, "s")];
    let told: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if told.is_empty() { format!("{} ms", of.as_millis()) } else { told.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ca_profile;

    #[test]
    fn a_limit_is_told_as_an_operator_says_it() {
        let profile = ca_profile::load("letsencrypt").unwrap();
        let all: Vec<String> = profile.limits.iter().map(|limit| told(limit, &profile)).collect();
        assert_eq!(
            all[1],
            "300 at once, then 1 per 36 s; by account; counted at order; not for replacements in their window nor \
             exact sets issued within 120 days; more on request"
        );
        assert!(
            all[2].starts_with("50 at once, then 1 per 3 h 21 min 36 s; by registered domain"),
            "{}",
            all[2]
        );
        assert!(
            all[5].starts_with("1152 at once, then 1 per 1 d; by account and hostname; counted at failure")
        );
    }

    #[test]
    fn every_built_in_profile_can_be_shown() {
        for (name, _) in ca_profile::BUILT_IN {
            let facts = facts(&ca_profile::load(name).unwrap());
            assert!(facts.iter().all(|[fact, _]| !fact.is_empty()));
        }
    }

    #[test]
    fn spans_have_their_units() {
        let told = [36_000, 36, 604_800, 12_096].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(told, ["10 h", "36 s", "7 d", "3 h 21 min 36 s"]);
        assert_eq!(span(Duration::from_millis(33)), "33 ms");
    }
}
