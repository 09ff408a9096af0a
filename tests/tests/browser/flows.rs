//! Each group of flows, in a world of its own.

use crate::run::play;
use crate::stage::Stage;

/// Plays a group where nothing moves but what a person does.
async fn at_rest(group: &str) -> anyhow::Result<()> {
    let stage = Stage::at_rest().await?;
    play(&stage, group).await?;
    stage.stop().await
}

/// Plays a group beside a service that works.
async fn at_work(group: &str) -> anyhow::Result<()> {
    let stage = Stage::at_work().await?;
    play(&stage, group).await?;
    stage.stop().await
}

#[tokio::test]
async fn people_sign_in_and_out() -> anyhow::Result<()> {
    at_rest("sessions").await
}

#[tokio::test]
async fn what_is_wrong_is_found() -> anyhow::Result<()> {
    at_rest("finding").await
}

#[tokio::test]
async fn what_is_pressed_is_done() -> anyhow::Result<()> {
    at_work("acting").await
}

#[tokio::test]
async fn everybody_sees_what_is_theirs() -> anyhow::Result<()> {
    at_rest("tenancy").await
}

#[tokio::test]
async fn it_works_without_scripts() -> anyhow::Result<()> {
    at_work("without_scripts").await
}

#[tokio::test]
async fn it_is_driven_by_keys_and_on_a_phone() -> anyhow::Result<()> {
    at_rest("comfort").await
}

#[tokio::test]
async fn every_view_can_be_used_by_everybody() -> anyhow::Result<()> {
    at_rest("views").await
}

#[tokio::test]
async fn nothing_that_others_wrote_is_executed() -> anyhow::Result<()> {
    let stage = Stage::hostile().await?;
    play(&stage, "hostile").await?;
    stage.stop().await
}

#[tokio::test]
async fn nobody_else_can_press_for_one() -> anyhow::Result<()> {
    at_rest("forgeries").await
}
