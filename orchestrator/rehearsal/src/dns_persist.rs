//! `dns-persist-01` (draft-ietf-acme-dns-persist): a TXT record that stays, and names the CA and the account.

use crate::problem::Problem;
use crate::resolver::DnsView;
use crate::validation::Attempt;

pub(crate) async fn validate(dns: &DnsView, attempt: &Attempt) -> Result<(), Problem> {
    let name = format!("_validation-persist.{}", attempt.name.validation_target());
    let texts = dns.texts(&name).await?;
    if texts.iter().any(|text| authorizes(text, attempt)) {
        return Ok(());
    }
    let count = texts.len();
    Err(Problem::unauthorized(format!("None of {count} TXT records at {name} authorizes the account")))
}

/// `issuer; accounturi=…[; policy=wildcard][; persistUntil=<unix seconds>]`: what is unknown is passed over.
fn authorizes(text: &str, attempt: &Attempt) -> bool {
    let mut parts = text.split(';').map(str::trim);
    let issuer = parts.next().unwrap_or_default();
    if !attempt.issuers.iter().any(|own| own.eq_ignore_ascii_case(issuer)) {
        return false;
    }
    let (mut account, mut wildcard, mut over) = (None, false, false);
    for (tag, value) in parts.filter_map(|part| part.split_once('=')) {
        match tag.trim().to_ascii_lowercase().as_str() {
            "accounturi" if account.is_none() => account = Some(value.trim()),
            "accounturi" => return false,
            "policy" => wildcard = value.trim().eq_ignore_ascii_case("wildcard"),
            "persistuntil" => {
                over = value.trim().parse::<i64>().map_or(true, |until| until <= attempt.at.unix_seconds());
            }
            _ => (),
        }
    }
    account == Some(attempt.account_url.as_str()) && !over && (wildcard || !attempt.name.is_wildcard())
}
