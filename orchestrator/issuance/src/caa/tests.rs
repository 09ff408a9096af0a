use proptest::prelude::*;

use super::*;

const ACCOUNT: &str = "https://ca1.example.net/account/1234";

fn property(flags: u8, tag: &str, value: &str) -> Property {
    Property { critical: flags & 0x81 != 0, tag: tag.into(), value: value.into() }
}

/// The verdict for ca1.example.net over HTTP-01.
fn verdict(records: &[(u8, &str, &str)], wildcard: bool) -> Result<(), Objection> {
    let records: Vec<_> = records.iter().map(|&(flags, tag, value)| property(flags, tag, value)).collect();
    let identities = ["ca1.example.net".into()];
    judge(
        &records,
        &Question { identities: &identities, account_url: ACCOUNT, methods: &["http-01"], wildcard },
    )
}

fn allowed(records: &[(u8, &str, &str)]) -> bool {
    verdict(records, false).is_ok()
}

/// The records of RFC 8659 §4.2, §4.3 and §4.5, and of RFC 8657 §3 to §5, and what each section says of them.
#[test]
fn the_examples_of_the_rfcs() {
    // §4.2
    assert!(allowed(&[(0, "issue", "ca1.example.net")]));
    assert!(!allowed(&[(0, "issue", "ca2.example.org")]));
    assert!(allowed(&[(0, "issue", "ca1.example.net"), (0, "issue", "ca2.example.org")]));
    assert!(!allowed(&[(0, "issue", "ca2.example.org; account=230123")]));
    assert!(allowed(&[(0, "issue", "ca1.example.net; account=230123")]), "a parameter that nobody defined");
    assert!(!allowed(&[(0, "issue", ";")]));
    assert!(!allowed(&[(0, "issue", "%%%%%")]), "malformed is as empty");
    // §4.3: wild.example.com and its neighbours
    let wild = [(0, "issue", "ca1.example.net"), (0, "issuewild", "ca2.example.org")];
    assert!(verdict(&wild, false).is_ok() && verdict(&wild, true).is_err());
    let wild2 = [(0, "issue", "ca2.example.org"), (0, "issuewild", "ca1.example.net")];
    assert!(verdict(&wild2, false).is_err() && verdict(&wild2, true).is_ok());
    let wild3 = [(0, "issue", "ca1.example.net"), (0, "issuewild", ";")];
    assert!(verdict(&wild3, false).is_ok() && verdict(&wild3, true).is_err());
    assert!(verdict(&[(0, "issuewild", "ca2.example.org")], false).is_ok(), "says nothing of other names");
    // §4.5
    assert!(!allowed(&[(0, "issue", "ca1.example.net"), (128, "tbs", "Unknown")]));
    assert!(allowed(&[(0, "issue", "ca1.example.net"), (0, "tbs", "Unknown")]));
    assert!(allowed(&[(128, "issue", "ca1.example.net")]), "a critical one that is known");
    // RFC 8657
    let account = "ca1.example.net; accounturi=https://ca1.example.net/account/1234";
    assert!(allowed(&[(0, "issue", account)]));
    let other = "ca1.example.net; accounturi=https://ca1.example.net/account/2345";
    assert_eq!(verdict(&[(0, "issue", other)], false), Err(Objection::Account { tag: "issue" }));
    assert!(allowed(&[(0, "issue", other), (0, "issue", account)]));
    assert!(!allowed(&[(0, "issue", &format!("{account}; accounturi=https://x.test/"))]), "two accounts");
    assert!(allowed(&[(0, "issue", "ca1.example.net; validationmethods=dns-01,http-01")]));
    let dns_only = "ca1.example.net; validationmethods=dns-01";
    let objection = Objection::Method { tag: "issue", allowed: "dns-01".into() };
    assert_eq!(verdict(&[(0, "issue", dns_only)], false), Err(objection));
    assert!(!allowed(&[(0, "issue", "ca1.example.net; validationmethods=")]));
}

#[test]
fn values_are_read_as_the_grammar_says() {
    for value in [
        "ca1.example.net",
        " \tCA1.Example.NET ",
        "ca1.example.net;",
        "ca1.example.net ; ",
        "ca1.example.net; a=b; c-d = e",
        "ca1.example.net; a=",
    ] {
        assert!(allowed(&[(0, "ISSUE", value)]), "{value:?}");
    }
    for value in [
        "",
        "ca1.example.net. ",
        "ca1..example.net",
        "-ca1.example.net",
        "ca1.example.net a=b",
        "ca1.example.net; a",
        "ca1.example.net; a=b;",
        "ca1.example.net;;",
        "ca1.example.net; a=b c",
        "ca1.example.net; a_b=c",
        "ca1.example.net\n",
    ] {
        assert!(!allowed(&[(0, "issue", value)]), "{value:?}");
    }
    assert!(!allowed(&[(1, "future", "x")]), "the low flag is meant as critical");
}

#[test]
fn the_climb_stops_at_the_first_records_and_at_a_failure() {
    let names: Vec<_> = climb("www.shop.example.com").collect();
    assert_eq!(names, ["www.shop.example.com", "shop.example.com", "example.com", "com"]);
    let records = || Found::Records(vec![property(0, "issue", "ca1.example.net")]);
    let at =
        |found: [Found<&'static str>; 3]| match relevant(["w.e.com", "e.com", "com"].into_iter().zip(&found))
        {
            Relevant::Records { at, .. } => at.to_owned(),
            Relevant::Nothing => "nothing".to_owned(),
            Relevant::Failed { at, fault } => format!("{fault} at {at}"),
        };
    assert_eq!(at([Found::Nothing, records(), Found::Failed("timeout")]), "e.com", "what is above is moot");
    assert_eq!(at([Found::Failed("servfail"), records(), Found::Nothing]), "servfail at w.e.com");
    assert_eq!(at([Found::Nothing, Found::Records(Vec::new()), Found::Nothing]), "nothing");
}

#[test]
fn what_to_publish_is_said_exactly() {
    let identities = ["letsencrypt.org".into()];
    let question =
        Question { identities: &identities, account_url: ACCOUNT, methods: &["http-01"], wildcard: false };
    let told = |records: &[(u8, &str, &str)], wildcard| {
        let records: Vec<_> =
            records.iter().map(|&(flags, tag, value)| property(flags, tag, value)).collect();
        let question = Question { wildcard, ..question };
        let objection = judge(&records, &question).expect_err("forbidden");
        format!("{objection} | {}", objection.mend("example.com", &question))
    };
    assert_eq!(
        told(&[(0, "issue", "digicert.com"), (0, "issue", "sectigo.com")], false),
        "let only digicert.com, sectigo.com issue (issue) | publish: example.com. CAA 0 issue \"letsencrypt.org\""
    );
    assert_eq!(
        told(&[(0, "issuewild", ";")], true),
        "let no CA issue (issuewild) | publish: example.com. CAA 0 issuewild \"letsencrypt.org\""
    );
    assert_eq!(
        told(&[(0, "issue", "letsencrypt.org; accounturi=https://else.where/1")], false),
        "let another account of this CA issue only (issue, accounturi) | publish: example.com. CAA 0 issue \
         \"letsencrypt.org; accounturi=https://ca1.example.net/account/1234\""
    );
    assert_eq!(
        told(&[(0, "issue", "letsencrypt.org; validationmethods=dns-01")], false),
        "let this CA issue only after \"dns-01\" (issue, validationmethods) | publish: example.com. CAA 0 issue \
         \"letsencrypt.org; validationmethods=http-01\""
    );
    assert_eq!(
        told(&[(128, "future", "x"), (0, "issue", "letsencrypt.org")], false),
        "have a critical property \"future\" that no CA knows | remove the critical CAA record with the tag \
         \"future\" at example.com"
    );
}

fn properties() -> impl Strategy<Value = Vec<Property>> {
    let tag = prop::sample::select(vec!["issue", "issuewild", "iodef", "tbs", "Issue"]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "ca1.example.net",
            "ca2.example.org",
            ";",
            "ca1.example.net; validationmethods=dns-01",
            "ca1.example.net; accounturi=https://ca1.example.net/account/1234",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,40}",
    ];
    let one = (any::<bool>(), tag, value).prop_map(|(critical, tag, value)| Property {
        critical,
        tag: tag.into(),
        value: value.into(),
    });
    prop::collection::vec(one, 0..6)
}

proptest! {
    /// Records of any content are judged, and what is advised for an objection really lifts it.
    #[test]
    fn what_is_advised_helps(mut records in properties(), wildcard: bool) {
        let identities = ["ca1.example.net".into()];
        let question = Question { identities: &identities, account_url: ACCOUNT, methods: &["http-01"], wildcard };
        for _ in 0..=records.len() {
            let Err(objection) = judge(&records, &question) else { return Ok(()) };
            let advice = objection.mend("example.com", &question);
            if let Objection::Critical { tag } = &objection {
                records.retain(|property| property.tag != *tag);
            } else {
                let told = format!("the CAA records of example.com {objection}; {advice}");
                let permission = Permission::told_in(&told).expect("a record");
                prop_assert_eq!(&*permission.name, "example.com");
                let text = permission.value.strip_prefix("0 ").expect("no flags");
                let (tag, value) = text.split_once(' ').expect("tag and value");
                records.push(property(0, tag, value.trim_matches('"')));
                prop_assert_eq!(judge(&records, &question), Ok(()), "{}", advice);
            }
        }
        prop_assert_eq!(judge(&records, &question), Ok(()));
    }

    /// A record for somebody else never takes away what another one gives, whatever else stands there.
    #[test]
    fn records_for_others_take_nothing_away(mut records in properties(), wildcard: bool) {
        let identities = ["ca1.example.net".into()];
        let question = Question { identities: &identities, account_url: ACCOUNT, methods: &["http-01"], wildcard };
        records.retain(|property| !property.critical);
        for issuer in ["ca1.example.net", "other.example"] {
            records.extend(["issue", "issuewild"].map(|tag| property(0, tag, issuer)));
            prop_assert_eq!(judge(&records, &question), Ok(()));
        }
    }
}
