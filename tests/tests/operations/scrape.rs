//! `/metrics`, read as Prometheus does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use lockkeeper::cli::api_client::fetch_plain;
use lockkeeper_tests::service_process::ServiceProcess;

/// One scrape.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) text: String,
    /// Value by name and labels, as they are written.
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    pub(crate) async fn of(service: &ServiceProcess) -> anyhow::Result<Self> {
        let address = service.at.metrics.context("it serves metrics")?;
        let text = fetch_plain(&format!("http://{address}/metrics")).await?;
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').with_context(|| format!("no sample: {line}"))?;
            samples.insert(series.to_owned(), value.parse()?);
        }
        Ok(Self { text, samples })
    }

    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }

    /// Over all series that begin like that.
    pub(crate) fn sum(&self, beginning: &str) -> f64 {
        let found = self.samples.iter().filter(|(series, _)| series.starts_with(beginning));
        found.map(|(_, value)| value).sum()
    }

    pub(crate) fn series(&self) -> usize {
        self.samples.len()
    }

    /// All series but those that come on with work, whoever it is for: what reconcilers do, and what the CA is asked.
    pub(crate) fn of_tenants(&self) -> BTreeSet<&str> {
        let comes_on = |series: &str| {
            ["lockkeeper_reconcile_", "lockkeeper_acme_"].iter().any(|prefix| series.starts_with(prefix))
        };
        self.samples.keys().map(String::as_str).filter(|series| !comes_on(series)).collect()
    }

    /// Metrics of which nothing says what they are.
    pub(crate) fn without_help(&self) -> Vec<&str> {
        let word = |line: &'_ str, kind: &str| {
            line.strip_prefix(kind).and_then(|rest| rest.split(' ').next()).map(str::to_owned)
        };
        let helped: BTreeSet<String> = self.text.lines().filter_map(|line| word(line, "# HELP ")).collect();
        let typed = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let typed = typed.filter_map(|rest| rest.split(' ').next());
        typed.filter(|name| !helped.contains(*name)).collect()
    }
}
