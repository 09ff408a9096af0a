//! Where files lie and what they are called.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{Source, root};
use crate::{catches, hold, lets_pass};

/// Besides these, the top level holds dotfiles only (and what is built, which is not checked in).
const TOP_LEVEL: [&str; 11] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "benches",
    "dashboards",
    "deploy",
    "migrations",
    "orchestrator",
    "tests",
];

fn strangers(names: &[&str]) -> Vec<String> {
    let known = |name: &str| name.starts_with('.') || name == "target" || TOP_LEVEL.contains(&name);
    names.iter().filter(|name| !known(name)).map(|name| (*name).to_owned()).collect()
}

/// `YYYYMMDDHHMMSS_what_it_does.sql`, no instant twice.
fn migrations(sources: &[Source]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let files = sources.iter().filter_map(|source| Some((source, source.path.strip_prefix("migrations/")?)));
    files
        .filter(|(_, name)| {
            let parts = name.strip_suffix(".sql").and_then(|stem| stem.split_once('_'));
            let well_formed = parts.is_some_and(|(instant, what)| is_instant(instant) && is_snake_case(what));
            let is_new = seen.insert(name.split('_').next().unwrap_or_default().to_owned());
            !(well_formed && is_new)
        })
        .map(|(source, _)| {
            format!("{}: call it YYYYMMDDHHMMSS_what_it_does.sql, later than all others", source.path)
        })
        .collect()
}

fn is_instant(text: &str) -> bool {
    let number =
        |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u32>().ok());
    text.len() == 14
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && number(4..6).is_some_and(|month| (1..=12).contains(&month))
        && number(6..8).is_some_and(|day| (1..=31).contains(&day))
        && number(8..10).is_some_and(|hour| hour < 24)
        && number(10..12).is_some_and(|minute| minute < 60)
        && number(12..14).is_some_and(|second| second < 60)
}

fn is_snake_case(text: &str) -> bool {
    !text.is_empty()
        && text.split('_').all(|word| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

#[test]
fn the_top_level_is_fixed() {
    let entries = fs::read_dir(root()).unwrap();
    let names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(strangers(&names.iter().map(String::as_str).collect::<Vec<_>>()), Vec::<String>::new());
    assert_eq!(strangers(&["Cargo.toml", ".ci", "target", "scripts"]), ["scripts"]);
}

#[test]
fn migrations_are_well_named() {
    hold(migrations);
    catches(migrations, "migrations/create_orders.sql", "");
    catches(migrations, "migrations/20261321100000_create_orders.sql", "");
    catches(migrations, "migrations/20261121100000_CreateOrders.sql", "");
    catches(migrations, "migrations/20261121100000_.sql", "");
    lets_pass(migrations, "migrations/20261121100000_create_orders.sql", "");
    let twice = ["migrations/20261121100000_a.sql", "migrations/20261121100000_b.sql"];
    assert_eq!(migrations(&twice.map(|path| Source::new(path, ""))).len(), 1);
}
