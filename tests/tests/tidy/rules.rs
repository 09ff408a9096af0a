//! What no file may say.

use crate::source::Source;
use crate::{catches, hold, lets_pass};

const LINES_MAX: usize = 450;

/// Put together here, or this file would break its own rule.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimple", "mented!")];

/// A module is named by its noun.
const NO_NOUNS: [&str; 8] = ["common", "helper", "helpers", "misc", "types", "util", "utilities", "utils"];

const NO_SUFFIXES: [&str; 5] = ["Handler", "Helper", "Manager", "Util", "Utils"];

/// The database's clock, by all its names.
const CLOCKS: [&str; 7] = [
    "now()",
    "current_timestamp",
    "current_date",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "localtimestamp",
];

fn rust(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| source.is("rs"))
}

fn length(sources: &[Source]) -> Vec<String> {
    let long = rust(sources)
        .map(|source| (source, source.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX);
    long.map(|(source, lines)| format!("{}: {lines} lines, and {LINES_MAX} are the most", source.path))
        .collect()
}

fn unfinished(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for (number, line) in source.text.lines().enumerate() {
            breaches.extend(
                UNFINISHED
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{}: {word}", source.path, number + 1)),
            );
        }
    }
    breaches
}

fn names(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in rust(sources) {
        let parts = source.path.strip_suffix(".rs").unwrap_or(&source.path).split('/');
        for part in parts.filter(|part| NO_NOUNS.contains(part)) {
            breaches.push(format!("{}: {part} is no noun: say what is in it", source.path));
        }
        let code = source.production().code;
        for (keyword, name) in declarations(&code) {
            let breach = match keyword {
                "fn" => name.starts_with("get_"),
                "mod" => NO_NOUNS.contains(&name),
                _ => NO_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)),
            };
            if breach {
                breaches
                    .push(format!("{}: {keyword} {name}: name the thing, not that it is one", source.path));
            }
        }
    }
    breaches
}

/// Keyword and name of each declaration.
fn declarations(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let words: Vec<&str> =
        code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty()).collect();
    let pairs: Vec<(&str, &str)> = words.windows(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.into_iter().filter(|(keyword, _)| ["fn", "mod", "struct", "enum", "trait"].contains(keyword))
}

fn exceptions(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in rust(sources).filter(|source| !source.path.contains("/tidy/")) {
        for (open, needs_reason) in [("[allow(", false), ("[expect(", true)] {
            for (at, _) in source.text.match_indices(open) {
                let attribute = &source.text[at..];
                let attribute = &attribute[..attribute.find(")]").unwrap_or(attribute.len())];
                if !(needs_reason && attribute.contains("reason = \"")) {
                    let line = source.text[..at].lines().count().max(1);
                    breaches.push(format!("{}:{line}: write #[expect(…, reason = \"…\")]", source.path));
                }
            }
        }
    }
    breaches
}

fn clocks(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        let statements = if source.is("sql") {
            vec![without_comments(&source.text)]
        } else if source.is("rs") {
            source.production().strings.into_iter().filter(|text| is_sql(text)).collect()
        } else {
            continue;
        };
        for statement in statements {
            let statement = statement.to_lowercase();
            let read = CLOCKS.iter().filter(|clock| statement.contains(**clock));
            breaches.extend(read.map(|clock| format!("{}: SQL reads the clock by {clock}", source.path)));
        }
    }
    breaches
}

fn is_sql(text: &str) -> bool {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let verbs = ["select", "insert", "update", "delete", "with", "create", "alter"];
    words.len() > 1 && words.first().is_some_and(|first| verbs.contains(&first.as_str()))
}

fn without_comments(sql: &str) -> String {
    sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_file_is_long() {
    hold(length);
    catches(length, "orchestrator/service/src/a.rs", &"\n".repeat(LINES_MAX + 1));
    lets_pass(length, "orchestrator/service/src/a.rs", &"\n".repeat(LINES_MAX));
}

#[test]
fn nothing_is_left_for_later() {
    hold(unfinished);
    for word in UNFINISHED {
        catches(unfinished, "migrations/20261121100000_a.sql", &format!("-- {word}: later"));
    }
}

#[test]
fn names_are_nouns() {
    hold(names);
    catches(names, "orchestrator/service/src/store/utils.rs", "");
    catches(names, "orchestrator/service/src/helpers/mod.rs", "");
    catches(names, "orchestrator/service/src/store/mod.rs", "mod types { }");
    catches(names, "orchestrator/service/src/store/mod.rs", "pub fn get_order() {}");
    catches(names, "orchestrator/service/src/store/mod.rs", "pub(crate) struct OrderManager;");
    lets_pass(
        names,
        "orchestrator/service/src/store/mod.rs",
        "fn target() {} struct Handled; // struct AHandler",
    );
}

#[test]
fn every_exception_has_its_reason() {
    hold(exceptions);
    catches(exceptions, "orchestrator/service/src/a.rs", "#[allow(dead_code)]\nfn f() {}");
    catches(exceptions, "orchestrator/service/src/a.rs", "#[expect(clippy::print_stderr)]\nfn f() {}");
    lets_pass(
        exceptions,
        "orchestrator/service/src/a.rs",
        "#[expect(\n    clippy::x,\n    reason = \"because\"\n)]\nfn f() {}",
    );
}

#[test]
fn no_statement_reads_the_clock() {
    hold(clocks);
    catches(clocks, "migrations/20261121100000_a.sql", "create table a (at timestamptz default now());");
    catches(clocks, "orchestrator/service/src/store/a.rs", "query!(\"update a set at = CURRENT_TIMESTAMP\")");
    catches(clocks, "orchestrator/service/src/store/a.rs", "query!(r#\"select now() from a\"#)");
    lets_pass(clocks, "migrations/20261121100000_a.sql", "-- never now()\nselect 1;");
    lets_pass(clocks, "orchestrator/service/src/store/a.rs", "let at = clock.now(); f(\"do it now()\");");
}
