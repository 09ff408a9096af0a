//! One topology: how it is built, and what is true of it.

use std::fmt;

use issuance::check::Check;
use issuance::fault::FailureClass;
use rehearsal::fleet::{Fault, TypeFault};

use crate::conduct::Conduct;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Dns,
    Http,
    Caa,
    Dnssec,
    LoadBalancer,
    Propagation,
}

impl Class {
    pub(crate) const ALL: [Self; 6] =
        [Self::Dns, Self::Http, Self::Caa, Self::Dnssec, Self::LoadBalancer, Self::Propagation];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dns => "DNS",
            Self::Http => "HTTP",
            Self::Caa => "CAA",
            Self::Dnssec => "DNSSEC",
            Self::LoadBalancer => "load balancer",
            Self::Propagation => "propagation",
        })
    }
}

/// A check, and what it finds: the code of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cause {
    pub(crate) check: Check,
    pub(crate) class: FailureClass,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.check.as_str(), self.class.as_str())
    }
}

/// What a topology is made of. Addresses given by several parts are all the name's.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// An address of the name.
    At(&'static str),
    /// A web server of its own.
    Web(Conduct),
    /// An nginx of its own: whole `server` blocks, in which `{at}` is where plain HTTP is spoken, `{tls}` where TLS is.
    Nginx(&'static str),
    /// An `HAProxy` before these web servers, which are declared to the service as nodes behind its address.
    Balancer(&'static [(&'static str, Conduct)]),
    /// What the fleet does with the name.
    Fault(Fault),
    /// Nobody has the name.
    Absent,
    /// And nobody its domain.
    Unregistered,
    /// One name an alias of another.
    Alias(&'static str, &'static str),
    /// So many aliases from the first name on, the last of which is a healthy site.
    Chain(&'static str, usize),
    /// Another name, with a healthy site.
    Also(&'static str),
    /// Another name, with this address.
    Other(&'static str, &'static str),
    /// A CAA record: at which name, whether critical, tag and value, in which `{account}` is the service's account.
    Caa(&'static str, bool, &'static str, &'static str),
    CaaFault(&'static str, TypeFault),
    /// Whom the zone above names, whom the zone itself does, and the domain in which their names are.
    Zone(&'static str, &'static [u8], &'static [u8], Option<&'static str>),
    /// TXT records of a name: what each server shows, in the order of their numbers. The last one holds for all others.
    Txt(&'static str, &'static [&'static [&'static str]]),
    /// The names below one are found below another.
    Dname(&'static str, &'static str),
}

#[derive(Debug, Clone)]
pub(crate) struct Topology {
    pub(crate) class: Class,
    /// What is so of it.
    pub(crate) what: &'static str,
    /// The name that is ordered.
    pub(crate) name: &'static str,
    pub(crate) parts: Vec<Part>,
    /// Why no CA can validate it. `None`: it passes, however odd it looks.
    pub(crate) cause: Option<Cause>,
}

/// One that is broken. The label is what is true of it, whatever the product says.
pub(crate) fn broken(
    class: Class,
    what: &'static str,
    name: &'static str,
    parts: impl Into<Vec<Part>>,
    cause: FailureClass,
) -> Topology {
    let check = Check::of(cause).expect("what is found at home has its check");
    Topology { class, what, name, parts: parts.into(), cause: Some(Cause { check, class: cause }) }
}

/// One that looks odd, and passes.
pub(crate) fn odd(
    class: Class,
    what: &'static str,
    name: &'static str,
    parts: impl Into<Vec<Part>>,
) -> Topology {
    Topology { class, what, name, parts: parts.into(), cause: None }
}

/// A load balancer with one node that is to be mended.
pub(crate) fn bad_node(
    what: &'static str,
    name: &'static str,
    nodes: &'static [(&'static str, Conduct)],
    class: FailureClass,
) -> Topology {
    let cause = Cause { check: Check::Nodes, class };
    let parts = vec![Part::Balancer(nodes)];
    Topology { class: Class::LoadBalancer, what, name, parts, cause: Some(cause) }
}
