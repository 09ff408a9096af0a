//! `lockkeeper serve`: the service itself.

use std::sync::Arc;

use crate::app::{App, Launch};
use crate::clock::{Pace, SystemClock};
use crate::config::Config;
use crate::{shutdown, telemetry};

use super::error::CliError;
use super::exit::Exit;

/// Runs until it is asked to stop.
pub(super) async fn run(config: Config) -> Result<Exit, CliError> {
    telemetry::init_logs(&config.log)?;
    let exposition = telemetry::install_recorder()?;
    let shutdown = shutdown::listen().map_err(CliError::Signal)?;
    let launch = Launch {
        config,
        clock: Arc::new(SystemClock),
        pace: Pace::REAL,
        profile: None,
        exposition: Some(exposition),
        transport: None,
    };
    let app = tokio::select! {
        app = App::start(launch) => app?,
        () = shutdown.asked.cancelled() => return Ok(Exit::Done),
    };
    shutdown.asked.cancelled().await;
    tokio::select! {
        stopped = app.stop() => stopped.map(|()| Exit::Done).map_err(CliError::from),
        () = shutdown.insisted.cancelled() => Ok(Exit::Failure),
    }
}
