use std::path::{Path, PathBuf};

use serde::Deserialize;

/// `[custom]`: files wherever a server wants them. What is absent is not written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CustomConfig {
    /// The leaf.
    pub cert: Option<Template>,
    /// The intermediates.
    pub chain: Option<Template>,
    /// Leaf and intermediates.
    pub fullchain: Option<Template>,
    /// The private key.
    pub privkey: Option<Template>,
    /// Leaf, intermediates and key.
    pub combined: Option<Template>,
}

impl CustomConfig {
    pub fn writes_anything(&self) -> bool {
        *self != Self::default()
    }
}

/// A path with `{name}` in it: what the certificate is called here. Absolute, and the name is never part of anything
/// but itself, so that each certificate has a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template(String);

impl Template {
    const NAME: &'static str = "{name}";

    /// `name` holds no slash.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.replace(Self::NAME, name).into()
    }
}

impl TryFrom<String> for Template {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if !text.contains(Self::NAME) {
            return Err("write {name} where the certificate's name is to stand, or all would write one file");
        }
        if text.replace(Self::NAME, "").contains(['{', '}']) {
            return Err("there is no other placeholder than {name}");
        }
        if !Path::new(&text).is_absolute() || text.split('/').any(|part| matches!(part, "." | "..")) {
            return Err("write a whole path, which begins with a slash and has no dots for folders");
        }
        if text.ends_with('/') {
            return Err("write the path of a file");
        }
        Ok(Self(text))
    }
}
