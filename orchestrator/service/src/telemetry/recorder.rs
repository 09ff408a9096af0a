use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Seconds. Five to a decade at the fast end, where our own work lies (a request on loopback takes 0.5 ms); at the
/// slow end hours, where an order waits for a limit.
const SECONDS_BUCKETS: [f64; 18] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
    900.0, 7_200.0,
];

/// Of the API, whose routes are many and each has a series for each bucket: what a person notices, and what is late.
const API_SECONDS_BUCKETS: [f64; 7] = [0.01, 0.05, 0.2, 0.5, 1.0, 5.0, 30.0];
const API_SECONDS: &str = "lockkeeper_api_request_duration_seconds";

/// Counts of things: orders in a batch, names in an order.
const COUNT_BUCKETS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

/// What has been measured, in the text format of Prometheus.
#[derive(Clone)]
pub struct Exposition(PrometheusHandle);

impl std::fmt::Debug for Exposition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

impl Exposition {
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds new samples into the histograms: to be called every few seconds, or memory grows until the next scrape.
    pub fn fold_samples(&self) {
        self.0.run_upkeep();
    }
}

/// Makes every `metrics` macro of this process write to the recorder whose reader is returned. To be called once.
pub fn install_recorder() -> Result<Exposition, RecorderError> {
    let handle = builder()?.install_recorder().map_err(RecorderError)?;
    metrics::describe_gauge!("lockkeeper_build_info", "Always 1; the labels say what is running");
    let commit = option_env!("LOCKKEEPER_COMMIT").unwrap_or("unknown");
    metrics::gauge!("lockkeeper_build_info", "version" => env!("CARGO_PKG_VERSION"), "commit" => commit)
        .set(1.0);
    Ok(Exposition(handle))
}

fn builder() -> Result<PrometheusBuilder, RecorderError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Full(API_SECONDS.to_owned()), &API_SECONDS_BUCKETS)
        })
        .and_then(|builder| builder.set_buckets(&COUNT_BUCKETS))
        .map_err(RecorderError)
}

#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be recorded")]
pub struct RecorderError(#[source] BuildError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_counts_have_buckets_of_their_own() {
        let recorder = builder().unwrap().build_recorder();
        let exposition = Exposition(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("lockkeeper_acme_request_duration_seconds").record(0.003);
            metrics::histogram!("lockkeeper_claim_batch_orders").record(7.0);
            metrics::histogram!("lockkeeper_api_request_duration_seconds").record(0.3);
        });
        let text = exposition.render();
        assert!(text.contains("lockkeeper_acme_request_duration_seconds_bucket{le=\"0.0025\"} 0"), "{text}");
        assert!(text.contains("lockkeeper_acme_request_duration_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("lockkeeper_api_request_duration_seconds_bucket{le=\"0.5\"} 1"), "{text}");
        assert!(!text.contains("lockkeeper_api_request_duration_seconds_bucket{le=\"0.0005\"}"), "{text}");
        assert!(text.contains("lockkeeper_claim_batch_orders_bucket{le=\"10\"} 1"), "{text}");
    }
}
