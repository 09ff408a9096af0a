use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use tokio::process::Command;

use super::error::ClusterError;
use super::folder::Folder;

const ROOT: u32 = 0;

/// Whom the cluster runs as: us, or an account without rights where we are root.
#[derive(Debug)]
pub(super) struct Owner {
    account: Option<Account>,
}

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Owner {
    pub(super) fn of(folder: &Folder) -> Result<Self, ClusterError> {
        let failed = |source| ClusterError::Folder { folder: folder.root().to_path_buf(), source };
        // A file we have just made tells who we are, with no call that is unsafe.
        if folder.lock().metadata().map_err(failed)?.uid() != ROOT {
            return Ok(Self { account: None });
        }
        let accounts = std::fs::read_to_string("/etc/passwd").map_err(failed)?;
        let account = match folder.cluster().metadata() {
            Ok(cluster) if cluster.uid() != ROOT => {
                let known = parse(&accounts).find(|account| account.uid == cluster.uid());
                known.unwrap_or_else(|| Account {
                    name: format!("number {}", cluster.uid()),
                    uid: cluster.uid(),
                    gid: cluster.gid(),
                })
            }
            _ => ["postgres", "nobody"]
                .into_iter()
                .find_map(|name| parse(&accounts).find(|account| account.name == name))
                .ok_or(ClusterError::NoUser)?,
        };
        Ok(Self { account: Some(account) })
    }

    /// `None`: ourselves.
    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// A command that runs as the owner.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(account) = &self.account {
            // Supplementary groups are dropped along with root.
            command.gid(account.gid).uid(account.uid);
        }
        command
    }

    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        match &self.account {
            Some(account) => chown(path, Some(account.uid), Some(account.gid)),
            None => Ok(()),
        }
    }

    /// Whether `path` belongs to the owner (or, for ourselves, to whoever made `reference`).
    pub(super) fn owns(&self, path: &Path, reference: &Path) -> io::Result<bool> {
        let uid = match &self.account {
            Some(account) => account.uid,
            None => reference.metadata()?.uid(),
        };
        Ok(path.symlink_metadata()?.uid() == uid)
    }
}

fn parse(accounts: &str) -> impl Iterator<Item = Account> {
    accounts.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let mut numbers = fields.skip(1).map(str::parse);
        Some(Account { name, uid: numbers.next()?.ok()?, gid: numbers.next()?.ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_and_broken_lines_are_passed_over() {
        let text = "root:x:0:0:root:/root:/bin/bash\n\nbroken:x:one:2::/:/bin/sh\npostgres:x:108:114:,,,:/var/lib/postgresql:/bin/bash\n";
        let accounts: Vec<Account> = parse(text).collect();
        assert_eq!(accounts.len(), 2);
        assert_eq!(accounts[1], Account { name: "postgres".to_owned(), uid: 108, gid: 114 });
    }
}
