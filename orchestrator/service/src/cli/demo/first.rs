//! A first certificate over the API, for whoever has just seen the demo: two lines for a shell.

use std::net::SocketAddr;
use std::path::Path;

use issuance::identifier::Hostname;

/// A site of the fleet for which nobody has asked so far.
pub const SITE: &str = "my-first-lock.com";
/// Where the service is and who asks stands in `API` and `TOKEN`. The README has the same lines.
pub const LINES: [&str; 2] = [
    r#"curl -X PUT -H "Authorization: Bearer $TOKEN" -H 'Prefer: wait=30' --json '{"tenant":"me"}' $API/v1/hostnames/my-first-lock.com"#,
    r#"curl -H "Authorization: Bearer $TOKEN" "$API/v1/caddy/certificate?server_name=my-first-lock.com" > my-first-lock.pem"#,
];

pub(super) fn site() -> Hostname {
    Hostname::parse(SITE).expect("it is one")
}

/// The lines, with the variables that they take.
pub(super) fn told(api: SocketAddr, data: &Path) -> String {
    let [put, fetch] = LINES;
    let token = data.join("operator.token");
    let token = token.display();
    format!(
        "Your first certificate over the API (the site is there, and nobody has asked for it)\n  \
         API=http://{api} TOKEN=$(cat {token})\n  {put}\n  {fetch}"
    )
}
