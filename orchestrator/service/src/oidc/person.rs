//! Who has come: what a token must be to be believed, and what is taken from it.

use std::collections::HashMap;
use std::time::Duration;

use issuance::time::Timestamp;
use openidconnect::core::{
    CoreGenderClaim, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, ClientId, IdToken, IdTokenClaims, Nonce, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::provider::Answers;
use super::{OidcError, TokenFault};
use crate::config::NameClaim;

/// How far the clocks here and there may be apart.
const SKEW: Duration = Duration::from_mins(1);
const NAME_CHARS_MAX: usize = 100;
/// A person in more groups has those that are told first.
const GROUPS_MAX: usize = 1_000;

/// Somebody whom the provider vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub issuer: String,
    /// Never given to somebody else (OpenID Connect Core 1.0 §5.7), as a name or an address may be.
    pub subject: String,
    pub name: String,
    pub groups: Vec<String>,
}

/// Claims beside the standard ones.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct SaidMore {
    #[serde(flatten)]
    claims: HashMap<String, Value>,
}

impl AdditionalClaims for SaidMore {}

pub(super) type Token =
    IdToken<SaidMore, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Claims = IdTokenClaims<SaidMore, CoreGenderClaim>;
pub(super) type UserInfo = UserInfoClaims<SaidMore, CoreGenderClaim>;

/// Checks issuer, audience, signature, expiry; the nonce with the token.
pub(super) fn verifier<'a>(
    client: ClientId,
    answers: &Answers,
    keys: CoreJsonWebKeySet,
    now: Timestamp,
) -> CoreIdTokenVerifier<'a> {
    let now = chrono::DateTime::from_timestamp(now.before(SKEW).unix_seconds(), 0).unwrap_or_default();
    CoreIdTokenVerifier::new_public_client(client, answers.issuer().clone(), keys)
        .set_allowed_algs(answers.algorithms())
        .set_time_fn(move || now)
}

pub(super) fn verify<'t>(
    token: &'t Token,
    nonce: &Nonce,
    verifier: &CoreIdTokenVerifier<'_>,
) -> Result<&'t Claims, OidcError> {
    token.claims(verifier, nonce).map_err(|error| OidcError::Refused(error.into()))
}

/// What the crate leaves to its callers: the instant of issue, whom the token was made for, and whether the access token is
/// the one that came with it.
pub(super) fn check_rest(
    token: &Token,
    claims: &Claims,
    access: &AccessToken,
    client: &ClientId,
    verifier: &CoreIdTokenVerifier<'_>,
    now: Timestamp,
) -> Result<(), OidcError> {
    let refused = |fault| Err(OidcError::Refused(fault));
    if claims.issue_time().timestamp() > now.after(SKEW).unix_seconds() {
        return refused(TokenFault::Future);
    }
    if claims.authorized_party().is_some_and(|party| party != client) {
        return refused(TokenFault::Audience);
    }
    let Some(expected) = claims.access_token_hash() else { return Ok(()) };
    let signature = |error: openidconnect::SignatureVerificationError| OidcError::Refused(error.into());
    let algorithm = token.signing_alg().map_err(signature)?;
    let key = token.signing_key(verifier).map_err(signature)?;
    match AccessTokenHash::from_token(access, algorithm, key) {
        Ok(actual) if actual == *expected => Ok(()),
        _ => refused(TokenFault::AccessToken),
    }
}

/// What is said of somebody, by a token or by whoever tells more.
#[derive(Debug)]
pub(super) struct Said {
    subject: String,
    email: Option<String>,
    email_verified: bool,
    preferred_username: Option<String>,
    more: HashMap<String, Value>,
}

impl Said {
    pub(super) fn of_id_token(claims: &Claims) -> Self {
        Self {
            subject: claims.subject().to_string(),
            email: claims.email().map(|email| email.to_string()),
            email_verified: claims.email_verified().unwrap_or(false),
            preferred_username: claims.preferred_username().map(|name| name.to_string()),
            more: claims.additional_claims().claims.clone(),
        }
    }

    pub(super) fn of_user_info(info: &UserInfo) -> Self {
        Self {
            subject: info.subject().to_string(),
            email: info.email().map(|email| email.to_string()),
            email_verified: info.email_verified().unwrap_or(false),
            preferred_username: info.preferred_username().map(|name| name.to_string()),
            more: info.additional_claims().claims.clone(),
        }
    }

    /// Whether the name is in it.
    pub(super) fn names(&self, claim: NameClaim) -> bool {
        match claim {
            NameClaim::Email => self.email.is_some(),
            NameClaim::PreferredUsername => self.preferred_username.is_some(),
            NameClaim::Sub => true,
        }
    }

    pub(super) fn has(&self, claim: &str) -> bool {
        self.more.contains_key(claim)
    }

    /// Adds what was not said: what was signed comes first.
    pub(super) fn complete(&mut self, more: Self) {
        if self.email.is_none() {
            (self.email, self.email_verified) = (more.email, more.email_verified);
        }
        self.preferred_username = self.preferred_username.take().or(more.preferred_username);
        for (claim, value) in more.more {
            self.more.entry(claim).or_insert(value);
        }
    }

    pub(super) fn person(
        self,
        issuer: &str,
        claim: NameClaim,
        groups_claim: &str,
    ) -> Result<Person, OidcError> {
        let name = match claim {
            NameClaim::Email if self.email.is_some() && !self.email_verified => {
                return Err(OidcError::Unverified);
            }
            NameClaim::Email => self.email,
            NameClaim::PreferredUsername => self.preferred_username,
            NameClaim::Sub => Some(self.subject.clone()),
        };
        let name = name.map(|name| name.trim().to_owned());
        let good = |name: &String| {
            !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control)
        };
        let name = name.filter(good).ok_or(OidcError::Nameless(claim.as_str()))?;
        Ok(Person {
            issuer: issuer.to_owned(),
            subject: self.subject,
            name,
            groups: groups(self.more.get(groups_claim)),
        })
    }
}

/// A list of texts, or one text: providers do either.
fn groups(value: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match value {
        Some(Value::Array(all)) => all.iter().take(GROUPS_MAX).filter_map(text).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(email: Option<&str>, verified: bool, groups: Value) -> Said {
        Said {
            subject: "s-1".to_owned(),
            email: email.map(str::to_owned),
            email_verified: verified,
            preferred_username: None,
            more: HashMap::from([("groups".to_owned(), groups)]),
        }
    }

    fn name(said: Said, claim: NameClaim) -> Result<String, &'static str> {
        said.person("https://login.test", claim, "groups").map(|one| one.name).map_err(|error| error.word())
    }

    #[test]
    fn an_address_is_a_name_only_where_it_is_verified() {
        assert_eq!(
            name(said(Some(" ada@x.test "), true, json!([])), NameClaim::Email),
            Ok("ada@x.test".into())
        );
        assert_eq!(name(said(Some("ada@x.test"), false, json!([])), NameClaim::Email), Err("unverified"));
        assert_eq!(name(said(None, true, json!([])), NameClaim::Email), Err("nameless"));
        assert_eq!(name(said(Some("ada\n@x.test"), true, json!([])), NameClaim::Email), Err("nameless"));
        assert_eq!(
            name(said(Some("ada@x.test"), true, json!([])), NameClaim::PreferredUsername),
            Err("nameless")
        );
        assert_eq!(name(said(None, false, json!([])), NameClaim::Sub), Ok("s-1".into()));
    }

    #[test]
    fn what_was_signed_comes_before_what_was_told() {
        let mut one = said(Some("ada@x.test"), false, json!(["a"]));
        one.complete(said(Some("root@x.test"), true, json!(["b"])));
        assert_eq!((one.email.as_deref(), one.email_verified), (Some("ada@x.test"), false));
        assert_eq!(groups(one.more.get("groups")), ["a"]);
    }

    #[test]
    fn groups_are_texts() {
        assert_eq!(groups(Some(&json!(["a", 1, null, "b"]))), ["a", "b"]);
        assert_eq!(groups(Some(&json!("a"))), ["a"]);
        assert!(groups(Some(&json!({ "a": 1 }))).is_empty() && groups(None).is_empty());
    }
}
