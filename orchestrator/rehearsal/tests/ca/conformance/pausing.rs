//! Names that only ever fail.

use std::time::Duration;

use http::Method;
use issuance::limit::LimitName;

use super::{DAY, fail, limit, limited};
use crate::client::{Answer, Client};

const PAUSING: LimitName = LimitName::ConsecutiveFailuresPerHostname;

fn link(refused: &Answer) -> String {
    refused.field("detail").rsplit(' ').next().expect("a link").to_owned()
}

async fn click(client: &Client, link: &str) -> Answer {
    client.request(Method::POST, &link.replace("/unpause?", "/do-unpause?"), "", String::new()).await
}

#[tokio::test]
pub(crate) async fn a_paused_name_is_refused_with_a_link_and_no_wait() {
    let (ca, _, client) = limited(vec![limit(PAUSING, 1, 864_000)]).await;
    for name in ["zombie.sf0b1b8.com", "other.sf0b1b8.com"] {
        fail(&client, name).await;
        fail(&client, name).await;
    }
    let refused = client.order(&["zombie.sf0b1b8.com", "good.com"]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    assert!(refused.field("type").ends_with(":rateLimited"));
    assert_eq!(refused.links().len(), 1, "no help");
    let expected = format!(
        "Your account is temporarily prevented from requesting certificates for zombie.sf0b1b8.com and possibly \
         others. Please visit: http://{}/sfe/v1/unpause?jwt=eyJ",
        ca.address()
    );
    assert!(refused.field("detail").starts_with(&expected), "{}", refused.text);
    let both = client.order(&["zombie.sf0b1b8.com", "other.sf0b1b8.com"]).await;
    assert!(
        both.field("detail").contains("for other.sf0b1b8.com, zombie.sf0b1b8.com and possibly"),
        "{}",
        both.text
    );
    Client::registered(&ca).await.order(&["zombie.sf0b1b8.com"]).await.assert_ok(201);
    assert_eq!(ca.limits().paused, 2);
}

#[tokio::test]
pub(crate) async fn a_click_frees_the_whole_account_and_no_other_limit() {
    let failed = limit(LimitName::FailedAuthorizationsPerHostname, 2, 3_600);
    let (_ca, _, client) = limited(vec![limit(PAUSING, 1, 864_000), failed]).await;
    for name in ["a.com", "b.com"] {
        fail(&client, name).await;
        fail(&client, name).await;
    }
    let page = link(&client.order(&["a.com"]).await);
    client.fetch(&page).await.assert_ok(200);
    let done = click(&client, &page).await;
    assert_eq!((done.status, done.url()), (302, "/sfe/v1/unpause-status?count=2"));
    let refused = client.order(&["b.com"]).await;
    assert!(refused.field("detail").starts_with("too many failed authorizations (2) for \"b.com\""));
}

#[tokio::test]
pub(crate) async fn a_link_is_signed_and_good_for_14_days() {
    let (_ca, clock, client) = limited(vec![limit(PAUSING, 1, 864_000)]).await;
    fail(&client, "a.com").await;
    fail(&client, "a.com").await;
    let page = link(&client.order(&["a.com"]).await);
    for forged in [
        format!("{page}x"),
        page.replace("eyJ", "eyK"),
        format!("{}1", page.split_once("eyJ").expect("a token").0),
    ] {
        click(&client, &forged).await.assert_ok(400);
    }
    clock.advance(14 * DAY + Duration::from_secs(1));
    click(&client, &page).await.assert_problem(400, "malformed", "Expired unpause URL");
    assert_eq!(client.order(&["a.com"]).await.status, 429, "it never ends by itself");
}

#[tokio::test]
pub(crate) async fn what_was_unpaused_has_14_days_of_grace() {
    let (_ca, clock, client) = limited(vec![limit(PAUSING, 1, 8_640_000)]).await;
    fail(&client, "a.com").await;
    fail(&client, "a.com").await;
    click(&client, &link(&client.order(&["a.com"]).await)).await;
    for _ in 0..7 {
        fail(&client, "a.com").await;
        clock.advance(2 * DAY);
    }
    fail(&client, "a.com").await;
    assert_eq!(client.order(&["a.com"]).await.status, 429, "the 15th day");
}
