//! The `lockkeeper` binary.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use lockkeeper::cli::{self, Cli, CliError, Exit};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            complain(&error);
            error.downcast_ref::<CliError>().map_or(Exit::Failure, CliError::exit).into()
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Exit> {
    // A second provider in the tree would make rustls refuse to choose; there is only this one, and it says so.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS crypto provider is installed already");
    }
    let runtime = tokio::runtime::Runtime::new().context("the async runtime cannot start")?;
    Ok(runtime.block_on(cli::run(cli))?)
}

/// The error and its causes, on one line.
#[expect(
    clippy::print_stderr,
    reason = "the one place where a command's failure reaches the person at the terminal"
)]
fn complain(error: &anyhow::Error) {
    eprintln!("lockkeeper: {error:#}");
}
