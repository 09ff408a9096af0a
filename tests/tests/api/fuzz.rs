//! schemathesis, which nobody here wrote, against the API that is described: whatever it makes of the description, no answer
//! is one that the description does not know, and none shows another tenant's rows.
//!
//! `FUZZ_REQUESTS` says how many requests there are at least; `make api-fuzz` sends ten times as many as the tests do.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::process::Command;

use crate::world::World;

/// `.ci/setup schemathesis` puts this one there.
const VERSION: &str = "4.32.5";
const REQUESTS: usize = 1_000;
/// Stands in every row of the tenant whose rows nobody else may see.
const MARK: &str = "zq81leak";

fn program() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).expect("a home");
    let program = cache.join(format!("lockkeeper/schemathesis-{VERSION}/bin/schemathesis"));
    assert!(program.exists(), "{} is missing: run .ci/setup schemathesis", program.display());
    program
}

fn wanted() -> usize {
    let text = std::env::var("FUZZ_REQUESTS").ok().filter(|text| !text.is_empty());
    text.map_or(REQUESTS, |text| text.parse().expect("FUZZ_REQUESTS is a number"))
}

/// What came of a run: every answer, and what schemathesis found.
struct Run {
    requests: usize,
    /// All of its record, answers included.
    record: String,
    good: bool,
    said: String,
    _folder: TempDir,
}

#[expect(clippy::print_stdout, reason = "the figures are what one wants to know of it")]
async fn run(world: &World, token: &str, document: &Value, mode: &str) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let description = folder.path().join("openapi.json");
    std::fs::write(&description, document.to_string()).expect("written");
    let operations: usize = document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .map(|item| item.as_object().map_or(0, serde_json::Map::len))
        .sum();
    let record = folder.path().join("record.har");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis.toml");
    let examples = (wanted() / operations).max(5);
    let said = Command::new(program())
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(config)
        .arg("--no-color")
        .arg("run")
        .arg(&description)
        .args(["--url", &world.base, "--header", &format!("Authorization: Bearer {token}")])
        // It goes on for as long as somebody listens.
        .args(["--exclude-path", "/v1/events/stream"])
        .args(["--checks", "all", "--mode", mode, "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", &examples.to_string(), "--seed", "1", "--continue-on-failure"])
        .args([
            "--no-shrink",
            "--generation-database",
            "none",
            "--warnings",
            "off",
            "--suppress-health-check",
            "all",
        ])
        .args(["--report", "har", "--report-har-path"])
        .arg(&record)
        .args(["--output-sanitize", "false", "--request-timeout", "30"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("schemathesis runs");
    let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    let record =
        std::fs::read_to_string(&record).unwrap_or_else(|error| panic!("no record ({error}): {text}"));
    let har: Value = serde_json::from_str(&record).expect("a record in HAR");
    let requests = har["log"]["entries"].as_array().map_or(0, Vec::len);
    println!("schemathesis {VERSION}: {requests} requests over {operations} operations, mode {mode}");
    Run { requests, record, good: said.status.success(), said: text, _folder: folder }
}

/// Two tenants with rows of every kind that an import makes. The second one's have the mark in them.
async fn two_tenants(world: &World) {
    let rows: String = (0..20)
        .map(|nr| format!("mine,site-{nr},www{nr}.mine.example.com,http-01,\n"))
        .chain((0..20).map(|nr| format!("{MARK},{MARK}-{nr},www{nr}.{MARK}.org,http-01,\n")))
        .collect();
    let report = world.import(rows).await;
    assert!(report.status.is_success(), "{}", report.json());
    world
        .execute(
            "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin, opened_at, expires_at, challenge_type, challenge_url, token, key_authorization)
             select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz/' || names[1], names[1], 'pending', 'ours', '2026-11-21', '2026-11-28', 'http-01', 'https://ca.test/chall', 'zq81secret', 'zq81secret'
             from orders",
        )
        .await;
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn nothing_that_is_made_of_the_description_is_answered_otherwise(pool: PgPool) {
    let world = World::start(pool).await;
    two_tenants(&world).await;
    let document = world.description().await;
    let run = run(&world, &world.operator, &document, "all").await;
    assert!(run.good, "{}", run.said);
    assert!(run.requests >= wanted(), "{} requests: {}", run.requests, run.said);
    // Of the secrets that are stored, none was told to anybody.
    assert!(!run.record.contains("zq81secret"), "a token of a challenge was told");
}

/// One tenant's key with the other's ids, names and labels: whatever is asked, nothing of the other is told.
#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
#[expect(clippy::print_stdout, reason = "the figures are what one wants to know of it")]
async fn a_tenants_requests_bring_nothing_of_another(pool: PgPool) {
    let world = World::start(pool).await;
    two_tenants(&world).await;
    let mut document = world.description().await;
    // Whoever proves that a name is his may have it: to ask for one is his own affair, and is told to him again. What it
    // tells of the owner is asked in `crossing`.
    document["paths"].as_object_mut().expect("paths").remove("/v1/hostnames/{hostname}/transfer");
    let ids = others(&world).await;
    let aimed = aim(&mut document, &ids);
    assert!(aimed > 8, "{aimed} parameters take another's ids");
    let mine = world.token_of("mine").await;
    let run = run(&world, &mine, &document, "positive").await;
    let har: Value = serde_json::from_str(&run.record).expect("a record in HAR");
    let entries = har["log"]["entries"].as_array().expect("entries");
    assert!(entries.len() >= wanted() / 4, "{} requests: {}", entries.len(), run.said);
    let mut reached = 0;
    for entry in entries {
        let (url, answer) = (entry["request"]["url"].as_str().unwrap_or_default(), &entry["response"]);
        let told = answer["content"]["text"].as_str().unwrap_or_default();
        let path = url.split('?').next().unwrap_or_default();
        let asked_for_another = ids.values().flatten().any(|id| path.contains(id.as_str()));
        reached += usize::from(asked_for_another);
        assert!(!told.contains("zq81secret"), "{url}: {told}");
        if asked_for_another {
            let status = answer["status"].as_u64().unwrap_or_default();
            assert!((400..500).contains(&status), "{url}: {status} {told}");
        }
        // What the request itself has said may stand in what is told of it.
        let said = entry["request"].to_string().contains(MARK);
        assert!(said || !told.contains(MARK), "{url}: {told}");
    }
    assert!(reached > 20, "{reached} requests aimed at another's rows");
    println!("{} requests, {reached} of them at another tenant's rows, 0 leaks", entries.len());
}

/// What the other tenant has, by the name of the parameter that takes it.
async fn others(world: &World) -> std::collections::BTreeMap<&'static str, Vec<String>> {
    let mut ids = std::collections::BTreeMap::new();
    for (name, list) in
        [("certificate", "certificates"), ("order", "orders"), ("authorization", "authorizations")]
    {
        let rows = world.get(&format!("/v1/{list}?tenant={MARK}&limit=5")).await.json();
        let found = rows["data"].as_array().expect("rows").iter().filter_map(|row| row["id"].as_str());
        ids.insert(name, found.map(str::to_owned).collect::<Vec<_>>());
    }
    ids.insert("hostname", (0..5).map(|nr| format!("www{nr}.{MARK}.org")).collect());
    assert!(ids.values().all(|all| all.len() == 5), "{ids:?}");
    ids
}

/// Has the parameters of paths take nothing but `ids`. Returns how many there are.
fn aim(document: &mut Value, ids: &std::collections::BTreeMap<&'static str, Vec<String>>) -> usize {
    let mut aimed = 0;
    let items = document["paths"].as_object_mut().expect("paths").values_mut();
    let operations = items.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut());
    for operation in operations {
        for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            if let Some(ids) = ids.get(name.as_str()).filter(|_| parameter["in"] == "path") {
                parameter["schema"] = json!({ "type": "string", "enum": ids });
                parameter.as_object_mut().expect("a parameter").remove("example");
                aimed += 1;
            }
        }
    }
    aimed
}
