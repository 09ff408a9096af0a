//! Tenants: who they are, what they may have, and what they use.

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::Asked;
use crate::api::address::{segment, with_query};
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{CHANGE_TENANT, RESUME_TENANT, SUSPEND_TENANT};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{Control, badge, facts, filter, form, listed, next_page, table};
use crate::dashboard::words::{count, instant, instant_or_dash};
use crate::store::page::Listing;
use crate::store::tenants::{TenantStatus, TenantView};

const PATH: &str = "/admin/tenants";
const FILTERS: [&str; 2] = ["status", "external_id"];

pub(super) async fn list(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let path = listed("/v1/tenants", &asked, &FILTERS);
    let found: Listing<TenantView> = visitor.get(&path).await?;
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found
        .data
        .iter()
        .map(|one| {
            html! {
                th scope="row" { a href={ (PATH) "/" (segment(&one.slug)) } { (one.slug) } }
                td.text { (one.name) }
                td { (badge(one.status.as_str())) }
                td.number { (one.weight) }
                td.number { (quota(one.quotas.hostnames)) }
                td.number { (quota(one.quotas.new_certificates_per_day)) }
                td { (instant(now, one.created_at)) }
            }
        })
        .collect();
    let controls = [
        Control::Choice { name: "status", label: "Status", words: vec!["active", "suspended"] },
        Control::Text { name: "external_id", label: "External id" },
    ];
    let columns =
        ["Tenant", "Name", "Status", "Weight", "Hostnames at most", "New certificates a day", "Since"];
    let body = html! {
        (filter(PATH, &asked, &controls))
        (table("Tenants", &columns, &rows))
        (next_page(PATH, &asked, &FILTERS, found.next_cursor.as_deref()))
    };
    Ok(page::show(&visitor, "Tenants", &body))
}

fn quota(most: Option<u32>) -> String {
    most.map_or_else(|| "–".to_owned(), |most| count(u64::from(most)))
}

pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
    Path(tenant): Path<String>,
) -> Shown {
    let path = format!("/v1/tenants/{}", segment(&tenant));
    let one: TenantView = visitor.get(&path).await?;
    let now = dashboard.state.clock.now();
    let slug = one.slug.as_str();
    let version = one.version.to_string();
    let target = [("tenant", slug), ("version", version.as_str())];
    let toggle = match one.status {
        TenantStatus::Active => &SUSPEND_TENANT,
        TenantStatus::Suspended => &RESUME_TENANT,
    };
    let used = |used: u64, most: Option<u32>| match most {
        Some(most) => format!("{} of {}", count(used), count(u64::from(most))),
        None => count(used),
    };
    let body = html! {
        p.lead { (badge(one.status.as_str())) " " (one.name) }
        (facts(&[
            ("Slug", html! { code { (slug) } }),
            ("External id", html! { (one.external_id.as_deref().unwrap_or("–")) }),
            ("Hostnames", html! { @if let Some(usage) = one.usage { (used(usage.hostnames, one.quotas.hostnames)) } }),
            ("New certificates today", html! {
                @if let Some(usage) = one.usage {
                    (used(usage.new_certificates_today, one.quotas.new_certificates_per_day))
                }
            }),
            ("Created", instant(now, one.created_at)),
            ("Changed", instant_or_dash(now, one.updated_at)),
        ]))
        p {
            a href=(with_query("/admin/hostnames", &[("tenant", Some(slug))])) { "Hostnames" } " · "
            a href=(with_query("/admin/certificates", &[("tenant", Some(slug))])) { "Certificates" } " · "
            a href=(with_query("/admin/authorizations", &[("tenant", Some(slug))])) { "Authorizations" } " · "
            a href=(with_query("/admin/queue", &[("tenant", Some(slug))])) { "Orders" } " · "
            a href=(with_query("/admin/events", &[("tenant", Some(slug))])) { "Events" }
        }
        section {
            h2 { "What it may have" }
            (form(&visitor, &CHANGE_TENANT, &target, &html! {
                label { "Name" input name="name" value=(one.name); }
                label { "Weight" input name="weight" inputmode="numeric" required value=(one.weight); }
                label { "Hostnames at most" input name="quotas.hostnames" inputmode="numeric" value=[one.quotas.hostnames]; }
                label {
                    "New certificates a day"
                    input name="quotas.new_certificates_per_day" inputmode="numeric"
                        value=[one.quotas.new_certificates_per_day];
                }
            }))
            (form(&visitor, toggle, &target, &html! {}))
        }
    };
    Ok(page::show(&visitor, slug, &body))
}
