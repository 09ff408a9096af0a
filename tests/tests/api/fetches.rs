//! Who has fetched the responses of an order, and the account that they answer for.

use issuance::ids::OrderId;
use lockkeeper::cli::account::{self, AccountCommand};
use lockkeeper::cli::api_client::ApiClient;
use lockkeeper::cli::listing::ListingArgs;
use lockkeeper::cli::order::{self, FetchesArgs, OrderCommand};
use lockkeeper::cli::{Exit, Format, Output};
use lockkeeper::store::api_keys::Token;
use lockkeeper::store::fetches::{FetchEntry, FetchFacts};
use sqlx::PgPool;

use crate::world::{START, World};

async fn order_of(world: &World, names: &str) -> String {
    let orders = world.get("/v1/orders").await.json();
    let all = orders["data"].as_array().expect("a list");
    let found = all.iter().find(|order| order["names"][0] == names).expect("an order");
    found["id"].as_str().expect("an id").to_owned()
}

fn fetch(order: &str, number: u64) -> FetchEntry {
    FetchEntry::new(FetchFacts {
        order: order.parse::<OrderId>().expect("an id"),
        token: "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA".to_owned(),
        at: START.after(std::time::Duration::from_secs(number)),
        source: format!("203.0.113.{number}"),
        method: "GET",
        host: Some("a.com".to_owned()),
        user_agent: (number > 1).then(|| "CA".to_owned()),
        status: 200,
        own: number == 1,
    })
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn an_orders_fetches_are_listed_to_those_who_may_see_it(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,a.com,http-01,\nt2,s2,b.com,http-01,\n").await;
    let (order, other) = (order_of(&world, "a.com").await, order_of(&world, "b.com").await);
    world
        .execute(
            "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin, opened_at, expires_at, challenge_type, challenge_url, token, key_authorization)
             select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz/1', 'a.com', 'pending', 'ours', '2026-11-21', '2026-11-28', 'http-01', 'https://ca.test/chall', 'evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA', 'secret'
             from orders where names = '{a.com}'",
        )
        .await;
    let entries: Vec<_> = (1..=5).map(|number| fetch(&order, number)).collect();
    world.store.record_fetches(&entries, 100).await.expect("written");
    world.store.record_fetches(&entries, 100).await.expect("written again");
    world.store.record_fetches(&[fetch(&other, 9)], 100).await.expect("written");

    let path = format!("/v1/orders/{order}/fetches");
    let listing = world.get(&path).await.json();
    let data = listing["data"].as_array().expect("a list");
    assert_eq!(data.len(), 5, "{listing}");
    assert_eq!(data[0]["identifier"], "a.com");
    assert_eq!((&data[0]["own"], &data[1]["own"]), (&true.into(), &false.into()));
    assert_eq!((&data[1]["source"], &data[1]["status"]), (&"203.0.113.2".into(), &200.into()));
    assert!(data[1]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{listing}");
    assert!(!listing.to_string().contains("evaGxf") && !listing.to_string().contains("secret"), "{listing}");
    let page = world.get(&format!("{path}?limit=2")).await.json();
    let cursor = page["next_cursor"].as_str().expect("more");
    let rest = world.get(&format!("{path}?limit=4&cursor={cursor}")).await.json();
    assert_eq!(rest["data"].as_array().map(Vec::len), Some(3));

    let token = world.token_of("t1").await;
    assert_eq!(world.get_as(&token, &path).await.json()["data"].as_array().map(Vec::len), Some(5));
    assert_eq!(world.get_as(&token, &format!("/v1/orders/{other}/fetches")).await.status, 404);
    assert_eq!(world.get(&format!("{path}?tenant=t1")).await.status, 400);

    let api =
        ApiClient::new(&world.base, &Token::parse(&world.operator).expect("well formed")).expect("loopback");
    for format in [Format::Json, Format::Table] {
        let listing = ListingArgs { limit: 3, cursor: None };
        let command = OrderCommand::Fetches(FetchesArgs { order: order.clone(), listing });
        assert_eq!(order::run(&command, &api, Output::new(format)).await.expect("listed"), Exit::Done);
        let command = OrderCommand::Show(order::ShowArgs { order: order.clone() });
        assert_eq!(order::run(&command, &api, Output::new(format)).await.expect("shown"), Exit::Done);
    }
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn of_one_order_only_so_many_are_kept(pool: PgPool) {
    let world = World::start(pool).await;
    world.import("t1,s1,a.com,http-01,\n").await;
    let order = order_of(&world, "a.com").await;
    for batch in 0..3 {
        let entries: Vec<_> = (2..=5).map(|number| fetch(&order, batch * 10 + number)).collect();
        world.store.record_fetches(&entries, 10).await.expect("written");
    }
    let listing = world.get(&format!("/v1/orders/{order}/fetches?limit=1000")).await.json();
    let sources: Vec<_> =
        listing["data"].as_array().expect("a list").iter().map(|one| &one["source"]).collect();
    assert_eq!(sources.len(), 10, "the first ones");
    assert_eq!(*sources[9], "203.0.113.23");
    world.store.record_fetches(&[fetch(&order, 1)], 10).await.expect("written");
    let listing = world.get(&format!("/v1/orders/{order}/fetches?limit=1000")).await.json();
    assert_eq!(listing["data"].as_array().map(Vec::len), Some(11), "our own look takes no room");
    // What belongs to no order is nobody's.
    let stray = fetch("ord_00000000000000000000000000", 1);
    world.store.record_fetches(&[stray], 10).await.expect("left out");
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn the_account_is_shown_to_the_operator_with_its_thumbprint_and_no_key(pool: PgPool) {
    let world = World::start(pool).await;
    let accounts = world.get("/v1/accounts").await.json();
    let account = &accounts["data"][0];
    assert_eq!(account["current"], true, "{accounts}");
    assert!(account["key_thumbprint"].as_str().is_some_and(|text| !text.is_empty()), "{accounts}");
    assert!(!accounts.to_string().contains("key_sealed"), "{accounts}");
    world.import("t1,s1,a.com,http-01,\n").await;
    let token = world.token_of("t1").await;
    assert_eq!(world.get_as(&token, "/v1/accounts").await.status, 403);
    let api =
        ApiClient::new(&world.base, &Token::parse(&world.operator).expect("well formed")).expect("loopback");
    for format in [Format::Json, Format::Table] {
        let shown = account::run(&AccountCommand::Show, &api, Output::new(format)).await;
        assert_eq!(shown.expect("shown"), Exit::Done);
    }
}
