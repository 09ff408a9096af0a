//! What the provider says of itself, kept for a while: its endpoints, and the keys that it signs with.

use std::sync::Arc;
use std::time::Duration;

use issuance::time::Timestamp;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim,
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse,
    CoreTokenType,
};
use openidconnect::{
    AccessToken, AuthType, ClientId, ClientSecret, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, IdTokenFields, IssuerUrl, StandardErrorResponse, StandardTokenResponse, SubjectIdentifier,
};
use tokio::sync::Mutex;

use super::person::{Said, SaidMore, UserInfo};
use super::transport::ProviderHttp;
use super::{OidcError, OidcSetUpError};
use crate::config::ProviderUrl;

/// Asked anew after this.
const FRESH: Duration = Duration::from_hours(1);
/// A key that is not known has the provider asked again, and no sooner than this: whoever sends forged tokens does not make
/// us ask for each.
const KEYS_APART: Duration = Duration::from_secs(30);
/// One that did not answer is left alone for this long.
const AWAY_APART: Duration = Duration::from_secs(5);

pub(super) type TokenResponse = StandardTokenResponse<
    IdTokenFields<
        SaidMore,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;

/// The crate's client, with all claims that a provider may have.
pub(super) type Client = openidconnect::Client<
    SaidMore,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenResponse,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

#[derive(Debug)]
pub(super) struct Provider {
    issuer: IssuerUrl,
    http: ProviderHttp,
    /// Held while it is asked, so that many who come at once ask once.
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    answers: Option<Arc<Answers>>,
    /// When it last did not answer.
    away_at: Option<Timestamp>,
}

/// The discovery document and the keys.
#[derive(Debug)]
pub(super) struct Answers {
    metadata: CoreProviderMetadata,
    asked_at: Timestamp,
    /// The document; keys may have been asked for since.
    fresh_until: Timestamp,
}

impl Provider {
    pub(super) fn new(issuer: &ProviderUrl, http: ProviderHttp) -> Result<Self, OidcSetUpError> {
        let issuer = IssuerUrl::new(issuer.as_str().to_owned())
            .map_err(|_| OidcSetUpError::Address { key: "issuer" })?;
        Ok(Self { issuer, http, kept: Mutex::default() })
    }

    pub(super) fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    pub(super) fn http(&self) -> &ProviderHttp {
        &self.http
    }

    /// What it says, asked for where it is not known or old. Old is better than nothing while it does not answer.
    pub(super) async fn answers(&self, now: Timestamp) -> Result<Arc<Answers>, OidcError> {
        let mut kept = self.kept.lock().await;
        if let Some(answers) = kept.answers.as_ref().filter(|answers| now < answers.fresh_until) {
            return Ok(Arc::clone(answers));
        }
        let rests = kept.away_at.is_some_and(|at| now < at.after(AWAY_APART));
        if rests {
            return kept.answers.clone().ok_or(OidcError::Discovery("it did not answer a moment ago"));
        }
        match self.ask(now).await {
            Ok(answers) => {
                let answers = Arc::new(answers);
                *kept = Kept { answers: Some(Arc::clone(&answers)), away_at: None };
                Ok(answers)
            }
            Err(error) => {
                kept.away_at = Some(now);
                kept.answers.clone().ok_or(error)
            }
        }
    }

    async fn ask(&self, now: Timestamp) -> Result<Answers, OidcError> {
        let metadata = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await?;
        Ok(Answers { metadata, asked_at: now, fresh_until: now.after(FRESH) })
    }

    /// Keys that are newer than those of `answers`, unless these are new enough.
    pub(super) async fn with_newer_keys(
        &self,
        now: Timestamp,
        answers: Arc<Answers>,
    ) -> Result<Arc<Answers>, OidcError> {
        let mut kept = self.kept.lock().await;
        if let Some(newer) = kept.answers.as_ref().filter(|kept| kept.asked_at > answers.asked_at) {
            return Ok(Arc::clone(newer));
        }
        if now < answers.asked_at.after(KEYS_APART) {
            return Ok(answers);
        }
        let keys = CoreJsonWebKeySet::fetch_async(answers.metadata.jwks_uri(), &self.http).await?;
        let newer = Arc::new(Answers {
            metadata: answers.metadata.clone().set_jwks(keys),
            asked_at: now,
            fresh_until: answers.fresh_until,
        });
        kept.answers = Some(Arc::clone(&newer));
        Ok(newer)
    }

    /// What it says of whom an access token speaks for; `None`: it has nobody who tells.
    pub(super) async fn user_info(
        &self,
        client: &Client,
        token: AccessToken,
        subject: &SubjectIdentifier,
    ) -> Result<Option<Said>, OidcError> {
        // One that is no header value would have the crate panic.
        let sendable = token.secret().bytes().all(|byte| byte.is_ascii_graphic());
        let Some(request) = client.user_info(token, Some(subject.clone())).ok().filter(|_| sendable) else {
            return Ok(None);
        };
        let info: UserInfo = request.request_async(&self.http).await?;
        Ok(Some(Said::of_user_info(&info)))
    }
}

impl Answers {
    pub(super) fn issuer(&self) -> &IssuerUrl {
        self.metadata.issuer()
    }

    pub(super) fn keys(&self) -> &CoreJsonWebKeySet {
        self.metadata.jwks()
    }

    /// What it signs with and we believe: never what anybody could sign who knows the client's secret, and never nothing.
    pub(super) fn algorithms(&self) -> Vec<CoreJwsSigningAlgorithm> {
        use CoreJwsSigningAlgorithm as Signs;
        let strong = |one: &&Signs| {
            matches!(
                one,
                Signs::RsaSsaPkcs1V15Sha256
                    | Signs::RsaSsaPkcs1V15Sha384
                    | Signs::RsaSsaPkcs1V15Sha512
                    | Signs::RsaSsaPssSha256
                    | Signs::RsaSsaPssSha384
                    | Signs::RsaSsaPssSha512
                    | Signs::EcdsaP256Sha256
                    | Signs::EcdsaP384Sha384
                    | Signs::EdDsa
            )
        };
        self.metadata.id_token_signing_alg_values_supported().iter().filter(strong).cloned().collect()
    }

    pub(super) fn client(&self, id: ClientId, secret: Option<ClientSecret>) -> Client {
        let client = Client::from_provider_metadata(self.metadata.clone(), id, secret);
        // Where it says nothing, it is Basic (OpenID Connect Discovery 1.0 §3).
        let methods = self.metadata.token_endpoint_auth_methods_supported();
        let in_the_body = methods.is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        client.set_auth_type(if in_the_body { AuthType::RequestBody } else { AuthType::BasicAuth })
    }
}
