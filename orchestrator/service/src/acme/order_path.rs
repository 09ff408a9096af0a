//! The order path (RFC 8555 §7.4, §7.5): each call one request, sent once.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use issuance::identifier::Identifiers;
use serde::Serialize;
use serde::ser::SerializeSeq;

use super::account::Account;
use super::authority::Authority;
use super::endpoint::Endpoint;
use super::error::{AcmeError, Reason};
use super::late::{Bystander, MadeOrder, Outliving};
use super::objects::{AuthorizationObject, Challenge, OrderObject};
use super::origin::Origin;
use super::reply::{Answer, Reply};

/// An order the CA has created, or has handed out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedOrder {
    pub url: Box<str>,
    pub order: OrderObject,
}

/// A certificate and those that lead from it towards a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadedChain {
    /// Leaf first.
    pub pem: String,
    /// Where the same leaf is offered under other roots (RFC 8555 §7.4.2).
    pub alternates: Vec<Box<str>>,
}

impl Account {
    /// Asks for a new order. A CA may answer with one it has already; after [`AcmeError::Lost`] an order may exist
    /// whose address nobody knows.
    ///
    /// `profile` is a certificate profile of the directory; `replaces` is a certificate's renewal id (RFC 9773 §5).
    /// An order the CA made without echoing `replaces` is an order all the same.
    pub async fn new_order(
        &self,
        names: &Identifiers,
        profile: Option<&str>,
        replaces: Option<&str>,
    ) -> Result<Reply<PlacedOrder>, AcmeError> {
        let directory = self.authority().directory();
        let wish = NewOrder { identifiers: Names(names), profile, replaces };
        let answer = self.post(Endpoint::NewOrder, &directory.new_order, &wish).await?;
        let url = location_in(&answer, self.authority())?;
        let order = order_in(&answer, self.authority().http().origin())?;
        Ok(answer.reply(PlacedOrder { url, order }))
    }

    /// The same; once the request has left, what its answer shows is told to the bystander where it would be lost
    /// otherwise: because it comes too late, because this future was dropped, or because its body is nonsense.
    pub async fn new_order_beside(
        &self,
        bystander: &Bystander,
        names: &Identifiers,
        profile: Option<&str>,
        replaces: Option<&str>,
    ) -> Result<Reply<PlacedOrder>, AcmeError> {
        let directory = self.authority().directory();
        let wish = NewOrder { identifiers: Names(names), profile, replaces };
        let (authority, witness) = (Arc::clone(self.authority()), bystander.clone());
        let heard = Arc::new(move |response| {
            let made = authority.http().judge(Endpoint::NewOrder, response).map_err(AcmeError::from);
            if let Ok(made) = made.and_then(|answer| made_order(&answer, &authority)) {
                witness.tell(made);
            }
        });
        let outliving = Outliving { late: bystander.late.clone(), heard };
        let sent = self.post_outliving(Endpoint::NewOrder, &directory.new_order, &wish, Some(&outliving));
        let answer = sent.await?;
        let url = location_in(&answer, self.authority())?;
        match order_in(&answer, self.authority().http().origin()) {
            Ok(order) => Ok(answer.reply(PlacedOrder { url, order })),
            Err(error) => {
                bystander.tell(MadeOrder { url, authorizations: None });
                Err(error)
            }
        }
    }

    pub async fn order(&self, url: &str) -> Result<Reply<OrderObject>, AcmeError> {
        let answer = self.get(Endpoint::Order, url).await?;
        let order = order_in(&answer, self.authority().http().origin())?;
        Ok(answer.reply(order))
    }

    pub async fn authorization(&self, url: &str) -> Result<Reply<AuthorizationObject>, AcmeError> {
        let answer = self.get(Endpoint::Authorization, url).await?;
        self.authorization_in(&answer)
    }

    /// Tells the CA that the response is in place (RFC 8555 §7.5.1). Lost answers are resolved by reading the
    /// authorization, never by submitting again.
    pub async fn submit(&self, challenge_url: &str) -> Result<Reply<Challenge>, AcmeError> {
        let answer = self.post(Endpoint::Challenge, challenge_url, &Empty {}).await?;
        Ok(answer.reply(answer.json()?))
    }

    /// Gives an authorization up (RFC 8555 §7.5.2). Some CAs answer `deactivated` although it had ended before, and
    /// some charge for it: see `charges_deactivation` in their profiles.
    pub async fn deactivate(&self, authorization_url: &str) -> Result<Reply<AuthorizationObject>, AcmeError> {
        let deactivated = Deactivation { status: "deactivated" };
        let answer = self.post(Endpoint::Authorization, authorization_url, &deactivated).await?;
        self.authorization_in(&answer)
    }

    /// Sends the certificate request (DER). Lost answers are resolved by reading the order.
    pub async fn finalize(
        &self,
        finalize_url: &str,
        csr_der: &[u8],
    ) -> Result<Reply<OrderObject>, AcmeError> {
        let request = Finalization { csr: BASE64_URL_SAFE_NO_PAD.encode(csr_der) };
        let answer = self.post(Endpoint::Finalize, finalize_url, &request).await?;
        let order = order_in(&answer, self.authority().http().origin())?;
        Ok(answer.reply(order))
    }

    /// Downloads a chain. What it certifies is for the caller to check.
    pub async fn certificate(&self, url: &str) -> Result<Reply<DownloadedChain>, AcmeError> {
        let answer = self.get(Endpoint::Certificate, url).await?;
        let lost = |fault| AcmeError::lost(Endpoint::Certificate, fault);
        let pem = std::str::from_utf8(&answer.body).map_err(|_| lost(Reason::NotUtf8))?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(lost(Reason::NoCertificate));
        }
        let origin = self.authority().http().origin();
        let mut alternates = answer.links("alternate");
        alternates.retain(|link| origin.admit(link).is_ok());
        Ok(answer.reply(DownloadedChain { pem: pem.to_owned(), alternates }))
    }

    fn authorization_in(&self, answer: &Answer) -> Result<Reply<AuthorizationObject>, AcmeError> {
        let authorization: AuthorizationObject = answer.json()?;
        let origin = self.authority().http().origin();
        for challenge in &authorization.challenges {
            origin.admit(&challenge.url).map_err(|error| AcmeError::lost(answer.endpoint, error))?;
        }
        Ok(answer.reply(authorization))
    }
}

fn location_in(answer: &Answer, authority: &Authority) -> Result<Box<str>, AcmeError> {
    let missing = || AcmeError::lost(Endpoint::NewOrder, Reason::MissingHeader("Location"));
    let url = answer.header("location").ok_or_else(missing)?;
    authority.http().origin().admit(url).map_err(|error| AcmeError::lost(Endpoint::NewOrder, error))?;
    Ok(url.into())
}

fn made_order(answer: &Answer, authority: &Authority) -> Result<MadeOrder, AcmeError> {
    let url = location_in(answer, authority)?;
    let order = order_in(answer, authority.http().origin());
    Ok(MadeOrder { url, authorizations: order.ok().map(|order| order.authorizations) })
}

fn order_in(answer: &Answer, origin: &Origin) -> Result<OrderObject, AcmeError> {
    let order: OrderObject = answer.json()?;
    for url in order.urls() {
        origin.admit(url).map_err(|error| AcmeError::lost(answer.endpoint, error))?;
    }
    Ok(order)
}

#[derive(Serialize)]
struct NewOrder<'a> {
    identifiers: Names<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a str>,
}

struct Names<'a>(&'a Identifiers);

impl Serialize for Names<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Name<'a> {
            r#type: &'static str,
            value: &'a str,
        }
        let mut names = serializer.serialize_seq(Some(self.0.len()))?;
        for name in self.0 {
            names.serialize_element(&Name { r#type: "dns", value: name.as_str() })?;
        }
        names.end()
    }
}

/// `{}`: what a challenge is answered with.
#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Deactivation {
    status: &'static str,
}

#[derive(Serialize)]
struct Finalization {
    csr: String,
}
