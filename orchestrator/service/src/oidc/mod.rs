//! Signing people in at a provider of identities: OpenID Connect Core 1.0, the authorization code flow with PKCE (RFC 7636).
//!
//! ```text
//! browser                         here                               provider
//!    │ GET /admin/sign-in/oidc      │                                    │
//!    │ ◀── 303, and a sealed cookie │ state, nonce, verifier             │
//!    │ ──────────────────────────────────── who are you? ──────────────▶ │
//!    │ ◀──────────────────────────────────── 303, code and state ─────── │
//!    │ GET …/callback, the cookie   │                                    │
//!    │                              │ ── code, verifier, secret ───────▶ │
//!    │                              │ ◀─────────── a signed id_token ─── │
//! ```
//!
//! What is under way is in the browser's cookie, so any replica can go on with it; that it is used once is the database's to
//! say, and its caller's to ask. Nothing that the provider says is believed before its signature is checked, and none of it
//! is repeated in a log.

mod error;
mod journey;
mod person;
mod provider;
mod transport;

use std::path::PathBuf;
use std::sync::Arc;

use issuance::time::Timestamp;
use openidconnect::core::{CoreAuthenticationFlow, CoreIdTokenVerifier};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::config::{OidcConfig, OidcRole, UnknownUsers};
use crate::https;
use crate::keys::Sealer;
pub use error::{OidcError, TokenFault};
pub use journey::{Answer, Journey};
pub use person::Person;
use provider::{Answers, Client, Provider};
pub use transport::HttpError;
use transport::ProviderHttp;

/// Where the provider sends people back to, below the address that browsers find us at.
pub const CALLBACK: &str = "/admin/sign-in/oidc/callback";
/// Codes that are redeemed at once; one more is told to try again.
const EXCHANGES_AT_ONCE: usize = 16;

/// What is configured of the provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OidcSetUpError {
    #[error("[oidc] {key}: {} cannot be read", path.display())]
    File {
        key: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("[oidc] client_secret_file: {} is empty", path.display())]
    NoSecret { path: PathBuf },
    #[error("[oidc] extra_root holds no certificate in PEM")]
    Root,
    #[error("[oidc] {key} is no address that a browser understands")]
    Address { key: &'static str },
    #[error("could not set up TLS for the provider of identities")]
    Tls(#[source] rustls::Error),
}

impl From<https::SetUpError> for OidcSetUpError {
    fn from(error: https::SetUpError) -> Self {
        match error {
            https::SetUpError::Root => Self::Root,
            https::SetUpError::Tls(error) => Self::Tls(error),
        }
    }
}

/// The way to one provider.
#[derive(Debug)]
pub struct Oidc {
    config: OidcConfig,
    client_id: ClientId,
    secret: Option<SecretString>,
    redirect: RedirectUrl,
    provider: Provider,
    sealer: Arc<Sealer>,
    seats: Semaphore,
}

/// Where a browser is sent, and what it keeps until it is back.
#[derive(Debug)]
pub struct Departure {
    pub location: String,
    pub cookie: SecretString,
}

impl Oidc {
    /// `None` where no provider is configured. Asks nobody anything.
    pub fn new(config: &OidcConfig, sealer: Arc<Sealer>) -> Result<Option<Self>, OidcSetUpError> {
        let (Some(issuer), Some(client_id), Some(public)) =
            (&config.issuer, &config.client_id, &config.public_url)
        else {
            return Ok(None);
        };
        let secret = match &config.client_secret_file {
            None => None,
            Some(path) => {
                let text = read("client_secret_file", path)?;
                let text = text.trim();
                if text.is_empty() {
                    return Err(OidcSetUpError::NoSecret { path: path.clone() });
                }
                Some(SecretString::from(text))
            }
        };
        let extra_root = config.extra_root.as_ref().map(|path| read("extra_root", path)).transpose()?;
        let http = ProviderHttp::new(issuer, extra_root.as_deref(), config.timeout())?;
        let redirect = format!("{}{CALLBACK}", public.as_str().trim_end_matches('/'));
        Ok(Some(Self {
            config: config.clone(),
            client_id: ClientId::new(client_id.clone()),
            secret,
            redirect: RedirectUrl::new(redirect)
                .map_err(|_| OidcSetUpError::Address { key: "public_url" })?,
            provider: Provider::new(issuer, http)?,
            sealer,
            seats: Semaphore::new(EXCHANGES_AT_ONCE),
        }))
    }

    /// What people call it: its host.
    pub fn name(&self) -> &str {
        self.config.issuer.as_ref().map_or("", |issuer| issuer.host())
    }

    /// Whether browsers come over TLS, so that a cookie of this way need not travel otherwise.
    pub fn is_secure(&self) -> bool {
        self.config.public_url.as_ref().is_some_and(crate::config::ProviderUrl::is_https)
    }

    /// Whether people nobody has let in become users.
    pub fn makes_users(&self) -> bool {
        self.config.unknown_users == UnknownUsers::Create
    }

    /// The first entry that fits somebody's groups.
    pub fn role_of(&self, person: &Person) -> Option<&OidcRole> {
        let fits = |role: &&OidcRole| {
            role.group.as_ref().is_none_or(|group| person.groups.iter().any(|one| one == group))
        };
        self.config.role.iter().find(fits)
    }

    /// Whether the provider answers, as it must for anybody to sign in.
    ///
    /// # Errors
    /// It does not, or says something else than OpenID Connect asks it to.
    pub async fn probe(&self, now: Timestamp) -> Result<(), OidcError> {
        self.provider.answers(now).await.map(drop)
    }

    /// Sends somebody to the provider, to come back to `to`.
    ///
    /// # Errors
    /// The provider is away.
    pub async fn begin(&self, now: Timestamp, to: &str) -> Result<Departure, OidcError> {
        let answers = self.provider.answers(now).await?;
        let client = self.client(&answers);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new_random_len(32),
                || Nonce::new_random_len(32),
            )
            .set_pkce_challenge(challenge);
        for scope in &self.config.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (location, state, nonce) = request.url();
        let journey =
            Journey::new(now, state.into_secret(), nonce.secret().clone(), verifier.into_secret(), to);
        let cookie = journey.seal(&self.sealer).map_err(|_| OidcError::Unusable)?;
        Ok(Departure { location: location.into(), cookie })
    }

    /// The journey that an answer belongs to: begun by this browser, here, and not long ago.
    ///
    /// # Errors
    /// It belongs to none, or the provider has let nobody in.
    pub fn recognise(
        &self,
        now: Timestamp,
        cookie: Option<&str>,
        answer: &Answer,
    ) -> Result<Journey, OidcError> {
        let journey = cookie.and_then(|cookie| Journey::open(&self.sealer, cookie));
        let journey = journey.ok_or(OidcError::Stranger)?;
        journey.check(now, answer)?;
        if answer.iss.as_deref().is_some_and(|iss| iss != self.provider.issuer()) {
            // RFC 9207: somebody else's answer.
            return Err(OidcError::Refused(TokenFault::Issuer));
        }
        match &answer.error {
            Some(word) => Err(OidcError::told(word)),
            None => Ok(journey),
        }
    }

    /// Redeems the code of a journey, which may be done once: who has come back.
    ///
    /// # Errors
    /// The provider is away or refuses, or what it says cannot be believed.
    pub async fn arrive(
        &self,
        now: Timestamp,
        journey: &Journey,
        answer: &Answer,
    ) -> Result<Person, OidcError> {
        let code = answer.code.clone().filter(|code| !code.is_empty()).ok_or(OidcError::Stranger)?;
        let _seat = self.seats.try_acquire().map_err(|_| OidcError::Busy)?;
        let answers = self.provider.answers(now).await?;
        let client = self.client(&answers);
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| OidcError::Unusable)?
            .set_pkce_verifier(PkceCodeVerifier::new(journey.verifier().to_owned()));
        let tokens = request.request_async(self.provider.http()).await?;
        let id_token = tokens.id_token().ok_or(OidcError::Refused(TokenFault::Missing))?;
        let nonce = Nonce::new(journey.nonce().to_owned());
        let verified = person::verify(id_token, &nonce, &self.verifier(&answers, now));
        let (answers, verified) = match verified {
            // Providers change their keys, and say so in no other way.
            Err(OidcError::Refused(TokenFault::UnknownKey)) => {
                let answers = self.provider.with_newer_keys(now, answers).await?;
                let verifier = self.verifier(&answers, now);
                let verified = person::verify(id_token, &nonce, &verifier);
                (answers, verified)
            }
            verified => (answers, verified),
        };
        let claims = verified?;
        let verifier = self.verifier(&answers, now);
        person::check_rest(id_token, claims, tokens.access_token(), &self.client_id, &verifier, now)?;
        let mut said = person::Said::of_id_token(claims);
        if !said.names(self.config.name_claim)
            || (!self.config.role.is_empty() && !said.has(&self.config.groups_claim))
        {
            let token = tokens.access_token().clone();
            if let Some(more) =
                self.provider.user_info(&self.client(&answers), token, claims.subject()).await?
            {
                said.complete(more);
            }
        }
        said.person(self.provider.issuer(), self.config.name_claim, &self.config.groups_claim)
    }

    fn client(&self, answers: &Answers) -> Client {
        let secret = self.secret.as_ref().map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        answers.client(self.client_id.clone(), secret).set_redirect_uri(self.redirect.clone())
    }

    fn verifier<'a>(&self, answers: &Answers, now: Timestamp) -> CoreIdTokenVerifier<'a> {
        person::verifier(self.client_id.clone(), answers, answers.keys().clone(), now)
    }
}

fn read(key: &'static str, path: &std::path::Path) -> Result<String, OidcSetUpError> {
    std::fs::read_to_string(path).map_err(|source| OidcSetUpError::File {
        key,
        path: path.to_owned(),
        source,
    })
}
