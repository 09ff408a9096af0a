use std::path::Path;

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};

use super::*;

/// Below /tmp, whose folders the cluster's user may pass through.
fn data_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::Builder::new()
        .prefix("lockkeeper-cluster-")
        .permissions(std::fs::Permissions::from_mode(0o711))
        .tempdir_in("/tmp");
    folder.unwrap()
}

async fn start(folder: &Path) -> PrivateCluster {
    PrivateCluster::start(folder).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn ask(url: &str, query: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.fetch_one(query).await.unwrap().get(0)
}

async fn tell(url: &str, statement: &'static str) {
    PgConnection::connect(url).await.unwrap().execute(statement).await.unwrap();
}

#[tokio::test]
async fn a_cluster_is_made_asked_stopped_and_started_again_with_its_data() {
    let folder = data_folder();
    let cluster = start(folder.path()).await;
    let url = cluster.url();
    assert!(!cluster.is_adopted());
    assert_eq!(PrivateCluster::running_url(folder.path()).await, Some(url.clone()));
    for (setting, value) in
        [("show fsync", "on"), ("show listen_addresses", ""), ("show max_wal_size", "4GB")]
    {
        assert_eq!(ask(&url, setting).await, value, "{setting}");
    }
    tell(&url, "create table boats (name text)").await;
    tell(&url, "insert into boats values ('Maria')").await;
    cluster.stop().await.unwrap();
    assert_eq!(PrivateCluster::running_url(folder.path()).await, None);

    let cluster = start(folder.path()).await;
    assert!(!cluster.is_adopted());
    assert_eq!(ask(&cluster.url(), "select name from boats").await, "Maria");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_whose_service_was_killed_is_adopted_and_stopped() {
    let folder = data_folder();
    let mut killed = start(folder.path()).await;
    // What kill -9 leaves: a server without a service, and a lock that the kernel has released.
    killed.running = false;
    drop(killed);

    let adopter = start(folder.path()).await;
    assert!(adopter.is_adopted());
    assert_eq!(ask(&adopter.url(), "select 'here'").await, "here");
    adopter.stop().await.unwrap();
    assert_eq!(PrivateCluster::running_url(folder.path()).await, None);
}

#[tokio::test]
async fn a_second_service_is_turned_away_and_the_first_goes_on() {
    let folder = data_folder();
    let first = start(folder.path()).await;
    let error = PrivateCluster::start(folder.path()).await.unwrap_err();
    assert!(matches!(error, ClusterError::InUse { .. }), "{error}");
    assert_eq!(ask(&first.url(), "select 'here'").await, "here");
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_cluster_stops_and_a_crash_of_the_server_is_recovered_from() {
    let folder = data_folder();
    let cluster = start(folder.path()).await;
    tell(&cluster.url(), "create table boats (name text)").await;
    // kill -9 of the server itself leaves a stale pid file.
    let mut cluster = cluster;
    cluster.postmaster.as_mut().unwrap().kill().await.unwrap();
    cluster.running = false;
    drop(cluster);
    assert!(folder.path().join("postgres/postmaster.pid").exists());

    let cluster = start(folder.path()).await;
    assert!(!cluster.is_adopted());
    assert_eq!(ask(&cluster.url(), "select count(*)::text from boats").await, "0");
    let socket_folder = cluster.socket_folder.clone();
    drop(cluster);
    let gone = timeout(STOPPED_WITHIN, async {
        while folder.path().join("postgres/postmaster.pid").exists() {
            sleep(LOOK_INTERVAL).await;
        }
    });
    gone.await.unwrap();
    assert!(!socket::takes_connections(&socket_folder).await);
}

#[tokio::test]
async fn a_server_that_cannot_start_is_quoted() {
    let folder = data_folder();
    start(folder.path()).await.stop().await.unwrap();
    std::fs::write(folder.path().join("postgres/local.conf"), "shared_buffers = 'plenty'\n").unwrap();
    let error = PrivateCluster::start(folder.path()).await.unwrap_err().to_string();
    assert!(error.contains("ended while it was starting") && error.contains("plenty"), "{error}");
}

#[tokio::test]
async fn an_interrupted_initdb_is_begun_anew() {
    let folder = data_folder();
    std::fs::create_dir(folder.path().join("postgres.unfinished")).unwrap();
    std::fs::write(folder.path().join("postgres.unfinished/PG_VERSION"), "15\n").unwrap();
    let cluster = start(folder.path()).await;
    assert_eq!(ask(&cluster.url(), "select 'here'").await, "here");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let folder = data_folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = PrivateCluster::start(&file.join("data")).await.unwrap_err();
    assert!(matches!(error, ClusterError::Folder { .. }), "{error}");
}

#[tokio::test]
async fn a_closed_parent_is_named_where_the_service_is_root() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = data_folder();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let outcome = PrivateCluster::start(&closed.join("data")).await;
    if folder.path().metadata().unwrap().uid() == 0 {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("closed: put [data] folder elsewhere"), "{error}");
    } else {
        outcome.unwrap().stop().await.unwrap();
    }
}
