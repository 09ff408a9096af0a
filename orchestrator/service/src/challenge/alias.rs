//! Where the aliases of a name lead, link by link: a resolver that fails behind one does not tell which.

use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::delegation::canonical;
use super::resolver::NameResolver;

/// A CA's resolver gives up about there too.
pub(super) const ALIASES_MAX: usize = 8;

/// A name, then what each is an alias of (RFC 1034 §3.6.2).
#[derive(Debug)]
pub(super) struct Trail {
    /// At least the name itself.
    names: Vec<Name>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The last name is no alias, or nobody says of what.
    Name,
    /// The last name was met before.
    Circle,
    TooLong,
}

impl Trail {
    pub(super) async fn follow(resolver: &NameResolver, name: &Name) -> Self {
        let mut trail = Self { names: vec![name.clone()], end: End::Name };
        while let Some(target) = target(resolver, trail.end()).await {
            let is_met = trail.names.contains(&target);
            trail.names.push(target);
            if is_met {
                trail.end = End::Circle;
                break;
            }
            if trail.names.len() > ALIASES_MAX + 1 {
                trail.end = End::TooLong;
                break;
            }
        }
        trail
    }

    pub(super) fn end(&self) -> &Name {
        self.names.last().unwrap_or(&self.names[0])
    }

    /// The name is its own.
    pub(super) fn is_straight(&self) -> bool {
        self.names.len() == 1
    }

    /// What is wrong with the chain itself, wherever it leads.
    pub(super) fn fault(&self) -> Option<String> {
        match self.end {
            End::Name => None,
            End::Circle => Some(format!("its aliases lead in a circle: {}", self.told())),
            End::TooLong => Some(format!("more than {ALIASES_MAX} aliases lead on from it: a CA gives up")),
        }
    }

    /// As in `www.example.com → shop.example.net`.
    pub(super) fn told(&self) -> String {
        self.names.iter().map(canonical).collect::<Vec<_>>().join(" → ")
    }
}

async fn target(resolver: &NameResolver, name: &Name) -> Option<Name> {
    let records = resolver.records(name.clone(), RecordType::CNAME).await.ok()?;
    records.into_iter().find_map(|record| match record.data {
        RData::CNAME(target) if record.name == *name => Some(target.0.to_lowercase()),
        _ => None,
    })
}
