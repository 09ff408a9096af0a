//! A run with a server of its own, and a wire to it.

use std::time::Duration;

use lockkeeper::app::App;
use lockkeeper_tests::postgres::{PostgresServer, url_at};
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::wire::Wire;
use lockkeeper_tests::world::{Plan, World, csv, pairs};

pub(crate) const WITHIN: Duration = Duration::from_mins(1);
/// So small that most orders wait for it.
const BUDGET: u32 = 16;
const RESERVE: u32 = 4;

pub(crate) struct Scene {
    pub(crate) postgres: PostgresServer,
    /// Between the service and the server.
    pub(crate) wire: Wire,
    pub(crate) world: World,
    app: App,
    sites: u64,
}

impl Scene {
    /// Sites of two names, all healthy, are imported when this returns.
    pub(crate) async fn open(stem: &str, sites: usize, settings: &str) -> anyhow::Result<Self> {
        let postgres = PostgresServer::start_new(settings).await?;
        Self::open_on(postgres, stem, sites).await
    }

    pub(crate) async fn open_on(postgres: PostgresServer, stem: &str, sites: usize) -> anyhow::Result<Self> {
        let wire = Wire::start(postgres.address(), 20_261_125).await?;
        let fleet = pairs(stem, sites);
        let settings = Settings { permits: 8, pending: Some((BUDGET, RESERVE)), ..Settings::default() };
        let database_url = Some(url_at(wire.address()));
        let world = World::start(Plan { settings, database_url, ..Plan::new(fleet.clone()) }).await?;
        let app = world.service("one").await?;
        world.import_into("one", &app, csv(&fleet)).await?;
        Ok(Self { postgres, wire, world, app, sites: sites as u64 })
    }

    /// Waits until so many certificates are there.
    pub(crate) async fn reach(&self, certificates: u64) -> anyhow::Result<()> {
        self.world
            .wait_until("it gets on", WITHIN, async || {
                Ok(self.world.summary().await?.certificates_issued >= certificates)
            })
            .await
    }

    /// Waits until all is done. Then nothing is open, over the budget, issued twice, or in anybody's hands.
    pub(crate) async fn close(self) -> anyhow::Result<Closed> {
        self.world
            .wait_until("everything is issued", WITHIN, async || {
                self.world.end_rests().await?;
                Ok(self.world.summary().await?.certificates_issued == self.sites)
            })
            .await?;
        self.world.wait_until_done(WITHIN).await?;
        let audit = self.world.audit()?;
        assert_eq!((audit.authorizations.open, audit.rate_limited), (0, 0), "{audit:?}");
        assert_eq!((audit.certificates, audit.duplicate_certificates), (self.sites, 0), "{audit:?}");
        assert!(audit.peak_open <= u64::from(BUDGET), "{audit:?}");
        let orders = self.world.orders().await?;
        assert!(orders.iter().all(|order| order.lease_holder.is_none()), "{orders:?}");
        let flights: i64 =
            sqlx::query_scalar("select count(*) from flights").fetch_one(self.world.store.pool()).await?;
        assert_eq!(flights, 0, "nobody flies any more");
        let closed = Closed {
            ca_orders: audit.orders,
            asks: orders.iter().map(|order| order.asks).max().unwrap_or_default(),
        };
        self.app.stop().await?;
        self.world.stop().await?;
        self.wire.stop().await;
        Ok(closed)
    }
}

/// What it took.
pub(crate) struct Closed {
    pub(crate) ca_orders: u64,
    /// new-order requests for one order, at the most.
    pub(crate) asks: i32,
}
