use super::*;

fn config() -> AuthorityConfig {
    AuthorityConfig {
        zone: Some("acme.host.net".into()),
        name_servers: vec!["ns1.acme.host.net".into(), "ns.elsewhere.net".into()],
        addresses: vec!["192.0.2.1".parse().expect("an address")],
        ..AuthorityConfig::default()
    }
}

fn zone() -> OwnZone {
    OwnZone::of(&config()).expect("it is right").expect("it is there")
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect(text);
    name.set_fqdn(true);
    name
}

/// Types of the answers, the code, and the types of the authorities.
fn told(
    asked: &str,
    record_type: RecordType,
    texts: Option<&[&str]>,
) -> (Vec<RecordType>, ResponseCode, bool) {
    let texts: Option<Vec<String>> = texts.map(|texts| texts.iter().map(|&text| text.to_owned()).collect());
    let answer = zone().answer(&name(asked), record_type, texts.as_deref());
    assert!(answer.authoritative);
    let types = answer.answers.iter().map(Record::record_type).collect();
    let soa =
        answer.authorities.iter().any(|record| record.record_type() == RecordType::SOA && record.ttl == 1);
    (types, answer.code, soa)
}

#[test]
fn values_stand_side_by_side_and_keep_the_spelling_of_the_question() {
    let answer =
        zone().answer(&name("X7.aCme.host.net"), RecordType::TXT, Some(&["one".into(), "two".into()]));
    let told: Vec<_> = answer.answers.iter().map(|record| (record.name.to_string(), record.ttl)).collect();
    assert_eq!(told, [("X7.aCme.host.net.".to_owned(), 1), ("X7.aCme.host.net.".to_owned(), 1)]);
    assert!(answer.authorities.is_empty());
}

#[test]
fn a_name_that_is_not_there_and_a_type_that_is_not_there_differ_in_the_code_alone() {
    let code = |code| (Vec::new(), code, true);
    assert_eq!(told("x.acme.host.net", RecordType::TXT, None), code(ResponseCode::NXDomain));
    assert_eq!(told("x.acme.host.net", RecordType::A, None), code(ResponseCode::NXDomain));
    assert_eq!(told("x.acme.host.net", RecordType::A, Some(&["one"])), code(ResponseCode::NoError));
    assert_eq!(told("x.acme.host.net", RecordType::CAA, Some(&["one"])), code(ResponseCode::NoError));
    assert_eq!(told("acme.host.net", RecordType::TXT, Some(&[])), code(ResponseCode::NoError));
}

#[test]
fn the_apex_has_what_a_zone_needs() {
    assert_eq!(told("acme.host.net", RecordType::SOA, Some(&[])).0, [RecordType::SOA]);
    assert_eq!(told("acme.host.net", RecordType::NS, Some(&[])).0, [RecordType::NS, RecordType::NS]);
    assert_eq!(told("ns1.acme.host.net", RecordType::A, Some(&[])).0, [RecordType::A]);
    assert_eq!(
        told("ns1.acme.host.net", RecordType::AAAA, Some(&[])),
        (Vec::new(), ResponseCode::NoError, true)
    );
    assert_eq!(told("acme.host.net", RecordType::ANY, Some(&[])).0, [RecordType::HINFO]);
    let glue = zone().answer(&name("acme.host.net"), RecordType::NS, Some(&[])).additionals;
    assert_eq!(glue.len(), 1);
}

#[test]
fn it_answers_for_nothing_else() {
    let question = |asked: &str, record_type| zone().question(&name(asked), record_type);
    let refused = Err(Answer::error(ResponseCode::Refused));
    assert_eq!(question("host.net", RecordType::TXT), refused);
    assert_eq!(question("xacme.host.net", RecordType::TXT), refused);
    assert_eq!(question("example.com", RecordType::TXT), refused);
    assert_eq!(question("acme.host.net", RecordType::AXFR), refused);
    assert_eq!(question("ACME.host.net", RecordType::SOA), Ok(Question::Known));
    assert_eq!(question("ns1.acme.host.net", RecordType::A), Ok(Question::Known));
    let record = RecordName::parse("x.acme.host.net").expect("a name");
    assert_eq!(question("X.acme.host.net", RecordType::TXT), Ok(Question::Record(record)));
    assert_eq!(question("a.b.acme.host.net", RecordType::TXT), Ok(Question::Nothing));
    assert_eq!(question("*.acme.host.net", RecordType::TXT), Ok(Question::Nothing));
}

#[test]
fn a_zone_that_nobody_could_find_is_refused() {
    let with = |change: fn(&mut AuthorityConfig)| {
        let mut config = config();
        change(&mut config);
        OwnZone::of(&config).map(|zone| zone.is_some()).map_err(|error| error.to_string())
    };
    assert_eq!(with(|config| config.zone = None), Ok(false));
    assert!(with(|config| config.name_servers.clear()).is_err());
    assert!(with(|config| config.addresses.clear()).is_err_and(|told| told.contains("ns1.acme.host.net")));
    assert!(with(|config| config.zone = Some("acme host".into())).is_err());
}
