//! `PowerDNS`, by its HTTP API, through the crate that speaks to providers.

use std::sync::Arc;
use std::time::Duration;

use issuance::time::Clock;
use lockkeeper::challenge::dns01::{Change, Providers, RecordName};
use lockkeeper::clock::SystemClock;
use lockkeeper::config::{AuthorityConfig, Config};
use lockkeeper_tests::name_server::{POWER_DNS_KEY, PowerDns};

const ROOM: Duration = Duration::from_secs(20);

fn providers(endpoint: &str, key: &str) -> anyhow::Result<Providers> {
    let folder = tempfile::tempdir()?;
    let secret = folder.path().join("key");
    std::fs::write(&secret, key)?;
    let path = folder.path().join("lockkeeper.toml");
    let text = format!(
        "[[dns01.provider]]\nname = \"pdns\"\ntype = \"powerdns\"\nzones = [\"power-shop.com\"]\n\
         endpoint = \"{endpoint}\"\nsecret_file = {:?}\n",
        secret.display().to_string()
    );
    std::fs::write(&path, text)?;
    let config = Config::load(Some(&path), std::iter::empty())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Ok(Providers::new(&config.dns01, &AuthorityConfig::default(), Arc::clone(&clock), &clock)?)
}

fn change(add: &[&str], remove: &[&str]) -> anyhow::Result<Change> {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let owner = RecordName::parse("_acme-challenge.power-shop.com")?;
    Ok(Change { owner, add: texts(add), remove: texts(remove) })
}

#[tokio::test]
async fn values_are_added_and_removed_one_by_one_and_doing_it_twice_is_no_error() -> anyhow::Result<()> {
    let server = PowerDns::start("power-shop.com").await?;
    let all = providers(&format!("http://{}", server.api), POWER_DNS_KEY)?;
    let owner = change(&[], &[])?.owner;
    let (provider, zone) = all.serving(&owner, None).expect("it serves the zone");
    let write = async |add: &[&str], remove: &[&str]| -> anyhow::Result<Vec<String>> {
        all.write(provider, zone, &[change(add, remove)?], ROOM).await?;
        server.texts(owner.as_str()).await
    };
    assert_eq!(write(&["one", "two"], &[]).await?, ["one", "two"]);
    assert_eq!(write(&["two"], &[]).await?, ["one", "two"]);
    assert_eq!(write(&["three"], &["one"]).await?, ["three", "two"]);
    assert_eq!(write(&[], &["one"]).await?, ["three", "two"]);
    assert_eq!(write(&[], &["two", "three"]).await?, Vec::<String>::new());
    server.stop().await
}

#[tokio::test]
async fn a_wrong_key_is_a_refusal_and_no_server_is_none() -> anyhow::Result<()> {
    let server = PowerDns::start("power-shop.com").await?;
    let told = async |endpoint: &str| -> anyhow::Result<(&'static str, String)> {
        let all = providers(endpoint, "another-key-of-tests")?;
        let change = change(&["one"], &[])?;
        let (provider, zone) = all.serving(&change.owner, None).expect("it serves the zone");
        let error = all.write(provider, zone, &[change], ROOM).await.expect_err("it is refused");
        Ok((error.as_str(), error.to_string()))
    };
    let (word, text) = told(&format!("http://{}", server.api)).await?;
    assert_eq!(word, "refused", "{text}");
    assert!(!text.contains("another-key"), "{text}");
    assert_eq!(told("http://127.0.0.1:9").await?.0, "unreachable");
    server.stop().await
}
