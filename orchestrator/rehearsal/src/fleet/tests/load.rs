//! Many names at once: nothing is lost or mixed up.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use hickory_proto::rr::RecordType;

use super::{Sight, addresses, challenge_path, look, start_echo};
use crate::fleet::{DemoPlan, Fleet, FleetConfig, plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_name_of_a_drawn_fleet_gets_its_own_answer() {
    let drawn = plan(DemoPlan { broken_share: 0.0, ..DemoPlan::new(400, 1) });
    let names: Vec<_> = drawn.good_names().cloned().collect();
    let config = FleetConfig { sites: drawn.into_sites(), ..FleetConfig::new(start_echo().await) };
    let fleet = Arc::new(Fleet::start(config).await.unwrap());
    let (path, port) = (challenge_path("token"), fleet.http_port());
    let checks = stream::iter(&names).map(|name| {
        let (fleet, path) = (Arc::clone(&fleet), path.clone());
        async move {
            let expected = Sight::Answer(http::StatusCode::OK, format!("{name}:{port} {path}"));
            assert_eq!(look(&fleet, name, &path).await, expected);
            addresses(&fleet, &format!("www.{name}"), RecordType::CAA).await
        }
    });
    let _: Vec<_> = checks.buffer_unordered(32).collect().await;
    for name in &names {
        let hits = fleet.hits(name);
        assert_eq!((hits.http, hits.forwarded), (1, 1), "{name}");
    }
}
