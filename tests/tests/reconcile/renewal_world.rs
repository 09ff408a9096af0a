//! A certificate that is issued, and two reconcilers that renew it when a test lets its time come.

use std::sync::Arc;
use std::time::Duration;

use issuance::time::{Clock, Timestamp};
use lockkeeper::acme::Transport;
use lockkeeper::app::App;
use lockkeeper::reconcile::{Ari, ReconcileParts, Reconciler, Renew};
use lockkeeper::store::certificates::{self, CertificateFilter, CertificateView, RenewalView};
use lockkeeper::store::page::Page;
use lockkeeper::store::viewer::Viewer;
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, World, csv, pairs};
use rehearsal::rules::CaRules;
use sqlx::Row as _;

use crate::world::WITHIN;

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// A world with so many certificates, the service that got them, and a replica's reconcilers beside it.
pub(crate) struct Renewing {
    pub(crate) world: World,
    pub(crate) app: App,
    pub(crate) parts: ReconcileParts,
    pub(crate) ari: Ari,
    pub(crate) renew: Renew,
}

/// An order, as far as renewals have to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderRow {
    pub(crate) stage: String,
    pub(crate) lane: i16,
    pub(crate) replaces: Option<String>,
    pub(crate) is_ari_exempt: bool,
    pub(crate) is_set_exempt: bool,
}

/// The service leaves renewals to the test.
pub(crate) fn settings() -> Settings {
    Settings { renewal_seconds: Some(36_000), ..Settings::default() }
}

impl Renewing {
    pub(crate) async fn start(
        stem: &str,
        count: usize,
        ca: CaChoice,
        transport: Option<Arc<dyn Transport>>,
    ) -> anyhow::Result<Self> {
        let sites = pairs(stem, count);
        let world = World::start(Plan { ca, settings: settings(), ..Plan::new(sites.clone()) }).await?;
        let app = world.service("one").await?;
        world.import_into("one", &app, csv(&sites)).await?;
        world.wait_until_done(WITHIN).await?;
        let parts = world.reconcile_parts_through(transport).await?;
        let (ari, renew) = (Ari::new(parts.clone(), 500), Renew::new(parts.clone(), 500));
        Ok(Self { world, app, parts, ari, renew })
    }

    pub(crate) async fn at_the_rehearsal_ca(stem: &str, rules: CaRules) -> anyhow::Result<Self> {
        Self::start(stem, 1, CaChoice::Rehearsal(rules), None).await
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    /// Puts the clock forward to `at`, unless it is past.
    pub(crate) fn leap_to(&self, at: Timestamp) {
        self.world.clock.leap(self.now().until(at));
    }

    /// What is to be done by now; the orders queued.
    pub(crate) async fn pass(&self) -> anyhow::Result<u64> {
        let planned = self.renew.pass(self.now()).await?.count("queued");
        self.ari.pass(self.now()).await?;
        Ok(planned + self.renew.pass(self.now()).await?.count("queued"))
    }

    /// Leaps from one instant at which there is something to do to the next, until an order is queued.
    pub(crate) async fn pass_until_queued(&self) -> anyhow::Result<u64> {
        for _ in 0..1_000 {
            let queued = self.pass().await?;
            if queued > 0 {
                return Ok(queued);
            }
            let next = self.parts.store.next_renewal_at(self.parts.account_id).await?;
            self.leap_to(next.expect("there is a certificate"));
        }
        anyhow::bail!("nothing was queued in a thousand steps")
    }

    /// Lets the service work off what was queued.
    pub(crate) async fn work_off(&self) -> anyhow::Result<()> {
        self.app.wake.notify_one();
        self.world.wait_until_done(WITHIN).await
    }

    pub(crate) async fn certificates(&self) -> anyhow::Result<Vec<CertificateView>> {
        let page = Page::new(None, None, "").expect("a page");
        let filter = CertificateFilter::default();
        let found =
            certificates::list(&self.parts.store, Viewer::Operator, self.now(), &filter, &page).await?;
        Ok(found.data)
    }

    /// How the only certificate is renewed.
    pub(crate) async fn renewal(&self) -> anyhow::Result<RenewalView> {
        let found = self.certificates().await?;
        Ok(found[0].renewal.clone().expect("its renewal is planned"))
    }

    /// Oldest first.
    pub(crate) async fn orders(&self) -> anyhow::Result<Vec<OrderRow>> {
        let rows = sqlx::query(
            "select stage, lane, replaces, ari_exempt_until is not null, set_exempt_until is not null
             from orders order by accepted_at, order_id",
        )
        .fetch_all(self.parts.store.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(OrderRow {
                    stage: row.try_get(0)?,
                    lane: row.try_get(1)?,
                    replaces: row.try_get(2)?,
                    is_ari_exempt: row.try_get(3)?,
                    is_set_exempt: row.try_get(4)?,
                })
            })
            .collect()
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.app.stop().await?;
        self.world.stop().await
    }
}
