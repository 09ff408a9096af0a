//! Users: who may sign in, and as what.

use axum::extract::State;
use maud::{Markup, html};

use super::Asked;
use crate::dashboard::Dashboard;
use crate::dashboard::actions::{CREATE_USER, DISABLE_USER, ENABLE_USER};
use crate::dashboard::guard::Visitor;
use crate::dashboard::page::{self, Shown};
use crate::dashboard::parts::{badge, button, form, listed, next_page, table};
use crate::dashboard::words::instant_or_dash;
use crate::store::page::Listing;
use crate::store::users::{Role, SignInBy, UserView};

const PATH: &str = "/admin/users";

pub(super) async fn list(State(dashboard): State<Dashboard>, visitor: Visitor, Asked(asked): Asked) -> Shown {
    let path = listed("/v1/users", &asked, &[]);
    let found: Listing<UserView> = visitor.get(&path).await?;
    let now = dashboard.state.clock.now();
    let rows: Vec<Markup> = found.data.iter().map(|one| row(&visitor, one, now)).collect();
    let body = html! {
        (table("Who may sign in", &["Name", "Tenant", "Role", "Signs in by", "Signed in", "Made by", ""], &rows))
        (next_page(PATH, &asked, &[], found.next_cursor.as_deref()))
        section {
            h2 { "Let somebody sign in" }
            (form(&visitor, &CREATE_USER, &[], &html! {
                label { "Name" input name="name" required autocomplete="off"; }
                label {
                    "Role"
                    select name="role" {
                        @for role in Role::ALL {
                            option value=(role) selected[role == Role::Viewer] { (role) }
                        }
                    }
                }
                @if visitor.is_operator() {
                    label { "Tenant, if it is to see that one alone" input name="tenant" autocomplete="off"; }
                }
                @if dashboard.oidc.is_some() && visitor.is_operator() {
                    label {
                        "Signs in by"
                        select name="sign_in" {
                            @for way in SignInBy::ALL { option value=(way) { (words_of(way)) } }
                        }
                    }
                    label {
                        "Password, 15 characters at least; none where the provider alone counts"
                        input name="password" type="password" autocomplete="new-password";
                    }
                } @else {
                    label {
                        "Password, 15 characters at least"
                        input name="password" type="password" required autocomplete="new-password";
                    }
                }
            }))
        }
    };
    Ok(page::show(&visitor, "Users", &body))
}

fn row(visitor: &Visitor, one: &UserView, now: issuance::time::Timestamp) -> Markup {
    let (id, version) = (one.id.to_string(), one.version.to_string());
    let target = [("id", id.as_str()), ("version", version.as_str()), ("name", one.name.as_str())];
    html! {
        th scope="row" { (one.name) }
        td { (one.tenant.as_deref().unwrap_or("the operator's")) }
        td { (one.role) @if one.disabled_at.is_some() { " " (badge("disabled")) } }
        td {
            (words_of(one.sign_in))
            @if one.follows_groups { span.quiet { ", as its groups say" } }
        }
        td { (instant_or_dash(now, one.last_signed_in_at)) }
        td { (one.created_by) }
        td { (button(visitor, if one.disabled_at.is_some() { &ENABLE_USER } else { &DISABLE_USER }, &target)) }
    }
}

fn words_of(way: SignInBy) -> &'static str {
    match way {
        SignInBy::Password => "password",
        SignInBy::Oidc => "the provider",
        SignInBy::Both => "password or the provider",
    }
}
