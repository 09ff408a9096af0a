//! A CAA record that forbids the CA keeps the order at home.

use std::time::Duration;

use lockkeeper::store::explanations::HostnameView;
use lockkeeper_tests::world::{Plan, World, csv, pairs};
use rehearsal::fleet::{Caa, Site};

const WITHIN: Duration = Duration::from_mins(1);
/// The rehearsal CA's name for itself, which its directory says.
const OURS: &str = "rehearsal.invalid";

fn issue(value: &str) -> Caa {
    Caa { critical: false, tag: "issue".into(), value: value.into() }
}

fn names(site: &Site) -> Vec<&str> {
    site.names.iter().map(issuance::identifier::Hostname::as_str).collect()
}

#[tokio::test]
async fn forbidden_names_are_parked_with_the_record_to_publish_and_never_ordered() -> anyhow::Result<()> {
    let sites = pairs("caa", 6);
    let world = World::start(Plan::new(sites.clone())).await?;
    world.fleet.set_caa("caa-0.com", &[issue("other.example")]);
    world.fleet.set_caa("caa-1.com", &[issue(OURS), Caa { critical: true, ..issue("x") }]);
    world.fleet.set_caa("caa-1.com", &[Caa { critical: true, tag: "future".into(), value: "x".into() }]);
    world.fleet.set_caa("caa-2.com", &[issue(&format!("{OURS}; validationmethods=dns-01"))]);
    world.fleet.set_caa("caa-3.com", &[issue(&format!("{OURS}; accounturi=https://elsewhere.example/1"))]);
    // Of this pair only `www` is forbidden, by a record of its own.
    world.fleet.set_caa("www.caa-4.com", &[issue(";")]);
    world.fleet.set_caa("caa-5.com", &[issue("other.example"), issue(OURS)]);
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;

    for site in &sites[..4] {
        assert_eq!(world.fate_of(&names(site)).await?, ("parked".to_owned(), Some("caa".to_owned())));
    }
    assert_eq!(world.fate_of(&names(&sites[4])[..1]).await?, ("issued".to_owned(), None), "the apex goes on");
    assert_eq!(world.fate_of(&names(&sites[4])).await?, ("parked".to_owned(), Some("caa".to_owned())));
    assert_eq!(world.fate_of(&names(&sites[5])).await?, ("issued".to_owned(), None));

    let told: Vec<String> =
        sqlx::query_scalar("select fault_detail from orders where stage = 'parked' order by fault_detail")
            .fetch_all(world.store.pool())
            .await?;
    let told = told.join("\n");
    for words in [
        "the CAA records of caa-0.com let only other.example issue (issue); publish: caa-0.com. CAA 0 issue \
         \"rehearsal.invalid\"",
        "the CAA records of caa-1.com have a critical property \"future\" that no CA knows; remove",
        "publish: caa-2.com. CAA 0 issue \"rehearsal.invalid; validationmethods=http-01\"",
        "publish: caa-3.com. CAA 0 issue \"rehearsal.invalid; accounturi=http",
        "the CAA records of www.caa-4.com let no CA issue (issue); publish: www.caa-4.com. CAA 0 issue",
    ] {
        assert!(told.contains(words), "{words}\nis not in\n{told}");
    }
    let view: HostnameView = world.client("one", &app)?.get("/v1/hostnames/caa-3.com").await?;
    let told = view.records.iter().find(|record| record.r#type == "CAA").expect("the record to publish");
    assert_eq!((told.action.as_str(), told.name.as_str()), ("publish", "caa-3.com"));
    assert!(told.value.starts_with("0 issue \"rehearsal.invalid; accounturi=http"), "{told:?}");

    let audit = world.audit()?;
    assert_eq!((audit.orders, audit.authorizations.invalid), (2, 0), "only what may be issued: {audit:?}");

    // The record that was advised is published, and the name goes.
    world.fleet.set_caa("caa-0.com", &[issue("other.example"), issue(OURS)]);
    world.end_rests().await?;
    world
        .wait_until("it is issued", WITHIN, async || {
            Ok(world.fate_of(&names(&sites[0])).await? == ("issued".to_owned(), None))
        })
        .await?;
    assert_eq!(world.audit()?.authorizations.invalid, 0);
    app.stop().await?;
    world.stop().await
}
