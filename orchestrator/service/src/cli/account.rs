use clap::{Args, Subcommand};
use issuance::time::Timestamp;

use super::api_client::ApiClient;
use super::ca::overrides::instant;
use super::error::CliError;
use super::exit::Exit;
use super::listing::or_dash;
use super::output::Output;
use crate::api::accounts::{AccountChange, Accounts};
use crate::store::accounts::AccountView;

#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Shows the service's account at the CA, and the thumbprint of its key.
    Show,
    /// Orders nothing new with it for a while, renewals neither; what is under way goes on.
    Pause(PauseArgs),
    /// Goes on with it.
    Resume,
    /// Keeps a word about it for people; an empty one takes it away.
    Note(NoteArgs),
}

#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Until when, within the next 14 days, such as 2027-01-02T06:00:00Z.
    #[arg(value_name = "INSTANT", value_parser = instant)]
    pub until: Timestamp,
}

#[derive(Debug, Args)]
pub struct NoteArgs {
    #[arg(value_name = "TEXT")]
    pub note: String,
}

pub async fn run(command: &AccountCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    let account = current(api).await?;
    let account = match command {
        AccountCommand::Show => account,
        AccountCommand::Pause(PauseArgs { until }) => {
            let change = AccountChange { paused_until: Some(Some(*until)), ..AccountChange::default() };
            set(&account, &change, api).await?
        }
        AccountCommand::Resume => {
            let change = AccountChange { paused_until: Some(None), ..AccountChange::default() };
            set(&account, &change, api).await?
        }
        AccountCommand::Note(NoteArgs { note }) => {
            let change = AccountChange { note: Some(Some(note.clone())), ..AccountChange::default() };
            set(&account, &change, api).await?
        }
    };
    output.show(&account, ["account", ""], |account| {
        let facts = [
            ("id", account.id.to_string()),
            ("CA", account.ca.clone()),
            ("directory", account.directory_url.clone()),
            ("at the CA", or_dash(account.account_url.as_ref())),
            ("key thumbprint", account.key_thumbprint.clone()),
            ("contacts", account.contacts.join(" ")),
            ("created", account.created_at.to_string()),
            ("stopped", or_dash(account.stopped_reason.as_ref())),
            ("held until", or_dash(account.held_until.as_ref())),
            ("paused until", or_dash(account.paused_until.as_ref())),
            ("note", account.note.clone()),
        ];
        facts.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
    })?;
    Ok(Exit::Done)
}

async fn set(
    account: &AccountView,
    change: &AccountChange,
    api: &ApiClient,
) -> Result<AccountView, CliError> {
    let path = format!("/v1/accounts/{}", account.id);
    Ok(api.patch_json(&path, change).await?)
}

/// The account that the service orders with.
pub(super) async fn current(api: &ApiClient) -> Result<AccountView, CliError> {
    let accounts: Accounts = api.get("/v1/accounts").await?;
    let current = accounts.data.into_iter().find(|account| account.current);
    current.ok_or_else(|| CliError::Unfit { what: "the service has no account".to_owned() })
}
