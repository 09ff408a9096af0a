//! certbot's layout: `live/NAME/*.pem` are links to the newest of `archive/NAME/*N.pem`.

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::super::atomic;
use super::{Paths, Rights, WriteError};
use crate::keys::bundle::Bundle;

const README: &str = "\
This folder is kept by the Lockkeeper agent, in the layout of certbot:

  privkey.pem    the private key
  fullchain.pem  the certificate and the issuers that servers send along
  chain.pem      the issuers alone
  cert.pem       the certificate alone

They are links to the newest files in archive. Configure these paths, and do not move or change the files: certbot's
commands do not know them, and the agent replaces them when the certificate is renewed.
";

#[derive(Debug)]
pub(super) struct Certbot {
    folder: PathBuf,
    rights: Rights,
}

impl Certbot {
    pub(super) fn new(folder: PathBuf, rights: Rights) -> Self {
        Self { folder, rights }
    }

    pub(super) fn paths(&self, name: &str) -> Paths {
        let lineage = self.folder.join("live").join(name);
        Paths {
            key: lineage.join("privkey.pem"),
            cert: lineage.join("cert.pem"),
            chain: lineage.join("chain.pem"),
            fullchain: lineage.join("fullchain.pem"),
            lineage,
        }
    }

    /// The files first, under a number that none has yet, then the links. The key's link goes first: whoever reads in
    /// between finds a pair that does not match, says so and goes on with the old one, and not a certificate alone.
    pub(super) fn write(&self, name: &str, bundle: &Bundle) -> Result<bool, WriteError> {
        let key = bundle.key.as_ref().map(|key| key.expose_secret().as_bytes()).unwrap_or_default();
        let fullchain = bundle.fullchain();
        let files: [(&str, &[u8]); 4] = [
            ("privkey", key),
            ("cert", bundle.cert.as_bytes()),
            ("chain", bundle.chain.as_bytes()),
            ("fullchain", fullchain.as_bytes()),
        ];
        let live = self.folder.join("live").join(name);
        let is_same = |(kind, bytes): &(&str, &[u8])| {
            fs::read(live.join(format!("{kind}.pem"))).is_ok_and(|had| had == *bytes)
        };
        if files.iter().all(is_same) {
            return Ok(false);
        }
        let archive = self.folder.join("archive").join(name);
        for folder in [&archive, &live] {
            atomic::folder(folder, self.rights.owner).map_err(WriteError::at(folder))?;
        }
        for folder in [&self.folder.join("live"), &live] {
            let path = folder.join("README");
            if !path.exists() {
                atomic::write(&path, README.as_bytes(), self.rights.cert()).map_err(WriteError::at(&path))?;
            }
        }
        let number = newest(&archive).map_err(WriteError::at(&archive))? + 1;
        for (kind, bytes) in files {
            let path = archive.join(format!("{kind}{number}.pem"));
            let rights = if kind == "privkey" { self.rights.key() } else { self.rights.cert() };
            atomic::write(&path, bytes, rights).map_err(WriteError::at(&path))?;
        }
        for (kind, _) in files {
            let path = live.join(format!("{kind}.pem"));
            let target = Path::new("../../archive").join(name).join(format!("{kind}{number}.pem"));
            atomic::link(&path, &target).map_err(WriteError::at(&path))?;
        }
        Ok(true)
    }

    pub(super) fn rival(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join("renewal").join(format!("{name}.conf"));
        let text = fs::read_to_string(&path).ok()?;
        let is_off = text.lines().any(|line| {
            line.split_once('=').is_some_and(|(key, value)| {
                key.trim() == "autorenew" && value.trim().eq_ignore_ascii_case("false")
            })
        });
        (!is_off).then_some(path)
    }
}

/// The highest number of any file there; 0 where there is none.
fn newest(archive: &Path) -> std::io::Result<u64> {
    let mut newest = 0;
    for entry in fs::read_dir(archive)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| {
            let stem = name.strip_suffix(".pem")?;
            let digits = stem.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            digits.parse::<u64>().ok()
        });
        newest = newest.max(number.unwrap_or(0));
    }
    Ok(newest)
}
