use std::fmt::{Display, Formatter, Result as FmtResult};
use std::path::PathBuf;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {} cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("{place}: {what}")]
    Syntax { place: Place, what: String },
    #[error("{place}: there is no section [{section}]{}", DidYouMean(.did_you_mean.as_deref()))]
    UnknownSection { place: Place, section: String, did_you_mean: Option<String> },
    #[error("{place}: there is no key `{key}` in [{section}]{}", DidYouMean(.did_you_mean.as_deref()))]
    UnknownKey { place: Place, section: String, key: String, did_you_mean: Option<String> },
    #[error("{place}: [{section}] is a section: write its keys below the heading, or `section.key = value`")]
    NotASection { place: Place, section: String },
    #[error("{place}: [{section}] {key}: {what}")]
    Value { place: Place, section: &'static str, key: String, what: String },
    #[error("the configuration makes no sense: {0}")]
    Shape(String),
    #[error("{keys}: {what}")]
    Contradiction { keys: &'static str, what: &'static str },
}

/// For what serde finds wrong with a section as a whole; what is wrong with one value has its place.
impl serde::de::Error for ConfigError {
    fn custom<T: Display>(what: T) -> Self {
        Self::Shape(what.to_string())
    }
}

/// Where somebody wrote something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Line and column from 1; the column counts characters.
    File {
        path: PathBuf,
        line: usize,
        column: usize,
    },
    Variable(String),
}

impl Place {
    pub(super) fn in_file(path: PathBuf, text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self::File {
            path,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
        }
    }
}

struct DidYouMean<'a>(Option<&'a str>);

impl Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        self.0.map_or(Ok(()), |meant| write!(f, ": did you mean `{meant}`?"))
    }
}
