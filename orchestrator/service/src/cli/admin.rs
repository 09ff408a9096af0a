//! `lockkeeper admin`: people who sign in to the dashboard.

use std::io::{IsTerminal as _, Read as _};

use clap::{Args, Subcommand, ValueEnum};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret as _, SecretString};

use super::api_client::{ApiClient, ApiError};
use super::error::CliError;
use super::exit::Exit;
use super::listing::{self, ListingArgs, or_dash};
use super::notice::notice;
use super::output::Output;
use crate::api::address::{with_query, with_segment};
use crate::api::users::{Password, UserChange, WantedUser};
use crate::store::page::Listing;
use crate::store::users::{Role, SignInBy, UserView};

pub(super) const USERS: &str = "/v1/users";
/// Of a password that is drawn: 142 bits.
const DRAWN_CHARS: usize = 24;
const PASSWORD_BYTES_MAX: u64 = 4_096;

#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Lists who may sign in.
    ListUsers(ListArgs),
    /// Lets somebody sign in. The password is read from standard input; without one there, it is drawn and printed. Who
    /// signs in at the provider of identities alone has none.
    CreateUser(CreateArgs),
    /// Gives somebody another password, read or drawn as with create-user, and signs that user out everywhere.
    ResetPassword(NameArgs),
    /// Changes what somebody may do.
    SetRole(RoleArgs),
    /// Changes how somebody signs in. A password, where one is needed, is read or drawn as with create-user.
    SetSignIn(SignInArgs),
    /// Lets nobody sign in by this name, and signs out whoever has.
    DisableUser(NameArgs),
    /// Lets somebody sign in again.
    EnableUser(NameArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub listing: ListingArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Everything; who may sign in, too.
    Owner,
    /// Everything about names and certificates.
    Operator,
    /// Looks, and changes nothing.
    Viewer,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Owner => Self::Owner,
            RoleArg::Operator => Self::Operator,
            RoleArg::Viewer => Self::Viewer,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SignInArg {
    Password,
    /// At the provider of identities that is configured.
    Oidc,
    Both,
}

impl From<SignInArg> for SignInBy {
    fn from(way: SignInArg) -> Self {
        match way {
            SignInArg::Password => Self::Password,
            SignInArg::Oidc => Self::Oidc,
            SignInArg::Both => Self::Both,
        }
    }
}

#[derive(Debug, Args)]
pub struct NameArgs {
    /// What is typed in to sign in.
    #[arg(value_name = "NAME")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    #[command(flatten)]
    pub user: NameArgs,
    #[arg(long, value_enum)]
    pub role: RoleArg,
    #[arg(long, value_enum, default_value_t = SignInArg::Password, value_name = "WAY")]
    pub sign_in: SignInArg,
    /// The tenant of which alone it sees anything, by its slug [default: whoever's key this is].
    #[arg(long, value_name = "SLUG")]
    pub tenant: Option<String>,
}

#[derive(Debug, Args)]
pub struct RoleArgs {
    #[command(flatten)]
    pub user: NameArgs,
    #[arg(value_enum, value_name = "ROLE")]
    pub role: RoleArg,
}

#[derive(Debug, Args)]
pub struct SignInArgs {
    #[command(flatten)]
    pub user: NameArgs,
    #[arg(value_enum, value_name = "WAY")]
    pub way: SignInArg,
}

pub async fn run(command: &AdminCommand, api: &ApiClient, output: Output) -> Result<Exit, CliError> {
    match command {
        AdminCommand::ListUsers(args) => {
            let users: Listing<UserView> = listing::fetch(api, USERS, &[], &args.listing).await?;
            let header = ["id", "tenant", "name", "role", "by", "signed in", "disabled"];
            return listing::show(output, &users, header, row);
        }
        AdminCommand::CreateUser(args) => {
            let way = SignInBy::from(args.sign_in);
            let given = if way.password() { Some(password()?) } else { None };
            let wanted = WantedUser {
                name: args.user.name.clone(),
                tenant: args.tenant.clone(),
                role: args.role.into(),
                sign_in: Some(way),
                password: given.as_ref().map(|(password, _)| Password(password.clone())),
            };
            let made: UserView = api.post_json(USERS, &wanted).await?;
            notice(&format!("{} may sign in as {}", made.name, made.role));
            if let Some((password, drawn)) = given {
                tell(drawn, &password, output)?;
            }
        }
        AdminCommand::SetSignIn(args) => {
            let way = SignInBy::from(args.way);
            let user = find(api, &args.user.name).await?;
            let needs_one = way.password() && !user.sign_in.password();
            let given = if needs_one { Some(password()?) } else { None };
            let wanted = UserChange {
                sign_in: Some(way),
                password: given.as_ref().map(|(password, _)| Password(password.clone())),
                ..UserChange::default()
            };
            let changed = change(api, &args.user.name, &wanted).await?;
            notice(&format!("{} signs in by {} from now on", changed.name, changed.sign_in));
            if let Some((password, drawn)) = given {
                tell(drawn, &password, output)?;
            }
        }
        AdminCommand::ResetPassword(args) => {
            let (password, drawn) = password()?;
            let wanted = UserChange { password: Some(Password(password.clone())), ..UserChange::default() };
            let changed = change(api, &args.name, &wanted).await?;
            notice(&format!("{} has another password, and is signed in nowhere", changed.name));
            tell(drawn, &password, output)?;
        }
        AdminCommand::SetRole(args) => {
            let wanted = UserChange { role: Some(args.role.into()), ..UserChange::default() };
            let changed = change(api, &args.user.name, &wanted).await?;
            notice(&format!("{} is {} from now on", changed.name, changed.role));
        }
        AdminCommand::DisableUser(args) => {
            let wanted = UserChange { disabled: Some(true), ..UserChange::default() };
            let changed = change(api, &args.name, &wanted).await?;
            notice(&format!("nobody signs in as {}", changed.name));
        }
        AdminCommand::EnableUser(args) => {
            let wanted = UserChange { disabled: Some(false), ..UserChange::default() };
            let changed = change(api, &args.name, &wanted).await?;
            notice(&format!("{} may sign in again", changed.name));
        }
    }
    Ok(Exit::Done)
}

async fn change(api: &ApiClient, name: &str, wanted: &UserChange) -> Result<UserView, CliError> {
    let user = find(api, name).await?;
    let path = with_segment(USERS, &user.id.to_string());
    Ok(api.patch_version(&path, user.version, wanted).await?)
}

async fn find(api: &ApiClient, name: &str) -> Result<UserView, CliError> {
    let path = with_query(USERS, &[("name", Some(name.to_owned()))]);
    let found: Listing<UserView> = api.get(&path).await?;
    let refused = || ApiError::Refused {
        status: http::StatusCode::NOT_FOUND,
        code: "not-found".to_owned(),
        detail: format!("nobody signs in as {name}: see lockkeeper admin list-users"),
        request_id: "none".to_owned(),
    };
    Ok(found.data.into_iter().next().ok_or_else(refused)?)
}

/// What stands on standard input, or one that is drawn: true.
fn password() -> Result<(SecretString, bool), CliError> {
    let input = std::io::stdin();
    let unreadable = |source| CliError::File { path: "standard input".into(), source };
    let mut text = String::new();
    if !input.is_terminal() {
        input.lock().take(PASSWORD_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    }
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() { Ok((drawn_password(), true)) } else { Ok((SecretString::from(text), false)) }
}

pub(super) fn drawn_password() -> SecretString {
    let drawn: String = rand::rng().sample_iter(Alphanumeric).take(DRAWN_CHARS).map(char::from).collect();
    SecretString::from(drawn)
}

/// One that was drawn stands alone on its line, for `$(…)`: the only time that it is shown.
fn tell(drawn: bool, password: &SecretString, output: Output) -> Result<(), CliError> {
    if drawn { output.text(password.expose_secret()) } else { Ok(()) }
}

fn row(user: &UserView) -> [String; 7] {
    [
        user.id.to_string(),
        or_dash(user.tenant.as_deref()),
        user.name.clone(),
        user.role.to_string(),
        user.sign_in.to_string(),
        or_dash(user.last_signed_in_at),
        or_dash(user.disabled_at),
    ]
}
