//! What checks of names found, and what the CA said of them.
//!
//! Written beside the orders and not with them: nothing is decided from it, and what is lost is found again.

use issuance::check::{Check, Finding, Waived};
use issuance::fault::Fault;
use issuance::identifier::Hostname;
use issuance::ids::AccountId;
use issuance::problem::Problem;
use issuance::time::Timestamp;
use serde_json::Value;
use sqlx::types::time::OffsetDateTime;

use super::viewer::Viewer;
use super::work::Work;
use super::{Store, StoreError, sql_instant};

/// One name, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRecord {
    pub hostname: Hostname,
    pub at: Timestamp,
    pub verdict: CheckVerdict,
    pub findings: Vec<Finding>,
    /// `Some`: an order for it goes to the CA next, although these checks found something wrong.
    pub says: Option<Said>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckVerdict {
    Ready,
    NotReady(Fault),
    Unknown { detail: String },
}

/// What is held against what the CA says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub passed: Vec<Check>,
    pub alarms: Vec<Check>,
}

/// What the CA said of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaSaid {
    pub hostname: Hostname,
    pub at: Timestamp,
    /// Why a validation failed.
    pub problem: Option<Problem>,
    /// It may be proven by a record that stays (dns-persist-01).
    pub offers_persist: bool,
}

/// What came of a wish to have a name checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WishState {
    /// Not answered yet.
    Waiting,
    Answered,
}

impl CheckVerdict {
    fn columns(&self) -> (&'static str, Option<&'static str>, Option<String>) {
        match self {
            Self::Ready => ("ready", None, None),
            Self::NotReady(fault) => {
                ("not_ready", Some(fault.class.as_str()), Some(fault.detail.to_string()))
            }
            Self::Unknown { detail } => ("unknown", None, Some(detail.clone())),
        }
    }
}

fn joined(checks: &[Check]) -> String {
    checks.iter().map(|check| check.as_str()).collect::<Vec<_>>().join(",")
}

impl Store {
    /// Whether the CA has offered the account to prove any name by a record that stays.
    pub async fn offers_persist(&self, account: AccountId) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"select exists(
                   select from hostname_checks where account_id = $1 and persist_offered_at is not null
               ) as "offered!""#,
            account.0
        )
        .fetch_one(self.pool())
        .await
        .map_err(StoreError::of("checks.offers_persist"))
    }

    /// Writes what was found; of one name what was found last. A wish for it is answered.
    pub async fn record_checks(&self, account: AccountId, records: &[CheckRecord]) -> Result<(), StoreError> {
        let mut latest: std::collections::BTreeMap<&str, &CheckRecord> = std::collections::BTreeMap::new();
        for record in records {
            let kept = latest.entry(record.hostname.as_str()).or_insert(record);
            if kept.at <= record.at {
                *kept = record;
            }
        }
        let (mut hostnames, mut verdicts, mut classes, mut details) = (vec![], vec![], vec![], vec![]);
        let (mut findings, mut instants, mut says, mut passed, mut alarms) =
            (vec![], vec![], vec![], vec![], vec![]);
        for record in latest.into_values() {
            let (verdict, class, detail) = record.verdict.columns();
            hostnames.push(record.hostname.to_string());
            verdicts.push(verdict.to_owned());
            classes.push(class.map(str::to_owned));
            details.push(detail);
            findings.push(serde_json::json!(record.findings));
            instants.push(sql_instant(record.at));
            says.push(record.says.is_some());
            let said = record.says.clone().unwrap_or_default();
            passed.push(joined(&said.passed));
            alarms.push(joined(&said.alarms));
        }
        sqlx::query_file!(
            "queries/checks_record.sql",
            account.0,
            &hostnames,
            &verdicts,
            &classes as &[Option<String>],
            &details as &[Option<String>],
            &findings,
            &instants,
            &says,
            &passed,
            &alarms
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("checks.record"))
    }

    /// Writes what the CA said; of one name the last problem.
    pub async fn record_ca_words(&self, account: AccountId, words: &[CaSaid]) -> Result<(), StoreError> {
        let mut latest: std::collections::BTreeMap<&str, CaSaid> = std::collections::BTreeMap::new();
        for said in words {
            let kept = latest.entry(said.hostname.as_str()).or_insert_with(|| said.clone());
            kept.at = kept.at.max(said.at);
            kept.offers_persist |= said.offers_persist;
            if said.problem.is_some() {
                kept.problem.clone_from(&said.problem);
            }
        }
        let (mut hostnames, mut problems, mut instants, mut persist) = (vec![], vec![], vec![], vec![]);
        for said in latest.into_values() {
            hostnames.push(said.hostname.to_string());
            problems.push(said.problem.map(|problem| serde_json::json!(problem)));
            instants.push(sql_instant(said.at));
            persist.push(said.offers_persist);
        }
        sqlx::query_file!(
            "queries/checks_ca_said.sql",
            account.0,
            &hostnames,
            &problems as &[Option<Value>],
            &instants as &[OffsetDateTime],
            &persist
        )
        .execute(self.pool())
        .await
        .map(drop)
        .map_err(StoreError::of("checks.ca_said"))
    }

    /// Names that somebody wants checked, those first that have waited longest.
    pub async fn wished_checks(&self, account: AccountId, limit: u16) -> Result<Vec<Hostname>, StoreError> {
        let rows = sqlx::query_scalar!(
            "select hostname from hostname_checks
             where account_id = $1 and wished_at is not null order by wished_at limit $2",
            account.0,
            i64::from(limit)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("checks.wished"))?;
        // One that is no name any more than it was when it was claimed: there is none.
        Ok(rows.iter().filter_map(|name| Hostname::parse(name).ok()).collect())
    }

    /// What keeps nobody back: for each of `names` the checks that are skipped for it, beside those that are advice.
    pub async fn waived(
        &self,
        account: AccountId,
        names: &[String],
        now: Timestamp,
    ) -> Result<Vec<(String, Waived)>, StoreError> {
        let rows = sqlx::query!(
            r#"select name as "name!", check_name as "check_name!"
               from unnest($2::text[]) as name
               join lateral (
                   select check_name from check_overrides
                   where hostname = name and (expires_at is null or expires_at > $3)
                   union
                   select check_name from check_records
                   where ca = (select ca from accounts where account_id = $1) and standing = 'advice'
               ) as waived on true"#,
            account.0,
            names,
            sql_instant(now)
        )
        .fetch_all(self.pool())
        .await
        .map_err(StoreError::of("checks.waived"))?;
        let of_name = |name: &String| {
            let own = rows.iter().filter(|row| row.name == *name);
            (name.clone(), own.filter_map(|row| Check::parse(&row.check_name)).collect())
        };
        Ok(names.iter().map(of_name).collect())
    }
}

/// Writes the wish to have a name checked. `None`: there is no such name, or not for this viewer.
pub async fn wish(
    work: &mut Work,
    account: AccountId,
    hostname: &Hostname,
) -> Result<Option<Timestamp>, StoreError> {
    let (viewer, now) = (work.viewer(), work.at());
    let written = sqlx::query_scalar!(
        "insert into hostname_checks as kept (hostname, tenant_id, account_id, wished_at)
         select $5::text, tenant_id, $3, $4 from hostnames
         where hostname = $2 and ($1::uuid is null or tenant_id = $1)
         on conflict (hostname) do update
         set wished_at = excluded.wished_at, tenant_id = excluded.tenant_id, account_id = excluded.account_id
         returning hostname",
        viewer.tenant_id(),
        hostname.validation_target(),
        account.0,
        sql_instant(now),
        hostname.as_str()
    )
    .fetch_optional(work.conn())
    .await
    .map_err(StoreError::of("checks.wish"))?;
    Ok(written.map(|_| now))
}

/// Whether the wish has been answered.
pub async fn wish_state(store: &Store, viewer: Viewer, hostname: &Hostname) -> Result<WishState, StoreError> {
    let mut conn = store.read_as(viewer).await?;
    let waiting = sqlx::query_scalar!(
        r#"select exists (
               select from hostname_checks where hostname = $1 and wished_at is not null) as "waiting!""#,
        hostname.as_str()
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(StoreError::of("checks.wish_state"))?;
    Ok(if waiting { WishState::Waiting } else { WishState::Answered })
}
