//! What the views are made of: tables, filters, badges, buttons.

use maud::{Markup, PreEscaped, html};
use uuid::Uuid;

use super::actions::{Action, ONCE};
use super::guard::Visitor;
use super::page::token;
use super::posted::Fields;
use super::words::plain;
use crate::api::address::with_query;

/// How good a word is: colour alone never says it, the word does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Moving,
    Attention,
    Bad,
    Off,
}

impl Tone {
    /// Of a word that the API has for how something is.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "active" | "issued" | "valid" | "completed" | "installed" | "current" | "delivered"
            | "passed" | "created" | "ready" | "healthy" | "done" | "replaced" => Self::Good,
            "failed" | "late" | "not_served" | "invalid" | "refused" | "expired" | "suspended"
            | "disabled" | "dead" | "failing" | "mismatch" => Self::Bad,
            "attention" | "parked" | "not_ready" | "resting" | "rate_limited" | "pending" | "orphaned"
            | "stale" | "unknown" | "changed" => Self::Attention,
            "paused" | "paused_at_ca" | "revoked" | "cancelled" | "unused" | "deactivated"
            | "rolled_back" | "repeated" | "unchanged" | "skipped" => Self::Off,
            _ => Self::Moving,
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Moving => "moving",
            Self::Attention => "attention",
            Self::Bad => "bad",
            Self::Off => "off",
        }
    }
}

pub(super) fn badge(word: &str) -> Markup {
    html! { span.badge.(Tone::of(word).class()) { (plain(word)) } }
}

/// What is wrong, as a class of failures: nobody's success, whatever it is called.
pub(super) fn cause(class: &str) -> Markup {
    html! { span.badge.(Tone::Attention.class()) { (plain(class)) } }
}

/// A table; `what` tells a reader what its rows are. On a narrow screen each row is a card, and each cell a line that says
/// of which column it is: so a table says what it is by roles, which outlive the way it is laid out.
pub(super) fn table(what: &str, columns: &[&str], rows: &[Markup]) -> Markup {
    html! {
        @if rows.is_empty() {
            p.empty { "Nothing here." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label=(what) {
                table role="table" {
                    caption { (what) }
                    thead role="rowgroup" {
                        tr role="row" {
                            @for column in columns {
                                th scope="col" role="columnheader" {
                                    @if column.is_empty() { span.hidden { "Actions" } } @else { (column) }
                                }
                            }
                        }
                    }
                    tbody role="rowgroup" { @for row in rows { tr role="row" { (told(row, columns)) } } }
                }
            }
        }
    }
}

/// A row whose cells tell their columns. What others have written is escaped in it, so nothing but a cell begins with its
/// tag.
fn told(row: &Markup, columns: &[&str]) -> Markup {
    let mut columns = columns.iter();
    let mut tags = row.0.split("<t");
    let mut told = tags.next().unwrap_or_default().to_owned();
    for tag in tags {
        told.push_str("<t");
        let role = match tag.get(..2) {
            Some("d>" | "d ") => "cell",
            Some("h>" | "h ") => "rowheader",
            _ => {
                told.push_str(tag);
                continue;
            }
        };
        let (letter, rest) = tag.split_at(1);
        told.extend([letter, " role=\"", role, "\""]);
        if let Some(column) = columns.next().filter(|column| !column.is_empty()) {
            told.extend([" data-column=\"", &html! { (column) }.into_string(), "\""]);
        }
        told.push_str(rest);
    }
    PreEscaped(told)
}

/// Names and what they are.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, fact) in facts {
                div { dt { (name) } dd { (fact) } }
            }
        }
    }
}

/// One control of a filter.
#[derive(Debug)]
pub(super) enum Control<'a> {
    Text {
        name: &'a str,
        label: &'a str,
    },
    Choice {
        name: &'a str,
        label: &'a str,
        words: Vec<&'a str>,
    },
    /// Kept as it is.
    Hidden {
        name: &'a str,
    },
}

/// A form that goes into the address, so that a page with its filters can be kept and sent.
pub(super) fn filter(path: &str, asked: &Fields, controls: &[Control<'_>]) -> Markup {
    html! {
        form.filter method="get" action=(path) {
            @for control in controls {
                @match control {
                    Control::Text { name, label } => {
                        label { (label) input type="text" name=(name) value=[asked.get(name)]; }
                    }
                    Control::Choice { name, label, words } => {
                        label {
                            (label)
                            select name=(name) {
                                option value="" { "any" }
                                @for word in words {
                                    option value=(word) selected[asked.get(name) == Some(word)] { (plain(word)) }
                                }
                            }
                        }
                    }
                    Control::Hidden { name } => {
                        @if let Some(value) = asked.get(name) { input type="hidden" name=(name) value=(value); }
                    }
                }
            }
            button type="submit" { "Filter" }
            a href=(path) { "Clear" }
        }
    }
}

/// The way to the next page of a list.
pub(super) fn next_page(path: &str, asked: &Fields, names: &[&str], next_cursor: Option<&str>) -> Markup {
    html! {
        @if let Some(cursor) = next_cursor {
            p {
                a href=(with_query(path, &with(asked, names, &[("cursor", Some(cursor))]))) rel="next" { "Next page" }
            }
        }
    }
}

/// A list of the API with the filters and the page that were asked for.
pub(super) fn listed(path: &str, asked: &Fields, filters: &[&str]) -> String {
    with_query(path, &with(asked, filters, &[("cursor", asked.get("cursor"))]))
}

/// Those of the parameters that were asked for, and `more`.
pub(super) fn with<'a>(
    asked: &'a Fields,
    names: &[&'a str],
    more: &[(&'a str, Option<&'a str>)],
) -> Vec<(&'a str, Option<&'a str>)> {
    names.iter().map(|name| (*name, asked.get(name))).chain(more.iter().copied()).collect()
}

/// A button that has something done; `target` fills the action's places, such as `id`.
pub(super) fn button(visitor: &Visitor, action: &Action, target: &[(&str, &str)]) -> Markup {
    form(visitor, action, target, &html! {})
}

/// The same with what else the action wants to know.
pub(super) fn form(visitor: &Visitor, action: &Action, target: &[(&str, &str)], inputs: &Markup) -> Markup {
    html! {
        @if visitor.may(action.scope) {
            form.action method="post" action={ "/admin/actions/" (action.name) } {
                (token(visitor))
                input type="hidden" name="back" value=(visitor.here);
                input type="hidden" name=(ONCE) value=(Uuid::new_v4().simple());
                @for (name, value) in target { input type="hidden" name=(name) value=(value); }
                (inputs)
                button type="submit" class=[action.destroys.then_some("danger")] { (action.label) }
            }
        }
    }
}

/// A text to be copied by a press.
pub(super) fn copied(text: &str) -> Markup {
    html! {
        span.copied {
            code { (text) }
            button type="button" data-copy=(text) data-needs-script { "Copy" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_by_others_is_text() {
        let hostile = "<img src=x onerror=alert(1)>\"'";
        let rendered = badge(hostile).into_string() + &copied(hostile).into_string();
        assert!(!rendered.contains("<img") && !rendered.contains("\"'"), "{rendered}");
    }

    #[test]
    fn each_cell_tells_its_column() {
        let row = html! {
            th scope="row" { "<td>" }
            td.number { (1) }
            td { time { "now" } }
            td { "more" }
        };
        let table = table("Rows", &["Name", "How \"many\"", ""], &[row]).into_string();
        let expected = "<th role=\"rowheader\" data-column=\"Name\" scope=\"row\">&lt;td&gt;</th>\
            <td role=\"cell\" data-column=\"How &quot;many&quot;\" class=\"number\">1</td>\
            <td role=\"cell\"><time>now</time></td><td role=\"cell\">more</td>";
        assert!(table.contains(expected), "{table}");
    }
}
