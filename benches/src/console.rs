//! What a bench is told by variables, and what it says.

use std::io::Write as _;
use std::str::FromStr;

use anyhow::{Context as _, Result};

/// The number in an environment variable; an empty one is none.
pub fn number<T: FromStr>(variable: &str, default: T) -> Result<T> {
    match std::env::var(variable) {
        Ok(text) if !text.is_empty() => {
            text.parse().ok().with_context(|| format!("{variable} is {text:?}, and no number"))
        }
        _ => Ok(default),
    }
}

/// One line.
pub fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout().lock(), "{text}").context("standard output is closed")
}
