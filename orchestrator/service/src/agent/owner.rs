//! Whose the files are.

use std::fs;
use std::io;

/// By number; `None` leaves the agent's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    #[error("{file} cannot be read")]
    Read {
        file: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{key}: there is no {name} in {file}: write one that is there, or its number")]
    Unknown { key: &'static str, name: String, file: &'static str },
}

impl Owner {
    /// By names as in `/etc/passwd` and `/etc/group`, or by numbers.
    pub fn find(user: Option<&str>, group: Option<&str>) -> Result<Self, OwnerError> {
        Ok(Self {
            uid: number("[files] owner", user, "/etc/passwd")?,
            gid: number("[files] group", group, "/etc/group")?,
        })
    }
}

fn number(key: &'static str, name: Option<&str>, file: &'static str) -> Result<Option<u32>, OwnerError> {
    let Some(name) = name else { return Ok(None) };
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    let text = fs::read_to_string(file).map_err(|source| OwnerError::Read { file, source })?;
    look_up(&text, name).map(Some).ok_or_else(|| OwnerError::Unknown { key, name: name.to_owned(), file })
}

/// Both files have the name first and the number third.
fn look_up(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_a_number_is_one() {
        let text = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n";
        assert_eq!(look_up(text, "www-data"), Some(33));
        assert_eq!(look_up(text, "www"), None);
        let owner = Owner::find(Some("12"), Some("root")).expect("everybody has a group root");
        assert_eq!(owner, Owner { uid: Some(12), gid: Some(0) });
        let error = Owner::find(None, Some("nobody-of-that-name")).expect_err("no such group");
        assert!(error.to_string().contains("[files] group"), "{error}");
    }
}
