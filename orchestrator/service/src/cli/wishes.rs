//! What commands that put something in place have in common.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};

use super::error::CliError;

/// A wish with its labels, its challenge and the request of whoever keeps the key.
pub(super) fn of(labels: &[String], challenge: Option<&str>, csr: Option<&Path>) -> Result<Value, CliError> {
    let mut wish = json!({});
    for label in labels {
        // Without a value it has an empty one.
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        wish["labels"][name] = value.into();
    }
    if let Some(challenge) = challenge {
        wish["challenge"] = json!({ "type": challenge });
    }
    if let Some(path) = csr {
        let read = |source| CliError::File { path: path.to_owned(), source };
        let mut pem = String::new();
        if path == Path::new("-") {
            std::io::stdin().read_to_string(&mut pem).map_err(read)?;
        } else {
            pem = std::fs::read_to_string(path).map_err(read)?;
        }
        wish["csr"] = pem.into();
    }
    Ok(wish)
}

pub(super) fn set(wish: &mut Value, field: &str, value: Option<&str>) {
    if let Some(value) = value {
        wish[field] = value.into();
    }
}
