//! Imports: a list that is looked at before it is carried out, and taken back if it was wrong.

use axum::extract::{FromRequest as _, Multipart, Path, Request, State};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use issuance::time::Timestamp;
use maud::{Markup, html};

use super::Asked;
use crate::api::address::{segment, with_query};
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{CANCEL_IMPORT, COMMIT_IMPORT, ROLL_BACK_IMPORT};
use crate::dashboard::ask::Write;
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown, token};
use crate::dashboard::parts::{Control, badge, button, facts, filter, listed, next_page, table, with};
use crate::dashboard::posted::{TOKEN, require_token};
use crate::dashboard::words::{count, instant, instant_or_dash, plain};
use crate::store::imports::view::{ImportView, ItemView, STATUSES, VERDICTS};
use crate::store::page::Listing;

const PATH: &str = "/admin/imports";
/// Through a browser; a larger list goes by `lockkeeper import` or the API, which hold no more than a piece of it.
pub(super) const FILE_BYTES_MAX: usize = 32 * 1024 * 1024;
pub(super) async fn list(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let path = listed("/v1/imports", &asked, &["status"]);
    let found: Listing<ImportView> = visitor.get(&path).await?;
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found
        .data
        .iter()
        .map(|one| {
            html! {
                th scope="row" { a href={ (PATH) "/" (one.id) } { (one.id) } }
                td { (one.tenant.as_deref().unwrap_or("the operator's")) }
                td { (badge(&one.status)) }
                td.number { (format!("{:.0} %", one.progress * 100.0)) }
                td.number { (one.rows_total) }
                td.number { (one.rows_refused) }
                td { (instant(now, one.created_at)) }
            }
        })
        .collect();
    let controls = [Control::Choice { name: "status", label: "Status", words: STATUSES.to_vec() }];
    let body = html! {
        p { a.button href={ (PATH) "/new" } { "New import" } }
        (filter(PATH, &asked, &controls))
        (table("Imports", &["Import", "Of", "Status", "Progress", "Rows", "Refused", "Begun"], &rows))
        (next_page(PATH, &asked, &["status"], found.next_cursor.as_deref()))
    };
    Ok(page::show(&visitor, "Imports", &body))
}

pub(super) async fn form(visitor: Visitor) -> Shown {
    // Who may not import is told so before a file is chosen.
    let _: Listing<ImportView> = visitor.get(&with_query("/v1/imports", &[("limit", Some("1"))])).await?;
    Ok(page::show(&visitor, "New import", &ask(&visitor, None)))
}

fn ask(visitor: &Visitor, why: Option<&str>) -> Markup {
    html! {
        @if let Some(why) = why { p.notice.bad role="alert" { (why) } }
        p { "Nothing is carried out before you have seen what each row would do." }
        form.stack method="post" action={ (PATH) "/new" } enctype="multipart/form-data" {
            (token(visitor))
            label { "A CSV file" input type="file" name="file" accept=".csv,text/csv"; }
            label {
                "or the rows, with their header"
                textarea name="rows" rows="8" placeholder="tenant,external_id,names,challenge,labels" {}
            }
            button.primary type="submit" { "Preview" }
        }
    }
}

pub(super) async fn send(State(dashboard): State<Dashboard>, visitor: Visitor, request: Request) -> Response {
    let multipart = match Multipart::from_request(request, &dashboard).await {
        Ok(multipart) => multipart,
        Err(rejection) => return rejection.into_response(),
    };
    let csv = match read(&visitor, multipart).await {
        Ok(csv) => csv,
        Err(response) => return response,
    };
    let Some(csv) = csv else {
        return page::show(&visitor, "New import", &ask(&visitor, Some("Choose a file, or paste the rows.")));
    };
    let write = Write {
        method: Method::POST,
        path: "/v1/imports?mode=preview".to_owned(),
        body: Some(("text/csv; charset=utf-8", csv)),
        version: None,
        once: None,
    };
    match visitor.ask.write(write).await {
        Ok(made) => {
            let id = made["id"].as_str().unwrap_or_default();
            Redirect::to(&format!("{PATH}/{}", segment(id))).into_response()
        }
        Err(refusal) => {
            let page = page::show(&visitor, "New import", &ask(&visitor, Some(&refusal.sentence())));
            (refusal.status(), page).into_response()
        }
    }
}

/// The file, or else the rows that were pasted. The token comes first, and nothing is read without it.
async fn read(visitor: &Visitor, mut multipart: Multipart) -> Result<Option<Bytes>, Response> {
    let (mut trusted, mut csv) = (false, None);
    while let Some(field) = multipart.next_field().await.map_err(IntoResponse::into_response)? {
        let name = field.name().unwrap_or_default().to_owned();
        let content = field.bytes().await.map_err(IntoResponse::into_response)?;
        if name == TOKEN {
            require_token(visitor, std::str::from_utf8(&content).ok())?;
            trusted = true;
        } else if !trusted {
            break;
        } else if csv.is_none() && !content.is_empty() {
            csv = Some(content);
        }
    }
    if trusted { Ok(csv) } else { require_token(visitor, None).map(|()| None) }
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(import): Path<String>,
    Asked(asked): Asked,
) -> Shown {
    let path = format!("/v1/imports/{}", segment(&import));
    let one: ImportView = visitor.get(&path).await?;
    let items =
        with_query(&format!("{path}/items"), &with(&asked, &["verdict"], &[("cursor", asked.get("cursor"))]));
    let items: Listing<ItemView> = visitor.get(&items).await?;
    let now = dashboard.state.clock.now();
    let id = one.id.to_string();
    let here = format!("{PATH}/{id}");
    let target = [("id", id.as_str())];
    let body = html! {
        p.lead {
            (badge(&one.status)) " " (format!("{:.0} %", one.progress * 100.0))
            @if let Some(fault) = &one.fault { " " (fault) }
        }
        div.row {
            @if one.status == "preview" { (button(&visitor, &COMMIT_IMPORT, &target)) }
            @if one.ended_at.is_none() { (button(&visitor, &CANCEL_IMPORT, &target)) }
            @if matches!(one.status.as_str(), "completed" | "cancelled" | "failed") && one.committed_at.is_some() {
                (button(&visitor, &ROLL_BACK_IMPORT, &target))
            }
        }
        (what(&one, now))
        section {
            h2 { "Rows" }
            (filter(&here, &asked, &[Control::Choice { name: "verdict", label: "Verdict", words: VERDICTS.to_vec() }]))
            (rows(&items.data))
            (next_page(&here, &asked, &["verdict"], items.next_cursor.as_deref()))
        }
    };
    Ok(page::show(&visitor, "Import", &body))
}

fn what(one: &ImportView, now: Timestamp) -> Markup {
    let number = |rows: i32| html! { (count(u64::try_from(rows).unwrap_or_default())) };
    facts(&[
        ("Rows", number(one.rows_total)),
        ("Created", number(one.rows_created)),
        ("Changed", number(one.rows_changed)),
        ("Unchanged", number(one.rows_unchanged)),
        ("Repeated", number(one.rows_repeated)),
        ("Refused", number(one.rows_refused)),
        ("Orders queued", number(one.orders_created)),
        ("Taken back", number(one.rows_removed)),
        ("Begun", instant(now, one.created_at)),
        ("Committed", instant_or_dash(now, one.committed_at)),
        ("Ended", instant_or_dash(now, one.ended_at)),
    ])
}

fn rows(items: &[ItemView]) -> Markup {
    let rows: Vec<Markup> = items
        .iter()
        .map(|item| {
            html! {
                td.number { (item.line) }
                td { @if let Some(verdict) = &item.verdict { (badge(verdict)) } @else { "not looked at yet" } }
                td { (item.tenant) }
                th scope="row" {
                    @match &item.certificate_id {
                        Some(id) => a href={ "/admin/certificates/" (id) } { (super::certificates::names(&item.names)) },
                        None => (super::certificates::names(&item.names)),
                    }
                }
                td.text { (item.external_id) }
                td.text {
                    @for error in &item.errors {
                        div { @if let Some(field) = &error.field { (plain(field)) ": " } (error.detail) }
                    }
                }
            }
        })
        .collect();
    table(
        "What each row does",
        &["Line", "Verdict", "Tenant", "Names", "External id", "What is wrong"],
        &rows,
    )
}
