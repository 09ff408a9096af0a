//! The database: there, up to date, and one that keeps what it has acknowledged. And what it knows of the CA account.

use crate::cluster::PrivateCluster;
use crate::config::ca_profile;
use crate::store::Store;
use crate::store::diagnoses::AccountStanding;
use crate::store::fence::REMEDY;

use super::{Diagnosis, Practice, chain};

const DATABASE: &str = "database";
const SCHEMA: &str = "database schema";
const DURABILITY: &str = "database durability";
const FENCE: &str = "tenant fence";
const ACCOUNT: &str = "CA account";

pub(super) async fn examine(practice: &Practice<'_>) -> Vec<Diagnosis> {
    let config = practice.config;
    let url = match &config.database.url {
        Some(url) => url.expose().to_owned(),
        None => match PrivateCluster::running_url(&config.data.folder).await {
            Some(url) => url,
            None => {
                return vec![Diagnosis::fail(
                    DATABASE,
                    "the private cluster does not run",
                    "start the service, or set [database] url to a server",
                )];
            }
        },
    };
    let store = match Store::open(&url, 1) {
        Ok(store) => store,
        Err(error) => {
            return vec![Diagnosis::fail(
                DATABASE,
                chain(&error),
                "write [database] url as postgres://user@host/database",
            )];
        }
    };
    let diagnoses = of(practice, &store).await;
    store.close().await;
    diagnoses
}

async fn of(practice: &Practice<'_>, store: &Store) -> Vec<Diagnosis> {
    if let Err(error) = store.reach().await {
        let fix = "start the server, open the way to it, and look at user and password in [database] url";
        return vec![Diagnosis::fail(DATABASE, chain(&error), fix)];
    }
    let mut diagnoses = vec![Diagnosis::ok(DATABASE, "answers, and is no standby")];
    diagnoses.push(schema(store).await);
    diagnoses.push(durability(store).await);
    diagnoses.push(fence(store).await);
    diagnoses.push(account(practice, store).await);
    diagnoses
}

async fn schema(store: &Store) -> Diagnosis {
    match store.schema().await {
        Ok(schema) if schema.is_current() => {
            Diagnosis::ok(SCHEMA, format!("up to date ({} migrations)", schema.present.len()))
        }
        Ok(schema) if !schema.pending.is_empty() => Diagnosis::fail(
            SCHEMA,
            format!("{} migrations are missing", schema.pending.len()),
            "run `lockkeeper migrate`, or start this release, which does it",
        ),
        Ok(schema) => Diagnosis::warn(
            SCHEMA,
            format!("{} migrations come from a newer release", schema.foreign.len()),
            "run the newer release everywhere",
        ),
        Err(error) => Diagnosis::fail(SCHEMA, chain(&error), "look at the server's log"),
    }
}

/// Statements keep tenants apart; this is what holds where one forgets to.
async fn fence(store: &Store) -> Diagnosis {
    match store.fence_stands().await {
        Ok(true) => Diagnosis::ok(FENCE, "the database itself keeps tenants apart, beside the service"),
        Ok(false) => {
            let user = store.user().await.unwrap_or_else(|_| "the service's user".to_owned());
            let statements = REMEDY.map(|statement| statement.replace("USER", &user)).join("; ");
            let fix = format!(
                "as an administrator of the server, run: {statements}; then `lockkeeper migrate`, and restart"
            );
            Diagnosis::warn(
                FENCE,
                "the database's own roles are missing: the service alone keeps tenants apart",
                fix,
            )
        }
        Err(error) => Diagnosis::warn(FENCE, chain(&error), "bring the schema up to date first"),
    }
}

/// A server that forgets what it has acknowledged after a crash breaks the promise that nothing is forgotten.
async fn durability(store: &Store) -> Diagnosis {
    match store.durability().await {
        Ok(settings) => {
            let careless: Vec<String> = settings
                .iter()
                .filter(|(_, value)| value == "off")
                .map(|(name, value)| format!("{name} = {value}"))
                .collect();
            if careless.is_empty() {
                let told: Vec<String> =
                    settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                return Diagnosis::ok(DURABILITY, told.join(", "));
            }
            let fix = format!(
                "set {} to on and reload the server: a crash would take acknowledged orders back",
                careless.iter().filter_map(|one| one.split(' ').next()).collect::<Vec<_>>().join(", ")
            );
            Diagnosis::fail(DURABILITY, careless.join(", "), fix)
        }
        Err(error) => {
            Diagnosis::warn(DURABILITY, chain(&error), "look at fsync and synchronous_commit by hand")
        }
    }
}

async fn account(practice: &Practice<'_>, store: &Store) -> Diagnosis {
    let ca = &practice.config.ca;
    let directory =
        ca_profile::load(&ca.profile).ok().and_then(|profile| ca.directory(&profile).ok().flatten());
    let Some(directory) = directory else {
        return Diagnosis::fail(
            ACCOUNT,
            "no CA is configured",
            "set [ca] directory_url, or a [ca] profile that has one",
        );
    };
    let read_log = "look at the service's log: it says why the CA does not know the account yet";
    match store.account_standing(directory.as_str()).await {
        Ok(None) => Diagnosis::warn(
            ACCOUNT,
            format!("there is none at {} yet", directory.as_str()),
            "start the service once",
        ),
        Ok(Some(AccountStanding { stopped: Some(reason), .. })) => {
            let fix = "mend the account at the CA and restart the service, which finds it again";
            Diagnosis::fail(ACCOUNT, format!("the CA refuses it: {reason}"), fix)
        }
        Ok(Some(AccountStanding { url: None, .. })) => {
            Diagnosis::warn(ACCOUNT, "it is not registered yet", read_log)
        }
        Ok(Some(AccountStanding { held_until: Some(until), .. })) if until > practice.clock.now() => {
            Diagnosis::warn(
                ACCOUNT,
                format!("the CA puts it off until {until}"),
                "nothing to do: orders go on then",
            )
        }
        Ok(Some(AccountStanding { url: Some(url), .. })) => Diagnosis::ok(ACCOUNT, url),
        Err(error) => Diagnosis::warn(ACCOUNT, chain(&error), "bring the schema up to date first"),
    }
}
