//! What a web server is told so that it answers HTTP-01 challenges: generated, and tried with the servers themselves
//! in the tests.

mod apache;
mod caddy;
mod haproxy;
mod iis;
mod nginx;
mod responder_url;

use clap::ValueEnum;
use serde::Serialize;

pub use responder_url::{ResponderUrl, ResponderUrlError};

/// RFC 8555 §8.3.
const PATH: &str = "/.well-known/acme-challenge/";
/// What a token is made of, and how long it may be: as at the responder.
const TOKEN: &str = "[A-Za-z0-9_-]{16,128}";
/// SHA-256 in unpadded base64url (RFC 7638).
const THUMBPRINT_CHARACTERS: usize = 43;

/// A web server that there are snippets for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WebServer {
    Nginx,
    Apache,
    Haproxy,
    Caddy,
    Iis,
}

/// How challenges are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The web server asks the responder, and passes its answer on.
    ReverseProxy,
    /// The web server sends the CA to the responder, which has a public name.
    Redirect,
    /// The web server answers by itself, with the account's thumbprint.
    Stateless,
}

/// How, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Several responders stand in for each other.
    ReverseProxy(Vec<ResponderUrl>),
    Redirect(ResponderUrl),
    Stateless(Thumbprint),
}

/// Of an account's key (RFC 7638), in base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbprint(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no thumbprint of an account: it has 43 letters, digits, - and _, and `lockkeeper http01 thumbprint` shows it"
)]
pub struct ThumbprintError(String);

impl std::str::FromStr for Thumbprint {
    type Err = ThumbprintError;

    fn from_str(text: &str) -> Result<Self, ThumbprintError> {
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.len() == THUMBPRINT_CHARACTERS && text.bytes().all(is_base64url) {
            Ok(Self(text.into()))
        } else {
            Err(ThumbprintError(text.to_owned()))
        }
    }
}

impl std::fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why there is no such snippet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnippetError {
    #[error("IIS cannot put an answer together by itself: use --mode reverse-proxy or --mode redirect")]
    StatelessIis,
    #[error(
        "IIS rewrites to one address: name one --responder, or a server farm of Application Request Routing"
    )]
    SeveralBehindIis,
    #[error("{0} cannot stand behind a reverse proxy: the responder speaks plain HTTP, write http://")]
    HttpsUpstream(ResponderUrl),
    #[error("{0} cannot be redirected to: CAs follow redirects to port 80 and 443 only")]
    RedirectPort(ResponderUrl),
}

/// What goes into the configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snippet {
    pub parts: Vec<Part>,
    #[serde(skip)]
    comment: (&'static str, &'static str),
}

/// What goes into one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Where it belongs, for a person.
    pub place: &'static str,
    /// What to know about it.
    pub notes: Vec<&'static str>,
    pub text: String,
}

impl Snippet {
    pub fn of(server: WebServer, plan: &Plan) -> Result<Self, SnippetError> {
        match plan {
            Plan::ReverseProxy(responders) => {
                if let Some(secure) = responders.iter().find(|url| url.is_https()) {
                    return Err(SnippetError::HttpsUpstream(secure.clone()));
                }
            }
            Plan::Redirect(responder) if !responder.is_on_a_port_of_cas() => {
                return Err(SnippetError::RedirectPort(responder.clone()));
            }
            Plan::Redirect(_) | Plan::Stateless(_) => {}
        }
        let parts = match server {
            WebServer::Nginx => nginx::parts(plan),
            WebServer::Apache => apache::parts(plan),
            WebServer::Haproxy => haproxy::parts(plan),
            WebServer::Caddy => caddy::parts(plan),
            WebServer::Iis => iis::parts(plan)?,
        };
        let comment = if server == WebServer::Iis { ("<!-- ", " -->") } else { ("# ", "") };
        Ok(Self { parts, comment })
    }

    /// As text, each part below a comment that says where it belongs.
    pub fn render(&self) -> String {
        let (open, close) = self.comment;
        let mut text = String::new();
        for part in &self.parts {
            if !text.is_empty() {
                text.push('\n');
            }
            let place = format!("Lockkeeper, HTTP-01: {}.", part.place);
            for line in std::iter::once(place.as_str()).chain(part.notes.iter().copied()) {
                text.extend([open, line, close, "\n"]);
            }
            text.push_str(&part.text);
        }
        text
    }
}

#[cfg(test)]
mod tests;
