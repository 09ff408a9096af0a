//! What failed validations teach of a zone's servers, in rows that replicas write at once.

use std::time::Duration;

use futures_util::future::join_all;
use issuance::settling::Settling;
use issuance::time::Timestamp;
use lockkeeper::store::Store;
use lockkeeper::store::settlings::{SettlingLesson, learn, read};
use sqlx::PgPool;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_445);
const PROVIDER: &str = "primary";
const SERVERS: &str = "dnshost.net,provider.com";

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn names_that_fail_together_teach_one_delay_and_each_is_counted(pool: PgPool) {
    let store = Store::from_pool(pool);
    let failed = SettlingLesson::Failed { green_for: Duration::from_secs(15) };
    assert_eq!(
        learn(&store, NOW, SERVERS, PROVIDER, SettlingLesson::Passed).await.expect("read"),
        Settling::default()
    );
    let taught = join_all((0..4).map(|_| learn(&store, NOW, SERVERS, PROVIDER, failed))).await;
    assert!(taught.iter().all(|known| known.as_ref().expect("written").delay == Duration::from_secs(30)));
    let known = read(&store, SERVERS).await.expect("read");
    assert_eq!(known, Settling { delay: Duration::from_secs(30), failures: 4, successes: 0 });
    assert_eq!(
        read(&store, "other.net").await.expect("read"),
        Settling::default(),
        "others are not slowed down"
    );
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_delay_fades_with_what_passes(pool: PgPool) {
    let store = Store::from_pool(pool);
    let failed = SettlingLesson::Failed { green_for: Duration::from_secs(20) };
    learn(&store, NOW, SERVERS, PROVIDER, failed).await.expect("written");
    for _ in 0..20 {
        learn(&store, NOW, SERVERS, PROVIDER, SettlingLesson::Passed).await.expect("written");
    }
    let known = read(&store, SERVERS).await.expect("read");
    assert_eq!(known, Settling { delay: Duration::from_secs(30), failures: 1, successes: 0 });
}
