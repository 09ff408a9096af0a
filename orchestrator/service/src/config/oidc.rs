use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use serde::Deserialize;

/// `[oidc]`: signing in to the dashboard at a provider of identities (OpenID Connect).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OidcConfig {
    /// The provider, exactly as its discovery document names itself. Absent: people sign in with passwords only.
    pub issuer: Option<ProviderUrl>,
    /// What the provider calls this service.
    pub client_id: Option<String>,
    /// A file with the secret that goes with it. Absent: a public client, which PKCE protects alone.
    pub client_secret_file: Option<PathBuf>,
    /// Where browsers find this service, without a path.
    pub public_url: Option<ProviderUrl>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// What is said of a person there that is the name of a user here.
    pub name_claim: NameClaim,
    /// What lists a person's groups.
    pub groups_claim: String,
    pub unknown_users: UnknownUsers,
    /// The operator keeps an owner who signs in with a password, for the day on which the provider is away.
    pub keep_password_owner: bool,
    /// A root beside the machine's own that the provider may be known by: a PEM file.
    pub extra_root: Option<PathBuf>,
    /// How long one request to the provider may take.
    pub timeout_ms: NonZeroU32,
    /// Which group makes what of people whom the provider brings; the first that fits.
    pub role: Vec<OidcRole>,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: None,
            client_secret_file: None,
            public_url: None,
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            name_claim: NameClaim::Email,
            groups_claim: "groups".to_owned(),
            unknown_users: UnknownUsers::Refuse,
            keep_password_owner: true,
            extra_root: None,
            timeout_ms: const { NonZeroU32::new(10_000).unwrap() },
            role: Vec::new(),
        }
    }
}

impl OidcConfig {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.get().into())
    }

    /// What no single key can get wrong.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if self.issuer.is_some() && (self.client_id.is_none() || self.public_url.is_none()) {
            return Err((
                "[oidc] issuer, client_id, public_url",
                "a provider needs to be told who asks and where people come back to: set all three, or no issuer",
            ));
        }
        if self.public_url.as_ref().is_some_and(|url| !matches!(url.uri().path(), "" | "/")) {
            return Err(("[oidc] public_url", "the dashboard is at /admin of it: write it without a path"));
        }
        if self.unknown_users == UnknownUsers::Create && self.role.is_empty() {
            return Err((
                "[oidc] unknown_users, role",
                "a user that is made needs a role: write [[oidc.role]], one without a group for everybody",
            ));
        }
        Ok(())
    }
}

/// What is said of a person that becomes the name of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameClaim {
    /// Only one that the provider has verified.
    Email,
    PreferredUsername,
    Sub,
}

impl NameClaim {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::PreferredUsername => "preferred_username",
            Self::Sub => "sub",
        }
    }
}

/// What becomes of people whom the provider vouches for and nobody has let in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownUsers {
    Refuse,
    /// They become users with the role that their groups have.
    Create,
}

/// `[[oidc.role]]`: what a group makes of its people.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcRole {
    /// Absent: everybody.
    pub group: Option<String>,
    pub role: RoleWord,
    /// The slug of the tenant of which alone they see anything. Absent: of the operator.
    pub tenant: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleWord {
    Owner,
    Operator,
    Viewer,
}

/// An address of the provider, or this service's own: `https`, or `http` on this machine itself.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ProviderUrl {
    text: String,
    uri: Uri,
}

impl ProviderUrl {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }
}

impl fmt::Debug for ProviderUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What was written instead is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write an https URL without credentials, query or fragment, such as https://login.example.com")]
pub struct ProviderUrlError;

impl TryFrom<String> for ProviderUrl {
    type Error = ProviderUrlError;

    fn try_from(text: String) -> Result<Self, ProviderUrlError> {
        let text = text.trim().to_owned();
        let uri: Uri = text.parse().map_err(|_| ProviderUrlError)?;
        let on_this_machine = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let travels_safely = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => on_this_machine,
            _ => false,
        };
        let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.query().is_none()
            && !text.contains('#');
        if travels_safely && is_plain { Ok(Self { text, uri }) } else { Err(ProviderUrlError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<OidcConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_provider_is_named_by_an_address_that_nobody_can_listen_to() {
        let good = read("issuer = \"https://login.example.com/realms/one\"").expect("good");
        assert_eq!(good.issuer.expect("one").host(), "login.example.com");
        assert!(read("issuer = \"http://127.0.0.1:8080\"").is_ok(), "on this machine itself");
        for bad in [
            "http://login.example.com",
            "https://u:s3cret@login.example.com",
            "login.example.com",
            "https://login.example.com/?a=b",
            "https://login.example.com/#a",
        ] {
            let error = read(&format!("issuer = {bad:?}")).expect_err(bad);
            assert!(!error.lines().last().unwrap_or_default().contains("s3cret"), "{error}");
            assert!(error.contains("write an https URL"), "{error}");
        }
    }

    #[test]
    fn what_belongs_together_is_written_together() {
        let check = |text: &str| read(text).expect("it reads").check();
        let issuer = "issuer = \"https://login.example.com\"\nclient_id = \"lockkeeper\"\n";
        assert!(check(issuer).is_err(), "nobody knows where to come back to");
        let whole = format!("{issuer}public_url = \"https://certs.example.com\"\n");
        assert_eq!(check(&whole), Ok(()));
        assert!(check(&format!("{issuer}public_url = \"https://certs.example.com/admin\"\n")).is_err());
        let made = format!("{whole}unknown_users = \"create\"\n");
        assert!(check(&made).is_err(), "made without a role");
        assert_eq!(check(&format!("{made}[[role]]\nrole = \"viewer\"\n")), Ok(()));
        assert!(read("[[role]]\ngroup = \"g\"\nrole = \"admin\"\n").is_err());
    }
}
