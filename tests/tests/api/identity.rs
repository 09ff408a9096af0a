//! A served API with a provider of identities, and a browser that goes there and comes back.

use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use lockkeeper::config::OidcConfig;
use lockkeeper_tests::identity_provider::IdentityProvider;
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;

use crate::world::{Answer, World, driven};

pub(crate) const PUBLIC: &str = "https://certs.example.com";
pub(crate) const PASSWORD: &str = "a few words do well";

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) provider: IdentityProvider,
    _folder: TempDir,
}

/// On the way: what the provider sends the browser back with, and what the browser kept.
pub(crate) struct Trip {
    pub(crate) path: String,
    pub(crate) cookie: String,
}

impl Stage {
    pub(crate) async fn start(pool: PgPool, change: impl FnOnce(&mut OidcConfig)) -> Self {
        let clock = driven();
        let provider = IdentityProvider::start(clock.clone()).await.expect("a provider");
        let folder = tempfile::tempdir().expect("a folder");
        let section = provider.section(PUBLIC, folder.path()).expect("written");
        let mut config: OidcConfig = toml::from_str(&section).expect("a section");
        change(&mut config);
        let world = World::start_with_provider(pool, clock, &config).await;
        Self { world, provider, _folder: folder }
    }

    pub(crate) async fn get(&self, uri: String, cookie: &str) -> Answer {
        let request = Request::builder().uri(uri).header(COOKIE, cookie);
        self.world.send(request.body(Full::new(Bytes::new())).expect("a request")).await
    }

    pub(crate) async fn page(&self, path: &str, cookie: &str) -> Answer {
        self.get(format!("{}{path}", self.world.base), cookie).await
    }

    /// To the provider and up to our door again.
    pub(crate) async fn travel(&self, to: &str) -> Trip {
        let begun = self.page(&format!("/admin/sign-in/oidc?to={to}"), "").await;
        assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", text(&begun));
        let location = header(&begun, LOCATION);
        assert!(location.starts_with(&format!("{}/authorize?", self.provider.issuer())), "{location}");
        let kept = header(&begun, SET_COOKIE);
        for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/admin/sign-in/oidc;", "Max-Age="] {
            assert!(kept.contains(part), "{kept}");
        }
        let consented = self.get(location, "").await;
        assert_eq!(consented.status, StatusCode::SEE_OTHER, "{}", text(&consented));
        let back = header(&consented, LOCATION);
        let path = back.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{back}")).to_owned();
        Trip { path, cookie: pair(&kept) }
    }

    pub(crate) async fn arrive(&self, trip: &Trip) -> Answer {
        self.page(&trip.path, &trip.cookie).await
    }

    pub(crate) async fn sign_in(&self) -> Answer {
        self.arrive(&self.travel("").await).await
    }

    /// The cookie of whoever gets in.
    pub(crate) async fn enter(&self) -> String {
        let answer = self.sign_in().await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", text(&answer));
        session(&answer).expect("a session")
    }

    /// It is told in words, with the password's form below, and nobody has a session.
    pub(crate) async fn refused(&self, answer: &Answer, status: StatusCode, words: &str) {
        let page = text(answer);
        assert_eq!(answer.status, status, "{page}");
        assert!(page.contains(words), "not {words}: {page}");
        assert!(page.contains("type=\"password\""), "a password works all the same");
        assert!(!page.contains("raw") && !page.contains("<script>") && !page.contains("eyJ"), "{page}");
        assert!(session(answer).is_none());
        assert_eq!(self.world.rows("sessions").await, 0);
    }

    pub(crate) async fn let_in(&self, name: &str, sign_in: &str) -> Value {
        let mut wanted = json!({ "name": name, "role": "operator", "sign_in": sign_in });
        if sign_in != "oidc" {
            wanted["password"] = json!(PASSWORD);
        }
        let answer = self.world.post_json("/v1/users", wanted).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
        answer.json()
    }

    pub(crate) async fn change(&self, user: &Value, change: Value) -> Answer {
        let path = format!("/v1/users/{}", user["id"].as_str().expect("an id"));
        let name = user["name"].as_str().expect("a name").replace('@', "%40");
        let now = self.world.get(&format!("/v1/users?name={name}")).await.json();
        let version = format!("\"{}\"", now["data"][0]["version"]);
        let headers = [("if-match", version.as_str())];
        self.world.json_as(&self.world.operator, Method::PATCH, &path, &headers, Some(change)).await
    }

    pub(crate) async fn users(&self) -> Vec<(String, String, Option<String>, bool)> {
        sqlx::query_as(
            "select users.name, role, slug, follows_groups from users left join tenants using (tenant_id) order by name",
        )
        .fetch_all(&self.world.pool)
        .await
        .expect("users")
    }
}

pub(crate) fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).expect("UTF-8")
}

pub(crate) fn header(answer: &Answer, name: http::HeaderName) -> String {
    answer.headers.get(name).expect("a header").to_str().expect("ASCII").to_owned()
}

pub(crate) fn pair(cookie: &str) -> String {
    cookie.split(';').next().expect("a pair").to_owned()
}

/// The session's cookie, if there is one.
pub(crate) fn session(answer: &Answer) -> Option<String> {
    let cookies = answer.headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.into_iter().find(|cookie| cookie.starts_with("lockkeeper_session=")).map(pair)
}
