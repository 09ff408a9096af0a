//! Names for made-up fleets: real registered domains, so that their lengths and suffixes are realistic.

use std::collections::HashSet;

use issuance::identifier::Hostname;
use rand::Rng;
use rand::seq::SliceRandom;

/// Source and licence: `data/README.md`.
const REGISTERED_DOMAINS: &str = include_str!("../../data/registered-domains.txt");

/// This many different names in an order drawn from `rng`: registered domains first, and when those run
/// out, shops below them, as in `shop001.example.com`.
pub(super) fn draw(count: usize, rng: &mut impl Rng) -> Vec<Hostname> {
    let mut domains = registered_domains();
    domains.shuffle(rng);
    let shops = (1_usize..).flat_map(|round| {
        let shop = move |domain: &Hostname| Hostname::parse(&format!("shop{round:03}.{domain}")).ok();
        domains.iter().filter_map(shop)
    });
    domains.iter().cloned().chain(shops).take(count).collect()
}

fn registered_domains() -> Vec<Hostname> {
    let mut seen = HashSet::new();
    REGISTERED_DOMAINS
        .lines()
        .filter_map(|line| Hostname::parse(line).ok())
        .filter(|name| name.registered_domain() == name.as_str() && seen.insert(name.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_list_is_long_enough_for_a_fleet_of_twelve_thousand() {
        assert!(registered_domains().len() >= 12_000, "only {} names are good", registered_domains().len());
    }

    #[test]
    fn names_beyond_the_list_are_derived_and_still_different() {
        let listed = registered_domains().len();
        let names = draw(2 * listed + 10, &mut StdRng::seed_from_u64(1));
        assert_eq!(names.len(), 2 * listed + 10);
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        assert_eq!(names[listed].as_str(), format!("shop001.{}", names[0]));
        assert_eq!(names[2 * listed].as_str(), format!("shop002.{}", names[0]));
    }
}
