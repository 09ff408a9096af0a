//! The commands that talk to the API, up to their exit codes.

use std::time::Duration;

use issuance::ids::ImportId;
use lockkeeper::cli::api_client::{ApiClient, operator_token, parse_token};
use lockkeeper::cli::authz::{self, AuthzCommand, SettleArgs};
use lockkeeper::cli::cert::{self, CertCommand, ShowArgs};
use lockkeeper::cli::import::{self, CsvArgs, ErrorsArgs, ImportCommand, JobArgs, ListArgs};
use lockkeeper::cli::listing::ListingArgs;
use lockkeeper::cli::order::{self, OrderCommand};
use lockkeeper::cli::{CliError, Exit, Format, Output, headroom};
use lockkeeper::store::api_keys::Token;
use lockkeeper::store::viewer::Viewer;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::import_jobs::intake;
use crate::settle;
use crate::world::{HEADER, World};

const JSON: fn() -> Output = || Output::new(Format::Json);

fn client(world: &World) -> ApiClient {
    ApiClient::new(&world.base, &Token::parse(&world.operator).expect("well formed")).expect("loopback")
}

async fn import_csv(api: &ApiClient, rows: &str, wait: bool) -> Result<Exit, CliError> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fleet.csv");
    std::fs::write(&file, format!("{HEADER}{rows}")).expect("written");
    import::run(&ImportCommand::Csv(CsvArgs { file, lane: "bulk".into(), preview: false, wait }), api, JSON())
        .await
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_exit_code_tells_all_from_some_from_nothing(pool: PgPool) {
    let world = World::start(pool).await;
    let api = client(&world);
    let run =
        async |rows| import_csv(&api, rows, false).await.map(Exit::code).map_err(|error| error.exit().code());
    assert_eq!(run("t1,s1,a.com,http-01,\n").await, Ok(0));
    assert_eq!(run("t1,s1,a.com,http-01,\n").await, Ok(0), "nothing to do is no failure");
    assert_eq!(run("t1,s1,a.com,http-01,\nt1,s2,co.uk,http-01,\n").await, Ok(5));
    assert_eq!(run("t1,s2,co.uk,http-01,\n").await, Ok(1));
    let missing =
        CsvArgs { file: "/nonexistent.csv".into(), lane: "bulk".into(), preview: false, wait: false };
    let error = import::run(&ImportCommand::Csv(missing), &api, JSON()).await.expect_err("no such file");
    assert_eq!(error.exit().code(), 2);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn waiting_ends_when_nothing_moves(pool: PgPool) {
    let world = World::start(pool).await;
    let api = client(&world);
    let engine = async {
        // What an engine would do, once it is woken: here every order is parked.
        world.wake.notified().await;
        world
            .execute("update orders set stage = 'parked', fault_class = 'dns_nxdomain', fault_detail = 'x'")
            .await;
    };
    let deadline = Duration::from_secs(20);
    let both = async { tokio::join!(import_csv(&api, "t1,s1,a.com,http-01,\n", true), engine).0 };
    let ended = tokio::time::timeout(deadline, both).await.expect("it ends");
    assert_eq!(ended.expect("imported"), Exit::Done);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_import_is_previewed_committed_and_taken_back(pool: PgPool) {
    let world = World::start(pool).await;
    let api = client(&world);
    let stop = CancellationToken::new();
    let worker = tokio::spawn(intake(&world, 1).run(Duration::from_millis(20), stop.clone()));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fleet.ndjson");
    let rows = "{\"tenant\":\"t1\",\"external_id\":\"s1\",\"names\":[\"a.com\"]}\n{\"tenant\":\"t1\"}\n";
    std::fs::write(&file, rows).expect("written");
    let run = async |command: ImportCommand| {
        import::run(&command, &api, JSON()).await.map(Exit::code).map_err(|error| error.exit().code())
    };
    let args = || CsvArgs { file: file.clone(), lane: "interactive".into(), preview: true, wait: false };
    assert_eq!(run(ImportCommand::Ndjson(args())).await, Ok(5), "one of two rows is refused");
    assert_eq!(world.rows("certificates").await, 0);
    let imports = world.get("/v1/imports?status=preview").await.json();
    let id: ImportId = imports["data"][0]["id"].as_str().expect("one").parse().expect("an id");
    let job = || JobArgs { import: id };
    let listing = ListingArgs { limit: 10, cursor: None };
    let show = |verdict: Option<&str>, rows| import::ShowArgs {
        import: id,
        verdict: verdict.map(str::to_owned),
        rows,
        listing: listing.clone(),
    };
    assert_eq!(run(ImportCommand::Rollback(job())).await, Err(4), "there is nothing to take back");
    assert_eq!(run(ImportCommand::Commit(job())).await, Ok(5));
    assert_eq!(world.rows("certificates").await, 1);
    let errors = ErrorsArgs { import: id, format: "csv".into() };
    assert_eq!(run(ImportCommand::Errors(errors)).await, Ok(0));
    for format in [Format::Json, Format::Table] {
        let output = Output::new(format);
        let list = ImportCommand::List(ListArgs { status: None, listing: listing.clone() });
        let commands = [
            list,
            ImportCommand::Show(show(None, false)),
            ImportCommand::Show(show(Some("refused"), false)),
            ImportCommand::Show(show(None, true)),
        ];
        for command in &commands {
            assert_eq!(import::run(command, &api, output).await.expect("shown"), Exit::Done);
        }
    }
    assert_eq!(run(ImportCommand::Rollback(job())).await, Ok(0));
    assert_eq!(world.rows("certificates").await, 0);
    assert_eq!(run(ImportCommand::Cancel(job())).await, Err(4));
    let strange = JobArgs { import: ImportId(uuid::Uuid::from_u128(1)) };
    assert_eq!(run(ImportCommand::Commit(strange)).await, Err(3));
    stop.cancel();
    worker.await.expect("it stops");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn every_list_and_view_is_shown_in_both_formats(pool: PgPool) {
    let world = World::start(pool).await;
    let api = client(&world);
    world.import("t1,s1,a.com www.a.com,http-01,\nt1,s2,b.com,http-01,\n").await;
    let order = world.get("/v1/orders").await.json()["data"][0]["id"].as_str().expect("an id").to_owned();
    for format in [Format::Json, Format::Table] {
        let output = Output::new(format);
        let listing = ListingArgs { limit: 1, cursor: None };
        let list = CertCommand::List(cert::ListArgs {
            status: Some("pending".to_owned()),
            tenant: Some("t1".to_owned()),
            hostname: None,
            external_id: None,
            listing: listing.clone(),
        });
        assert_eq!(cert::run(&list, &api, output).await.expect("listed"), Exit::Done);
        let show = |name: &str| CertCommand::Show(ShowArgs { certificate: name.to_owned(), chain: false });
        assert_eq!(cert::run(&show("www.a.com"), &api, output).await.expect("shown"), Exit::Done);
        assert_eq!(cert::run(&show("nobody.com"), &api, output).await.expect("asked"), Exit::NotFound);
        let show = OrderCommand::Show(order::ShowArgs { order: order.clone() });
        assert_eq!(order::run(&show, &api, output).await.expect("shown"), Exit::Done);
        let list = AuthzCommand::List(authz::ListArgs { open: true, status: None, tenant: None, listing });
        assert_eq!(authz::run(&list, &api, output).await.expect("listed"), Exit::Done);
        assert_eq!(headroom::run(&api, output).await.expect("shown"), Exit::Done);
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn settling_tells_all_from_some_from_none(pool: PgPool) {
    let world = World::start(pool).await;
    settle::two_that_wait(&world).await;
    let api = client(&world);
    let (one, two) = (settle::id_of(&world, "one.com").await, settle::id_of(&world, "two.com").await);
    let missing = "azn_00000000000000000000000000".to_owned();
    for format in [Format::Json, Format::Table] {
        let run = async |authorizations: &[&String], dry_run| {
            let authorizations = authorizations.iter().map(ToString::to_string).collect();
            let command = AuthzCommand::Settle(SettleArgs { authorizations, dry_run });
            authz::run(&command, &api, Output::new(format)).await.expect("told")
        };
        assert_eq!(run(&[&one, &two], true).await, Exit::Done);
        assert_eq!(run(&[&one], false).await, Exit::Done);
        assert_eq!(run(&[&one, &missing, &two], true).await, Exit::Partial);
        assert_eq!(run(&[&missing], false).await, Exit::NotFound);
        let show = AuthzCommand::Show(authz::ShowArgs { authorization: one.clone() });
        assert_eq!(authz::run(&show, &api, Output::new(format)).await.expect("shown"), Exit::Done);
    }
    world
        .execute("update authorizations set settled_at = opened_at, final_at = opened_at, status = 'valid'")
        .await;
    let command = AuthzCommand::Settle(SettleArgs { authorizations: vec![one], dry_run: false });
    assert_eq!(authz::run(&command, &api, JSON()).await.expect("told"), Exit::Conflict);
    let tenant = Token::parse(&world.token_of("t1").await).expect("well formed");
    let tenant = ApiClient::new(&world.base, &tenant).expect("loopback");
    let command = AuthzCommand::Settle(SettleArgs { authorizations: vec![two], dry_run: true });
    let refused = authz::run(&command, &tenant, JSON()).await.expect_err("the operator's alone");
    assert_eq!(refused.exit(), Exit::Unauthorized);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_refusal_is_told_by_its_exit_code(pool: PgPool) {
    let world = World::start(pool).await;
    let api = client(&world);
    let missing = OrderCommand::Show(order::ShowArgs { order: "ord_00000000000000000000000000".to_owned() });
    assert_eq!(order::run(&missing, &api, JSON()).await.expect_err("missing").exit(), Exit::NotFound);
    let odd = OrderCommand::Show(order::ShowArgs { order: "../headroom?x".to_owned() });
    assert_eq!(order::run(&odd, &api, JSON()).await.expect_err("no id").exit(), Exit::NotFound);

    let stranger = ApiClient::new(&world.base, &Token::generate(Viewer::Operator)).expect("loopback");
    assert_eq!(headroom::run(&stranger, JSON()).await.expect_err("a stranger").exit(), Exit::Unauthorized);

    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(operator_token(folder.path()).expect_err("no file").exit(), Exit::Unauthorized);
    std::fs::write(folder.path().join("operator.token"), format!("{}\n", world.operator)).expect("written");
    assert_eq!(operator_token(folder.path()).expect("found").reveal(), world.operator);
    assert_eq!(parse_token("typo").expect_err("a typing error").exit(), Exit::Unauthorized);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_large_upload_with_a_wrong_token_is_refused_and_not_lost(pool: PgPool) {
    let world = World::start(pool).await;
    let stranger = ApiClient::new(&world.base, &Token::generate(Viewer::Operator)).expect("loopback");
    let rows = "t1,s1,co.uk,http-01,\n".repeat(1_000_000);
    for _ in 0..5 {
        let refused = import_csv(&stranger, &rows, false).await.expect_err("a stranger");
        assert_eq!(refused.exit(), Exit::Unauthorized, "{refused}");
    }
}
