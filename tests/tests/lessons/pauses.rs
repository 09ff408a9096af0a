//! Names that the CA has paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use http::StatusCode;
use issuance::time::Clock as _;
use lockkeeper::acme::{Endpoint, Transport};
use lockkeeper::api::paused_names::{PausedNames, ReleaseReport};
use lockkeeper::cli::api_client::{ApiClient, operator_token};
use lockkeeper_tests::scripted_transport::{Fate, ScriptedTransport, problem};
use lockkeeper_tests::world::csv;
use rehearsal::fleet::Site;

use crate::world::{WITHIN, certified, name, refusals, world};

const PAUSED: &str = "Your account is temporarily prevented from requesting certificates for zombie.paused.com and \
                      possibly others. Please visit: https://ca.test/sfe/v1/unpause?jwt=eyJ";

/// One of three names is paused: the other two go on without it, and it waits for a person.
#[tokio::test]
async fn a_paused_name_does_not_stop_its_siblings() -> anyhow::Result<()> {
    let fleet =
        vec![Site::healthy(vec![name("paused.com"), name("www.paused.com"), name("zombie.paused.com")])];
    let world = world(&fleet, Vec::new()).await?;
    let paused = Arc::new(AtomicBool::new(true));
    let is_paused = Arc::clone(&paused);
    let wire = ScriptedTransport::trusting(None, move |call| match call {
        call if call.writes(Endpoint::NewOrder) && call.nth == 0 && is_paused.load(Ordering::SeqCst) => {
            Fate::Answer(problem(StatusCode::TOO_MANY_REQUESTS, "rateLimited", PAUSED))
        }
        _ => Fate::Pass,
    })?;
    let one = world.service_through("one", Some(Arc::clone(&wire) as Arc<dyn Transport>)).await?;
    world.import_into("one", &one, csv(&fleet)).await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(certified(&world).await?, ["paused.com"]);
    let whole = ["paused.com", "www.paused.com", "zombie.paused.com"];
    assert_eq!(world.fate_of(&whole).await?, ("parked".to_owned(), Some("paused_at_ca".to_owned())));
    let rows: Vec<(String, Option<String>)> =
        sqlx::query_as("select hostname, unpause_url from paused_names")
            .fetch_all(world.store.pool())
            .await?;
    let link = "https://ca.test/sfe/v1/unpause?jwt=eyJ".to_owned();
    assert_eq!(rows, [("zombie.paused.com".to_owned(), Some(link))]);
    assert_eq!(refusals(&world)?, 0, "nothing reached the CA");
    // A person has opened the link, and says so: the whole site goes on at once, a day before it would be tried again.
    paused.store(false, Ordering::SeqCst);
    let token = operator_token(&world.data_folder("one"))?;
    let api = ApiClient::new(&format!("http://{}", one.endpoints.api.context("it serves the API")?), &token)?;
    let listed: PausedNames = api.get("/v1/paused-names").await?;
    assert_eq!(
        listed.data.iter().map(|one| one.hostname.as_str()).collect::<Vec<_>>(),
        ["zombie.paused.com"]
    );
    let odd = api.post::<ReleaseReport>("/v1/paused-names/release?hostname=other.com").await;
    assert!(odd.is_err(), "it is not paused");
    let released: ReleaseReport = api.post("/v1/paused-names/release").await?;
    assert_eq!(released.released, ["zombie.paused.com"]);
    let from = world.clock.now();
    let issued = async || Ok(certified(&world).await?.len() == 2);
    world.wait_until("the whole site is issued", WITHIN, issued).await?;
    assert!(from.until(world.clock.now()) < Duration::from_hours(1));
    assert_eq!(api.get::<PausedNames>("/v1/paused-names").await?.data, []);
    one.stop().await?;
    world.stop().await
}
