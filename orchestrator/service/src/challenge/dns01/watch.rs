//! Whether a record is where a CA would look for it.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use hickory_proto::rr::RecordType;

use super::authoritative::{Authorities, Told, told};
use super::delegation::{Delegations, Standing};
use super::record_name::RecordName;

/// What one look has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Every server that answers shows every value, as its own.
    Visible,
    /// A server answers, and does not.
    NotYet,
    /// No server answers, or the look could not be made.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub visibility: Visibility,
    /// What was seen, in a sentence; empty where all is well.
    pub detail: String,
}

/// Looks once. When to look again is its caller's business.
pub trait Watch: fmt::Debug + Send + Sync {
    /// Looks for all the values in the TXT records of `name`, from where a CA would begin.
    fn look<'a>(&'a self, name: &'a RecordName, values: &'a [String]) -> BoxFuture<'a, Look>;
}

/// Asks all addresses of all authoritative servers, each by itself.
#[derive(Debug)]
pub struct EveryServer {
    authorities: Arc<Authorities>,
    delegations: Delegations,
}

impl EveryServer {
    pub fn new(authorities: Arc<Authorities>) -> Self {
        let delegations = Delegations::new(Arc::clone(&authorities));
        Self { authorities, delegations }
    }

    async fn look_everywhere(&self, name: &RecordName, values: &[String]) -> Look {
        let Standing { owner, servers } = match self.delegations.follow(name).await {
            Ok(standing) => standing,
            Err(fault) => return Look { visibility: Visibility::Unknown, detail: fault.to_string() },
        };
        let asked = servers.addresses.iter().map(|server| {
            let owner = &owner;
            async move {
                let answer = self.authorities.ask(*server, owner, RecordType::TXT).await;
                (server, answer.map(|answer| told(&answer, owner)))
            }
        });
        let (mut answering, mut missing) = (0_usize, Vec::new());
        for (server, told) in join_all(asked).await {
            let Some(told) = told else { continue };
            answering += 1;
            let shows =
                matches!(&told, Told::Texts(texts) if values.iter().all(|value| texts.contains(value)));
            if !shows {
                missing.push(server.ip().to_string());
            }
        }
        match (answering, missing.as_slice()) {
            (0, _) => Look {
                visibility: Visibility::Unknown,
                detail: format!("none of the name servers of {} answers", servers.zone),
            },
            (_, []) => Look { visibility: Visibility::Visible, detail: String::new() },
            (_, missing) => Look {
                visibility: Visibility::NotYet,
                detail: format!(
                    "{} of {} name servers of {} do not show the TXT record of {owner}: {}",
                    missing.len(),
                    servers.addresses.len(),
                    servers.zone,
                    missing.join(", ")
                ),
            },
        }
    }
}

impl Watch for EveryServer {
    fn look<'a>(&'a self, name: &'a RecordName, values: &'a [String]) -> BoxFuture<'a, Look> {
        self.look_everywhere(name, values).boxed()
    }
}
