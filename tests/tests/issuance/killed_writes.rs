//! Requests that change something, sent again and again with the same `Idempotency-Key` while the process is killed:
//! each has exactly one effect, and one answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
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
use serde_json::Value;
use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout};

use crate::write_routes::{self, NAMELESS};

const NAME: &str = "one";
const WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Requests that are killed together: each holds a connection to the database, and the service has a dozen.
const KILLED_AT_ONCE: usize = 8;
/// What is sent while the process is killed at moments that nobody chose.
const REQUESTS: usize = 30;
const KILLS: u32 = 4;
const DESCRIPTION: &str = include_str!("../../../deploy/openapi.json");
/// What a process that was killed may leave half done and nobody sees; and what is written by the service itself.
const NOT_COUNTED: [&str; 6] =
    ["campaign_members", "campaign_samples", "events", "import_faults", "import_items", "imports"];

/// One request by its name.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    name: String,
    method: &'static str,
    /// With its parameters in braces.
    route: &'static str,
    path: String,
    body: String,
    /// What is told of it.
    kind: &'static str,
}

impl Named {
    pub(crate) fn new(
        method: &'static str,
        route: &'static str,
        path: String,
        body: String,
        kind: &'static str,
    ) -> Self {
        Self { name: format!("{method} {route}"), method, route, path, body, kind }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    location: Option<String>,
    replayed: bool,
}

pub(crate) struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    token: String,
    /// Where the service listens; another place after each of its deaths.
    api: SocketAddr,
}

/// Carries a write out, and gives what it answered.
pub(crate) async fn put(
    sender: &Sender,
    method: &'static str,
    path: &str,
    body: &Value,
) -> anyhow::Result<Value> {
    let made = sender.send_once(method, path, &body.to_string()).await?;
    ensure!((200..300).contains(&made.status), "{method} {path}: {made:?}");
    if made.body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&made.body)?) }
}

pub(crate) fn id_in(view: &Value) -> anyhow::Result<String> {
    Ok(view["id"].as_str().with_context(|| format!("no id in {view}"))?.to_owned())
}

impl Sender {
    fn new(world: &World, api: Option<SocketAddr>) -> anyhow::Result<Self> {
        let config = world.config_file(NAME);
        let data = config.parent().context("a folder")?.join("data");
        let token = operator_token(&data)?.reveal().to_owned();
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Ok(Self { client, token, api: api.context("it plays the role")? })
    }

    /// `None`: nobody answered, so nobody knows whether it was carried out.
    async fn send(&self, named: &Named) -> anyhow::Result<Option<Given>> {
        // A file is sent as it is, and not as a text in JSON.
        let file: Option<String> = serde_json::from_str(&named.body).ok();
        let kind = if file.is_some() { "text/csv" } else { "application/json" };
        let mut request = Request::builder()
            .method(named.method)
            .uri(format!("http://{}{}", self.api, named.path))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", kind)
            .header("idempotency-key", &named.name);
        if matches!(named.method, "PATCH" | "DELETE") && named.route == "/v1/webhooks/{webhook}" {
            request = request.header("if-match", "\"1\"");
        }
        let body = file.unwrap_or_else(|| named.body.clone());
        let request = request.body(Full::from(Bytes::from(body)))?;
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

    /// Something that is there before, and that nobody is killed at.
    pub(crate) async fn send_once(
        &self,
        method: &'static str,
        path: &str,
        body: &str,
    ) -> anyhow::Result<Given> {
        let body = if body == "null" { String::new() } else { body.to_owned() };
        let name = uuid::Uuid::new_v4().to_string();
        let named = Named { name, method, route: "", path: path.to_owned(), body, kind: "" };
        self.send(&named).await?.context("an answer")
    }

    pub(crate) async fn send_file(&self, path: &str, file: String) -> anyhow::Result<Given> {
        self.send_once("POST", path, &Value::String(file).to_string()).await
    }

    /// Waits until an object says so of itself.
    pub(crate) async fn wait_for(&self, path: &str, member: &str, wanted: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + WITHIN;
        loop {
            let view: Value = serde_json::from_slice(&self.send_once("GET", path, "null").await?.body)?;
            if view[member] == wanted {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{path} does not become {wanted}: {view}");
            sleep(LOOK_EVERY).await;
        }
    }
}

/// What those who ask have brought about, in numbers: rows of all tables, and what was told by its kind.
async fn effects(pool: &PgPool) -> anyhow::Result<BTreeMap<String, i64>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> all($1)",
    )
    .bind(NOT_COUNTED.map(str::to_owned).to_vec())
    .fetch_all(pool)
    .await?;
    let mut effects = BTreeMap::new();
    for table in tables {
        let statement = format!("select count(*) from \"{table}\"");
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(pool).await?;
        effects.insert(table, rows);
    }
    let told: Vec<(String, i64)> =
        sqlx::query_as("select kind, count(*) from events where actor_kind = 'key' group by kind")
            .fetch_all(pool)
            .await?;
    effects.extend(told.into_iter().map(|(kind, times)| (format!("told: {kind}"), times)));
    Ok(effects)
}

/// Waits until as many requests as that have their names, and each has come to a point that it does not get past, or stands
/// behind one that has.
async fn wait_until_held(pool: &PgPool, requests: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + WITHIN;
    let mut before = Vec::new();
    loop {
        let held: Vec<(i32, String)> = sqlx::query_as(
            "select distinct pid, state_change::text
             from pg_locks join pg_stat_activity using (pid)
             where locktype = 'advisory' and granted and datname = current_database()
                 and (state = 'idle in transaction' or wait_event_type = 'Lock')
             order by pid",
        )
        .fetch_all(pool)
        .await?;
        if held.len() == requests && held == before {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "of {requests} requests {} are held", held.len());
        before = held;
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until the database has noticed that nobody is there any more.
async fn wait_until_let_go(pool: &PgPool) -> anyhow::Result<()> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let held: i64 = sqlx::query_scalar(
            "select count(*) from pg_locks join pg_stat_activity using (pid)
             where locktype = 'advisory' and datname = current_database()",
        )
        .fetch_one(pool)
        .await?;
        if held == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{held} names are still held");
        sleep(LOOK_EVERY).await;
    }
}

async fn wait_for_answers(pool: &PgPool, answers: i64) -> anyhow::Result<()> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let kept: i64 = sqlx::query_scalar("select count(*) from idempotent_answers").fetch_one(pool).await?;
        if kept == answers {
            return Ok(());
        }
        ensure!(kept < answers && Instant::now() < deadline, "{kept} answers are kept, and not {answers}");
        sleep(LOOK_EVERY).await;
    }
}

async fn told(pool: &PgPool, kind: &str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from events where kind = $1").bind(kind).fetch_one(pool).await?)
}

async fn world(roles: &'static [&'static str]) -> anyhow::Result<(World, PgPool)> {
    let settings = Settings { roles, ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(pairs("killed", 1)) }).await?;
    let pool = PgPool::connect(&world.database_url).await?;
    Ok((world, pool))
}

/// Every write that is described, less those that need no name.
fn described() -> anyhow::Result<BTreeSet<(String, String)>> {
    let document: Value = serde_json::from_str(DESCRIPTION)?;
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for method in item.as_object().context("operations")?.keys().map(|method| method.to_uppercase()) {
            if method != "GET" {
                routes.insert((method, path.clone()));
            }
        }
    }
    for (method, path, why) in NAMELESS {
        ensure!(routes.remove(&(method.to_owned(), path.to_owned())), "{method} {path} is gone: {why}");
    }
    Ok(routes)
}

/// Killed before and after the commit of each write, several at a time.
#[tokio::test]
async fn whenever_the_process_dies_around_its_commit_each_write_happens_once() -> anyhow::Result<()> {
    let (world, pool) = world(&["api"]).await?;
    let service = world.process(NAME).await?;
    let mut sender = Sender::new(&world, service.at.api)?;
    let writes = write_routes::all(&sender, &pool).await?;
    service.kill().await?;
    let covered: BTreeSet<(String, String)> =
        writes.iter().map(|named| (named.method.to_owned(), named.route.to_owned())).collect();
    assert_eq!(covered, described()?, "each write has a request in `write_routes`, or a reason to have none");

    let mut answers: i64 =
        sqlx::query_scalar("select count(*) from idempotent_answers").fetch_one(&pool).await?;
    for wave in writes.chunks(KILLED_AT_ONCE) {
        let names: Vec<&str> = wave.iter().map(|named| named.name.as_str()).collect();
        let before = effects(&pool).await?;
        answers += wave.len() as i64;
        for moment in ["before", "after"] {
            let service = world.process_with_fate(NAME, &format!("{moment}_commit.work=hold")).await?;
            sender.api = service.at.api.context("it plays the role")?;
            let sending = try_join_all(wave.iter().map(|named| sender.send(named)));
            let (given, killed) = tokio::join!(sending, async {
                match moment {
                    "before" => wait_until_held(&pool, wave.len()).await?,
                    _ => wait_for_answers(&pool, answers).await?,
                }
                service.kill().await
            });
            // Whoever was answered was not held, which says more than that somebody is missing.
            let answered: Vec<_> = wave.iter().zip(given?).filter(|(_, given)| given.is_some()).collect();
            ensure!(answered.is_empty(), "{moment}: {answered:?}");
            killed.with_context(|| format!("{moment} {names:?}"))?;
            wait_until_let_go(&pool).await?;
            if moment == "before" {
                ensure!(
                    effects(&pool).await? == before,
                    "nothing has happened before the commit of {names:?}"
                );
            }
        }
        let after = effects(&pool).await?;
        for named in wave {
            let kind = format!("told: {}", named.kind);
            let expected = wave.iter().filter(|other| other.kind == named.kind).count() as i64;
            let times = after.get(&kind).unwrap_or(&0) - before.get(&kind).unwrap_or(&0);
            ensure!(times >= expected, "{named:?}: {times} times");
        }
    }
    let after = effects(&pool).await?;
    let service = world.process(NAME).await?;
    sender.api = service.at.api.context("it plays the role")?;
    for named in &writes {
        let given = sender.send(named).await?.context("an answer")?;
        ensure!((200..300).contains(&given.status) && given.replayed, "{named:?}: {given:?}");
        let again = sender.send(named).await?;
        ensure!(again.as_ref() == Some(&given), "{named:?}: {again:?}, and before {given:?}");
    }
    ensure!(effects(&pool).await? == after, "asked again, nothing more has happened");
    service.kill().await?;
    world.stop().await
}

/// Killed at moments that nobody chose, with its client asking until it is answered.
#[tokio::test]
async fn a_client_that_asks_until_it_is_answered_has_one_effect_for_each_request() -> anyhow::Result<()> {
    let (world, pool) = world(&["api", "worker"]).await?;
    let mut service = world.process(NAME).await?;
    let mut sender = Sender::new(&world, service.at.api)?;
    let mut chance = StdRng::seed_from_u64(20_261_128);
    let wanted =
        r#"{"limit":"new_orders_per_account","burst":600,"period_seconds":10800,"note":"granted by mail"}"#;
    let (route, kind) = ("/v1/limit-overrides", "limit_override.entered");
    let first = Named::new("POST", route, route.to_owned(), wanted.to_owned(), kind);
    let (mut deaths, mut lost) = (0, 0);
    for nr in 0..REQUESTS {
        let named = Named { name: format!("request {nr}"), ..first.clone() };
        let deadline = Instant::now() + WITHIN;
        let given = loop {
            if Instant::now() > deadline {
                bail!("{named:?} is not answered");
            }
            sender.api = service.at.api.context("it plays the role")?;
            if deaths < KILLS && chance.random_bool(0.2) {
                // The moment is drawn, and nothing is waited for.
                let moment = sleep(Duration::from_micros(chance.random_range(0..20_000)));
                let sending = sender.send(&named);
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
            } else if let Some(given) = sender.send(&named).await? {
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
