use clap::Subcommand;

use super::api_client::ApiClient;
use super::error::CliError;
use super::exit::Exit;
use super::listing::or_dash;
use super::output::Output;
use crate::api::accounts::Accounts;
use crate::store::accounts::AccountView;

#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Shows the service's account at the CA, and the thumbprint of its key.
    Show,
}

pub async fn run(
    AccountCommand::Show: &AccountCommand,
    api: &ApiClient,
    output: Output,
) -> Result<Exit, CliError> {
    let account = current(api).await?;
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
        ];
        facts.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
    })?;
    Ok(Exit::Done)
}

/// The account that the service orders with.
pub(super) async fn current(api: &ApiClient) -> Result<AccountView, CliError> {
    let accounts: Accounts = api.get("/v1/accounts").await?;
    let current = accounts.data.into_iter().find(|account| account.current);
    current.ok_or_else(|| CliError::Unfit { what: "the service has no account".to_owned() })
}
