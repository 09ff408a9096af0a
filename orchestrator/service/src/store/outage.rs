//! Telling a database that is away, or not itself, from one that refuses what it was asked.

use std::io;

use sqlx::PgConnection;

/// Classes and codes of the PostgreSQL manual, appendix A, that pass by themselves or by an operator's hand.
const PASSING: [&str; 11] = [
    "08",    // connection exceptions
    "25006", // read-only: a primary that has been taken over from, or one closed for maintenance
    "25P03", // idle in transaction for too long: we were stopped, or starved
    "25P04", // the same, since the transaction began
    "40001", // serialization failure
    "40003", // it is unknown whether the statement has completed
    "40P01", // deadlock
    "53",    // insufficient resources: disk, memory, connections
    "55P03", // a lock is not to be had
    "57",    // operator intervention: shutdown, recovery, a statement cancelled or timed out
    "58",    // system errors
];

/// With these, the session ended: what became of a COMMIT under way was not said.
const WITHOUT_AN_ANSWER: [&str; 4] = ["08", "40003", "57P", "58"];

/// Whether the statement may succeed later as it stands.
pub(super) fn is_one(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        // What a connection reads that was cut while it was being made, among others.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| begins(&code, &PASSING)),
        _ => false,
    }
}

/// Whether it is certain that nothing was written, and the statement may succeed later.
pub(super) fn rolled_back(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| begins(&code, &PASSING) && !begins(&code, &WITHOUT_AN_ANSWER))
}

fn begins(code: &str, with: &[&str]) -> bool {
    with.iter().any(|start| code.starts_with(start))
}

pub(super) async fn is_standby(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select pg_is_in_recovery() as "standby!""#).fetch_one(connection).await
}

/// For the pool: what a standby says may be old, and an intent that is not written must not be acted upon. A
/// connection that was made to a primary stays one to a primary, since no server becomes a standby while it runs.
pub(super) async fn refuse_standby(connection: &mut PgConnection) -> sqlx::Result<()> {
    if is_standby(connection).await? {
        return Err(sqlx::Error::Io(io::Error::other("the database is a standby, and takes no writes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for code in ["40001", "40P01", "55P03", "57014", "53100", "53300", "25006", "57P01", "08006"] {
            assert!(begins(code, &PASSING), "{code}");
        }
        for code in ["23505", "23514", "22001", "42P01", "40002", "25001", "XX000"] {
            assert!(!begins(code, &PASSING), "{code}");
        }
        for code in ["57P01", "57P02", "08006", "40003"] {
            assert!(begins(code, &WITHOUT_AN_ANSWER), "{code}: its COMMIT may have happened");
        }
        assert!(!begins("57014", &WITHOUT_AN_ANSWER), "a cancelled statement is rolled back");
    }
}
