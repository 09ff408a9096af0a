use std::fmt::{Display, Formatter, Result as FmtResult};

use serde::Deserialize;

/// A contact URL of an ACME account (RFC 8555 §7.3): `mailto:` with one address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Contact(Box<str>);

impl Contact {
    /// Takes `ops@example.com` as well as `mailto:ops@example.com`.
    pub fn parse(input: &str) -> Result<Self, ContactError> {
        let address = input.strip_prefix("mailto:").unwrap_or(input);
        // RFC 8555 §7.3: no header fields, and no more than one address.
        let plain = !address.contains([',', '?', ' ', ':', '/']);
        match address.split_once('@') {
            Some((local, host))
                if plain && !local.is_empty() && host.contains('.') && !host.contains('@') =>
            {
                Ok(Self(format!("mailto:{address}").into()))
            }
            _ => Err(ContactError { input: input.to_owned() }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Contact {
    type Error = ContactError;

    fn try_from(input: String) -> Result<Self, ContactError> {
        Self::parse(&input)
    }
}

impl Display for Contact {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{input:?} is no e-mail address")]
pub struct ContactError {
    input: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_a_mailto_url_once() {
        assert_eq!(Contact::parse("ops@example.com").unwrap().as_str(), "mailto:ops@example.com");
        assert_eq!(Contact::parse("mailto:ops@example.com").unwrap().as_str(), "mailto:ops@example.com");
    }

    #[test]
    fn what_a_ca_would_refuse_is_refused() {
        for bad in
            ["", "ops", "@example.com", "a@b", "a@b.com,c@d.com", "a@b.com?subject=x", "https://b.com/@x"]
        {
            assert!(Contact::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
