//! One run of a group of flows: node, the browser that it starts, and what they have to say.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::stage::Stage;

/// For all flows of a group, on a machine that does other things too. Sooner than nextest ends the test, which tells nothing.
const WITHIN: Duration = Duration::from_secs(200);
/// Debian's, unless `CHROMIUM` names another.
const BROWSER: &str = "/usr/bin/chromium";

/// What node says, one line each.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    /// Leads a group of processes of its own.
    Browser {
        pid: i32,
    },
    /// It has ended, with all that belongs to it.
    Closed,
    Ask {
        id: u64,
        what: String,
        with: Value,
    },
    Flow {
        name: String,
        millis: u64,
        /// Of a flow that failed.
        #[serde(default)]
        message: Option<String>,
        /// What was seen when it failed.
        #[serde(default)]
        screenshot: Option<PathBuf>,
    },
    Figure {
        text: String,
    },
    /// The last one, with how many flows there were.
    End {
        flows: usize,
    },
}

/// The browser, which is not node's child alone: it is stopped whatever becomes of node.
#[derive(Debug, Default)]
struct Browser(Option<Pid>);

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

fn browser_tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// Where `.ci/setup playwright` has put what the scripts need.
fn modules() -> anyhow::Result<PathBuf> {
    let lock = std::fs::read(browser_tests().join("package-lock.json"))?;
    let digest = lockkeeper_tests::sha256(&lock);
    let name: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).context("a home")?;
    let folder = cache.join(format!("lockkeeper/playwright-{name}"));
    ensure!(folder.is_dir(), "{} is missing: run .ci/setup chromium playwright", folder.display());
    Ok(folder)
}

/// Plays the flows of `tests/browser/flows/<group>.mjs`. Fails with what each flow that failed has said.
///
/// `FLOW=word` plays those alone that have it in their name; `SHOTS=folder` keeps pictures of all views there.
pub(crate) async fn play(stage: &Stage, group: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let said = std::fs::File::create(folder.path().join("node.log"))?;
    let browser = std::env::var_os("CHROMIUM").unwrap_or_else(|| BROWSER.into());
    ensure!(Path::new(&browser).exists(), "there is no browser: run .ci/setup chromium playwright");
    // Pictures of what failed outlive the run.
    let pictures = std::env::temp_dir().join("lockkeeper-browser");
    std::fs::create_dir_all(&pictures)?;
    let mut node = Command::new("node")
        .arg(browser_tests().join("run.mjs"))
        .arg(group)
        .env("TMPDIR", folder.path())
        .env("LOCKKEEPER_MODULES", modules()?)
        .env("LOCKKEEPER_BROWSER", browser)
        .env("LOCKKEEPER_PICTURES", &pictures)
        .env("LOCKKEEPER_URL", stage.base())
        .env("LOCKKEEPER_USERS", serde_json::to_string(&Stage::users())?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(said)
        .kill_on_drop(true)
        .spawn()
        .context("node runs: .ci/setup chromium playwright")?;
    let mut browser = Browser::default();
    let heard = timeout(WITHIN, hear(&mut node, stage, &mut browser)).await;
    let log = || std::fs::read_to_string(folder.path().join("node.log")).unwrap_or_default();
    match heard {
        Err(_) => bail!("{group}: not done within {WITHIN:?}\n{}", log()),
        Ok(failures) => {
            let failures = failures.with_context(log)?;
            ensure!(failures.is_empty(), "{group}:\n{}\n{}", failures.join("\n"), log());
        }
    }
    ensure!(node.wait().await?.success(), "{group}: node failed: {}", log());
    Ok(())
}

/// Answers what is asked until the last line. What failed is returned.
#[expect(clippy::print_stdout, reason = "the figures are what one wants to know of it")]
async fn hear(node: &mut Child, stage: &Stage, browser: &mut Browser) -> anyhow::Result<Vec<String>> {
    let mut lines = BufReader::new(node.stdout.take().context("it is piped")?).lines();
    let mut answers = node.stdin.take().context("it is piped")?;
    let (mut failures, mut played) = (Vec::new(), 0);
    while let Some(line) = lines.next_line().await? {
        let line: Line = serde_json::from_str(&line).with_context(|| format!("no line of ours: {line}"))?;
        match line {
            Line::Browser { pid } => browser.0 = Pid::from_raw(pid),
            Line::Closed => browser.0 = None,
            Line::Ask { id, what, with } => {
                let answer = match stage.answer(&what, &with).await {
                    Ok(answer) => json!({ "id": id, "answer": answer }),
                    Err(error) => json!({ "id": id, "error": format!("{error:#}") }),
                };
                tell(&mut answers, &answer).await?;
            }
            Line::Flow { name, millis, message, screenshot } => {
                played += 1;
                println!("{} {name} ({millis} ms)", if message.is_some() { "FAILED" } else { "passed" });
                if let Some(message) = message {
                    let seen = screenshot.map(|path| format!(" (seen: {})", path.display()));
                    failures.push(format!("{name}: {message}{}", seen.unwrap_or_default()));
                }
            }
            Line::Figure { text } => println!("{text}"),
            Line::End { flows } => {
                ensure!(flows > 0 && flows == played, "{played} of {flows} flows were played");
                return Ok(failures);
            }
        }
    }
    bail!("node ended in the middle, after {played} flows; failed by then: {failures:?}")
}

async fn tell(answers: &mut ChildStdin, answer: &Value) -> anyhow::Result<()> {
    answers.write_all(format!("{answer}\n").as_bytes()).await?;
    Ok(answers.flush().await?)
}
