//! Zones of BIND, behind a BIND that validates.

use issuance::fault::FailureClass as C;
use lockkeeper_tests::named::{Signatures, SignedZone};

use crate::topology::{Class, Topology, broken, odd};

/// Zones, each with what is so of it and the name in it that is ordered. `None`: it passes.
const TABLE: &[(&str, &str, Option<C>, SignedZone)] = &[
    (
        "signatures have expired",
        "www.s-expired.com",
        BOGUS,
        zone("s-expired.com", "www A 127.0.1.1", Signatures::Expired),
    ),
    (
        "signatures begin in years",
        "www.s-future.com",
        BOGUS,
        zone("s-future.com", "www A 127.0.1.1", Signatures::Future),
    ),
    (
        "the DS record is of another key",
        "www.s-other-key.com",
        BOGUS,
        zone("s-other-key.com", "www A 127.0.1.1", Signatures::OtherKey),
    ),
    (
        "a DS record, and no signature any more",
        "www.s-stripped.com",
        BOGUS,
        zone("s-stripped.com", "www A 127.0.1.1", Signatures::Stripped),
    ),
    (
        "the address was changed after signing",
        "www.s-changed.com",
        BOGUS,
        zone(
            "s-changed.com",
            "www A 127.0.1.2",
            Signatures::Edited(|line| line.replace("127.0.1.2", "127.0.1.1")),
        ),
    ),
    (
        "the address has no signature",
        "www.s-unsigned.com",
        BOGUS,
        zone("s-unsigned.com", "www A 127.0.1.1", Signatures::Edited(|line| without(line, "www.", " A "))),
    ),
    (
        "the keys' own signature is broken",
        "www.s-keys.com",
        BOGUS,
        zone("s-keys.com", "www A 127.0.1.1", Signatures::Edited(|line| garbled(line, " DNSKEY "))),
    ),
    (
        "that there is no CAA record cannot be proven",
        "www.s-denial.com",
        BOGUS,
        zone("s-denial.com", "www A 127.0.1.1", Signatures::Edited(|line| garbled(line, " NSEC "))),
    ),
    (
        "the CAA record was changed after signing",
        "www.s-caa.com",
        BOGUS,
        zone(
            "s-caa.com",
            "www A 127.0.1.1\nwww CAA 0 issue \"other.example\"",
            Signatures::Edited(|line| line.replace("other.example", "rehearsal.invalid")),
        ),
    ),
    (
        "an alias into a zone whose signatures have expired",
        "www.s-alias.com",
        BOGUS,
        zone("s-alias.com", "www CNAME www.s-expired.com.", Signatures::Good),
    ),
    ("well signed", "www.s-good.com", None, zone("s-good.com", "www A 127.0.1.1", Signatures::Good)),
    (
        "signed, and no DS record above",
        "www.s-island.com",
        None,
        zone("s-island.com", "www A 127.0.1.1", Signatures::Unanchored),
    ),
    ("not signed", "www.s-plain.com", None, zone("s-plain.com", "www A 127.0.1.1", Signatures::Absent)),
    (
        "an alias out of a signed zone into one that is not",
        "www.s-out.com",
        None,
        zone("s-out.com", "www CNAME www.s-plain.com.", Signatures::Good),
    ),
];

const BOGUS: Option<C> = Some(C::Dnssec);

const fn zone(name: &'static str, records: &'static str, signatures: Signatures) -> SignedZone {
    SignedZone { name, records, signatures }
}

pub(crate) fn table() -> Vec<Topology> {
    let topology = |(what, name, cause, _): &(&'static str, &'static str, Option<C>, SignedZone)| match cause
    {
        Some(cause) => broken(Class::Dnssec, what, name, [], *cause),
        None => odd(Class::Dnssec, what, name, []),
    };
    TABLE.iter().map(topology).collect()
}

pub(crate) fn zones() -> impl Iterator<Item = &'static SignedZone> {
    TABLE.iter().map(|(.., zone)| zone)
}

/// Takes a signature away.
fn without(line: &str, owner: &str, of: &str) -> String {
    let line_of = line.replace('\t', " ");
    let is_it = line_of.starts_with(owner) && line_of.contains(&format!(" IN RRSIG{of}"));
    if is_it { String::new() } else { line.to_owned() }
}

/// Spoils a signature.
fn garbled(line: &str, of: &str) -> String {
    let line_of = line.replace('\t', " ");
    if !line_of.contains(&format!(" IN RRSIG{of}")) {
        return line.to_owned();
    }
    let (front, signature) = line.rsplit_once([' ', '\t']).expect("a signature is the last word");
    let flipped = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{front} {flipped}{}", &signature[1..])
}
