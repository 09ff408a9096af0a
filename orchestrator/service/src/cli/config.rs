use std::path::Path;

use clap::Subcommand;
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use crate::config::{Config, EXAMPLE, ca_profile};

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Reads the configuration as `serve` would, and says what follows from it.
    Check,
    /// Prints an example that shows every key with its default.
    Example,
}

pub(super) fn run(command: &ConfigCommand, path: Option<&Path>, output: Output) -> Result<Exit, CliError> {
    match command {
        ConfigCommand::Check => check(&super::load(path)?, output)?,
        ConfigCommand::Example => output.text(EXAMPLE)?,
    }
    Ok(Exit::Done)
}

/// What a configuration comes to. Without secrets.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Summary {
    database: String,
    api: String,
    metrics: String,
    responder: String,
    ca_profile: String,
    ca_directory: Option<String>,
    terms_agreed: bool,
    pending_max: u32,
    recovery_reserve: u32,
}

fn check(config: &Config, output: Output) -> Result<(), CliError> {
    output.show(&summarize(config)?, ["setting", "value"], |summary| {
        let directory = summary.ca_directory.as_deref().unwrap_or("none: set [ca] directory_url");
        let agreed = if summary.terms_agreed { "agreed" } else { "not agreed: no account is registered" };
        [
            ("database", summary.database.as_str()),
            ("api", &summary.api),
            ("metrics", &summary.metrics),
            ("responder", &summary.responder),
            ("CA profile", &summary.ca_profile),
            ("CA directory", directory),
            ("CA terms", agreed),
            ("pending authorizations", &summary.pending_max.to_string()),
            ("kept for recovery", &summary.recovery_reserve.to_string()),
        ]
        .map(|(setting, value)| [setting.to_owned(), value.to_owned()])
        .to_vec()
    })
}

fn summarize(config: &Config) -> Result<Summary, CliError> {
    let ca = &config.ca;
    let profile = ca_profile::load(&ca.profile)?;
    let directory = ca.directory(&profile).map_err(|error| CliError::Unfit { what: error.to_string() })?;
    let files = [
        ("[ca] extra_root", &ca.extra_root),
        ("[ca] eab_hmac_file", &ca.eab_hmac_file),
        ("[webhooks] extra_root", &config.webhooks.extra_root),
    ];
    for (key, path) in files.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?))) {
        std::fs::File::open(path).map_err(|source| CliError::ConfiguredFile {
            what: format!("{key} {}", path.display()),
            source,
        })?;
    }
    let pending = config.pending.budget(&profile);
    if pending.recovery_reserve >= pending.max {
        let what = format!("[pending] recovery_reserve leaves nothing of {} authorizations", pending.max);
        return Err(CliError::Unfit { what });
    }
    Ok(Summary {
        database: match &config.database.url {
            Some(_) => "the server of [database] url".to_owned(),
            None => format!("a private cluster in {}", config.data.folder.display()),
        },
        api: config.api.listen.to_string(),
        metrics: config.metrics.listen.to_string(),
        responder: config.responder.listen.to_string(),
        ca_profile: profile.name,
        ca_directory: directory.map(|url| url.to_string()),
        terms_agreed: ca.agree_to_terms,
        pending_max: pending.max,
        recovery_reserve: pending.recovery_reserve,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_come_to_something() {
        let summary = summarize(&Config::default()).unwrap();
        assert_eq!(summary.ca_directory.as_deref(), Some("https://acme-v02.api.letsencrypt.org/directory"));
        assert_eq!((summary.pending_max, summary.recovery_reserve), (300, 100));
    }

    #[test]
    fn a_reserve_as_large_as_the_profiles_budget_is_refused() {
        let mut config = Config::default();
        config.pending.recovery_reserve = Some(300);
        assert!(matches!(summarize(&config), Err(CliError::Unfit { .. })));
        config.pending.recovery_reserve = Some(4);
        assert_eq!(summarize(&config).unwrap().recovery_reserve, 4);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let mut config = Config::default();
        config.ca.extra_root = Some("/nonexistent/root.pem".into());
        let error = summarize(&config).unwrap_err();
        assert!(error.to_string().contains("[ca] extra_root /nonexistent/root.pem"), "{error}");
    }
}
