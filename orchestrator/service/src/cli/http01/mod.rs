pub mod snippet;

use std::net::SocketAddr;
use std::path::Path;

use clap::{Args, Subcommand};

use super::error::CliError;
use super::exit::Exit;
use super::output::{Format, Output};
use super::{ServerArgs, account, load};
use snippet::{Mode, Plan, ResponderUrl, Snippet, Thumbprint, WebServer};

#[derive(Debug, Subcommand)]
pub enum Http01Command {
    /// Prints what a web server is told so that it answers challenges.
    Snippet(SnippetArgs),
    /// Prints the thumbprint of the account's key, for web servers that answer challenges by themselves.
    Thumbprint,
}

#[derive(Debug, Args)]
pub struct SnippetArgs {
    #[arg(value_enum)]
    pub server: WebServer,
    #[arg(long, value_enum, default_value_t = Mode::ReverseProxy)]
    pub mode: Mode,
    /// The responder, as http://host:port; to a reverse proxy, each of several that stand in for each other. To redirect
    /// to, by a public name and on port 80 or 443. Absent: where the configuration has it listen.
    #[arg(long, value_name = "URL")]
    pub responder: Vec<ResponderUrl>,
    /// Of the account's key, for stateless. Absent: what the service says.
    #[arg(long)]
    pub thumbprint: Option<Thumbprint>,
}

pub async fn run(
    command: &Http01Command,
    server: &ServerArgs,
    config: Option<&Path>,
    output: Output,
) -> Result<Exit, CliError> {
    match command {
        Http01Command::Snippet(args) => {
            let plan = match args.mode {
                Mode::ReverseProxy => Plan::ReverseProxy(responders(args, config)?),
                Mode::Redirect => Plan::Redirect(public_responder(args)?),
                Mode::Stateless => Plan::Stateless(thumbprint(args, server, config).await?),
            };
            let snippet = Snippet::of(args.server, &plan)?;
            match output.format() {
                Format::Table => output.text(&snippet.render())?,
                Format::Json => output.json(&snippet)?,
            }
        }
        Http01Command::Thumbprint => {
            let account = account::current(&server.client(config)?).await?;
            match output.format() {
                Format::Table => output.text(&account.key_thumbprint)?,
                Format::Json => output.json(&account)?,
            }
        }
    }
    Ok(Exit::Done)
}

/// Those given, or the one that the configuration tells of.
fn responders(args: &SnippetArgs, config: Option<&Path>) -> Result<Vec<ResponderUrl>, CliError> {
    needless(args.thumbprint.is_some(), "--thumbprint", "stateless")?;
    if !args.responder.is_empty() {
        return Ok(args.responder.clone());
    }
    let listen = load(config)?.responder.listen;
    if listen.ip().is_unspecified() {
        let what = format!(
            "the responder listens on every address ({listen}): say by --responder how web servers reach it"
        );
        return Err(CliError::Arguments { what });
    }
    Ok(vec![url_of(listen)])
}

fn url_of(listen: SocketAddr) -> ResponderUrl {
    format!("http://{listen}").parse().expect("an address makes a URL")
}

fn public_responder(args: &SnippetArgs) -> Result<ResponderUrl, CliError> {
    needless(args.thumbprint.is_some(), "--thumbprint", "stateless")?;
    match args.responder.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(CliError::Arguments {
            what: "a redirect needs one --responder: the URL under which CAs reach it, such as http://acme.host.com"
                .to_owned(),
        }),
    }
}

async fn thumbprint(
    args: &SnippetArgs,
    server: &ServerArgs,
    config: Option<&Path>,
) -> Result<Thumbprint, CliError> {
    needless(!args.responder.is_empty(), "--responder", "reverse-proxy and redirect")?;
    match &args.thumbprint {
        Some(given) => Ok(given.clone()),
        None => Ok(account::current(&server.client(config)?).await?.key_thumbprint.parse()?),
    }
}

/// An option that does nothing is a misunderstanding.
fn needless(given: bool, option: &str, modes: &str) -> Result<(), CliError> {
    if given {
        return Err(CliError::Arguments { what: format!("{option} is for --mode {modes}") });
    }
    Ok(())
}
