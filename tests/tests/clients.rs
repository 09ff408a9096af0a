//! ACME clients that nobody here wrote order from the rehearsal CA: it is a CA that others accept, and its audit sees
//! what they leave behind.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use issuance::limit::LimitName;
use issuance::time::Clock as _;
use lockkeeper_tests::https_client::{self, InstantAcmeClient};
use lockkeeper_tests::world::{hostname, pairs};
use rehearsal::audit::Audit;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use rehearsal::clock::RealClock;
use rehearsal::fleet::{Fault, Fleet, FleetConfig};
use rehearsal::limits::{History, LimitOverride, Owner, PastIssuance, UsedTokens};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

const WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A CA over HTTPS, and a fleet whose web servers forward challenges to where the client answers them.
struct Scene {
    ca: RehearsalCa,
    fleet: Fleet,
    answers_at: SocketAddr,
    folder: TempDir,
}

impl Scene {
    async fn set(stem: &str) -> anyhow::Result<Self> {
        Self::set_by(stem, CaRules::default()).await
    }

    async fn set_by(stem: &str, rules: CaRules) -> anyhow::Result<Self> {
        let answers_at = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let fleet =
            Fleet::start(FleetConfig { sites: pairs(stem, 1), ..FleetConfig::new(answers_at) }).await?;
        let (dns, http_port) = (Some(fleet.dns_addr()), fleet.http_port());
        let config = CaConfig { tls: true, rules, dns, http_port, ..CaConfig::default() };
        let ca = RehearsalCa::start(config).await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("root.pem"), ca.tls_root_pem().context("it speaks TLS")?)?;
        Ok(Self { ca, fleet, answers_at, folder })
    }

    fn certbot(&self, names: [&str; 2]) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new("certbot");
        command.args(["certonly", "--standalone", "--non-interactive", "--agree-tos"]);
        command.args(["--register-unsafely-without-email", "--server", &self.ca.directory_url()]);
        command.args(["--http-01-address", &self.answers_at.ip().to_string()]);
        command.args(["--http-01-port", &self.answers_at.port().to_string()]);
        for (option, below) in [("--config-dir", "config"), ("--work-dir", "work"), ("--logs-dir", "logs")] {
            command.arg(option).arg(folder.join(below));
        }
        for name in names {
            command.args(["-d", name]);
        }
        command.env("REQUESTS_CA_BUNDLE", folder.join("root.pem"));
        command
    }

    fn lego(&self, names: [&str; 2]) -> Command {
        let folder = self.folder.path();
        let mut command = Command::new("lego");
        command.args(["--server", &self.ca.directory_url(), "--accept-tos"]);
        command.args(["--email", "admin@lego-0.com", "--http", "--http.port", &self.answers_at.to_string()]);
        command.arg("--path").arg(folder.join("lego"));
        for name in names {
            command.args(["--domains", name]);
        }
        command.arg("run").env("LEGO_CA_CERTIFICATES", folder.join("root.pem"));
        command
    }

    fn file(&self, below: impl AsRef<Path>) -> anyhow::Result<String> {
        let path = self.folder.path().join(below);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// The audit once it is as it should be.
    async fn audit_when(&self, is_so: impl Fn(&Audit) -> bool) -> anyhow::Result<Audit> {
        let deadline = Instant::now() + WITHIN;
        loop {
            let audit = self.ca.audit();
            if is_so(&audit) {
                return Ok(audit);
            }
            ensure!(Instant::now() < deadline, "still {audit:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    async fn strike(self) {
        self.ca.stop().await;
        self.fleet.stop().await;
    }
}

async fn succeeds(mut command: Command) -> anyhow::Result<()> {
    let ended = timeout(WITHIN, command.stdin(Stdio::null()).kill_on_drop(true).output()).await??;
    let (out, errors) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    ensure!(ended.status.success(), "{}\n{out}\n{errors}", ended.status);
    Ok(())
}

/// What a client that gets no certificate says.
async fn fails(mut command: Command) -> anyhow::Result<String> {
    let ended = timeout(WITHIN, command.stdin(Stdio::null()).kill_on_drop(true).output()).await??;
    let (out, errors) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    ensure!(!ended.status.success(), "it got one\n{out}\n{errors}");
    // certbot folds its lines.
    Ok(format!("{out} {errors}").split_whitespace().collect::<Vec<_>>().join(" "))
}

fn starts(mut command: Command) -> anyhow::Result<Child> {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(quiet.kill_on_drop(true).spawn()?)
}

fn assert_one_certificate_and_nothing_open(audit: &Audit) {
    assert_eq!((audit.certificates, audit.orders), (1, 1), "{audit:?}");
    assert_eq!((audit.authorizations.open, audit.authorizations.valid), (0, 2), "{audit:?}");
}

#[tokio::test]
async fn certbot_gets_a_certificate() -> anyhow::Result<()> {
    let scene = Scene::set("certbot").await?;
    succeeds(scene.certbot(["certbot-0.com", "www.certbot-0.com"])).await?;
    let chain = scene.file("config/live/certbot-0.com/fullchain.pem")?;
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "the leaf and one intermediate");
    assert_one_certificate_and_nothing_open(&scene.ca.audit());
    scene.strike().await;
    Ok(())
}

#[tokio::test]
async fn lego_gets_a_certificate() -> anyhow::Result<()> {
    let scene = Scene::set("lego").await?;
    succeeds(scene.lego(["lego-0.com", "www.lego-0.com"])).await?;
    let chain = scene.file("lego/certificates/lego-0.com.crt")?;
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "the leaf and one intermediate");
    assert_one_certificate_and_nothing_open(&scene.ca.audit());
    scene.strike().await;
    Ok(())
}

/// Killed between new-order and the challenge, both leave what they ordered: the audit sees it.
#[tokio::test]
async fn what_a_killed_certbot_leaves_is_seen() -> anyhow::Result<()> {
    let scene = Scene::set("certbot").await?;
    let mut certbot = starts(scene.certbot(["certbot-0.com", "www.certbot-0.com"]))?;
    scene.audit_when(|audit| audit.authorizations.open == 2).await?;
    certbot.kill().await?;
    scene.ca.idle().await;
    let audit = scene.ca.audit();
    assert_eq!((audit.authorizations.open, audit.certificates), (2, 0), "{audit:?}");
    let open: Vec<_> = scene.ca.authorizations(Some("open")).into_iter().map(|one| one.name).collect();
    assert!(open.contains(&"www.certbot-0.com".to_owned()), "{open:?}");
    scene.strike().await;
    Ok(())
}

/// It works name by name: killed while the first is validated, the second is left.
#[tokio::test]
async fn what_a_killed_lego_leaves_is_seen() -> anyhow::Result<()> {
    let scene = Scene::set("lego").await?;
    for name in ["lego-0.com", "www.lego-0.com"] {
        scene.fleet.set_fault(&hostname(name), Some(Fault::Timeout));
    }
    let mut lego = starts(scene.lego(["lego-0.com", "www.lego-0.com"]))?;
    scene.audit_when(|audit| audit.authorizations.submitted == 1).await?;
    lego.kill().await?;
    let audit = scene.ca.audit();
    assert_eq!((audit.authorizations.open, audit.certificates), (1, 0), "{audit:?}");
    scene.strike().await;
    Ok(())
}

#[tokio::test]
async fn instant_acme_gets_a_certificate() -> anyhow::Result<()> {
    let scene = Scene::set("instant").await?;
    let root = scene.file("root.pem")?;
    let contacts = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let client = InstantAcmeClient(https_client::new(&root)?);
    let builder = Account::builder_with_http(Box::new(client));
    let (account, _) = builder.create(&contacts, scene.ca.directory_url(), None).await?;
    let names = ["instant-0.com", "www.instant-0.com"].map(|name| Identifier::Dns(name.to_owned()));
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    assert_eq!(order.state().status, OrderStatus::Pending);

    let mut answers = axum::Router::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        assert_eq!(authorization.status, AuthorizationStatus::Pending);
        let challenge = authorization.challenge(ChallengeType::Http01).context("http-01 is offered")?;
        let body = challenge.key_authorization().as_str().to_owned();
        let path = format!("/.well-known/acme-challenge/{}", challenge.token);
        answers = answers.route(&path, axum::routing::get(async move || body));
    }
    let listener = tokio::net::TcpListener::bind(scene.answers_at).await?;
    let server = tokio::spawn(async move { axum::serve(listener, answers).await });
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        authorization.challenge(ChallengeType::Http01).context("http-01 is offered")?.set_ready().await?;
    }
    assert_eq!(order.poll_ready(&RetryPolicy::default()).await?, OrderStatus::Ready);
    order.finalize().await?;
    let chain = order.poll_certificate(&RetryPolicy::default()).await?;
    assert!(chain.starts_with("-----BEGIN CERTIFICATE-----"), "{chain}");
    assert_one_certificate_and_nothing_open(&scene.ca.audit());
    server.abort();
    scene.strike().await;
    Ok(())
}

/// How a limit of Let's Encrypt is met, and what its refusal begins and ends with.
struct Meeting {
    limit: LimitName,
    /// Told to a CA with the numbers of production.
    history: fn(&[&str; 2]) -> History,
    /// At first so many tokens are there, where it is not a matter of history.
    burst: Option<u32>,
    /// Runs that fail for another reason: the first name is broken.
    failing_runs: usize,
    says: &'static str,
    refers_to: &'static str,
}

fn used(limit: LimitName, of: Owner, tokens: u32) -> History {
    History { used: vec![UsedTokens { limit, of, tokens }], ..History::default() }
}

fn nothing(_: &[&str; 2]) -> History {
    History::default()
}

const PAGE: &str = "see https://letsencrypt.org/docs/rate-limits/#";

fn meetings() -> [Meeting; 5] {
    [
        Meeting {
            limit: LimitName::NewOrdersPerAccount,
            history: |_| used(LimitName::NewOrdersPerAccount, Owner::Account(1), 300),
            burst: None,
            failing_runs: 0,
            says: "too many new orders (300) from this account in the last 3h0m0s, retry after 20",
            refers_to: "new-orders-per-account",
        },
        Meeting {
            limit: LimitName::CertificatesPerRegisteredDomain,
            history: |names| {
                used(LimitName::CertificatesPerRegisteredDomain, Owner::Domain(names[0].to_owned()), 50)
            },
            burst: None,
            failing_runs: 0,
            says: "too many certificates (50) already issued for",
            refers_to: "new-certificates-per-registered-domain",
        },
        Meeting {
            limit: LimitName::CertificatesPerExactSet,
            history: |names| {
                let names: Vec<_> = names.iter().map(|name| hostname(name)).collect();
                let at = RealClock.now();
                History { issued: vec![PastIssuance { names, at }; 5], ..History::default() }
            },
            burst: None,
            failing_runs: 0,
            says: "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s",
            refers_to: "new-certificates-per-exact-set-of-identifiers",
        },
        Meeting {
            limit: LimitName::FailedAuthorizationsPerHostname,
            history: nothing,
            burst: Some(1),
            failing_runs: 1,
            says: "too many failed authorizations (1) for",
            refers_to: "authorization-failures-per-identifier-per-account",
        },
        Meeting {
            limit: LimitName::ConsecutiveFailuresPerHostname,
            history: nothing,
            burst: Some(1),
            failing_runs: 2,
            says: "Your account is temporarily prevented from requesting certificates for",
            refers_to: "",
        },
    ]
}

/// Each limit in a scene of its own: the client gets nothing, and prints the CA's words.
async fn meets_the_limits(
    stem: &str,
    client: fn(&Scene, [&'static str; 2]) -> Command,
    names: [&'static str; 2],
) -> anyhow::Result<()> {
    for meeting in meetings() {
        let rules = CaRules { checks_caa: false, ..CaRules::preset("letsencrypt")? };
        let limit = rules.limit(meeting.limit).context("production has it")?;
        let scene = Scene::set_by(stem, rules).await?;
        // A client may take its time on a busy machine: not a token comes back meanwhile. No refusal tells the pace.
        let burst = meeting.burst.unwrap_or(limit.burst);
        let slow = LimitOverride { burst, count: 1, ..LimitOverride::everybody(limit) };
        scene.ca.set_overrides(vec![slow])?;
        scene.ca.remember((meeting.history)(&names))?;
        for _ in 0..meeting.failing_runs {
            scene.fleet.set_fault(&hostname(names[0]), Some(Fault::NotFound));
            fails(client(&scene, names)).await?;
        }
        let said = fails(client(&scene, names)).await?;
        // Debian's certbot 2.1.0 stumbles over its own error (`AttributeError: can't set attribute`) and prints nothing
        // of it; what the CA said is in its log.
        let logged = scene.file("logs/letsencrypt.log").unwrap_or_default();
        let said = format!("{said} {logged}");
        ensure!(said.contains(meeting.says), "no {:?} in {said}", meeting.says);
        let link = if meeting.refers_to.is_empty() { "/sfe/v1/unpause?jwt=eyJ" } else { PAGE };
        ensure!(said.contains(&format!("{link}{}", meeting.refers_to)), "no link in {said}");
        let (report, audit) = (scene.ca.limits(), scene.ca.audit());
        let refused = report.limits.get(&meeting.limit).map_or(0, |tally| tally.refused) + report.paused;
        assert_eq!((refused, audit.rate_limited, audit.certificates), (1, 1, 0), "{report:?}");
        scene.strike().await;
    }
    Ok(())
}

#[tokio::test]
async fn certbot_meets_the_limits() -> anyhow::Result<()> {
    meets_the_limits("certbot", Scene::certbot, ["certbot-0.com", "www.certbot-0.com"]).await
}

#[tokio::test]
async fn lego_meets_the_limits() -> anyhow::Result<()> {
    meets_the_limits("lego", Scene::lego, ["lego-0.com", "www.lego-0.com"]).await
}

/// An address that makes too many accounts is told so, whatever client it runs.
#[tokio::test]
async fn both_meet_the_limit_of_new_accounts() -> anyhow::Result<()> {
    let names = ["lego-0.com", "www.lego-0.com"];
    let says = "too many new registrations (1) from this IP address in the last 3h0m0s";
    for lego_is_first in [true, false] {
        let rules = CaRules { checks_caa: false, ..CaRules::preset("letsencrypt")? };
        let limit = rules.limit(LimitName::NewAccountsPerAddress).context("production has it")?;
        let one = LimitOverride { burst: 1, ..LimitOverride::everybody(limit) };
        let scene = Scene::set_by("lego", CaRules { overrides: vec![one], ..rules }).await?;
        let (lego, certbot) = (scene.lego(names), scene.certbot(names));
        let (first, second) = if lego_is_first { (lego, certbot) } else { (certbot, lego) };
        succeeds(first).await?;
        let said = fails(second).await?;
        ensure!(said.contains(says), "no {says:?} in {said}");
        scene.strike().await;
    }
    Ok(())
}
