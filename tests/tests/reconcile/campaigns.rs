//! Campaigns: exactly what was selected is replaced, once, at its rate, whoever dies meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use issuance::ids::CampaignId;
use lockkeeper::api::campaigns::{CampaignPreview, WantedCampaign, WantedCampaignChange};
use lockkeeper::cli::api_client::ApiClient;
use lockkeeper::mishaps::{Act, Moment, Point};
use lockkeeper::reconcile::{Campaigns, Pass, Reconciler};
use lockkeeper::store::campaigns::selection::CampaignSelector;
use lockkeeper::store::campaigns::view::{CampaignDetail, CampaignView, MemberView};
use lockkeeper::store::page::Listing;
use lockkeeper_tests::fate::{Mishap, Plan, PlannedFate};
use lockkeeper_tests::renewal_info::{RenewalInfoTransport, Told};
use lockkeeper_tests::scripted_transport::{Fate, ScriptedTransport};
use lockkeeper_tests::world::{CaChoice, csv, hostname, pairs};
use rehearsal::fleet::Fault as SiteFault;
use rehearsal::rules::CaRules;

use crate::renewal_world::{DAY, Renewing};
use crate::world::{HOUR, WITHIN, spoil};

/// Before and after the commits of the search, then of the orders; after the first look at them, and at the next commit.
const DEATHS: [(Moment, u64); 6] = [
    (Moment::Before, 1),
    (Moment::After, 1),
    (Moment::Before, 1),
    (Moment::After, 1),
    (Moment::Before, 2),
    (Moment::After, 1),
];
const MINUTE: Duration = Duration::from_mins(1);

/// A fleet with its certificates, and a replica's reconciler of campaigns.
struct Scene {
    renewing: Renewing,
    api: ApiClient,
    campaigns: Campaigns,
}

impl Scene {
    async fn start(stem: &str, count: usize) -> anyhow::Result<Self> {
        let renewing = Renewing::start(stem, count, CaChoice::Rehearsal(CaRules::default()), None).await?;
        renewing.pass().await?;
        let api = renewing.world.client("one", &renewing.app)?;
        let campaigns = Campaigns::new(renewing.parts.clone());
        Ok(Self { renewing, api, campaigns })
    }

    fn wanted(&self, selector: CampaignSelector) -> WantedCampaign {
        WantedCampaign {
            reason: "the CA revokes them".to_owned(),
            deadline: self.renewing.now().after(DAY),
            selector,
            rate_per_hour: None,
            new_keys: None,
        }
    }

    async fn begin(&self, wanted: &WantedCampaign) -> anyhow::Result<CampaignId> {
        let made: CampaignView = self.api.post_json("/v1/campaigns", wanted).await?;
        assert_eq!(
            (&*made.status, made.certificates),
            ("running", 0),
            "they are looked for in the background"
        );
        Ok(made.id)
    }

    async fn pass(&self) -> anyhow::Result<Pass> {
        Ok(self.campaigns.pass(self.renewing.now()).await?)
    }

    async fn seen(&self, id: CampaignId) -> anyhow::Result<CampaignView> {
        let found: CampaignDetail = self.api.get(&format!("/v1/campaigns/{id}")).await?;
        assert!(!found.burn_down.is_empty(), "each pass leaves a point");
        let CampaignView { certificates, waiting, queued, replaced, failed, skipped, .. } = found.campaign;
        assert_eq!(certificates, waiting + queued + replaced + failed + skipped);
        let members = self.members(id).await?;
        let of = |state: &str| members.iter().filter(|one| one.state == state).count() as u32;
        assert_eq!(
            (of("waiting"), of("queued"), of("replaced"), of("failed"), of("skipped")),
            (waiting, queued, replaced, failed, skipped),
            "the counts are those of the members"
        );
        Ok(found.campaign)
    }

    async fn members(&self, id: CampaignId) -> anyhow::Result<Vec<MemberView>> {
        let found: Listing<MemberView> =
            self.api.get(&format!("/v1/campaigns/{id}/certificates?limit=1000")).await?;
        Ok(found.data)
    }

    async fn change(&self, id: CampaignId, change: &WantedCampaignChange) -> anyhow::Result<CampaignView> {
        Ok(self.api.patch_json(&format!("/v1/campaigns/{id}"), change).await?)
    }

    /// How often the CA has signed for each site, by its first name.
    fn signed(&self) -> BTreeMap<String, usize> {
        let ca = self.renewing.world.ca.rehearsal().expect("a rehearsal CA");
        let mut signed = BTreeMap::new();
        for certificate in ca.certificates() {
            *signed.entry(certificate.names[0].clone()).or_default() += 1;
        }
        signed
    }
}

fn times(stem: &str, counts: &[usize]) -> BTreeMap<String, usize> {
    counts.iter().enumerate().map(|(place, count)| (format!("{stem}-{place}.com"), *count)).collect()
}

async fn serials(scene: &Scene, sites: &[usize], stem: &str) -> anyhow::Result<Vec<String>> {
    let names: Vec<String> = sites.iter().map(|place| format!("{stem}-{place}.com")).collect();
    Ok(sqlx::query_scalar("select serial from issued_certificates where names[1] = any($1)")
        .bind(names)
        .fetch_all(scene.renewing.parts.store.pool())
        .await?)
}

/// Six certificates of one day and three of the next, four of the six by another issuer: what is replaced is in the CA's own
/// books, and nothing else is.
#[tokio::test]
async fn exactly_what_an_issuer_has_signed_in_a_span_is_replaced() -> anyhow::Result<()> {
    let scene = Scene::start("incident", 6).await?;
    let first_day = scene.renewing.now();
    spoil(
        &scene.renewing.world,
        "update issued_certificates set issuer = 'C=XX, O=Other, CN=I2' where names[1] <> all('{incident-0.com,incident-1.com}') and issued_at <= $1",
        first_day,
    )
    .await?;
    scene.renewing.leap_to(first_day.after(DAY));
    // The same issuer, a day later.
    let later = pairs("later", 3);
    for site in &later {
        scene.renewing.world.fleet.add(site);
    }
    let app = &scene.renewing.app;
    scene.renewing.world.import_into("one", app, csv(&later).replace(",site-", ",later-")).await?;
    scene.renewing.world.wait_until_done(WITHIN).await?;
    scene.renewing.pass().await?;

    let issuer: String =
        sqlx::query_scalar("select issuer from issued_certificates where names[1] = 'incident-0.com'")
            .fetch_one(scene.renewing.parts.store.pool())
            .await?;
    let selector = CampaignSelector {
        issuer: Some(issuer.rsplit("CN=").next().unwrap_or_default().to_owned()),
        issued_until: Some(first_day),
        ..CampaignSelector::default()
    };
    let id = scene.begin(&scene.wanted(selector)).await?;
    let pass = scene.pass().await?;
    assert_eq!((pass.count("found"), pass.count("queued")), (2, 2), "{pass:?}");
    scene.renewing.work_off().await?;
    // And nothing is done twice.
    for _ in 0..3 {
        scene.renewing.leap_to(scene.renewing.now().after(MINUTE));
        scene.pass().await?;
    }
    let seen = scene.seen(id).await?;
    assert_eq!((&*seen.status, seen.replaced, seen.late), ("done", 2, false), "{seen:?}");
    let mut expected = times("incident", &[2, 2, 1, 1, 1, 1]);
    expected.extend(times("later", &[1, 1, 1]));
    assert_eq!(scene.signed(), expected);
    let audit = scene.renewing.world.audit()?;
    assert_eq!((audit.certificates, audit.rate_limited), (11, 0));
    for member in scene.members(id).await? {
        assert!(
            member.replaced_by.is_some() && member.replaced_by_serial != Some(member.serial.clone()),
            "{member:?}"
        );
    }
    let told: Vec<String> =
        sqlx::query_scalar("select kind from events where kind like 'campaign.%' order by xid, seq")
            .fetch_all(scene.renewing.parts.store.pool())
            .await?;
    assert_eq!(told, ["campaign.started", "campaign.done"]);
    // They were renewals to the CA: they name what they replace, and take no token.
    let orders = scene.renewing.orders().await?;
    let replacing: Vec<_> = orders.iter().filter(|order| order.replaces.is_some()).collect();
    assert_eq!(replacing.len(), 2, "{orders:?}");
    assert!(replacing.iter().all(|order| order.is_set_exempt && order.lane == 2), "{replacing:?}");
    scene.renewing.stop().await
}

/// Sixty an hour is one a minute, whatever the looks: at no instant were more ordered than minutes have passed, and one. A
/// pause stops it and is not caught up with; calling it off leaves what waits alone.
#[tokio::test]
async fn a_rate_is_kept_and_a_pause_and_an_end_are_obeyed() -> anyhow::Result<()> {
    let scene = Scene::start("slow", 8).await?;
    let all = CampaignSelector { issued_until: Some(scene.renewing.now()), ..CampaignSelector::default() };
    let id = scene.begin(&WantedCampaign { rate_per_hour: Some(60), ..scene.wanted(all) }).await?;
    let begun = scene.renewing.now();
    let mut ordered = 0;
    for look in [Duration::ZERO, Duration::from_secs(20), MINUTE, Duration::from_secs(70), MINUTE * 3] {
        scene.renewing.leap_to(begun.after(look));
        ordered += scene.pass().await?.count("queued");
        let minutes = begun.until(scene.renewing.now()).as_secs() / 60;
        assert!(ordered <= minutes + 1, "{ordered} after {look:?}");
    }
    assert_eq!(ordered, 4);
    let paused =
        WantedCampaignChange { status: Some("paused".to_owned()), ..WantedCampaignChange::default() };
    assert_eq!(scene.change(id, &paused).await?.status, "paused");
    scene.renewing.work_off().await?;
    scene.renewing.leap_to(begun.after(HOUR));
    assert_eq!(scene.pass().await?.count("queued"), 0, "it is paused");
    let seen = scene.seen(id).await?;
    assert_eq!((seen.replaced, seen.waiting, seen.eta), (4, 4, None), "what was under way went on");
    let running = WantedCampaignChange { status: Some("running".to_owned()), ..paused };
    scene.change(id, &running).await?;
    assert_eq!(scene.pass().await?.count("queued"), 1, "an hour is not caught up with");
    let cancelled: CampaignView = scene.api.delete_telling(&format!("/v1/campaigns/{id}")).await?;
    assert_eq!(cancelled.status, "cancelled");
    scene.renewing.leap_to(scene.renewing.now().after(HOUR));
    assert!(scene.pass().await?.is_empty());
    scene.renewing.work_off().await?;
    assert_eq!(scene.renewing.world.audit()?.certificates, 8 + 5, "what was under way came to its end");
    let refused = scene.change(id, &running).await.expect_err("it is over");
    assert!(refused.to_string().contains("campaign-ended"), "{refused}");
    scene.renewing.stop().await
}

/// Two replicas at once, and one that dies at each of the commits of a campaign: whoever comes next goes on, and each
/// certificate is ordered once.
#[tokio::test]
async fn whoever_dies_each_certificate_is_replaced_once() -> anyhow::Result<()> {
    let mut scene = Scene::start("dying", 5).await?;
    let listed = serials(&scene, &[0, 1, 2, 3], "dying").await?;
    let upper = listed.iter().map(|serial| serial.to_uppercase()).collect();
    let id = scene
        .begin(&scene.wanted(CampaignSelector { serials: upper, ..CampaignSelector::default() }))
        .await?;
    let transport = || ScriptedTransport::trusting(None, |_| Fate::Pass);
    scene.renewing.world.settings.renewal_seconds = Some(1);
    for (moment, nth) in DEATHS {
        let point = Point { moment, act: Act::Commit, what: "campaign" };
        let plan = Plan { point, nth, mishap: Mishap::Crash };
        let fate = PlannedFate::new(Some(plan), None, &scene.renewing.world.database_url);
        let victim = scene.renewing.world.replica("victim", transport()?, fate).await?;
        tokio::time::timeout(WITHIN, victim.gone()).await??;
    }
    let other = Campaigns::new(scene.renewing.world.reconcile_parts().await?);
    let now = scene.renewing.now();
    tokio::try_join!(scene.campaigns.pass(now), other.pass(now))?;
    // What the dead one had in hand is anybody's after its lease.
    scene.renewing.leap_to(now.after(MINUTE));
    scene.renewing.work_off().await?;
    scene.renewing.leap_to(scene.renewing.now().after(MINUTE));
    scene.pass().await?;
    let seen = scene.seen(id).await?;
    assert_eq!((&*seen.status, seen.replaced), ("done", 4), "{seen:?}");
    assert_eq!(scene.signed(), times("dying", &[2, 2, 2, 2, 1]));
    assert_eq!(scene.renewing.orders().await?.len(), 9, "one order for each that was listed");
    scene.renewing.stop().await
}

/// A key that was lost is not kept, though its certificate is to keep it; one that was renewed meanwhile is left alone; and
/// one that is paused is told, and ordered once it is not.
#[tokio::test]
async fn lost_keys_are_not_kept_and_what_came_by_itself_is_left_alone() -> anyhow::Result<()> {
    let scene = Scene::start("lost", 3).await?;
    let pool = scene.renewing.parts.store.pool();
    sqlx::query("update certificates set reuse_key = true").execute(pool).await?;
    let keys: Vec<String> = sqlx::query_scalar("select encode(spki_sha256, 'hex') from issued_certificates")
        .fetch_all(pool)
        .await?;
    let id = scene.begin(&scene.wanted(CampaignSelector { keys, ..CampaignSelector::default() })).await?;
    let of = async |name: &str| -> anyhow::Result<String> {
        let id: uuid::Uuid =
            sqlx::query_scalar("select certificate_id from certificates where names[1] = $1")
                .bind(name)
                .fetch_one(pool)
                .await?;
        Ok(format!("/v1/certificates/{}", issuance::ids::CertificateId(id)))
    };
    let paused = of("lost-1.com").await?;
    let _: serde_json::Value = scene.api.post(&format!("{paused}/pause")).await?;
    // Nobody has looked for its certificates so far, and one of them is renewed: with a key of its own, since the campaign is
    // there.
    spoil(&scene.renewing.world, "update renewals set look_at = $1 where certificate_id = (select certificate_id from certificates where names[1] = 'lost-2.com')", scene.renewing.now()).await?;
    let found = scene.renewing.parts.store.search_for_campaign(id, scene.renewing.now()).await?;
    assert_eq!((found.found, found.more), (3, false));
    assert_eq!(scene.renewing.pass().await?, 1);
    scene.renewing.work_off().await?;
    let pass = scene.pass().await?;
    assert_eq!((pass.count("queued"), pass.count("skipped"), pass.count("failed")), (1, 1, 1), "{pass:?}");
    let why: BTreeMap<String, Option<String>> =
        scene.members(id).await?.into_iter().map(|one| (one.names[0].clone(), one.why)).collect();
    assert_eq!(why["lost-1.com"].as_deref(), Some("paused"));
    assert_eq!(why["lost-2.com"].as_deref(), Some("replaced_before"));
    let _: serde_json::Value = scene.api.post(&format!("{paused}/resume")).await?;
    scene.renewing.leap_to(scene.renewing.now().after(MINUTE));
    assert_eq!(scene.pass().await?.count("queued"), 1, "it is not paused any more");
    scene.renewing.work_off().await?;
    scene.renewing.leap_to(scene.renewing.now().after(MINUTE));
    scene.pass().await?;
    let seen = scene.seen(id).await?;
    assert_eq!((&*seen.status, seen.replaced, seen.skipped), ("done", 2, 1), "{seen:?}");
    let different: Vec<i64> = sqlx::query_scalar(
        "select count(distinct spki_sha256) from issued_certificates group by certificate_id order by 1",
    )
    .fetch_all(pool)
    .await?;
    assert_eq!(different, [2, 2, 2], "each has a new key");
    assert_eq!(scene.signed(), times("lost", &[2, 2, 2]));
    scene.renewing.stop().await
}

/// Many windows in the past at once are told of once, with what a campaign would name.
#[tokio::test]
async fn an_incident_suggests_a_campaign() -> anyhow::Result<()> {
    let transport = RenewalInfoTransport::new(Told::Truth)?;
    let ca = CaChoice::Rehearsal(CaRules::default());
    let renewing = Renewing::start("pulled", 11, ca, Some(transport.clone())).await?;
    renewing.pass().await?;
    for _ in 0..2 {
        let (start, end) = (renewing.now().before(HOUR), renewing.now().before(HOUR / 2));
        transport.tell(Told::Window { start, end, explanation_url: None, retry_after_seconds: 3_600 });
        renewing.leap_to(renewing.now().after(HOUR * 7));
        assert_eq!(renewing.ari.pass(renewing.now()).await?.count("past"), 11);
    }
    let told: Vec<serde_json::Value> =
        sqlx::query_scalar("select data from events where kind = 'campaign.suggested'")
            .fetch_all(renewing.parts.store.pool())
            .await?;
    assert_eq!((told.len(), &told[0]["certificates"]), (1, &serde_json::json!(11)), "{told:?}");
    let selector: CampaignSelector = serde_json::from_value(serde_json::json!({
        "issuer": told[0]["issuers"][0], "issued_from": told[0]["issued_from"], "issued_until": told[0]["issued_until"],
    }))?;
    let api = renewing.world.client("one", &renewing.app)?;
    let wanted = WantedCampaign {
        reason: "as suggested".to_owned(),
        deadline: renewing.now().after(DAY),
        selector,
        rate_per_hour: None,
        new_keys: None,
    };
    let preview: CampaignPreview = api.post_json("/v1/campaigns?dry_run=true", &wanted).await?;
    assert_eq!(preview.certificates, 11, "{preview:?}");
    renewing.stop().await
}

/// A site that does not answer any more is told with its cause, holds nobody up, and is late in the end.
#[tokio::test]
async fn what_fails_is_told_with_its_cause_and_holds_up_nobody() -> anyhow::Result<()> {
    let scene = Scene::start("broken", 3).await?;
    for name in ["broken-1.com", "www.broken-1.com"] {
        scene.renewing.world.fleet.set_fault(&hostname(name), Some(SiteFault::Nxdomain));
    }
    let all = CampaignSelector { issued_until: Some(scene.renewing.now()), ..CampaignSelector::default() };
    let wanted = scene.wanted(all);
    let id = scene.begin(&wanted).await?;
    scene.pass().await?;
    scene.renewing.work_off().await?;
    scene.renewing.leap_to(scene.renewing.now().after(MINUTE));
    scene.pass().await?;
    let seen = scene.seen(id).await?;
    assert_eq!((&*seen.status, seen.replaced, seen.failed, seen.late), ("running", 2, 1, false), "{seen:?}");
    let failed = scene.members(id).await?.into_iter().find(|one| one.state == "failed").expect("one");
    assert_eq!(failed.names[0], "broken-1.com");
    assert!(failed.why.is_some() && failed.order_id.is_some(), "{failed:?}");
    scene.renewing.leap_to(wanted.deadline.before(HOUR));
    scene.pass().await?;
    assert!(scene.seen(id).await?.late, "an hour is left, and nobody has mended it");
    scene.renewing.leap_to(wanted.deadline.after(MINUTE));
    scene.pass().await?;
    let seen = scene.seen(id).await?;
    assert_eq!((&*seen.status, seen.failed), ("done", 1), "{seen:?}");
    let told: Vec<String> =
        sqlx::query_scalar("select kind from events where kind like 'campaign.%' order by xid, seq")
            .fetch_all(scene.renewing.parts.store.pool())
            .await?;
    assert_eq!(told, ["campaign.started", "campaign.late", "campaign.done"]);
    scene.renewing.stop().await
}
