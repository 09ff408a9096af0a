//! Other clients in the same scenarios, and a row of ours beside them.

use lockkeeper_tests::world::Truth;

/// Left pending / created, with 20 orders of two names each (fewer where the total says so); what became of the rest
/// is v(alid), i(nvalid), d(eactivated). Measured on Debian 12 with Pebble 2.4; a dash is a scenario a client was not
/// run in.
struct Peers {
    scenario: &'static str,
    what: &'static str,
    certbot: &'static str,
    lego: &'static str,
    dehydrated: &'static str,
    uacme: &'static str,
    caddy: &'static str,
    mod_md: &'static str,
}

/// certbot 5.8.0, lego 4.9.1, dehydrated 0.7.0, uacme 1.7.4, Caddy 2.6.2, `mod_md` 2.4.71.
const PEERS: [Peers; 10] = [
    Peers {
        scenario: "a",
        what: "success",
        certbot: "0 / 40 (40v)",
        lego: "0 / 40 (40v)",
        dehydrated: "0 / 40 (40v)",
        uacme: "0 / 40 (40v)",
        caddy: "0 / 40 (40v)",
        mod_md: "0 / 40 (40v)",
    },
    Peers {
        scenario: "b2",
        what: "the response cannot be served",
        certbot: "40 / 40",
        lego: "0 / 40 (40d)",
        dehydrated: "40 / 40",
        uacme: "40 / 40",
        caddy: "0 / 80 (80d)",
        mod_md: "40 / 40",
    },
    Peers {
        scenario: "c0",
        what: "SIGKILL while new-order is being answered",
        certbot: "10 / 10",
        lego: "10 / 10",
        dehydrated: "–",
        uacme: "10 / 10",
        caddy: "10 / 20 (10v)",
        mod_md: "10 / 20 (10v)",
    },
    Peers {
        scenario: "c9",
        what: "SIGKILL after new-order, before the challenge is accepted",
        certbot: "40 / 40",
        lego: "40 / 40",
        dehydrated: "40 / 40",
        uacme: "40 / 40",
        caddy: "40 / 80 (40v)",
        mod_md: "0 / 40 (40v)",
    },
    Peers {
        scenario: "c15",
        what: "SIGTERM at that moment",
        certbot: "40 / 40",
        lego: "40 / 40",
        dehydrated: "40 / 40",
        uacme: "40 / 40",
        caddy: "40 / 80 (40v)",
        mod_md: "0 / 40 (40v)",
    },
    Peers {
        scenario: "d1",
        what: "presenting fails for both names",
        certbot: "0 / 40 (40i)",
        lego: "0 / 40 (40d)",
        dehydrated: "40 / 40",
        uacme: "40 / 40",
        caddy: "–",
        mod_md: "–",
    },
    Peers {
        scenario: "d2",
        what: "presenting fails for www. only",
        certbot: "0 / 40 (20v 20i)",
        lego: "0 / 40 (20v 20d)",
        dehydrated: "40 / 40",
        uacme: "30 / 40 (10v)",
        caddy: "–",
        mod_md: "–",
    },
    Peers {
        scenario: "e1",
        what: "the second name fails validation",
        certbot: "0 / 40 (20v 20i)",
        lego: "0 / 40 (20v 20d)",
        dehydrated: "9 / 40 (11v 20i)",
        uacme: "9 / 40 (11v 20i)",
        caddy: "0 / 140 (20v 80i 40d)",
        mod_md: "0 / 106 (53v 53i)",
    },
    Peers {
        scenario: "e2",
        what: "the first name fails validation",
        certbot: "0 / 40 (20v 20i)",
        lego: "0 / 40 (20v 20d)",
        dehydrated: "8 / 40 (12v 20i)",
        uacme: "8 / 40 (12v 20i)",
        caddy: "–",
        mod_md: "–",
    },
    Peers {
        scenario: "f2",
        what: "the answer to new-order comes after the time-out",
        certbot: "40 / 40",
        lego: "40 / 40",
        dehydrated: "0 / 40 (40v)",
        uacme: "0 / 40 (40v)",
        caddy: "20 / 20",
        mod_md: "10 / 10",
    },
];

/// Prints the scenario's row.
#[expect(clippy::print_stdout, reason = "the row is for whoever runs the tests with their output shown")]
pub(crate) fn print(scenario: &str, truth: &Truth) {
    let Some(peers) = PEERS.iter().find(|peers| peers.scenario == scenario) else {
        panic!("{scenario} is no scenario");
    };
    let Peers { what, certbot, lego, dehydrated, uacme, caddy, mod_md, .. } = peers;
    println!(
        "| {scenario} | {what} | lockkeeper {truth} | certbot {certbot} | lego {lego} \
         | dehydrated {dehydrated} | uacme {uacme} | Caddy {caddy} | mod_md {mod_md} |"
    );
}
