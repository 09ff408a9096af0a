//! The responder's answers out of the store: the same on every replica, the moment they are committed.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::challenge::http01::{Responses, ResponsesError};
use crate::store::Store;

#[derive(Debug)]
pub(super) struct StoredResponses(pub(super) Store);

impl Responses for StoredResponses {
    fn key_authorization<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, ResponsesError>> {
        async move { self.0.key_authorization(token).await.map_err(ResponsesError::new) }.boxed()
    }
}
