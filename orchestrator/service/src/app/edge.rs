//! What strangers can reach: the responder, with its board and its log, and the API.

use std::net::SocketAddr;
use std::sync::Arc;

use issuance::time::Clock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::responses::StoredResponses;
use super::{AppError, fetches, responses};
use crate::api::ApiState;
use crate::challenge::http01::{Board, FetchLog, Responder, ResponderConfig};
use crate::challenge::probe::ProbeSecret;
use crate::config::Config;
use crate::dashboard;
use crate::oidc::Oidc;
use crate::store::Store;

/// What serves strangers, and is stopped last.
pub(super) struct Edge<'a> {
    pub(super) tasks: &'a TaskTracker,
    pub(super) stop: &'a CancellationToken,
}

impl Edge<'_> {
    /// The responder, its board and its log. Returns where it listens.
    pub(super) async fn serve_responder(
        &self,
        config: &Config,
        store: &Store,
        secret: ProbeSecret,
        clock: &Arc<dyn Clock>,
    ) -> Result<(SocketAddr, Arc<Board>), AppError> {
        let listener = bind("responder", config.responder.listen).await?;
        let address = address(&listener)?;
        let connections_max = usize::try_from(config.responder.connections_max.get()).unwrap_or(usize::MAX);
        let settings = ResponderConfig {
            connections_max,
            trusted_proxies: config.responder.trusted_proxies.clone(),
            ..ResponderConfig::default()
        };
        // The other half of the seats is for what needs no database.
        let board = Board::new(Arc::new(StoredResponses(store.clone())), (connections_max / 2).max(1));
        let board = Arc::new(board);
        let (log, fetched) = FetchLog::new(Arc::clone(clock));
        let responder = Responder::new(settings, Arc::clone(&board), secret).logging(log);
        self.tasks.spawn(responses::keep(Arc::clone(&board), store.clone(), self.stop.clone()));
        self.tasks.spawn(fetches::write(fetched, store.clone(), self.stop.clone()));
        self.tasks.spawn(responder.serve(listener, self.stop.clone()));
        Ok((address, board))
    }

    pub(super) async fn serve_api(
        &self,
        config: &Config,
        mut state: ApiState,
        oidc: Option<Arc<Oidc>>,
    ) -> Result<SocketAddr, AppError> {
        state.stop = self.stop.clone();
        let listener = bind("API", config.api.listen).await?;
        let address = address(&listener)?;
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let service =
                dashboard::beside_api(state, oidc).into_make_service_with_connect_info::<SocketAddr>();
            let server = axum::serve(listener, service);
            if let Err(error) = server.with_graceful_shutdown(stop.cancelled_owned()).await {
                warn!(
                    event = "api.closed",
                    error = &error as &dyn std::error::Error,
                    "The API is no longer served"
                );
            }
        });
        Ok(address)
    }
}

async fn bind(what: &'static str, listen: SocketAddr) -> Result<TcpListener, AppError> {
    TcpListener::bind(listen).await.map_err(|source| AppError::Listen { what, listen, source })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, AppError> {
    listener.local_addr().map_err(AppError::Address)
}
