use std::path::PathBuf;

use serde::Deserialize;

/// `[files]`: whose the files are, and where the agent keeps what it knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesConfig {
    /// What the agent remembers; it survives restarts and may be lost: everything is fetched again then.
    pub state: PathBuf,
    /// The owner of what is written; the agent's own user if absent. Needs root.
    pub owner: Option<String>,
    /// The group of what is written.
    pub group: Option<String>,
    /// Of files with a private key in them.
    pub key_mode: Mode,
    /// Of files without.
    pub cert_mode: Mode,
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            state: "/var/lib/lockkeeper-agent/state.json".into(),
            owner: None,
            group: None,
            key_mode: Mode(0o640),
            cert_mode: Mode(0o644),
        }
    }
}

/// Rights of a file, in octal, as in `"0640"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mode(pub u32);

impl TryFrom<String> for Mode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let mode = u32::from_str_radix(&text, 8).map_err(|_| "no mode: write it in octal, as in \"0640\"")?;
        match mode {
            0o400..=0o777 if mode & 0o600 == 0o600 && mode & 0o111 == 0 => Ok(Self(mode)),
            _ => Err("the owner must read and write it, and nobody executes it: write 0600, 0640 or 0644"),
        }
    }
}
