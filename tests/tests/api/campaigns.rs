//! Campaigns over the API: what is asked for, what it would be, whose it is. That exactly what was asked for is replaced is
//! seen at a CA, in `reconcile`.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use issuance::ids::CampaignId;
use issuance::time::Timestamp;
use lockkeeper::cli::api_client::ApiClient;
use lockkeeper::cli::campaign::{self, CampaignCommand, CreateArgs, IdArgs};
use lockkeeper::cli::{Exit, Format, Output};
use lockkeeper::store::api_keys::Token;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::delivery::{issue, sites};
use crate::world::{START, World};

const DAY: std::time::Duration = std::time::Duration::from_hours(24);
const PATH: &str = "/v1/campaigns";

fn deadline() -> Timestamp {
    START.after(DAY)
}

fn wanted(selector: &Value) -> Value {
    json!({ "reason": "the CA revokes them", "deadline": deadline(), "selector": selector })
}

/// Two of t1, one of t2: issued at START, of serials 01, 02 and 03.
async fn issued(world: &World) {
    for site in sites(world).await {
        issue(world, &site, START).await;
    }
    world
        .execute(
            "update issued_certificates
             set serial = case names[1] when 'one.com' then '01' when '*.two.com' then '00f2' else '03' end",
        )
        .await;
}

fn id_of(view: &Value) -> CampaignId {
    view["id"].as_str().expect("an id").parse().expect("a campaign's")
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_wrong_is_told_at_once_and_nothing_is_stored(pool: PgPool) {
    let world = World::start(pool).await;
    issued(&world).await;
    let asked = json!({
        "reason": " ",
        "deadline": START,
        "selector": {
            "issuer": "", "labels": "server", "serials": ["01", "no serial"], "keys": ["01"],
            "issued_from": START, "issued_until": "2026-11-01T00:00:00Z",
        },
        "rate_per_hour": 0,
        "new_keys": false,
    });
    for path in [PATH, "/v1/campaigns?dry_run=true"] {
        let answer = world.post_json(path, asked.clone()).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (StatusCode::UNPROCESSABLE_ENTITY, "validation-failed")
        );
        let told: Vec<String> = answer.json()["errors"]
            .as_array()
            .expect("entries")
            .iter()
            .map(|entry| entry["pointer"].as_str().expect("a pointer").to_owned())
            .collect();
        let expected = [
            "/reason",
            "/deadline",
            "/rate_per_hour",
            "/new_keys",
            "/selector/issuer",
            "/selector/issued_until",
            "/selector/labels",
            "/selector/serials/1",
            "/selector/keys/0",
        ];
        assert_eq!(told, expected);
    }
    for (asked, code) in [
        (wanted(&json!({})), "empty"),
        (wanted(&json!({ "issuer": "Nobody" })), "nothing-selected"),
        (wanted(&json!({ "serials": vec!["01"; 20_001] })), "out-of-range"),
    ] {
        let answer = world.post_json(PATH, asked).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.json()["errors"][0]["code"], code, "{}", answer.json());
    }
    assert_eq!(
        world.post_json(PATH, wanted(&json!({ "serial": ["01"] }))).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(world.rows("campaigns").await, 0);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_dry_run_tells_what_it_would_be_and_writes_nothing(pool: PgPool) {
    let world = World::start(pool).await;
    let sites = sites(&world).await;
    for site in &sites {
        issue(&world, site, START).await;
    }
    issue(&world, &sites[0], START.before(DAY * 30)).await;
    world
        .execute(
            "update issued_certificates set issuer = 'C=XX, O=Other, CN=I2' where names[1] = 'three.com'",
        )
        .await;
    let ask = async |selector: Value| {
        let answer = world.post_json("/v1/campaigns?dry_run=true", wanted(&selector)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
        answer.json()
    };
    let told = ask(json!({ "issued_until": START })).await;
    let numbers = |told: &Value| {
        ["certificates", "tenants", "superseded", "removed", "expired"]
            .map(|name| told[name].as_u64().expect("a number"))
    };
    assert_eq!(numbers(&told), [3, 2, 1, 0, 0], "{told}");
    assert_eq!(
        told["orders"]["exempt_by_exact_set"], 3,
        "the CA does not count what was issued lately: {told}"
    );
    assert_eq!(
        (&told["orders"]["charged"], &told["in_time"], &told["complete"]),
        (&json!(0), &json!(true), &json!(true))
    );
    assert!(told["finish"]["p90"].is_string(), "{told}");
    // A rate may be what it waits for.
    let mut slow = wanted(&json!({ "issued_until": START }));
    slow["rate_per_hour"] = json!(1);
    slow["deadline"] = json!(START.after(DAY / 12));
    let slow = world.post_json("/v1/campaigns?dry_run=true", slow).await.json();
    assert_eq!(slow["in_time"], false, "three an hour each in two hours: {slow}");
    for (selector, certificates) in [
        (json!({ "issuer": "I2" }), 1),
        (json!({ "issuer": "C=XX, O=Other, CN=I2" }), 1),
        (json!({ "issuer": "I" }), 0),
        (json!({ "tenant": "t1" }), 2),
        (json!({ "labels": "server=web17" }), 2),
        (json!({ "labels": "server=web17,tier=shop", "tenant": "t1" }), 0),
        (json!({ "issued_from": START.after(DAY) }), 0),
        (json!({ "profile": "shortlived" }), 0),
        (json!({ "account_id": crate::world::ACCOUNT }), 3),
    ] {
        assert_eq!(ask(selector.clone()).await["certificates"], certificates, "{selector}");
    }
    world.execute("update issued_certificates set serial = '00f2' where names[1] = '*.two.com'").await;
    let told = ask(json!({ "serials": ["F2", "00:F2", "0badc0de"] })).await;
    assert_eq!((&told["certificates"], &told["serials_unknown"]), (&json!(1), &json!(1)), "{told}");
    for table in ["campaigns", "campaign_members"] {
        assert_eq!(world.rows(table).await, 0);
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn one_is_begun_once_goes_otherwise_and_ends(pool: PgPool) {
    let world = World::start(pool).await;
    issued(&world).await;
    let asked = wanted(&json!({ "serials": ["01", "F2"], "issuer": "Issuer" }));
    let headers = [("idempotency-key", "once")];
    let made = world.json_as(&world.operator, Method::POST, PATH, &headers, Some(asked.clone())).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
    let again = world.json_as(&world.operator, Method::POST, PATH, &headers, Some(asked)).await;
    assert_eq!(again.json(), made.json());
    assert_eq!(world.rows("campaigns").await, 1);
    let id = id_of(&made.json());
    let own = format!("{PATH}/{id}");
    assert_eq!(made.headers["location"], own);
    assert_eq!((&made.json()["serials_listed"], &made.json()["complete"]), (&json!(2), &json!(false)));

    let searched = world.store.search_for_campaign(id, START).await.expect("the database");
    assert_eq!((searched.found, searched.more), (2, false));
    let searched = world.store.search_for_campaign(id, START).await.expect("the database");
    assert_eq!(searched.found, 0, "it was over");
    let seen = world.get(&own).await.json();
    assert_eq!(
        (&seen["certificates"], &seen["waiting"], &seen["complete"]),
        (&json!(2), &json!(2), &json!(true))
    );
    let members = world.get(&format!("{own}/certificates?state=waiting&limit=1")).await.json();
    assert_eq!((members["data"].as_array().map(Vec::len), &members["has_more"]), (Some(1), &json!(true)));
    let cursor = members["next_cursor"].as_str().expect("a cursor");
    let rest = world.get(&format!("{own}/certificates?state=waiting&limit=1&cursor={cursor}")).await.json();
    assert_eq!(rest["has_more"], false);
    assert_ne!(rest["data"][0]["certificate_id"], members["data"][0]["certificate_id"]);
    assert_eq!(world.get(&format!("{own}/certificates?state=gone")).await.status, StatusCode::BAD_REQUEST);

    let change =
        async |body: Value| world.json_as(&world.operator, Method::PATCH, &own, &[], Some(body)).await;
    let later = START.after(DAY * 3);
    let changed = change(json!({ "status": "paused", "deadline": later, "rate_per_hour": 7 })).await.json();
    assert_eq!(
        (&changed["status"], &changed["deadline"], &changed["rate_per_hour"]),
        (&json!("paused"), &json!(later), &json!(7))
    );
    assert_eq!(change(json!({ "rate_per_hour": null })).await.json()["rate_per_hour"], Value::Null);
    assert_eq!(change(json!({ "status": "done" })).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(change(json!({ "deadline": START })).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(change(json!({ "status": "running" })).await.json()["status"], "running");
    let ended = world.json_as(&world.operator, Method::DELETE, &own, &[], None).await;
    assert_eq!((ended.status, &ended.json()["status"]), (StatusCode::OK, &json!("cancelled")));
    let ended = world.json_as(&world.operator, Method::DELETE, &own, &[], None).await;
    assert_eq!(ended.status, StatusCode::OK, "it is so already");
    let refused = change(json!({ "status": "running" })).await;
    assert_eq!((refused.status, &*refused.problem()), (StatusCode::CONFLICT, "campaign-ended"));
    let told = world.get(&format!("/v1/events?subject={id}")).await.json();
    let told: Vec<&str> = told["data"]
        .as_array()
        .expect("events")
        .iter()
        .rev()
        .map(|event| event["type"].as_str().or(event["kind"].as_str()).expect("a kind"))
        .collect();
    let expected =
        ["campaign.started", "campaign.paused", "campaign.changed", "campaign.resumed", "campaign.cancelled"];
    let mut sorted = (told.clone(), expected.to_vec());
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1, "{told:?}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn tenants_begin_their_own_and_see_no_others(pool: PgPool) {
    let world = World::start(pool).await;
    issued(&world).await;
    let (one, two) = (world.token_of("t1").await, world.token_of("t2").await);
    let begin =
        async |key: &str, selector: Value| world.send_json(Method::POST, PATH, key, &wanted(&selector)).await;
    let foreign = begin(&one, json!({ "tenant": "t2" })).await;
    assert_eq!(foreign.json()["errors"][0]["code"], "other-tenant");
    // All serials that there are: the tenant's own are found.
    let made = begin(&one, json!({ "serials": ["01", "F2", "03"] })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
    let own = id_of(&made.json());
    let found = world.store.search_for_campaign(own, START).await.expect("the database");
    assert_eq!(found.found, 2);
    let nothing = begin(&two, json!({ "serials": ["01", "F2"] })).await;
    assert_eq!(nothing.json()["errors"][0]["code"], "nothing-selected");
    // The operator's is about everybody, and nobody else's to see.
    let all = id_of(&begin(&world.operator, json!({ "issuer": "Issuer" })).await.json());
    assert_eq!(world.store.search_for_campaign(all, START).await.expect("the database").found, 3);
    for (key, ids) in [(&one, vec![own]), (&two, vec![]), (&world.operator, vec![own, all])] {
        let listed = world.get_as(key, PATH).await.json();
        // Two of one instant come in either order.
        let listed: BTreeSet<CampaignId> =
            listed["data"].as_array().expect("rows").iter().map(id_of).collect();
        assert_eq!(listed, BTreeSet::from_iter(ids));
    }
    for (key, id) in [(&one, all), (&two, all), (&two, own)] {
        let path = format!("{PATH}/{id}");
        for answer in [
            world.get_as(key, &path).await,
            world.get_as(key, &format!("{path}/certificates")).await,
            world.json_as(key, Method::PATCH, &path, &[], Some(json!({ "status": "paused" }))).await,
            world.json_as(key, Method::DELETE, &path, &[], None).await,
        ] {
            assert_eq!((answer.status, &*answer.problem()), (StatusCode::NOT_FOUND, "not-found"));
        }
    }
    let running = world.get(PATH).await.json();
    assert!(running["data"].as_array().expect("rows").iter().all(|one| one["status"] == "running"));
    let preview = world
        .send_json(Method::POST, "/v1/campaigns?dry_run=true", &one, &wanted(&json!({ "issuer": "Issuer" })))
        .await
        .json();
    assert_eq!(
        (&preview["certificates"], &preview["orders"]["ahead"]),
        (&json!(2), &Value::Null),
        "{preview}"
    );
}

/// A fleet is found in batches of a bounded size, from where the last one has come to.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_large_one_is_found_a_batch_at_a_time(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,one,one.com,http-01,\n").await;
    world
        .execute(
            "with made as (
                 insert into certificates (certificate_id, tenant_id, account_id, external_id, names, challenge, created_at)
                 select gen_random_uuid(), tenant_id, account_id, 'many-' || nr, array['many-' || nr || '.com'], 'http-01',
                     created_at
                 from certificates cross join generate_series(1, 12000) as nr
                 returning *
             ),
             ordered as (
                 insert into orders (order_id, tenant_id, account_id, certificate_id, names, lane, stage, accepted_at, ended_at,
                     fault_class, fault_detail)
                 select gen_random_uuid(), tenant_id, account_id, certificate_id, names, 1, 'failed', created_at, created_at,
                     'internal', 'for the test'
                 from made
                 returning *
             )
             insert into issued_certificates (order_id, certificate_id, tenant_id, account_id, names, serial,
                 fingerprint_sha256, spki_sha256, issuer, chain_pem, not_before, not_after, issued_at)
             select order_id, certificate_id, tenant_id, account_id, names, order_id::text, '', sha256(order_id::text::bytea),
                 case when row_number() over () % 3 = 0 then 'CN=Other' else 'CN=Issuer' end, '', accepted_at,
                 accepted_at + interval '90 days', accepted_at - interval '1 hour'
             from ordered",
        )
        .await;
    let made = world.post_json(PATH, wanted(&json!({ "issuer": "Issuer" }))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json());
    let id = id_of(&made.json());
    let mut batches = Vec::new();
    loop {
        let searched = world.store.search_for_campaign(id, START).await.expect("the database");
        batches.push(searched.found);
        let seen = world.get(&format!("{PATH}/{id}")).await.json();
        assert_eq!(
            (&seen["certificates"], &seen["complete"]),
            (&json!(batches.iter().sum::<u64>()), &json!(!searched.more))
        );
        if !searched.more {
            break;
        }
    }
    assert_eq!(
        (batches.iter().sum::<u64>(), world.rows("campaign_members").await),
        (8_000, 8_000),
        "{batches:?}"
    );
    assert!(batches.len() > 2 && batches.iter().all(|found| *found <= 5_000), "{batches:?}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_commands_do_what_they_say(pool: PgPool) {
    let world = World::start(pool).await;
    issued(&world).await;
    let api =
        ApiClient::new(&world.base, &Token::parse(&world.operator).expect("well formed")).expect("loopback");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "# from the CA\n01\n\n00:F2\n").expect("written");
    let create = |dry_run| {
        CampaignCommand::Create(Box::new(CreateArgs {
            reason: "the CA revokes them".to_owned(),
            deadline: deadline(),
            issuer: None,
            account: None,
            profile: None,
            issued_from: None,
            issued_until: None,
            serials: Vec::new(),
            serials_from: Some(file.path().to_owned()),
            keys: Vec::new(),
            tenant: None,
            labels: None,
            rate: Some(100),
            new_keys: false,
            dry_run,
        }))
    };
    let run = async |command: CampaignCommand| {
        for format in [Format::Json, Format::Table] {
            let done = campaign::run(&command, &api, Output::new(format)).await;
            match done {
                Ok(exit) => assert_eq!(exit, Exit::Done),
                Err(error) => return Err(error.exit()),
            }
        }
        Ok(())
    };
    assert_eq!(run(create(true)).await, Ok(()));
    assert_eq!(world.rows("campaigns").await, 0);
    assert_eq!(campaign::run(&create(false), &api, Output::new(Format::Json)).await.ok(), Some(Exit::Done));
    let made = world.get(PATH).await.json();
    assert_eq!(
        (&made["data"][0]["serials_listed"], &made["data"][0]["rate_per_hour"]),
        (&json!(2), &json!(100))
    );
    let campaign = id_of(&made["data"][0]);
    let id = || IdArgs { campaign };
    world.store.search_for_campaign(campaign, START).await.expect("the database");
    let status = async || world.get(&format!("{PATH}/{campaign}")).await.json()["status"].clone();
    assert_eq!(run(CampaignCommand::Show(id())).await, Ok(()));
    assert_eq!(run(CampaignCommand::Pause(id())).await, Ok(()));
    assert_eq!(status().await, "paused");
    assert_eq!(run(CampaignCommand::Resume(id())).await, Ok(()));
    assert_eq!(status().await, "running");
    assert_eq!(run(CampaignCommand::Cancel(id())).await, Ok(()));
    assert_eq!(status().await, "cancelled");
    assert!(run(CampaignCommand::Resume(id())).await.is_err(), "it is over");
}
