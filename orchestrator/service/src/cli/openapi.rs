//! `lockkeeper openapi`: the description of the API, as this program would serve it.

use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use crate::api::document;

pub(super) fn run(output: Output) -> Result<Exit, CliError> {
    output.text(document::text())?;
    Ok(Exit::Done)
}
