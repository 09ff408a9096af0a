//! A check that is wrong loses its say, and gets it back when it proves right.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use issuance::check::Check;
use issuance::precision::Standing;
use issuance::time::Clock as _;
use lockkeeper::api::checks::{CheckList, WantedStanding};
use lockkeeper::api::hostnames::WantedSkip;
use lockkeeper::reconcile::{Evidence, Precision, Reconciler as _};
use lockkeeper::store::check_records::CheckRecordView;
use lockkeeper::store::explanations::{HostnameStatus, HostnameView};
use lockkeeper_tests::settings::{FarmNode, Settings};
use lockkeeper_tests::world::{Plan, World, csv, hostname};
use rehearsal::fleet::{Fault, Site};

const WITHIN: Duration = Duration::from_mins(1);

fn record(list: &CheckList, check: Check) -> &CheckRecordView {
    list.data.iter().find(|one| one.check == check).expect("all of them")
}

/// One declared node is down for ever, and never asked by the CA: whatever the check of the nodes says is wrong.
#[tokio::test]
async fn a_check_that_is_wrong_too_often_becomes_advice_and_lets_go() -> anyhow::Result<()> {
    let sites: Vec<Site> =
        (0..5).map(|place| Site::healthy(vec![hostname(&format!("wrong-{place}.com"))])).collect();
    let nowhere = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let settings = Settings {
        nodes: vec![FarmNode::new("web9", SocketAddr::from((Ipv4Addr::LOCALHOST, nowhere.port())))],
        reconcile_seconds: Some(100_000),
        ..Settings::default()
    };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&sites)).await?;
    world.wait_until_done(WITHIN).await?;
    assert_eq!(world.audit()?.orders, 0, "the node keeps all of them back");
    let api = world.client("one", &app)?;
    let parts = world.reconcile_parts().await?;
    let precision = Precision::new(parts.clone());
    let evidence = Evidence::new(parts, Arc::new(world.preflight()?), 200);

    // Three owners know better.
    for place in 0..3 {
        let path = format!("/v1/hostnames/wrong-{place}.com/overrides/nodes");
        let note = "web9 was taken out of the load balancer".to_owned();
        let told: HostnameView = api.put_json(&path, &WantedSkip { note, expires_at: None }).await?;
        assert_eq!(told.overrides.len(), 1);
    }
    world
        .wait_until("the three are issued", WITHIN, async || {
            Ok(world.summary().await?.certificates_issued == 3)
        })
        .await?;
    let other: HostnameView = api.get("/v1/hostnames/wrong-3.com").await?;
    assert_eq!(other.status, HostnameStatus::NotReady, "{other:?}");

    let pass = precision.pass(world.clock.now()).await?;
    assert_eq!((pass.count("measured"), pass.count("demoted")), (3, 1), "{pass:?}");
    let checks: CheckList = api.get("/v1/checks").await?;
    let nodes = record(&checks, Check::Nodes);
    assert_eq!((nodes.standing, nodes.standing_by.as_deref()), (Standing::Advice, Some("evidence")));
    assert_eq!((nodes.not_ready_valid, nodes.not_ready_invalid), (3, 0));
    let response = record(&checks, Check::Response);
    assert_eq!((response.standing, response.ready_valid, response.ready_invalid), (Standing::Blocks, 3, 0));
    // Measured once.
    assert!(precision.pass(world.clock.now()).await?.is_empty());

    // The others are let go by the next look, with the finding still told.
    world.clock.leap(Duration::from_mins(3));
    evidence.pass(world.clock.now()).await?;
    app.wake.notify_one();
    world
        .wait_until("all are issued", WITHIN, async || Ok(world.summary().await?.certificates_issued == 5))
        .await?;
    let other: HostnameView = api.get("/v1/hostnames/wrong-3.com").await?;
    let finding = other.checks.iter().find(|one| one.finding.check == Check::Nodes).expect("told");
    assert_eq!(finding.weight, "advice", "{other:?}");

    // The operator has it block again; what was counted before is no evidence any more.
    let wanted = WantedStanding { standing: Standing::Blocks };
    let checks: CheckList = api.put_json("/v1/checks/nodes/standing", &wanted).await?;
    let nodes = record(&checks, Check::Nodes);
    assert_eq!((nodes.standing, nodes.standing_by.as_deref()), (Standing::Blocks, Some("operator")));
    assert_eq!((nodes.since_valid, nodes.since_invalid), (0, 0));
    app.stop().await?;
    world.stop().await
}

/// A check that is right says so too: its alarms are true, and it keeps its say.
#[tokio::test]
async fn an_alarm_that_the_ca_confirms_speaks_for_the_check() -> anyhow::Result<()> {
    let site = Site::broken(vec![hostname("right.com")], Fault::NotFound);
    let settings = Settings { reconcile_seconds: Some(100_000), ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(vec![site.clone()]) }).await?;
    let app = world.service("one").await?;
    world.import_into("one", &app, csv(&[site])).await?;
    world.wait_until_done(WITHIN).await?;
    let api = world.client("one", &app)?;
    let note = "the owner swears that it works".to_owned();
    let skip = WantedSkip { note, expires_at: None };
    let _: HostnameView = api.put_json("/v1/hostnames/right.com/overrides/response", &skip).await?;
    world
        .wait_until("the CA has refused it", WITHIN, async || Ok(world.audit()?.authorizations.invalid == 1))
        .await?;
    world.wait_until_done(WITHIN).await?;
    let pass = Precision::new(world.reconcile_parts().await?).pass(world.clock.now()).await?;
    assert_eq!((pass.count("measured"), pass.count("demoted")), (1, 0), "{pass:?}");
    let checks: CheckList = api.get("/v1/checks").await?;
    let response = record(&checks, Check::Response);
    assert_eq!((response.not_ready_valid, response.not_ready_invalid), (0, 1));
    assert_eq!(response.standing, Standing::Blocks);
    app.stop().await?;
    world.stop().await
}
