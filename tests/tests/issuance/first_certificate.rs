//! What a newcomer types after the demo.

use std::path::Path;

use anyhow::{Context as _, ensure};
use issuance::identifier::Hostname;
use lockkeeper::cli::demo::first::{LINES, SITE};
use lockkeeper_tests::world::{Plan, World};
use rehearsal::fleet::Site;
use tokio::process::Command;
use x509_parser::pem::Pem;

const NAME: &str = "one";

#[tokio::test]
async fn the_two_lines_of_the_readme_bring_a_certificate() -> anyhow::Result<()> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))?;
    ensure!(readme.contains(&LINES.join("\n")), "the README tells other lines than the demo");

    let world = World::start(Plan::new(vec![Site::healthy(vec![Hostname::parse(SITE)?])])).await?;
    let service = world.process(NAME).await?;
    let config = world.config_file(NAME);
    let data = config.parent().context("a folder")?.join("data");
    let kitchen = tempfile::tempdir()?;
    let script = format!("set -eu\nTOKEN=$(cat {}/operator.token)\n{}", data.display(), LINES.join("\n"));
    let done = Command::new("bash")
        .args(["-c", &script])
        .env("API", format!("http://{}", service.at.api.context("it plays the role")?))
        .current_dir(kitchen.path())
        .kill_on_drop(true)
        .output()
        .await?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{said}");
    let text = std::fs::read(kitchen.path().join("my-first-lock.pem"))?;
    let parts: Vec<Pem> = Pem::iter_from_buffer(&text).collect::<Result<_, _>>()?;
    let labels: Vec<&str> = parts.iter().map(|part| part.label.as_str()).collect();
    ensure!(labels.first() == Some(&"CERTIFICATE") && labels.contains(&"PRIVATE KEY"), "{labels:?}: {said}");
    let leaf = parts[0].parse_x509()?;
    let names = leaf.subject_alternative_name()?.context("names")?;
    ensure!(format!("{:?}", names.value).contains(SITE), "{names:?}");
    service.kill().await?;
    world.stop().await
}
