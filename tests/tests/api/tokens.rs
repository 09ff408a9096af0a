use std::os::unix::fs::PermissionsExt as _;

use http::StatusCode;
use lockkeeper::store::Store;
use lockkeeper::store::api_keys::{self, OperatorTokenError, Token};
use lockkeeper::store::viewer::Viewer;
use sqlx::PgPool;

use crate::world::{START, World};

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_operators_token_is_made_once_and_survives_a_new_database(pool: PgPool) {
    let store = Store::from_pool(pool.clone());
    let folder = tempfile::tempdir().expect("a folder");
    let first = api_keys::ensure_operator(&store, START, folder.path()).await.expect("made");
    let file = folder.path().join("operator.token");
    let mode = std::fs::metadata(&file).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
    assert_eq!(std::fs::read_to_string(&file).expect("text").trim(), first.reveal());

    let second = api_keys::ensure_operator(&store, START, folder.path()).await.expect("found");
    assert_eq!(second.reveal(), first.reveal());
    sqlx::query("delete from api_keys").execute(&pool).await.expect("a new database");
    api_keys::ensure_operator(&store, START, folder.path()).await.expect("kept again");
    let found = api_keys::find(&store, &first).await.expect("asked").expect("known");
    assert_eq!(found.viewer, Viewer::Operator);
    let stored: Vec<u8> =
        sqlx::query_scalar("select sha256 from api_keys").fetch_one(&pool).await.expect("one row");
    assert_eq!(stored.len(), 32);

    std::fs::write(&file, "lockkeeper_operator_short").expect("written");
    let error = api_keys::ensure_operator(&store, START, folder.path()).await.expect_err("not a token");
    assert!(matches!(error, OperatorTokenError::Text { .. }), "{error}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn starts_at_the_same_moment_agree_on_one_token(pool: PgPool) {
    let store = Store::from_pool(pool);
    let folder = tempfile::tempdir().expect("a folder");
    let starts = (0..8).map(|_| api_keys::ensure_operator(&store, START, folder.path()));
    let tokens = futures_util::future::join_all(starts).await;
    let texts: Vec<String> =
        tokens.into_iter().map(|token| token.expect("made").reveal().to_owned()).collect();
    assert!(texts.iter().all(|text| *text == texts[0]));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_revoked_token_opens_nothing(pool: PgPool) {
    let world = World::start(pool).await;
    let token = Token::parse(&world.operator).expect("well formed");
    assert_eq!(world.get("/v1/summary").await.status, StatusCode::OK);
    assert!(api_keys::revoke(&world.store, START, &token).await.expect("asked"));
    assert!(!api_keys::revoke(&world.store, START, &token).await.expect("asked"), "only once");
    assert_eq!(world.get("/v1/summary").await.problem(), "unauthenticated");
}
