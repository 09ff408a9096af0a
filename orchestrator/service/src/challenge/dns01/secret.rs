//! Secrets of providers: read from a file or a variable, once, and never shown.

use std::path::PathBuf;

use secrecy::SecretString;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{} cannot be read", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the variable {variable} is not set")]
    Variable { variable: String },
    #[error("the secret is empty")]
    Empty,
}

/// Out of the file if one is named, else out of the variable. Space around it is no part of it.
pub(super) fn read(
    file: Option<&PathBuf>,
    variable: Option<&str>,
) -> Result<Option<SecretString>, SecretError> {
    let text = match (file, variable) {
        (Some(path), _) => std::fs::read_to_string(path)
            .map_err(|source| SecretError::File { path: path.clone(), source })?,
        (None, Some(variable)) => {
            std::env::var(variable).map_err(|_| SecretError::Variable { variable: variable.to_owned() })?
        }
        (None, None) => return Ok(None),
    };
    match text.trim() {
        "" => Err(SecretError::Empty),
        secret => Ok(Some(SecretString::from(secret))),
    }
}
