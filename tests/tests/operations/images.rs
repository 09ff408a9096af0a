//! The image and the compose file, read closely: no daemon is needed for that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use lockkeeper::config::Config;
use serde_yaml_ng::Value;
use tokio::process::Command;

use crate::units::repository;

fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(repository().join(path)).with_context(|| path.to_owned())
}

fn yaml(path: &str) -> anyhow::Result<Value> {
    serde_yaml_ng::from_str(&read(path)?).with_context(|| path.to_owned())
}

/// A version, and not whatever is newest.
fn is_pinned(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').is_some_and(|(_, tag)| tag != "latest" && !tag.is_empty())
}

/// Instructions with their words; lines that go on are joined.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let joined = dockerfile.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
        .collect()
}

/// What is wrong with a Dockerfile.
fn flaws(dockerfile: &str) -> Vec<String> {
    let mut flaws = Vec::new();
    let all = instructions(dockerfile);
    let (mut stages, mut user) = (Vec::new(), None);
    for (word, rest) in &all {
        match word.as_str() {
            "FROM" => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                if !is_pinned(words[0]) && !stages.contains(&words[0].to_owned()) {
                    flaws.push(format!("{} is not pinned", words[0]));
                }
                stages.extend(words.get(2).map(|stage| (*stage).to_owned()));
                user = None;
            }
            "USER" => user = Some(rest.clone()),
            "ADD" => flaws.push("ADD fetches and unpacks: COPY".to_owned()),
            "ENTRYPOINT" | "CMD" if !rest.starts_with('[') => flaws.push(format!("{word} starts a shell")),
            "HEALTHCHECK" if !rest.contains("CMD [") => flaws.push("HEALTHCHECK starts a shell".to_owned()),
            "RUN" if rest.contains("apt-get install") && !rest.contains("rm -rf /var/lib/apt/lists") => {
                flaws.push("package lists stay in the image".to_owned());
            }
            "COPY" if rest.starts_with("--from=") => {
                let stage = rest["--from=".len()..].split(' ').next().unwrap_or_default();
                if !stages.iter().any(|known| known == stage) {
                    flaws.push(format!("there is no stage {stage}"));
                }
            }
            _ => {}
        }
    }
    let is_number = |user: &String| user.split(':').all(|part| part.parse::<u32>().is_ok_and(|id| id > 0));
    if !user.as_ref().is_some_and(is_number) {
        flaws.push("the last stage's USER is no number above 0".to_owned());
    }
    for wanted in ["HEALTHCHECK", "ENTRYPOINT", "EXPOSE"] {
        if !all.iter().any(|(word, _)| word == wanted) {
            flaws.push(format!("no {wanted}"));
        }
    }
    flaws
}

#[test]
fn the_dockerfile_has_no_flaws() -> anyhow::Result<()> {
    let text = read("deploy/Dockerfile")?;
    assert_eq!(flaws(&text), Vec::<String>::new());
    let planted = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        flaws(&text.replace(from, to)).len()
    };
    assert_eq!(planted("rust:1.94-bookworm", "rust:latest"), 1);
    assert_eq!(planted("USER 65532:65532", "USER root"), 1);
    assert_eq!(planted("CMD [\"serve\"]", "CMD serve"), 1);
    assert_eq!(planted("--from=build /out/usr", "--from=built /out/usr"), 1);
    assert_eq!(planted("HEALTHCHECK", "LABEL"), 1);
    // The toolchain is one that may build it.
    let manifest = read("Cargo.toml")?;
    let wanted =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).context("a version")?;
    assert!(text.contains(&format!("FROM rust:{}-", wanted.trim_matches('"'))), "{wanted}");
    Ok(())
}

#[test]
fn what_the_image_is_built_from_is_let_in() -> anyhow::Result<()> {
    let ignored = read("deploy/Dockerfile.dockerignore")?;
    let let_in: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for needed in
        ["Cargo.toml", "Cargo.lock", ".sqlx", "migrations", "orchestrator", "deploy", "tests", "benches"]
    {
        assert!(let_in.contains(&needed), "{needed}");
    }
    for path in let_in {
        assert!(repository().join(path).exists(), "there is no {path}");
    }
    Ok(())
}

/// `${NAME:-fallback}` and `${NAME:?reason}` as compose fills them in from `.env`.
fn filled(text: &str, variables: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let mut rest = text;
    let mut filled = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, behind) = after.split_once('}').context("a brace is open")?;
        let end = inside.find(':').unwrap_or(inside.len());
        let known = variables.get(&inside[..end]).filter(|value| !value.is_empty());
        let fallback = inside[end..].strip_prefix(":-");
        filled.push_str(before);
        filled.push_str(
            known.map(String::as_str).or(fallback).with_context(|| format!("{inside} is not set"))?,
        );
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn words(value: &Value) -> Vec<String> {
    let sequence = value.as_sequence().into_iter().flatten();
    sequence.filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

#[test]
fn the_compose_file_is_whole_and_opens_nothing_it_need_not() -> anyhow::Result<()> {
    let compose = yaml("deploy/compose/compose.yaml")?;
    let services = compose["services"].as_mapping().context("services")?;
    let names: Vec<&str> = services.keys().filter_map(Value::as_str).collect();
    assert_eq!(names, ["postgres", "lockkeeper", "prometheus", "grafana"]);
    let volumes = compose["volumes"].as_mapping().context("volumes")?;
    for (name, service) in services {
        let name = name.as_str().context("a name")?;
        let image = service["image"].as_str().context("an image")?;
        assert!(is_pinned(image), "{name}: {image}");
        assert!(service["restart"].is_string(), "{name} does not come back");
        for volume in words(&service["volumes"]) {
            let source = volume.split(':').next().unwrap_or_default();
            let exists = if source.starts_with('.') {
                volume.ends_with(":ro") && repository().join("deploy/compose").join(source).exists()
            } else {
                volumes.contains_key(source)
            };
            assert!(exists, "{name}: {volume}");
        }
        for port in words(&service["ports"]) {
            // The web servers of the fleet have to reach the responder.
            assert!(port.starts_with("127.0.0.1:") || port == "8402:8402", "{name}: {port}");
        }
        if name != "postgres" {
            assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name}");
            assert_eq!(words(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        }
    }
    let service = &compose["services"]["lockkeeper"];
    assert_eq!(service["depends_on"]["postgres"]["condition"], "service_healthy");
    assert_eq!(service["read_only"], true);
    assert!(compose["services"]["postgres"]["healthcheck"]["test"].is_sequence());
    assert!(compose["services"]["postgres"]["ports"].is_null());
    let build =
        repository().join("deploy/compose").join(service["build"]["context"].as_str().context("a folder")?);
    assert!(build.join(service["build"]["dockerfile"].as_str().context("a file")?).exists());
    Ok(())
}

/// As it is copied from the example, with passwords.
#[test]
fn the_service_reads_what_compose_tells_it() -> anyhow::Result<()> {
    let example = read("deploy/compose/.env.example")?;
    let pairs = example.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let mut variables: BTreeMap<String, String> =
        pairs.map(|(key, value)| (key.into(), value.into())).collect();
    let compose = yaml("deploy/compose/compose.yaml")?;
    let environment =
        compose["services"]["lockkeeper"]["environment"].as_mapping().context("variables")?.clone();
    let configured = |variables: &BTreeMap<String, String>| -> anyhow::Result<Config> {
        let mut told = Vec::new();
        for (key, value) in &environment {
            let (key, value) = (key.as_str().context("a name")?, value.as_str().context("a text")?);
            told.push((key.to_owned(), filled(value, variables)?));
        }
        // What the image sets.
        let dockerfile = instructions(&read("deploy/Dockerfile")?);
        let set =
            dockerfile.iter().filter(|(word, _)| word == "ENV").flat_map(|(_, rest)| rest.split_whitespace());
        told.extend(
            set.filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.into(), value.into())),
        );
        let empty = tempfile::NamedTempFile::new()?;
        Ok(Config::load(Some(empty.path()), told.into_iter())?)
    };
    assert!(configured(&variables).is_err(), "a password has to be set");
    variables.insert("POSTGRES_PASSWORD".into(), "secret".into());
    let config = configured(&variables)?;
    assert!(!config.ca.agree_to_terms && config.ca.profile == "letsencrypt-staging");
    assert_eq!(config.metrics.listen, "0.0.0.0:8401".parse()?);
    variables.insert("CA_AGREE_TO_TERMS".into(), "true".into());
    variables.insert("CA_CONTACTS".into(), "mailto:certificates@example.com".into());
    let config = configured(&variables)?;
    assert!(config.ca.agree_to_terms && config.ca.contacts.len() == 1);
    Ok(())
}

#[tokio::test]
async fn prometheus_and_grafana_find_our_rules_and_boards() -> anyhow::Result<()> {
    let config = repository().join("deploy/compose/prometheus.yml");
    let mut promtool = Command::new("promtool");
    let checked = promtool
        .args(["check", "config", "--syntax-only"])
        .arg(&config)
        .stdin(Stdio::null())
        .output()
        .await?;
    ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let compose = yaml("deploy/compose/compose.yaml")?;
    let mounted = |service: &str| -> BTreeMap<String, PathBuf> {
        let volumes = words(&compose["services"][service]["volumes"]);
        let pairs = volumes.iter().filter_map(|volume| volume.trim_end_matches(":ro").split_once(':'));
        pairs.map(|(source, at)| (at.to_owned(), repository().join("deploy/compose").join(source))).collect()
    };
    let (prometheus, grafana) = (mounted("prometheus"), mounted("grafana"));
    let rules = words(&yaml("deploy/compose/prometheus.yml")?["rule_files"]);
    assert_eq!(rules.len(), 2);
    for rule in rules {
        assert!(prometheus.get(&rule).is_some_and(|file| file.exists()), "{rule} is not mounted");
    }
    let provider = &yaml("deploy/compose/grafana/boards.yaml")?["providers"][0]["options"]["path"];
    let boards = grafana.get(provider.as_str().context("a path")?).context("the boards are not mounted")?;
    assert!(boards.join("overview.json").exists());
    let home = &compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    let home = Path::new(home.as_str().context("a path")?);
    assert!(boards.join(home.file_name().context("a name")?).exists());
    let source = &yaml("deploy/compose/grafana/datasources.yaml")?["datasources"][0];
    assert_eq!(
        (source["type"].as_str(), source["url"].as_str()),
        (Some("prometheus"), Some("http://prometheus:9090"))
    );
    Ok(())
}
