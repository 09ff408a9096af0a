//! Debian's Prometheus scrapes a running service and wakes somebody.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use issuance::limit::{Limit, LimitName};
use lockkeeper::cli::api_client::fetch_plain;
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, World, csv, hostname};
use rehearsal::fleet::Site;
use rehearsal::rules::CaRules;
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::units::repository;

const WITHIN: Duration = Duration::from_mins(1);
/// New orders that the CA grants a day. A bulk import leaves a twentieth of them to the other lanes.
const GRANTED: u32 = 20;
const TAKEN: u64 = 19;

/// A server with our rules, on a port of its own.
struct Prometheus {
    at: SocketAddr,
    _process: Child,
    folder: tempfile::TempDir,
}

impl Prometheus {
    /// Ours, but that nothing has to hold for a while before it fires.
    fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let rules = std::fs::read_to_string(repository().join("dashboards/alerts.yml"))?;
        let at_once: Vec<&str> = rules
            .lines()
            .map(|line| if line.starts_with("        for: ") { "        for: 0s" } else { line })
            .collect();
        std::fs::write(folder.path().join("alerts.yml"), at_once.join("\n"))?;
        std::fs::copy(repository().join("dashboards/recording.yml"), folder.path().join("recording.yml"))?;
        std::fs::write(
            folder.path().join("prometheus.yml"),
            format!(
                "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\n\
                 rule_files: [recording.yml, alerts.yml]\n\
                 scrape_configs: [{{ job_name: lockkeeper, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
            ),
        )?;
        let at = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={at}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("prometheus runs: .ci/setup prometheus")?;
        Ok(Self { at, _process: process, folder })
    }

    /// Every rule, with its state and its health; none while the server is not there yet.
    async fn rules(&self) -> anyhow::Result<Vec<Value>> {
        let Ok(text) = fetch_plain(&format!("http://{}/api/v1/rules", self.at)).await else {
            return Ok(Vec::new());
        };
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    /// `inactive`, `pending` or `firing`.
    async fn state(&self, alert: &str) -> anyhow::Result<String> {
        let rules = self.rules().await?;
        let rule = rules.iter().find(|rule| rule["name"] == alert);
        Ok(rule.and_then(|rule| rule["state"].as_str()).unwrap_or("unknown").to_owned())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn profile(folder: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(folder.join("deploy/ca-profiles/rehearsal.toml"))?;
    let few = text.replace(
        "burst = 1000000\ncount = 1000000\nperiod_seconds = 10800",
        &format!("burst = {GRANTED}\ncount = {GRANTED}\nperiod_seconds = 86400"),
    );
    ensure!(few != text, "the profile has other numbers");
    Ok(few)
}

#[tokio::test]
async fn an_alert_fires_when_the_limit_runs_out() -> anyhow::Result<()> {
    let sites: Vec<Site> =
        (0..24).map(|place| Site::healthy(vec![hostname(&format!("scarce-{place}.com"))])).collect();
    let limit = Limit {
        name: LimitName::NewOrdersPerAccount,
        burst: GRANTED,
        count: GRANTED,
        period_seconds: 86_400,
    };
    let rules = CaRules { limits: vec![limit], ..CaRules::default() };
    let settings = Settings { reconcile_seconds: Some(1), ..Settings::default() };
    let world = World::start(Plan {
        ca: CaChoice::Rehearsal(rules),
        profile: Some(profile(&repository())?),
        settings,
        ..Plan::new(sites.clone())
    })
    .await?;
    let service = world.process("one").await?;
    let prometheus = Prometheus::start(service.at.metrics.context("it serves metrics")?)?;
    world
        .wait_until("every rule has been evaluated, and the limit is seen", WITHIN, async || {
            let rules = prometheus.rules().await?;
            let query =
                format!("http://{}/api/v1/query?query=lockkeeper:limit:remaining_ratio", prometheus.at);
            let seen = fetch_plain(&query).await.is_ok_and(|text| text.contains("new_orders_per_account"));
            // Before its first scrape it sees nobody, and says so.
            let met =
                rules.iter().any(|rule| rule["name"] == "LockkeeperAbsent" && rule["state"] == "inactive");
            Ok(seen && met && rules.len() > 40 && rules.iter().all(|rule| rule["health"] == "ok"))
        })
        .await
        .with_context(|| prometheus.log())?;
    for quiet in
        ["LockkeeperHeadroomLow", "LockkeeperAbsent", "LockkeeperNoWorker", "LockkeeperRefusedByLimit"]
    {
        assert_eq!(prometheus.state(quiet).await?, "inactive", "{quiet}");
    }
    world.import_by("one", &service, csv(&sites)).await?;
    world
        .wait_until("the alert fires", WITHIN, async || {
            Ok(prometheus.state("LockkeeperHeadroomLow").await? == "firing")
        })
        .await
        .with_context(|| prometheus.log())?;
    let rules = prometheus.rules().await?;
    let rule = rules.iter().find(|rule| rule["name"] == "LockkeeperHeadroomLow").context("it is loaded")?;
    let alert = &rule["alerts"][0];
    assert_eq!(alert["labels"]["limit"], "new_orders_per_account", "{alert}");
    assert_eq!(alert["annotations"]["runbook_url"], "RUNBOOK.md#headroom-low", "{alert}");
    // It ran out because it was used, and nobody asked for more.
    world
        .wait_until("what was granted is issued", WITHIN, async || {
            Ok(world.summary().await?.certificates_issued == TAKEN)
        })
        .await?;
    assert_eq!(world.audit()?.rate_limited, 0);
    for quiet in ["LockkeeperAbsent", "LockkeeperNoWorker", "LockkeeperRefusedByLimit"] {
        assert_eq!(prometheus.state(quiet).await?, "inactive", "{quiet}");
    }
    drop(prometheus);
    ensure!(service.terminate(WITHIN).await?.success(), "it does not stop well");
    world.stop().await
}

/// Each query of a board is one that Prometheus understands.
#[tokio::test]
async fn every_query_of_every_board_is_understood() -> anyhow::Result<()> {
    let mut rules = String::from("groups:\n- name: boards\n  rules:\n");
    let mut queries = 0;
    for board in ["overview", "limits", "operations"] {
        let path = repository().join(format!("dashboards/grafana/{board}.json"));
        let board: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        let panels = board["panels"].as_array().context("panels")?;
        for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
            let query = target["expr"].as_str().context("a query")?.replace("$ca", ".*");
            let quoted = serde_json::to_string(&query)?;
            writeln!(rules, "  - {{ record: \"board:query:{queries}\", expr: {quoted} }}")?;
            queries += 1;
        }
    }
    assert!(queries > 80, "{queries}");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("boards.yml");
    std::fs::write(&file, rules)?;
    let checked = Command::new("promtool").args(["check", "rules"]).arg(&file).output().await?;
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    Ok(())
}
