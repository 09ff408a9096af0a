//! The fleet behind the dashboard: sites of a few customers, some of them broken in ways that differ.

use std::fmt::Write as _;

use issuance::identifier::Hostname;
use lockkeeper_tests::world::hostname;
use rehearsal::fleet::{Fault, Site};

/// Customers, as the panel names them.
pub(crate) const TENANTS: [&str; 4] = ["harbour", "kestrel", "northwind", "oak-and-sons"];

/// A site and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Hosted {
    pub(crate) tenant: &'static str,
    pub(crate) site: Site,
}

fn hosted(tenant: &'static str, names: &[&str], fault: Option<Fault>) -> Hosted {
    let names: Vec<Hostname> = names.iter().map(|name| hostname(name)).collect();
    let site = match fault {
        None => Site::healthy(names),
        Some(fault) => Site::broken(names, fault),
    };
    Hosted { tenant, site }
}

/// Its check at home passes, and what the CA would ask for is not served: its authorization stays pending.
pub(crate) const STUCK: [&str; 3] = ["stuck-tide.com", "stuck-weir.com", "stuck-lock.com"];
/// Fails at the CA once. The order after that one is cancelled at the CA, and what is left waits until settling it costs
/// nothing.
pub(crate) const DEAR: [&str; 2] = ["dear-mill.com", "dear-forge.com"];

/// Sites whose names are certified, unless something is broken about them.
pub(crate) fn sites() -> Vec<Hosted> {
    let mut sites: Vec<Hosted> = (0..12)
        .map(|nr| {
            let apex = format!("bakery-{nr}.com");
            let www = format!("www.{apex}");
            hosted(TENANTS[nr % TENANTS.len()], &[&apex, &www], None)
        })
        .collect();
    let broken = [
        ("harbour", "moved-away.com", Fault::WrongAddress),
        ("kestrel", "sold-last-year.com", Fault::WrongAddress),
        ("northwind", "parked-elsewhere.com", Fault::WrongAddress),
        ("harbour", "typing-eror.com", Fault::Nxdomain),
        ("oak-and-sons", "gone-for-good.com", Fault::Nxdomain),
        ("kestrel", "no-address-yet.com", Fault::NoAddress),
        ("northwind", "half-configured.com", Fault::NotFound),
        ("oak-and-sons", "front-page-for-all.com", Fault::WrongBody),
        ("kestrel", "round-and-round.com", Fault::RedirectLoop),
        ("harbour", "nobody-listens.com", Fault::Refused),
    ];
    sites.extend(broken.map(|(tenant, name, fault)| hosted(tenant, &[name], Some(fault))));
    sites.extend(STUCK.map(|name| hosted("northwind", &[name], Some(Fault::WrongForCa))));
    sites.extend(DEAR.map(|name| hosted("oak-and-sons", &[name], Some(Fault::BreaksAfter(2)))));
    sites
}

/// The file with which they come, and two rows that nobody can take.
pub(crate) fn csv(sites: &[Hosted]) -> String {
    let mut csv = String::from("tenant,external_id,names,challenge,labels\n");
    for (place, Hosted { tenant, site }) in sites.iter().enumerate() {
        let names: Vec<_> = site.names.iter().map(Hostname::as_str).collect();
        let _ = writeln!(csv, "{tenant},site-{place},{},http-01,server=web-{}", names.join(" "), place % 3);
    }
    csv.push_str("harbour,site-of-all,co.uk,http-01,\nharbour,site-unproven,*.bakery-0.com,http-01,\n");
    csv
}
