//! The CA: reached, and living in the same time as this machine.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::DATE;
use issuance::identifier::Hostname;

use crate::acme::{Endpoint, HyperTransport, Transport as _, http_date};
use crate::config::ca_profile;

use super::{Diagnosis, Practice, chain};

const RESOLVER: &str = "DNS resolver";
const DIRECTORY: &str = "CA directory";
const CLOCK: &str = "clock";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Half of what a header's whole seconds and a slow answer explain.
const SKEW_NOTICED: Duration = Duration::from_secs(30);
/// From here on windows, expiries and waits are misjudged by as much as they are long.
const SKEW_MAX: Duration = Duration::from_mins(5);

pub(super) async fn examine(practice: &Practice<'_>) -> Vec<Diagnosis> {
    let ca = &practice.config.ca;
    let mut diagnoses = Vec::new();
    let directory =
        ca_profile::load(&ca.profile).ok().and_then(|profile| ca.directory(&profile).ok().flatten());
    let Some(directory) = directory else {
        // Told with the account.
        return diagnoses;
    };
    let uri: Option<http::Uri> = directory.as_str().parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host).and_then(|host| Hostname::parse(host).ok());
    if practice.resolver.is_none() {
        let fix = "set [resolver] servers, or mend /etc/resolv.conf";
        diagnoses.push(Diagnosis::fail(RESOLVER, "there is no resolver to ask", fix));
    }
    if let (Some(resolver), Some(host)) = (&practice.resolver, host) {
        diagnoses.push(match resolver.lookup(&host).await {
            Ok(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(|address| address.to_string()).collect();
                Diagnosis::ok(RESOLVER, format!("{host} is {}", addresses.join(", ")))
            }
            Err(fault) => Diagnosis::fail(
                RESOLVER,
                format!("{host}: {fault}"),
                "set [resolver] servers to resolvers that this machine reaches",
            ),
        });
    }
    if !ca.agree_to_terms {
        let fix = "read the CA's terms of service, and set [ca] agree_to_terms = true";
        diagnoses.push(Diagnosis::fail("CA terms", "not agreed to: no account is registered", fix));
    }
    diagnoses.extend(directory_of(practice, directory.as_str()).await);
    diagnoses
}

async fn directory_of(practice: &Practice<'_>, url: &str) -> Vec<Diagnosis> {
    let unreachable = |found: String| {
        let fix =
            "open the way to the CA (port 443, proxies, [ca] extra_root for a private one); orders wait";
        vec![Diagnosis::fail(DIRECTORY, found, fix)]
    };
    let extra_root = practice.config.ca.extra_root.as_deref().map(std::fs::read_to_string).transpose();
    let extra_root = match extra_root {
        Ok(extra_root) => extra_root,
        Err(error) => return unreachable(format!("[ca] extra_root cannot be read: {error}")),
    };
    let transport = match HyperTransport::new(extra_root.as_deref(), CONNECT_TIMEOUT) {
        Ok(transport) => transport,
        Err(error) => return unreachable(chain(&error)),
    };
    let agent = concat!("lockkeeper/", env!("CARGO_PKG_VERSION"));
    let Ok(request) = Request::get(url).header("user-agent", agent).body(Bytes::new()) else {
        return unreachable(format!("{url} is no address"));
    };
    let asked = transport.exchange(Endpoint::Directory, request);
    let response = match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return unreachable(chain(&error)),
        Err(_) => return unreachable(format!("{url} does not answer")),
    };
    if !response.status().is_success() {
        return unreachable(format!("{url} answers {}", response.status()));
    }
    let mut diagnoses = vec![Diagnosis::ok(DIRECTORY, url)];
    let told = response.headers().get(DATE).and_then(|date| date.to_str().ok()).and_then(http_date);
    if let Some(told) = told {
        let now = practice.clock.now();
        let skew = now.until(told).max(told.until(now));
        let found = format!("{} s beside the CA's", skew.as_secs());
        let fix = "let chrony or systemd-timesyncd set this machine's clock";
        diagnoses.push(match skew {
            skew if skew > SKEW_MAX => Diagnosis::fail(CLOCK, found, fix),
            skew if skew > SKEW_NOTICED => Diagnosis::warn(CLOCK, found, fix),
            _ => Diagnosis::ok(CLOCK, found),
        });
    }
    diagnoses
}
