//! wrk, which sends requests as fast as they are answered.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// What wrk saw.
#[derive(Debug)]
pub struct Load {
    pub requests: u64,
    pub per_second: f64,
    pub p99: Duration,
    /// Socket errors, and answers that are neither 2xx nor 3xx.
    pub errors: u64,
}

/// Asks for `path` for so many seconds. A script is given its seed as its first argument.
pub async fn wrk(
    address: SocketAddr,
    path: &str,
    connections: u32,
    seconds: u32,
    script: Option<(&Path, u64)>,
) -> Result<Load> {
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--latency", "--timeout", "10s"]);
    command.args(["--connections", &connections.to_string(), "--duration", &format!("{seconds}s")]);
    if let Some((script, _)) = script {
        command.arg("--script").arg(script);
    }
    command.arg(format!("http://{address}{path}"));
    if let Some((_, seed)) = script {
        command.args(["--", &seed.to_string()]);
    }
    let output = command.stdin(Stdio::null()).output().await.context("no wrk: run .ci/setup nginx wrk")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "wrk: {text}{}", String::from_utf8_lossy(&output.stderr));
    read_wrk(&text).with_context(|| text.clone())
}

fn read_wrk(text: &str) -> Option<Load> {
    let after = |label: &str| text.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let requests = text.lines().find(|line| line.contains(" requests in "))?;
    let sum = |line: &str| {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse::<u64>().ok()).sum::<u64>()
    };
    Some(Load {
        requests: requests.split_whitespace().next()?.parse().ok()?,
        per_second: after("Requests/sec:")?.parse().ok()?,
        p99: span(after("99%")?)?,
        errors: after("Socket errors:").map_or(0, sum) + after("Non-2xx or 3xx responses:").map_or(0, sum),
    })
}

/// `1.23ms`, as wrk writes it.
fn span(text: &str) -> Option<Duration> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - unit.len()].parse().ok()?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(seconds))
}
