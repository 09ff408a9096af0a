//! What the responder answers, on any replica.

use super::{Store, StoreError};

impl Store {
    /// The key authorization (RFC 8555 §8.1) for a token, while its authorization is pending.
    pub async fn key_authorization(&self, token: &str) -> Result<Option<String>, StoreError> {
        let found = sqlx::query_scalar!(
            r#"select key_authorization as "key_authorization!"
               from authorizations where token = $1 and token is not null and final_at is null limit 1"#,
            token
        )
        .fetch_optional(self.pool())
        .await
        .map_err(StoreError::of("responses.read"))?;
        Ok(found)
    }

    /// Those of the CA's order URLs that the ledger knows.
    pub async fn known_ca_orders(&self, urls: &[String]) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!(r#"select ca_order_url as "url!" from orders where ca_order_url = any($1)"#, urls)
            .fetch_all(self.pool())
            .await
            .map_err(StoreError::of("orders.known"))
    }
}
