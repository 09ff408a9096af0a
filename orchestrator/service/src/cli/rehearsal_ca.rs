use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use rehearsal::ca::{CaConfig, CaRules, RehearsalCa};
use rehearsal::faults::Plan;

use super::error::CliError;
use super::exit::Exit;
use super::output::{Format, Output};

/// Serves a CA that enforces limits as Let's Encrypt does, until Ctrl-C. For rehearsals and tests.
///
/// `GET /audit` on the same address tells what became of every authorization it ever made. `PUT /faults` makes it
/// fail: lost answers, outages, a clock that is off. `PUT /limits` changes its limits, `POST /history` tells it what was
/// issued before it started, and `GET /limits` tells what came of them.
#[derive(Debug, Args)]
pub struct RehearsalCaArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:14000")]
    listen: SocketAddr,
    /// What kind of CA it is: rehearsal, boulder, letsencrypt, letsencrypt-staging, pebble-like or generic.
    #[arg(long, value_name = "NAME", default_value = "rehearsal")]
    profile: String,
    /// The DNS server that validation asks [default: the machine's first].
    #[arg(long, value_name = "ADDR")]
    dns: Option<SocketAddr>,
    /// Every challenge succeeds, without a look at the DNS or the web.
    #[arg(long, conflicts_with = "dns")]
    always_valid: bool,
    /// The port on which HTTP-01 is validated.
    #[arg(long, value_name = "N", default_value_t = rehearsal::ca::DEFAULT_HTTP_PORT)]
    http_port: u16,
    /// Two CAs with one seed draw the same tokens, refusals and delays.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// A fault plan in JSON, as `PUT /faults` takes it, to start with.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Serves HTTPS, with a certificate below a root made at start.
    #[arg(long)]
    tls: bool,
    /// Writes the root that issued certificates verify against, in PEM, and with --tls the endpoint's own after it.
    #[arg(long, value_name = "FILE")]
    root_file: Option<PathBuf>,
}

pub(super) async fn run(args: &RehearsalCaArgs, output: Output) -> Result<Exit, CliError> {
    let mut rules = CaRules::preset(&args.profile)?;
    rules.always_valid |= args.always_valid;
    let dns = match args.dns {
        None if !rules.always_valid => Some(machines_resolver().map_err(CliError::NoResolver)?),
        dns => dns,
    };
    let faults = args.faults.as_deref().map(read_plan).transpose()?.unwrap_or_default();
    let config = CaConfig {
        listen: args.listen,
        tls: args.tls,
        rules,
        faults,
        dns,
        http_port: args.http_port,
        seed: args.seed,
        ..CaConfig::default()
    };
    let ca = RehearsalCa::start(config).await.map_err(CliError::RehearsalCa)?;
    if let Some(path) = &args.root_file {
        let roots = [Some(ca.root_pem()), ca.tls_root_pem()].into_iter().flatten().collect::<String>();
        std::fs::write(path, roots).map_err(|source| CliError::RootFile { path: path.clone(), source })?;
    }
    let directory = ca.directory_url();
    match output.format() {
        Format::Table => output.text(&directory)?,
        Format::Json => output.json(&serde_json::json!({ "directory": directory }))?,
    }
    let stop = stop_signal().map_err(CliError::Signal)?;
    ca.serve_until(stop).await;
    Ok(Exit::Done)
}

fn read_plan(path: &Path) -> Result<Plan, CliError> {
    let text = std::fs::read(path).map_err(|source| CliError::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| CliError::FaultPlan { path: path.to_owned(), source })
}

fn machines_resolver() -> io::Result<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf")?;
    first_nameserver(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no nameserver in /etc/resolv.conf"))
}

fn first_nameserver(resolv_conf: &str) -> Option<SocketAddr> {
    let servers = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.filter_map(|server| server.trim().parse::<IpAddr>().ok()).map(|server| (server, 53).into()).next()
}

/// Comes with Ctrl-C or SIGTERM; the handlers are in place when this returns.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_nameserver_is_asked() {
        let text = "# nameserver 192.0.2.9\nsearch example.com\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n";
        assert_eq!(first_nameserver(text), Some("192.0.2.1:53".parse().unwrap()));
        assert_eq!(first_nameserver("options edns0\n"), None);
    }
}
