//! Bulk imports. A small file in one transaction: either everything that is good in it is there afterwards, or, after a
//! crash, nothing. A large one as a job ([`job`]): received and committed batch by batch, by whichever replica is there.
//!
//! The natural key of a certificate is tenant and external id, so the same file again changes nothing.

mod commit;
pub mod job;
mod quota;
mod rollback;
pub mod staging;
pub mod view;
pub mod wish;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use issuance::fairness::Lane;
use issuance::identifier::{Hostname, Identifiers};
use issuance::ids::{AccountId, ImportId};
use issuance::time::Timestamp;
use sqlx::types::Uuid;
use sqlx::{Connection as _, PgConnection};

use super::mint::Mint;
use super::quotas::{Allowances, Excess};
use super::viewer::Viewer;
use super::wishes::{self, Terms, Wished};
use super::work::Work;
use super::{StoreError, hostnames, sql_instant, tenants};
use crate::telemetry::traces;

/// Certificates in one statement.
const CHUNK: usize = 1_000;

/// What is to be imported, and by whom.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    pub viewer: Viewer,
    /// The CA account that the certificates are ordered with.
    pub account: AccountId,
    /// Of the new orders.
    pub lane: Lane,
    /// Where it came from, for the record.
    pub source: &'a str,
    /// Good rows, each with a key of its own.
    pub wishes: &'a [Wish<'a>],
    /// Rows beside the wishes: those that say again what one of them says.
    pub rows_repeated: u64,
    /// Rows beside the wishes: those that were refused before they came here.
    pub rows_refused: u64,
}

/// A certificate that is to exist.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The tenant's slug.
    pub tenant: &'a str,
    pub external_id: &'a str,
    pub names: &'a Identifiers,
    pub challenge: &'static str,
    pub labels: &'a BTreeMap<String, String>,
}

/// What an import has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `None` where nothing was written.
    pub import: Option<ImportId>,
    pub rows_created: u64,
    /// The wish differs from the one that was stored; a new order is made only if its names do.
    pub rows_changed: u64,
    pub rows_unchanged: u64,
    pub orders_created: u64,
    /// Orders that waited in a lane behind, and wait in this one now.
    pub orders_hastened: u64,
    pub refusals: Vec<Refusal>,
}

/// A wish that was not granted; the others were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in [`Import::wishes`].
    pub wish: usize,
    pub reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A tenant imports for itself alone.
    OtherTenant,
    /// Somebody else owns the name.
    HostnameOwnedByOtherTenant(Hostname),
    /// The tenant may have no more.
    Quota(Excess),
}

/// Writes an import: tenants (the operator's import alone creates them), hostname claims, certificates and
/// one order for each set of names that is new.
///
/// Names that a changed wish leaves out stay with their tenant, and an order under way for the old names
/// runs to its end.
pub async fn record(work: &mut Work, import: &Import<'_>) -> Result<Outcome, StoreError> {
    let now = work.at();
    // What comes to nothing leaves no trace, and the work may go on.
    let mut tx = work.conn().begin().await.map_err(StoreError::of("imports.record"))?;
    let mint = Mint::at(now);
    let Granted { wishes: granted, places, mut fresh, mut allowances, mut refusals } =
        grant(&mut tx, now, &mint, import).await?;

    let mut done = Outcome {
        import: None,
        rows_created: 0,
        rows_changed: 0,
        rows_unchanged: import.rows_repeated,
        orders_created: 0,
        orders_hastened: 0,
        refusals: Vec::new(),
    };
    let import_id = mint.uuid();
    insert(&mut tx, now, import_id, import).await?;
    let origin = traces::current();
    let terms = Terms { account: import.account, import: import_id, lane: import.lane, origin };
    for (chunk, places) in granted.chunks(CHUNK).zip(places.chunks(CHUNK)) {
        let counts = wishes::grant(&mut tx, now, &mint, terms, chunk, &mut fresh, &mut allowances).await?;
        let refused = counts.refused.iter();
        refusals.extend(
            refused.map(|(nr, excess)| Refusal { wish: places[*nr], reason: Reason::Quota(*excess) }),
        );
        done.rows_created += counts.created;
        done.rows_changed += counts.changed;
        done.rows_unchanged += counts.unchanged;
        done.orders_created += counts.orders;
        done.orders_hastened += counts.hastened;
    }
    done.refusals = refusals;
    // Names that only refused wishes have stay nobody's.
    let mut unused: Vec<String> = fresh.into_iter().collect();
    unused.sort_unstable();
    hostnames::unclaim(&mut tx, &unused).await?;
    allowances.record(&mut tx).await?;
    if done.rows_created + done.rows_changed + done.orders_hastened == 0 {
        tx.rollback().await.map_err(StoreError::of("imports.record"))?;
        return Ok(done);
    }
    done.import = Some(ImportId(import_id));
    conclude(&mut tx, import_id, import, &done).await?;
    tx.commit().await.map_err(StoreError::of("imports.record"))?;
    Ok(done)
}

/// Wishes that may be granted, as far as their names go.
struct Granted<'a> {
    wishes: Vec<Wished<'a>>,
    /// Of each, its place in the import.
    places: Vec<usize>,
    /// Names that this transaction has claimed, and no granted wish has so far.
    fresh: HashSet<String>,
    allowances: Allowances,
    refusals: Vec<Refusal>,
}

/// Decides which wishes their tenants may have, and claims the names of those.
async fn grant<'a>(
    conn: &mut PgConnection,
    now: Timestamp,
    mint: &Mint,
    import: &Import<'a>,
) -> Result<Granted<'a>, StoreError> {
    let own = match import.viewer {
        Viewer::Operator => None,
        Viewer::Tenant(tenant) => Some(tenants::slug(conn, tenant).await?.unwrap_or_default()),
    };
    let may = |slug: &str| own.as_deref().is_none_or(|own| own == slug);
    let slugs: BTreeSet<&str> =
        import.wishes.iter().map(|wish| wish.tenant).filter(|slug| may(slug)).collect();
    if import.viewer == Viewer::Operator {
        tenants::ensure(conn, now, mint, &slugs).await?;
    }
    let tenants = tenants::hold(conn, &slugs).await?;
    let allowances = Allowances::read(conn, tenants.values().copied(), now).await?;

    let mut wished: BTreeMap<&str, Uuid> = BTreeMap::new();
    for wish in import.wishes {
        if let Some(tenant) = tenants.get(wish.tenant) {
            for name in wish.names {
                wished.entry(name.validation_target()).or_insert(*tenant);
            }
        }
    }
    let claims = hostnames::claim(conn, now, &wished).await?;
    let above: BTreeSet<String> = import.wishes.iter().flat_map(names_above).map(str::to_owned).collect();
    let above = hostnames::owners(conn, &above).await?;

    let mut granted = Vec::with_capacity(import.wishes.len());
    let mut places = Vec::with_capacity(import.wishes.len());
    let mut refusals = Vec::new();
    for (place, wish) in import.wishes.iter().enumerate() {
        let Some(tenant) = tenants.get(wish.tenant) else {
            refusals.push(Refusal { wish: place, reason: Reason::OtherTenant });
            continue;
        };
        let foreign =
            wish.names.iter().find(|name| claims.owners.get(name.validation_target()) != Some(tenant));
        let foreign = foreign.or_else(|| {
            // Whoever owns a name owns what is below it, where a record that we publish is all the proof there is.
            let theirs = |name: &&str| above.get(*name).is_some_and(|owner| owner != tenant);
            wish.names
                .iter()
                .find(|name| wish.challenge == DNS_01 && hostnames::ancestors(name).any(|one| theirs(&one)))
        });
        if let Some(name) = foreign {
            let reason = Reason::HostnameOwnedByOtherTenant(name.clone());
            refusals.push(Refusal { wish: place, reason });
            continue;
        }
        granted.push(Wished { tenant: *tenant, wish: *wish });
        places.push(place);
    }
    Ok(Granted { wishes: granted, places, fresh: claims.fresh, allowances, refusals })
}

const DNS_01: &str = "dns-01";

/// The names above those of a wish that a record of ours would prove.
fn names_above<'a>(wish: &Wish<'a>) -> impl Iterator<Item = &'a str> {
    let names = (wish.challenge == DNS_01).then_some(wish.names);
    names.into_iter().flatten().flat_map(hostnames::ancestors)
}

/// As the columns hold it.
fn count(rows: u64) -> i32 {
    i32::try_from(rows).unwrap_or(i32::MAX)
}

async fn insert(
    conn: &mut PgConnection,
    now: Timestamp,
    import_id: Uuid,
    import: &Import<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into imports
             (import_id, source, tenant_id, account_id, lane, rows_total, rows_created, rows_changed, rows_unchanged,
              rows_refused, created_at, committed_at, ended_at)
         values ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0, $6, $6, $6)",
        import_id,
        import.source,
        import.viewer.tenant_id(),
        import.account.0,
        import.lane.number(),
        sql_instant(now),
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("imports.insert"))?;
    Ok(())
}

async fn conclude(
    conn: &mut PgConnection,
    import_id: Uuid,
    import: &Import<'_>,
    done: &Outcome,
) -> Result<(), StoreError> {
    let refused = import.rows_refused + done.refusals.len() as u64;
    let total = import.wishes.len() as u64 + import.rows_repeated + import.rows_refused;
    sqlx::query!(
        "update imports
         set rows_total = $2, rows_created = $3, rows_changed = $4, rows_unchanged = $5, rows_refused = $6,
             orders_created = $7, orders_hastened = $8
         where import_id = $1",
        import_id,
        count(total),
        count(done.rows_created),
        count(done.rows_changed),
        count(done.rows_unchanged),
        count(refused),
        count(done.orders_created),
        count(done.orders_hastened),
    )
    .execute(conn)
    .await
    .map_err(StoreError::of("imports.conclude"))?;
    Ok(())
}
