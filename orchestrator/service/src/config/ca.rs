use std::path::PathBuf;

use issuance::profile::CaProfile;
use serde::Deserialize;

use super::contact::Contact;
use super::directory_url::{DirectoryUrl, DirectoryUrlError};

/// `[ca]`: the certificate authority and our account there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaConfig {
    /// What logs, metrics and the API call it.
    pub name: String,
    /// A built-in CA profile, or the path of a file with one; see [`super::ca_profile::load`].
    pub profile: String,
    /// Absent: the profile's.
    pub directory_url: Option<DirectoryUrl>,
    /// A PEM file with the root that signed the directory server's own certificate, for a CA that the machine
    /// does not trust already.
    pub extra_root: Option<PathBuf>,
    pub contacts: Vec<Contact>,
    /// Whether the CA's terms of service are agreed to; without it no account is registered.
    pub agree_to_terms: bool,
    /// External account binding (RFC 8555 §7.3.4): the key's id as the CA gave it.
    pub eab_kid: Option<String>,
    /// A file with the binding's key in base64url.
    pub eab_hmac_file: Option<PathBuf>,
    /// The certificate profile asked for in each order; absent: the CA's default.
    pub certificate_profile: Option<String>,
}

impl Default for CaConfig {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            profile: "letsencrypt".to_owned(),
            directory_url: None,
            extra_root: None,
            contacts: Vec::new(),
            agree_to_terms: false,
            eab_kid: None,
            eab_hmac_file: None,
            certificate_profile: None,
        }
    }
}

/// External account binding as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExternalAccount<'a> {
    pub kid: &'a str,
    pub hmac_file: &'a std::path::Path,
}

impl CaConfig {
    /// The directory: as configured, or else the profile's; `None` where the profile knows none.
    ///
    /// # Errors
    /// The profile's own directory is no acceptable URL.
    pub fn directory(&self, profile: &CaProfile) -> Result<Option<DirectoryUrl>, DirectoryUrlError> {
        match &self.directory_url {
            Some(url) => Ok(Some(url.clone())),
            None if profile.directory.is_empty() => Ok(None),
            None => DirectoryUrl::parse(&profile.directory).map(Some),
        }
    }

    pub fn external_account(&self) -> Option<ExternalAccount<'_>> {
        self.eab_kid
            .as_deref()
            .zip(self.eab_hmac_file.as_deref())
            .map(|(kid, hmac_file)| ExternalAccount { kid, hmac_file })
    }
}
