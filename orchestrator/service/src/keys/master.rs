//! The master key: 32 random bytes in a file that only the service may read. Everything else is derived from it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

/// Bytes of the master key and of every key derived from it.
pub const KEY_BYTES: usize = 32;
/// Group and others: no rights at all.
const FOREIGN_RIGHTS: u32 = 0o077;
const SALT: &[u8] = b"lockkeeper master key";

#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("the master key file {} could not be {act}", path.display())]
    File {
        path: PathBuf,
        act: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the master key file {} is readable by others (mode {mode:o}): run chmod 600 on it", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the master key file {} must hold exactly {KEY_BYTES} bytes", path.display())]
    Length { path: PathBuf },
    #[error("the system has no randomness to make a master key of")]
    Random,
}

/// The root of all keys, as an HKDF pseudorandom key (RFC 5869): the bytes themselves are gone after loading.
pub struct MasterKey(Prk);

impl MasterKey {
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(Salt::new(HKDF_SHA256, SALT).extract(bytes))
    }

    /// Reads the key at `path`; where there is none, makes one. Of several processes that start at once, one makes
    /// it and all read that one. A key that was returned is on disk.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::load(path) {
            Err(MasterKeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                Self::load(path)
            }
            loaded => loaded,
        }
    }

    /// Reads the key at `path`.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::File { path: path.into(), act: "read", source };
        let file = File::open(path).map_err(failed)?;
        // Of the open file, so that it cannot be exchanged between the check and the reading.
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & FOREIGN_RIGHTS != 0 {
            return Err(MasterKeyError::Exposed { path: path.into(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
        file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        let bytes: &[u8; KEY_BYTES] =
            bytes.as_slice().try_into().map_err(|_| MasterKeyError::Length { path: path.into() })?;
        Ok(Self::from_bytes(bytes))
    }

    /// A key for one purpose: the same for the same label, telling nothing about any other (RFC 5869 §3.2).
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; KEY_BYTES]> {
        let mut derived = Zeroizing::new([0; KEY_BYTES]);
        self.0
            .expand(&[label.as_bytes()], HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut derived[..]))
            .expect("HKDF-SHA-256 yields up to 8,160 bytes and 32 are asked for");
        derived
    }
}

/// Written aside, synced, then linked into place, which fails where another process was faster: a reader sees a whole
/// key or none.
fn create(path: &Path) -> Result<(), MasterKeyError> {
    let failed = |act| move |source| MasterKeyError::File { path: path.into(), act, source };
    let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
    rand::fill(&mut bytes[..]).map_err(|_| MasterKeyError::Random)?;
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)
        .map_err(failed("created"))?;
    let linked =
        file.write_all(&bytes[..]).and_then(|()| file.sync_all()).and_then(|()| {
            match fs::hard_link(&aside, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked,
            }
        });
    fs::remove_file(&aside).map_err(failed("tidied up"))?;
    linked.map_err(failed("created"))?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("synced"))
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_key_is_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let made = MasterKey::load_or_create(&path).unwrap();
        let again = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(made.derive("probe"), again.derive("probe"));
        assert_ne!(made.derive("probe"), made.derive("seal"));
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.len()), (0o600, KEY_BYTES as u64));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn processes_that_start_together_agree() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        create(&path).unwrap();
        let first = MasterKey::load(&path).unwrap().derive("x");
        create(&path).unwrap();
        assert_eq!(
            MasterKey::load(&path).unwrap().derive("x"),
            first,
            "the second did not overwrite the first"
        );
    }

    #[test]
    fn a_key_that_others_can_read_or_of_another_length_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                matches!(MasterKey::load_or_create(&path), Err(MasterKeyError::Exposed { .. })),
                "{mode:o}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for length in [0, 31, 33] {
            fs::write(&path, vec![7; length]).unwrap();
            assert!(
                matches!(MasterKey::load_or_create(&path), Err(MasterKeyError::Length { .. })),
                "{length}"
            );
        }
    }

    /// Changing any constant of the derivation would make every sealed row unreadable. The expected value was
    /// computed from RFC 5869 by another implementation.
    #[test]
    fn derivation_never_changes() {
        let derived = MasterKey::from_bytes(&[7; KEY_BYTES]).derive("seal");
        let expected: [u8; KEY_BYTES] = [
            0xc8, 0xaf, 0x55, 0xde, 0x65, 0xd1, 0x79, 0x3f, 0x0c, 0x91, 0x1c, 0x84, 0x2e, 0x81, 0x4c, 0xbb,
            0x50, 0x21, 0xca, 0xe1, 0xaa, 0x93, 0xa0, 0xa5, 0x48, 0x45, 0xfa, 0x68, 0x85, 0x52, 0xa0, 0xcd,
        ];
        assert_eq!(*derived, expected);
    }
}
