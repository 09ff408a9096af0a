//! The CA of a run, always a fresh one: both keep everything in memory and grow slower.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use lockkeeper::cli::api_client::fetch_plain;
use rehearsal::pebble::{Pebble, PebbleOptions};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::program;

/// Which CA is ordered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Rehearsal,
    Pebble,
}

impl Kind {
    /// The CA profile's name, too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rehearsal => "rehearsal",
            Self::Pebble => "pebble",
        }
    }
}

/// A running CA that finds every challenge valid without a look.
#[derive(Debug)]
pub enum Authority {
    Rehearsal { process: Child, directory_url: String },
    Pebble { pebble: Box<Pebble>, root: PathBuf },
}

impl Authority {
    pub async fn start(kind: Kind, folder: &Path) -> Result<Self> {
        match kind {
            Kind::Rehearsal => {
                let arguments = ["rehearsal-ca", "--listen", "127.0.0.1:0", "--always-valid"];
                let mut process = program::start(&arguments, Stdio::piped(), &folder.join("ca.log"))?;
                let said = process.stdout.take().context("the CA has no standard output")?;
                let directory_url =
                    BufReader::new(said).lines().next_line().await?.context("the CA ended at once")?;
                Ok(Self::Rehearsal { process, directory_url })
            }
            Kind::Pebble => {
                let options = PebbleOptions { nonce_reject_percent: 0, ..PebbleOptions::default() };
                let pebble = tokio::task::spawn_blocking(move || Pebble::start(&options)).await??;
                let root = folder.join("pebble-root.pem");
                std::fs::write(&root, &pebble.root_pem).context("no root can be written")?;
                Ok(Self::Pebble { pebble: Box::new(pebble), root })
            }
        }
    }

    pub fn directory_url(&self) -> &str {
        match self {
            Self::Rehearsal { directory_url, .. } => directory_url,
            Self::Pebble { pebble, .. } => &pebble.directory_url,
        }
    }

    /// The root of its HTTPS server, as a file and as its text.
    pub fn extra_root(&self) -> Option<(&Path, &str)> {
        match self {
            Self::Rehearsal { .. } => None,
            Self::Pebble { pebble, root } => Some((root, &pebble.root_pem)),
        }
    }

    pub fn pid(&self) -> Result<u32> {
        match self {
            Self::Rehearsal { process, .. } => process.id().context("the CA has ended"),
            Self::Pebble { pebble, .. } => Ok(pebble.pid()),
        }
    }

    /// Fails if the CA's own books show a broken promise: an authorization left open, an answer 429, a
    /// certificate too many. Pebble keeps no books.
    pub async fn check_books(&self, certificates: usize) -> Result<()> {
        let Self::Rehearsal { directory_url, .. } = self else { return Ok(()) };
        let text = fetch_plain(&directory_url.replace("/directory", "/audit")).await?;
        let audit: serde_json::Value = serde_json::from_str(&text)?;
        let found = [&audit["authorizations"]["open"], &audit["rate_limited"], &audit["certificates"]];
        let found = found.map(serde_json::Value::as_u64);
        let expected = [Some(0), Some(0), u64::try_from(certificates).ok()];
        anyhow::ensure!(found == expected, "open, rateLimited, certificates are {found:?}, not {expected:?}");
        Ok(())
    }

    pub async fn stop(self) -> Result<()> {
        match self {
            Self::Rehearsal { process, .. } => program::stop(process).await,
            Self::Pebble { pebble, .. } => {
                drop(pebble);
                Ok(())
            }
        }
    }
}
