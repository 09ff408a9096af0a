//! The tables that say what becomes of every left-over name the test of each row.

use std::fs;

use crate::source::root;

const PAGE: &str = "orchestrator/ARCHITECTURE.md";
/// How many rows there were when this was written: none is lost by a slip of the pen.
const ROWS_MIN: usize = 22;

/// Rows of tables whose last column is headed `test`, each with the tests it names: file and function.
fn rows(page: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let mut rows = Vec::new();
    let mut in_table = false;
    for line in page.lines() {
        if !line.starts_with('|') {
            in_table = false;
        } else if line.ends_with("| test |") {
            in_table = true;
        } else if in_table && !line.starts_with("| ---") {
            let named = line.split('`').filter_map(|word| word.split_once(".rs::")).collect();
            rows.push((line, named));
        }
    }
    rows
}

/// What is wrong with the page, given the text of each file below `tests/tests/`, without its ending.
fn breaches(page: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut breaches = Vec::new();
    for (row, tests) in rows(page) {
        if tests.is_empty() {
            breaches.push(format!("{PAGE}: no test is named in {row:?}"));
        }
        for (file, test) in tests {
            let found = read(file).is_some_and(|text| text.contains(&format!("async fn {test}(")));
            if !found {
                breaches.push(format!("{PAGE}: there is no test {file}.rs::{test}"));
            }
        }
    }
    breaches
}

#[test]
fn every_row_has_its_test() {
    let page = fs::read_to_string(root().join(PAGE)).expect("the page");
    let read = |file: &str| fs::read_to_string(root().join(format!("tests/tests/{file}.rs"))).ok();
    let found = breaches(&page, read);
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    let count = rows(&page).len();
    assert!(count >= ROWS_MIN, "only {count} rows");
}

#[test]
fn a_row_without_its_test_is_found() {
    let page = |cell: &str| {
        format!("| it died | then | test |\n| --- | --- | --- |\n| here | x | {cell} |\n\n| a | b |\n")
    };
    let read = |file: &str| (file == "a/b").then(|| "async fn it_is_there() {}".to_owned());
    for (cell, count) in [
        ("`a/b.rs::it_is_there`", 0),
        ("", 1),
        ("`a/b.rs::it_is`", 1),
        ("`a/c.rs::it_is_there`", 1),
        ("`a/b.rs::it_is_there`, `a/b.rs::gone`", 1),
    ] {
        assert_eq!(breaches(&page(cell), read).len(), count, "{cell}");
    }
}
