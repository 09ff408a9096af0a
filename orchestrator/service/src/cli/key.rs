//! `lockkeeper key`: keys of the API.

use clap::{Args, Subcommand};
use issuance::ids::ApiKeyId;
use issuance::time::Timestamp;

use super::api_client::ApiClient;
use super::ca::overrides::instant;
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::notice::notice;
use super::output::Output;
use crate::api::address::with_segment;
use crate::api::api_keys::{MadeKey, WantedKey, WantedRotation};
use crate::store::keyring::ApiKeyView;
use crate::store::page::Listing;

const KEYS: &str = "/v1/api-keys";

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Lists keys: who holds them, what they open, and when they were last used. Never their texts.
    List(ListArgs),
    /// Makes a key, and prints its text: the only time that it is shown.
    Create(CreateArgs),
    /// Makes a successor for a key, and prints its text. Both are good until the overlap is over.
    Rotate(RotateArgs),
    /// Has a key open nothing any more, at once.
    Revoke(KeyArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Those of one tenant, by its slug.
    #[arg(long, value_name = "SLUG")]
    pub tenant: Option<String>,
    /// Revoked and expired ones too.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What uses it.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The tenant that holds it, by its slug [default: whoever asks].
    #[arg(long, value_name = "SLUG")]
    pub tenant: Option<String>,
    /// What it opens, such as certificates:read; may be given more than once [default: all that one's own key opens].
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,
    /// Labels, such as server=web17: it is an agent's key, for the certificates alone that have all of them.
    #[arg(long)]
    pub selector: Option<String>,
    /// From where it may be used, such as 192.0.2.0/24; may be given more than once [default: from anywhere].
    #[arg(long = "from", value_name = "CIDR")]
    pub cidrs: Vec<String>,
    /// When it ends, such as 2027-01-01T00:00:00Z [default: when it is revoked].
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub expires: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Its id, `key_…`.
    #[arg(value_name = "KEY")]
    pub key: ApiKeyId,
}

#[derive(Debug, Args)]
pub struct RotateArgs {
    /// Its id, `key_…`.
    #[arg(value_name = "KEY")]
    pub key: ApiKeyId,
    /// How long the old one is still good, in seconds [default: a day].
    #[arg(long, value_name = "SECONDS")]
    pub overlap: Option<u64>,
}

pub async fn run(command: &KeyCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let path = |key: &ApiKeyId| with_segment(KEYS, &key.to_string());
    match command {
        KeyCommand::List(args) => {
            let good = (!args.all).then(|| "true".to_owned());
            let filters = [("tenant", args.tenant.clone()), ("good", good)];
            let keys: Listing<ApiKeyView> = listing::fetch(api, KEYS, &filters, &args.listing).await?;
            let header = ["id", "holder", "name", "key", "last used", "ends", "opens"];
            return listing::show(output, &keys, header, row);
        }
        KeyCommand::Create(args) => {
            let wanted = WantedKey {
                name: args.name.clone(),
                tenant: args.tenant.clone(),
                scopes: (!args.scopes.is_empty()).then(|| args.scopes.clone()),
                selector: args.selector.clone(),
                cidrs: args.cidrs.clone(),
                expires_at: args.expires,
            };
            tell(&api.post_json(KEYS, &wanted).await?, output)?;
        }
        KeyCommand::Rotate(args) => {
            let wanted = WantedRotation { overlap_seconds: args.overlap };
            tell(&api.post_json(&format!("{}/rotate", path(&args.key)), &wanted).await?, output)?;
        }
        KeyCommand::Revoke(args) => {
            api.delete(&path(&args.key)).await?;
            notice(&format!("{} opens nothing any more", args.key));
        }
    }
    Ok(Exit::Done)
}

/// The text stands alone on its line, for `$(…)`; what is said of it goes beside.
fn tell(made: &MadeKey, output: Output) -> Result<(), CliError> {
    notice(&format!("key {}: keep its text, it is not shown again", made.view.id));
    match output.format() {
        super::Format::Json => output.json(made),
        super::Format::Table => output.text(&made.key),
    }
}

fn row(key: &ApiKeyView) -> [String; 7] {
    let ends = match key.revoked_at {
        Some(at) => format!("revoked {at}"),
        None => or_dash(key.expires_at),
    };
    [
        key.id.to_string(),
        key.tenant.clone().unwrap_or_else(|| "operator".to_owned()),
        key.name.clone(),
        key.shown.clone(),
        or_dash(key.last_used_at),
        ends,
        key.scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    ]
}
