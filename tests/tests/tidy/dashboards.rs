//! Metrics, alerts, boards and runbook speak of the same things.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::Deserialize;
use serde_json::Value;

use crate::source::{Source, repository, root};

const PREFIX: &str = "lockkeeper_";

/// Every metric that the service registers: names in files that use the `metrics` crate.
fn registered(sources: &[Source]) -> BTreeSet<String> {
    let service = sources.iter().filter(|source| source.path.starts_with("orchestrator/service/src/"));
    let told = service.map(Source::production).filter(|lexed| lexed.code.contains("metrics::"));
    told.flat_map(|lexed| lexed.strings).filter(|text| names_in(text).any(|name| name == *text)).collect()
}

/// What looks like the name of a metric.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(PREFIX).filter_map(|(at, _)| {
        let is_part = text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let name = &text[at..];
        let end = name.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        let name = &name[..end.unwrap_or(name.len())];
        (!is_part && name.len() > PREFIX.len() && !name.ends_with('_')).then_some(name)
    })
}

/// The metric behind a series: a histogram has three.
fn metric_of<'a>(series: &'a str, known: &BTreeSet<String>) -> &'a str {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| series.strip_suffix(suffix));
    base.filter(|base| known.contains(*base)).unwrap_or(series)
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn below(folder: &str, ending: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names = entries.map(|entry| entry.expect("it is read").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names.into_iter().map(|name| (format!("{folder}/{name}"), read(&format!("{folder}/{name}")))).collect()
}

/// Rules and boards, by path.
fn readers() -> Vec<(String, String)> {
    let mut readers = vec![
        ("dashboards/alerts.yml".to_owned(), read("dashboards/alerts.yml")),
        ("dashboards/recording.yml".to_owned(), read("dashboards/recording.yml")),
    ];
    readers.extend(below("dashboards/grafana", ".json"));
    readers
}

/// What is read and is not there, what is there and nobody reads, and what the page does not tell.
fn breaches(known: &BTreeSet<String>, readers: &[(String, String)], page: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut read = BTreeSet::new();
    for (path, text) in readers {
        for name in names_in(text).map(|series| metric_of(series, known)) {
            if known.contains(name) {
                read.insert(name);
            } else {
                breaches.push(format!("{path}: there is no metric {name}"));
            }
        }
    }
    let unread = known.iter().filter(|name| !read.contains(name.as_str()));
    breaches.extend(unread.map(|name| format!("{name}: no rule and no board reads it")));
    let listed: BTreeSet<&str> = page.split('`').flat_map(names_in).collect();
    let untold = known.iter().filter(|name| !listed.contains(name.as_str()));
    breaches.extend(untold.map(|name| format!("dashboards/README.md: lacks {name}")));
    breaches
}

#[test]
fn every_metric_is_read_and_told_and_every_one_that_is_read_is_there() {
    let known = registered(&repository());
    assert!(known.len() > 80, "only {} metrics are found: {known:?}", known.len());
    let found = breaches(&known, &readers(), &read("dashboards/README.md"));
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));

    let known = BTreeSet::from(["lockkeeper_a_total".to_owned(), "lockkeeper_b_seconds".to_owned()]);
    let board = |text: &str| vec![("board".to_owned(), text.to_owned())];
    let both = "rate(lockkeeper_a_total[5m]) lockkeeper_b_seconds_bucket";
    let page = "`lockkeeper_a_total` `lockkeeper_b_seconds`";
    assert!(breaches(&known, &board(both), page).is_empty());
    assert_eq!(breaches(&known, &board("lockkeeper_a_total"), page).len(), 1);
    assert_eq!(breaches(&known, &board(&format!("{both} lockkeeper_c_total")), page).len(), 1);
    assert_eq!(breaches(&known, &board(both), "`lockkeeper_a_total`").len(), 1);
}

#[derive(Debug, Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    alert: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct TestFile {
    tests: Vec<RuleTest>,
}

#[derive(Debug, Deserialize)]
struct RuleTest {
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Debug, Deserialize)]
struct AlertTest {
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<Value>,
}

fn parsed<T: for<'de> Deserialize<'de>>(path: &str, text: &str) -> T {
    serde_yaml_ng::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn alerts() -> Vec<(String, Rule)> {
    let path = "dashboards/alerts.yml";
    let file: RuleFile = parsed(path, &read(path));
    let rules = file.groups.into_iter().flat_map(|group| group.rules);
    rules.map(|rule| (rule.alert.clone().expect("a recording rule stands elsewhere"), rule)).collect()
}

#[test]
fn every_alert_says_how_bad_it_is_what_it_is_and_where_to_read_on() {
    for (alert, rule) in alerts() {
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("page" | "ticket")), "{alert}: {severity:?}");
        for annotation in ["summary", "description", "runbook_url"] {
            let text = rule.annotations.get(annotation).unwrap_or_else(|| panic!("{alert}: no {annotation}"));
            assert!(!text.trim().is_empty(), "{alert}: its {annotation} is empty");
        }
    }
}

#[test]
fn every_alert_is_seen_to_fire_and_to_stay_silent() {
    let mut seen: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for (path, text) in below("dashboards", ".test.yml") {
        let file: TestFile = parsed(&path, &text);
        for case in file.tests.into_iter().flat_map(|test| test.alert_rule_test) {
            let (fires, silent) = seen.entry(case.alertname).or_default();
            *if case.exp_alerts.is_empty() { silent } else { fires } += 1;
        }
    }
    for (alert, _) in alerts() {
        let (fires, silent) = seen.remove(&alert).unwrap_or_default();
        assert!(fires > 0 && silent > 0, "{alert}: fires in {fires} cases, and is silent in {silent}");
    }
    assert!(seen.is_empty(), "cases of no alert: {seen:?}");
}

/// As a heading of that text is named in a URL.
fn anchor(heading: &str) -> String {
    heading.trim().to_lowercase().replace(' ', "-")
}

#[test]
fn every_alert_has_its_section_of_the_runbook_and_no_section_is_left_over() {
    let runbook = read("deploy/RUNBOOK.md");
    let mut sections: BTreeMap<String, &str> = runbook
        .split("\n## ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .map(|(heading, body)| (anchor(heading), body))
        .collect();
    for (alert, rule) in alerts() {
        let url = &rule.annotations["runbook_url"];
        let section = url.strip_prefix("RUNBOOK.md#").unwrap_or_else(|| panic!("{alert}: {url}"));
        let body =
            sections.remove(section).unwrap_or_else(|| panic!("{alert}: no section {section} of its own"));
        for part in ["**Means:**", "**Look:**", "**Do:**"] {
            assert!(body.contains(part), "{section}: lacks {part}");
        }
    }
    assert!(sections.is_empty(), "of no alert: {:?}", sections.keys());
}

#[test]
fn every_board_can_be_imported_and_tells_what_it_shows() {
    let boards = below("dashboards/grafana", ".json");
    assert_eq!(boards.len(), 3);
    let mut uids = BTreeSet::new();
    for (path, text) in boards {
        let board: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let uid = board["uid"].as_str().expect("a stable uid");
        assert!(uids.insert(uid.to_owned()) && board["id"].is_null(), "{path}: {uid}");
        assert_eq!(board["tags"][0], "lockkeeper", "{path}");
        let variables = board["templating"]["list"].as_array().expect("variables");
        assert!(variables.iter().any(|one| one["name"] == "datasource"), "{path}");
        let mut ids = BTreeSet::new();
        for panel in board["panels"].as_array().expect("panels") {
            let title = panel["title"].as_str().unwrap_or_default();
            assert!(ids.insert(panel["id"].as_u64()) && !title.is_empty(), "{path}: {panel}");
            if panel["type"] == "row" {
                continue;
            }
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{path}: {title}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{path}: {title}");
            let targets = panel["targets"].as_array().expect("targets");
            let asks = |target: &Value| target["expr"].as_str().is_some_and(|expr| !expr.is_empty());
            assert!(!targets.is_empty() && targets.iter().all(asks), "{path}: {title}");
        }
    }
}
