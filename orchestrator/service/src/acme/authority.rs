//! One CA: its directory, its nonces, its connections.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use issuance::profile::CaProfile;
use issuance::time::Clock;

use super::directory::Directory;
use super::endpoint::{Endpoint, Timeouts};
use super::error::AcmeError;
use super::http::{Failed, HttpClient, Sending};
use super::jws::{AccountKey, Signer};
use super::late::Outliving;
use super::origin::Origin;
use super::reply::Answer;
use super::transport::{HyperTransport, Transport};

/// Tries of one request whose nonce the CA does not know, beyond the first.
const BAD_NONCE_RETRIES_MAX: u32 = 5;

/// What it takes to talk to one CA.
#[derive(Debug)]
pub struct AuthorityConfig {
    /// The word metrics and logs name it by.
    pub name: String,
    pub directory_url: String,
    /// Trusted beside the machine's roots: for a CA behind a private PKI.
    pub extra_root_pem: Option<String>,
    pub profile: Arc<CaProfile>,
    pub timeouts: Timeouts,
    pub clock: Arc<dyn Clock>,
    /// In place of the ordinary connections.
    pub transport: Option<Arc<dyn Transport>>,
}

/// A CA that has shown its directory.
#[derive(Debug)]
pub struct Authority {
    name: Arc<str>,
    directory_url: Box<str>,
    profile: Arc<CaProfile>,
    directory: RwLock<Arc<Directory>>,
    http: HttpClient,
}

impl Authority {
    /// Fetches the directory. [`AcmeError::BadConfig`] where trying again cannot help.
    pub async fn connect(config: AuthorityConfig) -> Result<Arc<Self>, AcmeError> {
        let origin = Origin::of(&config.directory_url).map_err(|error| AcmeError::BadConfig {
            what: "the directory's address".into(),
            source: Some(error.into()),
        })?;
        let transport = match config.transport {
            Some(transport) => transport,
            None => Arc::new(HyperTransport::new(config.extra_root_pem.as_deref(), config.timeouts.connect)?),
        };
        let name = Arc::<str>::from(config.name);
        let rates = &config.profile.requests_per_second;
        let http =
            HttpClient::new(Arc::clone(&name), origin, rates, config.timeouts, config.clock, transport);
        let directory = RwLock::new(Arc::new(fetch(&http, &config.directory_url).await?));
        Ok(Arc::new(Self {
            name,
            directory_url: config.directory_url.into(),
            profile: config.profile,
            directory,
            http,
        }))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn profile(&self) -> &Arc<CaProfile> {
        &self.profile
    }

    pub fn directory_url(&self) -> &str {
        &self.directory_url
    }

    /// The directory as last fetched.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fetches the directory anew; the old one stays where that fails.
    pub async fn refresh(&self) -> Result<Arc<Directory>, AcmeError> {
        let fresh = Arc::new(fetch(&self.http, &self.directory_url).await?);
        *self.directory.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        Ok(fresh)
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Signs `payload` and posts it, once; only `badNonce`, which says that nothing was executed, is answered by
    /// signing again, with the nonce it came with. An `outliving` exchange goes on when its sender no longer waits.
    pub(crate) async fn post(
        &self,
        endpoint: Endpoint,
        url: &str,
        key: &AccountKey,
        by: Signer<'_>,
        payload: &[u8],
        outliving: Option<&Outliving>,
    ) -> Result<Answer, AcmeError> {
        let directory = self.directory();
        let mut nonce = self.http.nonce(endpoint, &directory.new_nonce).await?;
        let mut retries = BAD_NONCE_RETRIES_MAX;
        loop {
            let body = key.sign(by, nonce.as_str(), url, payload)?;
            let sending = match outliving {
                Some(outliving) => Sending::Outliving(body, outliving.clone()),
                None => Sending::Post(body),
            };
            match self.http.send(endpoint, url, sending).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::BadNonce { fresh: Some(fresh), .. }) if retries > 0 => {
                    self.http.instruments().bad_nonce();
                    nonce = fresh;
                    retries -= 1;
                }
                Err(failed) => return Err(failed.into()),
            }
        }
    }
}

async fn fetch(http: &HttpClient, url: &str) -> Result<Directory, AcmeError> {
    let answer = http.send(Endpoint::Directory, url, Sending::Get).await?;
    // The body is a slice of the whole read buffer; the directory lives as long as the process.
    Directory::parse(Bytes::copy_from_slice(&answer.body), http.origin())
}
