//! A database of a test's own, in the server that `DATABASE_URL` names.

use anyhow::Context;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
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
        let server_url = std::env::var("DATABASE_URL")
            .context("DATABASE_URL is not set: run this below .ci/with-postgres")?;
        let name = format!("world_{}", Uuid::new_v4().simple());
        let (server, _) = server_url.rsplit_once('/').context("DATABASE_URL names no database")?;
        let url = format!("{server}/{name}");
        let mut connection = PgConnection::connect(&server_url).await?;
        sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(Self { server_url, name, url })
    }

    /// Drops it, whoever is still connected.
    pub async fn remove(self) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.server_url).await?;
        let statement = format!("drop database {} with (force)", self.name);
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}
