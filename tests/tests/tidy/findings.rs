//! The page of findings says what the code says.

use issuance::check::Check;
use issuance::fault::{Actor, FailureClass};

use crate::source::{Source, root};

const PAGE: &str = "deploy/findings.md";

fn of_check(check: Check) -> String {
    format!("| `{}` | {} |", check.as_str(), check.expected())
}

fn of_class(class: FailureClass) -> String {
    let check = Check::of(class).map_or_else(String::new, |check| format!("`{}`", check.as_str()));
    let who = match class.actor() {
        Actor::Tenant => "site or DNS",
        Actor::Operator => "operator",
        Actor::Nobody => "nobody",
    };
    format!("| `{}` | {check} | {who} | {} |", class.as_str(), class.advice())
}

/// Rows that are missing, and rows about nothing.
fn page(page: &Source) -> Vec<String> {
    let rows: Vec<String> = Check::ALL
        .iter()
        .map(|check| of_check(*check))
        .chain(FailureClass::ALL.iter().map(|class| of_class(*class)))
        .collect();
    let told: Vec<&str> = page.text.lines().filter(|line| line.starts_with("| `")).collect();
    let missing = rows.iter().filter(|row| !told.contains(&row.as_str()));
    let strange = told.iter().filter(|row| !rows.iter().any(|known| known == *row));
    let missing = missing.map(|row| format!("{}: lacks {row}", page.path));
    missing.chain(strange.map(|row| format!("{}: knows of no such row: {row}", page.path))).collect()
}

#[test]
fn the_page_of_findings_says_what_the_code_says() {
    let found = Source::new(PAGE, &std::fs::read_to_string(root().join(PAGE)).expect(PAGE));
    assert_eq!(page(&found), Vec::<String>::new());
    let mut lines: Vec<&str> = found.text.lines().collect();
    let place = lines.iter().position(|line| line.starts_with("| `dnssec`")).expect("it has its row");
    lines.remove(place);
    let lacking = page(&Source::new(PAGE, &lines.join("\n")));
    assert_eq!(lacking.len(), 1, "{lacking:?}");
    let strange = page(&Source::new(PAGE, &format!("{}| `dns_gone` |\n", found.text)));
    assert_eq!(strange.len(), 1, "{strange:?}");
}
