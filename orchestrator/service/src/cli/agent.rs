//! `lockkeeper agent`: brings certificates to this server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use crate::agent::{Agent, AgentError};
use crate::clock::SystemClock;
use crate::config::agent::{AGENT_EXAMPLE, AgentConfig};
use crate::{shutdown, telemetry};

#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Brings certificates as they are issued, until it is asked to stop.
    Run,
    /// Brings what is new now, reloads, looks, tells, and ends.
    Once,
    /// Reads the configuration as `run` would, and says what follows from it.
    Check,
    /// Prints an example that shows every key.
    Example,
}

pub(super) async fn run(
    command: &AgentCommand,
    named: Option<&Path>,
    output: Output,
) -> Result<Exit, CliError> {
    if let AgentCommand::Example = command {
        output.text(AGENT_EXAMPLE)?;
        return Ok(Exit::Done);
    }
    let path = AgentConfig::file(named);
    let config = AgentConfig::load(&path)?;
    match command {
        AgentCommand::Check => return check(config, path, output),
        AgentCommand::Run | AgentCommand::Once | AgentCommand::Example => {}
    }
    telemetry::init_logs(&config.log)?;
    let shutdown = shutdown::listen().map_err(CliError::Signal)?;
    let mut agent = Agent::new(config, Arc::new(SystemClock))?;
    if let AgentCommand::Once = command {
        let report = tokio::select! {
            report = agent.once() => report?,
            () = shutdown.asked.cancelled() => return Ok(Exit::Failure),
        };
        let exit = if report.faults.is_empty() { Exit::Done } else { Exit::Partial };
        output.show(&report, ["agent", ""], |report| {
            let mut facts = vec![
                ["certificates".to_owned(), report.certificates.to_string()],
                ["installed now".to_owned(), report.installed.to_string()],
                ["reloaded".to_owned(), if report.reloaded { "yes" } else { "no" }.to_owned()],
            ];
            facts.extend(report.faults.iter().map(|(name, fault)| [name.clone(), fault.clone()]));
            facts
        })?;
        return Ok(exit);
    }
    tokio::select! {
        ended = agent.run(&shutdown.asked) => ended.map(|()| Exit::Done).map_err(CliError::from),
        () = shutdown.insisted.cancelled() => Ok(Exit::Failure),
    }
}

/// What a configuration comes to. Without secrets.
#[derive(Debug, Serialize)]
struct Summary {
    file: PathBuf,
    service: String,
    selector: String,
    writes: Vec<String>,
    reload: String,
    hook: String,
    probes: Vec<String>,
}

fn check(config: AgentConfig, file: PathBuf, output: Output) -> Result<Exit, CliError> {
    for (key, command) in
        [("[reload] command", &config.reload.command), ("[hook] command", &config.hook.command)]
    {
        if let Some(program) = command.first().filter(|program| !is_a_program(program)) {
            let what = format!("{key}: there is no program {program}");
            return Err(CliError::Unfit { what });
        }
    }
    let folders = [
        ("certbot", config.certbot.folder.as_ref().map(|folder| folder.join("live/{name}"))),
        ("haproxy", config.haproxy.folder.as_ref().map(|folder| folder.join("{name}.pem"))),
    ];
    let mut writes: Vec<String> = folders
        .into_iter()
        .filter_map(|(layout, path)| path.map(|path| format!("{layout}: {}", path.display())))
        .collect();
    let custom = &config.custom;
    let templates = [&custom.cert, &custom.chain, &custom.fullchain, &custom.privkey, &custom.combined];
    writes.extend(
        templates.into_iter().flatten().map(|template| template.path("{name}").display().to_string()),
    );
    let or_none = |command: &[String]| match command {
        [] => "none".to_owned(),
        words => words.join(" "),
    };
    let text = |value: Option<String>| value.unwrap_or_default();
    let summary = Summary {
        file,
        service: text(config.service.url.as_ref().map(|url| url.as_str().to_owned())),
        selector: text(config.service.selector.as_ref().map(ToString::to_string)),
        writes,
        reload: or_none(&config.reload.command),
        hook: or_none(&config.hook.command),
        probes: config.probe.addresses.iter().map(|address| address.0.to_string()).collect(),
    };
    // The key's file, the owner and the state are looked at; nobody is asked.
    match Agent::new(config, Arc::new(SystemClock)) {
        // It runs already, so all of that is fine.
        Ok(_) | Err(AgentError::State(crate::agent::StateError::InUse { .. })) => {}
        Err(error) => return Err(error.into()),
    }
    output.show(&summary, ["setting", "value"], |summary| {
        [
            ("file", summary.file.display().to_string()),
            ("service", summary.service.clone()),
            ("selector", summary.selector.clone()),
            ("writes", summary.writes.join("\n")),
            ("hook", summary.hook.clone()),
            ("reload", summary.reload.clone()),
            ("looks at", summary.probes.join(" ")),
        ]
        .map(|(setting, value)| [setting.to_owned(), value])
        .to_vec()
    })?;
    Ok(Exit::Done)
}

/// As it is looked for when it is called.
fn is_a_program(program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let is_executable = |path: &Path| {
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return is_executable(Path::new(program));
    }
    crate::program::PATH.split(':').any(|folder| is_executable(&Path::new(folder).join(program)))
}
