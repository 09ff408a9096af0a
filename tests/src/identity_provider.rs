//! A provider of identities: a real HTTP server that does OpenID Connect with the code flow, strict about what it is asked,
//! and that says and signs whatever a test has it say.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use axum::extract::{Query, State};
use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use issuance::time::Clock;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

pub const CLIENT: &str = "lockkeeper";
pub const SECRET: &str = "s3cret of the client";
const TOKEN_LIFE: Duration = Duration::from_mins(5);

/// What a token is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signs {
    /// ES256, and RS256.
    Own,
    OwnRsa,
    /// A key that nobody has published, under the id of one that is.
    Stranger,
    /// A key that is published from now on, in place of the first.
    Newer,
    /// Nothing at all.
    Nothing,
}

/// What it does until it is told otherwise.
#[derive(Debug, Clone)]
pub struct Says {
    /// Of whoever comes: laid over what a token says by itself, so that a test can have it lie.
    pub claims: Value,
    /// What it tells of the same one at `/userinfo`; `null`: nothing.
    pub user_info: Value,
    pub signs: Signs,
    /// It lets nobody in, and calls that so.
    pub denies: Option<&'static str>,
    /// Where browsers find the service in truth, as if a proxy stood at the address that it was told.
    pub sends_to: Option<String>,
    /// In place of every answer to the service.
    pub away: Option<StatusCode>,
}

#[derive(Debug)]
struct Consent {
    challenge: String,
    nonce: String,
    redirect: String,
}

struct Books {
    base: String,
    clock: Arc<dyn Clock>,
    keys: HashMap<&'static str, Key>,
    says: Mutex<Says>,
    /// By code.
    consents: Mutex<HashMap<String, Consent>>,
    asked: Mutex<HashMap<&'static str, u32>>,
}

enum Key {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// Ends when it is dropped.
pub struct IdentityProvider {
    pub address: SocketAddr,
    books: Arc<Books>,
    server: JoinHandle<()>,
}

impl IdentityProvider {
    pub async fn start(clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let ec = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Key::Ec);
        let unmade = |_| anyhow::anyhow!("no key");
        let keys = HashMap::from([
            ("own", ec().map_err(unmade)?),
            ("own-rsa", Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(unmade)?)),
            ("stranger", ec().map_err(unmade)?),
            ("newer", ec().map_err(unmade)?),
        ]);
        let says = Says {
            claims: json!({ "sub": "u-1", "email": "ada@example.com", "email_verified": true }),
            user_info: Value::Null,
            signs: Signs::Own,
            denies: None,
            sends_to: None,
            away: None,
        };
        let books = Arc::new(Books {
            base: format!("http://{address}"),
            clock,
            keys,
            says: Mutex::new(says),
            consents: Mutex::default(),
            asked: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .with_state(Arc::clone(&books));
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { address, books, server })
    }

    pub fn issuer(&self) -> &str {
        &self.books.base
    }

    /// Has it say something else from now on.
    pub fn set(&self, change: impl FnOnce(&mut Says)) {
        change(&mut lock(&self.books.says));
    }

    /// How often it was asked so.
    pub fn asked(&self, what: &str) -> u32 {
        lock(&self.books.asked).get(what).copied().unwrap_or_default()
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What it says now, unless it is away.
fn answering(books: &Books, what: &'static str) -> Result<Says, Box<Response>> {
    *lock(&books.asked).entry(what).or_default() += 1;
    let says = lock(&books.says).clone();
    match says.away {
        Some(status) => Err(Box::new((status, "<html>raw text of the provider</html>").into_response())),
        None => Ok(says),
    }
}

async fn discovery(State(books): State<Arc<Books>>) -> Response {
    let says = match answering(&books, "discovery") {
        Ok(says) => says,
        Err(away) => return *away,
    };
    let base = &books.base;
    let mut document = json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "RS256", "HS256", "none"],
    });
    if !says.user_info.is_null() {
        document["userinfo_endpoint"] = json!(format!("{base}/userinfo"));
    }
    Json(document).into_response()
}

async fn jwks(State(books): State<Arc<Books>>) -> Response {
    let says = match answering(&books, "jwks") {
        Ok(says) => says,
        Err(away) => return *away,
    };
    let ec = if says.signs == Signs::Newer { "newer" } else { "own" };
    let keys: Vec<Value> = [ec, "own-rsa"].iter().filter_map(|id| public(id, &books.keys[id]).ok()).collect();
    Json(json!({ "keys": keys })).into_response()
}

fn public(id: &str, key: &Key) -> anyhow::Result<Value> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match key {
        Key::Ec(pair) => {
            // 4, and two coordinates of 32 bytes.
            let point = pair.public_key().as_ref();
            let (x, y) = (text(&point[1..33]), text(&point[33..]));
            Ok(
                json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y }),
            )
        }
        Key::Rsa(pair) => {
            let der: PublicKeyX509Der<'_> =
                pair.public_key().as_der().map_err(|_| anyhow::anyhow!("no DER"))?;
            let (_, info) = SubjectPublicKeyInfo::from_der(der.as_ref()).context("no key")?;
            let PublicKey::RSA(rsa) = info.parsed().context("no key")? else { anyhow::bail!("not RSA") };
            let modulus = text(rsa.modulus.strip_prefix(&[0]).unwrap_or(rsa.modulus));
            let exponent = text(rsa.exponent);
            Ok(json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": modulus, "e": exponent }))
        }
    }
}

/// Whoever comes has consented: back with a code.
async fn authorize(
    State(books): State<Arc<Books>>,
    Query(asked): Query<HashMap<String, String>>,
) -> Response {
    let Says { denies, sends_to, .. } = lock(&books.says).clone();
    let of = |key: &str| asked.get(key).cloned().unwrap_or_default();
    let redirect = of("redirect_uri");
    let answer = if let Some(word) = denies {
        format!("error={word}&error_description=%3Cscript%3Eraw%3C%2Fscript%3E")
    } else {
        let right = of("response_type") == "code"
            && of("client_id") == CLIENT
            && of("code_challenge_method") == "S256"
            && of("scope").split(' ').any(|scope| scope == "openid")
            && [of("nonce"), of("state"), of("code_challenge")].iter().all(|text| text.len() >= 40);
        if !right {
            return (StatusCode::BAD_REQUEST, format!("{asked:?}")).into_response();
        }
        let code = format!("c0de-{}", of("state").chars().rev().take(20).collect::<String>());
        let consent =
            Consent { challenge: of("code_challenge"), nonce: of("nonce"), redirect: redirect.clone() };
        lock(&books.consents).insert(code.clone(), consent);
        format!("code={code}")
    };
    let back = match (sends_to, redirect.parse::<Uri>()) {
        (Some(base), Ok(redirect)) => format!("{base}{}", redirect.path()),
        _ => redirect,
    };
    let to = format!("{back}?{answer}&state={}", of("state"));
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

async fn token(State(books): State<Arc<Books>>, headers: HeaderMap, body: String) -> Response {
    // A form has the shape of a query.
    let form: Option<Uri> = format!("/?{body}").parse().ok();
    let form = form.and_then(|form| Query::<HashMap<String, String>>::try_from_uri(&form).ok());
    let Some(Query(asked)) = form else { return StatusCode::BAD_REQUEST.into_response() };
    let says = match answering(&books, "token") {
        Ok(says) => says,
        Err(away) => return *away,
    };
    let of = |key: &str| asked.get(key).map(String::as_str).unwrap_or_default();
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    if !knows_the_secret(&headers) {
        return refused("invalid_client");
    }
    // A code is good for once.
    let Some(consent) = lock(&books.consents).remove(of("code")) else { return refused("invalid_grant") };
    let challenge = URL_SAFE_NO_PAD.encode(crate::sha256(of("code_verifier").as_bytes()));
    if challenge != consent.challenge
        || of("redirect_uri") != consent.redirect
        || of("grant_type") != "authorization_code"
    {
        return refused("invalid_grant");
    }
    let now = books.clock.now();
    let mut claims = json!({
        "iss": books.base,
        "aud": CLIENT,
        "nonce": consent.nonce,
        "iat": now.unix_seconds(),
        "exp": now.after(TOKEN_LIFE).unix_seconds(),
    });
    if let (Some(claims), Some(more)) = (claims.as_object_mut(), says.claims.as_object()) {
        claims.extend(more.clone());
    }
    match signed(&books, says.signs, &claims) {
        Ok(id_token) => Json(json!({
            "access_token": "acc3ss", "token_type": "Bearer", "expires_in": 300, "id_token": id_token
        }))
        .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Basic, each part encoded as in a form (RFC 6749 §2.3.1).
fn knows_the_secret(headers: &HeaderMap) -> bool {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let told = header.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    told == format!("{CLIENT}:{}", SECRET.replace(' ', "+")).as_bytes()
}

fn signed(books: &Books, signs: Signs, claims: &Value) -> anyhow::Result<String> {
    let (kid, key, algorithm) = match signs {
        Signs::Own => ("own", "own", "ES256"),
        Signs::OwnRsa => ("own-rsa", "own-rsa", "RS256"),
        Signs::Stranger => ("own", "stranger", "ES256"),
        Signs::Newer => ("newer", "newer", "ES256"),
        Signs::Nothing => ("own", "own", "none"),
    };
    let header = json!({ "alg": algorithm, "kid": kid, "typ": "JWT" });
    let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", text(&header), text(claims));
    if signs == Signs::Nothing {
        return Ok(format!("{input}."));
    }
    let random = SystemRandom::new();
    let signature = match &books.keys[key] {
        Key::Ec(pair) => pair.sign(&random, input.as_bytes()).ok().map(|made| made.as_ref().to_vec()),
        Key::Rsa(pair) => {
            let mut made = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut made).ok().map(|()| made)
        }
    };
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.context("not signed")?)))
}

async fn user_info(State(books): State<Arc<Books>>, headers: HeaderMap) -> Response {
    let says = match answering(&books, "userinfo") {
        Ok(says) => says,
        Err(away) => return *away,
    };
    if headers.get(AUTHORIZATION).is_none_or(|header| header != "Bearer acc3ss") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Json(says.user_info).into_response()
}

/// The section of a service that has it sign people in, and the file with its secret in `folder`.
impl IdentityProvider {
    pub fn section(&self, public_url: &str, folder: &std::path::Path) -> anyhow::Result<String> {
        let secret = folder.join("client-secret");
        std::fs::write(&secret, format!("{SECRET}\n"))?;
        ensure!(secret.is_absolute(), "a folder by its whole path");
        Ok(format!(
            "issuer = {:?}\nclient_id = {CLIENT:?}\nclient_secret_file = '{}'\npublic_url = {public_url:?}\n",
            self.issuer(),
            secret.display()
        ))
    }
}

impl std::fmt::Debug for IdentityProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityProvider").field("address", &self.address).finish_non_exhaustive()
    }
}
