use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{LogConfig, LogFormat};

/// Sends what is logged to standard error, one line an event. To be called once.
pub fn init_logs(config: &LogConfig) -> Result<(), LogError> {
    let filter = EnvFilter::builder()
        .parse(&config.filter)
        .map_err(|source| LogError::Filter { filter: config.filter.clone(), source })?;
    let is_terminal = std::io::stderr().is_terminal();
    let as_json = match config.format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    if as_json {
        registry
            .with(lines.json().flatten_event(true).with_current_span(true).with_span_list(true))
            .try_init()
    } else {
        let in_colour = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        registry.with(lines.with_ansi(in_colour)).try_init()
    }
    .map_err(LogError::Twice)
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("[log] filter {filter:?} cannot be read")]
    Filter {
        filter: String,
        #[source]
        source: ParseError,
    },
    #[error("logging is set up already")]
    Twice(#[source] TryInitError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_quoted() {
        let config = LogConfig { filter: "lockkeeper=loud".to_owned(), ..LogConfig::default() };
        let error = init_logs(&config).unwrap_err();
        assert!(error.to_string().contains("lockkeeper=loud"), "{error}");
    }
}
