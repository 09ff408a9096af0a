//! What is shipped has no points at which things can be made to happen, and no protection that can be taken away.

use crate::source::{Source, repository};
use crate::{catches, hold, lets_pass};

const FEATURE: &str = "fault-injection";
/// All that the service itself may say of mishaps: each is nothing at all without the feature.
const NOTHING_WITHOUT: [&str; 3] = ["lacks", "reach", "reach_write"];

const SERVICE: &str = "orchestrator/service/src/";

/// The feature is off where nobody asks for it, and only the tests ask.
fn feature(sources: &[Source]) -> Vec<String> {
    let manifests = sources.iter().filter(|source| source.path.ends_with("Cargo.toml"));
    let mut breaches = Vec::new();
    for manifest in manifests {
        let named: Vec<&str> = manifest.text.lines().filter(|line| line.contains(FEATURE)).collect();
        let allowed: &[&str] = match manifest.path.as_str() {
            "orchestrator/service/Cargo.toml" => &["fault-injection = []"],
            "tests/Cargo.toml" => &["lockkeeper = { workspace = true, features = [\"fault-injection\"] }"],
            _ => &[],
        };
        let strange = named.iter().filter(|line| !allowed.contains(*line));
        breaches.extend(strange.map(|line| format!("{}: {line}", manifest.path)));
    }
    breaches
}

/// Points are named by macros that vanish; whatever else there is stands behind the feature.
fn points(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with(SERVICE)) {
        if source.path.starts_with("orchestrator/service/src/mishaps/") {
            continue;
        }
        let code = source.production().code;
        for (at, found) in code.match_indices("mishaps::") {
            let named = code[at + found.len()..].split(';').next().unwrap_or_default();
            let named = named.trim_matches(|c| matches!(c, '{' | '}'));
            if !named.split(',').all(|name| NOTHING_WITHOUT.contains(&name.trim())) {
                breaches.push(format!("{}: names mishaps::{named}", source.path));
            }
        }
    }
    breaches
}

/// All or nothing: whoever asked for it through the API asks again, and a reconciler or the outbox looks again.
const NO_POINTS: [&str; 10] = [
    "orchestrator/service/src/store/audits.rs",
    "orchestrator/service/src/store/imports/commit.rs",
    "orchestrator/service/src/store/imports/mod.rs",
    "orchestrator/service/src/store/imports/rollback.rs",
    "orchestrator/service/src/store/lines.rs",
    "orchestrator/service/src/store/oidc_users.rs",
    "orchestrator/service/src/store/orphans.rs",
    "orchestrator/service/src/store/rescues.rs",
    "orchestrator/service/src/store/sessions.rs",
    "orchestrator/service/src/store/webhook_deliveries.rs",
];

/// A transaction that is committed has a point before its commit, at which a test can end the process.
fn commits(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    let store = sources.iter().filter(|source| source.path.starts_with("orchestrator/service/src/store/"));
    for source in store.filter(|source| !NO_POINTS.contains(&source.path.as_str())) {
        let code = source.production().code;
        let (commits, points) =
            (code.matches(".commit()").count(), code.matches("reach_write!(Before").count());
        if commits > points {
            breaches.push(format!("{}: {commits} commits and {points} points before one", source.path));
        }
    }
    breaches
}

#[test]
fn every_commit_has_its_point() {
    hold(commits);
    catches(commits, "orchestrator/service/src/store/a.rs", "tx.commit().await?;");
    lets_pass(
        commits,
        "orchestrator/service/src/store/a.rs",
        "reach_write!(Before, \"a\", \"a.commit\"); tx.commit().await?;",
    );
}

#[test]
fn the_feature_is_for_tests_only() {
    hold(feature);
    assert!(repository().iter().any(|source| source.path == "orchestrator/service/Cargo.toml"));
    catches(feature, "orchestrator/service/Cargo.toml", "default = [\"fault-injection\"]");
    catches(
        feature,
        "benches/Cargo.toml",
        "lockkeeper = { workspace = true, features = [\"fault-injection\"] }",
    );
    lets_pass(feature, "orchestrator/service/Cargo.toml", "default = []\nfault-injection = []");
}

#[test]
fn points_are_nothing_without_it() {
    hold(points);
    catches(points, "orchestrator/service/src/engine/gate.rs", "use crate::mishaps::{Fate, reach};");
    catches(points, "orchestrator/service/src/engine/gate.rs", "fn f() { crate::mishaps::meet(point) }");
    lets_pass(points, "orchestrator/service/src/engine/gate.rs", "use crate::mishaps::{lacks, reach};");
    lets_pass(
        points,
        "orchestrator/service/src/mishaps/fate.rs",
        "use super::environment; crate::mishaps::meet;",
    );
}
