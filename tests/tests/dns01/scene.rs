//! A world whose names are served by BIND, and a service that may change its zones.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use lockkeeper_tests::name_server::{Bind, KEY, KEY_NAME, ZoneText, free_address};
use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, World};
use rehearsal::rules::CaRules;
use tempfile::NamedTempFile;

pub(crate) const WITHIN: Duration = Duration::from_mins(1);
pub(crate) const HEADER: &str = "tenant,external_id,names,challenge,labels\n";

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) bind: Bind,
    _secret: NamedTempFile,
}

/// What a scene begins with.
pub(crate) struct Outset<'a> {
    /// BIND's.
    pub(crate) address: SocketAddr,
    pub(crate) zones: &'a [ZoneText],
    pub(crate) written: &'a [&'a str],
    /// Zones that other servers have.
    pub(crate) elsewhere: &'a [(&'a str, SocketAddr)],
    pub(crate) settings: Settings,
    /// Whom the CA asks, where it sees another DNS than the service.
    pub(crate) ca_dns: Option<SocketAddr>,
    pub(crate) rules: CaRules,
}

impl<'a> Outset<'a> {
    pub(crate) fn new(address: SocketAddr, zones: &'a [ZoneText], written: &'a [&'a str]) -> Self {
        let (settings, rules) = (Settings::default(), CaRules::default());
        Self { address, zones, written, elsewhere: &[], settings, ca_dns: None, rules }
    }
}

impl Scene {
    /// BIND serves `zones`, and the service may write in those of them that `written` names.
    pub(crate) async fn start(zones: &[ZoneText], written: &[&str]) -> anyhow::Result<Self> {
        Self::with(Outset::new(free_address(Ipv4Addr::LOCALHOST)?, zones, written)).await
    }

    pub(crate) async fn with(outset: Outset<'_>) -> anyhow::Result<Self> {
        let Outset { address, zones, written, elsewhere, settings, ca_dns, rules } = outset;
        let bind = Bind::start(address, zones, elsewhere).await?;
        let secret = NamedTempFile::new()?;
        std::fs::write(secret.path(), format!("{KEY}\n"))?;
        let mut more = String::from("[dns01]\npropagation_timeout_seconds = 60\n");
        if !written.is_empty() {
            write!(
                more,
                "[[dns01.provider]]\nname = \"bind\"\ntype = \"rfc2136\"\nzones = {written:?}\n\
                 server = \"{address}\"\nkey_name = \"{KEY_NAME}\"\nsecret_file = {:?}\nttl_seconds = 1\n",
                secret.path().display().to_string()
            )?;
        }
        more.push_str(&settings.more);
        let settings = Settings { reconcile_seconds: Some(1), more, ..settings };
        // Nonces are good, so that a request is one request.
        let ca = CaChoice::Rehearsal(CaRules { nonce_rejection: 0.0, ..rules });
        let plan = Plan { ca, settings, dns: Some(address), ca_dns, ..Plan::new(Vec::new()) };
        Ok(Self { world: World::start(plan).await?, bind, _secret: secret })
    }

    /// Rows of records, whatever is to become of them.
    pub(crate) async fn rows(&self) -> anyhow::Result<i64> {
        let rows = sqlx::query_scalar("select count(*) from dns_records");
        Ok(rows.fetch_one(self.world.store.pool()).await?)
    }

    /// Waits until nothing of any challenge is left: no row, no writer, no record at these names.
    pub(crate) async fn wait_until_clean(&self, names: &[String]) -> anyhow::Result<()> {
        let clean = async || {
            let writers = sqlx::query_scalar("select count(*) from dns_writers");
            let writers: i64 = writers.fetch_one(self.world.store.pool()).await?;
            Ok(self.rows().await? == 0 && writers == 0)
        };
        self.world.wait_until("all records and their writers are gone", WITHIN, clean).await?;
        for name in names {
            let texts = self.bind.texts(name).await?;
            anyhow::ensure!(texts.is_empty(), "{name} still has {texts:?}");
        }
        Ok(())
    }

    /// All certificates are there, once each, and the CA has nothing to complain of.
    pub(crate) async fn assert_issued(&self, count: u64) -> anyhow::Result<()> {
        let summary = self.world.summary().await?;
        assert_eq!((summary.certificates_issued, summary.open_authorizations), (count, 0), "{summary:?}");
        let audit = self.world.audit()?;
        assert_eq!((audit.certificates, audit.duplicate_certificates), (count, 0), "{audit:?}");
        assert_eq!((audit.authorizations.open, audit.rate_limited), (0, 0), "{audit:?}");
        let records = self.world.ca.rehearsal().expect("the rehearsal CA").authorizations(None);
        assert!(records.iter().all(|one| one.status != "invalid"), "{records:?}");
        Ok(())
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.bind.stop().await?;
        self.world.stop().await
    }
}

/// The challenge names of these.
pub(crate) fn challenge_names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("_acme-challenge.{name}")).collect()
}
