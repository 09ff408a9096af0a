//! What has happened to an order, in its order: told from what is kept of it anyway.

use issuance::ids::{AuthorizationId, OrderId};
use issuance::outlook::Cost;
use issuance::profile::CaProfile;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::authorizations_view::AuthorizationView;
use super::order_problems::{self, CaDocument, ToldProblem};
use super::orders_view::{self, OrderView};
use super::page::Page;
use super::viewer::Viewer;
use super::{Store, StoreError, fetches};

/// Events of one order that are told: it has a handful.
const EVENTS_MAX: i64 = 200;

/// One moment of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Moment {
    pub at: Timestamp,
    /// `order.accepted`, `authorization.submitted`, `response.fetched`, `ca.problem` and the like.
    pub kind: String,
    /// In plain words.
    pub summary: String,
    /// The name it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_id: Option<AuthorizationId>,
    /// The CA's document, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<CaDocument>,
    /// The step that the CA answered so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How often it was said; `last_at` tells when last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// What it took of what the CA allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub cost: Option<Cost>,
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Value>,
}

/// An order's life so far, earliest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Timeline {
    pub order_id: OrderId,
    /// The id of the order's trace, wherever traces are collected.
    #[serde(default)]
    pub trace_id: String,
    pub data: Vec<Moment>,
}

impl Moment {
    fn new(at: Timestamp, kind: impl Into<String>, summary: impl Into<String>) -> Self {
        Self {
            at,
            kind: kind.into(),
            summary: summary.into(),
            identifier: None,
            authorization_id: None,
            problem: None,
            step: None,
            times: None,
            last_at: None,
            cost: None,
            source: None,
            data: None,
        }
    }
}

/// `None` where there is no such order for this viewer.
pub async fn of_order(
    store: &Store,
    viewer: Viewer,
    profile: &CaProfile,
    id: OrderId,
) -> Result<Option<Timeline>, StoreError> {
    let Some(order) = orders_view::find(store, viewer, id).await? else { return Ok(None) };
    let mut data = lifecycle(&order);
    for authorization in order.authorizations.iter().flatten() {
        data.extend(of_authorization(authorization, profile));
    }
    data.extend(order_problems::of_orders(store, viewer, &[id]).await?.into_iter().map(said));
    for fetch in fetches::list(store, viewer, id, &Page::largest()).await?.data {
        let who = if fetch.own { "this service" } else { "the CA, most likely," };
        let mut moment = Moment::new(
            fetch.at,
            "response.fetched",
            format!("{who} fetched the response from {} and got {}", fetch.source, fetch.status),
        );
        moment.identifier = fetch.identifier;
        moment.authorization_id = fetch.authorization_id;
        moment.source = Some(fetch.source);
        data.push(moment);
    }
    data.extend(events(store, viewer, &order).await?);
    // Stable: of one instant, what is told first comes first.
    data.sort_by_key(|moment| moment.at);
    Ok(Some(Timeline { order_id: id, trace_id: order.trace_id, data }))
}

fn lifecycle(order: &OrderView) -> Vec<Moment> {
    let mut moments = vec![Moment::new(
        order.accepted_at,
        "order.accepted",
        format!("wanted, for {}, in the lane {}", order.names.join(", "), order.lane),
    )];
    let mut add = |at: Option<Timestamp>, kind: &str, summary: String| {
        if let Some(at) = at {
            moments.push(Moment::new(at, kind, summary));
        }
    };
    add(order.proven_at, "order.proven", "every name was seen to be ready".to_owned());
    let asks = if order.asks > 1 { format!(", asked for {} times", order.asks) } else { String::new() };
    add(order.admitted_at, "order.admitted", format!("let through the gate to the CA{asks}"));
    add(order.cancel_requested_at, "order.cancel_requested", "somebody wants it to end".to_owned());
    let ended = match order.stage.as_str() {
        "issued" => "the certificate is stored".to_owned(),
        "cancelled" => "ended as it was wished; its authorizations are settled".to_owned(),
        _ => order.fault.as_ref().map_or_else(String::new, |fault| fault.detail.clone()),
    };
    add(order.ended_at, &format!("order.{}", order.stage), ended);
    moments
}

fn of_authorization(one: &AuthorizationView, profile: &CaProfile) -> Vec<Moment> {
    let name = one.identifier.clone().unwrap_or_else(|| "a name that was not read yet".to_owned());
    let told = [
        (Some(one.opened_at), "opened".to_owned(), format!("opened at the CA for {name}")),
        (
            one.submit_intended_at,
            "submit_intended".to_owned(),
            format!("the response for {name} is ready to be submitted"),
        ),
        (one.submitted_at, "submitted".to_owned(), format!("the CA was told to validate {name}")),
        (
            one.deactivate_intended_at,
            "deactivate_intended".to_owned(),
            format!("{name} is to be deactivated"),
        ),
        (one.final_at, one.status.clone(), format!("the CA says that {name} is {}", one.status)),
    ];
    let cost = match one.status.as_str() {
        "invalid" => Some(Cost::FailureToken),
        "deactivated" if profile.charges_deactivation => Some(Cost::FailureToken),
        "deactivated" | "valid" => Some(Cost::Nothing),
        _ => None,
    };
    told.into_iter()
        .filter_map(|(at, kind, summary)| {
            let is_end = kind == one.status;
            let mut moment = Moment::new(at?, format!("authorization.{kind}"), summary);
            moment.identifier.clone_from(&one.identifier);
            moment.authorization_id = Some(one.id);
            moment.cost = cost.filter(|_| is_end);
            Some(moment)
        })
        .collect()
}

fn said(told: ToldProblem) -> Moment {
    let summary = format!("the CA said: {}", told.document.detail);
    let mut moment = Moment::new(told.first_at, "ca.problem", summary);
    moment.identifier = told.hostname;
    moment.step = Some(told.step);
    moment.times = Some(told.times);
    moment.last_at = Some(told.last_at);
    moment.problem = Some(told.document);
    moment
}

/// What was told to others of it, but for what the row tells itself.
async fn events(store: &Store, viewer: Viewer, order: &OrderView) -> Result<Vec<Moment>, StoreError> {
    let rows = sqlx::query!(
        "select kind, data, happened_at, actor_name
         from events
         where (subject = $1 or (subject = '' and certificate_id = $2 and order_id = $3))
             and ($4::uuid is null or tenant_id = $4)
             and kind not in ('order.cancelled', 'order.failed', 'certificate.issued')
         order by event_id
         limit $5",
        order.id.to_string(),
        order.certificate_id.0,
        order.id.0,
        viewer.tenant_id(),
        EVENTS_MAX
    )
    .fetch_all(&mut *store.read_as(viewer).await?)
    .await
    .map_err(StoreError::of("timelines.events"))?;
    let moments = rows.into_iter().map(|row| {
        let summary = format!("told by {}", row.actor_name);
        Moment { data: Some(row.data), ..Moment::new(row.happened_at.into(), row.kind, summary) }
    });
    Ok(moments.collect())
}
