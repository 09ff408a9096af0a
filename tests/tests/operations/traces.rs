//! Traces of orders, as a collector gets them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use issuance::identifier::Hostname;
use issuance::time::Timestamp;
use lockkeeper::acme::Transport;
use lockkeeper::app::App;
use lockkeeper::cli::api_client::{ApiClient, operator_token};
use lockkeeper::mishaps::{Act, Moment, Point};
use lockkeeper::store::orders_view::OrderView;
use lockkeeper::store::page::Listing;
use lockkeeper::store::timelines::Timeline;
use lockkeeper_tests::collector::{Collector, SpanSeen};
use lockkeeper_tests::fate::{Mishap, Plan as DeathPlan, PlannedFate};
use lockkeeper_tests::scripted_transport::{Fate, ScriptedTransport};
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, World, csv};
use rehearsal::fleet::{Fault, Site};
use rehearsal::rules::{AsyncFinalize, CaRules};
use serde_json::json;

const WITHIN: Duration = Duration::from_mins(1);
const NAME: &str = "one";
const CALLER: (&str, &str) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
const SECRET: &str = "collector-s3cret";
const HOUR: Duration = Duration::from_hours(1);

fn site(names: &[&str]) -> anyhow::Result<Site> {
    Ok(Site::healthy(names.iter().map(|name| Hostname::parse(name)).collect::<Result<_, _>>()?))
}

/// Nonces are good, so that a step is one request.
fn rules() -> CaRules {
    CaRules { nonce_rejection: 0.0, ..CaRules::default() }
}

async fn world(collector: &Collector, sites: &[Site], rules: CaRules, more: &str) -> anyhow::Result<World> {
    let settings = Settings { more: collector.section() + more, ..Settings::default() };
    World::start(Plan { ca: CaChoice::Rehearsal(rules), settings, ..Plan::new(sites.to_vec()) }).await
}

/// A certificate, asked for by somebody who traces what he does.
async fn wish(world: &World, app: &App, names: &[&str]) -> anyhow::Result<()> {
    let api = app.endpoints.api.context("it plays the role")?;
    let token = operator_token(&world.data_folder(NAME))?;
    let (trace, span) = CALLER;
    let request = Request::post(format!("http://{api}/v1/certificates"))
        .header("authorization", format!("Bearer {}", token.reveal()))
        .header("content-type", "application/json")
        .header("idempotency-key", "the-first")
        .header("traceparent", format!("00-{trace}-{span}-01"))
        .body(Full::new(Bytes::from(json!({ "tenant": "acme", "names": names }).to_string())))?;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// Oldest first.
async fn orders(api: &ApiClient) -> anyhow::Result<Vec<OrderView>> {
    Ok(api.get::<Listing<OrderView>>("/v1/orders").await?.data)
}

async fn issued(world: &World, count: u64) -> anyhow::Result<()> {
    let reached = async || Ok(world.summary().await?.certificates_issued >= count);
    world.wait_until("it is issued", WITHIN, reached).await
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.unix_micros()).expect("after 1970") * 1_000
}

/// The spans of one trace, once its root is there.
struct Trace {
    spans: Vec<SpanSeen>,
}

impl Trace {
    async fn of(collector: &Collector, id: &str) -> anyhow::Result<Self> {
        let is_root = |seen: &SpanSeen| seen.trace_id() == id && seen.span.name == "order";
        let is_told = |spans: &[SpanSeen]| {
            let authorizations =
                spans.iter().filter(|seen| seen.trace_id() == id && seen.span.name == "authorization");
            spans.iter().any(is_root) && authorizations.count() > 0
        };
        let spans = collector.wait_for(&format!("the root of {id}"), WITHIN, is_told).await?;
        Ok(Self { spans: spans.into_iter().filter(|seen| seen.trace_id() == id).collect() })
    }

    fn named(&self, name: &str) -> Vec<&SpanSeen> {
        self.spans.iter().filter(|seen| seen.span.name == name).collect()
    }

    fn root(&self) -> &SpanSeen {
        let roots: Vec<_> = self.spans.iter().filter(|seen| seen.parent().is_empty()).collect();
        assert_eq!(roots.len(), 1, "one root");
        assert_eq!(roots[0].span.name, "order");
        roots[0]
    }

    /// Each has a parent in the trace, but the root; and no id is another's.
    fn assert_whole(&self) {
        let ids: HashSet<String> = self.spans.iter().map(SpanSeen::id).collect();
        assert_eq!(ids.len(), self.spans.len(), "no id is another's");
        let root = self.root().id();
        for seen in self.spans.iter().filter(|seen| seen.id() != root) {
            assert!(ids.contains(&seen.parent()), "{} has no parent", seen.span.name);
            assert!(seen.span.start_time_unix_nano <= seen.span.end_time_unix_nano, "{}", seen.span.name);
        }
    }

    /// The name of each span's parent, by the span's.
    fn parents(&self, name: &str) -> HashSet<&str> {
        let names: HashMap<String, &str> =
            self.spans.iter().map(|seen| (seen.id(), seen.span.name.as_str())).collect();
        self.named(name).into_iter().map(|seen| names[&seen.parent()]).collect()
    }

    /// From the order's beginning to its end, by the service's clock.
    fn assert_within(&self, order: &OrderView) {
        let root = &self.root().span;
        assert_eq!(root.start_time_unix_nano, nanos(order.accepted_at));
        assert_eq!(root.end_time_unix_nano, nanos(order.ended_at.expect("it has ended")));
        for seen in &self.spans {
            let span = &seen.span;
            assert!(span.start_time_unix_nano >= root.start_time_unix_nano, "{} began before", span.name);
            assert!(span.end_time_unix_nano <= root.end_time_unix_nano, "{} ended later", span.name);
        }
    }
}

fn assert_none_of(spans: &[SpanSeen], secrets: &[String]) {
    assert!(secrets.len() > 3, "{secrets:?}");
    for seen in spans {
        for text in seen.texts() {
            let told = secrets.iter().find(|secret| text.contains(secret.as_str()));
            assert!(told.is_none(), "{} tells {told:?}: {text}", seen.span.name);
        }
    }
}

#[tokio::test]
async fn an_order_is_one_trace_from_the_request_to_the_certificate() -> anyhow::Result<()> {
    const NAMES: [&str; 2] = ["shop.traced-shop.com", "www.traced-shop.com"];
    let collector = Collector::start().await?;
    let folder = tempfile::tempdir()?;
    let headers = folder.path().join("headers");
    std::fs::write(&headers, format!("authorization: Bearer {SECRET}\n"))?;
    let more = format!(
        "headers_file = {headers:?}\nservice_name = \"locks\"\nresource_attributes = [\"deployment.environment.name=test\"]\n"
    );
    let world = world(&collector, &[site(&NAMES)?], rules(), &more).await?;
    // Elsewhere than the machine's clock.
    world.clock.leap(HOUR * 24 * 365);
    let app = world.service(NAME).await?;
    wish(&world, &app, &NAMES).await?;
    issued(&world, 1).await?;

    let api = world.client(NAME, &app)?;
    let listed = orders(&api).await?;
    let order: OrderView = api.get(&format!("/v1/orders/{}", listed[0].id)).await?;
    let timeline: Timeline = api.get(&format!("/v1/orders/{}/timeline", order.id)).await?;
    assert_eq!(timeline.trace_id, order.trace_id);

    let trace = Trace::of(&collector, &order.trace_id).await?;
    trace.assert_whole();
    trace.assert_within(&order);
    for name in
        ["headroom.reserve", "acme.new_order", "acme.poll", "acme.finalize", "acme.download", "authorization"]
    {
        assert_eq!(trace.parents(name), HashSet::from(["order"]), "{name}");
    }
    for name in ["precheck", "challenge.present", "acme.challenge_ready"] {
        assert_eq!(trace.parents(name), HashSet::from(["authorization"]), "{name}");
        assert_eq!(trace.named(name).len(), 2, "one for each name: {name}");
    }
    let posts = trace.named("POST");
    let [to_finalize] =
        &posts[..].iter().filter(|one| one.attribute("acme.endpoint") == "finalize").collect::<Vec<_>>()[..]
    else {
        anyhow::bail!("finalized once: {posts:?}");
    };
    assert_eq!(to_finalize.parent(), trace.named("acme.finalize")[0].id());
    assert_eq!(to_finalize.attribute("http.request.method"), "POST");
    assert_eq!(to_finalize.attribute("http.response.status_code"), "200");
    assert_eq!(to_finalize.attribute("server.address"), "127.0.0.1");
    assert_eq!(to_finalize.attribute("acme.ca"), "test");
    assert!(to_finalize.attribute("url.full").starts_with("http"), "{:?}", to_finalize.attributes);
    let lookups = trace.named("dns.lookup");
    assert!(
        lookups.iter().any(|one| one.attribute("dns.question.name").starts_with(NAMES[0])),
        "{lookups:?}"
    );

    let root = trace.root();
    assert_eq!(root.attribute("lockkeeper.order"), order.id.to_string());
    assert_eq!(root.attribute("lockkeeper.tenant"), order.tenant_id.to_string());
    assert_eq!(root.attribute("lockkeeper.stage"), "issued");
    assert_eq!(root.attribute("lockkeeper.names"), NAMES.join(" "));
    assert_eq!(root.resource["service.name"], "locks");
    assert_eq!(root.resource["deployment.environment.name"], "test");
    assert!(root.span.status.as_ref().is_none_or(|status| status.code == 0));

    // The request is a span of its caller's trace, and what the order's trace links to.
    let all = collector.spans();
    let request = all.iter().find(|seen| seen.trace_id() == CALLER.0).context("the request's span")?;
    assert_eq!((request.span.name.as_str(), request.parent().as_str()), ("POST /v1/certificates", CALLER.1));
    assert_eq!(root.links(), HashMap::from([("request".to_owned(), (CALLER.0.to_owned(), request.id()))]));

    let headers = collector.headers();
    assert!(headers.iter().all(|one| one["authorization"] == format!("Bearer {SECRET}")));
    let mut secrets: Vec<String> =
        sqlx::query_scalar("select token from authorizations").fetch_all(world.store.pool()).await?;
    let key_authorizations: Vec<String> = sqlx::query_scalar("select key_authorization from authorizations")
        .fetch_all(world.store.pool())
        .await?;
    secrets.extend(key_authorizations);
    secrets.extend([SECRET.to_owned(), operator_token(&world.data_folder(NAME))?.reveal().to_owned()]);
    secrets.push("PRIVATE KEY".to_owned());
    assert_none_of(&all, &secrets);
    app.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn each_attempt_has_a_trace_of_its_own_that_links_to_the_one_before() -> anyhow::Result<()> {
    const WRONG: &str = "wrong.traced-shop.com";
    let collector = Collector::start().await?;
    let sites = [site(&[WRONG])?];
    let world = world(&collector, &sites, rules(), "").await?;
    let name = Hostname::parse(WRONG)?;
    world.fleet.set_fault(&name, Some(Fault::WrongForCa));
    let app = world.service(NAME).await?;
    world.import_into(NAME, &app, csv(&sites)).await?;
    let api = world.client(NAME, &app)?;
    world
        .wait_until("the first attempt has failed", WITHIN, async || {
            Ok(orders(&api).await?.iter().any(|order| order.stage == "failed"))
        })
        .await?;
    world.fleet.set_fault(&name, None);
    world
        .wait_until("the second one succeeds", WITHIN, async || {
            world.end_rests().await?;
            Ok(world.summary().await?.certificates_issued == 1)
        })
        .await?;

    let attempts = orders(&api).await?;
    let [first, second] = &attempts[..] else { anyhow::bail!("two attempts: {attempts:?}") };
    let before = Trace::of(&collector, &first.trace_id).await?;
    let after = Trace::of(&collector, &second.trace_id).await?;
    assert_ne!(first.trace_id, second.trace_id);
    before.assert_whole();
    after.assert_whole();
    after.assert_within(second);
    let failed = before.root();
    assert_eq!(failed.attribute("error.type"), first.fault.as_ref().context("a fault")?.class.as_str());
    assert_eq!(failed.span.status.as_ref().map(|status| status.code), Some(2));
    assert_eq!(failed.span.end_time_unix_nano, nanos(first.ended_at.context("it has ended")?));
    let succeeded = after.root();
    let link = (first.trace_id.clone(), failed.id());
    assert_eq!(succeeded.links().get("earlier_attempt"), Some(&link));
    assert!(failed.links().contains_key("request"), "an import is a request: {:?}", failed.links());
    app.stop().await?;
    world.stop().await
}

/// A way to a CA over plain HTTP.
fn wire() -> anyhow::Result<Arc<dyn Transport>> {
    Ok(ScriptedTransport::new(|_| Fate::Pass)?)
}

#[tokio::test]
async fn another_replica_goes_on_with_the_trace_of_a_killed_one() -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let sites = [site(&["killed.traced-shop.com"])?];
    // It waits for the certificate for a second at least, and dies before it fetches it: its spans have left by then.
    let async_finalize = Some(AsyncFinalize { delay_ms: 1_500, retry_after_seconds: 1 });
    let world = world(&collector, &sites, CaRules { async_finalize, ..rules() }, "").await?;
    let front = world.front("front").await?;
    let point = Point { moment: Moment::Before, act: Act::Step, what: "download" };
    let fate =
        PlannedFate::new(Some(DeathPlan { point, nth: 1, mishap: Mishap::Crash }), None, &world.database_url);
    let victim = world.replica("victim", wire()?, fate).await?;
    world.import_into("front", &front, csv(&sites)).await?;
    tokio::time::timeout(WITHIN, victim.gone()).await??;
    let is_finalized = |seen: &SpanSeen| seen.span.name == "acme.finalize";
    let told = collector.wait_for("it has finalized", WITHIN, |spans| spans.iter().any(is_finalized)).await?;

    world.clock.leap(Duration::from_secs(world.settings.lease_seconds.into()));
    let fate = PlannedFate::new(None, None, &world.database_url);
    let survivor = world.replica("survivor", wire()?, fate).await?;
    issued(&world, 1).await?;
    let finalized = told.iter().find(|seen| is_finalized(seen)).context("it is there")?;
    let trace = Trace::of(&collector, &finalized.trace_id()).await?;
    trace.assert_whole();
    let by = |name: &str| trace.named(name).last().map(|seen| seen.resource["service.instance.id"].clone());
    assert_eq!(by("acme.finalize"), by("acme.new_order"));
    assert_eq!(by("acme.download"), by("order"));
    assert_ne!(by("acme.finalize"), by("acme.download"), "two have worked on it");
    survivor.stop().await?;
    front.stop().await?;
    world.stop().await
}

#[tokio::test]
async fn each_line_of_the_log_of_an_attempt_names_the_trace_of_its_order() -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let sites = [site(&["first.logged-shop.com"])?, site(&["second.logged-shop.com"])?];
    // One is not ready, and drawn to be ordered all the same, which is logged in the attempt that looks at it.
    let log = "[log]\nformat = \"json\"\nfilter = \"info,lockkeeper=debug\"\n";
    let more = collector.section() + log;
    let settings = Settings { sampled_per_thousand: 1_000, more, ..Settings::default() };
    let plan = Plan { ca: CaChoice::Rehearsal(rules()), settings, ..Plan::new(sites.to_vec()) };
    let world = World::start(plan).await?;
    let service = world.process(NAME).await?;
    world.fleet.set_fault(&sites[1].names[0], Some(Fault::NotFound));
    world.import_by(NAME, &service, csv(&sites)).await?;
    issued(&world, 1).await?;
    let drawn = async || Ok(service.log().contains("sample.drawn"));
    world.wait_until("one is drawn", WITHIN, drawn).await?;
    let address = service.at.api.context("it plays the role")?;
    let api = ApiClient::new(&format!("http://{address}"), &operator_token(&world.data_folder(NAME))?)?;
    let seen = orders(&api).await?;
    let traces: HashMap<String, String> =
        seen.iter().map(|order| (order.id.to_string(), order.trace_id.clone())).collect();

    let mut lines = 0;
    for line in service.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let spans = line["spans"].as_array().cloned().unwrap_or_default();
        let Some(attempt) = spans.iter().find(|span| span["name"] == "engine.attempt") else { continue };
        let order = attempt["order.id"].as_str().context("an attempt is at an order")?;
        assert_eq!(attempt["trace_id"].as_str(), traces.get(order).map(String::as_str), "{line}");
        lines += 1;
    }
    assert!(lines > 0, "nothing of an attempt was logged: {}", service.log());
    for order in seen.iter().filter(|order| order.stage == "issued") {
        Trace::of(&collector, &order.trace_id).await?;
    }
    ensure!(service.terminate(WITHIN).await?.success(), "it does not end well");
    world.stop().await
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() -> anyhow::Result<()> {
    let exposition = lockkeeper::telemetry::install_recorder()?;
    let collector = Collector::start().await?;
    collector.answer(StatusCode::SERVICE_UNAVAILABLE);
    let sites: Vec<Site> =
        (0..10).map(|nr| site(&[&format!("away-{nr}.traced-shop.com")])).collect::<Result<_, _>>()?;
    let world = world(&collector, &sites, rules(), "queue_spans = 8\n").await?;
    let app = world.service(NAME).await?;
    world.import_into(NAME, &app, csv(&sites)).await?;
    issued(&world, 10).await?;
    let count = |outcome: &str| -> anyhow::Result<f64> {
        let series = format!("lockkeeper_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let shown = exposition.render();
        let value = shown.lines().find_map(|line| line.strip_prefix(&series)).context(series.clone())?;
        Ok(value.parse()?)
    };
    assert!(count("exported")?.abs() < 0.5 && collector.spans().is_empty());
    assert!(count("queue_full")? > 50.0, "{}", exposition.render());
    // What was kept of them comes when it is back.
    collector.answer(StatusCode::OK);
    collector.wait_for("what was kept", WITHIN, |spans| !spans.is_empty()).await?;
    app.stop().await?;
    assert!(count("exported")? >= collector.spans().len() as f64 && count("refused")?.abs() < 0.5);
    world.stop().await
}
