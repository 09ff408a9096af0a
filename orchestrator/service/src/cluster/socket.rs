//! The way in: where the Unix socket lies, and whether anybody answers there.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::NAME;
use super::error::ClusterError;
use super::folder::{Folder, make_private};
use super::owner::Owner;

/// Names the socket file; nothing listens on it.
pub(super) const PORT: u16 = 5432;

/// `sun_path` of unix(7) holds 108 bytes with the final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Makes the folder of the socket. It lies in the data folder, or in `/tmp` where the path would be too long.
pub(super) fn prepare(folder: &Folder, owner: &Owner) -> Result<PathBuf, ClusterError> {
    let socket_folder = place(folder.root(), folder.socket());
    if socket_folder.symlink_metadata().is_err() {
        make_private(&socket_folder, owner)?;
    }
    // /tmp is everybody's: somebody may have put a folder of theirs there, to be talked to in our database's stead.
    let failed = |source| ClusterError::Folder { folder: socket_folder.clone(), source };
    let about = socket_folder.symlink_metadata().map_err(failed)?;
    let is_private = about.mode() & 0o777 == 0o700;
    if about.is_dir() && is_private && owner.owns(&socket_folder, &folder.lock()).map_err(failed)? {
        Ok(socket_folder)
    } else {
        Err(ClusterError::ForeignSocketFolder { folder: socket_folder })
    }
}

fn place(root: &Path, wanted: PathBuf) -> PathBuf {
    let file = wanted.join(format!(".s.PGSQL.{PORT}.lock"));
    if file.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return wanted;
    }
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let (short, _) = digest.split_first_chunk().expect("a digest of 32 bytes has a first 8");
    PathBuf::from(format!("/tmp/lockkeeper-{:016x}", u64::from_be_bytes(*short)))
}

/// Whether a session can be opened. A server that is starting, recovering or stopping answers too, with an error.
pub(super) async fn takes_connections(socket_folder: &Path) -> bool {
    let path = socket_folder.join(format!(".s.PGSQL.{PORT}"));
    let answer = timeout(Duration::from_secs(2), async {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(&startup_message()).await?;
        stream.read_u8().await
    });
    // 'R': an authentication message, here AuthenticationOk; 'E' is an error.
    matches!(answer.await, Ok(Ok(b'R')))
}

/// `StartupMessage` of protocol 3.0 (PostgreSQL manual, "Message Formats").
fn startup_message() -> Vec<u8> {
    let mut body = 196_608_i32.to_be_bytes().to_vec();
    for word in ["user", NAME, "database", NAME, ""] {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    let length = i32::try_from(body.len() + 4).expect("five short words");
    [length.to_be_bytes().as_slice(), &body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_folder_gets_a_short_socket() {
        let near = Path::new("/var/lib/lockkeeper");
        assert_eq!(place(near, near.join("run")), near.join("run"));
        let far = PathBuf::from(format!("/var/{}", "x".repeat(120)));
        let short = place(&far, far.join("run"));
        assert!(short.starts_with("/tmp") && short.as_os_str().len() < 60, "{}", short.display());
        assert_ne!(short, place(near, far.join("run")), "two data folders never share a socket");
    }

    #[test]
    fn the_startup_message_says_its_own_length() {
        let message = startup_message();
        assert_eq!(i32::from_be_bytes(message[..4].try_into().unwrap()) as usize, message.len());
        assert!(message.ends_with(b"database\0lockkeeper\0\0"));
    }
}
