//! Sites, and the file in which a hosting provider would import them.

use std::fmt::Write as _;

use issuance::identifier::Hostname;
use rehearsal::fleet::Site;

/// The file a hosting provider would import for these sites, one tenant each ten.
pub fn csv(sites: &[Site]) -> String {
    let mut csv = String::from("tenant,external_id,names,challenge,labels\n");
    for (place, site) in sites.iter().enumerate() {
        let names: Vec<_> = site.names.iter().map(Hostname::as_str).collect();
        let _ = writeln!(csv, "tenant-{},site-{place},{},http-01,", place / 10, names.join(" "));
    }
    csv
}

/// Healthy sites of two names, `site-N.example.TLD` being no public suffix.
pub fn pairs(stem: &str, count: usize) -> Vec<Site> {
    (0..count)
        .map(|place| {
            let apex = format!("{stem}-{place}.com");
            let www = format!("www.{apex}");
            Site::healthy(vec![hostname(&apex), hostname(&www)])
        })
        .collect()
}

/// A name that is known to be one.
pub fn hostname(name: &str) -> Hostname {
    Hostname::parse(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}
