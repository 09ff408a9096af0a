//! The data folder and the key that seals all others.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::keys::MasterKey;

use super::{Diagnosis, Practice};

const FOLDER: &str = "data folder";
const MASTER_KEY: &str = "master key";

pub(super) fn examine(practice: &Practice<'_>) -> Vec<Diagnosis> {
    let data = &practice.config.data;
    vec![folder(&data.folder), master_key(&data.master_key_path())]
}

fn folder(path: &Path) -> Diagnosis {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(error) => Diagnosis::fail(
            FOLDER,
            format!("{shown}: {error}"),
            "start the service once, which makes the folder, or set [data] folder",
        ),
        Ok(found) if !found.is_dir() => {
            Diagnosis::fail(FOLDER, format!("{shown} is no folder"), "set [data] folder to a folder")
        }
        Ok(found) if mode(&found) & 0o022 != 0 => Diagnosis::fail(
            FOLDER,
            format!("{shown} may be written by others (mode {:03o})", mode(&found)),
            format!("chmod go-w {shown}"),
        ),
        Ok(found) => {
            Diagnosis::ok(FOLDER, format!("{shown}, mode {:03o}, of user {}", mode(&found), found.uid()))
        }
    }
}

fn master_key(path: &Path) -> Diagnosis {
    let shown = path.display();
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) => {
            return Diagnosis::fail(
                MASTER_KEY,
                format!("{shown}: {error}"),
                "put the backup of master.key back; only before the first start may it be missing, which makes one",
            );
        }
    };
    if mode(&found) & 0o077 != 0 {
        let found = format!("{shown} may be read by others (mode {:03o})", mode(&found));
        return Diagnosis::fail(MASTER_KEY, found, format!("chmod 600 {shown}"));
    }
    match MasterKey::load(path) {
        Ok(_) => {
            Diagnosis::ok(MASTER_KEY, format!("{shown} is read by its owner alone: keep a backup of it"))
        }
        Err(error) => Diagnosis::fail(
            MASTER_KEY,
            super::chain(&error),
            "run this as the user of the service; a damaged key has to come back from its backup",
        ),
    }
}

fn mode(of: &Metadata) -> u32 {
    of.permissions().mode() & 0o777
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::super::Health;
    use super::*;

    #[test]
    fn what_others_may_read_or_write_is_told_with_its_fix() {
        let home = tempfile::tempdir().expect("a folder");
        let key = home.path().join("master.key");
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("mine");
        };
        assert_eq!(master_key(&key).health, Health::Fail);
        MasterKey::load_or_create(&key).expect("a key");
        set(home.path(), 0o755);
        assert_eq!([folder(home.path()).health, master_key(&key).health], [Health::Ok; 2]);
        set(&key, 0o640);
        let told = master_key(&key);
        assert_eq!((told.health, told.fix), (Health::Fail, Some(format!("chmod 600 {}", key.display()))));
        set(home.path(), 0o775);
        assert_eq!(folder(home.path()).health, Health::Fail);
        assert_eq!(folder(&home.path().join("gone")).health, Health::Fail);
    }
}
