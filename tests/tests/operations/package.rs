//! The Debian package: what is in it, and that the service starts from it as the unit starts it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lockkeeper::cli::api_client::fetch_plain;
use lockkeeper_tests::service_process::{ListensAt, program};
use lockkeeper_tests::world::{Plan, World, hostname};
use rehearsal::fleet::Site;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::units::{Unit, repository};

const WITHIN: Duration = Duration::from_mins(1);

/// The package of the program that this test was built with, unpacked.
struct Installed {
    root: TempDir,
    package: PathBuf,
    _folder: TempDir,
}

async fn succeeded(command: &mut Command) -> anyhow::Result<String> {
    let told = command.stdin(Stdio::null()).output().await.with_context(|| format!("{command:?}"))?;
    let complaint = String::from_utf8_lossy(&told.stderr).into_owned();
    ensure!(told.status.success(), "{command:?}: {complaint}");
    Ok(String::from_utf8(told.stdout)?)
}

impl Installed {
    async fn unpack() -> anyhow::Result<Self> {
        let (folder, root) = (tempfile::tempdir()?, tempfile::tempdir()?);
        // Not packed: it is large, and unpacked at once.
        let mut build = Command::new(repository().join("deploy/build-deb"));
        let package = succeeded(build.arg(program().await?).arg(folder.path()).arg("none")).await?;
        let package = PathBuf::from(package.trim());
        succeeded(Command::new("dpkg-deb").arg("-x").arg(&package).arg(root.path())).await?;
        Ok(Self { root, package, _folder: folder })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    async fn field(&self, name: &str) -> anyhow::Result<String> {
        let told = succeeded(Command::new("dpkg-deb").arg("-f").arg(&self.package).arg(name)).await?;
        Ok(told.trim().to_owned())
    }
}

fn mode(path: &Path) -> anyhow::Result<u32> {
    Ok(std::fs::metadata(path).with_context(|| path.display().to_string())?.permissions().mode() & 0o7777)
}

async fn check_contents(installed: &Installed) -> anyhow::Result<()> {
    assert_eq!(installed.field("Package").await?, "lockkeeper");
    assert_eq!(installed.field("Version").await?, concat!(env!("CARGO_PKG_VERSION"), "-1"));
    assert!(installed.field("Depends").await?.contains("ca-certificates"));
    assert!(!installed.field("Description").await?.is_empty());
    let shipped = std::fs::read_to_string(installed.path("/etc/lockkeeper/config.toml"))?;
    assert_eq!(shipped, lockkeeper::config::EXAMPLE);
    check_agent(installed).await?;
    for (path, wanted) in [
        ("/usr/bin/lockkeeper", 0o755),
        ("/etc/lockkeeper/config.toml", 0o640),
        ("/usr/lib/systemd/system/lockkeeper.service", 0o644),
        ("/usr/lib/systemd/system/lockkeeper-agent.service", 0o644),
        ("/usr/share/doc/lockkeeper/agent.example.toml", 0o644),
        ("/usr/share/doc/lockkeeper/LOGS.md", 0o644),
        ("/usr/share/lockkeeper/dashboards/alerts.yml", 0o644),
        ("/usr/share/lockkeeper/dashboards/grafana/overview.json", 0o644),
        ("/usr/share/lockkeeper/ca-profiles/letsencrypt.toml", 0o644),
        ("/usr/share/doc/lockkeeper/RUNBOOK.md", 0o644),
        ("/usr/share/doc/lockkeeper/copyright", 0o644),
    ] {
        assert_eq!(mode(&installed.path(path))?, wanted, "{path}");
    }
    let control = tempfile::tempdir()?;
    succeeded(Command::new("dpkg-deb").arg("-e").arg(&installed.package).arg(control.path())).await?;
    assert_eq!(std::fs::read_to_string(control.path().join("conffiles"))?, "/etc/lockkeeper/config.toml\n");
    for script in ["postinst", "prerm", "postrm"] {
        succeeded(Command::new("sh").arg("-n").arg(control.path().join(script))).await?;
        assert_eq!(mode(&control.path().join(script))?, 0o755, "{script}");
    }
    // What it says of its files is so.
    let sums = control.path().join("md5sums");
    succeeded(Command::new("md5sum").arg("--quiet").arg("-c").arg(&sums).current_dir(installed.root.path()))
        .await?;
    Ok(())
}

/// The agent's unit starts what the package brings, with the configuration that the manual has one make of the example.
async fn check_agent(installed: &Installed) -> anyhow::Result<()> {
    let unit = Unit::read(&installed.path("/usr/lib/systemd/system/lockkeeper-agent.service"))?;
    assert_eq!(unit.one("ConditionPathExists")?, "/etc/lockkeeper/agent.toml", "nothing starts by itself");
    let words: Vec<&str> = unit.one("ExecStart")?.split(' ').collect();
    let [program, "agent", "run", "--config", config] = words[..] else {
        anyhow::bail!("it starts something else: {words:?}");
    };
    assert_eq!(config, unit.one("ConditionPathExists")?);
    let shipped = installed.path("/usr/share/doc/lockkeeper/agent.example.toml");
    let told = succeeded(Command::new(installed.path(program)).args(["agent", "example"])).await?;
    assert_eq!(told, std::fs::read_to_string(&shipped)?);
    // Started as the unit starts it, it goes as far as the key that is not there.
    let config = installed.path(config);
    let text = std::fs::read_to_string(&shipped)?;
    let inside = |text: String, path: &str| text.replace(path, &installed.path(path).display().to_string());
    let text = inside(inside(text, "/etc/lockkeeper/agent.key"), "/var/lib/lockkeeper-agent");
    std::fs::write(&config, text)?;
    let mut agent = Command::new(installed.path(program));
    let started =
        agent.args(["agent", "run", "--config"]).arg(&config).env_clear().stdin(Stdio::null()).output();
    let started = timeout(WITHIN, started).await??;
    let said = String::from_utf8_lossy(&started.stderr).into_owned();
    // `RestartPreventExitStatus`: starting again would not mend it.
    assert_eq!(
        started.status.code().map(|code| code.to_string()).as_deref(),
        Some(unit.one("RestartPreventExitStatus")?),
        "{said}"
    );
    assert!(said.contains("agent.key"), "{said}");
    std::fs::remove_file(&config)?;
    Ok(())
}

/// What the maintainer's script has systemd do, in the root.
async fn make_user(installed: &Installed) -> anyhow::Result<()> {
    let root = format!("--root={}", installed.root.path().display());
    succeeded(Command::new("systemd-sysusers").args([&root, "lockkeeper.conf"])).await?;
    let passwd = std::fs::read_to_string(installed.path("/etc/passwd"))?;
    let user = passwd.lines().find(|line| line.starts_with("lockkeeper:")).context("no user")?;
    assert!(user.ends_with(":/var/lib/lockkeeper:/usr/sbin/nologin"), "{user}");
    succeeded(Command::new("systemd-tmpfiles").args([&root, "--create", "lockkeeper.conf"])).await?;
    assert_eq!(mode(&installed.path("/etc/lockkeeper"))?, 0o750);
    Ok(())
}

#[tokio::test]
async fn the_service_starts_from_the_package_as_the_unit_starts_it() -> anyhow::Result<()> {
    let installed = Installed::unpack().await?;
    check_contents(&installed).await?;
    make_user(&installed).await?;

    let world = World::start(Plan::new(vec![Site::healthy(vec![hostname("packaged.com")])])).await?;
    let unit = Unit::read(&installed.path("/usr/lib/systemd/system/lockkeeper.service"))?;
    // systemd makes this one, and nobody else may look into it.
    let data = installed.path("/var/lib").join(unit.one("StateDirectory")?);
    std::fs::create_dir_all(&data)?;
    let state_mode = u32::from_str_radix(unit.one("StateDirectoryMode")?, 8)?;
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(state_mode))?;
    let mut words = unit.one("ExecStart")?.split(' ');
    let program = installed.path(words.next().context("it starts nothing")?);
    // Its configuration is the one that was installed; all that is the machine's comes by variables, as from
    // EnvironmentFile. Absolute paths are those of the root.
    assert_eq!(unit.one("EnvironmentFile")?, "-/etc/lockkeeper/environment");
    let arguments = words.map(|word| {
        if word.starts_with('/') { installed.path(word).display().to_string() } else { word.to_owned() }
    });
    let (dns, http_port) = (world.fleet.dns_addr().to_string(), world.fleet.http_port().to_string());
    let mut service = Command::new("sh");
    service
        .args(["-c", &format!("umask {} && exec \"$@\"", unit.one("UMask")?), "sh"])
        .arg(&program)
        .args(arguments)
        .env_clear()
        .env("LOCKKEEPER_DATABASE__URL", &world.database_url)
        .env("LOCKKEEPER_DATA__FOLDER", &data)
        .env("LOCKKEEPER_CA__PROFILE", "rehearsal")
        .env("LOCKKEEPER_CA__DIRECTORY_URL", world.ca.directory_url())
        .env("LOCKKEEPER_CA__AGREE_TO_TERMS", "true")
        .env("LOCKKEEPER_RESOLVER__SERVERS", dns)
        .env("LOCKKEEPER_HTTP01__PORT", http_port)
        .envs(["API", "METRICS", "RESPONDER"].map(|one| (format!("LOCKKEEPER_{one}__LISTEN"), "127.0.0.1:0")))
        .current_dir(&data)
        .stdin(Stdio::null())
        .stderr(std::fs::File::create(data.join("log"))?)
        .kill_on_drop(true);
    let mut service = service.spawn()?;
    let log = || std::fs::read_to_string(data.join("log")).unwrap_or_default();
    let endpoints = || {
        let text = std::fs::read(data.join("endpoints.json")).ok()?;
        serde_json::from_slice::<ListensAt>(&text).ok()?.metrics
    };
    world
        .wait_until("it is ready, and works", WITHIN, async || {
            ensure!(service.try_wait()?.is_none(), "it has ended");
            let Some(metrics) = endpoints() else { return Ok(false) };
            let ready = fetch_plain(&format!("http://{metrics}/readyz")).await?;
            let told = fetch_plain(&format!("http://{metrics}/metrics")).await?;
            Ok(ready == "ready\n" && told.contains("lockkeeper_role_running{role=\"worker\"} 1"))
        })
        .await
        .with_context(log)?;
    assert_eq!(mode(&data.join("master.key"))? & 0o077, 0, "others may read the key");

    // As the image's health check asks, which is the same program.
    let metrics = endpoints().context("it listens")?.to_string();
    let healthy = Command::new(&program)
        .arg("healthcheck")
        .env_clear()
        .env("LOCKKEEPER_METRICS__LISTEN", &metrics)
        .output()
        .await?;
    assert!(healthy.status.success() && healthy.stdout == b"ready\n", "{healthy:?}");

    let pid = service.id().context("it runs")?.to_string();
    succeeded(Command::new("kill").args(["-TERM", &pid])).await?;
    let ended = timeout(WITHIN, service.wait()).await.with_context(log)??;
    ensure!(ended.success(), "{ended}: {}", log());
    let gone = Command::new(&program)
        .arg("healthcheck")
        .env_clear()
        .env("LOCKKEEPER_METRICS__LISTEN", &metrics)
        .output()
        .await?;
    assert_eq!(gone.status.code(), Some(8), "{gone:?}");
    world.stop().await
}
