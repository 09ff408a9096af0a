//! Who may name whom.

use crate::source::Source;
use crate::{catches, hold, lets_pass};

/// A module of the service and the sibling modules it may name. `main` and `lib` are the crate's own root.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("acme", &["clock", "config", "mishaps", "telemetry"]),
    ("adopt", &["clock", "config", "json", "telemetry"]),
    ("agent", &["challenge", "chance", "config", "keys", "program"]),
    ("api", &["adopt", "clock", "config", "json", "keys", "store", "telemetry", "webhooks"]),
    ("challenge", &["clock", "config", "program", "telemetry"]),
    (
        "cli",
        &[
            "adopt",
            "agent",
            "api",
            "app",
            "clock",
            "cluster",
            "config",
            "doctor",
            "program",
            "rehearse",
            "shutdown",
            "store",
            "telemetry",
        ],
    ),
    ("chance", &[]),
    ("clock", &[]),
    ("cluster", &[]),
    ("config", &[]),
    ("dashboard", &["api", "clock", "config", "keys", "oidc", "store", "telemetry"]),
    ("doctor", &["acme", "challenge", "clock", "cluster", "config", "keys", "oidc", "store"]),
    (
        "engine",
        &[
            "acme",
            "challenge",
            "chance",
            "clock",
            "config",
            "keys",
            "mishaps",
            "records",
            "store",
            "telemetry",
        ],
    ),
    ("https", &[]),
    ("intake", &["clock", "store", "telemetry"]),
    ("json", &[]),
    ("keys", &["clock", "config", "telemetry"]),
    ("mishaps", &[]),
    ("oidc", &["config", "https", "keys"]),
    ("program", &[]),
    ("reconcile", &["acme", "challenge", "chance", "clock", "config", "records", "store", "telemetry"]),
    ("records", &["challenge", "chance", "clock", "config", "store", "telemetry"]),
    ("rehearse", &["adopt", "api", "app", "clock", "cluster", "config", "store"]),
    ("shutdown", &[]),
    ("store", &["clock", "config", "mishaps", "telemetry"]),
    ("telemetry", &["config", "https"]),
    ("webhooks", &["challenge", "chance", "clock", "config", "keys", "store", "telemetry"]),
];

/// Names everything, and is named by `main`, `cli` and `rehearse` alone.
const WIRING: &str = "app";

/// A crate of others and the modules of the service that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("sqlx", &["store", WIRING]),
    ("instant_acme", &["acme"]),
    ("dns_update", &["challenge"]),
    ("hickory_server", &["challenge"]),
    ("openidconnect", &["oidc"]),
    ("chrono", &["oidc"]),
    ("anyhow", &[]),
    ("clap", &["cli"]),
    ("rehearsal", &["cli", "rehearse", WIRING]),
];

/// What the rehearsal may share with the service: names and arithmetic, never the understanding of the protocol.
const SHARED_WITH_THE_REHEARSAL: &[&str] = &["gcra", "identifier", "ids", "limit", "time"];

const SERVICE: &str = "orchestrator/service/src/";
const ISSUANCE: &str = "orchestrator/issuance/src/";
const REHEARSAL: &str = "orchestrator/rehearsal/src/";

fn siblings(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with(SERVICE)) {
        let modules = source.modules().unwrap_or_default();
        let Some(own) = modules.first().filter(|own| **own != WIRING) else { continue };
        let Some((_, allowed)) = MAY_NAME.iter().find(|(module, _)| module == own) else {
            breaches.push(format!("{}: module {own} is not in the table of who may name whom", source.path));
            continue;
        };
        for named in names_of_the_root(&source.production().code, &modules) {
            if named != *own && !allowed.contains(&named.as_str()) {
                breaches.push(format!("{}: {own} may not name {named}", source.path));
            }
        }
    }
    breaches
}

/// The top-level modules that code names by `crate::` or by enough `super::`.
fn names_of_the_root(code: &str, modules: &[&str]) -> Vec<String> {
    let up = "super::".repeat(modules.len());
    let mut named = Vec::new();
    for start in ["crate::", up.as_str()] {
        for (at, _) in code.match_indices(start) {
            if start != "crate::" && code[..at].ends_with("super::") {
                continue;
            }
            let path = &code[at + start.len()..];
            match path.strip_prefix('{') {
                Some(group) => named.extend(first_words(group)),
                None => named.extend(word(path)),
            }
        }
    }
    named.retain(|name| name != "super" && name.starts_with(|c: char| c.is_lowercase()));
    named
}

fn word(path: &str) -> Option<String> {
    let word: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// The first word of each item of a `{…}` whose opening is gone.
fn first_words(group: &str) -> Vec<String> {
    let (mut depth, mut at_start, mut words) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && depth == 0 && !c.is_whitespace() => {
                words.extend(word(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
    }
    words
}

fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let starts = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        starts && code[at + name.len()..].starts_with("::")
    })
}

fn homes(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with(SERVICE)) {
        let code = source.production().code;
        let own = source.modules().and_then(|modules| modules.first().copied());
        for (name, homes) in HOMES {
            let at_home = own.is_some_and(|own| homes.contains(&own)) || source.path.ends_with("/main.rs");
            if names_crate(&code, name) && !at_home && !(own.is_none() && homes.is_empty()) {
                breaches.push(format!("{}: {name} does not belong here", source.path));
            }
        }
    }
    breaches
}

fn wiring(sources: &[Source]) -> Vec<String> {
    let service = sources.iter().filter(|source| source.path.starts_with(SERVICE));
    let outside = service.filter(|source| {
        let modules = source.modules().unwrap_or_default();
        !matches!(modules.first(), None | Some(&("cli" | "rehearse" | WIRING)))
    });
    let names_it = outside.filter(|source| {
        names_of_the_root(&source.production().code, &source.modules().unwrap_or_default())
            .iter()
            .any(|name| name == WIRING)
    });
    names_it.map(|source| format!("{}: only main, cli and rehearse name {WIRING}", source.path)).collect()
}

fn crates(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        let code = source.production().code;
        let strangers: &[&str] = match () {
            () if source.path.starts_with(ISSUANCE) => &["lockkeeper", "rehearsal", "tokio", "sqlx", "hyper"],
            () if source.path.starts_with(REHEARSAL) => &["lockkeeper"],
            () => &[],
        };
        for stranger in strangers.iter().filter(|stranger| names_crate(&code, stranger)) {
            breaches.push(format!("{}: may not name {stranger}", source.path));
        }
        if source.path.starts_with(REHEARSAL) {
            for (at, found) in code.match_indices("issuance::") {
                let path = &code[at + found.len()..];
                let named =
                    path.strip_prefix('{').map_or_else(|| word(path).into_iter().collect(), first_words);
                for name in named.iter().filter(|name| !SHARED_WITH_THE_REHEARSAL.contains(&name.as_str())) {
                    breaches.push(format!("{}: may not share issuance::{name}", source.path));
                }
            }
        }
    }
    breaches
}

#[test]
fn modules_name_only_those_below_them() {
    hold(siblings);
    catches(siblings, "orchestrator/service/src/api/orders.rs", "use crate::engine::Engine;");
    catches(siblings, "orchestrator/service/src/api/orders.rs", "use crate::{store::Store, acme::Client};");
    catches(siblings, "orchestrator/service/src/store/orders.rs", "use super::super::acme::Client;");
    catches(siblings, "orchestrator/service/src/cluster/mod.rs", "fn f() { crate::config::load() }");
    catches(siblings, "orchestrator/service/src/plumbing.rs", "");
    lets_pass(
        siblings,
        "orchestrator/service/src/engine/step.rs",
        "use crate::acme::Client; use super::permits::Permit;",
    );
    lets_pass(
        siblings,
        "orchestrator/service/src/api/orders.rs",
        "// see crate::engine\nuse super::super::store::Store;",
    );
}

#[test]
fn only_main_cli_and_the_rehearsal_name_the_wiring() {
    hold(wiring);
    catches(wiring, "orchestrator/service/src/engine/mod.rs", "use crate::app::App;");
    lets_pass(wiring, "orchestrator/service/src/cli/serve.rs", "use crate::app::App;");
}

#[test]
fn some_crates_have_one_home() {
    hold(homes);
    catches(homes, "orchestrator/service/src/api/orders.rs", "use sqlx::PgPool;");
    catches(homes, "orchestrator/service/src/engine/mod.rs", "fn f(x: instant_acme::Account) {}");
    catches(homes, "orchestrator/service/src/cli/mod.rs", "use anyhow::Result;");
    lets_pass(homes, "orchestrator/service/src/store/orders.rs", "use sqlx::PgPool;");
    lets_pass(homes, "orchestrator/service/src/main.rs", "use anyhow::Result; use clap::Parser;");
    lets_pass(homes, "orchestrator/service/src/api/mod.rs", "#[cfg(test)]\nmod tests { use sqlx::PgPool; }");
}

#[test]
fn the_core_knows_nobody_and_the_rehearsal_shares_names_only() {
    hold(crates);
    catches(crates, "orchestrator/issuance/src/step.rs", "use lockkeeper::store;");
    catches(crates, "orchestrator/rehearsal/src/ca.rs", "use lockkeeper::store;");
    catches(crates, "orchestrator/rehearsal/src/ca.rs", "use issuance::step::next_step;");
    catches(crates, "orchestrator/rehearsal/src/ca.rs", "use issuance::{time::Clock, settle::Settle};");
    lets_pass(
        crates,
        "orchestrator/rehearsal/src/ca.rs",
        "use issuance::{time::Clock, gcra::{Bucket, Decision}};",
    );
}
