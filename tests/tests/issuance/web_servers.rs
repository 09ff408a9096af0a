//! Real web servers, told what the generated snippets say, between the service, the CA and the names.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use issuance::time::Clock as _;
use lockkeeper::cli::http01::snippet::{Mode, Plan as SnippetPlan, ResponderUrl, Snippet, WebServer};
use lockkeeper_tests::web_server::{RunningWebServer, SITE_BODY, spare_address};
use lockkeeper_tests::world::{Plan, World, csv, hostname, pairs};
use rehearsal::fleet::Site;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const WITHIN: Duration = Duration::from_mins(1);
/// To which the redirects lead, by the fleet's own servers.
const PUBLIC_RESPONDER: &str = "acme.host.com";
const UNKNOWN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

async fn raw(address: SocketAddr, request: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> anyhow::Result<String> {
    raw(address, &format!("{method} {path} HTTP/1.1\r\nHost: www.web-0.com\r\nConnection: close\r\n\r\n"))
        .await
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// The site is as it was; and of the challenges' folder nothing is to be had but whole tokens.
async fn leaves_the_site_alone(address: SocketAddr, mode: Mode) -> anyhow::Result<()> {
    let page = ask(address, "GET", "/").await?;
    ensure!(status(&page) == "200" && page.ends_with(SITE_BODY), "{page}");
    for path in ["/shop", "/.well-known/security.txt", "/well-known/acme-challenge/x", "/acme-challenge/x"] {
        let answer = ask(address, "GET", path).await?;
        ensure!(["301", "403"].contains(&status(&answer)), "{path}: {answer}");
        ensure!(!answer.contains(PUBLIC_RESPONDER), "{path}: {answer}");
    }
    let hostile = [
        format!("/.well-known/acme-challenge/{UNKNOWN}/x"),
        format!("/.well-known/acme-challenge/{UNKNOWN}.html"),
        "/.well-known/acme-challenge/short".to_owned(),
        "/.well-known/acme-challenge/%3Cscript%3Ealert(1)%3C%2Fscript%3E".to_owned(),
        "/.well-known/acme-challenge/../../../../etc/passwd".to_owned(),
        "/.well-known/acme-challenge/".to_owned(),
    ];
    for path in hostile {
        let answer = ask(address, "GET", &path).await?;
        ensure!(status(&answer) != "200", "{path}: {answer}");
        ensure!(!answer.contains("<script>") && !answer.contains("root:"), "{path}: {answer}");
    }
    if mode == Mode::Stateless {
        let posted = ask(address, "POST", &format!("/.well-known/acme-challenge/{UNKNOWN}")).await?;
        ensure!(["404", "405"].contains(&status(&posted)), "{posted}");
    }
    Ok(())
}

/// What a CA's client sees of an answer.
async fn answers_plainly(address: SocketAddr, thumbprint: &str) -> anyhow::Result<()> {
    let path = format!("/.well-known/acme-challenge/{UNKNOWN}");
    let answer = ask(address, "GET", &path).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head")?;
    let head = head.to_ascii_lowercase();
    ensure!(status(&answer) == "200" && body == format!("{UNKNOWN}.{thumbprint}"), "{answer}");
    ensure!(
        head.contains("content-type: text/plain") && head.contains("x-content-type-options: nosniff"),
        "{answer}"
    );
    let answer = ask(address, "HEAD", &path).await?;
    ensure!(status(&answer) == "200" && answer.ends_with("\r\n\r\n"), "{answer}");
    Ok(())
}

async fn certificates_come_through(server: WebServer, mode: Mode) -> anyhow::Result<()> {
    let sites = pairs("web", 3);
    let public = Site::healthy(vec![hostname(PUBLIC_RESPONDER)]);
    let fleet: Vec<_> = sites.iter().cloned().chain([public]).collect();
    let world = World::start(Plan::new(fleet)).await?;
    let app = world.service("one").await?;
    let responder = app.endpoints.responder.context("it plays the role")?;
    let account =
        world.store.accounts(issuance::ids::AccountId(uuid::Uuid::nil()), world.clock.now()).await?.remove(0);
    let thumbprint = account.key_thumbprint;
    let url = |text: String| text.parse::<ResponderUrl>().context(text);
    let plan = match mode {
        // Somebody who is away is stood in for.
        Mode::ReverseProxy => SnippetPlan::ReverseProxy(vec![
            url("http://127.0.0.1:9".to_owned())?,
            url(format!("http://{responder}"))?,
        ]),
        Mode::Redirect => SnippetPlan::Redirect(url(format!("http://{PUBLIC_RESPONDER}"))?),
        Mode::Stateless => SnippetPlan::Stateless(thumbprint.parse()?),
    };
    let snippet = Snippet::of(server, &plan)?;
    let web = RunningWebServer::start(server, &snippet, spare_address(world.fleet.http_port())).await?;
    let IpAddr::V4(address) = web.address.ip() else { unreachable!("it is IPv4") };
    for name in sites.iter().flat_map(|site| &site.names) {
        world.fleet.set_address(name, address);
    }

    world.import_into("one", &app, csv(&sites)).await?;
    let outcome = world
        .wait_until("all are issued", WITHIN, async || Ok(world.summary().await?.certificates_issued == 3))
        .await;
    outcome.with_context(|| web.log())?;
    let audit = world.audit()?;
    assert_eq!((audit.authorizations.invalid, audit.orders), (0, 3), "{audit:?}");
    leaves_the_site_alone(web.address, mode).await.with_context(|| web.log())?;
    if mode == Mode::Stateless {
        answers_plainly(web.address, &thumbprint).await.with_context(|| web.log())?;
        // Nobody needs the service for that, and nobody but a web server can tell who asked.
        let fetches: i64 =
            sqlx::query_scalar("select count(*) from response_fetches").fetch_one(world.store.pool()).await?;
        assert_eq!(fetches, 0);
    } else {
        let unknown = ask(web.address, "GET", &format!("/.well-known/acme-challenge/{UNKNOWN}")).await?;
        let expected = if mode == Mode::Redirect { "302" } else { "404" };
        assert_eq!(status(&unknown), expected, "{unknown}");
        world
            .wait_until("who asked is known", WITHIN, async || {
                let (own, others): (i64, i64) = sqlx::query_as(
                    "select count(*) filter (where own), count(*) filter (where not own and host like '%web-%' or host = $1)
                     from response_fetches where status = 200",
                )
                .bind(PUBLIC_RESPONDER)
                .fetch_one(world.store.pool())
                .await?;
                Ok(own >= 6 && others >= 6)
            })
            .await?;
    }
    app.stop().await?;
    web.stop().await?;
    world.stop().await
}

/// A test for each web server and mode.
macro_rules! through {
    ($($name:ident: $server:ident, $mode:ident;)*) => {$(
        #[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            certificates_come_through(WebServer::$server, Mode::$mode).await
        }
    )*};
}

through! {
    nginx_asks_the_responder: Nginx, ReverseProxy;
    nginx_redirects_to_the_responder: Nginx, Redirect;
    nginx_answers_by_itself: Nginx, Stateless;
    apache_asks_the_responder: Apache, ReverseProxy;
    apache_redirects_to_the_responder: Apache, Redirect;
    apache_answers_by_itself: Apache, Stateless;
    haproxy_asks_the_responder: Haproxy, ReverseProxy;
    haproxy_redirects_to_the_responder: Haproxy, Redirect;
    haproxy_answers_by_itself: Haproxy, Stateless;
    caddy_asks_the_responder: Caddy, ReverseProxy;
    caddy_redirects_to_the_responder: Caddy, Redirect;
    caddy_answers_by_itself: Caddy, Stateless;
}
