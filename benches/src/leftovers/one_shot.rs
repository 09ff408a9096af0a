//! Clients of one process an order.

use std::fs::File;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use tokio::process::{Child, Command};

use super::client::Client;
use super::scene::Scene;

/// One process for each order, all at once, each with an account and folders of its own, which a later run uses again.
pub(super) fn start(client: Client, scene: &Scene) -> Result<Vec<Child>> {
    scene.sites().enumerate().map(|(number, names)| one(client, scene, number, &names)).collect()
}

fn one(client: Client, scene: &Scene, number: usize, names: &[String; 2]) -> Result<Child> {
    let home = scene.folder().join(number.to_string());
    std::fs::create_dir_all(&home)?;
    let log = File::options().create(true).append(true).open(home.join("said.log"))?;
    let server = scene.ca.directory_url();
    let mut command = Command::new(client.as_str());
    if client == Client::Lego {
        command.args(["--server", &server, "--accept-tos", "--email", "admin@site-0.com"]);
        command.arg("--path").arg(&home).arg("--http").arg("--http.webroot").arg(&scene.webroot);
        for name in names {
            command.args(["--domains", name]);
        }
        command.arg("run").env("LEGO_CA_CERTIFICATES", scene.root());
    } else {
        command.args(["certonly", "--non-interactive", "--agree-tos", "--register-unsafely-without-email"]);
        command.args(["--server", &server, "--webroot", "--webroot-path"]).arg(&scene.webroot);
        for (option, below) in [("--config-dir", "config"), ("--work-dir", "work"), ("--logs-dir", "logs")] {
            command.arg(option).arg(home.join(below));
        }
        for name in names {
            command.args(["--domain", name]);
        }
        command.env("REQUESTS_CA_BUNDLE", scene.root());
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.process_group(0).kill_on_drop(true).spawn().with_context(|| client.as_str())
}
