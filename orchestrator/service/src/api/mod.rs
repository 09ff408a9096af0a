//! The REST API: one endpoint, one file. A handler extracts, calls, renders.
//!
//! It never talks to a CA or a resolver: it meets the engine in Postgres only, and wakes it when it has made
//! orders due.

pub mod accounts;
mod acme_dns;
pub mod address;
pub mod api_keys;
pub mod auth;
pub mod authorizations;
mod body;
mod bundles;
mod caddy;
pub mod campaigns;
pub mod census;
pub mod certificates;
pub mod checks;
mod delivery_instruments;
mod deployments;
mod docs;
pub mod document;
mod etag;
mod events;
pub mod headroom;
pub mod hostnames;
pub mod imports;
mod instruments;
mod last_uses;
pub mod limit_overrides;
mod livez;
pub mod orders;
mod orphans;
mod parameters;
pub mod paused_names;
mod prefer;
pub mod problem;
mod query;
mod readyz;
mod recipient;
mod request_id;
pub mod settlings;
mod summary;
pub mod tenants;
mod throttle;
mod trace;
pub mod users;
pub mod wanted;
pub mod webhooks;
mod write;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use issuance::ids::AccountId;
use issuance::profile::CaProfile;
use issuance::time::Clock;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::config::{Cidr, Registration};
use crate::keys::Sealer;
use crate::store::Store;
use crate::telemetry::traces::Tracer;
use crate::webhooks::Receivers;
use bundles::watch::BundleWatch;
use last_uses::LastUses;
use problem::Problem;
use throttle::Throttle;
pub use throttle::ThrottleSettings;

/// Import files held in memory at once; the others wait before their first byte is read.
const IMPORTS_AT_ONCE: usize = 4;
/// Import files that arrive row by row at once: each holds a piece of it.
const UPLOADS_AT_ONCE: usize = 16;

/// Clients whose answers are held until something happens; the others are answered at once.
const WAITERS_MAX: usize = 1_000;

/// What the endpoints work with.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    /// The CA that certificates are ordered from, and the account they are ordered with.
    pub profile: Arc<CaProfile>,
    pub account: AccountId,
    /// Notified when orders were made due.
    pub wake: Arc<Notify>,
    /// Rung when a name is to be looked at.
    pub look: Arc<Notify>,
    /// The addresses that tenants are told to publish.
    pub publish: Vec<IpAddr>,
    /// The zone that is served here, and who may have a label in it.
    pub own_zone: Option<Arc<str>>,
    pub registration: Registration,
    pub sign_in: users::SignInRules,
    /// Seals what is kept for clients.
    pub sealer: Arc<Sealer>,
    /// Where webhooks may lead.
    pub receivers: Receivers,
    seats: events::Seats,
    /// Rung when there is something to do for an import.
    pub import_bell: Arc<Notify>,
    /// Who is believed about where a request comes from.
    pub trusted_proxies: Arc<[Cidr]>,
    throttle: Throttle,
    last_uses: LastUses,
    /// Ends what would not end by itself: whoever is waited with is let go.
    pub stop: CancellationToken,
    bundle_watch: Arc<BundleWatch>,
    import_seats: Arc<Semaphore>,
    upload_seats: Arc<Semaphore>,
    forecast_seat: Arc<Semaphore>,
    wait_seats: Arc<Semaphore>,
    /// Traces the requests that change something.
    pub tracer: Tracer,
}

impl ApiState {
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        profile: Arc<CaProfile>,
        account: AccountId,
        wake: Arc<Notify>,
        sealer: Arc<Sealer>,
    ) -> Self {
        let throttle = Throttle::new(ThrottleSettings::default(), Arc::clone(&clock));
        Self {
            store,
            clock,
            profile,
            account,
            wake,
            look: Arc::default(),
            publish: Vec::new(),
            own_zone: None,
            registration: Registration::default(),
            sign_in: users::SignInRules::default(),
            sealer,
            receivers: Receivers::default(),
            seats: events::Seats::default(),
            import_bell: Arc::default(),
            trusted_proxies: Arc::default(),
            throttle,
            last_uses: LastUses::default(),
            stop: CancellationToken::new(),
            bundle_watch: Arc::default(),
            import_seats: Arc::new(Semaphore::new(IMPORTS_AT_ONCE)),
            upload_seats: Arc::new(Semaphore::new(UPLOADS_AT_ONCE)),
            forecast_seat: Arc::new(Semaphore::new(1)),
            wait_seats: Arc::new(Semaphore::new(WAITERS_MAX)),
            tracer: Tracer::OFF,
        }
    }

    /// With as many requests as `settings` allow; otherwise nobody counts.
    #[must_use]
    pub fn with_throttle(self, settings: ThrottleSettings) -> Self {
        Self { throttle: Throttle::new(settings, Arc::clone(&self.clock)), ..self }
    }

    /// Whether an address is heard that may have failed to say who it is too often.
    pub fn hears(&self, address: Option<IpAddr>) -> bool {
        self.throttle.hear(address).is_ok()
    }

    /// Somebody has failed to say who it is.
    pub fn note_failed_authentication(&self, address: Option<IpAddr>) {
        self.throttle.note_failure(address);
    }

    /// With the acme-dns protocol for the labels of a zone.
    #[must_use]
    pub fn with_own_zone(self, zone: Option<String>, registration: Registration) -> Self {
        Self { own_zone: zone.map(Arc::from), registration, ..self }
    }
}

/// Every route of the API. All but the two probes, and what the acme-dns protocol has its own keys for, ask for a bearer
/// token.
pub fn router(state: ApiState) -> Router {
    imports::describe_metrics();
    delivery_instruments::describe();
    let (described, _) = described().split_for_parts();
    let tracer = state.tracer.clone();
    instruments::register();
    described
        .route_layer(axum::middleware::from_fn(parameters::refuse_unknown))
        .fallback(async || Problem::no_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(axum::middleware::from_fn_with_state(tracer, trace::follow))
        .layer(axum::middleware::from_fn(request_id::attach))
        .layer(axum::middleware::from_fn(instruments::measure))
        .with_state(state)
}

/// The routes, each with its description.
fn described() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(accounts::routes())
        .merge(imports::routes())
        .merge(certificates::routes())
        .merge(campaigns::routes())
        .merge(hostnames::routes())
        .merge(orders::routes())
        .merge(authorizations::routes())
        .merge(orphans::routes())
        .merge(headroom::routes())
        .merge(limit_overrides::routes())
        .merge(paused_names::routes())
        .merge(checks::routes())
        .merge(settlings::routes())
        .merge(summary::routes())
        .merge(census::routes())
        .merge(api_keys::routes())
        .merge(tenants::routes())
        .merge(users::routes())
        .merge(bundles::routes())
        .merge(caddy::routes())
        .merge(deployments::routes())
        .merge(events::routes())
        .merge(webhooks::routes())
        .merge(acme_dns::routes())
        .merge(livez::routes())
        .merge(readyz::routes())
        .merge(document::routes())
        .merge(docs::routes())
}
