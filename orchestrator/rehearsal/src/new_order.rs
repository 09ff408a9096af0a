//! New orders (RFC 8555 §7.4): checked in Boulder's sequence, found again if they are there already.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::Response;
use http::StatusCode;
use issuance::identifier::{Hostname, HostnameError, Identifiers, IdentifiersError};
use issuance::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::account::Account;
use crate::admission::Admission;
use crate::authorization::{self, Authorization, Event, Standing};
use crate::ca::Ca;
use crate::challenge::ChallengeKind;
use crate::endpoint::Endpoint;
use crate::faults::Effect;
use crate::limits;
use crate::order::{self, Order, Progress, Status};
use crate::problem::{Kind, Problem};
use crate::renewal_info::{self, Replacement};
use crate::rules::Profile;
use crate::signed::Signed;
use crate::state::{Number, State};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    #[serde(default)]
    identifiers: Vec<WantedIdentifier>,
    not_before: Option<Box<RawValue>>,
    not_after: Option<Box<RawValue>>,
    replaces: Option<String>,
    profile: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WantedIdentifier {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// `POST /acme/new-order`
pub(crate) async fn create(Shared(ca): Shared<Arc<Ca>>, signed: Signed) -> Result<Response, Problem> {
    let account = signed.account()?;
    let wanted: Wanted = signed.payload()?;
    if wanted.not_before.is_some() || wanted.not_after.is_some() {
        return Err(Problem::malformed("NotBefore and NotAfter are not supported"));
    }
    let ParsedNames { names, refused, count } = parse_names(&wanted.identifiers, &ca.rules.refused_domains)?;

    let without_limits = limits_are_out(&ca).await;

    let (mut state, now) = ca.state();
    if let Some(names) = &names {
        state.pauses.check(account, names, &signed.base)?;
    }
    let replacement = match (&wanted.replaces, &names) {
        (Some(certificate), Some(names)) => Some(renewal_info::check_replacement(
            &state,
            ca.issuer.key_identifier(),
            account,
            certificate,
            names,
            now,
        )?),
        _ => None,
    };
    let profile_name: Arc<str> = wanted.profile.unwrap_or_default().into();
    let profile = ca.rules.profile(&profile_name).ok_or_else(|| {
        Problem::new(Kind::InvalidProfile, format!("profile name \"{profile_name}\" not recognized"))
    })?;
    if count > profile.names_max {
        return Err(Problem::malformed(format!(
            "Order cannot contain more than {} identifiers",
            profile.names_max
        )));
    }
    let admission = Admission::of(&state, names.as_ref(), replacement.as_ref(), without_limits, now);
    admission
        .take(&mut state.limits, account, names.as_ref(), now)
        .map_err(|refusal| refusal.into_problem(now, ca.chance.fraction()))?;
    let wanted = Accepted { account, profile_name, profile, names, refused, replacement, now };
    let number = match wanted.find_or_place(&mut state, &ca) {
        Ok(number) => number,
        Err(problem) => {
            admission.give_back(&mut state.limits, account, now);
            return Err(problem);
        }
    };
    state.limits.count_new_order(admission.cost());
    let order = &state.orders[number];
    Ok(order::answer(&ca, &state, order, StatusCode::CREATED, &signed.base, now))
}

/// What the limits have let through.
struct Accepted<'a> {
    account: Number<Account>,
    profile_name: Arc<str>,
    profile: &'a Profile,
    names: Option<Identifiers>,
    refused: Option<Problem>,
    replacement: Option<Replacement>,
    now: Timestamp,
}

impl Accepted<'_> {
    /// What Boulder does behind its limits: an error from here gives the new-order token back.
    fn find_or_place(self, state: &mut State, ca: &Ca) -> Result<Number<Order>, Problem> {
        let Self { account, profile_name, profile, names, refused, replacement, now } = self;
        if let Some(problem) = refused {
            return Err(problem);
        }
        let names =
            names.ok_or_else(|| Problem::malformed("NewOrder request did not specify any identifiers"))?;
        let set: Arc<str> = names.canonical().into();
        if ca.rules.order_reuse
            && let Some(number) = reusable(state, account, &set, &profile_name, now)
        {
            return Ok(number);
        }
        let plan = Plan::of(state, ca, account, &profile_name, profile, &names, now);
        let pending = state.ledger.pending_of(account);
        let cap = ca.rules.pending_authorizations_max;
        if !plan.missing.is_empty() && cap.is_some_and(|cap| pending >= u64::from(cap)) {
            return Err(limits::too_many_pending());
        }
        let placement = Placement { account, profile_name, profile, names, set, replacement, now };
        Ok(plan.place(state, ca, placement))
    }
}

/// Boulder fails open: where its limits cannot be asked, they do not apply.
async fn limits_are_out(ca: &Ca) -> bool {
    let fault = ca.draw(Endpoint::NewOrder, None, |effect| matches!(effect, Effect::LimitStoreOutage { .. }));
    let Some(Effect::LimitStoreOutage { after_ms }) = fault else { return false };
    ca.wait(Duration::from_millis(after_ms)).await;
    true
}

/// The identifiers of a request. A name that policy refuses is reported only after the limits had their say.
struct ParsedNames {
    /// The good ones, if any.
    names: Option<Identifiers>,
    refused: Option<Problem>,
    /// Distinct names, good and bad.
    count: usize,
}

fn parse_names(identifiers: &[WantedIdentifier], refused_domains: &[String]) -> Result<ParsedNames, Problem> {
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
    Ok(ParsedNames { names, refused, count })
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

/// Boulder looks at one order only: the unexpired one of this set that expires first, whoever owns it. One
/// that failed therefore hides every later one until it expires.
fn reusable(
    state: &mut State,
    account: Number<Account>,
    set: &Arc<str>,
    profile: &str,
    now: Timestamp,
) -> Option<Number<Order>> {
    let orders = state.orders_by_set.get_mut(set)?;
    while orders.first().is_some_and(|(expires_at, _)| *expires_at <= now) {
        orders.pop_first();
    }
    let (_, number) = *orders.first()?;
    let order = &state.orders[number];
    let open = matches!(order.status(state, now), Status::Pending | Status::Ready);
    (open && order.account == account && *order.profile == *profile).then_some(number)
}

/// Which authorizations a new order finds and which it must create.
struct Plan {
    found: Vec<Number<Authorization>>,
    missing: Vec<Hostname>,
}

struct Placement<'a> {
    account: Number<Account>,
    profile_name: Arc<str>,
    profile: &'a Profile,
    names: Identifiers,
    set: Arc<str>,
    replacement: Option<Replacement>,
    now: Timestamp,
}

impl Plan {
    fn of(
        state: &mut State,
        ca: &Ca,
        account: Number<Account>,
        profile_name: &Arc<str>,
        profile: &Profile,
        names: &Identifiers,
        now: Timestamp,
    ) -> Self {
        let mut plan = Self { found: Vec::new(), missing: Vec::new() };
        // What is reused must outlive an eighth of the order, between an hour and a day.
        let life_left = Duration::from_secs((profile.order_seconds / 8).clamp(3_600, 86_400));
        for name in names {
            let key = (account, Arc::clone(profile_name), name.clone());
            let candidates = state.reusable.get_mut(&key).filter(|_| ca.rules.authorization_reuse);
            let found = candidates.and_then(|candidates| {
                candidates.retain(|number| {
                    state.ledger.find(*number).is_some_and(|row| row.standing() == Standing::Valid)
                });
                let lasting = |number: &&Number<Authorization>| {
                    state.ledger.find(**number).is_some_and(|row| row.expires_at > now.after(life_left))
                };
                candidates.iter().rev().find(lasting).copied()
            });
            match found {
                Some(number) => plan.found.push(number),
                None => plan.missing.push(name.clone()),
            }
        }
        plan
    }

    fn place(self, state: &mut State, ca: &Ca, placement: Placement<'_>) -> Number<Order> {
        let Placement { account, profile_name, profile, names, set, replacement, now } = placement;
        let mut expires_at = now.after(Duration::from_secs(profile.order_seconds));
        let mut authorizations = self.found;
        for number in &authorizations {
            state.ledger.note(*number, now, Event::Reused);
            if let Some(row) = state.ledger.find(*number) {
                expires_at = expires_at.min(row.expires_at);
            }
        }
        let fault = if self.missing.is_empty() {
            None
        } else {
            ca.draw(Endpoint::NewOrder, None, |effect| matches!(effect, Effect::ShortLifetime { .. }))
        };
        let life = match fault {
            Some(Effect::ShortLifetime { ms }) => Duration::from_millis(ms),
            _ => Duration::from_secs(profile.pending_authorization_seconds),
        };
        for name in self.missing {
            let mut challenges = ChallengeKind::offered(name.is_wildcard());
            ca.chance.shuffle(&mut challenges);
            expires_at = expires_at.min(now.after(life));
            authorizations.push(state.ledger.create(|number| Authorization {
                number,
                account,
                profile: Arc::clone(&profile_name),
                name,
                token: ca.chance.token().into(),
                challenges: challenges.into(),
                expires_at: now.after(life),
                progress: authorization::Progress::Pending { submitted: None },
                history: vec![(now, Event::Created)],
            }));
        }
        authorizations.sort_unstable();
        let number = state.orders.next_number();
        state.orders.push(Order {
            number,
            account,
            profile: profile_name,
            names,
            set: Arc::clone(&set),
            expires_at,
            created_at: now,
            authorizations,
            replaces: replacement.as_ref().map(|replacement| replacement.id.clone()),
            progress: Progress::Open,
        });
        state.orders_by_set.entry(set).or_default().insert((expires_at, number));
        if let Some(account) = state.accounts.find_mut(account) {
            account.orders.push(number);
        }
        if let Some(replacement) = replacement {
            renewal_info::mark_replaced(state, &replacement, number);
        }
        number
    }
}
