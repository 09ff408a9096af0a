//! Every route with another tenant's ids: nothing of it exists, and nothing of it is told.

use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::json;
use sqlx::PgPool;

use crate::routes;
use crate::world::{Answer, HEADER, START, World};

/// What one tenant has, by the names that routes give it.
struct Holding {
    slug: &'static str,
    key: String,
    ids: Vec<(&'static str, String)>,
}

/// Routes on which a stranger's id may be used, because asking for what others have is what they are for.
const ASKS_FOR_OTHERS: [(&str, &str); 2] =
    [("POST", "/v1/hostnames/{hostname}/transfer"), ("PUT", "/v1/hostnames/{hostname}")];

async fn holding(world: &World, slug: &'static str, hostname: &str) -> Holding {
    let text = |row: &'static str| {
        let statement = row.replace("SLUG", slug);
        let pool = world.pool.clone();
        async move {
            sqlx::query_scalar::<_, uuid::Uuid>(sqlx::AssertSqlSafe(statement))
                .fetch_one(&pool)
                .await
                .expect("a row")
        }
    };
    let tenant = world.tenant(slug).await;
    let key = world.token_of(slug).await;
    let certificate =
        text("select certificate_id from certificates join tenants using (tenant_id) where slug = 'SLUG'")
            .await;
    let order = text("select order_id from orders join tenants using (tenant_id) where slug = 'SLUG'").await;
    let authorization = text(
        "select authorization_id from authorizations join tenants using (tenant_id) where slug = 'SLUG'",
    )
    .await;
    let api_key =
        text("select key_id from api_keys join tenants using (tenant_id) where slug = 'SLUG'").await;
    let hook = json!({ "url": "https://panel.example.com/hooks" });
    let hook = world.send_json(Method::POST, "/v1/webhooks", &key, &hook).await.json();
    let hook = hook["id"].as_str().expect("an id").to_owned();
    let sent =
        world.send_json(Method::POST, &format!("/v1/webhooks/{hook}/test"), &key, &json!({})).await.json();
    let delivery = sent["delivery_id"].as_str().expect("an id").to_owned();
    let event = world.get_as(&key, "/v1/events?kind=webhook.test").await.json();
    let event = event["data"][0]["id"].as_str().expect("an id").to_owned();
    let user =
        json!({ "name": format!("somebody of {slug}"), "role": "viewer", "password": "a few words do well" });
    let user = world.send_json(Method::POST, "/v1/users", &key, &user).await.json();
    let user = user["id"].as_str().expect("an id").to_owned();
    let ids = vec![
        ("user", user),
        ("webhook", hook),
        ("delivery", delivery),
        ("event", event),
        ("tenant", tenant.to_string()),
        ("hostname", hostname.to_owned()),
        ("certificate", issuance::ids::CertificateId(certificate).to_string()),
        ("order", issuance::ids::OrderId(order).to_string()),
        ("authorization", issuance::ids::AuthorizationId(authorization).to_string()),
        ("key", issuance::ids::ApiKeyId(api_key).to_string()),
        ("import", upload(world, slug, &key, hostname).await),
        ("campaign", campaign(world, slug, &key).await),
        // Nothing of anybody's.
        ("account", crate::world::ACCOUNT.to_string()),
        ("check", "dns".to_owned()),
        ("target", "web17".to_owned()),
        ("orphan", "orp_00000000000000000000000000".to_owned()),
        ("override", "lov_00000000000000000000000000".to_owned()),
    ];
    Holding { slug, key, ids }
}

/// An import of the tenant's own that waits for its commit.
async fn upload(world: &World, slug: &str, key: &str, hostname: &str) -> String {
    let file = format!("{HEADER}{slug},again,{hostname},http-01,\n");
    let request =
        world.request(Method::POST, "/v1/imports?mode=preview", key).header("content-type", "text/csv");
    let answer = world.send(request.body(Full::from(file)).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// A campaign of the tenant's own, about what was issued to it.
async fn campaign(world: &World, slug: &str, key: &str) -> String {
    sqlx::query(
        "insert into issued_certificates (order_id, certificate_id, tenant_id, account_id, names, serial, fingerprint_sha256,
             spki_sha256, issuer, chain_pem, not_before, not_after, issued_at)
         select order_id, certificate_id, tenant_id, account_id, names, order_id::text, '', '', 'CN=' || slug, '', accepted_at,
             accepted_at + interval '90 days', accepted_at
         from orders join tenants using (tenant_id) where slug = $1",
    )
    .bind(slug)
    .execute(&world.pool)
    .await
    .expect("issued");
    let wanted = json!({
        "reason": format!("of {slug}"), "deadline": START.after(std::time::Duration::from_hours(24)),
        "selector": { "issuer": slug },
    });
    let made = world.send_json(Method::POST, "/v1/campaigns", key, &wanted).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&made.body));
    made.json()["id"].as_str().expect("an id").to_owned()
}

fn filled(path: &str, holding: &Holding) -> String {
    let mut filled = path.to_owned();
    for (name, value) in &holding.ids {
        filled = filled.replace(&format!("{{{name}}}"), value);
    }
    assert!(!filled.contains('{'), "{path}: say in `holding` what a tenant has of that");
    filled
}

async fn ask(world: &World, method: &str, path: &str, key: &str) -> Answer {
    let method: Method = method.parse().expect("a method");
    if method == Method::GET {
        return world.get_as(key, path).await;
    }
    // What a body says is looked at before what the address names.
    let body = if path.starts_with("/v1/deployments/") {
        json!({ "fault": "the disk is full" })
    } else if path.ends_with("/bundle") {
        json!({ "passphrase": "of twelve or more" })
    } else if path.ends_with("/recover") {
        json!({ "since": START })
    } else {
        json!({})
    };
    let request = world
        .request(method, path, key)
        .header("content-type", "application/json")
        // Some requests are not taken without a name.
        .header("idempotency-key", uuid::Uuid::new_v4().to_string());
    world.send(request.body(Full::from(body.to_string())).expect("a request")).await
}

/// Whatever names the other one, unless it was sent.
fn leaks(answer: &Answer, of: &Holding, sent: &str) -> Vec<String> {
    let headers: Vec<String> =
        answer.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    let told = format!("{}\n{}", String::from_utf8_lossy(&answer.body), headers.join("\n"));
    let mut secrets: Vec<&str> = of
        .ids
        .iter()
        .filter(|(name, _)| !["account", "check", "target", "override"].contains(name))
        .map(|(_, id)| id.as_str())
        .collect();
    secrets.push(of.slug);
    secrets
        .into_iter()
        .filter(|secret| !sent.contains(*secret) && told.contains(*secret))
        .map(str::to_owned)
        .collect()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn another_tenants_ids_open_nothing_on_any_route(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("alpha-co,a1,alpha.com,http-01,\nbeta-co,b1,beta.com,http-01,\n").await;
    world
        .execute(
            "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin, opened_at, expires_at, challenge_type, challenge_url, token, key_authorization)
             select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz/' || names[1], names[1], 'pending', 'ours', '2026-11-21', '2026-11-28', 'http-01', 'https://ca.test/chall', 'secret-token', 'secret-key-authorization'
             from orders",
        )
        .await;
    let alpha = holding(&world, "alpha-co", "alpha.com").await;
    let beta = holding(&world, "beta-co", "beta.com").await;
    let routes = routes::all();
    let (mut asked, mut opened, mut told) = (0, Vec::new(), Vec::new());
    for (own, other) in [(&alpha, &beta), (&beta, &alpha)] {
        // It has no end; whose events it shows is seen in a test of its own.
        for (method, path) in routes.iter().filter(|(_, path)| path != "/v1/events/stream") {
            let address = filled(path, other);
            let answer = ask(&world, method, &address, &own.key).await;
            asked += 1;
            let leaked = leaks(&answer, other, &address);
            if !leaked.is_empty() {
                told.push(format!("{method} {path} tells {leaked:?}"));
            }
            let of_others = [
                "tenant",
                "hostname",
                "certificate",
                "order",
                "authorization",
                "key",
                "import",
                "campaign",
                "webhook",
                "event",
            ];
            let names_other = of_others.iter().any(|name| path.contains(&format!("{{{name}}}")));
            let asks = ASKS_FOR_OTHERS.contains(&(method.as_str(), path.as_str()));
            if !names_other || asks {
                continue;
            }
            // What is the operator's alone is refused before anything is looked for.
            let operators = answer.status == StatusCode::FORBIDDEN && answer.problem() == "forbidden-scope";
            let of_operator =
                operators && world.get_as(&own.key, "/v1/headroom").await.status == StatusCode::FORBIDDEN;
            if answer.status != StatusCode::NOT_FOUND && !of_operator {
                opened.push(format!("{method} {path}: {}", answer.status));
            }
        }
    }
    assert_eq!((opened, told), (Vec::<String>::new(), Vec::<String>::new()), "over {asked} requests");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn no_route_answers_otherwise_than_503_without_a_database(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("alpha-co,a1,alpha.com,http-01,\n").await;
    world
        .execute(
            "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin, opened_at, expires_at, challenge_type, challenge_url, token, key_authorization)
             select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz', names[1], 'pending', 'ours', '2026-11-21', '2026-11-28', 'http-01', 'https://ca.test/chall', 'a-token', 'a-key-authorization'
             from orders",
        )
        .await;
    let alpha = holding(&world, "alpha-co", "alpha.com").await;
    world.pool.close().await;
    let mut otherwise = Vec::new();
    for (method, path) in routes::all() {
        // The probe says that the process lives, what describes the API needs no database, and acme-dns has a language of
        // its own.
        if ["/livez", "/docs", "/v1/openapi.json"].contains(&path.as_str()) || path.starts_with("/acme-dns/")
        {
            continue;
        }
        let answer = ask(&world, &method, &filled(&path, &alpha), &world.operator).await;
        let patience = answer.headers.contains_key("retry-after") || path == "/readyz";
        if answer.status != StatusCode::SERVICE_UNAVAILABLE || !patience {
            otherwise.push(format!("{method} {path}: {}", answer.status));
        }
    }
    assert_eq!(otherwise, Vec::<String>::new());
}
