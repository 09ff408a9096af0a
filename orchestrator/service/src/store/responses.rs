//! What the responder answers, on any replica, and how replicas tell each other.

use issuance::ids::OrderId;
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::types::Uuid;

use super::{Store, StoreError};

/// Where replicas tell each other that orders have new responses.
const CHANNEL: &str = "lockkeeper_responses";
/// Postgres takes 8000 bytes a notice; an id has 32 characters, and a comma.
const ORDERS_PER_NOTICE: usize = 200;

/// An HTTP-01 challenge response: the key authorization (RFC 8555 §8.1) to serve under a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    pub order: OrderId,
    pub token: String,
    pub key_authorization: String,
}

struct Row {
    order_id: Uuid,
    token: String,
    key_authorization: String,
}

fn stored(rows: Vec<Row>) -> Vec<StoredResponse> {
    let stored = rows.into_iter().map(|row| StoredResponse {
        order: OrderId(row.order_id),
        token: row.token,
        key_authorization: row.key_authorization,
    });
    stored.collect()
}

impl Store {
    /// Those of the tokens whose authorizations are not final, the one of the latest order last where several have
    /// the same authorization.
    pub async fn responses_to(&self, tokens: &[String]) -> Result<Vec<StoredResponse>, StoreError> {
        sqlx::query_as!(
            Row,
            r#"select order_id, token as "token!", key_authorization as "key_authorization!"
               from authorizations
               where token = any($1) and token is not null and final_at is null and challenge_type = 'http-01'
               order by order_id"#,
            tokens
        )
        .fetch_all(self.pool())
        .await
        .map(stored)
        .map_err(StoreError::of("responses.read"))
    }

    /// The same, of these orders.
    pub async fn responses_of(&self, orders: &[OrderId]) -> Result<Vec<StoredResponse>, StoreError> {
        let orders: Vec<Uuid> = orders.iter().map(|order| order.0).collect();
        sqlx::query_as!(
            Row,
            r#"select order_id, token as "token!", key_authorization as "key_authorization!"
               from authorizations
               where order_id = any($1) and token is not null and final_at is null and challenge_type = 'http-01'
               order by order_id"#,
            &orders
        )
        .fetch_all(self.pool())
        .await
        .map(stored)
        .map_err(StoreError::of("responses.of_orders"))
    }

    /// All there are, but no more than `rows_max`, the latest orders first to be among them.
    pub async fn responses(&self, rows_max: u32) -> Result<Vec<StoredResponse>, StoreError> {
        let mut all = sqlx::query_as!(
            Row,
            r#"select order_id, token as "token!", key_authorization as "key_authorization!"
               from authorizations
               where token is not null and final_at is null and challenge_type = 'http-01'
               order by order_id desc limit $1"#,
            i64::from(rows_max)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("responses.all"))?;
        all.reverse();
        Ok(stored(all))
    }

    /// Tells all replicas that these orders have new responses.
    ///
    /// Its commit takes a lock over the whole database for a moment, which is why it is a statement of its own, for
    /// many orders, and waits for no disk: a notice that is lost in a crash is made up for by the next reading.
    pub async fn announce_responses(&self, orders: &[OrderId]) -> Result<(), StoreError> {
        let notices: Vec<String> = orders
            .chunks(ORDERS_PER_NOTICE)
            .map(|some| some.iter().map(|order| order.0.simple().to_string()).collect::<Vec<_>>().join(","))
            .collect();
        sqlx::query!(
            r#"select set_config('synchronous_commit', 'off', true) as "lazily", pg_notify($1, notice)::text as "told"
               from unnest($2::text[]) as notice"#,
            CHANNEL,
            &notices
        )
        .fetch_all(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("responses.announce"))
    }

    /// Listens to what replicas tell from now on, over a connection of its own.
    pub async fn listen_for_responses(&self) -> Result<ResponseNotices, StoreError> {
        let failed = StoreError::of("responses.listen");
        let options = self.pool().connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let pool = pool.after_connect(|connection, _| Box::pin(super::outage::refuse_standby(connection)));
        let mut listener =
            PgListener::connect_with(&pool.connect_lazy_with(options)).await.map_err(&failed)?;
        listener.listen(CHANNEL).await.map_err(&failed)?;
        Ok(ResponseNotices(listener))
    }

    /// Those of the CA's order URLs that the ledger knows.
    pub async fn known_ca_orders(&self, urls: &[String]) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!(r#"select ca_order_url as "url!" from orders where ca_order_url = any($1)"#, urls)
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::of("orders.known"))
    }
}

/// What replicas tell each other.
#[derive(Debug)]
pub struct ResponseNotices(PgListener);

impl ResponseNotices {
    /// The orders of all notices that have come; waits for the first. `None`: the connection was lost, and with it
    /// perhaps notices.
    pub async fn next(&mut self) -> Result<Option<Vec<OrderId>>, StoreError> {
        let failed = StoreError::of("responses.listen");
        let Some(first) = self.0.try_recv().await.map_err(&failed)? else { return Ok(None) };
        let mut orders = read(first.payload());
        while let Some(notice) = self.0.next_buffered() {
            orders.extend(read(notice.payload()));
        }
        Ok(Some(orders))
    }
}

/// Whatever else is said on the channel is not for us.
fn read(notice: &str) -> Vec<OrderId> {
    notice.split(',').filter_map(|id| Uuid::try_parse(id).ok()).map(OrderId).collect()
}
