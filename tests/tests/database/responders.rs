//! Responders while the database is away, and while nobody tells them anything.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use lockkeeper::app::App;
use lockkeeper_tests::postgres::{PostgresServer, url_at};
use lockkeeper_tests::wire::Wire;
use lockkeeper_tests::world::{Plan, World, csv, pairs};
use rehearsal::faults::{Effect, Endpoint, Fault, Plan as FaultPlan};
use sqlx::{Connection as _, Row as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::scene::WITHIN;

const SITES: usize = 3;
/// Two names each.
const RESPONSES: usize = SITES * 2;

/// Orders that have presented their responses, and go no further: the CA holds the requests that would submit them.
struct Presented {
    postgres: PostgresServer,
    /// Between the services and the server.
    wire: Wire,
    world: World,
    /// Works, and answers for the names.
    worker: App,
    /// Answers too, and nobody asks it.
    bystander: App,
    /// Token and key authorization.
    responses: Vec<(String, String)>,
}

impl Presented {
    async fn set(stem: &str) -> anyhow::Result<Self> {
        let postgres = PostgresServer::start_new("").await?;
        let wire = Wire::start(postgres.address(), 20_261_127).await?;
        let sites = pairs(stem, SITES);
        let database_url = Some(url_at(wire.address()));
        let world = World::start(Plan { database_url, ..Plan::new(sites.clone()) }).await?;
        let ca = world.ca.rehearsal().context("a rehearsal CA")?;
        ca.set_faults(FaultPlan::of(Fault::new(Effect::HoldRequest).at(Endpoint::Challenge)))?;
        let bystander = world.responder_alone("bystander").await?;
        let worker = world.service("worker").await?;
        world.import_into("worker", &worker, csv(&sites)).await?;
        world
            .wait_until("all are to be submitted", WITHIN, async || {
                let orders = world.orders().await?;
                Ok(orders.iter().filter(|order| order.stage == "submitted").count() == SITES)
            })
            .await?;
        let mut connection = postgres.connect().await?;
        let rows = sqlx::query("select token, key_authorization from authorizations")
            .fetch_all(&mut connection)
            .await?;
        connection.close().await?;
        let responses: Result<Vec<_>, sqlx::Error> =
            rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect();
        let responses = responses?;
        assert_eq!(responses.len(), RESPONSES);
        Ok(Self { postgres, wire, world, worker, bystander, responses })
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        [&self.worker, &self.bystander].map(|app| app.endpoints.responder.expect("it plays the role"))
    }

    async fn all_are_served_by(&self, responder: SocketAddr) -> anyhow::Result<()> {
        for (token, key_authorization) in &self.responses {
            let answer = ask(responder, token).await?;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(key_authorization), "{answer}");
        }
        Ok(())
    }

    async fn close(self) -> anyhow::Result<()> {
        self.world.ca.rehearsal().context("a rehearsal CA")?.set_faults(FaultPlan::default())?;
        self.world
            .wait_until("everything is issued", WITHIN, async || {
                Ok(self.world.summary().await?.certificates_issued == SITES as u64)
            })
            .await?;
        let audit = self.world.audit()?;
        assert_eq!((audit.authorizations.open, audit.authorizations.invalid), (0, 0), "{audit:?}");
        self.worker.stop().await?;
        self.bystander.stop().await?;
        self.world.stop().await?;
        self.wire.stop().await;
        drop(self.postgres);
        Ok(())
    }
}

async fn ask(responder: SocketAddr, token: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(responder).await?;
    let request = format!(
        "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: asked.directly\r\nUser-Agent: test\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn known_challenges_are_answered_on_every_replica_while_the_server_is_away() -> anyhow::Result<()> {
    let scene = Presented::set("away").await?;
    let board = scene.bystander.board.as_ref().context("it has one")?;
    let told = async {
        while board.len() < RESPONSES {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WITHIN, told).await.context("nobody told it")?;

    scene.wire.lead_to(None);
    scene.wire.cut();
    for responder in scene.addresses() {
        scene.all_are_served_by(responder).await?;
    }
    // What nobody knows may be known by the database: the CA is asked to come again, and the others are served still.
    let [_, bystander] = scene.addresses();
    let unknown =
        tokio::spawn(async move { ask(bystander, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await });
    scene.all_are_served_by(bystander).await?;
    let unknown = unknown.await??;
    assert!(unknown.starts_with("HTTP/1.1 503 "), "{unknown}");

    scene.wire.lead_to(Some(scene.postgres.address()));
    let asked = 2 * RESPONSES + RESPONSES;
    scene
        .world
        .wait_until("what was fetched meanwhile is written down", WITHIN, async || {
            let fetches: i64 = sqlx::query_scalar(
                "select count(*) from response_fetches where host = 'asked.directly' and user_agent = 'test'",
            )
            .fetch_one(scene.world.store.pool())
            .await?;
            Ok(fetches == i64::try_from(asked)?)
        })
        .await?;
    scene.close().await
}

#[tokio::test]
async fn what_a_replica_was_not_told_of_is_looked_up() -> anyhow::Result<()> {
    let scene = Presented::set("untold").await?;
    let board = scene.bystander.board.as_ref().context("it has one")?;
    // As if no notice had ever come.
    board.replace(&[]);
    board.replace(&[]);
    assert!(board.is_empty());
    let [_, bystander] = scene.addresses();
    scene.all_are_served_by(bystander).await?;
    let unknown = ask(bystander, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await?;
    assert!(unknown.starts_with("HTTP/1.1 404 "), "{unknown}");
    scene.close().await
}
