//! What the CA has said in answer to the requests of an order, as it said it.

use issuance::identifier::Hostname;
use issuance::ids::OrderId;
use issuance::problem::Problem;
use issuance::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use sqlx::types::Uuid;
use utoipa::ToSchema;

use super::viewer::Viewer;
use super::{Store, StoreError, sql_instant};

/// Kept of one order: a CA that says something new each time fills no table.
const KEPT_MAX: i64 = 100;
const ACME_ERROR: &str = "urn:ietf:params:acme:error:";

/// A problem document that answered a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderProblem {
    /// One of [`issuance::step::Step::NAMES`].
    pub step: &'static str,
    /// The name it is about, where it is about one.
    pub hostname: Option<Hostname>,
    pub problem: Problem,
}

/// A problem document (RFC 8555 §6.7) as the CA wrote it, without what belongs to its HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(no_recursion)]
pub struct CaDocument {
    pub r#type: String,
    pub detail: String,
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subproblems: Vec<CaDocument>,
}

impl From<&Problem> for CaDocument {
    fn from(problem: &Problem) -> Self {
        Self {
            r#type: format!("{ACME_ERROR}{}", problem.kind),
            detail: problem.detail.to_string(),
            status: problem.status,
            identifier: problem.identifier.as_ref().map(ToString::to_string),
            subproblems: problem.subproblems.iter().map(Self::from).collect(),
        }
    }
}

/// What the CA has said, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldProblem {
    pub step: String,
    pub hostname: Option<String>,
    pub document: CaDocument,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub times: u32,
}

impl OrderProblem {
    /// Written twice, it counts once.
    pub(super) async fn write(
        &self,
        conn: &mut PgConnection,
        order: OrderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let document = serde_json::json!(CaDocument::from(&self.problem));
        let hostname = self.hostname.as_ref().map(Hostname::as_str);
        let digest = Sha256::digest(format!("{}\n{}\n{document}", self.step, hostname.unwrap_or_default()));
        sqlx::query!(
            "insert into order_problems (order_id, digest, tenant_id, step, hostname, problem, first_at, last_at)
             select order_id, $2, tenant_id, $3, $4, $5, $6, $6
             from orders
             where order_id = $1
                 and (select count(*) from order_problems where order_problems.order_id = $1) < $7
             on conflict (order_id, digest) do update
             set last_at = excluded.last_at, times = order_problems.times + 1
             where order_problems.last_at < excluded.last_at",
            order.0,
            &digest[..],
            self.step,
            hostname,
            document,
            sql_instant(now),
            KEPT_MAX
        )
        .execute(conn)
        .await
        .map(drop)
        .map_err(StoreError::of("order_problems.write"))
    }
}

/// All that is kept of these orders, in the order in which it was said first.
pub async fn of_orders(
    store: &Store,
    viewer: Viewer,
    orders: &[OrderId],
) -> Result<Vec<ToldProblem>, StoreError> {
    let orders: Vec<Uuid> = orders.iter().map(|order| order.0).collect();
    let rows = sqlx::query!(
        "select step, hostname, problem, first_at, last_at, times
         from order_problems
         where order_id = any($1) and ($2::uuid is null or tenant_id = $2)
         order by first_at, digest",
        &orders,
        viewer.tenant_id()
    )
    .fetch_all(&mut *store.read_as(viewer).await?)
    .await
    .map_err(StoreError::of("order_problems.of_orders"))?;
    let told = rows.into_iter().map(|row| {
        let document = serde_json::from_value(row.problem)
            .map_err(|error| StoreError::Inconsistent { table: "order_problems", what: error.to_string() })?;
        Ok(ToldProblem {
            step: row.step,
            hostname: row.hostname,
            document,
            first_at: row.first_at.into(),
            last_at: row.last_at.into(),
            times: u32::try_from(row.times).unwrap_or(0),
        })
    });
    told.collect()
}
