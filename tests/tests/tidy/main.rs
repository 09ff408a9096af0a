//! The rules of the house that no lint knows. Every rule is shown a planted breach too, so that it cannot go blind.

mod dashboards;
mod findings;
mod imports;
mod layout;
mod lexed;
mod logs;
mod problems;
mod recovery;
mod rules;
mod shipped;
mod source;

use source::{Source, repository};

fn hold(rule: impl Fn(&[Source]) -> Vec<String>) {
    let breaches = rule(&repository());
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

/// Asserts that the rule finds the breach planted at `path`, and nothing in a file without one.
fn catches(rule: impl Fn(&[Source]) -> Vec<String>, path: &str, text: &str) {
    let found = rule(&[Source::new(path, text)]);
    assert_eq!(found.len(), 1, "{text:?} in {path}: {found:?}");
    assert!(found[0].contains(path), "{found:?} does not name {path}");
}

fn lets_pass(rule: impl Fn(&[Source]) -> Vec<String>, path: &str, text: &str) {
    assert_eq!(rule(&[Source::new(path, text)]), Vec::<String>::new());
}
