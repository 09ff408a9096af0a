//! A database of a test's own, in the server that `DATABASE_URL` names.

use anyhow::Context;
use lockkeeper::store::Store;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// An empty database. What a failed test leaves behind goes with the throw-away server.
#[derive(Debug)]
pub struct Database {
    server_url: String,
    name: String,
    pub url: String,
}

impl Database {
    pub async fn create() -> anyhow::Result<Self> {
        Self::named("").await
    }

    async fn named(options: &str) -> anyhow::Result<Self> {
        let server_url = std::env::var("DATABASE_URL")
            .context("DATABASE_URL is not set: run this below .ci/with-postgres")?;
        let name = format!("world_{}", Uuid::new_v4().simple());
        let (server, _) = server_url.rsplit_once('/').context("DATABASE_URL names no database")?;
        let url = format!("{server}/{name}");
        let mut connection = PgConnection::connect(&server_url).await?;
        sqlx::query(AssertSqlSafe(format!("create database {name} {options}")))
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(Self { server_url, name, url })
    }

    /// A database with the schema: a copy of one that is made once in each process.
    pub async fn migrated() -> anyhow::Result<Self> {
        static TEMPLATE: OnceCell<String> = OnceCell::const_new();
        let template = TEMPLATE
            .get_or_try_init(|| async {
                let template = Self::create().await?;
                let store = Store::open(&template.url, 1)?;
                store.migrate().await?;
                store.close().await;
                anyhow::Ok(template.name)
            })
            .await?;
        Self::named(&format!("template {template}")).await
    }

    /// Drops it, whoever is still connected.
    pub async fn remove(self) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.server_url).await?;
        let statement = format!("drop database {} with (force)", self.name);
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}
