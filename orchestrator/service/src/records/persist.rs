//! Records that stay: whoever owns the name has published them, and we only look.

use issuance::fault::{FailureClass, Fault};
use issuance::identifier::Hostname;
use issuance::persistence::{self, Question};

use super::Records;
use crate::challenge::propagation::Verdict;

impl Records {
    /// Whether all authoritative servers show a record that lets the account have the name certified.
    pub async fn persists(
        &self,
        name: &Hostname,
        wildcard: bool,
        issuers: &[Box<str>],
        account_url: &str,
    ) -> Result<(), Fault> {
        let question = Question { issuers, account_url, wildcard, now: self.clock.now() };
        let at = persistence::record_name(name);
        let lets = |values: &[String]| persistence::judge(values, &question).is_ok();
        let (class, detail) = match self.propagation.look_for(&at, &lets).await.verdict {
            Verdict::Visible => return Ok(()),
            Verdict::NotYet { class, detail } => (class, detail),
            Verdict::Unknown { detail } => (FailureClass::PropagationTimeout, detail),
        };
        Err(Fault::new(class, format!("{at} does not let this account have it: {detail}"))
            .of(Some(name.clone())))
    }
}
