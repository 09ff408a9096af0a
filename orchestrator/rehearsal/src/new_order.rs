//! New orders (RFC 8555 §7.4): checked in Boulder's sequence, found again if they are there already.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::Response;
use http::StatusCode;
use issuance::identifier::{Hostname, Identifiers};
use issuance::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::account::Account;
use crate::admission::Admission;
use crate::authorization::{self, Authorization, Event, Standing};
use crate::ca::Ca;
use crate::challenge::ChallengeKind;
use crate::directory::Base;
use crate::endpoint::Endpoint;
use crate::faults::Effect;
use crate::limits;
use crate::names::{self, Named, WantedIdentifier};
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

/// `POST /acme/new-order`
pub(crate) async fn create(Shared(ca): Shared<Arc<Ca>>, signed: Signed) -> Result<Response, Problem> {
    let account = signed.account()?;
    let wanted: Wanted = signed.payload()?;
    if wanted.not_before.is_some() || wanted.not_after.is_some() {
        return Err(Problem::malformed("NotBefore and NotAfter are not supported"));
    }
    let named = names::parse(&wanted.identifiers, &ca.rules.refused_domains)?;
    let without_limits = limits_are_out(&ca).await;
    let accepted = Accepted::by_limits(&ca, account, wanted, named, &signed.base, without_limits)?;
    let slow = ca.draw(Endpoint::NewOrder, None, |effect| matches!(effect, Effect::SlowPlacement { .. }));
    let placed = if let Some(Effect::SlowPlacement { ms }) = slow {
        accepted.place_slowly(&ca, Duration::from_millis(ms)).await
    } else {
        let (mut state, now) = ca.state();
        accepted.find_or_place(&mut state, &ca, now)
    };
    let (mut state, now) = ca.state();
    match placed {
        Ok(number) => {
            state.limits.count_new_order(accepted.admission.cost());
            let order = &state.orders[number];
            Ok(order::answer(&ca, &state, order, StatusCode::CREATED, &signed.base, now))
        }
        Err(problem) => {
            accepted.admission.give_back(&mut state.limits, account, now);
            Err(problem)
        }
    }
}

/// What the limits have let through. What goes wrong from here gives the new-order token back.
struct Accepted<'a> {
    account: Number<Account>,
    profile_name: Arc<str>,
    profile: &'a Profile,
    named: Named,
    replacement: Option<Replacement>,
    admission: Admission,
}

impl<'a> Accepted<'a> {
    /// In Boulder's sequence: paused names, `replaces`, the profile, the limits.
    fn by_limits(
        ca: &'a Ca,
        account: Number<Account>,
        wanted: Wanted,
        named: Named,
        base: &Base,
        without_limits: bool,
    ) -> Result<Self, Problem> {
        let (mut state, now) = ca.state();
        let names = named.good.as_ref();
        if let Some(names) = names {
            state.pauses.check(account, names, base, now)?;
        }
        let replacement = match (&wanted.replaces, names) {
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
        let admission = Admission::of(&state, names, replacement.as_ref(), without_limits, now);
        admission
            .take(&mut state.limits, account, names, now)
            .map_err(|refusal| refusal.into_problem(now, ca.chance.fraction()))?;
        Ok(Self { account, profile_name, profile, named, replacement, admission })
    }

    /// The names, if the CA certifies them.
    fn names(&self) -> Result<&Identifiers, Problem> {
        if self.named.count > self.profile.names_max {
            return Err(Problem::malformed(format!(
                "Order cannot contain more than {} identifiers",
                self.profile.names_max
            )));
        }
        match (&self.named.refused, &self.named.good) {
            (Some(problem), _) => Err(problem.clone()),
            (None, Some(names)) => Ok(names),
            (None, None) => Err(Problem::malformed("NewOrder request did not specify any identifiers")),
        }
    }

    fn find(&self, state: &mut State, ca: &Ca, now: Timestamp) -> Result<Option<Number<Order>>, Problem> {
        let set: Arc<str> = self.names()?.canonical().into();
        let found = || reusable(state, self.account, &set, &self.profile_name, now);
        Ok(ca.rules.order_reuse.then(found).flatten())
    }

    fn find_or_place(&self, state: &mut State, ca: &Ca, now: Timestamp) -> Result<Number<Order>, Problem> {
        match self.find(state, ca, now)? {
            Some(number) => Ok(number),
            None => self.place(state, ca, now),
        }
    }

    /// Boulder's race: it looks for the order first, and by the time it creates one there may be another.
    async fn place_slowly(&self, ca: &Ca, wait: Duration) -> Result<Number<Order>, Problem> {
        let found = {
            let (mut state, now) = ca.state();
            self.find(&mut state, ca, now)?
        };
        ca.wait(wait).await;
        let (mut state, now) = ca.state();
        match found {
            Some(number) => Ok(number),
            None => self.place(&mut state, ca, now),
        }
    }

    fn place(&self, state: &mut State, ca: &Ca, now: Timestamp) -> Result<Number<Order>, Problem> {
        let names = self.names()?;
        let plan = Plan::of(state, ca, self, names, now);
        let pending = state.ledger.pending_of(self.account);
        let cap = ca.rules.pending_authorizations_max;
        if !plan.missing.is_empty() && cap.is_some_and(|cap| pending >= u64::from(cap)) {
            return Err(limits::too_many_pending());
        }
        Ok(plan.place(state, ca, self, names.clone(), now))
    }
}

/// Boulder fails open: where its limits cannot be asked, they do not apply.
async fn limits_are_out(ca: &Ca) -> bool {
    let fault = ca.draw(Endpoint::NewOrder, None, |effect| matches!(effect, Effect::LimitStoreOutage { .. }));
    let Some(Effect::LimitStoreOutage { after_ms }) = fault else { return false };
    ca.wait(Duration::from_millis(after_ms)).await;
    true
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

impl Plan {
    fn of(state: &mut State, ca: &Ca, wanted: &Accepted<'_>, names: &Identifiers, now: Timestamp) -> Self {
        let mut plan = Self { found: Vec::new(), missing: Vec::new() };
        // What is reused must outlive an eighth of the order, between an hour and a day.
        let life_left = Duration::from_secs((wanted.profile.order_seconds / 8).clamp(3_600, 86_400));
        for name in names {
            let key = (wanted.account, Arc::clone(&wanted.profile_name), name.clone());
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

    fn place(
        self,
        state: &mut State,
        ca: &Ca,
        wanted: &Accepted<'_>,
        names: Identifiers,
        now: Timestamp,
    ) -> Number<Order> {
        let Accepted { account, profile_name, profile, replacement, .. } = wanted;
        let (account, set): (_, Arc<str>) = (*account, names.canonical().into());
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
        let issuers: Arc<[String]> = ca.rules.caa_identities.as_slice().into();
        for name in self.missing {
            let mut challenges = ChallengeKind::offered(name.is_wildcard(), ca.rules.offers_dns_persist);
            ca.chance.shuffle(&mut challenges);
            expires_at = expires_at.min(now.after(life));
            authorizations.push(state.ledger.create(|number| Authorization {
                number,
                account,
                profile: Arc::clone(profile_name),
                name,
                token: ca.chance.token().into(),
                challenges: challenges.into(),
                issuers: Arc::clone(&issuers),
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
            profile: Arc::clone(profile_name),
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
            renewal_info::mark_replaced(state, replacement, number);
        }
        number
    }
}
