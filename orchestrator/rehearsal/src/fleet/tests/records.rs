//! The DNS server keeps to the protocol.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::{Sight, addresses, ask_udp, exchange_udp, name, resolver, start};
use crate::fleet::{Caa, Fault, Fleet, Hits, Site};

async fn one_site() -> Fleet {
    start(vec![Site::healthy(vec![name("example.com"), name("www.example.com")])]).await
}

async fn texts(fleet: &Fleet, of: &str) -> Vec<String> {
    let lookup = resolver(fleet).lookup(format!("{of}."), RecordType::TXT).await.unwrap();
    let mut texts: Vec<_> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::TXT(text) => Some(String::from_utf8(text.txt_data.concat()).unwrap()),
            _ => None,
        })
        .collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn the_spelling_of_the_question_is_echoed() {
    let fleet = one_site().await;
    let answer = ask_udp(&fleet, "wWw.eXamPLE.Com.", RecordType::A).await;
    assert_eq!(answer.metadata.id, 4711);
    assert_eq!(answer.queries[0].name().to_ascii(), "wWw.eXamPLE.Com.");
    assert_eq!(answer.answers[0].name.to_ascii(), "wWw.eXamPLE.Com.");
    assert_eq!(answer.answers[0].data.ip_addr(), Some(fleet.server_addresses()[0].into()));
    assert!(answer.metadata.authoritative);
}

#[tokio::test]
async fn text_records_come_and_go() {
    let fleet = one_site().await;
    let challenge = "_acme-challenge.www.example.com";
    assert_eq!(addresses(&fleet, challenge, RecordType::TXT).await, Err(Sight::Nxdomain));
    fleet.set_txt("_ACME-challenge.WWW.example.com.", &["one", "two"]);
    assert_eq!(texts(&fleet, challenge).await, ["one", "two"]);
    fleet.set_txt(challenge, &["three"]);
    assert_eq!(texts(&fleet, challenge).await, ["three"]);
    fleet.set_txt(challenge, &[]);
    assert_eq!(addresses(&fleet, challenge, RecordType::TXT).await, Err(Sight::Nxdomain));
    assert_eq!(fleet.hits(&name("www.example.com")).dns, 4);
    assert_eq!(fleet.hits(&name("example.com")), Hits::default());
}

#[tokio::test]
async fn a_long_answer_is_cut_off_over_udp_and_whole_over_tcp() {
    let fleet = one_site().await;
    let mut values: Vec<_> = (0..40).map(|place| format!("{place:02}{}", "x".repeat(300))).collect();
    fleet.set_txt("example.com", &values.iter().map(String::as_str).collect::<Vec<_>>());
    let cut = ask_udp(&fleet, "example.com.", RecordType::TXT).await;
    assert!(cut.metadata.truncation);
    assert!(cut.answers.is_empty());
    values.sort();
    assert_eq!(texts(&fleet, "example.com").await, values);
}

#[tokio::test]
async fn a_client_with_edns_gets_more_over_udp() {
    let fleet = one_site().await;
    fleet.set_txt("example.com", &[&"x".repeat(800)]);
    assert!(ask_udp(&fleet, "example.com.", RecordType::TXT).await.metadata.truncation);
    let mut request = Message::new(1, MessageType::Query, OpCode::Query);
    request.add_query(Query::query(Name::from_ascii("example.com.").unwrap(), RecordType::TXT));
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    request.set_edns(edns);
    let answer = exchange_udp(&fleet, &request.to_vec().unwrap()).await;
    assert!(!answer.metadata.truncation);
    assert_eq!(answer.answers.len(), 1);
    assert!(answer.edns.is_some());
}

#[tokio::test]
async fn an_alias_is_followed_to_its_end() {
    let fleet = one_site().await;
    fleet.set_cname("www.example.com", Some("cdn.example.net"));
    assert_eq!(addresses(&fleet, "www.example.com", RecordType::A).await, Err(Sight::Nxdomain));
    fleet.set_cname("cdn.example.net", Some("example.com"));
    let answer = ask_udp(&fleet, "www.example.com.", RecordType::A).await;
    let types: Vec<_> = answer.answers.iter().map(hickory_proto::rr::Record::record_type).collect();
    assert_eq!(types, [RecordType::CNAME, RecordType::CNAME, RecordType::A]);
    let seen = addresses(&fleet, "www.example.com", RecordType::A).await.unwrap();
    assert_eq!(seen, [std::net::IpAddr::from(fleet.server_addresses()[0])]);
    fleet.set_fault(&name("example.com"), Some(Fault::Servfail));
    assert_eq!(addresses(&fleet, "www.example.com", RecordType::A).await, Err(Sight::Servfail));
    fleet.set_cname("www.example.com", None);
    assert!(addresses(&fleet, "www.example.com", RecordType::A).await.is_ok());
}

#[tokio::test]
async fn a_ring_of_aliases_is_a_server_failure() {
    let fleet = one_site().await;
    fleet.set_cname("www.example.com", Some("example.com"));
    fleet.set_cname("example.com", Some("www.example.com"));
    let answer = ask_udp(&fleet, "example.com.", RecordType::A).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(answer.answers.is_empty());
}

#[tokio::test]
async fn a_challenge_may_be_delegated_by_alias() {
    let fleet = one_site().await;
    fleet.set_cname("_acme-challenge.example.com", Some("abc.validation.example.org"));
    fleet.set_txt("abc.validation.example.org", &["delegated"]);
    assert_eq!(texts(&fleet, "_acme-challenge.example.com").await, ["delegated"]);
}

#[tokio::test]
async fn the_registered_domain_is_a_zone() {
    let fleet = one_site().await;
    let start_of = ask_udp(&fleet, "example.com.", RecordType::SOA).await;
    assert!(
        matches!(&start_of.answers[0].data, RData::SOA(soa) if soa.mname.to_ascii() == "ns1.example.com.")
    );
    let servers = ask_udp(&fleet, "example.com.", RecordType::NS).await;
    assert!(matches!(&servers.answers[0].data, RData::NS(server) if server.to_ascii() == "ns1.example.com."));
    let glue = addresses(&fleet, "ns1.example.com", RecordType::A).await.unwrap();
    assert_eq!(glue, [fleet.dns_addr().ip()]);

    let below = ask_udp(&fleet, "www.example.com.", RecordType::SOA).await;
    assert!(below.answers.is_empty());
    assert_eq!(below.metadata.response_code, ResponseCode::NoError);
    assert_eq!(below.authorities[0].name.to_ascii(), "example.com.");
    let unknown = ask_udp(&fleet, "ftp.example.com.", RecordType::A).await;
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(unknown.authorities[0].name.to_ascii(), "example.com.");
}

#[tokio::test]
async fn caa_is_found_where_it_stands_and_nowhere_else() {
    let fleet = one_site().await;
    let caa = Caa { critical: true, tag: "issue".into(), value: "ca.example.net; accounturi=x".into() };
    fleet.set_caa("example.com", &[caa]);
    let answer = ask_udp(&fleet, "example.com.", RecordType::CAA).await;
    let RData::CAA(found) = &answer.answers[0].data else { panic!("{answer}") };
    assert!(found.issuer_critical);
    assert_eq!(
        (found.tag.as_str(), found.value.as_slice()),
        ("issue", b"ca.example.net; accounturi=x".as_slice())
    );
    // A CA climbs from the name to the root (RFC 8659 §3): what stands above a known name exists.
    for empty in ["www.example.com.", "com."] {
        let answer = ask_udp(&fleet, empty, RecordType::CAA).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError, "{empty}");
        assert!(answer.answers.is_empty(), "{empty}");
    }
}

#[tokio::test]
async fn what_is_no_question_is_answered_as_such() {
    let fleet = one_site().await;
    let garbled = exchange_udp(&fleet, &[0x12, 0x34, 0xff]).await;
    assert_eq!(garbled.metadata.id, 0x1234);
    assert_eq!(garbled.metadata.response_code, ResponseCode::FormErr);
    let mut update = Message::new(7, MessageType::Query, OpCode::Notify);
    update.add_query(Query::query(Name::from_ascii("example.com.").unwrap(), RecordType::SOA));
    let answer = exchange_udp(&fleet, &update.to_vec().unwrap()).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NotImp);
    let empty = Message::new(8, MessageType::Query, OpCode::Query).to_vec().unwrap();
    assert_eq!(exchange_udp(&fleet, &empty).await.metadata.response_code, ResponseCode::FormErr);
}
