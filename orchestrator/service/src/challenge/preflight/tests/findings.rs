//! What is told of each single check.

use issuance::check::{Check, Outcome, Waived};

use super::*;

#[tokio::test]
async fn each_check_says_where_it_found_what() {
    let web = Web::start().await;
    web.serve("127.0.0.11", |_| reply("404 Not Found", "Server: shared-hosting/7\r\n", "no")).await;
    let report = check(&web, Zone::at(&["127.0.0.1", "127.0.0.11", "127.0.1.1"])).await;
    let failed: Vec<_> = report
        .findings
        .iter()
        .filter(|one| one.outcome == Outcome::Failed)
        .map(|one| (one.check, one.at.as_deref().expect("a place"), &*one.observed))
        .collect();
    let [(Check::PublicAddress, "127.0.1.1", private), (Check::Response, "127.0.0.11", other)] = failed[..]
    else {
        panic!("{failed:?}");
    };
    assert!(private.contains("not a public address"), "{private}");
    assert_eq!(other, "the status is 404 from the server \"shared-hosting/7\"");
    assert_eq!(report.alarms(), [Check::PublicAddress, Check::Response]);
    // The one that is private was asked for nothing, so no check behind that has passed everywhere.
    assert!(report.passed().contains(&Check::Dns) && !report.passed().contains(&Check::Response));
}

#[tokio::test]
async fn a_server_that_speaks_another_protocol_is_known_by_its_greeting() {
    let web = Web::start().await;
    web.serve("127.0.0.11", |_| Reply::Send("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".to_owned())).await;
    let report = check(&web, Zone::at(&["127.0.0.11"])).await;
    assert_eq!(class_of(&report), FailureClass::NotHttp);
    assert!(detail_of(&report).contains("SSH-2.0-OpenSSH_9.2p1"), "{report:?}");
}

#[tokio::test]
async fn what_is_waived_keeps_nobody_back_and_is_told_all_the_same() {
    let web = Web::start().await;
    web.serve("127.0.0.11", |_| reply("404 Not Found", "", "no")).await;
    let report = check(&web, Zone::at(&["127.0.0.1", "127.0.0.11"])).await;
    assert_eq!(class_of(&report), FailureClass::HttpStatus);
    let judged = |checks: &[Check]| report.judged(&checks.iter().copied().collect::<Waived>());
    assert_eq!(judged(&[Check::Response]), Verdict::Ready);
    assert_eq!(judged(&[Check::Nodes]), report.verdict);
    assert!(report.findings.iter().any(|one| one.check == Check::Response && one.outcome == Outcome::Failed));

    let gone = check(&web, Zone::Rcode(ResponseCode::NXDomain)).await;
    assert_eq!(gone.judged(&[Check::Response].into_iter().collect()), gone.verdict);
    assert_eq!(gone.judged(&[Check::Dns].into_iter().collect()), Verdict::Ready);
}
