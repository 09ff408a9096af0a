//! Who is compared.

use anyhow::{Context as _, Result};
use tokio::process::Command;

use super::accident::{Accident, Moment};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// One process an order, as a cron job on each server would run it.
    Certbot,
    Lego,
    /// One service for all.
    Lockkeeper,
}

impl Client {
    pub const ALL: [Self; 3] = [Self::Certbot, Self::Lego, Self::Lockkeeper];

    /// Program, key in the JSON, and word in `CLIENT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certbot => "certbot",
            Self::Lego => "lego",
            Self::Lockkeeper => "lockkeeper",
        }
    }

    /// Name and version, as the table's head has them.
    pub async fn version(self) -> Result<String> {
        let text = match self {
            Self::Lockkeeper => return Ok("Lockkeeper".to_owned()),
            Self::Certbot => said(Command::new("certbot").arg("--version")).await?,
            // Debian's lego does not know its own version.
            Self::Lego => said(Command::new("dpkg-query").args(["-W", "-f", "lego ${Version}", "lego"]))
                .await
                .or_else(|_| anyhow::Ok("lego".to_owned()))?,
        };
        Ok(text.split('-').next().unwrap_or_default().trim().to_owned())
    }

    /// The service writes to no webroot: it has no such accident.
    pub fn can_meet(self, accident: Accident) -> bool {
        self != Self::Lockkeeper || accident != Accident::WebrootReadOnly
    }

    /// How much the CA holds of one order of two names at that moment.
    pub(crate) fn held_of_one(self, accident: Accident) -> usize {
        match (self, accident) {
            // It submits all challenges, and then waits.
            (Self::Certbot, Accident::Killed(Moment::UnderValidation))
            | (Self::Lockkeeper, Accident::Killed(Moment::UnderValidation | Moment::BeforeChallenge)) => 2,
            _ => 1,
        }
    }
}

async fn said(command: &mut Command) -> Result<String> {
    let output = command.output().await.context("it is not installed")?;
    anyhow::ensure!(output.status.success(), "{}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
