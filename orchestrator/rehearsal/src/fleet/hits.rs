//! What was asked about a name, and what it answered.

/// How often a name was asked for since the fleet started, and its last answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hits {
    /// Questions of any type about the name or an underscore name below it, such as `_acme-challenge`.
    pub dns: u64,
    /// Requests with the name as Host; those that reach a stranger's server are counted too.
    pub http: u64,
    /// Those of `http` that were handed to the responder.
    pub forwarded: u64,
    pub last_dns: Option<DnsReply>,
    pub last_http: Option<HttpReply>,
}

/// What the DNS server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsReply {
    /// This many answer records, aliases included.
    Records(usize),
    /// The name exists without records of the type asked for (RFC 2308 §2.2).
    NoData,
    Nxdomain,
    Servfail,
    Silence,
}

/// What a web server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpReply {
    Status(u16),
    Silence,
}
