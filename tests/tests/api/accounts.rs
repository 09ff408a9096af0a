//! Accounts at CAs, as the operator sees and changes them.

use std::time::Duration;

use http::{Method, StatusCode};
use issuance::fairness::Lane;
use lockkeeper::cli::account::{self, AccountCommand, NoteArgs, PauseArgs};
use lockkeeper::cli::api_client::ApiClient;
use lockkeeper::cli::{Exit, Format, Output};
use lockkeeper::store::admissions::{AdmissionOutcome, AdmissionRequest};
use lockkeeper::store::api_keys::Token;
use lockkeeper::store::leases::{InLine, Replica, Stand};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::resources::{code_at, send};
use crate::world::{ACCOUNT, START, World, profile};

async fn change(world: &World, body: &Value) -> crate::world::Answer {
    send(world, &world.operator, Method::PATCH, &format!("/v1/accounts/{ACCOUNT}"), body).await
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_account_is_read_and_what_the_operator_says_of_it_is_kept(pool: PgPool) {
    let world = World::start(pool).await;
    let path = format!("/v1/accounts/{ACCOUNT}");
    let read = world.get(&path).await;
    assert_eq!((read.status, read.headers["etag"].to_str().expect("ASCII")), (StatusCode::OK, "\"1\""));
    let view = read.json();
    assert_eq!(world.get("/v1/accounts").await.json()["data"], json!([view]));
    assert_eq!(
        (&view["current"], &view["note"], &view["paused_until"]),
        (&json!(true), &json!(""), &Value::Null)
    );
    let until = START.after(Duration::from_hours(2)).to_string();
    let changed = change(&world, &json!({ "note": "moved on Monday", "paused_until": until })).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.json());
    assert_eq!((&changed.json()["note"], &changed.json()["version"]), (&json!("moved on Monday"), &json!(2)));
    assert_eq!(world.get("/v1/headroom").await.json()["held_until"], json!(until));
    let told = world.get("/v1/events?kind=account.changed").await.json();
    let data = &told["data"][0]["data"];
    assert_eq!(data["before"], json!({ "note": "", "paused_until": null }), "{told}");
    assert_eq!(data["after"], json!({ "note": "moved on Monday", "paused_until": until }), "{told}");
    let same = change(&world, &json!({ "note": "moved on Monday" })).await.json();
    assert_eq!(same["version"], 2, "what changes nothing is no change");
    let late = world
        .json_as(
            &world.operator,
            Method::PATCH,
            &path,
            &[("if-match", "\"1\"")],
            Some(json!({ "note": null })),
        )
        .await;
    assert_eq!(late.problem(), "version-mismatch");
    let resumed = change(&world, &json!({ "note": null, "paused_until": null })).await.json();
    assert_eq!((&resumed["note"], &resumed["paused_until"]), (&json!(""), &Value::Null));

    for (body, pointer, code) in [
        (json!({ "note": "x".repeat(1_001) }), "/note", "out-of-range"),
        (json!({ "note": "a\u{7}b" }), "/note", "out-of-range"),
        (json!({ "paused_until": START.to_string() }), "/paused_until", "out-of-range"),
        (
            json!({ "paused_until": START.after(Duration::from_hours(15 * 24)).to_string() }),
            "/paused_until",
            "out-of-range",
        ),
    ] {
        let refused = change(&world, &body).await;
        assert_eq!(
            (refused.status, code_at(&refused, pointer).as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, code)
        );
    }
    // What the configuration and the CA say is no matter of a request.
    for field in ["contacts", "stopped_reason", "held_until", "account_url"] {
        assert_eq!(change(&world, &json!({ field: null })).await.problem(), "validation-failed", "{field}");
    }
    let nobody = world.get("/v1/accounts/acc_00000000000000000000000000").await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
    world.import("t1,s1,a.com,http-01,\n").await;
    let tenant = world.token_of("t1").await;
    assert_eq!(world.get_as(&tenant, &path).await.problem(), "forbidden-scope");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn nothing_passes_the_gate_of_an_account_that_is_paused(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,a.com,http-01,\n").await;
    let until = START.after(Duration::from_hours(2));
    change(&world, &json!({ "paused_until": until.to_string() })).await;
    let ask = async |at| {
        let wanted = InLine { stand: Stand::Unproven, lanes: Lane::ALL.to_vec(), only_exempt: false };
        let replica = Replica(Uuid::from_u128(1));
        let claimed =
            world.store.claim_in_line(replica, at, Duration::from_mins(1), wanted, 1).await.expect("claimed");
        let requests: Vec<AdmissionRequest> =
            claimed.claims.iter().map(|claim| AdmissionRequest::first(claim, at)).collect();
        assert_eq!(requests.len(), 1);
        let answer = world.store.admit(ACCOUNT, &requests, &profile(), at).await.expect("asked");
        sqlx::query("update orders set in_line = true, due_at = accepted_at, lease_expires_at = null, lease_holder = null where stage = 'accepted'")
            .execute(&world.pool)
            .await
            .expect("back in line");
        answer.outcomes.into_iter().next().expect("one")
    };
    let AdmissionOutcome::Denied(denial) = ask(START).await else { panic!("it is paused") };
    // Not for longer than it may take to think otherwise.
    assert_eq!(denial.until(), START.after(Duration::from_mins(5)), "{denial:?}");
    change(&world, &json!({ "paused_until": null })).await;
    assert!(matches!(ask(START).await, AdmissionOutcome::Granted(_)), "it goes on");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_commands_pause_and_resume_and_note(pool: PgPool) {
    let world = World::start(pool).await;
    let api =
        ApiClient::new(&world.base, &Token::parse(&world.operator).expect("well formed")).expect("loopback");
    let run = async |command: AccountCommand| {
        account::run(&command, &api, Output::new(Format::Json)).await.map_err(|error| error.exit())
    };
    let until = START.after(Duration::from_hours(2));
    assert_eq!(run(AccountCommand::Pause(PauseArgs { until })).await, Ok(Exit::Done));
    assert_eq!(run(AccountCommand::Note(NoteArgs { note: "away".to_owned() })).await, Ok(Exit::Done));
    let view = world.get(&format!("/v1/accounts/{ACCOUNT}")).await.json();
    assert_eq!((&view["paused_until"], &view["note"]), (&json!(until.to_string()), &json!("away")));
    assert_eq!(run(AccountCommand::Resume).await, Ok(Exit::Done));
    assert_eq!(world.get(&format!("/v1/accounts/{ACCOUNT}")).await.json()["paused_until"], Value::Null);
}
