use clap::Args;
use serde::Serialize;

use super::database::Database;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use crate::config::Config;
use crate::store::Store;
use crate::store::schema::Schema;

#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Changes nothing, and says whether there is something to do (exit code 4).
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Serialize)]
struct Step {
    version: i64,
    description: String,
    state: &'static str,
}

pub(super) async fn run(args: &MigrateArgs, config: &Config, output: Output) -> Result<Exit, CliError> {
    let database = Database::open(config).await?;
    let outcome = perform(args, &database.store, output).await;
    database.close().await?;
    outcome
}

async fn perform(args: &MigrateArgs, store: &Store, output: Output) -> Result<Exit, CliError> {
    let before = store.schema().await?;
    if !args.check {
        store.migrate().await?;
    }
    let done = if args.check { "pending" } else { "applied" };
    let steps = describe(&before, done);
    output.show(&steps, ["version", "description", "state"], |steps| {
        steps
            .iter()
            .map(|step| [step.version.to_string(), step.description.clone(), step.state.to_owned()])
            .collect()
    })?;
    Ok(if args.check && !before.is_current() { Exit::Conflict } else { Exit::Done })
}

fn describe(before: &Schema, done: &'static str) -> Vec<Step> {
    let present = before.present.iter().map(|migration| (migration, "present"));
    let pending = before.pending.iter().map(|migration| (migration, done));
    let ours = present.chain(pending).map(|(migration, state)| Step {
        version: migration.version,
        description: migration.description.clone(),
        state,
    });
    let foreign = before.foreign.iter().map(|version| Step {
        version: *version,
        description: "of another release".to_owned(),
        state: "unknown",
    });
    ours.chain(foreign).collect()
}
