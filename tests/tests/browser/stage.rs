//! A service with customers, certificates and troubles, and what the flows ask of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use issuance::time::Clock as _;
use lockkeeper::app::App;
use lockkeeper::cli::api_client::ApiClient;
use lockkeeper::store::census;
use lockkeeper::store::fleet_samples::{self, FleetSample};
use lockkeeper_tests::identity_provider::IdentityProvider;
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, World};
use rehearsal::audit::Event;
use rehearsal::fleet::Fault;
use rehearsal::rules::CaRules;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::time::{Instant, sleep};

use crate::fleet::{DEAR, Hosted, STUCK, csv, sites};

const WITHIN: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const NAME: &str = "one";
/// Everybody's, so that it is hashed once.
const PASSWORD: &str = "correct horse battery staple";
/// Who signs in: name, role, and the tenant of which alone they see anything.
const USERS: [(&str, &str, Option<&str>); 5] = [
    ("owner", "owner", None),
    ("operator", "operator", None),
    ("viewer", "viewer", None),
    ("forgetful", "operator", None),
    ("kestrel", "operator", Some("kestrel")),
];

/// What they present was looked for and not found; they are tried again.
const KEPT: &str =
    "select count(*) from orders where stage = 'presented' and looks > 0 and lease_holder is null";

/// What no service of a test would come to by itself, in rows. `{at}` is the instant.
const ROWS: &str = include_str!("rows.sql");
/// Puts what is meant to be executed into every column that takes it.
const HOSTILE: &str = include_str!("hostile.sql");

pub(crate) struct Stage {
    world: World,
    app: App,
    api: ApiClient,
    base: String,
    /// Where people sign in as well; nobody of them has been let in before a flow does it.
    provider: IdentityProvider,
}

impl Stage {
    /// Nothing moves but what a person does: no worker is there.
    pub(crate) async fn at_rest() -> anyhow::Result<Self> {
        let (world, provider) = settled_world().await?;
        let at = world.clock.now().to_string();
        execute(&world, &ROWS.replace("{at}", &at)).await?;
        count_fleet(&world).await?;
        let app = world.front(NAME).await?;
        Self::open(world, app, provider).await
    }

    /// A worker carries out what a person wishes, at the CA.
    pub(crate) async fn at_work() -> anyhow::Result<Self> {
        let (world, provider) = settled_world().await?;
        count_fleet(&world).await?;
        let app = world.service(NAME).await?;
        Self::open(world, app, provider).await
    }

    async fn open(world: World, app: App, provider: IdentityProvider) -> anyhow::Result<Self> {
        let address = app.endpoints.api.context("it serves the API")?;
        provider.set(|says| says.sends_to = Some(format!("http://{address}")));
        let api = world.client(NAME, &app)?;
        let (first, role, _) = USERS[0];
        let wanted = json!({ "name": first, "role": role, "password": PASSWORD });
        let _: Value = api.post_json("/v1/users", &wanted).await?;
        for (name, role, tenant) in USERS.into_iter().skip(1) {
            sqlx::query(
                "insert into users (user_id, tenant_id, name, role, password, created_at, created_by)
                 select gen_random_uuid(), (select tenant_id from tenants where slug = $3), $1, $2, password, created_at, created_by
                 from users where name = $4",
            )
            .bind(name)
            .bind(role)
            .bind(tenant)
            .bind(first)
            .execute(world.store.pool())
            .await?;
        }
        Ok(Self { world, app, api, base: format!("http://{address}"), provider })
    }

    /// Like [`Self::at_rest`], but that everything in it was written by somebody who means harm.
    pub(crate) async fn hostile() -> anyhow::Result<Self> {
        let stage = Self::at_rest().await?;
        execute(&stage.world, HOSTILE).await?;
        Ok(stage)
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Name → password.
    pub(crate) fn users() -> BTreeMap<&'static str, &'static str> {
        USERS.iter().map(|(name, ..)| (*name, PASSWORD)).collect()
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.app.stop().await?;
        self.world.stop().await
    }

    /// Answers what a flow asks.
    pub(crate) async fn answer(&self, what: &str, with: &Value) -> anyhow::Result<Value> {
        let text = |name: &str| with[name].as_str().with_context(|| format!("{what} takes {name}"));
        match what {
            "rows" => self.rows(text("sql")?).await,
            "execute" => {
                execute(&self.world, text("sql")?).await?;
                Ok(Value::Null)
            }
            "until" => self.until(text("sql")?).await,
            "leap" => {
                let seconds = with["seconds"].as_u64().context("leap takes seconds")?;
                self.world.clock.leap(Duration::from_secs(seconds));
                Ok(Value::Null)
            }
            "new_password" => self.change_password(text("user")?, text("password")?).await,
            // Whether the provider lets people in, and as whom.
            "identity" => {
                let (claims, denies) = (with["claims"].clone(), with["denies"] == true);
                self.provider.set(|says| {
                    says.denies = denies.then_some("access_denied");
                    if claims.is_object() {
                        says.claims = claims;
                    }
                });
                Ok(Value::Null)
            }
            "ca" => self.authorizations_at_the_ca(),
            other => bail!("nobody knows what {other} is"),
        }
    }

    /// As `lockkeeper admin reset-password` does it.
    async fn change_password(&self, user: &str, password: &str) -> anyhow::Result<Value> {
        let found: Value = self.api.get(&format!("/v1/users?name={user}")).await?;
        let found = &found["data"][0];
        let id = found["id"].as_str().context("somebody signs in by this name")?;
        let version = found["version"].as_i64().context("a version")?;
        let wanted = json!({ "password": password });
        let _: Value = self.api.patch_version(&format!("/v1/users/{id}"), version, &wanted).await?;
        Ok(Value::Null)
    }

    /// What a query finds, as objects.
    async fn rows(&self, sql: &str) -> anyhow::Result<Value> {
        let query = format!("select coalesce(json_agg(found), '[]')::text from ({sql}) found");
        let text: String =
            sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(self.world.store.pool()).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits until a query finds something, and says what.
    async fn until(&self, sql: &str) -> anyhow::Result<Value> {
        let deadline = Instant::now() + WITHIN;
        while Instant::now() < deadline {
            let found = self.rows(sql).await?;
            if found.as_array().is_some_and(|rows| !rows.is_empty()) {
                return Ok(found);
            }
            sleep(LOOK_EVERY).await;
        }
        bail!("not within {WITHIN:?}: {sql}")
    }

    /// The CA's own books: each authorization with all that happened to it.
    fn authorizations_at_the_ca(&self) -> anyhow::Result<Value> {
        let records = self.world.ca.rehearsal().context("it is ours")?.authorizations(None);
        let told = |record: &rehearsal::audit::AuthorizationRecord| {
            let deactivated = |event: &Event| *event == Event::DeactivatedWhilePending;
            json!({
                "name": record.name,
                "status": record.status,
                "open": record.open,
                "deactivated_while_pending": record.history.iter().any(|line| deactivated(&line.event)),
            })
        };
        Ok(records.iter().map(told).collect())
    }
}

async fn execute(world: &World, sql: &str) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(world.store.pool()).await?;
    Ok(())
}

/// The profile of the rehearsal CA, with as few new orders as Let's Encrypt grants.
fn profile() -> anyhow::Result<String> {
    let text = include_str!("../../../deploy/ca-profiles/rehearsal.toml");
    let few = text.replace("burst = 1000000\ncount = 1000000", "burst = 300\ncount = 300");
    ensure!(few != text, "the profile has other numbers");
    Ok(few)
}

/// Everything that can be certified is, what is broken is known to be, and some authorizations are left open at the CA.
/// No service runs any more.
async fn settled_world() -> anyhow::Result<(World, IdentityProvider)> {
    let sites = sites();
    let plan = Plan {
        ca: CaChoice::Rehearsal(CaRules { nonce_rejection: 0.0, ..CaRules::default() }),
        profile: Some(profile()?),
        settings: Settings { drain_seconds: 1, reconcile_seconds: Some(100_000), ..Settings::default() },
        ..Plan::new(sites.iter().map(|hosted| hosted.site.clone()).collect())
    };
    let mut world = World::start(plan).await?;
    let provider = IdentityProvider::start(world.clock.clone()).await?;
    let app = world.service(NAME).await?;
    let (dear, others): (Vec<Hosted>, Vec<Hosted>) =
        sites.into_iter().partition(|hosted| DEAR.contains(&hosted.site.names[0].as_str()));
    fail_dearly(&world, &app, &dear).await?;
    world.import_into(NAME, &app, csv(&others)).await?;
    let healthy = others.iter().filter(|hosted| hosted.site.damage.is_none()).count();
    let (healthy, broken) = (i64::try_from(healthy)?, i64::try_from(others.len() - healthy - STUCK.len())?);
    counts(&world, "select count(*) from issued_certificates", healthy).await?;
    counts(&world, "select count(*) from orders where stage = 'parked'", broken).await?;
    counts(&world, KEPT, i64::try_from(STUCK.len())?).await?;
    app.stop().await?;
    let section = provider.section("http://localhost", &world.data_folder(NAME))?;
    world.settings.more += "[oidc]\n";
    world.settings.more += &section;
    Ok((world, provider))
}

/// Each fails at the CA; what the next order presents is not served, and that order is cancelled.
async fn fail_dearly(world: &World, app: &App, sites: &[Hosted]) -> anyhow::Result<()> {
    world.import_into(NAME, app, csv(sites)).await?;
    let failed = u64::try_from(sites.len())?;
    let at_the_ca = async || Ok(world.audit()?.authorizations.invalid == failed);
    world.wait_until("they fail at the CA", WITHIN, at_the_ca).await?;
    for name in sites.iter().flat_map(|hosted| &hosted.site.names) {
        world.fleet.set_fault(name, Some(Fault::WrongForCa));
    }
    let presented = async || {
        world.end_rests().await?;
        Ok(count(world, KEPT).await? == i64::try_from(sites.len())?)
    };
    world.wait_until("what they present is not served", WITHIN, presented).await?;
    let api = world.client(NAME, app)?;
    let orders: Value = api.get("/v1/orders?stage=presented").await?;
    for order in orders["data"].as_array().context("orders")? {
        let id = order["id"].as_str().context("an id")?;
        let _: Value = api.post(&format!("/v1/orders/{id}/cancel")).await?;
    }
    counts(world, "select count(*) from orders where stage = 'cancelled' and lease_holder is null", 2).await
}

/// As the reconciler does it now and then: pages show what was counted. The hours before had more to do.
async fn count_fleet(world: &World) -> anyhow::Result<()> {
    let now = world.clock.now();
    let counted = census::take(&world.store, now).await?;
    let mut sample = FleetSample::of(&counted, fleet_samples::calendar(&world.store, now).await?);
    fleet_samples::keep(&world.store, now, &sample).await?;
    for ago in 1..12 {
        *sample.orders.entry("bulk".to_owned()).or_default().entry("at_the_gate".to_owned()).or_default() +=
            40;
        fleet_samples::keep(&world.store, now.before(Duration::from_mins(30 * ago)), &sample).await?;
    }
    Ok(())
}

async fn count(world: &World, sql: &str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(world.store.pool()).await?)
}

/// Waits until so many are counted. The clock does not leap: what is kept open would be settled.
async fn counts(world: &World, sql: &str, wanted: i64) -> anyhow::Result<()> {
    let deadline = Instant::now() + WITHIN;
    let mut counted = 0;
    while Instant::now() < deadline {
        counted = count(world, sql).await?;
        if counted == wanted {
            return Ok(());
        }
        sleep(LOOK_EVERY).await;
    }
    bail!("{counted} and not {wanted} within {WITHIN:?}: {sql}\n{:?}", world.orders().await?)
}
