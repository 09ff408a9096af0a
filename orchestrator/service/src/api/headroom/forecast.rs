//! `POST /v1/headroom/forecast`

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use bytes::Bytes;
use issuance::exemption::Exemptions;
use issuance::fairness::Lane;
use issuance::identifier::{Hostname, Identifiers};
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::Fleet;
use super::answer::ForecastAnswer;
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::body::{is_json, parse, receive};
use crate::api::problem::{Problem, ProblemEntry, Problems};
use crate::store::forecast::{self, Known};
use crate::store::scope::Scope;

/// More are planned without a service: `lockkeeper plan` takes as many as an import does.
pub const SITES_MAX: usize = 200_000;
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Things that are wrong, named in an answer.
const ERRORS_SHOWN_MAX: usize = 100;
const TARGETS_MAX: usize = 8;
/// A year: a forecast beyond it says nothing.
const WITHIN_SECONDS_MAX: u64 = 366 * 24 * 3_600;
const WORKERS_MAX: u32 = 100_000;
const ORDER_SECONDS_MAX: f64 = 3_600.0;

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForecastRequest {
    /// Absent: everything that is queued.
    #[serde(
        default,
        deserialize_with = "crate::json::optional_objects",
        skip_serializing_if = "Option::is_none"
    )]
    pub sites: Option<Vec<WantedSite>>,
    #[serde(default, deserialize_with = "crate::json::object")]
    pub assumptions: Assumptions,
}

/// A certificate that is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedSite {
    pub names: Vec<String>,
    /// Absent, with a tenant's token: that tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// `urgent`, `interactive`, `renewal` or `bulk`; absent: `bulk`, as an import's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
}

/// What is to stand for what is not known; absent: what was measured, or else what is usual.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Assumptions {
    /// Orders in hand at once, over all replicas.
    pub workers: Option<u32>,
    /// How long one order is in hand.
    pub order_seconds: Option<f64>,
    /// From 0 to 1: sites that get no certificate for all of their names before somebody has repaired them.
    pub broken_share: Option<f64>,
    /// Of those, the ones that preflight does not see.
    pub hidden_share: Option<f64>,
    /// Of the others with more than one name, the ones of which some name is good and gets a certificate.
    pub partial_share: Option<f64>,
    /// Finishes to find overrides for.
    pub within_seconds: Vec<u64>,
    #[schema(schema_with = whole)]
    pub seed: u64,
}

/// Any of 64 bits: `int64`, which an unsigned number is told as otherwise, ends halfway.
fn whole() -> Object {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(u64::MAX)).build()
}

/// When sites, or all that is queued, will be done.
///
/// Tells a tenant of its own orders alone; what others have queued counts, and is not shown.
#[utoipa::path(
    post,
    path = "/v1/headroom/forecast",
    tag = "limits",
    request_body = ForecastRequest,
    security(("bearer" = ["headroom:read"])),
    responses((status = 200, description = "When it will be done, and what it waits for", body = ForecastAnswer), Problems)
)]
#[tracing::instrument(name = "api.headroom.forecast", skip_all)]
pub(in crate::api) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ForecastAnswer>, Problem> {
    caller.require(Scope::HeadroomRead)?;
    let viewer = caller.viewer;
    if !is_json(&headers) {
        return Err(Problem::not_json());
    }
    let upload = api.import_seats.acquire().await.expect("nobody closes the seats");
    let body = receive(&headers, body, BODY_BYTES_MAX, Problem::body_too_large).await?;
    drop(upload);
    // One at a time: each takes a processor and some hundred megabytes.
    let _seat = api.forecast_seat.acquire().await.expect("nobody closes the seat");
    let own = forecast::own_slug(&api.store, viewer).await?;
    let (reader, names_max) = (own.clone(), api.profile.names_max as usize);
    let (mut sites, assumptions) = blocking(move || read(&body, reader.as_deref(), names_max)).await??;
    let now = api.clock.now();
    let (fleet, known) = match &mut sites {
        Some(fleet) => {
            let exemptions = forecast::exemptions_of(&api.store, api.account, &fleet.sets()).await?;
            fleet.exempt(exemptions);
            (None, known(&api, fleet, now).await?)
        }
        None => queue(&api, now).await?,
    };
    let (profile, of_queue) = (api.profile.clone(), sites.is_none());
    let fleet = sites.or(fleet).unwrap_or_default();
    let answer = blocking(move || {
        let mut answer = fleet.forecast(&known, &profile, &assumptions, now);
        if of_queue {
            // Nobody has said which is which.
            answer.sites.clear();
        }
        match own {
            Some(own) => of_tenant(answer, &own, of_queue),
            None => answer,
        }
    });
    Ok(Json(answer.await?))
}

async fn known(api: &ApiState, fleet: &Fleet, now: Timestamp) -> Result<Known, Problem> {
    let sets = fleet.sets();
    let known = forecast::read(&api.store, now, api.account, &api.profile, &sets, fleet.slugs()).await?;
    known.ok_or_else(Problem::account_missing)
}

/// What is queued, order by order, so that each waits for its own buckets too; in numbers, where it is too much.
async fn queue(api: &ApiState, now: Timestamp) -> Result<(Option<Fleet>, Known), Problem> {
    let Some(queued) = forecast::queued(&api.store, api.account, SITES_MAX).await? else {
        return Ok((None, known(api, &Fleet::default(), now).await?));
    };
    let fleet: Fleet = queued.into_iter().collect();
    let mut known = known(api, &fleet, now).await?;
    known.ahead.clear();
    Ok((Some(fleet), known))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error))
}

/// `own`: the only tenant that may be named.
fn read(body: &Bytes, own: Option<&str>, names_max: usize) -> Result<(Option<Fleet>, Assumptions), Problem> {
    let request: ForecastRequest = parse(body)?;
    let mut errors = request.assumptions.errors();
    let Some(sites) = request.sites.filter(|_| errors.is_empty()) else {
        return if errors.is_empty() {
            Ok((None, request.assumptions))
        } else {
            Err(Problem::body_invalid(errors))
        };
    };
    if sites.len() > SITES_MAX {
        errors.push(ProblemEntry::at(
            "/sites",
            "too-many-sites",
            format!("{SITES_MAX} sites at the most: split them"),
        ));
    }
    let mut fleet = Fleet::default();
    for (place, site) in sites.iter().take(SITES_MAX).enumerate() {
        match site.read(place, own, names_max) {
            Ok((tenant, names, lane)) => fleet.add(tenant, names, lane, Exemptions::NONE),
            Err(found) => errors.extend(found),
        }
        if errors.len() >= ERRORS_SHOWN_MAX {
            break;
        }
    }
    if errors.is_empty() {
        Ok((Some(fleet), request.assumptions))
    } else {
        Err(Problem::body_invalid(errors))
    }
}

impl WantedSite {
    fn read<'a>(
        &'a self,
        place: usize,
        own: Option<&'a str>,
        names_max: usize,
    ) -> Result<(&'a str, Identifiers, Lane), Vec<ProblemEntry>> {
        let mut errors = Vec::new();
        let at = |field: &str| format!("/sites/{place}/{field}");
        let tenant = match (self.tenant.as_deref(), own) {
            (Some(tenant), Some(own)) if tenant != own => {
                let detail = format!("this token asks for its own tenant alone, not for {tenant}");
                errors.push(ProblemEntry::at(at("tenant"), "other-tenant", detail));
                own
            }
            (Some(tenant), _) => tenant,
            (None, own) => own.unwrap_or(NOBODYS),
        };
        let lane = self.lane.as_deref().map_or(Some(Lane::Bulk), lane_called);
        if lane.is_none() {
            let words = Lane::ALL.map(Lane::as_str).join(", ");
            errors.push(ProblemEntry::at(at("lane"), "unknown-lane", format!("write one of {words}")));
        }
        let mut names = Vec::new();
        for (nr, name) in self.names.iter().enumerate() {
            match Hostname::parse(name) {
                Ok(name) => names.push(name),
                Err(error) => {
                    errors.push(ProblemEntry::at(
                        at(&format!("names/{nr}")),
                        error.code(),
                        error.to_string(),
                    ));
                }
            }
        }
        if names.len() > names_max {
            let detail = format!("{} names, the CA takes {names_max} in one certificate", names.len());
            errors.push(ProblemEntry::at(at("names"), "too_many_names", detail));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let names = Identifiers::new(names)
            .map_err(|error| vec![ProblemEntry::at(at("names"), error.code(), error.to_string())])?;
        Ok((tenant, names, lane.unwrap_or(Lane::Bulk)))
    }
}

/// Whose sites those are of which the operator does not say it: one tenant's, which is none of the known ones.
const NOBODYS: &str = "-";

fn lane_called(word: &str) -> Option<Lane> {
    Lane::ALL.into_iter().find(|lane| lane.as_str() == word)
}

impl Assumptions {
    fn errors(&self) -> Vec<ProblemEntry> {
        let share = |value: Option<f64>| value.is_none_or(|share| (0.0..=1.0).contains(&share));
        let order = |seconds: f64| seconds > 0.0 && seconds <= ORDER_SECONDS_MAX;
        let checks = [
            (
                self.workers.is_none_or(|workers| (1..=WORKERS_MAX).contains(&workers)),
                "workers",
                format!("from 1 to {WORKERS_MAX}"),
            ),
            (
                self.order_seconds.is_none_or(order),
                "order_seconds",
                format!("more than 0, {ORDER_SECONDS_MAX} at the most"),
            ),
            (share(self.broken_share), "broken_share", "a share, from 0 to 1".to_owned()),
            (share(self.hidden_share), "hidden_share", "a share, from 0 to 1".to_owned()),
            (share(self.partial_share), "partial_share", "a share, from 0 to 1".to_owned()),
            (
                self.within_seconds.len() <= TARGETS_MAX
                    && self.within_seconds.iter().all(|seconds| (1..=WITHIN_SECONDS_MAX).contains(seconds)),
                "within_seconds",
                format!("{TARGETS_MAX} at the most, each from 1 to {WITHIN_SECONDS_MAX}"),
            ),
        ];
        let wrong = checks.into_iter().filter(|(good, ..)| !good);
        wrong
            .map(|(_, name, detail)| ProblemEntry::at(format!("/assumptions/{name}"), "out-of-range", detail))
            .collect()
    }

    /// What is wrong with them, in words; for the command line.
    pub fn check(&self) -> Result<(), String> {
        match self.errors().first() {
            None => Ok(()),
            Some(wrong) => {
                let name = wrong.pointer.as_deref().unwrap_or_default();
                Err(format!("{}: {}", name.trim_start_matches("/assumptions/"), wrong.detail))
            }
        }
    }
}

/// What a tenant may see of it: nothing of the others, and nothing that only the operator can ask a CA for.
fn of_tenant(mut answer: ForecastAnswer, own: &str, of_queue: bool) -> ForecastAnswer {
    answer.tenants.retain(|tenant| tenant.tenant == own);
    answer.proposals.clear();
    answer.orders.ahead = None;
    if of_queue {
        answer.orders = answer.tenants.first().map(|tenant| tenant.orders).unwrap_or_default();
        answer.finish = answer.tenants.first().and_then(|tenant| tenant.finish);
        answer.binding_limits.clear();
    }
    answer
}
