//! Who owns which hostname.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use issuance::identifier::Hostname;
use issuance::time::Timestamp;
use sqlx::PgConnection;
use sqlx::types::Uuid;

use super::{StoreError, sql_instant};

/// Hostnames in one statement.
const CHUNK: usize = 1_000;

/// What became of a claim.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The owner of every hostname asked for.
    pub(super) owners: HashMap<String, Uuid>,
    /// Those that had none before.
    pub(super) fresh: HashSet<String>,
}

/// The owner of each of these names that has one.
pub(super) async fn owners(
    conn: &mut PgConnection,
    names: &BTreeSet<String>,
) -> Result<HashMap<String, Uuid>, StoreError> {
    let names: Vec<String> = names.iter().cloned().collect();
    let mut owners = HashMap::new();
    for chunk in names.chunks(CHUNK) {
        let owned = sqlx::query!("select hostname, tenant_id from hostnames where hostname = any($1)", chunk)
            .fetch_all(&mut *conn)
            .await
            .map_err(StoreError::of("hostnames.owners"))?;
        owners.extend(owned.into_iter().map(|row| (row.hostname, row.tenant_id)));
    }
    Ok(owners)
}

/// Claims each hostname for its tenant unless somebody owns it.
///
/// Rows are locked in the order of the names, over the whole import, so two imports that race for the same
/// names wait for each other and never in a circle; the one that comes second finds an owner.
pub(super) async fn claim(
    conn: &mut PgConnection,
    now: Timestamp,
    wished: &BTreeMap<&str, Uuid>,
) -> Result<Claims, StoreError> {
    let mut claims = Claims::default();
    let wished: Vec<(&str, Uuid)> = wished.iter().map(|(name, tenant)| (*name, *tenant)).collect();
    for chunk in wished.chunks(CHUNK) {
        let names: Vec<String> = chunk.iter().map(|(name, _)| (*name).to_owned()).collect();
        let tenants: Vec<Uuid> = chunk.iter().map(|(_, tenant)| *tenant).collect();
        let fresh = sqlx::query_scalar!(
            "insert into hostnames (hostname, tenant_id, created_at)
             select hostname, tenant_id, $3 from unnest($1::text[], $2::uuid[]) as wished (hostname, tenant_id)
             order by hostname collate \"C\"
             on conflict (hostname) do nothing
             returning hostname",
            &names,
            &tenants,
            sql_instant(now),
        )
        .fetch_all(&mut *conn)
        .await
        .map_err(StoreError::of("hostnames.claim"))?;
        claims.fresh.extend(fresh);
        // A statement of its own: only a new snapshot sees what a racing import has committed meanwhile.
        let owned =
            sqlx::query!("select hostname, tenant_id from hostnames where hostname = any($1)", &names)
                .fetch_all(&mut *conn)
                .await
                .map_err(StoreError::of("hostnames.owners"))?;
        claims.owners.extend(owned.into_iter().map(|row| (row.hostname, row.tenant_id)));
    }
    Ok(claims)
}

/// Takes back claims of this transaction.
pub(super) async fn unclaim(conn: &mut PgConnection, names: &[String]) -> Result<(), StoreError> {
    for chunk in names.chunks(CHUNK) {
        sqlx::query!("delete from hostnames where hostname = any($1)", chunk)
            .execute(&mut *conn)
            .await
            .map_err(StoreError::of("hostnames.unclaim"))?;
    }
    Ok(())
}

/// From the name above it to its registered domain.
pub(super) fn ancestors(name: &Hostname) -> impl Iterator<Item = &str> {
    let registered = name.registered_domain();
    let mut next = Some(name.validation_target()).filter(|target| *target != registered);
    std::iter::from_fn(move || {
        let (_, parent) = next.take()?.split_once('.')?;
        next = Some(parent).filter(|parent| *parent != registered);
        Some(parent)
    })
}
