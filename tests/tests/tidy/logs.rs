//! Each line of the log has a name that others may rely on, and `deploy/LOGS.md` lists them all.

use std::collections::BTreeSet;

use crate::source::{Source, repository, root};
use crate::{catches, hold, lets_pass};

const SERVICE: &str = "orchestrator/service/src/";
const MACROS: [&str; 3] = ["info!(", "warn!(", "error!("];

/// The names in one file, and the lines that have none.
fn names(source: &Source) -> (BTreeSet<String>, Vec<String>) {
    let lexed = source.production();
    let (mut named, mut breaches) = (BTreeSet::new(), Vec::new());
    for start in MACROS {
        for (at, _) in lexed.code.match_indices(start) {
            let is_another = lexed.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if is_another {
                continue;
            }
            let begun = at + start.len();
            // Literals stand in the code as empty ones, in their order.
            let literal = lexed.code[..begun].matches("\"\"").count();
            let has_name = lexed.code[begun..].trim_start().starts_with("event = \"\",");
            match lexed.strings.get(literal).filter(|name| has_name && is_name(name)) {
                Some(name) => drop(named.insert(name.clone())),
                None => breaches.push(format!("{}: {start} does not begin with event = \"…\",", source.path)),
            }
        }
    }
    (named, breaches)
}

/// `what.has_happened`.
fn is_name(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text.split_once('.').is_some_and(|(noun, verb)| is_word(noun) && is_word(verb))
}

fn of_the_service(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| source.path.starts_with(SERVICE))
}

fn nameless(sources: &[Source]) -> Vec<String> {
    of_the_service(sources).flat_map(|source| names(source).1).collect()
}

/// What the page lacks, and what it lists and nobody writes.
fn untold(named: &BTreeSet<String>, page: &str) -> Vec<String> {
    let row = |line: &str| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name.to_owned());
    let listed: BTreeSet<String> = page.lines().filter_map(row).collect();
    let lacking = named.difference(&listed).map(|name| format!("deploy/LOGS.md lacks {name}"));
    let gone =
        listed.difference(named).map(|name| format!("deploy/LOGS.md lists {name}, which nobody writes"));
    lacking.chain(gone).collect()
}

#[test]
fn each_line_of_the_log_has_a_name() {
    hold(nameless);
    let path = "orchestrator/service/src/engine/mod.rs";
    catches(nameless, path, "fn a() { warn!(order.id = 1, \"Something\"); }");
    catches(nameless, path, "fn a() { info!(event = \"Something\", \"Something\"); }");
    lets_pass(nameless, path, "fn a() { warn!(\n    event = \"a.b_c\",\n    \"Something\"); my_error!(1); }");
}

#[test]
fn the_page_lists_the_names_that_are_written_and_no_others() {
    let named: BTreeSet<String> = of_the_service(&repository()).flat_map(|source| names(source).0).collect();
    assert!(named.len() > 80, "only {} are found: {named:?}", named.len());
    let page = std::fs::read_to_string(root().join("deploy/LOGS.md")).expect("the page is there");
    let found = untold(&named, &page);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));

    let named = BTreeSet::from(["a.b".to_owned()]);
    assert!(untold(&named, "| `a.b` | WARN | it |").is_empty());
    assert_eq!(untold(&named, "| `c.d` | WARN | it |").len(), 2);
}
