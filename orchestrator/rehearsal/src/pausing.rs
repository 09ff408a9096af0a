//! Pausing: what happens to a name that only ever fails. A person must lift it; there is no API for that.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::extract::{Query, State as Shared};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use issuance::identifier::{Hostname, Identifiers};
use issuance::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::Account;
use crate::ca::Ca;
use crate::directory::Base;
use crate::problem::{Kind, Problem};
use crate::reply;
use crate::state::Number;

/// What was unpaused is not paused again so soon.
const GRACE: Duration = Duration::from_hours(14 * 24);
/// For so long the link in a refusal can be followed.
const LINK_LIFE: Duration = Duration::from_hours(14 * 24);
/// Most names that one click frees.
const UNPAUSED_AT_ONCE_MAX: usize = 50_000;
/// Nothing is secret in a rehearsal.
const LINK_KEY: &[u8] = b"the self-service portal of a rehearsal CA";

#[derive(Debug, Clone, Copy)]
enum Pause {
    Paused,
    LiftedAt(Timestamp),
}

#[derive(Debug, Default)]
pub(crate) struct Pauses {
    names: HashMap<Number<Account>, BTreeMap<Hostname, Pause>>,
    refused: u64,
}

impl Pauses {
    pub(crate) fn pause(&mut self, account: Number<Account>, name: Hostname, now: Timestamp) {
        let pause = self.names.entry(account).or_default().entry(name).or_insert(Pause::Paused);
        match pause {
            Pause::LiftedAt(at) if now.since(*at) < GRACE => (),
            _ => *pause = Pause::Paused,
        }
    }

    /// Refuses an order that holds a paused name: no wait is given, since only a person ends it.
    pub(crate) fn check(
        &mut self,
        account: Number<Account>,
        wanted: &Identifiers,
        base: &Base,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let Some(names) = self.names.get(&account) else { return Ok(()) };
        let is_paused = |name: &&Hostname| matches!(names.get(*name), Some(Pause::Paused));
        let hit: Vec<&str> = wanted.iter().filter(is_paused).map(Hostname::as_str).collect();
        if hit.is_empty() {
            return Ok(());
        }
        self.refused += 1;
        let url = base.url(&format!("/sfe/v1/unpause?jwt={}", ticket(account, &hit, now)));
        Err(Problem::new(
            Kind::RateLimited,
            format!(
                "Your account is temporarily prevented from requesting certificates for {} and possibly \
                 others. Please visit: {url}",
                hit.join(", ")
            ),
        ))
    }

    /// Orders refused for a paused name.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Whatever names the link was about: it frees the account's.
    fn unpause(&mut self, account: Number<Account>, now: Timestamp) -> usize {
        let names = self.names.get_mut(&account).into_iter().flatten();
        let paused = names.map(|(_, pause)| pause).filter(|pause| matches!(pause, Pause::Paused));
        paused.take(UNPAUSED_AT_ONCE_MAX).map(|pause| *pause = Pause::LiftedAt(now)).count()
    }
}

/// A JSON Web Token (RFC 7519) with Boulder's claims.
fn ticket(account: Number<Account>, names: &[&str], now: Timestamp) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "iss": "WFE",
        "sub": account.to_string(),
        "aud": ["SFE Unpause"],
        "exp": now.after(LINK_LIFE).unix_seconds(),
        "iat": now.unix_seconds(),
        "version": "v1",
        "identifiers": names.join(","),
    });
    let signed = format!("{}.{}", encode(&json!({ "alg": "HS256" })), encode(&claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, LINK_KEY), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn redeem(jwt: &str, now: Timestamp) -> Result<Number<Account>, Problem> {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
        exp: i64,
    }

    let malformed = || Problem::malformed("Invalid unpause URL");
    let (signed, signature) = jwt.rsplit_once('.').ok_or_else(malformed)?;
    let (_, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, LINK_KEY), signed.as_bytes(), &decode(signature)?)
        .map_err(|_| malformed())?;
    let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| malformed())?;
    if claims.exp < now.unix_seconds() {
        return Err(Problem::malformed("Expired unpause URL"));
    }
    Number::parse(&claims.sub).ok_or_else(malformed)
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ticket {
    #[serde(default)]
    jwt: String,
}

/// `GET /sfe/v1/unpause`: the page a person is sent to.
pub(crate) async fn page(
    Shared(ca): Shared<Arc<Ca>>,
    Query(Ticket { jwt }): Query<Ticket>,
) -> Result<Response, Problem> {
    let now = ca.clock.now();
    let account = redeem(&jwt, now)?;
    let body = format!("POST /sfe/v1/do-unpause?jwt={jwt} to unpause every name of account {account}.\n");
    Ok(reply::with_body(StatusCode::OK, "text/plain", body))
}

/// `POST /sfe/v1/do-unpause`: unpauses every name of the account.
pub(crate) async fn unpause(
    Shared(ca): Shared<Arc<Ca>>,
    Query(Ticket { jwt }): Query<Ticket>,
) -> Result<Response, Problem> {
    let (mut state, now) = ca.state();
    let account = redeem(&jwt, now)?;
    let count = state.pauses.unpause(account, now);
    let mut response = reply::empty(StatusCode::FOUND);
    reply::set_location(&mut response, &format!("/sfe/v1/unpause-status?count={count}"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_frees_50000_names_at_the_most() {
        let (mut pauses, account, now) = (Pauses::default(), Number::of(1), Timestamp::EPOCH);
        for number in 0..50_001 {
            let name = Hostname::parse(&format!("h{number}.com")).expect("a name");
            pauses.pause(account, name, now);
        }
        assert_eq!([(); 3].map(|()| pauses.unpause(account, now)), [50_000, 1, 0]);
        assert_eq!(pauses.unpause(Number::of(2), now), 0);
    }
}
