//! The lives of a service: one that dies at a chosen request, and the one that comes after it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use lockkeeper::acme::Transport;
use lockkeeper::app::App;
use lockkeeper::cli::api_client::{ApiClient, operator_token};
use lockkeeper_tests::scripted_transport::{Call, Fate, ScriptedTransport};
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, World, csv};
use rehearsal::audit::AuthorizationRecord;
use rehearsal::fleet::Site;
use rehearsal::rules::CaRules;

pub(crate) const WITHIN: Duration = Duration::from_mins(1);
/// The CA has had its time to ask for what was submitted before.
const ASKED: Duration = Duration::from_secs(15);
const NAME: &str = "one";

/// Nonces are good, so that a request is one request.
pub(crate) fn rules() -> CaRules {
    CaRules { nonce_rejection: 0.0, ..CaRules::default() }
}

pub(crate) async fn world(sites: &[Site], rules: CaRules) -> anyhow::Result<World> {
    let settings = Settings { drain_seconds: 1, ..Settings::default() };
    World::start(Plan { ca: CaChoice::Rehearsal(rules), settings, ..Plan::new(sites.to_vec()) }).await
}

/// One life of the service.
pub(crate) struct Life {
    pub(crate) app: App,
    pub(crate) wire: Arc<ScriptedTransport>,
}

impl Life {
    pub(crate) async fn begin(
        world: &World,
        script: impl FnMut(Call) -> Fate + Send + 'static,
    ) -> anyhow::Result<Self> {
        let root = world.ca.extra_root().map(std::fs::read_to_string).transpose()?;
        let wire = ScriptedTransport::trusting(root.as_deref(), script)?;
        let app = world.service_through(NAME, Some(Arc::clone(&wire) as Arc<dyn Transport>)).await?;
        Ok(Self { app, wire })
    }

    /// Nothing goes wrong any more.
    pub(crate) async fn after(world: &World) -> anyhow::Result<Self> {
        Self::begin(world, |_| Fate::Pass).await
    }

    pub(crate) async fn import(&self, world: &World, sites: &[Site]) -> anyhow::Result<()> {
        world.import_into(NAME, &self.app, csv(sites)).await?;
        Ok(())
    }

    /// The API of it, for the operator.
    pub(crate) fn api(&self, world: &World) -> anyhow::Result<ApiClient> {
        let address = self.app.endpoints.api.context("it serves the API")?;
        let token = operator_token(&world.data_folder(NAME))?;
        Ok(ApiClient::new(&format!("http://{address}"), &token)?)
    }

    /// Ends where it is: what hangs is never heard of again, and the leases are left behind.
    pub(crate) async fn die(self, world: &World) -> anyhow::Result<()> {
        world.clock.leap(ASKED);
        Ok(self.app.stop().await?)
    }

    /// Waits until all is done, and ends in order.
    pub(crate) async fn finish(self, world: &World) -> anyhow::Result<()> {
        world.wait_until_done(WITHIN).await?;
        Ok(self.app.stop().await?)
    }
}

/// A service that hangs in `senders` requests, and dies there.
pub(crate) async fn dead(
    world: &World,
    sites: &[Site],
    senders: usize,
    script: impl FnMut(Call) -> Fate + Send + 'static,
) -> anyhow::Result<()> {
    let life = Life::begin(world, script).await?;
    life.import(world, sites).await?;
    life.wire.hang(senders, WITHIN).await?;
    if let Some(ca) = world.ca.rehearsal() {
        ca.idle().await;
    }
    life.die(world).await
}

/// Whatever became of the service, every site has one certificate, and nothing is open.
pub(crate) async fn assert_issued_once(world: &World, sites: &[Site]) -> anyhow::Result<()> {
    let summary = world.summary().await?;
    let sites = sites.len() as u64;
    assert_eq!((summary.certificates_issued, summary.open_authorizations), (sites, 0), "{summary:?}");
    let audit = world.audit()?;
    assert_eq!((audit.authorizations.open, audit.rate_limited), (0, 0), "{audit:?}");
    assert_eq!((audit.certificates, audit.duplicate_certificates), (sites, 0), "{audit:?}");
    Ok(())
}

/// The CA's records of all authorizations, oldest first.
pub(crate) fn records(world: &World) -> Vec<AuthorizationRecord> {
    world.ca.rehearsal().expect("the rehearsal CA").authorizations(None)
}

/// The stages of all orders, oldest first.
pub(crate) async fn stages(world: &World) -> anyhow::Result<Vec<String>> {
    Ok(world.orders().await?.into_iter().map(|order| order.stage).collect())
}

/// Waits until the one order there is has this stage.
pub(crate) async fn reaches(world: &World, stage: &str) -> anyhow::Result<()> {
    let reached = async || Ok(stages(world).await? == [stage]);
    world.wait_until(stage, WITHIN, reached).await
}

/// The database refuses to write an order of this stage, until [`consent`].
pub(crate) async fn refuse(world: &World, stage: &str) -> anyhow::Result<()> {
    let statements = format!(
        "create sequence refusals;
         create function refuse() returns trigger language plpgsql as $$
         begin perform nextval('refusals'); raise exception 'refused'; end $$;
         create trigger refuse before update on orders for each row
         when (new.stage = '{stage}') execute function refuse()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(world.store.pool()).await?;
    Ok(())
}

/// Waits until the database has refused: a sequence keeps what a transaction that failed has counted.
pub(crate) async fn refused(world: &World) -> anyhow::Result<()> {
    let counted = async || {
        let called = sqlx::query_scalar("select is_called from refusals");
        Ok(called.fetch_one(world.store.pool()).await?)
    };
    world.wait_until("the database refuses", WITHIN, counted).await
}

pub(crate) async fn consent(world: &World) -> anyhow::Result<()> {
    let statements = "drop trigger refuse on orders; drop function refuse; drop sequence refusals";
    sqlx::raw_sql(statements).execute(world.store.pool()).await?;
    Ok(())
}

/// Units of the budget that are reserved, of reservations that still count.
pub(crate) async fn reserved(world: &World) -> anyhow::Result<i64> {
    use issuance::time::Clock as _;
    let now = world.clock.now().to_datetime().expect("a year of the calendar");
    let held = "select coalesce(sum(reserved_authorizations), 0) from orders where hold_until > $1";
    Ok(sqlx::query_scalar(held).bind(now).fetch_one(world.store.pool()).await?)
}
