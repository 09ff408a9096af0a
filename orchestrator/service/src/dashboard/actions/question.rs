//! A page that asks before something is done.

use axum::response::Response;
use maud::{Markup, html};

use crate::dashboard::guard::Visitor;
use crate::dashboard::page;
use crate::dashboard::posted::Fields;

/// Among the fields of a form that was asked about.
const ANSWER: &str = "confirmed";

/// What is asked.
#[derive(Debug)]
pub(in crate::dashboard) struct Question<'a> {
    pub(in crate::dashboard) title: &'a str,
    /// What comes of it, spelled out.
    pub(in crate::dashboard) effect: &'a Markup,
    pub(in crate::dashboard) sent_to: &'a str,
    /// On the button; `None`: there is nothing to do.
    pub(in crate::dashboard) yes: Option<&'a str>,
    pub(in crate::dashboard) no: &'a str,
    pub(in crate::dashboard) destroys: bool,
}

/// Whether somebody has been asked, and said yes.
pub(in crate::dashboard) fn is_answered(fields: &Fields) -> bool {
    fields.get(ANSWER).is_some()
}

impl Question<'_> {
    /// The page; `fields` are sent again with the answer.
    pub(in crate::dashboard) fn ask(&self, visitor: &Visitor, fields: &Fields, back: &str) -> Response {
        let body = html! {
            (self.effect)
            form.confirm method="post" action=(self.sent_to) {
                @for (name, value) in fields.iter() { input type="hidden" name=(name) value=(value); }
                input type="hidden" name=(ANSWER) value="yes";
                @if let Some(yes) = self.yes {
                    button.primary type="submit" class=[self.destroys.then_some("danger")] { (yes) }
                }
                a href=(back) { (self.no) }
            }
        };
        page::show(visitor, self.title, &body)
    }
}
