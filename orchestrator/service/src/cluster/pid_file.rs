use std::path::PathBuf;

use super::folder::Folder;

/// What a running server says of itself in `postmaster.pid`: pid, data folder, start time, port, socket folder, …
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) socket_folder: PathBuf,
}

impl PidFile {
    /// `None` where there is none, or one that is being written. A stale one is the server's own to clean.
    pub(super) fn read(folder: &Folder) -> Option<Self> {
        parse(&std::fs::read_to_string(folder.cluster().join("postmaster.pid")).ok()?)
    }
}

fn parse(text: &str) -> Option<PidFile> {
    let socket_folder = text.lines().nth(4).filter(|line| line.starts_with('/'))?;
    Some(PidFile { socket_folder: PathBuf::from(socket_folder) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_folder_is_the_fifth_line() {
        let text = "4711\n/data/postgres\n1795000000\n5432\n/data/run\n\n  123456         7\nready   \n";
        assert_eq!(parse(text), Some(PidFile { socket_folder: PathBuf::from("/data/run") }));
        assert_eq!(parse("4711\n/data/postgres\n"), None);
    }
}
