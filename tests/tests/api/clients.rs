//! What lies in `deploy/clients`, run against a served API.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use sqlx::PgPool;
use tokio::process::Command;

use crate::world::World;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/clients")
}

async fn run(world: &World, at: &Path, program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(at)
        .env("LOCKKEEPER_API", &world.base)
        .env("LOCKKEEPER_TOKEN", &world.operator)
        .env_remove("http_proxy")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// The lines of all blocks for a shell.
fn blocks(page: &str) -> Vec<&str> {
    let parts = page.split("```");
    // Text and blocks take turns.
    parts.skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n")).collect()
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_cookbook_does_what_it_says_line_by_line(pool: PgPool) {
    let world = World::start(pool).await;
    let page = std::fs::read_to_string(folder().join("curl.md")).expect("the cookbook");
    let blocks = blocks(&page);
    assert!(blocks.len() > 8, "{} blocks", blocks.len());
    let kitchen = tempfile::tempdir().expect("a folder");
    // A block that fails ends the shell, and its number is told.
    let mut script = String::from("set -eu\n");
    for (nr, block) in blocks.iter().enumerate() {
        writeln!(script, "echo \"block {nr}\" >&2\n{block}").expect("written to a text");
    }
    script.push_str("echo all done >&2\n");
    let done = run(&world, kitchen.path(), "bash", &["-c", &script]).await;
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && said.ends_with("all done\n"),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stdout)
    );
    let left = world.get("/v1/certificates?tenant=acme").await.json();
    assert_eq!(left["data"].as_array().map(Vec::len), Some(2), "one was given up: {left}");
    assert_eq!(world.rows("limit_overrides").await, 1, "sent twice, carried out once");
}

const PHP: &str = r#"
require 'Lockkeeper.php';
$service = Lockkeeper::fromEnvironment();
$rows = iterator_to_array($service->each('/v1/certificates', ['limit' => '2']), false);
echo count($rows), ' ', count(array_unique(array_column($rows, 'id'))), "\n";
echo $service->hostname('www.one.com')['hostname'], "\n";
try { $service->hostname('nobody.example.com'); } catch (LockkeeperProblem $p) { echo $p->status, ' ', $p->problem, ' ', str_starts_with($p->requestId, 'req_') ? 'told' : '', "\n"; }
try { $service->call('POST', '/v1/limit-overrides', ['burst' => 0]); } catch (LockkeeperProblem $p) { echo $p->errors[0]['code'], "\n"; }
$grant = $service->call('POST', '/v1/limit-overrides', ['limit' => 'new_orders_per_account', 'burst' => 600, 'period_seconds' => 10800, 'note' => "d\u{2019}accord"]);
echo $grant['note'], "\n";
echo json_encode($service->call('DELETE', "/v1/limit-overrides/{$grant['id']}")), "\n";
"#;

const PERL: &str = r#"
use strict; use warnings; use Lockkeeper; binmode STDOUT, ':utf8';
my $service = Lockkeeper->from_environment;
my @rows = $service->list('/v1/certificates', limit => 2);
my %ids = map { $_->{id} => 1 } @rows;
print scalar(@rows), ' ', scalar(keys %ids), "\n";
print $service->hostname('www.one.com')->{hostname}, "\n";
eval { $service->hostname('nobody.example.com') };
print "$@->{status} $@->{code} ", ($@->{request_id} =~ /\Areq_/ ? 'told' : ''), "\n";
eval { $service->call('POST', '/v1/limit-overrides', { burst => 0 }) };
print $@->{errors}[0]{code}, "\n";
my $grant = $service->call('POST', '/v1/limit-overrides', { limit => 'new_orders_per_account', burst => 600, period_seconds => 10800, note => "d\x{2019}accord" });
print $grant->{note}, "\n";
my $gone = $service->call('DELETE', "/v1/limit-overrides/$grant->{id}");
print '[', join(',', %$gone), "]\n";
"#;

/// The same in two languages.
const EXPECTED: &str = "5 5\nwww.one.com\n404 not-found told\nbad-body\nd\u{2019}accord\n[]\n";

async fn five_sites(pool: PgPool) -> World {
    let world = World::start(pool).await;
    let rows = "t1,s1,www.one.com,http-01,\nt1,s2,www.two.com,http-01,\nt1,s3,www.three.com,http-01,\n\
                t2,s1,www.four.com,http-01,\nt2,s2,www.five.com,http-01,\n";
    assert!(world.import(rows).await.status.is_success());
    world
}

fn assert_said(done: &Output) {
    let (out, said) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && out == EXPECTED, "{out}\n{said}");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_php_client_speaks_to_the_api(pool: PgPool) {
    let world = five_sites(pool).await;
    assert_said(&run(&world, &folder().join("php"), "php", &["-r", PHP]).await);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_perl_client_speaks_to_the_api(pool: PgPool) {
    let world = five_sites(pool).await;
    assert_said(&run(&world, &folder().join("perl"), "perl", &["-I.", "-e", PERL]).await);
}

/// WHMCS as its hooks see it. Each event is played, and what the service has said comes out.
const WHMCS: &str = r#"
$hooks = [];
function add_hook(string $event, int $priority, callable $hook): void { $GLOBALS['hooks'][$event][] = $hook; }
function logActivity(string $text): void { echo "log: $text\n"; }
require 'whmcs_hook.php';
$params = ['params' => ['domain' => 'Shop.One.com', 'serviceid' => 8812, 'serverhostname' => 'web17']];
foreach (['AfterModuleCreate', 'AfterModuleChangePackage'] as $event) foreach ($hooks[$event] as $hook) $hook($params);
$service = Lockkeeper::fromEnvironment();
$made = $service->hostname('shop.one.com');
echo $made['hostname'], ' ', $made['external_id'], "\n";
foreach ($hooks['AfterModuleTerminate'] as $hook) { $hook($params); $hook($params); }
try { $service->hostname('shop.one.com'); } catch (LockkeeperProblem $p) { echo $p->problem, "\n"; }
foreach ($hooks['AfterModuleCreate'] as $hook) $hook(['params' => ['domain' => 'not a name']]);
"#;

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_product_of_whmcs_brings_its_name_and_takes_it_away(pool: PgPool) {
    let world = World::start(pool).await;
    let token = tenants_key(&world).await;
    let done = Command::new("php")
        .args(["-r", WHMCS])
        .current_dir(folder().join("php"))
        .env("LOCKKEEPER_API", &world.base)
        .env("LOCKKEEPER_TOKEN", token)
        .output()
        .await
        .expect("php runs");
    let out = String::from_utf8_lossy(&done.stdout);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[..2],
        ["shop.one.com whmcs:8812", "not-found"],
        "{out}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(lines[2].starts_with("log: Lockkeeper: not a name: "), "{out}");
}

/// cPanel's base class, as far as its documentation tells it: providers are hashes that are blessed.
const CPANEL: &str = r#"
use strict; use warnings;
BEGIN {
    package Cpanel::SSL::Auto::Provider; sub new { my ($class) = @_; return bless {}, $class }
    $INC{'Cpanel/SSL/Auto/Provider.pm'} = 1;
}
require './AutoSSL.pm';
my $provider = Cpanel::SSL::Auto::Provider::Lockkeeper->new;
print $provider->DISPLAY_NAME, "\n";
my %vhosts = ('shop.one.com' => ['shop.one.com', 'www.shop.one.com'], 'bad' => ['not a name']);
my $installed = $provider->renew_ssl(username => 'alice', vhosts => \%vhosts,
    installer => sub { print "installed $_[0]\n" }, logger => sub { print "$_[0] $_[1]\n" });
print "$installed\n";
"#;

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_autossl_provider_of_cpanel_puts_the_names_of_virtual_hosts(pool: PgPool) {
    let world = World::start(pool).await;
    let token = tenants_key(&world).await;
    let done = Command::new("perl")
        .args(["-I.", "-e", CPANEL])
        .current_dir(folder().join("perl"))
        .env("LOCKKEEPER_API", &world.base)
        .env("LOCKKEEPER_TOKEN", token)
        .output()
        .await
        .expect("perl runs");
    let out = String::from_utf8_lossy(&done.stdout);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(out.starts_with("Lockkeeper\nerror bad: ") && out.ends_with("\n0\n"), "{out}{said}");
    assert!(out.contains("info shop.one.com: "), "{out}{said}");
    let found = world.get("/v1/hostnames/shop.one.com").await.json();
    assert_eq!(found["external_id"], "cpanel:alice:shop.one.com", "{found}");
}

async fn tenants_key(world: &World) -> String {
    assert!(world.import("acme,s0,www.zero.com,http-01,\n").await.status.is_success());
    world.token_of("acme").await
}
