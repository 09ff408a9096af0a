//! `POST /v1/headroom/forecast` and `lockkeeper plan`: what the account's rows make of a forecast.

use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::Full;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::AccountId;
use issuance::time::Timestamp;
use lockkeeper::api::headroom::answer::ForecastAnswer;
use lockkeeper::api::headroom::forecast::SITES_MAX;
use lockkeeper::cli::api_client::ApiClient;
use lockkeeper::cli::plan::{self, PlanArgs, WhichAccount};
use lockkeeper::cli::{CliError, Exit, Format, Output};
use lockkeeper::store::api_keys::Token;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::world::{Answer, HEADER, START, World, insert_account};

async fn ask_as(world: &World, token: &str, body: &Value) -> Answer {
    let request = world
        .request(Method::POST, "/v1/headroom/forecast", token)
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()));
    world.send(request.expect("a request")).await
}

async fn ask(world: &World, body: Value) -> ForecastAnswer {
    let answer = ask_as(world, &world.operator, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    serde_json::from_value(answer.json()).expect("a forecast")
}

/// Sites of one name each.
fn sites(tenant: &str, prefix: &str, count: usize) -> Vec<Value> {
    (0..count).map(|site| json!({ "tenant": tenant, "names": [format!("{prefix}{site}.com")] })).collect()
}

/// Nothing fails, four orders a second.
fn calm() -> Value {
    json!({ "broken_share": 0.0, "workers": 16, "order_seconds": 4.0 })
}

fn seconds_to(at: Timestamp) -> u64 {
    START.until(at).as_secs()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn it_begins_with_the_account_as_it_stands(pool: PgPool) {
    let world = World::start(pool).await;
    let account = AccountId(uuid::Uuid::from_u128(7));
    let fresh = ask(&world, json!({ "sites": sites("t1", "shop", 400), "assumptions": calm() })).await;
    assert_eq!((fresh.account_id, fresh.orders.charged), (Some(account), 400));
    // The burst, and a hundred tokens of 36 s each.
    let by_hand = 100 * 36;
    let finish = seconds_to(fresh.finish.expect("it finishes").p50);
    assert!((by_hand..by_hand + 120).contains(&finish), "{finish} s");
    assert_eq!(fresh.binding_limits[0].limit.as_str(), "new_orders_per_account");

    // An empty bucket, and a set that somebody was issued a month ago.
    let known = Identifiers::new([Hostname::parse("shop0.com").expect("a name")]).expect("a set");
    let full_at = time::OffsetDateTime::from_unix_timestamp(START.unix_seconds() + 10_800).expect("in range");
    sqlx::query("insert into buckets (ca, limit_name, key, full_at) select ca, 'new_orders_per_account', account_id::text, $1 from accounts")
        .bind(full_at)
        .execute(&world.pool)
        .await
        .expect("a bucket");
    sqlx::query("insert into issued_sets (ca, set_key, issued_at) select ca, $1, $2 from accounts")
        .bind(known.digest())
        .bind(full_at - Duration::from_hours(30 * 24))
        .execute(&world.pool)
        .await
        .expect("a set");
    let used = ask(&world, json!({ "sites": sites("t1", "shop", 400), "assumptions": calm() })).await;
    let by_hand = 399 * 36;
    let finish = seconds_to(used.finish.expect("it finishes").p50);
    assert!((by_hand..by_hand + 120).contains(&finish), "{finish} s");
    assert_eq!((used.orders.charged, used.orders.exempt_by_exact_set), (399, 1));
    let exempt = &used.sites[0];
    assert_eq!((exempt.charged, exempt.exempt_by.as_deref()), (false, Some("exact_set")));
    assert!(seconds_to(exempt.finish.expect("it finishes").p90) < 60, "{exempt:?}");

    // The CA has raised the limit: the bucket is as empty as before, and fills up faster.
    world
        .execute(
            "insert into limit_overrides
                 (override_id, ca, limit_name, account_id, burst, count, period_seconds, origin, note, created_at)
             select account_id, ca, 'new_orders_per_account', account_id, 1000, 1000, 10800, 'operator', '', created_at
             from accounts",
        )
        .await;
    let raised = ask(&world, json!({ "sites": sites("t1", "shop", 400), "assumptions": calm() })).await;
    // What was spent takes as long as before to come back, and a token comes every 10.8 s.
    let by_hand = 399 * 108 / 10;
    let finish = seconds_to(raised.finish.expect("it finishes").p50);
    assert!((by_hand..by_hand + 120).contains(&finish), "{finish} s");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_smallest_override_that_meets_a_target_meets_it(pool: PgPool) {
    let world = World::start(pool).await;
    let mut assumptions = calm();
    assumptions["within_seconds"] = json!([3_600, 36_000]);
    let sites = sites("t1", "shop", 1_000);
    let answer = ask(&world, json!({ "sites": sites, "assumptions": assumptions })).await;
    let [hour, ten_hours, free] = &answer.proposals[..] else { panic!("{:?}", answer.proposals) };
    assert!(ten_hours.reached && ten_hours.overrides.is_empty());
    assert_eq!(free.within_seconds, None);
    assert!(hour.reached && hour.overrides.len() == 1);
    let ask_for = &hour.overrides[0];
    assert_eq!((ask_for.count_now, ask_for.period_seconds), (300, 10_800));
    for (count, enough) in [(ask_for.count, true), (ask_for.count * 98 / 100, false)] {
        sqlx::query(
            "insert into limit_overrides
                 (override_id, ca, limit_name, account_id, burst, count, period_seconds, origin, note, created_at)
             select account_id, ca, 'new_orders_per_account', account_id, $1, $1, 10800, 'operator', '', created_at
             from accounts
             on conflict (override_id) do update set burst = excluded.burst, count = excluded.count",
        )
        .bind(i32::try_from(count).expect("small"))
        .execute(&world.pool)
        .await
        .expect("an override");
        let again = ask(&world, json!({ "sites": sites, "assumptions": assumptions })).await;
        let finish = seconds_to(again.finish.expect("it finishes").p50);
        assert_eq!(finish <= 3_600, enough, "{count} tokens: {finish} s");
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn without_sites_it_tells_when_the_queue_is_done_and_each_tenant_its_own(pool: PgPool) {
    let world = World::start(pool).await;
    let rows: String = (0..350).map(|site| format!("t1,s{site},shop{site}.com,http-01,\n")).collect();
    world.import(rows).await;
    world.import("t2,s1,other.com,http-01,\n").await;
    let all = ask(&world, json!({ "assumptions": calm() })).await;
    assert_eq!((all.orders.total, all.sites.len()), (351, 0));
    let finish = |name: &str| {
        let tenant = all.tenants.iter().find(|tenant| tenant.tenant == name).expect(name);
        (tenant.orders.total, seconds_to(tenant.finish.expect("it finishes").p50))
    };
    let ((many, late), (one, soon)) = (finish("t1"), finish("t2"));
    assert_eq!((many, one), (350, 1));
    assert!(late > 36 * 45 && soon < 120, "{late} s, {soon} s");

    let token = world.token_of("t2").await;
    let own: ForecastAnswer =
        serde_json::from_value(ask_as(&world, &token, &json!({ "assumptions": calm() })).await.json())
            .expect("a forecast");
    assert_eq!((own.orders.total, own.orders.ahead), (1, None));
    assert_eq!(own.finish, own.tenants[0].finish);
    assert_eq!(own.tenants.len(), 1);
    assert!(own.proposals.is_empty() && own.binding_limits.is_empty(), "{own:?}");
    let sites = json!({ "sites": [{ "names": ["new.com"] }], "assumptions": calm() });
    let own = ask_as(&world, &token, &sites).await.json();
    assert_eq!(own["tenants"][0]["tenant"], "t2", "{own}");
    assert!(!own.to_string().contains("t1"), "{own}");
    let others = json!({ "sites": [{ "names": ["new.com"], "tenant": "t1" }] });
    let refused = ask_as(&world, &token, &others).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/sites/0/tenant");
    assert_eq!(
        (refused.status, refused.problem().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "validation-failed")
    );
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_cannot_be_answered_is_told_with_its_place(pool: PgPool) {
    let world = World::start(pool).await;
    let wrong = json!({
        "sites": [
            { "names": ["a.com"] },
            { "names": ["b.com", "co.uk"], "lane": "fast" },
            { "names": [] },
            { "names": ["c.com", "C.com"] },
        ],
        "assumptions": {},
    });
    let refused = ask_as(&world, &world.operator, &wrong).await;
    let errors = refused.json()["errors"].clone();
    let told: Vec<_> = errors
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| (error["pointer"].as_str().expect("a pointer"), error["code"].as_str().expect("a code")))
        .collect();
    assert_eq!(
        told,
        [
            ("/sites/1/lane", "unknown-lane"),
            ("/sites/1/names/1", "public_suffix"),
            ("/sites/2/names", "no_names"),
            ("/sites/3/names", "duplicate_name"),
        ]
    );
    for (name, value) in [
        ("workers", json!(0)),
        ("order_seconds", json!(0.0)),
        ("broken_share", json!(1.5)),
        ("within_seconds", json!([0])),
    ] {
        let refused = ask_as(&world, &world.operator, &json!({ "assumptions": { name: value } })).await;
        assert_eq!(refused.json()["errors"][0]["pointer"], format!("/assumptions/{name}"));
    }
    for (body, status) in [("{", StatusCode::BAD_REQUEST), ("{\"site\":[]}", StatusCode::BAD_REQUEST)] {
        let request = world
            .request(Method::POST, "/v1/headroom/forecast", &world.operator)
            .header("content-type", "application/json")
            .body(Full::from(body));
        let answer = world.send(request.expect("a request")).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, "validation-failed"));
    }
    let request =
        world.request(Method::POST, "/v1/headroom/forecast", &world.operator).body(Full::from("{}"));
    let answer = world.send(request.expect("a request")).await;
    assert_eq!(answer.problem(), "unsupported-media-type");
    let many = json!({ "sites": vec![json!({ "names": ["a.com"] }); SITES_MAX + 1] });
    let answer = ask_as(&world, &world.operator, &many).await;
    assert_eq!(answer.json()["errors"][0]["code"], "too-many-sites");
    let nobody = ask_as(&world, "lockkeeper_admin_nothing", &json!({})).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
}

fn arguments(file: Option<&str>) -> PlanArgs {
    PlanArgs {
        file: file.map(Into::into),
        ca: "letsencrypt".to_owned(),
        account: None,
        within_hours: vec![24],
        workers: None,
        order_seconds: None,
        broken_share: None,
        hidden_share: None,
        partial_share: None,
        issued_at: None,
        seed: 0,
        csv: false,
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_plan_needs_no_service_and_takes_the_account_of_one(pool: PgPool) {
    let world = World::start(pool).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, rows: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{HEADER}{rows}")).expect("written");
        path.to_str().expect("Unicode").to_owned()
    };
    let run = async |arguments: PlanArgs, format| -> Result<Exit, CliError> {
        let token = Token::parse(&world.operator).expect("well formed");
        let api = ApiClient::new(&world.base, &token).expect("loopback");
        plan::run(&arguments, Some(&api), Output::new(format)).await
    };
    let good = file("good.csv", "t1,s1,a.com,http-01,\nt1,s2,b.com,http-01,\n");
    let partly = file("partly.csv", "t1,s1,a.com,http-01,\nt1,s2,co.uk,http-01,\n");
    let bad = file("bad.csv", "t1,s2,co.uk,http-01,\n");
    let with = |file: &str| arguments(Some(file));
    let of = |account| PlanArgs { account: Some(account), ..with(&good) };
    let id = |number| WhichAccount::Id(AccountId(uuid::Uuid::from_u128(number)));
    for format in [Format::Table, Format::Json] {
        let done = async |arguments| run(arguments, format).await.expect("a plan");
        assert_eq!(done(with(&good)).await, Exit::Done);
        let google = PlanArgs { ca: "google".to_owned(), issued_at: Some(START), ..with(&good) };
        assert_eq!(done(google).await, Exit::Done);
        assert_eq!(done(PlanArgs { csv: true, ..with(&good) }).await, Exit::Done);
        assert_eq!(done(with(&partly)).await, Exit::Partial);
        assert_eq!(done(with(&bad)).await, Exit::Failure);
        assert_eq!(done(of(WhichAccount::Current)).await, Exit::Done);
        assert_eq!(done(of(id(7))).await, Exit::Done);
        assert_eq!(done(of(id(8))).await, Exit::NotFound);
        let queue = PlanArgs { account: Some(WhichAccount::Current), ..arguments(None) };
        assert_eq!(done(queue).await, Exit::Done);
    }
    let header = folder.path().join("header.csv");
    std::fs::write(&header, "tenant,names\n").expect("written");
    for (arguments, code) in [
        (with("/nonexistent.csv"), 2),
        (with(header.to_str().expect("Unicode")), 1),
        (arguments(None), 2),
        (PlanArgs { broken_share: Some(2.0), ..with(&good) }, 2),
        (PlanArgs { ca: "letsencript".to_owned(), ..with(&good) }, 2),
    ] {
        let error = run(arguments, Format::Json).await.expect_err("no plan");
        assert_eq!(error.exit().code(), code, "{error}");
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn there_is_no_forecast_for_an_account_that_is_not_there(pool: PgPool) {
    let world = World::start(pool).await;
    world.execute("delete from accounts").await;
    let answer = ask_as(&world, &world.operator, &json!({})).await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "account-missing")
    );
    insert_account(&world.pool).await;
    assert_eq!(ask_as(&world, &world.operator, &json!({})).await.status, StatusCode::OK);
}
