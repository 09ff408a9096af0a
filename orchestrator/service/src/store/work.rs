//! One write at somebody's request: what it changes, the events that tell of it, and the answer that is remembered, in
//! one transaction.

use issuance::ids::OrderId;
use issuance::time::Timestamp;
use sqlx::{PgConnection, Postgres, Transaction};

use super::events::{self, Actor, Event};
use super::mint::Mint;
use super::viewer::Viewer;
use super::{Store, StoreError};
use crate::mishaps::reach_write;
use crate::telemetry::traces;

/// A transaction with its author. Dropped, it changes nothing.
#[derive(Debug)]
pub struct Work {
    tx: Transaction<'static, Postgres>,
    mint: Mint,
    viewer: Viewer,
    actor: Actor,
    at: Timestamp,
    /// Orders that are over with it.
    ended: Vec<OrderId>,
}

impl Work {
    pub async fn begin(
        store: &Store,
        viewer: Viewer,
        actor: Actor,
        at: Timestamp,
    ) -> Result<Self, StoreError> {
        let tx = store.begin_as(viewer, "work.begin").await?;
        Ok(Self { tx, mint: Mint::at(at), viewer, actor, at, ended: Vec::new() })
    }

    /// When it is done.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Whose rows it may touch.
    pub fn viewer(&self) -> Viewer {
        self.viewer
    }

    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    pub(super) fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    pub(super) fn mint(&self) -> &Mint {
        &self.mint
    }

    /// They are over if this work is committed.
    pub(super) fn note_ends(&mut self, orders: impl IntoIterator<Item = OrderId>) {
        self.ended.extend(orders);
    }

    /// Tells of a change that this work makes.
    pub async fn tell(&mut self, event: Event) -> Result<(), StoreError> {
        events::append(&mut self.tx, &self.mint, self.at, &self.actor, &[event]).await
    }

    /// Ends it with nothing changed, and what it holds is free when this returns. Dropped, it would be a moment later.
    pub async fn abandon(self) -> Result<(), StoreError> {
        self.tx.rollback().await.map_err(StoreError::of("work.abandon"))
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        reach_write!(Before, "work", "work.commit");
        self.tx.commit().await.map_err(StoreError::of("work.commit"))?;
        reach_write!(After, "work", "work.commit");
        self.ended.into_iter().for_each(traces::order_ended);
        Ok(())
    }
}
