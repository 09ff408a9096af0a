//! Six web servers behind a load balancer, of which three are not as they should be.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use issuance::check::{Check, Outcome};
use issuance::fault::{Actor, FailureClass};
use lockkeeper::store::explanations::{HostnameStatus, HostnameView};
use lockkeeper_tests::settings::{FarmNode, Settings};
use lockkeeper_tests::world::{Plan, World, csv, hostname};
use rehearsal::fleet::Site;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

const WITHIN: Duration = Duration::from_mins(1);

/// Six web servers that hand challenge requests to the responder, and a switch that breaks three of them.
struct Farm {
    nodes: Vec<(String, SocketAddr)>,
    broken: Arc<AtomicBool>,
    closed: SocketAddr,
}

impl Farm {
    async fn start() -> io::Result<(Self, Arc<std::sync::OnceLock<SocketAddr>>)> {
        let broken = Arc::new(AtomicBool::new(true));
        let responder = Arc::new(std::sync::OnceLock::new());
        let mut nodes = Vec::new();
        for place in 1..=5 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            nodes.push((format!("web{place}"), listener.local_addr()?));
            let answer = match place {
                4 => Some("HTTP/1.1 404 Not Found\r\nServer: forgotten-vhost\r\nContent-Length: 0\r\n\r\n"),
                5 => Some(
                    "HTTP/1.1 302 Found\r\nServer: maintenance\r\nLocation: http://parked.com/\r\nContent-Length: 0\r\n\r\n",
                ),
                _ => None,
            };
            serve(listener, answer, Arc::clone(&broken), Arc::clone(&responder));
        }
        // Nobody listens there yet.
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
        nodes.push(("web6".to_owned(), closed));
        Ok((Self { nodes, broken, closed }, responder))
    }

    async fn mend(&self, responder: &Arc<std::sync::OnceLock<SocketAddr>>) -> io::Result<()> {
        self.broken.store(false, Ordering::SeqCst);
        let listener = TcpListener::bind(self.closed).await?;
        serve(listener, None, Arc::clone(&self.broken), Arc::clone(responder));
        Ok(())
    }
}

/// One web server: `answer` to everything while the farm is broken, the responder's answers otherwise.
fn serve(
    listener: TcpListener,
    answer: Option<&'static str>,
    broken: Arc<AtomicBool>,
    responder: Arc<std::sync::OnceLock<SocketAddr>>,
) {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.filter(|_| broken.load(Ordering::SeqCst));
            let responder = responder.get().copied();
            tokio::spawn(async move {
                if let Some(answer) = answer {
                    let mut head = [0; 1024];
                    if stream.read(&mut head).await.is_ok_and(|length| length > 0) {
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                } else if let Some(responder) = responder
                    && let Ok(mut onwards) = TcpStream::connect(responder).await
                {
                    let _ = copy_bidirectional(&mut stream, &mut onwards).await;
                }
            });
        }
    });
}

/// Debian's `haproxy`, which gives each request to the next node. Ended when it is dropped.
struct HaProxy {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl HaProxy {
    async fn start(nodes: &[(String, SocketAddr)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
        let servers: String = nodes.iter().map(|(name, at)| format!("    server {name} {at}\n")).collect();
        let text = format!(
            "global\n    maxconn 256\ndefaults\n    mode http\n    timeout connect 2s\n    timeout client 5s\n    \
             timeout server 5s\n    retries 0\nfrontend http\n    bind {address}\n    default_backend farm\n\
             backend farm\n    balance roundrobin\n    option http-server-close\n{servers}"
        );
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, text)?;
        let process = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| anyhow::anyhow!("haproxy: {error}: install it with .ci/setup haproxy"))?;
        let proxy = Self { process, address, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).await.is_err() {
            anyhow::ensure!(Instant::now() < deadline, "haproxy does not listen");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(proxy)
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn three_bad_nodes_of_six_are_each_found_and_nothing_is_ordered() -> anyhow::Result<()> {
    let (farm, responder) = Farm::start().await?;
    let proxy = HaProxy::start(&farm.nodes).await?;
    let sites = vec![Site::healthy(vec![hostname("farm.com")]), Site::healthy(vec![hostname("parked.com")])];
    let nodes = farm.nodes.iter().map(|(name, address)| FarmNode::new(name, *address)).collect();
    let settings = Settings { nodes, ..Settings::default() };
    let world = World::start(Plan { settings, ..Plan::new(sites.clone()) }).await?;
    let app = world.service("one").await?;
    responder.set(app.endpoints.responder.expect("it plays the role")).expect("set once");
    // The name's own address hands challenges to the load balancer, and that to one of six.
    world.fleet.set_responder(proxy.address);
    world.import_into("one", &app, csv(&sites[..1])).await?;
    world.wait_until_done(WITHIN).await?;

    let api = world.client("one", &app)?;
    let seen: HostnameView = api.post_waiting("/v1/hostnames/farm.com/check", 30).await?;
    assert_eq!((seen.status, seen.actor), (HostnameStatus::NotReady, Some(Actor::Operator)), "{seen:?}");
    let mut failed: Vec<_> = seen
        .checks
        .iter()
        .map(|one| &one.finding)
        .filter(|one| one.check == Check::Nodes && one.outcome == Outcome::Failed)
        .collect();
    failed.sort_by_key(|one| one.at.clone());
    let told: Vec<_> = failed.iter().map(|one| (one.at.as_deref().unwrap_or_default(), one.class)).collect();
    assert_eq!(told[0], ("web4", Some(FailureClass::HttpStatus)), "{failed:?}");
    assert_eq!((told[1].0, told[2]), ("web5", ("web6", Some(FailureClass::ConnectionRefused))), "{failed:?}");
    assert_eq!(told.len(), 3, "{failed:?}");
    assert!(failed[0].observed.contains("forgotten-vhost"), "{failed:?}");
    assert!(failed[1].observed.contains("after a redirect to http://parked.com/"), "{failed:?}");
    let fine = seen
        .checks
        .iter()
        .filter(|one| one.finding.check == Check::Nodes && one.finding.outcome == Outcome::Passed);
    assert_eq!(fine.count(), 3);
    let audit = world.audit()?;
    assert_eq!((audit.orders, audit.authorizations.invalid), (0, 0), "{audit:?}");

    // Mended, all six answer, and the CA meets whichever HAProxy chooses.
    farm.mend(&responder).await?;
    let mended: HostnameView = api.post_waiting("/v1/hostnames/farm.com/check", 30).await?;
    assert_eq!(mended.verdict.as_deref(), Some("ready"), "{mended:?}");
    world
        .wait_until("it is issued", WITHIN, async || Ok(world.summary().await?.certificates_issued == 1))
        .await?;
    let audit = world.audit()?;
    assert_eq!((audit.orders, audit.authorizations.invalid), (1, 0), "{audit:?}");
    app.stop().await?;
    drop(proxy);
    world.stop().await
}
