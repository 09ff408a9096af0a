//! Requests that change something, sent again and again with the same `Idempotency-Key` while the process is killed:
//! each has exactly one effect, and one answer.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lockkeeper::cli::api_client::operator_token;
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{Plan, World, pairs};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout};

const NAME: &str = "one";
const WITHIN: Duration = Duration::from_mins(1);
/// What is sent while the process is killed at moments that nobody chose.
const REQUESTS: usize = 30;
const KILLS: u32 = 4;

/// One request by its name. `{}` in the path is the last address that an answer named.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    method: &'static str,
    path: &'static str,
    body: &'static str,
    /// What is told of it.
    kind: &'static str,
}

impl Named {
    fn new(method: &'static str, path: &'static str, body: &'static str, kind: &'static str) -> Self {
        Self { name: format!("{method} {path}"), method, path, body, kind }
    }
}

/// One of each kind of write.
fn writes() -> Vec<Named> {
    let wanted =
        r#"{"limit":"new_orders_per_account","burst":600,"period_seconds":10800,"note":"granted by mail"}"#;
    vec![
        Named::new("POST", "/v1/limit-overrides", wanted, "limit_override.entered"),
        Named::new("DELETE", "{}", "", "limit_override.removed"),
        Named::new("POST", "/v1/limit-overrides/search", "{}", "account.search"),
        Named::new("DELETE", "/v1/limit-overrides/search", "", "account.search"),
        Named::new("PUT", "/v1/checks/dns/standing", r#"{"standing":"advice"}"#, "check.standing_changed"),
        Named::new("POST", "/v1/tenants", r#"{"slug":"acme"}"#, "tenant.created"),
        Named::new("POST", "/v1/api-keys", r#"{"name":"panel","tenant":"acme"}"#, "api_key.created"),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    status: u16,
    location: Option<String>,
    body: Bytes,
    replayed: bool,
}

struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    token: String,
}

impl Sender {
    fn new(world: &World) -> anyhow::Result<Self> {
        let config = world.config_file(NAME);
        let data = config.parent().context("a folder")?.join("data");
        let token = operator_token(&data)?.reveal().to_owned();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http(),
            token,
        })
    }

    /// `None`: nobody answered, so nobody knows whether it was carried out.
    async fn send(&self, api: SocketAddr, named: &Named, path: &str) -> anyhow::Result<Option<Given>> {
        let request = Request::builder()
            .method(named.method)
            .uri(format!("http://{api}{path}"))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("idempotency-key", &named.name)
            .body(Full::from(Bytes::from(named.body)))?;
        let answered = async {
            let answer = self.client.request(request).await.ok()?;
            let (head, body) = answer.into_parts();
            Some((head, body.collect().await.ok()?.to_bytes()))
        };
        let Some((head, body)) = timeout(WITHIN, answered).await? else { return Ok(None) };
        let text = |name| head.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        Ok(Some(Given {
            status: head.status.as_u16(),
            location: text("location").map(str::to_owned),
            replayed: text("idempotency-replayed") == Some("true"),
            body,
        }))
    }
}

async fn told(pool: &PgPool, kind: &str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from events where kind = $1").bind(kind).fetch_one(pool).await?)
}

async fn world() -> anyhow::Result<(World, PgPool)> {
    let settings = Settings { roles: &["api", "worker"], ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(pairs("killed", 1)) }).await?;
    let pool = PgPool::connect(&world.database_url).await?;
    Ok((world, pool))
}

/// Killed before and after the commit of each write.
#[tokio::test]
async fn whenever_the_process_dies_around_its_commit_each_write_happens_once() -> anyhow::Result<()> {
    let (world, pool) = world().await?;
    let mut service = world.process(NAME).await?;
    let sender = Sender::new(&world)?;
    let mut location = String::new();
    for named in writes() {
        let before = told(&pool, named.kind).await?;
        let path = named.path.replace("{}", &location);
        let mut deaths = Vec::new();
        for moment in ["before_commit.work=abort", "after_commit.work=abort"] {
            service.kill().await?;
            service = world.process_with_fate(NAME, moment).await?;
            let given = sender.send(service.at.api.context("it plays the role")?, &named, &path).await?;
            ensure!(given.is_none(), "{moment}: {named:?} was answered with {given:?}");
            deaths.push(told(&pool, named.kind).await? - before);
        }
        ensure!(deaths == [0, 1], "{named:?}: nothing before the commit, and all after it: {deaths:?}");
        service.kill().await?;
        service = world.process(NAME).await?;
        let api = service.at.api.context("it plays the role")?;
        let given = sender.send(api, &named, &path).await?.context("an answer")?;
        ensure!((200..300).contains(&given.status) && given.replayed, "{named:?}: {given:?}");
        let again = sender.send(api, &named, &path).await?;
        ensure!(again.as_ref() == Some(&given), "{named:?}: {again:?}, and before {given:?}");
        ensure!(told(&pool, named.kind).await? == before + 1, "{named:?} has one effect");
        location = given.location.unwrap_or(location);
    }
    service.kill().await?;
    world.stop().await
}

/// Killed at moments that nobody chose, with its client asking until it is answered.
#[tokio::test]
async fn a_client_that_asks_until_it_is_answered_has_one_effect_for_each_request() -> anyhow::Result<()> {
    let (world, pool) = world().await?;
    let mut service = world.process(NAME).await?;
    let sender = Sender::new(&world)?;
    let mut chance = StdRng::seed_from_u64(20_261_128);
    let first = writes().into_iter().next().context("one")?;
    let (mut deaths, mut lost) = (0, 0);
    for nr in 0..REQUESTS {
        let named = Named { name: format!("request {nr}"), ..first.clone() };
        let deadline = Instant::now() + WITHIN;
        let given = loop {
            if Instant::now() > deadline {
                bail!("{named:?} is not answered");
            }
            let api = service.at.api.context("it plays the role")?;
            if deaths < KILLS && chance.random_bool(0.2) {
                // The moment is drawn, and nothing is waited for.
                let moment = sleep(Duration::from_micros(chance.random_range(0..20_000)));
                let sending = sender.send(api, &named, first.path);
                let (given, killed) = tokio::join!(sending, async {
                    moment.await;
                    service.kill().await
                });
                killed?;
                deaths += 1;
                service = world.process(NAME).await?;
                if let Some(given) = given? {
                    break given;
                }
                lost += 1;
            } else if let Some(given) = sender.send(api, &named, first.path).await? {
                // Whoever was killed may hold the request's name until the database has noticed.
                if given.status != 409 {
                    break given;
                }
            }
        };
        ensure!(given.status == 201, "{given:?}");
    }
    ensure!(deaths == KILLS, "{deaths} deaths, {lost} answers lost");
    ensure!(told(&pool, first.kind).await? == REQUESTS as i64, "one effect for each");
    let answers: i64 = sqlx::query_scalar("select count(*) from idempotent_answers").fetch_one(&pool).await?;
    ensure!(answers == REQUESTS as i64, "{answers} answers are kept");
    service.kill().await?;
    world.stop().await
}
