//! The drill that deploy/README.md describes: a dump taken in the middle of work, and a service started on it later.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use issuance::limit::{Limit, LimitName};
use issuance::time::Clock as _;
use lockkeeper::cli::restored::RestoredArgs;
use lockkeeper::cli::{self, Cli, Exit, Format, ServerArgs};
use lockkeeper::clock::SystemClock;
use lockkeeper::store::Store;
use lockkeeper::store::certificates::CertificateView;
use lockkeeper::store::page::Listing;
use lockkeeper_tests::database::Database;
use lockkeeper_tests::world::{CaChoice, Plan, World, csv, pairs};
use rehearsal::rules::CaRules;
use tokio::process::Command;

use crate::units::repository;

const WITHIN: Duration = Duration::from_mins(1);
const NAME: &str = "one";
const SITES: u64 = 12;
/// New-orders that the CA allows in an hour.
const ALLOWED: u32 = 8;

/// One of PostgreSQL's own programs, as Debian has them.
async fn postgres(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let script = r#"bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1); exec "$bin/$0" "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, program]).args(arguments).kill_on_drop(true);
    let done = command.output().await?;
    ensure!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// The rehearsal's, but for one limit.
fn profile(folder: &Path) -> anyhow::Result<String> {
    let shipped = std::fs::read_to_string(repository().join("deploy/ca-profiles/rehearsal.toml"))?;
    let wide = "burst = 1000000\ncount = 1000000\nperiod_seconds = 10800";
    let narrow = format!("burst = {ALLOWED}\ncount = {ALLOWED}\nperiod_seconds = 3600");
    ensure!(shipped.contains(wide), "the profile has another limit");
    let path = folder.join("profile.toml");
    std::fs::write(&path, shipped.replacen(wide, &narrow, 1))?;
    std::fs::read_to_string(&path).context("it was written")
}

/// Dumps while orders are in flight, lets the CA count on, takes the database back, and goes on. How often the CA has
/// said no is what is returned.
async fn drill() -> anyhow::Result<u64> {
    let folder = tempfile::tempdir()?;
    let limit =
        Limit { name: LimitName::NewOrdersPerAccount, burst: ALLOWED, count: ALLOWED, period_seconds: 3_600 };
    let rules = CaRules { nonce_rejection: 0.0, limits: vec![limit], ..CaRules::default() };
    let sites = pairs("restored", SITES as usize);
    let plan = Plan {
        ca: CaChoice::Rehearsal(rules),
        profile: Some(profile(folder.path())?),
        ..Plan::new(sites.clone())
    };
    let mut world = World::start(plan).await?;
    let app = world.service(NAME).await?;
    world.import_into(NAME, &app, csv(&sites)).await?;
    let issued = async |world: &World, count: u64| -> anyhow::Result<()> {
        let reached = async || Ok(world.summary().await?.certificates_issued >= count);
        world.wait_until(&format!("{count} are issued"), WITHIN, reached).await
    };
    issued(&world, 1).await?;
    let dump = folder.path().join("lockkeeper.dump");
    let dump = dump.to_str().context("a path")?;
    postgres("pg_dump", &["--format=custom", "--file", dump, &world.database_url]).await?;
    // The CA counts on.
    issued(&world, ALLOWED.into()).await?;
    app.stop().await?;

    let restored = Database::create().await?;
    postgres("pg_restore", &["--no-owner", "--exit-on-error", "--dbname", &restored.url, dump]).await?;
    world.database_url.clone_from(&restored.url);
    world.store.close().await;
    world.store = Store::open(&restored.url, 4)?;
    let before = world.summary().await?;
    assert!(before.certificates_issued < SITES, "it is of an earlier instant: {before:?}");
    // The file is the one that the next start reads, with the restored database in it.
    let config = std::fs::read_to_string(world.config_file(NAME))?;
    let (_, after_url) = config.split_once("connections").context("a number of connections")?;
    let path = folder.path().join("lockkeeper.toml");
    std::fs::write(&path, format!("[database]\nurl = {:?}\nconnections{after_url}", restored.url))?;
    let command = Cli {
        config: Some(path),
        output: Format::Json,
        server: ServerArgs { api: String::new(), token: None },
        command: cli::Command::Restored(RestoredArgs { stopped: true }),
    };
    let marked_at = SystemClock.now().to_datetime().context("a year of the calendar")?;
    assert_eq!(cli::run(command).await?, Exit::Done);
    // Nothing is left of the account's limit, whatever the dump says, and it comes back by its own rule.
    let full_at: time::OffsetDateTime =
        sqlx::query_scalar("select full_at from buckets where limit_name = 'new_orders_per_account'")
            .fetch_one(world.store.pool())
            .await?;
    assert!(full_at >= marked_at + time::Duration::hours(1), "{full_at}, marked at {marked_at}");
    let app = world.service(NAME).await?;
    issued(&world, SITES).await?;
    world.wait_until_done(WITHIN).await?;

    let summary = world.summary().await?;
    assert_eq!((summary.certificates_issued, summary.open_authorizations), (SITES, 0), "{summary:?}");
    let audit = world.audit()?;
    assert_eq!(audit.authorizations.open, 0, "nothing is forgotten: {audit:?}");
    // The key of each certificate opens, also of those that were sealed before.
    let api = world.client(NAME, &app)?;
    let certificates: Listing<CertificateView> = api.get("/v1/certificates?limit=50").await?;
    assert_eq!(certificates.data.len() as u64, SITES);
    for certificate in &certificates.data {
        let bundle = api.fetch_text(&format!("/v1/certificates/{}/bundle", certificate.id)).await?;
        assert!(bundle.contains("PRIVATE KEY") && bundle.contains("BEGIN CERTIFICATE"));
    }
    app.stop().await?;
    let refused = audit.rate_limited;
    restored.remove().await?;
    world.stop().await?;
    Ok(refused)
}

#[tokio::test]
async fn a_restored_dump_forgets_nothing_and_is_never_told_no() -> anyhow::Result<()> {
    assert_eq!(drill().await?, 0);
    Ok(())
}
