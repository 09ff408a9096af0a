//! A served API on a database of its own, and a client that speaks to it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use issuance::ids::{AccountId, TenantId};
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use lockkeeper::api::{ApiState, ThrottleSettings};
use lockkeeper::challenge::address::AddressPolicy;
use lockkeeper::clock::DrivenClock;
use lockkeeper::config::OidcConfig;
use lockkeeper::dashboard;
use lockkeeper::keys::{MasterKey, Sealer};
use lockkeeper::oidc::Oidc;
use lockkeeper::store::viewer::Viewer;
use lockkeeper::store::{Store, api_keys, tenants};
use lockkeeper::webhooks::Receivers;
use serde_json::Value;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const HEADER: &str = "tenant,external_id,names,challenge,labels\n";
pub(crate) const START: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);

/// Failed sign-ins of an address that are heard in a minute, where there is a provider of identities.
pub(crate) const FAILURES_HEARD: u32 = 30;

/// The account that all orders are placed with.
pub(crate) const ACCOUNT: AccountId = AccountId(Uuid::from_u128(7));

/// Of a master key that is the same in all tests.
pub(crate) fn sealer() -> Arc<Sealer> {
    Arc::new(Sealer::new(&MasterKey::from_bytes(&[7; 32])))
}

pub(crate) fn driven() -> Arc<DrivenClock> {
    Arc::new(DrivenClock::starting_at(START))
}

pub(crate) struct World {
    pub(crate) pool: PgPool,
    pub(crate) store: Store,
    pub(crate) clock: Arc<DrivenClock>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) operator: String,
    pub(crate) base: String,
    /// Ends what is followed.
    pub(crate) stop: CancellationToken,
    client: Client<HttpConnector, Full<Bytes>>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn content_type(&self) -> &str {
        self.headers.get("content-type").map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The problem's code, after checking the shape every problem has.
    pub(crate) fn problem(&self) -> String {
        let document = self.json();
        assert_eq!(self.content_type(), "application/problem+json", "{document}");
        assert_eq!(document["status"], self.status.as_u16(), "{document}");
        let code = document["code"].as_str().expect("a code");
        assert!(document["type"].as_str().expect("a type").ends_with(code), "{document}");
        assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{document}");
        assert!(document["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{document}");
        let header = self.headers.get("x-request-id").expect("every answer has its id");
        assert_eq!(document["request_id"], header.to_str().expect("ASCII"), "{document}");
        code.to_owned()
    }
}

impl World {
    pub(crate) async fn start(pool: PgPool) -> Self {
        let account = insert_account(&pool).await;
        let store = Store::from_pool(pool.clone());
        let operator = api_keys::create(&store, START, Viewer::Operator, "test").await.expect("a token");
        Self::serve(pool, store, account, operator.reveal().to_owned()).await
    }

    pub(crate) async fn serve(pool: PgPool, store: Store, account: AccountId, operator: String) -> Self {
        Self::serve_otherwise(pool, store, account, operator, driven(), |state| (state, None)).await
    }

    /// Like [`Self::start`], with something else in its state.
    pub(crate) async fn start_otherwise(pool: PgPool, change: impl FnOnce(ApiState) -> ApiState) -> Self {
        let account = insert_account(&pool).await;
        let store = Store::from_pool(pool.clone());
        let operator = api_keys::create(&store, START, Viewer::Operator, "test").await.expect("a token");
        let change = |state| (change(state), None);
        Self::serve_otherwise(pool, store, account, operator.reveal().to_owned(), driven(), change).await
    }

    /// Like [`Self::start`], with a provider of identities.
    pub(crate) async fn start_with_provider(
        pool: PgPool,
        clock: Arc<DrivenClock>,
        config: &OidcConfig,
    ) -> Self {
        let account = insert_account(&pool).await;
        let store = Store::from_pool(pool.clone());
        let operator = api_keys::create(&store, START, Viewer::Operator, "test").await.expect("a token");
        let oidc = Oidc::new(config, sealer()).expect("usable").map(Arc::new);
        let change = |mut state: ApiState| {
            state.sign_in.provider = oidc.is_some();
            state.sign_in.keep_password_owner = config.keep_password_owner;
            let settings = ThrottleSettings {
                failed_authentications: NonZeroU32::new(FAILURES_HEARD),
                ..ThrottleSettings::default()
            };
            (state.with_throttle(settings), oidc)
        };
        Self::serve_otherwise(pool, store, account, operator.reveal().to_owned(), clock, change).await
    }

    async fn serve_otherwise(
        pool: PgPool,
        store: Store,
        account: AccountId,
        operator: String,
        clock: Arc<DrivenClock>,
        change: impl FnOnce(ApiState) -> (ApiState, Option<Arc<Oidc>>),
    ) -> Self {
        let wake = Arc::new(Notify::new());
        let mut state =
            ApiState::new(store.clone(), clock.clone(), Arc::new(profile()), account, wake.clone(), sealer());
        state.receivers = Receivers::new(Arc::new(loopback()));
        let (state, oidc) = change(state);
        let stop = state.stop.clone();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let service = dashboard::beside_api(state, oidc).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { pool, store, clock, wake, operator, base, stop, client }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let response = self.client.request(request).await.expect("the API answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn request(&self, method: Method, path: &str, token: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {token}"))
    }

    /// A request with a JSON document, or with none.
    pub(crate) async fn json_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        document: Option<Value>,
    ) -> Answer {
        let mut request = self.request(method, path, token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut body = Bytes::new();
        if let Some(document) = document {
            request = request.header("content-type", "application/json");
            body = document.to_string().into();
        }
        self.send(request.body(Full::from(body)).expect("a request")).await
    }

    pub(crate) async fn post_json(&self, path: &str, document: Value) -> Answer {
        self.json_as(&self.operator, Method::POST, path, &[], Some(document)).await
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Answer {
        let request = self.request(Method::GET, path, token).body(Full::default()).expect("a request");
        self.send(request).await
    }

    /// Sends a JSON document.
    pub(crate) async fn send_json(&self, method: Method, path: &str, token: &str, body: &Value) -> Answer {
        let request = self.request(method, path, token).header("content-type", "application/json");
        self.send(request.body(Full::from(Bytes::from(body.to_string()))).expect("a request")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_as(&self.operator, path).await
    }

    pub(crate) async fn import_as(&self, token: &str, rows: impl AsRef<[u8]>) -> Answer {
        self.import_into_lane(token, "bulk", rows).await
    }

    pub(crate) async fn import_into_lane(&self, token: &str, lane: &str, rows: impl AsRef<[u8]>) -> Answer {
        let file = [HEADER.as_bytes(), rows.as_ref()].concat();
        let path = format!("/v1/imports?lane={lane}");
        let request = self
            .request(Method::POST, &path, token)
            .header("content-type", "text/csv; charset=utf-8")
            .body(Full::from(file))
            .expect("a request");
        self.send(request).await
    }

    pub(crate) async fn import(&self, rows: impl AsRef<[u8]>) -> Answer {
        self.import_as(&self.operator, rows).await
    }

    pub(crate) async fn token_of(&self, slug: &str) -> String {
        let tenant = self.tenant(slug).await;
        let token =
            api_keys::create(&self.store, START, Viewer::Tenant(tenant), slug).await.expect("a token");
        token.reveal().to_owned()
    }

    pub(crate) async fn tenant(&self, slug: &str) -> TenantId {
        tenants::find(&self.store, slug).await.expect("the database").expect("the tenant exists")
    }

    /// Rows of a table.
    pub(crate) async fn rows(&self, table: &str) -> i64 {
        let statement = format!("select count(*) from {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&self.pool).await.expect("a count")
    }

    pub(crate) async fn execute(&self, statements: &'static str) {
        sqlx::raw_sql(statements).execute(&self.pool).await.expect("statements of a test");
    }
}

/// What webhooks may be sent to in tests.
pub(crate) fn loopback() -> AddressPolicy {
    AddressPolicy { allowed: vec!["127.0.0.0/8".parse().expect("a block")], expected: Vec::new() }
}

pub(crate) fn profile() -> CaProfile {
    let text = include_str!("../../../deploy/ca-profiles/letsencrypt.toml");
    toml::from_str(text).expect("the profile parses")
}

pub(crate) async fn insert_account(pool: &PgPool) -> AccountId {
    let account = ACCOUNT;
    sqlx::query(
        "insert into accounts
             (account_id, ca, directory_url, key_sealed, key_thumbprint, pending_authorizations_max,
              recovery_reserve, created_at)
         values ($1, 'letsencrypt', 'https://ca.test/directory', '', 'x', 300, 100, '2026-11-21')",
    )
    .bind(account.0)
    .execute(pool)
    .await
    .expect("an account");
    account
}

/// The given numbers of an import's answer.
pub(crate) fn counts(report: &Value) -> [u64; 6] {
    ["rows_total", "rows_created", "rows_changed", "rows_unchanged", "rows_refused", "orders_created"]
        .map(|name| report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}")))
}

/// Rows of a file.
pub(crate) fn lines(rows: impl Iterator<Item = String>) -> String {
    rows.collect::<Vec<_>>().concat()
}
