//! Web servers that answer by themselves, with an account's thumbprint.

use super::*;

const THUMBPRINT: &str = "nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";
const ANOTHER: &str = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ";

/// Answers any token as a stateless web server does.
fn by_itself(head: &str, thumbprint: &str) -> Reply {
    let token = head.split(' ').nth(1).and_then(|path| path.strip_prefix(CHALLENGE_PATH)).unwrap_or_default();
    reply("200 OK", "", &format!("{token}.{thumbprint}"))
}

#[tokio::test]
async fn the_accounts_thumbprint_is_as_good_as_our_responder() {
    let web = Web::start().await;
    web.serve("127.0.0.2", |head| by_itself(head, THUMBPRINT)).await;
    // One address by itself, another through the responder: a fleet that is being changed.
    let zone = || Zone::at(&["127.0.0.1", "127.0.0.2"]);
    let resolver = world::resolver([(NAME, zone())]).await;
    let preflight = preflight(&web, resolver).speaking_for(THUMBPRINT);
    assert_eq!(preflight.check_name(&hostname(NAME)).await.verdict, Verdict::Ready);

    let token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
    let resolver = world::resolver([(NAME, Zone::at(&["127.0.0.2"]))]).await;
    let alone = super::preflight(&web, resolver).speaking_for(THUMBPRINT);
    let seen = alone.sees(&hostname(NAME), token, &format!("{token}.{THUMBPRINT}")).await;
    assert_eq!(seen.verdict, Verdict::Ready);
}

#[tokio::test]
async fn nobody_elses_thumbprint_is() {
    let web = Web::start().await;
    web.serve("127.0.0.2", |head| by_itself(head, ANOTHER)).await;
    web.serve("127.0.0.3", |_| reply("200 OK", "", THUMBPRINT)).await;
    for ip in ["127.0.0.2", "127.0.0.3"] {
        let resolver = world::resolver([(NAME, Zone::at(&[ip]))]).await;
        let report = preflight(&web, resolver).speaking_for(THUMBPRINT).check_name(&hostname(NAME)).await;
        assert_eq!(class_of(&report), FailureClass::WrongContent, "{ip}: {report:?}");
    }
    // And where no account is known, none is.
    web.serve("127.0.0.4", |head| by_itself(head, THUMBPRINT)).await;
    let report = check(&web, Zone::at(&["127.0.0.4"])).await;
    assert_eq!(class_of(&report), FailureClass::WrongContent, "{report:?}");
}
