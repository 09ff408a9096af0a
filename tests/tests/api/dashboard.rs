//! The pages for people: who gets in, what each may see and do, and what a form is not believed.

use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use lockkeeper::store::viewer::Viewer;
use lockkeeper::store::{api_keys, tenants};
use serde_json::json;
use sqlx::PgPool;

use crate::world::{Answer, World};

const PASSWORD: &str = "a few words do well";

/// Every view that is there for an operator without naming anything.
const VIEWS: [&str; 19] = [
    "/admin",
    "/admin/authorizations",
    "/admin/authorizations?tab=failed",
    "/admin/authorizations?tab=orphaned",
    "/admin/queue",
    "/admin/hostnames",
    "/admin/certificates",
    "/admin/deployments",
    "/admin/tenants",
    "/admin/imports",
    "/admin/imports/new",
    "/admin/campaigns",
    "/admin/campaigns/new",
    "/admin/plan",
    "/admin/events",
    "/admin/webhooks",
    "/admin/accounts",
    "/admin/checks",
    "/admin/users",
];

struct Browser<'a> {
    world: &'a World,
    cookie: String,
}

impl<'a> Browser<'a> {
    async fn sign_in(world: &'a World, name: &str, password: &str) -> Result<Self, Answer> {
        let form = format!("name={name}&password={}", password.replace(' ', "+"));
        let answer = send(world, Method::POST, "/admin/sign-in", "", &form).await;
        if answer.status != StatusCode::SEE_OTHER {
            return Err(answer);
        }
        let cookie = answer.headers.get(SET_COOKIE).expect("a cookie").to_str().expect("ASCII").to_owned();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/admin"),
            "{cookie}"
        );
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        Ok(Self { world, cookie })
    }

    async fn get(&self, path: &str) -> Answer {
        send(self.world, Method::GET, path, &self.cookie, "").await
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        let text = text(&answer);
        assert_eq!(answer.status, StatusCode::OK, "{path}: {text}");
        text
    }

    /// The token that the forms of this session carry.
    async fn token(&self) -> String {
        let page = self.page("/admin").await;
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form");
        rest.split_once('"').expect("a value").0.to_owned()
    }

    async fn post(&self, path: &str, fields: &str) -> Answer {
        let form = format!("csrf={}&{fields}", self.token().await);
        send(self.world, Method::POST, path, &self.cookie, &form).await
    }
}

async fn send(world: &World, method: Method, path: &str, cookie: &str, form: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", world.base))
        .header(COOKIE, cookie)
        .header("content-type", "application/x-www-form-urlencoded");
    world.send(request.body(Full::new(Bytes::from(form.to_owned()))).expect("a request")).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).expect("UTF-8")
}

async fn let_in(world: &World, name: &str, role: &str, tenant: Option<&str>) {
    let wanted = json!({ "name": name, "role": role, "tenant": tenant, "password": PASSWORD });
    let answer = world.send_json(Method::POST, "/v1/users", &world.operator, &wanted).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
    assert!(!text(&answer).contains("argon2") && !text(&answer).contains(PASSWORD));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn every_view_is_shown_to_whoever_is_signed_in_and_to_nobody_else(pool: PgPool) {
    let world = World::start(pool).await;
    let_in(&world, "ada", "owner", None).await;
    world.import("t1,s1,www.a.example.com b.example.com,http-01,\n").await;
    for view in VIEWS {
        let answer = send(&world, Method::GET, view, "", "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{view}");
        assert!(
            answer.headers[LOCATION].to_str().expect("ASCII").starts_with("/admin/sign-in?to="),
            "{view}"
        );
    }
    let ada =
        Browser::sign_in(&world, "Ada", PASSWORD).await.map_err(|answer| text(&answer)).expect("signed in");
    for view in VIEWS {
        let answer = ada.get(view).await;
        let page = text(&answer);
        assert_eq!(answer.status, StatusCode::OK, "{view}: {page}");
        assert_eq!(page.matches("<h1>").count(), 1, "{view}");
        let policy = answer.headers["content-security-policy"].to_str().expect("ASCII");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers["cache-control"], "no-store", "{view}");
        assert!(
            !page.contains(" style=") && !page.contains("<script>") && !page.contains(" onclick"),
            "{view}"
        );
    }
    assert!(ada.page("/admin/hostnames/www.a.example.com").await.contains("www.a.example.com"));
    assert_eq!(ada.get("/admin/hostnames/nobodys.example.com").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ada.get("/admin/nowhere").await.status, StatusCode::NOT_FOUND);
    let found = ada.get("/admin/search?q=b.example.com").await;
    assert_eq!(found.headers[LOCATION], "/admin/hostnames/b.example.com");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn whoever_guesses_is_not_heard_and_a_session_ends_with_its_reasons(pool: PgPool) {
    let world = World::start(pool).await;
    let_in(&world, "ada", "owner", None).await;
    let_in(&world, "eve", "viewer", None).await;
    for _ in 0..5 {
        let refused = Browser::sign_in(&world, "ada", "not that one").await.err().expect("refused");
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    let refused = Browser::sign_in(&world, "ada", PASSWORD).await.err().expect("the right one, too soon");
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let nobody = Browser::sign_in(&world, "nobody", PASSWORD).await.err().expect("refused");
    assert!(
        text(&nobody).contains("Nobody signs in with this name and this password"),
        "nothing tells who exists"
    );
    world.clock.advance(std::time::Duration::from_secs(16));
    let ada =
        Browser::sign_in(&world, "ada", PASSWORD).await.map_err(|answer| text(&answer)).expect("heard again");
    let eve =
        Browser::sign_in(&world, "eve", PASSWORD).await.map_err(|answer| text(&answer)).expect("signed in");

    let out = ada.post("/admin/sign-out", "").await;
    assert_eq!(out.headers[LOCATION], "/admin/sign-in");
    assert_eq!(ada.get("/admin").await.status, StatusCode::SEE_OTHER, "signed out");

    let users = world.get("/v1/users?name=eve").await.json();
    let path = format!("/v1/users/{}", users["data"][0]["id"].as_str().expect("an id"));
    let request = world
        .request(Method::PATCH, &path, &world.operator)
        .header("content-type", "application/json")
        .header("if-match", "\"1\"")
        .body(Full::new(Bytes::from(json!({ "password": "another few words" }).to_string())))
        .expect("a request");
    assert_eq!(world.send(request).await.status, StatusCode::OK);
    assert_eq!(eve.get("/admin").await.status, StatusCode::SEE_OTHER, "a new password signs out");

    let eve = Browser::sign_in(&world, "eve", "another few words")
        .await
        .map_err(|answer| text(&answer))
        .expect("in");
    world.clock.advance(std::time::Duration::from_secs(7_201));
    assert_eq!(eve.get("/admin").await.status, StatusCode::SEE_OTHER, "two hours without a look");
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from events where kind like 'user.%' order by seq")
            .fetch_all(&world.pool)
            .await
            .expect("events");
    let expected = ["created", "created", "signed_in", "signed_in", "signed_out", "changed", "signed_in"];
    assert_eq!(kinds, expected.map(|kind| format!("user.{kind}")));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_tenant_sees_its_own_and_a_viewer_changes_nothing(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,one.example.com,http-01,\nt2,s2,two.example.net,http-01,\n").await;
    let_in(&world, "one", "operator", Some("t1")).await;
    let_in(&world, "watcher", "viewer", None).await;
    let one =
        Browser::sign_in(&world, "one", PASSWORD).await.map_err(|answer| text(&answer)).expect("signed in");
    let all = one.page("/admin/hostnames").await;
    assert!(all.contains("one.example.com") && !all.contains("two.example.net"), "{all}");
    assert_eq!(one.get("/admin/hostnames/two.example.net").await.status, StatusCode::NOT_FOUND);
    assert!(!all.contains("/admin/accounts") && !all.contains("/admin/tenants"), "no view of the operator's");
    for foreign in ["/admin/tenants", "/admin/tenants/t2", "/admin/accounts", "/admin/checks", "/admin/users"]
    {
        let status = one.get(foreign).await.status;
        assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), "{foreign}: {status}");
    }
    let done = one.post("/admin/actions/take-up", "hostname=two.example.net&back=/admin/hostnames").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    assert!(
        one.page("/admin/hostnames").await.contains("class=\"notice\""),
        "told that there is no such name"
    );

    let watcher =
        Browser::sign_in(&world, "watcher", PASSWORD).await.map_err(|answer| text(&answer)).expect("in");
    let page = watcher.page("/admin/hostnames/one.example.com").await;
    assert!(!page.contains("/admin/actions/"), "no button of what it may not do");
    let before: i64 =
        sqlx::query_scalar("select count(*) from events").fetch_one(&world.pool).await.expect("count");
    watcher.post("/admin/actions/forget-hostname", "hostname=one.example.com&version=1&confirmed=yes").await;
    let told = "your role viewer does not allow this; an operator or owner can";
    assert!(watcher.page("/admin").await.contains(told), "told why, and who can");
    let after: i64 =
        sqlx::query_scalar("select count(*) from events").fetch_one(&world.pool).await.expect("count");
    assert_eq!(before, after, "and nothing was done");
    assert!(page.contains("one.example.com"));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_form_of_another_page_does_nothing(pool: PgPool) {
    let world = World::start(pool).await;
    let_in(&world, "ada", "owner", None).await;
    let ada =
        Browser::sign_in(&world, "ada", PASSWORD).await.map_err(|answer| text(&answer)).expect("signed in");
    let wanted = "name=mallory&role=owner&password=a+few+words+do+well&back=/admin/users";
    let bare = send(&world, Method::POST, "/admin/actions/create-user", &ada.cookie, wanted).await;
    assert_eq!(bare.status, StatusCode::FORBIDDEN, "without the token");
    let guessed = format!("csrf=AAAA&{wanted}");
    let guessed = send(&world, Method::POST, "/admin/actions/create-user", &ada.cookie, &guessed).await;
    assert_eq!(guessed.status, StatusCode::FORBIDDEN, "with another");
    let form = format!("csrf={}&{wanted}", ada.token().await);
    for (header, value) in [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")] {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/admin/actions/create-user", world.base))
            .header(COOKIE, &ada.cookie)
            .header(header, value);
        let answer = world.send(request.body(Full::new(Bytes::from(form.clone()))).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{header}: {value}");
    }
    let users = "select count(*) from users";
    let count: i64 = sqlx::query_scalar(users).fetch_one(&world.pool).await.expect("count");
    assert_eq!(count, 1);
    // The same with the token, twice, as of a double press: one user.
    let twice = format!("{wanted}&once=0123456789abcdef");
    for _ in 0..2 {
        assert_eq!(ada.post("/admin/actions/create-user", &twice).await.status, StatusCode::SEE_OTHER);
    }
    let count: i64 = sqlx::query_scalar(users).fetch_one(&world.pool).await.expect("count");
    assert_eq!(count, 2);
    assert!(ada.page("/admin/users").await.contains("done for mallory"));
    let who: (String, String) = sqlx::query_as(
        "select actor_kind, actor_name from events where kind = 'user.created' order by seq desc limit 1",
    )
    .fetch_one(&world.pool)
    .await
    .expect("the audit");
    assert_eq!(who, ("user".to_owned(), "ada".to_owned()));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn nobody_lets_in_whom_it_may_not_and_the_last_owner_stays(pool: PgPool) {
    let world = World::start(pool).await;
    let tenant = tenants::find(&world.store, "t1").await.expect("asked");
    assert!(tenant.is_none());
    world.import("t1,s1,one.example.com,http-01,\n").await;
    let tenant = tenants::find(&world.store, "t1").await.expect("asked").expect("made by the import");
    let key = api_keys::create(&world.store, crate::world::START, Viewer::Tenant(tenant), "panel")
        .await
        .expect("a key");
    let ask = async |token: &str, wanted: serde_json::Value| {
        world.send_json(Method::POST, "/v1/users", token, &wanted).await
    };
    let wanted = |name: &str, tenant: Option<&str>| json!({ "name": name, "role": "owner", "tenant": tenant, "password": PASSWORD });
    let made = ask(key.reveal(), wanted("kim", None)).await;
    assert_eq!(made.json()["tenant"], "t1", "a tenant lets in its own people alone");
    assert_eq!(ask(key.reveal(), wanted("kat", Some("t2"))).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        ask(&world.operator, wanted("KIM", None)).await.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "taken"
    );
    let mut short = wanted("ada", None);
    short["password"] = json!("too short");
    let refused = ask(&world.operator, short).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!text(&refused).contains("too short"), "a password is never told back: {}", text(&refused));
    let owner = ask(&world.operator, wanted("ada", None)).await.json();
    let path = format!("/v1/users/{}", owner["id"].as_str().expect("an id"));
    let request = world
        .request(Method::PATCH, &path, &world.operator)
        .header("content-type", "application/json")
        .header("if-match", "\"1\"")
        .body(Full::new(Bytes::from_static(b"{\"disabled\":true}")))
        .expect("a request");
    assert_eq!(world.send(request).await.problem(), "last-owner");
}
