//! The matrix: everything that can go wrong, at every place where it can, one world for each; and an oracle that asks
//! the CA's books and the rows whether the promises were kept.
//!
//! ```sh
//! make matrix
//! SEED=7 CELL=new_order:drop_answer .ci/with-postgres cargo nextest run --workspace -E 'binary(matrix)' --no-capture
//! ```

mod cell;
mod drive;
mod life;
mod oracle;
mod processes;
mod protections;
mod scenery;
mod table;

use lockkeeper_tests::fate::Mishap;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_request_each_thing_that_can_go_wrong_with_it() -> anyhow::Result<()> {
    table::play_all("requests", cell::at_requests()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_point() -> anyhow::Result<()> {
    table::play_all("kills", cell::at_points(Mishap::Crash)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_for_longer_than_the_lease_at_every_point() -> anyhow::Result<()> {
    table::play_all("stops", cell::at_points(Mishap::Stall)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_from_the_database_at_every_commit() -> anyhow::Result<()> {
    table::play_all("cuts", cell::at_commits()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_pairs() -> anyhow::Result<()> {
    table::play_all("pairs", cell::pairs(table::seed()?)).await
}
