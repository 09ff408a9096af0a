//! The page of problems says what the code says.

use lockkeeper::api::problem::codes::{CODES, Code};

use crate::source::{Source, root};

const PAGE: &str = "deploy/problems.md";

fn row(known: &Code) -> String {
    format!("| `{}` | {} | {} |", known.code, known.statuses, known.meaning)
}

/// Rows that are missing, and rows about nothing.
fn page(page: &Source) -> Vec<String> {
    let rows: Vec<String> = CODES.iter().map(row).collect();
    let told: Vec<&str> = page.text.lines().filter(|line| line.starts_with("| `")).collect();
    let missing = rows.iter().filter(|row| !told.contains(&row.as_str()));
    let strange = told.iter().filter(|row| !rows.iter().any(|known| known == *row));
    let missing = missing.map(|row| format!("{}: lacks {row}", page.path));
    missing.chain(strange.map(|row| format!("{}: knows of no such row: {row}", page.path))).collect()
}

#[test]
fn the_page_of_problems_says_what_the_code_says() {
    let found = Source::new(PAGE, &std::fs::read_to_string(root().join(PAGE)).expect(PAGE));
    assert_eq!(page(&found), Vec::<String>::new());
    let mut lines: Vec<&str> = found.text.lines().collect();
    let place = lines.iter().position(|line| line.starts_with("| `not-found`")).expect("it has its row");
    lines.remove(place);
    let lacking = page(&Source::new(PAGE, &lines.join("\n")));
    assert_eq!(lacking.len(), 1, "{lacking:?}");
    let strange = page(&Source::new(PAGE, &format!("{}| `never-found` | 404 | nothing |\n", found.text)));
    assert_eq!(strange.len(), 1, "{strange:?}");
}
