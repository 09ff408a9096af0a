//! Who of the users here somebody is whom a provider of identities vouches for, and what it may do.

use bytes::Bytes;
use http::header::LOCATION;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use lockkeeper::config::{NameClaim, OidcRole, RoleWord, UnknownUsers};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::identity::{PASSWORD, Stage, header, session};
use crate::world::World;

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn somebody_is_who_it_was_before_whatever_it_is_called(pool: PgPool) {
    let stage = Stage::start(pool, |_| {}).await;
    let no = StatusCode::FORBIDDEN;
    let answer = stage.sign_in().await;
    stage.refused(&answer, no, "Nobody is called ada@example.com here").await;
    let ada = stage.let_in("ada@example.com", "password").await;
    let answer = stage.sign_in().await;
    stage.refused(&answer, no, "signs in with a password here").await;
    assert_eq!(stage.change(&ada, json!({ "sign_in": "both" })).await.status, StatusCode::OK);
    stage.enter().await;
    let bound = stage.world.get("/v1/users?name=ada%40example.com").await.json();
    assert_eq!((&bound["data"][0]["subject"], &bound["data"][0]["sign_in"]), (&json!("u-1"), &json!("both")));

    // The address was given to somebody else there; and she has another one.
    sqlx::query("delete from sessions").execute(&stage.world.pool).await.expect("signed out");
    stage.provider.set(|says| says.claims["sub"] = json!("u-2"));
    let answer = stage.sign_in().await;
    stage.refused(&answer, no, "is somebody else here").await;
    stage.provider.set(|says| {
        says.claims = json!({ "sub": "u-1", "email": "ada.lovelace@example.com", "email_verified": true });
    });
    stage.enter().await;
    assert_eq!(stage.users().await.len(), 1);

    assert_eq!(stage.change(&ada, json!({ "disabled": true })).await.status, StatusCode::OK);
    let answer = stage.sign_in().await;
    stage.refused(&answer, no, "is disabled here").await;
    let changed = stage.change(&ada, json!({ "disabled": false, "sign_in": "password" })).await;
    assert_eq!(changed.json()["subject"], Value::Null, "whom the provider meant is forgotten");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn groups_make_users_and_say_each_time_what_they_may(pool: PgPool) {
    let role = |group: Option<&str>, role, tenant: Option<&str>| OidcRole {
        group: group.map(str::to_owned),
        role,
        tenant: tenant.map(str::to_owned),
    };
    let stage = Stage::start(pool, |config| {
        config.unknown_users = UnknownUsers::Create;
        config.name_claim = NameClaim::PreferredUsername;
        config.groups_claim = "https://example.com/groups".to_owned();
        config.role = vec![
            role(Some("certificates"), RoleWord::Owner, None),
            role(Some("shop"), RoleWord::Operator, Some("shop")),
            role(Some("staff"), RoleWord::Viewer, None),
        ];
    })
    .await;
    let come = async |user: &str, groups: Value| {
        stage.provider.set(|says| {
            says.claims = json!({ "sub": format!("sub-{user}"), "preferred_username": user,
                "https://example.com/groups": groups });
        });
        stage.sign_in().await
    };
    let answer = come("eve", json!(["guests"])).await;
    stage.refused(&answer, StatusCode::FORBIDDEN, "None of the groups of eve opens Lockkeeper").await;
    let answer = come("kim", json!(["shop"])).await;
    stage.refused(&answer, StatusCode::FORBIDDEN, "a tenant that does not exist").await;
    stage.world.import("shop,s1,www.shop.example.com,http-01,\n").await;
    assert_eq!(come("kim", json!("shop")).await.status, StatusCode::SEE_OTHER);
    let ada = session(&come("ada", json!(["staff", "certificates"])).await).expect("in");
    let expected = [("ada", "owner", None, true), ("kim", "operator", Some("shop"), true)].map(
        |(name, role, tenant, follows)| {
            (name.to_owned(), role.to_owned(), tenant.map(str::to_owned), follows)
        },
    );
    assert_eq!(stage.users().await, expected);
    assert_eq!(stage.page("/admin/users", &ada).await.status, StatusCode::OK);

    // In fewer groups from now on: what she was signed in as ends when she comes again.
    let less = session(&come("ada", json!(["staff"])).await).expect("in");
    assert_eq!(stage.page("/admin", &ada).await.status, StatusCode::SEE_OTHER);
    assert_eq!(stage.page("/admin/users", &less).await.status, StatusCode::FORBIDDEN);
    assert_eq!(come("ada", json!([])).await.status, StatusCode::FORBIDDEN);
    assert_eq!(stage.page("/admin", &less).await.status, StatusCode::SEE_OTHER, "nowhere any more");
    let kinds: Vec<String> = sqlx::query_scalar(
        "select kind from events where subject = (select 'usr_' || replace(user_id::text, '-', '') from users where name = 'ada')
             or data -> 'after' ->> 'name' = 'ada' order by seq",
    )
    .fetch_all(&stage.world.pool)
    .await
    .expect("events");
    assert!(
        kinds.contains(&"user.created".to_owned()) && kinds.contains(&"user.changed".to_owned()),
        "{kinds:?}"
    );
    // Somebody here says what she is: her groups do not, any more.
    let page = stage.world.get("/v1/users?name=ada").await.json();
    let changed = stage.change(&page["data"][0], json!({ "role": "operator" })).await;
    assert_eq!(changed.json()["follows_groups"], json!(false), "{}", changed.json());
    assert_eq!(come("ada", json!([])).await.status, StatusCode::SEE_OTHER);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn users_say_how_they_sign_in_and_one_owner_keeps_a_password(pool: PgPool) {
    let stage = Stage::start(pool, |_| {}).await;
    let pointers = async |wanted: Value| {
        let answer = stage.world.post_json("/v1/users", wanted).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.json());
        answer.json()["errors"][0]["pointer"].as_str().expect("where").to_owned()
    };
    assert_eq!(pointers(json!({ "name": "ada", "role": "owner" })).await, "/password");
    let both = json!({ "name": "ada", "role": "owner", "sign_in": "oidc", "password": PASSWORD });
    assert_eq!(pointers(both).await, "/password");
    stage.world.import("t1,s1,one.example.com,http-01,\n").await;
    let tenants = stage.world.token_of("t1").await;
    let wanted = json!({ "name": "kim", "role": "viewer", "sign_in": "oidc" });
    let answer = stage.world.send_json(Method::POST, "/v1/users", &tenants, &wanted).await;
    assert_eq!(answer.json()["errors"][0]["pointer"], "/sign_in", "the provider is the operator's");

    let owner = |name: &str, sign_in: &str, password: Option<&str>| {
        let mut wanted = json!({ "name": name, "role": "owner", "sign_in": sign_in });
        if let Some(password) = password {
            wanted["password"] = json!(password);
        }
        stage.world.post_json("/v1/users", wanted)
    };
    let ada = owner("ada", "both", Some(PASSWORD)).await.json();
    let bob = owner("bob", "oidc", None).await.json();
    for change in [json!({ "sign_in": "oidc" }), json!({ "disabled": true }), json!({ "role": "viewer" })] {
        let answer = stage.change(&ada, change.clone()).await;
        assert_eq!(answer.problem(), "last-owner", "{change}: bob needs the provider");
    }
    assert_eq!(
        stage.change(&bob, json!({ "password": PASSWORD })).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        stage.change(&bob, json!({ "sign_in": "both" })).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let changed = stage.change(&bob, json!({ "sign_in": "both", "password": PASSWORD })).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.json());
    assert_eq!(stage.change(&ada, json!({ "sign_in": "oidc" })).await.status, StatusCode::OK);
    let row: (Option<String>, bool) =
        sqlx::query_as("select password, by_oidc from users where name = 'ada'")
            .fetch_one(&stage.world.pool)
            .await
            .expect("ada");
    assert_eq!(row, (None, true), "the password is forgotten");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn without_a_provider_there_is_no_way_to_it(pool: PgPool) {
    let world = World::start(pool).await;
    for path in ["/admin/sign-in/oidc", "/admin/sign-in/oidc/callback?code=a&state=b"] {
        let request = Request::builder().uri(format!("{}{path}", world.base));
        let answer = world.send(request.body(Full::new(Bytes::new())).expect("a request")).await;
        assert_eq!(header(&answer, LOCATION), "/admin/sign-in", "{path}");
    }
    let wanted = json!({ "name": "ada", "role": "viewer", "sign_in": "oidc" });
    let answer = world.post_json("/v1/users", wanted).await;
    assert!(answer.json().to_string().contains("set [oidc] issuer first"), "{}", answer.json());
}
