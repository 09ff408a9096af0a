//! What checks said, held against what the CA said: a check that is wrong too often becomes advice, and blocks again when
//! it proves right.

use issuance::check::Check;
use issuance::precision::Standing;
use issuance::time::Timestamp;
use metrics::{describe_gauge, gauge};
use tracing::warn;

use crate::store::check_records::{self, ChangedBy, CheckRecordView};
use crate::store::events::Actor;
use crate::store::viewer::Viewer;
use crate::store::work::Work;

use super::{Pass, ReconcileError, ReconcileParts, Reconciler};

/// Verdicts of the CA counted by one statement.
const CHUNK: u16 = 1_000;
/// Such statements of one pass; what is left over comes next time.
const CHUNKS_MAX: usize = 20;

const VERDICTS: &str = "lockkeeper_check_verdicts";
const ADVICE: &str = "lockkeeper_check_is_advice";
const MEASURED: &str = "measured";
const DEMOTED: &str = "demoted";
const PROMOTED: &str = "promoted";

#[derive(Debug)]
pub struct Precision {
    parts: ReconcileParts,
}

impl Precision {
    pub fn new(parts: ReconcileParts) -> Self {
        describe_gauge!(
            VERDICTS,
            "Names that the CA was asked about, by check, what it said, and what the CA said."
        );
        describe_gauge!(
            ADVICE,
            "1 where a check is wrong too often to keep names back, or was demoted by hand."
        );
        for check in Check::ALL {
            gauge!(ADVICE, "check" => check.as_str()).set(0.0);
        }
        Self { parts }
    }

    async fn judge(
        &self,
        record: &CheckRecordView,
        now: Timestamp,
        pass: &mut Pass,
    ) -> Result<(), ReconcileError> {
        let ReconcileParts { store, account_id, .. } = &self.parts;
        let standing = record.alarms().judge(record.standing);
        if standing == record.standing {
            return Ok(());
        }
        let check = record.check;
        let actor = Actor::service(Self::NAME);
        let mut work = Work::begin(store, Viewer::Operator, actor, now).await?;
        let by = ChangedBy::Evidence;
        if !check_records::change_standing(&mut work, *account_id, check, standing, by).await? {
            // Another replica was first.
            return Ok(());
        }
        work.commit().await?;
        let (kind, what) = match standing {
            Standing::Advice => (DEMOTED, "is advice from now on, and keeps no name back"),
            Standing::Blocks => (PROMOTED, "has proven right, and keeps names back again"),
        };
        pass.add(kind, 1);
        warn!(
            event = "check.precision",
            check = check.as_str(),
            wrong = record.since_valid,
            right = record.since_invalid,
            "The check {} {what}: it was wrong about {} of {} names",
            check.as_str(),
            record.since_valid,
            record.since_valid + record.since_invalid
        );
        Ok(())
    }
}

impl Reconciler for Precision {
    const NAME: &'static str = "precision";
    const KINDS: &'static [&'static str] = &[MEASURED, DEMOTED, PROMOTED];

    async fn pass(&self, now: Timestamp) -> Result<Pass, ReconcileError> {
        let ReconcileParts { store, account_id, .. } = &self.parts;
        let mut pass = Pass::default();
        for _ in 0..CHUNKS_MAX {
            let measured = check_records::measure(store, *account_id, CHUNK).await?;
            pass.add(MEASURED, measured);
            if measured < u64::from(CHUNK) {
                break;
            }
        }
        for record in check_records::list(store, *account_id).await? {
            self.judge(&record, now, &mut pass).await?;
        }
        for record in check_records::list(store, *account_id).await? {
            let check = record.check.as_str();
            gauge!(ADVICE, "check" => check).set(f64::from(u8::from(record.standing == Standing::Advice)));
            for (said, ca, count) in [
                ("ready", "valid", record.ready_valid),
                ("ready", "invalid", record.ready_invalid),
                ("not_ready", "valid", record.not_ready_valid),
                ("not_ready", "invalid", record.not_ready_invalid),
            ] {
                gauge!(VERDICTS, "check" => check, "said" => said, "ca" => ca).set(count as f64);
            }
        }
        Ok(pass)
    }
}
