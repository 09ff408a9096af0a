//! The world of a cell: a small fleet of which a part is broken, and a CA that is strict and short of room.

use lockkeeper_tests::settings::Settings;
use lockkeeper_tests::world::{CaChoice, Plan, hostname};
use rand::Rng as _;
use rand::rngs::StdRng;
use rehearsal::fleet::{Damage, Extent, Fault, Site};
use rehearsal::rules::{AsyncFinalize, CaRules};

use crate::cell::Manners;

/// Most that may be pending at the CA, over all services.
pub(crate) const PENDING_MAX: u32 = 12;
/// Of these, for asking again.
pub(crate) const RECOVERY_RESERVE: u32 = 4;
/// The least a lease can be: a request may take two seconds of it.
pub(crate) const LEASE_SECONDS: u32 = 12;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const PENDING_SECONDS: u64 = 3 * HOUR;
const ORDER_SECONDS: u64 = 6 * HOUR;

/// Good sites of one to four names, and one broken in each way that matters at the CA or before it.
pub(crate) fn sites(chance: &mut StdRng) -> Vec<Site> {
    let mut sites: Vec<Site> =
        (0..6).map(|place| site(&format!("good{place}"), chance.random_range(1..=4))).collect();
    sites.push(broken("unseen", 2, 1, Fault::WrongForCa));
    sites.push(broken("fails", 2, 0, Fault::BreaksAfter(2)));
    sites.push(broken("half", 3, 2, Fault::NotFound));
    sites.push(broken("gone", 1, 0, Fault::Nxdomain));
    sites
}

/// Sites that are all good.
pub(crate) fn good_sites(count: usize, names: usize) -> Vec<Site> {
    (0..count).map(|place| site(&format!("good{place}"), names)).collect()
}

fn site(stem: &str, names: usize) -> Site {
    let prefixes = ["", "www.", "shop.", "blog."];
    Site::healthy(
        prefixes.iter().take(names).map(|prefix| hostname(&format!("{prefix}{stem}.com"))).collect(),
    )
}

fn broken(stem: &str, names: usize, place: usize, fault: Fault) -> Site {
    Site { damage: Some(Damage { extent: Extent::Name(place), fault }), ..site(stem, names) }
}

pub(crate) fn plan(sites: Vec<Site>, manners: Manners) -> Plan {
    let settings = Settings {
        permits: 4,
        lease_seconds: LEASE_SECONDS,
        drain_seconds: 5,
        poll_interval_ms: 40,
        reconcile_seconds: Some(1),
        pending: Some((PENDING_MAX, RECOVERY_RESERVE)),
        ..Settings::default()
    };
    let ca = CaChoice::Rehearsal(rules(manners));
    Plan { ca, settings, profile: Some(profile(manners)), ..Plan::new(sites) }
}

fn rules(manners: Manners) -> CaRules {
    let boulder = CaRules::default();
    let mut default_profile = boulder.default_profile.clone();
    default_profile.pending_authorization_seconds = PENDING_SECONDS;
    default_profile.order_seconds = ORDER_SECONDS;
    default_profile.valid_authorization_seconds = 30 * DAY;
    let own = CaRules {
        nonce_rejection: 0.0,
        validation_timeout_ms: 2_000,
        pending_authorizations_max: Some(PENDING_MAX),
        default_profile,
        ..boulder
    };
    match manners {
        Manners::Boulder => own,
        // Nobody stops us here: the peak shows how much was pending.
        Manners::Listing => CaRules {
            order_reuse: false,
            orders_list: true,
            orders_per_page: 3,
            conflict_on_resubmission: false,
            charges_deactivation: false,
            async_finalize: Some(AsyncFinalize { delay_ms: 30, retry_after_seconds: 1 }),
            pending_authorizations_max: None,
            ..own
        },
        Manners::Forgetful => CaRules { order_reuse: false, pending_authorizations_max: None, ..own },
    }
}

fn profile(manners: Manners) -> String {
    let (charges, reuses, lists) = match manners {
        Manners::Boulder => (true, true, false),
        Manners::Listing => (false, false, true),
        Manners::Forgetful => (true, false, false),
    };
    let rates =
        ["new_nonce", "new_account", "new_order", "revoke_cert", "renewal_info", "directory", "other"];
    let rates: String = rates.iter().map(|rate| format!("{rate} = 0\n")).collect();
    format!(
        "name = \"matrix\"\npending_authorizations_max = {PENDING_MAX}\nrecovery_reserve = {RECOVERY_RESERVE}\n\
         charges_deactivation = {charges}\nreuses_pending_order = {reuses}\nlists_orders = {lists}\n\
         pending_authorization_seconds = {PENDING_SECONDS}\norder_seconds = {ORDER_SECONDS}\n\
         quiet_seconds = 6\nresubmit_seconds = 4\nasks_max = 3\nnames_max = 100\n\
         poll_first_ms = 25\npoll_max_ms = 500\n\n[requests_per_second]\n{rates}"
    )
}
