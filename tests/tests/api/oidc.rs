//! Signing in at a provider of identities: what is believed, once, and what is not.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use lockkeeper::config::OidcConfig;
use lockkeeper::oidc::Oidc;
use lockkeeper_tests::identity_provider::{CLIENT, IdentityProvider, SECRET, Signs};
use serde_json::{Value, json};
use sqlx::PgPool;
use tracing_subscriber::fmt::MakeWriter;

use crate::identity::{PASSWORD, Stage, Trip, header, session, text};
use crate::world::{START, driven, sealer};

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn whoever_the_provider_vouches_for_has_a_session_like_any_other(pool: PgPool) {
    let stage = Stage::start(pool, |_| {}).await;
    stage.let_in("Ada@example.com", "oidc").await;
    let page = text(&stage.page("/admin/sign-in?to=%2Fadmin%2Fqueue", "").await);
    assert!(page.contains("href=\"/admin/sign-in/oidc?to=%2Fadmin%2Fqueue\""), "{page}");
    let trip = stage.travel("%2Fadmin%2Fqueue").await;
    let answer = stage.arrive(&trip).await;
    assert_eq!((answer.status, header(&answer, LOCATION).as_str()), (StatusCode::SEE_OTHER, "/admin/queue"));
    let cookies: Vec<_> = answer.headers.get_all(SET_COOKIE).iter().collect();
    assert!(cookies.iter().any(|cookie| {
        let cookie = cookie.to_str().expect("ASCII");
        cookie.starts_with("lockkeeper_sign_in=;") && cookie.contains("Max-Age=0")
    }));
    let cookie = session(&answer).expect("a session");
    let kept = lockkeeper_tests::sha256(cookie.split_once('=').expect("a pair").1.as_bytes());
    let row: (String, String) = sqlx::query_as(
        "select signed_in_by, name from sessions join users using (user_id) where sha256 = $1",
    )
    .bind(kept.as_slice())
    .fetch_one(&stage.world.pool)
    .await
    .expect("the row of the cookie");
    assert_eq!(row, ("oidc".to_owned(), "Ada@example.com".to_owned()));
    assert_eq!(stage.page("/admin/queue", &cookie).await.status, StatusCode::OK);
    let told: (Value, String) =
        sqlx::query_as("select data, actor_name from events where kind = 'user.signed_in'")
            .fetch_one(&stage.world.pool)
            .await
            .expect("the audit");
    assert_eq!((told.0["by"].as_str(), told.1.as_str()), (Some("oidc"), "Ada@example.com"));

    // Signed out here, and RSA is as good as ECDSA.
    let page = text(&stage.page("/admin", &cookie).await);
    let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form");
    let form = format!("csrf={}", rest.split_once('"').expect("a value").0);
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/admin/sign-out", stage.world.base))
        .header(COOKIE, &cookie);
    stage.world.send(request.body(Full::new(Bytes::from(form))).expect("a request")).await;
    assert_eq!(stage.world.rows("sessions").await, 0);
    stage.provider.set(|says| says.signs = Signs::OwnRsa);
    stage.enter().await;
    let asked = ["discovery", "jwks", "token"].map(|what| stage.provider.asked(what));
    assert_eq!(asked, [1, 1, 2], "what the provider says of itself is kept");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_token_that_lies_opens_nothing(pool: PgPool) {
    let stage = Stage::start(pool, |_| {}).await;
    stage.let_in("ada@example.com", "oidc").await;
    let now = START.unix_seconds();
    let ada = json!({ "sub": "u-1", "email": "ada@example.com", "email_verified": true });
    let unbelieved = (StatusCode::UNAUTHORIZED, "cannot be believed");
    let untimely = (StatusCode::UNAUTHORIZED, "of another time");
    let lies = [
        (json!({ "nonce": "another" }), unbelieved),
        (json!({ "nonce": null }), unbelieved),
        (json!({ "aud": "somebody-else" }), unbelieved),
        (json!({ "aud": [CLIENT, "somebody-else"] }), unbelieved),
        (json!({ "azp": "somebody-else" }), unbelieved),
        (json!({ "iss": "https://elsewhere.test" }), unbelieved),
        (json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }), unbelieved),
        (json!({ "exp": now - 61 }), untimely),
        (json!({ "iat": now + 120, "exp": now + 600 }), untimely),
        (json!({ "email_verified": false }), (StatusCode::FORBIDDEN, "not verified")),
        (json!({ "email": null }), (StatusCode::FORBIDDEN, "does not say your email")),
        (json!({ "email": "ada@example.com\nroot" }), (StatusCode::FORBIDDEN, "does not say your email")),
    ];
    for (lie, (status, words)) in lies {
        stage.provider.set(|says| {
            says.claims = ada.clone();
            says.claims.as_object_mut().expect("claims").extend(lie.as_object().expect("claims").clone());
        });
        let answer = stage.sign_in().await;
        stage.refused(&answer, status, words).await;
    }
    stage.provider.set(|says| says.claims = ada);
    for signs in [Signs::Stranger, Signs::Nothing] {
        stage.provider.set(|says| says.signs = signs);
        let answer = stage.sign_in().await;
        stage.refused(&answer, unbelieved.0, unbelieved.1).await;
    }
    stage.provider.set(|says| says.signs = Signs::Own);
    stage.enter().await;
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_answer_fits_one_sign_in_of_one_browser_and_once(pool: PgPool) {
    let stage = Stage::start(pool, |_| {}).await;
    stage.let_in("ada@example.com", "oidc").await;
    let (bad, stranger) = (StatusCode::BAD_REQUEST, "belongs to no sign-in of this browser");
    let (mine, other) = (stage.travel("").await, stage.travel("").await);
    for (path, cookie) in [
        (mine.path.clone(), String::new()),
        (mine.path.clone(), "lockkeeper_sign_in=AAAA".to_owned()),
        (mine.path.clone(), other.cookie.clone()),
        (format!("{}x", mine.path), mine.cookie.clone()),
        ("/admin/sign-in/oidc/callback".to_owned(), mine.cookie.clone()),
        ("/admin/sign-in/oidc/callback?state=a&state=b".to_owned(), mine.cookie.clone()),
    ] {
        let answer = stage.arrive(&Trip { path, cookie }).await;
        stage.refused(&answer, bad, stranger).await;
    }
    let mixed = format!("{}&iss=https%3A%2F%2Felsewhere.test", mine.path);
    let answer = stage.page(&mixed, &mine.cookie).await;
    stage.refused(&answer, StatusCode::UNAUTHORIZED, "cannot be believed").await;
    assert_eq!(stage.provider.asked("token"), 0, "no code was redeemed");

    let entered = stage.arrive(&mine).await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER, "{}", text(&entered));
    let again = stage.arrive(&mine).await;
    assert_eq!(again.status, bad);
    assert!(text(&again).contains("has been used already") && session(&again).is_none());
    assert_eq!(stage.provider.asked("token"), 1, "the code was redeemed once");
    sqlx::query("delete from sessions").execute(&stage.world.pool).await.expect("signed out");

    stage.world.clock.advance(Duration::from_mins(11));
    let answer = stage.arrive(&other).await;
    stage.refused(&answer, bad, "longer than ten minutes").await;
    for (word, status, words) in [
        ("access_denied", StatusCode::FORBIDDEN, "has not let you in"),
        ("%3Cscript%3Eraw", StatusCode::FORBIDDEN, "has not let you in"),
        ("invalid_scope", StatusCode::BAD_GATEWAY, "do not understand each other"),
    ] {
        stage.provider.set(|says| says.denies = Some(word));
        let answer = stage.sign_in().await;
        stage.refused(&answer, status, words).await;
    }
    stage.provider.set(|says| says.denies = None);
    stage.enter().await;
    let noted = stage.world.rows("oidc_returns").await;
    assert_eq!(noted, 1, "what cannot come back is forgotten, and what was refused was never noted");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_a_token_does_not_say_is_asked_for(pool: PgPool) {
    let stage = Stage::start(pool, |_| {}).await;
    stage.let_in("ada@example.com", "oidc").await;
    stage.provider.set(|says| {
        says.claims = json!({ "sub": "u-1" });
        says.user_info = json!({ "sub": "u-1", "email": "ada@example.com", "email_verified": "true" });
    });
    stage.enter().await;
    sqlx::query("delete from sessions").execute(&stage.world.pool).await.expect("signed out");
    stage.provider.set(|says| says.user_info["sub"] = json!("u-2"));
    let answer = stage.sign_in().await;
    stage.refused(&answer, StatusCode::UNAUTHORIZED, "cannot be believed").await;
    assert_eq!(stage.provider.asked("userinfo"), 2);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn nobody_is_sent_elsewhere_with_our_name_on_it(pool: PgPool) {
    let stage = Stage::start(pool, |_| {}).await;
    stage.let_in("ada@example.com", "oidc").await;
    for to in [
        "https%3A%2F%2Fevil.test",
        "%2F%2Fevil.test",
        "%2F%5Cevil.test",
        "%2Fv1%2Fsummary",
        "%2Fadmin%2F%0D%0Ax",
    ] {
        let answer = stage.arrive(&stage.travel(to).await).await;
        assert_eq!(header(&answer, LOCATION), "/admin", "{to}");
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn while_the_provider_is_away_a_password_works(pool: PgPool) {
    let stage = Stage::start(pool, |_| {}).await;
    stage.let_in("ada@example.com", "both").await;
    stage.provider.set(|says| says.away = Some(StatusCode::SERVICE_UNAVAILABLE));
    for _ in 0..3 {
        let answer = stage.page("/admin/sign-in/oidc?to=%2Fadmin%2Fqueue", "").await;
        stage.refused(&answer, StatusCode::SERVICE_UNAVAILABLE, "does not answer as it should").await;
        assert!(text(&answer).contains("value=\"/admin/queue\""), "the way is kept");
    }
    assert_eq!(stage.provider.asked("discovery"), 1, "one that is away is left alone for a moment");
    let form = format!("name=ada%40example.com&password={}", PASSWORD.replace(' ', "+"));
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/admin/sign-in", stage.world.base))
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = stage.world.send(request.body(Full::new(Bytes::from(form))).expect("a request")).await;
    assert!(session(&answer).is_some(), "{}", text(&answer));
    sqlx::query("delete from sessions").execute(&stage.world.pool).await.expect("signed out");

    stage.provider.set(|says| says.away = None);
    stage.world.clock.advance(Duration::from_secs(6));
    let trip = stage.travel("").await;
    stage.provider.set(|says| says.away = Some(StatusCode::BAD_GATEWAY));
    let answer = stage.arrive(&trip).await;
    stage.refused(&answer, StatusCode::SERVICE_UNAVAILABLE, "does not answer as it should").await;
    stage.provider.set(|says| says.away = None);
    stage.enter().await;
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn keys_that_are_changed_are_learnt_and_forged_ones_ask_nobody(pool: PgPool) {
    let stage = Stage::start(pool, |_| {}).await;
    stage.let_in("ada@example.com", "oidc").await;
    stage.enter().await;
    sqlx::query("delete from sessions").execute(&stage.world.pool).await.expect("signed out");
    stage.provider.set(|says| says.signs = Signs::Newer);
    let answer = stage.sign_in().await;
    stage.refused(&answer, StatusCode::UNAUTHORIZED, "cannot be believed").await;
    assert_eq!(stage.provider.asked("jwks"), 1, "it was asked a moment ago");
    stage.world.clock.advance(Duration::from_secs(31));
    stage.enter().await;
    assert_eq!((stage.provider.asked("jwks"), stage.provider.asked("discovery")), (2, 1));
    stage.world.clock.advance(Duration::from_mins(61));
    stage.enter().await;
    assert_eq!(
        (stage.provider.asked("jwks"), stage.provider.asked("discovery")),
        (3, 2),
        "and all of it each hour"
    );
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn whoever_keeps_coming_back_with_nothing_is_not_heard(pool: PgPool) {
    let stage = Stage::start(pool, |_| {}).await;
    stage.let_in("ada@example.com", "oidc").await;
    let trip = stage.travel("").await;
    let mut statuses = Vec::new();
    for _ in 0..crate::world::FAILURES_HEARD + 2 {
        let forged =
            Trip { path: "/admin/sign-in/oidc/callback?state=a&code=b".into(), cookie: String::new() };
        statuses.push(stage.arrive(&forged).await.status);
    }
    assert_eq!(statuses[0], StatusCode::BAD_REQUEST);
    assert_eq!(statuses.last(), Some(&StatusCode::TOO_MANY_REQUESTS), "{statuses:?}");
    assert_eq!(stage.arrive(&trip).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(stage.provider.asked("token"), 0);
    assert_eq!(stage.page("/admin/sign-in/oidc", "").await.status, StatusCode::TOO_MANY_REQUESTS);
}

/// All that is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn no_code_no_token_and_no_secret_is_logged(pool: PgPool) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("lockkeeper=trace")
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // The service of this test runs on this thread.
    let _guard = tracing::subscriber::set_default(subscriber);
    let stage = Stage::start(pool, |_| {}).await;
    stage.let_in("ada@example.com", "oidc").await;
    let trip = stage.travel("").await;
    assert_eq!(stage.arrive(&trip).await.status, StatusCode::SEE_OTHER);
    stage.arrive(&trip).await;
    stage.provider.set(|says| says.claims["aud"] = json!("somebody-else"));
    stage.sign_in().await;
    stage.provider.set(|says| says.denies = Some("access_denied"));
    stage.sign_in().await;
    let bytes = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let log = String::from_utf8(bytes).expect("UTF-8");
    for event in ["user.signed_in", "user.oidc_refused", "user.oidc_token_refused"] {
        assert!(log.contains(event), "{log}");
    }
    let query = trip.path.split_once('?').expect("a query").1;
    let parts = query.split('&').filter_map(|part| part.split_once('=')).map(|(_, value)| value);
    for secret in
        parts.chain([SECRET, "acc3ss", "eyJ", "c0de-", "somebody-else", trip.cookie.as_str(), "raw"])
    {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[tokio::test]
async fn a_provider_is_examined_without_anybody_signing_in() {
    let provider = IdentityProvider::start(driven()).await.expect("a provider");
    let folder = tempfile::tempdir().expect("a folder");
    let section = provider.section("https://certs.example.com", folder.path()).expect("written");
    let probe = async |section: &str| {
        let config: OidcConfig = toml::from_str(section).expect("a section");
        let oidc = Oidc::new(&config, sealer()).expect("usable").expect("configured");
        oidc.probe(START).await.map_err(|error| error.word())
    };
    assert_eq!(probe(&section).await, Ok(()));
    let slash = section.replace(provider.issuer(), &format!("{}/", provider.issuer()));
    assert_eq!(probe(&slash).await, Err("discovery"), "it calls itself by another name");
    provider.set(|says| says.away = Some(StatusCode::NOT_FOUND));
    assert_eq!(probe(&section).await, Err("discovery"), "it has no document there");
    drop(provider);
    assert_eq!(probe(&section).await, Err("away"));
    let unreadable = section.replace("client-secret", "no-such-file");
    let config: OidcConfig = toml::from_str(&unreadable).expect("a section");
    let error = Oidc::new(&config, sealer()).expect_err("no secret").to_string();
    assert!(error.contains("[oidc] client_secret_file") && error.contains("no-such-file"), "{error}");
}
