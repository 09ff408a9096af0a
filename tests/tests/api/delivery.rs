//! Keys and chains on their way to servers: bundles, their list, and what Caddy asks.

use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use issuance::ids::{CertificateId, OrderId};
use lockkeeper::keys::csr::key_context;
use lockkeeper::keys::{CertificateKey, KeyKind};
use lockkeeper::store::api_keys;
use lockkeeper::store::viewer::Viewer;
use lockkeeper_tests::{openssl, sha256};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::world::{Answer, START, World, sealer};

/// Nobody waits longer for what is to come at once.
const DEADLINE: Duration = Duration::from_secs(30);

/// A certificate of a tenant with the label `server`, by its `external_id`.
pub(crate) struct Site {
    pub(crate) id: CertificateId,
    pub(crate) names: Vec<String>,
}

/// Two servers' certificates of two tenants: web17 has one of each.
pub(crate) async fn sites(world: &World) -> Vec<Site> {
    world
        .import(
            "t1,one,one.com www.one.com,http-01,server=web17\n\
             t1,two,*.two.com,dns-01,server=web18\n\
             t2,three,three.com,http-01,server=web17;tier=shop\n",
        )
        .await;
    let rows: Vec<(Uuid, Vec<String>)> = sqlx::query_as(
        "select certificate_id, names from certificates order by external_id = 'three', external_id = 'two'",
    )
    .fetch_all(&world.pool)
    .await
    .expect("certificates");
    rows.into_iter().map(|(id, names)| Site { id: CertificateId(id), names }).collect()
}

/// What was issued: its fingerprint and its chain.
pub(crate) struct Issued {
    pub(crate) order: OrderId,
    pub(crate) fingerprint: String,
    pub(crate) chain: String,
    key: String,
}

/// Signs a certificate for a site, as the engine would leave it behind; `with_key`: whether its key is held here.
pub(crate) async fn issue(world: &World, site: &Site, at: issuance::time::Timestamp) -> Issued {
    let key = CertificateKey::generate(KeyKind::EcdsaP256).expect("a key");
    let pair = KeyPair::try_from(key.pkcs8().expose_secret()).expect("the same key");
    let ca = CertificateParams::new(vec!["Issuer".to_owned()]).expect("an issuer");
    let issuer = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("signed");
    let params = CertificateParams::new(site.names.clone()).expect("names");
    let leaf = params.signed_by(&pair, &issuer).expect("signed").pem();
    let chain = (leaf + &issuer.pem()).replace("\r\n", "\n");
    let der = CertificateDer::from_pem_slice(chain.as_bytes()).expect("a leaf");
    let print = sha256(&der);
    let (order,): (Uuid,) = sqlx::query_as(
        "insert into orders
             (order_id, tenant_id, account_id, certificate_id, names, lane, stage, accepted_at, ended_at, fault_class, fault_detail)
         select gen_random_uuid(), tenant_id, account_id, certificate_id, names, 1, 'failed', $2, $2, 'internal', 'for the test'
         from certificates where certificate_id = $1
         returning order_id",
    )
    .bind(site.id.0)
    .bind(at.to_datetime())
    .fetch_one(&world.pool)
    .await
    .expect("an order");
    let sealed = sealer().seal(&key_context(OrderId(order)), key.pkcs8().expose_secret()).expect("sealed");
    sqlx::query(
        "insert into issued_certificates
             (order_id, certificate_id, tenant_id, account_id, names, serial, fingerprint_sha256, spki_sha256, issuer,
              chain_pem, key_sealed, not_before, not_after, issued_at)
         select $1, certificate_id, tenant_id, account_id, names, $1::text, $3, $4, 'CN=Issuer', $5, $6,
             $7::timestamptz, $7::timestamptz + interval '90 days', $7
         from certificates where certificate_id = $2",
    )
    .bind(order)
    .bind(site.id.0)
    .bind(print.as_slice())
    .bind(key.spki_sha256().as_slice())
    .bind(&chain)
    .bind(sealed)
    .bind(at.to_datetime())
    .execute(&world.pool)
    .await
    .expect("issued");
    let fingerprint = print.iter().map(|byte| format!("{byte:02x}")).collect();
    Issued { order: OrderId(order), fingerprint, chain, key: key.pkcs8_pem().expose_secret().to_owned() }
}

/// A key of an agent: bundles and deployments, of what has these labels.
pub(crate) async fn agent_key(world: &World, selector: Option<Value>) -> String {
    let token =
        api_keys::create(&world.store, START, Viewer::Operator, "agent of web17").await.expect("a key");
    sqlx::query(
        "update api_keys set scopes = '{bundles:read,deployments:manage}', selector = $1 where name = 'agent of web17'",
    )
    .bind(selector)
    .execute(&world.pool)
    .await
    .expect("restricted");
    token.reveal().to_owned()
}

async fn get_with(world: &World, token: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = world.request(Method::GET, path, token);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(Full::default()).expect("a request")).await
}

fn etag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().expect("ASCII").to_owned()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_bundle_is_served_in_each_form_and_not_twice(pool: PgPool) {
    let world = World::start(pool).await;
    let sites = sites(&world).await;
    let path = format!("/v1/certificates/{}/bundle", sites[0].id);
    assert_eq!(world.get(&path).await.problem(), "not-issued-yet");
    let issued = issue(&world, &sites[0], START).await;

    let pem = world.get(&path).await;
    assert_eq!((pem.status, pem.content_type()), (StatusCode::OK, "application/pem-certificate-chain"));
    assert_eq!(String::from_utf8_lossy(&pem.body), format!("{}{}", issued.chain, issued.key));
    assert_eq!(pem.headers["cache-control"], "no-store");
    assert!(etag(&pem).starts_with('"'), "strong");
    let same = get_with(&world, &world.operator, &path, &[("if-none-match", &etag(&pem))]).await;
    assert_eq!((same.status, same.body.len(), etag(&same)), (StatusCode::NOT_MODIFIED, 0, etag(&pem)));

    let json = get_with(&world, &world.operator, &path, &[("accept", "application/json")]).await;
    let document = json.json();
    assert_eq!(document["fullchain"], issued.chain.as_str());
    assert_eq!(
        format!("{}{}", document["cert"].as_str().expect("PEM"), document["chain"].as_str().expect("PEM")),
        issued.chain
    );
    assert_eq!((&document["key"], &document["key_absent"]), (&json!(issued.key), &Value::Null));
    assert_eq!(document["fingerprint_sha256"], issued.fingerprint.as_str());
    assert_ne!(etag(&json), etag(&pem), "other bytes, another tag");
    assert_eq!(etag(&world.get(&format!("{path}?format=json")).await), etag(&json));

    assert_eq!(world.get(&format!("{path}?format=der")).await.problem(), "validation-failed");
    let odd = get_with(&world, &world.operator, &path, &[("accept", "text/html")]).await;
    assert_eq!((odd.status, odd.problem().as_str()), (StatusCode::NOT_ACCEPTABLE, "not-acceptable"));

    let later = START.after(Duration::from_hours(24));
    let renewed = issue(&world, &sites[0], later).await;
    let now = get_with(&world, &world.operator, &path, &[("if-none-match", &etag(&pem))]).await;
    assert_eq!((now.status, etag(&now) == etag(&pem)), (StatusCode::OK, false));
    assert!(String::from_utf8_lossy(&now.body).contains(&renewed.key));

    let versions = world.get(&format!("/v1/certificates/{}/versions", sites[0].id)).await.json();
    let of = |field: &str| -> Vec<Value> {
        versions["data"].as_array().expect("a list").iter().map(|one| one[field].clone()).collect()
    };
    assert_eq!(of("fingerprint_sha256"), [json!(issued.fingerprint), json!(renewed.fingerprint)]);
    assert_eq!((of("number"), of("is_current")), (vec![json!(1), json!(2)], vec![json!(false), json!(true)]));
    let first = of("id")[0].as_str().expect("an id").to_owned();
    let old = world.get(&format!("{path}?version={first}")).await;
    assert_eq!(old.body, pem.body, "an older version by its id");
    let page = world.get(&format!("/v1/certificates/{}/versions?limit=1", sites[0].id)).await.json();
    let next = page["next_cursor"].as_str().expect("another page");
    let page =
        world.get(&format!("/v1/certificates/{}/versions?limit=1&cursor={next}", sites[0].id)).await.json();
    assert_eq!((&page["data"][0]["number"], &page["has_more"]), (&json!(2), &json!(false)));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn private_keys_are_for_those_who_may_have_them(pool: PgPool) {
    let world = World::start(pool).await;
    let sites = sites(&world).await;
    for site in &sites {
        issue(&world, site, START).await;
    }
    let path = |site: &Site| format!("/v1/certificates/{}/bundle", site.id);
    let stranger = world.token_of("t2").await;
    assert_eq!(world.get_as(&stranger, &path(&sites[0])).await.problem(), "not-found");
    assert_eq!(world.get_as(&stranger, &path(&sites[2])).await.status, StatusCode::OK);
    let versions = format!("/v1/certificates/{}/versions", sites[0].id);
    assert_eq!(world.get_as(&stranger, &versions).await.problem(), "not-found");

    let agent = agent_key(&world, Some(json!({"server": "web17"}))).await;
    let statuses = async |token: &str| {
        let mut statuses = Vec::new();
        for site in &sites {
            statuses.push(world.get_as(token, &path(site)).await.status.as_u16());
        }
        statuses
    };
    assert_eq!(statuses(&agent).await, [200, 404, 200], "of its server alone, whoever's they are");
    assert_eq!(world.get_as(&agent, &versions).await.problem(), "forbidden-scope");
    let widened = sqlx::query("update api_keys set scopes = '{*}' where selector is not null");
    assert!(widened.execute(&world.pool).await.is_err(), "what else there is knows nothing of labels");

    world.execute("update api_keys set scopes = '{certificates:read}' where name = 'test'").await;
    assert_eq!(world.get(&path(&sites[0])).await.problem(), "forbidden-scope");
    let chain = world.get(&format!("/v1/certificates/{}/chain", sites[0].id)).await;
    assert_eq!(chain.status, StatusCode::OK);
    assert!(!String::from_utf8_lossy(&chain.body).contains("PRIVATE KEY"));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_is_removed_is_handed_out_no_more_and_a_key_that_is_kept_elsewhere_is_told(pool: PgPool) {
    let world = World::start(pool).await;
    let sites = sites(&world).await;
    let issued = issue(&world, &sites[0], START).await;
    issue(&world, &sites[2], START).await;
    let path = format!("/v1/certificates/{}/bundle", sites[0].id);
    let list = "/v1/bundles?selector=server%3Dweb17";
    let with_key = etag(&world.get(&path).await);
    world.execute("update issued_certificates set key_sealed = null where 'one.com' = any(names)").await;
    let pem = world.get(&path).await;
    assert_eq!(String::from_utf8_lossy(&pem.body), issued.chain, "the chain alone");
    assert_ne!(etag(&pem), with_key);
    let json = world.get(&format!("{path}?format=json")).await.json();
    assert_eq!((&json["key"], &json["key_absent"]), (&Value::Null, &json!("kept_by_requester")));
    let by_header = [("accept", "application/x-pkcs12"), ("lockkeeper-passphrase", "correct horse")];
    let refused = get_with(&world, &world.operator, &path, &by_header).await;
    assert_eq!((refused.status, refused.problem().as_str()), (StatusCode::CONFLICT, "no-private-key"));
    let listed = world.get(list).await.json();
    let keys: Vec<&Value> =
        listed["data"].as_array().expect("a list").iter().map(|one| &one["has_key"]).collect();
    assert_eq!(keys, [&json!(false), &json!(true)]);
    let asked = ask(&world, &world.operator, "/v1/caddy/certificate?server_name=one.com").await;
    assert_eq!(asked.status, StatusCode::NO_CONTENT, "a chain without its key is of no use to a server");

    world.execute("update certificates set deleted_at = created_at").await;
    assert_eq!(world.get(&path).await.problem(), "not-found");
    assert_eq!(world.get(list).await.json()["data"].as_array().map(Vec::len), Some(0));
    let asked = ask(&world, &world.operator, "/v1/caddy/certificate?server_name=three.com").await;
    assert_eq!(asked.status, StatusCode::NO_CONTENT);
    let asked = ask(&world, &world.operator, "/v1/caddy/ask?domain=three.com").await;
    assert_eq!(asked.problem(), "not-found");
}

/// What OpenSSL makes of a PKCS#12 file: certificates and key, in PEM.
async fn opened(file: &[u8], passphrase: &str) -> std::process::Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file.p12");
    std::fs::write(&path, file).expect("written");
    let (file, secret) = (path.display().to_string(), format!("pass:{passphrase}"));
    openssl::run(&["pkcs12", "-noenc", "-passin", &secret, "-in", &file]).await.expect("openssl")
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn openssl_reads_a_pkcs12_file_with_its_passphrase(pool: PgPool) {
    let world = World::start(pool).await;
    let sites = sites(&world).await;
    let issued = issue(&world, &sites[0], START).await;
    let path = format!("/v1/certificates/{}/bundle", sites[0].id);
    let by_header = [("accept", "application/x-pkcs12"), ("lockkeeper-passphrase", "correct horse")];
    let sent = get_with(&world, &world.operator, &path, &by_header).await;
    assert_eq!((sent.status, sent.content_type()), (StatusCode::OK, "application/x-pkcs12"));
    assert!(etag(&sent).starts_with("W/"), "salted, so never the same bytes");
    let known = [("accept", "application/x-pkcs12"), ("if-none-match", &etag(&sent))];
    let again = get_with(&world, &world.operator, &path, &known).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);

    let post = async |document: Value| {
        let request = world
            .request(Method::POST, &path, &world.operator)
            .header("content-type", "application/json")
            .body(Full::from(Bytes::from(document.to_string())));
        world.send(request.expect("a request")).await
    };
    let posted = post(json!({"passphrase": "correct horse"})).await;
    for file in [&sent.body, &posted.body] {
        let read = opened(file, "correct horse").await;
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        let text = String::from_utf8_lossy(&read.stdout).replace("\r\n", "\n");
        assert!(text.contains(issued.key.trim()), "the key");
        let read: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).flatten().collect();
        let sent: Vec<_> = CertificateDer::pem_slice_iter(issued.chain.as_bytes()).flatten().collect();
        assert_eq!((read.len(), read.iter().all(|one| sent.contains(one))), (2, true), "the whole chain");
        assert!(!opened(file, "battery staple").await.status.success());
    }

    for refused in [
        get_with(&world, &world.operator, &path, &by_header[..1]).await,
        post(json!({"passphrase": "short"})).await,
        post(json!({"passphrase": "pässphrase"})).await,
        world.get(&format!("{path}?format=pkcs12&passphrase=correct-horse")).await,
    ] {
        assert_eq!(refused.problem(), "validation-failed");
        assert!(!String::from_utf8_lossy(&refused.body).contains("horse"), "a passphrase is never repeated");
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_server_learns_what_it_needs_as_soon_as_it_is_there(pool: PgPool) {
    let world = World::start(pool).await;
    let sites = sites(&world).await;
    let first = issue(&world, &sites[0], START).await;
    let path = "/v1/bundles?selector=server%3Dweb17";
    let listed = world.get(path).await;
    let ids = |answer: &Answer| -> Vec<String> {
        let list = answer.json();
        let items = list["data"].as_array().expect("a list").iter();
        items.map(|item| item["certificate_id"].as_str().expect("an id").to_owned()).collect()
    };
    assert_eq!(ids(&listed), [sites[0].id.to_string()], "what was not issued yet is not listed");
    let item = &listed.json()["data"][0];
    assert_eq!((&item["fingerprint_sha256"], &item["has_key"]), (&json!(first.fingerprint), &json!(true)));
    let bundle = world.get(&format!("{}?format=json", item["url"].as_str().expect("a path"))).await;
    assert_eq!(item["etag"], etag(&bundle).as_str(), "the tag of what is fetched");
    let known = etag(&listed);
    let same = get_with(&world, &world.operator, path, &[("if-none-match", &known)]).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);

    // Another server's certificate wakes nobody; one of this server does.
    let held = [("if-none-match", known.as_str()), ("prefer", "wait=60")];
    let began = std::time::Instant::now();
    let issuing = async {
        issue(&world, &sites[1], START).await;
        issue(&world, &sites[2], START).await
    };
    let both = async { tokio::join!(get_with(&world, &world.operator, path, &held), issuing).0 };
    let woken = tokio::time::timeout(DEADLINE, both).await.expect("it is woken");
    assert_eq!((woken.status, ids(&woken).len()), (StatusCode::OK, 2), "{:?}", began.elapsed());
    // A label that is put on is no issuance: it is seen at the next look.
    let narrow = world.get("/v1/bundles?selector=tier%3Dshop,server%3Dweb17").await;
    assert_eq!(ids(&narrow), [sites[2].id.to_string()]);

    let agent = agent_key(&world, Some(json!({"server": "web17"}))).await;
    assert_eq!(
        ids(&world.get_as(&agent, "/v1/bundles").await),
        ids(&woken),
        "its own labels go without saying"
    );
    assert_eq!(ids(&world.get_as(&agent, "/v1/bundles?selector=tier%3Dshop").await), ids(&narrow));
    assert!(ids(&world.get_as(&agent, "/v1/bundles?selector=server%3Dweb18").await).is_empty());
    for path in
        ["/v1/bundles", "/v1/bundles?selector=", "/v1/bundles?selector=web17", "/v1/bundles?server=web17"]
    {
        assert_eq!(world.get(path).await.problem(), "validation-failed", "{path}");
    }
    let tenant = world.token_of("t2").await;
    assert_eq!(ids(&world.get_as(&tenant, path).await), ids(&narrow), "a tenant has its own alone");
}

/// As Caddy sends the key that stands in a URL.
fn basic(token: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("agent:{token}")))
}

async fn ask(world: &World, token: &str, path: &str) -> Answer {
    let request = http::Request::get(format!("{}{path}", world.base)).header("authorization", basic(token));
    world.send(request.body(Full::default()).expect("a request")).await
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn caddy_is_told_what_to_show_and_what_not_to_ask_for(pool: PgPool) {
    let world = World::start(pool).await;
    let sites = sites(&world).await;
    let one = issue(&world, &sites[0], START).await;
    let two = issue(&world, &sites[1], START).await;
    let path = |name: &str| {
        format!("/v1/caddy/certificate?server_name={name}&signature_schemes=1027,2052&cipher_suites=4865")
    };
    let shown = async |name: &str| {
        let answer = ask(&world, &world.operator, &path(name)).await;
        (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
    };
    assert_eq!(shown("www.one.com").await, (200, format!("{}{}", one.chain, one.key)));
    assert_eq!(shown("WWW.ONE.com").await.0, 200);
    assert_eq!(shown("any.two.com").await, (200, format!("{}{}", two.chain, two.key)));
    for name in ["two.com", "a.b.two.com", "three.com", "nobody.com", "", "../etc", "*.two.com"] {
        assert_eq!(shown(name).await, (204, String::new()), "{name:?}");
    }
    world.clock.advance(Duration::from_hours(91 * 24));
    assert_eq!(shown("www.one.com").await.0, 204, "what has run out is shown to nobody");

    let asked = async |name: &str| {
        ask(&world, &world.operator, &format!("/v1/caddy/ask?domain={name}")).await.status.as_u16()
    };
    assert_eq!((asked("three.com").await, asked("x.two.com").await), (200, 200), "wished for is enough");
    assert_eq!((asked("nobody.com").await, asked("").await), (404, 404));
    let nobody = ask(&world, "nonsense", &path("one.com")).await;
    assert_eq!(nobody.problem(), "unauthenticated");
    let elsewhere = ask(&world, &world.operator, "/v1/certificates").await;
    assert_eq!(elsewhere.problem(), "unauthenticated", "a URL's password opens nothing else");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_caddy_of_debians_shows_what_it_gets(pool: PgPool) {
    let world = World::start(pool).await;
    let sites = sites(&world).await;
    let one = issue(&world, &sites[0], START).await;
    let agent = agent_key(&world, Some(json!({"server": "web17"}))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let address = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("bound");
    let url = world.base.replace("http://", &format!("http://agent:{agent}@"));
    let config = format!(
        "{{\n\tadmin off\n\tauto_https disable_redirects\n}}\nhttps://:{} {{\n\tbind 127.0.0.1\n\ttls {{\n\t\t\
         get_certificate http {url}/v1/caddy/certificate\n\t}}\n\trespond \"hello\"\n}}\n",
        address.port()
    );
    std::fs::write(folder.path().join("Caddyfile"), config).expect("written");
    let log = std::fs::File::create(folder.path().join("log")).expect("a log");
    let mut caddy = tokio::process::Command::new("caddy")
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(folder.path().join("Caddyfile"))
        .env("HOME", folder.path())
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("run .ci/setup caddy");
    let shown = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Some(print) = openssl::shown(address, "www.one.com").await.expect("openssl") {
                return print;
            }
            assert!(caddy.try_wait().expect("asked").is_none(), "it ended");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let shown = shown.await;
    let said = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    assert_eq!(shown.expect(&said), one.fingerprint);
    assert!(!said.contains(&agent), "its log does not have the key: {said}");
    caddy.kill().await.expect("ended");
}
