//! Files that are there whole or not at all, whatever happens meanwhile.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown, symlink};
use std::path::Path;

use super::owner::Owner;

/// How a file is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) mode: u32,
    pub(super) owner: Owner,
}

/// Writes `bytes` to `path`, in place of what was there; false where that was the same already. When this returns, the
/// file and its name are on disk.
pub(super) fn write(path: &Path, bytes: &[u8], kind: Kind) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|had| had == bytes) {
        // It may have been written with other rights before the configuration changed.
        apply(&File::open(path)?, kind)?;
        return Ok(false);
    }
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let draft = draft_of(path)?;
    clear(&draft)?;
    // Readable by nobody else before it has its owner.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| apply(&file, kind))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| sync(folder));
    if written.is_err() {
        let _ = clear(&draft);
    }
    written.map(|()| true)
}

/// Points the link at `path` to `target`, in place of what was there; false where it points there already.
pub(super) fn link(path: &Path, target: &Path) -> io::Result<bool> {
    if fs::read_link(path).is_ok_and(|had| had == target) {
        return Ok(false);
    }
    let draft = draft_of(path)?;
    clear(&draft)?;
    symlink(target, &draft)?;
    fs::rename(&draft, path)?;
    sync(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
    Ok(true)
}

/// Makes a folder and those above it, for its owner and group alone; one that is there stays as it is.
pub(super) fn folder(path: &Path, owner: Owner) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        folder(above, owner)?;
    }
    let mode = if owner.gid.is_some() { 0o750 } else { 0o700 };
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => return Ok(()),
        Ok(()) => {}
    }
    let made = File::open(path)?;
    fchown(&made, owner.uid, owner.gid)?;
    // Whatever the umask has taken away.
    made.set_permissions(Permissions::from_mode(mode))?;
    path.parent().map_or(Ok(()), sync)
}

fn apply(file: &File, kind: Kind) -> io::Result<()> {
    if kind.owner != Owner::default() {
        fchown(file, kind.owner.uid, kind.owner.gid)?;
    }
    file.set_permissions(Permissions::from_mode(kind.mode))
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// One agent writes here at a time, so a draft of that name is of one that died.
fn draft_of(path: &Path) -> io::Result<std::path::PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(".lockkeeper-new");
    Ok(path.with_file_name(name))
}

fn clear(draft: &Path) -> io::Result<()> {
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const KIND: Kind = Kind { mode: 0o640, owner: Owner { uid: None, gid: None } };

    #[test]
    fn a_file_is_replaced_whole_and_only_if_it_differs() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("privkey.pem");
        assert!(write(&path, b"one", KIND).expect("written"));
        let inode = || fs::metadata(&path).expect("there").ino();
        let first = inode();
        assert!(!write(&path, b"one", KIND).expect("the same"));
        assert_eq!(inode(), first);
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("opened up");
        assert!(!write(&path, b"one", KIND).expect("the same"));
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o640, "rights are put right");

        // What a dead agent has left behind does no harm.
        fs::write(folder.path().join(".privkey.pem.lockkeeper-new"), "tw").expect("written");
        // Whoever has the old one open keeps it whole.
        let had = File::open(&path).expect("there");
        assert!(write(&path, b"two", KIND).expect("written"));
        assert_ne!(inode(), first);
        assert_eq!(io::read_to_string(had).expect("readable"), "one");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_link_is_moved_in_one_step() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cert.pem");
        assert!(link(&path, Path::new("cert1.pem")).expect("linked"));
        assert!(!link(&path, Path::new("cert1.pem")).expect("the same"));
        assert!(link(&path, Path::new("cert2.pem")).expect("moved"));
        assert_eq!(fs::read_link(&path).expect("a link"), Path::new("cert2.pem"));
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_told_and_nothing_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        assert!(write(&file.join("below"), b"x", KIND).is_err());
        assert!(self::folder(&file.join("below"), Owner::default()).is_err());
    }
}
