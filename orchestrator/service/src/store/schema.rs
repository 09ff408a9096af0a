//! Which migrations the database has seen.

use std::collections::BTreeMap;

use sqlx::migrate::{Migrate, MigrateError};

use super::{MIGRATOR, Store, StoreError};

/// The database's schema beside this release's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    pub present: Vec<SchemaMigration>,
    /// Not applied yet, or applied with another text, which no later run repairs.
    pub pending: Vec<SchemaMigration>,
    /// Applied by a release that is newer than this one.
    pub foreign: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaMigration {
    pub version: i64,
    pub description: String,
}

impl Schema {
    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.foreign.is_empty()
    }
}

impl Store {
    /// Reads the schema's state and changes nothing.
    pub async fn schema(&self) -> Result<Schema, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(StoreError::Connect)?;
        let applied = match connection.list_applied_migrations(&MIGRATOR.table_name).await {
            Ok(applied) => applied,
            Err(MigrateError::Execute(sqlx::Error::Database(error)))
                if error.code().as_deref() == Some(UNDEFINED_TABLE) =>
            {
                Vec::new()
            }
            Err(error) => return Err(StoreError::Migrate(error)),
        };
        let mut applied: BTreeMap<i64, _> =
            applied.into_iter().map(|migration| (migration.version, migration.checksum)).collect();
        let (mut present, mut pending) = (Vec::new(), Vec::new());
        for migration in MIGRATOR.iter() {
            let state = SchemaMigration {
                version: migration.version,
                description: migration.description.clone().into_owned(),
            };
            match applied.remove(&migration.version) {
                Some(checksum) if checksum == migration.checksum => present.push(state),
                _ => pending.push(state),
            }
        }
        Ok(Schema { present, pending, foreign: applied.into_keys().collect() })
    }
}

/// A database that no release has touched has no table of migrations either.
const UNDEFINED_TABLE: &str = "42P01";
