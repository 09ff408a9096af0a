use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::health::{Readiness, ReadinessWatch};
use super::recorder::Exposition;

const FOLD_INTERVAL: Duration = Duration::from_secs(5);

/// The text format that `Exposition` renders.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves `/metrics`, `/livez` and `/readyz` on a port of their own. Whoever reaches it may read.
#[derive(Debug)]
pub struct MetricsServer {
    listener: TcpListener,
    address: SocketAddr,
    exposition: Exposition,
    readiness: ReadinessWatch,
}

impl MetricsServer {
    pub async fn bind(
        listen: SocketAddr,
        exposition: Exposition,
        readiness: ReadinessWatch,
    ) -> Result<Self, MetricsServerError> {
        let failed = |source| MetricsServerError::Bind { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, exposition, readiness })
    }

    /// Where it listens, also when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), MetricsServerError> {
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .with_state(self.exposition.clone())
            .route("/livez", get(async || "alive\n"))
            .merge(Router::new().route("/readyz", get(readyz)).with_state(self.readiness));
        let server = axum::serve(self.listener, routes).with_graceful_shutdown(stop.cancelled_owned());
        tokio::select! {
            served = server => served.map_err(MetricsServerError::Serve),
            () = fold_samples(&self.exposition) => Ok(()),
        }
    }
}

/// Never ends.
async fn fold_samples(exposition: &Exposition) {
    let mut tick = interval(FOLD_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        exposition.fold_samples();
    }
}

async fn metrics(State(exposition): State<Exposition>) -> impl IntoResponse {
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], exposition.render())
}

async fn readyz(State(readiness): State<ReadinessWatch>) -> (StatusCode, String) {
    match readiness.now() {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MetricsServerError {
    #[error("[metrics] listen: {listen} cannot be listened on")]
    Bind {
        listen: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("the metrics server broke down")]
    Serve(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::telemetry::{install_recorder, readiness};

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_and_health_are_served_until_stopped_on_a_port_of_their_own() {
        let (gate, watch) = readiness();
        let exposition = install_recorder().unwrap();
        let server =
            MetricsServer::bind((Ipv4Addr::LOCALHOST, 0).into(), exposition.clone(), watch).await.unwrap();
        let address = server.address();
        let taken = MetricsServer::bind(address, exposition.clone(), readiness().1).await.unwrap_err();
        assert!(taken.to_string().contains(&address.to_string()), "{taken}");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.serve(stop.clone()));

        let metrics = fetch(address, "/metrics").await;
        assert!(
            metrics.contains("version=0.0.4") && metrics.contains("lockkeeper_build_info{version="),
            "{metrics}"
        );
        assert!(fetch(address, "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 503"));
        gate.set(Readiness::Ready);
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        gate.set(Readiness::NotReady("draining"));
        let draining = fetch(address, "/readyz").await;
        assert!(draining.starts_with("HTTP/1.1 503") && draining.ends_with("draining\n"), "{draining}");
        drop(gate);
        assert!(fetch(address, "/readyz").await.ends_with("stopping\n"));

        stop.cancel();
        serving.await.unwrap().unwrap();
    }
}
