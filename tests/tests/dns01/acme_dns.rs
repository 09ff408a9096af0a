//! The acme-dns protocol: labels of our own zone, and what their owners write there.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use lockkeeper::cli::api_client::operator_token;
use lockkeeper_tests::name_server::{dig, free_address};
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{Plan, World};
use serde_json::{Value, json};

const OWN: &str = "acme-own.net";

struct Api {
    base: SocketAddr,
    own: SocketAddr,
    token: String,
}

impl Api {
    async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let mut request = Request::builder().method(Method::POST).uri(format!("http://{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = client.request(request.body(Full::from(body.to_owned()))?).await?;
        let status = answer.status();
        Ok((status, serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?))
    }

    async fn register(&self, body: &str) -> anyhow::Result<(StatusCode, Value)> {
        let bearer = format!("Bearer {}", self.token);
        self.post("/acme-dns/register", &[("authorization", &bearer)], body).await
    }

    async fn update(
        &self,
        account: &Value,
        subdomain: &str,
        text: &str,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let text_of = |key: &str| account[key].as_str().expect("a text").to_owned();
        let (user, key) = (text_of("username"), text_of("password"));
        let body = json!({ "subdomain": subdomain, "txt": text }).to_string();
        self.post("/acme-dns/update", &[("X-Api-User", &user), ("X-Api-Key", &key)], &body).await
    }

    async fn texts(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let told = dig(self.own, &["+short", "TXT", name]).await?;
        let mut texts: Vec<String> = told.lines().map(|line| line.replace('"', "")).collect();
        texts.sort_unstable();
        Ok(texts)
    }
}

async fn start(registration: &str) -> anyhow::Result<(World, lockkeeper::app::App, Api)> {
    let own = free_address(Ipv4Addr::LOCALHOST)?;
    let more = format!(
        "[authority]\nzone = \"{OWN}\"\nlisten = \"{own}\"\nname_servers = [\"ns1.{OWN}\"]\n\
         addresses = [\"127.0.0.1\"]\nregistration = \"{registration}\"\n"
    );
    let settings = Settings { more, ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(Vec::new()) }).await?;
    let app = world.service("one").await?;
    let token = operator_token(&world.data_folder("one"))?.reveal().to_owned();
    let base = app.endpoints.api.expect("it plays the role");
    Ok((world, app, Api { base, own, token }))
}

#[tokio::test]
async fn a_client_registers_writes_two_values_and_the_third_takes_the_place_of_the_first()
-> anyhow::Result<()> {
    let (world, app, api) = start("token").await?;
    let (status, account) = api.register("").await?;
    assert_eq!(status, StatusCode::CREATED, "{account}");
    let subdomain = account["subdomain"].as_str().expect("a label").to_owned();
    let name = account["fulldomain"].as_str().expect("a name").to_owned();
    assert_eq!(name, format!("{subdomain}.{OWN}"));
    assert_eq!(account["allowfrom"], json!([]));
    assert!(dig(api.own, &["TXT", &name]).await?.contains("status: NOERROR"), "it is there, and empty");

    let text = |letter: &str| letter.repeat(43);
    for letter in ["a", "b"] {
        let (status, told) = api.update(&account, &subdomain, &text(letter)).await?;
        assert_eq!((status, told), (StatusCode::OK, json!({ "txt": text(letter) })));
        world.clock.leap(std::time::Duration::from_secs(1));
    }
    let shows = async |letters: &[&str]| -> anyhow::Result<()> {
        let wanted: Vec<String> = letters.iter().map(|letter| text(letter)).collect();
        let seen = async || Ok(api.texts(&name).await? == wanted);
        world.wait_until("the values are served", std::time::Duration::from_secs(20), seen).await
    };
    shows(&["a", "b"]).await?;
    // Written again, it is the newer one.
    api.update(&account, &subdomain, &text("a")).await?;
    world.clock.leap(std::time::Duration::from_secs(1));
    api.update(&account, &subdomain, &text("c")).await?;
    shows(&["a", "c"]).await?;

    let stored: Vec<u8> = sqlx::query_scalar("select password_sha256 from dns_delegations")
        .fetch_one(world.store.pool())
        .await?;
    let password = account["password"].as_str().expect("a password");
    assert_eq!(stored, lockkeeper_tests::sha256(password.as_bytes()));
    app.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn whoever_has_not_the_key_or_the_place_writes_nothing() -> anyhow::Result<()> {
    let (world, app, api) = start("token").await?;
    let text = "a".repeat(43);
    let forbidden = (StatusCode::UNAUTHORIZED, json!({ "error": "forbidden" }));
    assert_eq!(api.post("/acme-dns/register", &[], "").await?, forbidden);
    let (_, mine) = api.register("{}").await?;
    let (_, theirs) = api.register("{\"allowfrom\": [\"127.0.0.0/8\"]}").await?;
    let (_, far) = api.register("{\"allowfrom\": [\"192.0.2.0/24\", \"2001:db8::/32\"]}").await?;
    let label = |account: &Value| account["subdomain"].as_str().expect("a label").to_owned();
    assert_eq!(api.update(&mine, &label(&theirs), &text).await?, forbidden);
    assert_eq!(api.update(&far, &label(&far), &text).await?, forbidden);
    assert_eq!(api.update(&theirs, &label(&theirs), &text).await?.0, StatusCode::OK);
    let mut wrong = mine.clone();
    wrong["password"] = json!("0".repeat(40));
    assert_eq!(api.update(&wrong, &label(&mine), &text).await?, forbidden);
    assert_eq!(api.post("/acme-dns/update", &[], "{}").await?, forbidden);
    let bad = |word: &str| (StatusCode::BAD_REQUEST, json!({ "error": word }));
    assert_eq!(api.update(&mine, &label(&mine), "short").await?, bad("bad_txt"));
    assert_eq!(api.update(&mine, "no label", &text).await?, bad("bad_subdomain"));
    assert_eq!(api.register("{\"allowfrom\": [\"everywhere\"]}").await?, bad("invalid_allowfrom_cidr"));
    assert_eq!(api.register("nonsense").await?, bad("malformed_json_payload"));
    assert_eq!(api.texts(mine["fulldomain"].as_str().expect("a name")).await?, Vec::<String>::new());
    app.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn registration_can_be_open_or_closed() -> anyhow::Result<()> {
    for (registration, status) in [("open", StatusCode::CREATED), ("closed", StatusCode::UNAUTHORIZED)] {
        let (world, app, api) = start(registration).await?;
        assert_eq!(api.post("/acme-dns/register", &[], "").await?.0, status, "{registration}");
        app.stop().await?;
        world.stop().await?;
    }
    Ok(())
}
