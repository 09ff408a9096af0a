//! Hostnames as panels write them.

use http::{Method, StatusCode};
use issuance::ids::AccountId;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::resources::{code_at, send, send_with, tenants};

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_hostname_is_put_in_place_and_the_same_again_changes_nothing(pool: PgPool) {
    let (world, one, _) = tenants(pool).await;
    let wish = json!({
        "external_id": "plesk:8812", "labels": {"server": "web17"}, "challenge": {"type": "http-01"},
        "auto_certificate": true, "names_with": ["shop.com"], "key_type": "ecdsa-p384"
    });
    let put = send_with(&world, &one, Method::PUT, "/v1/hostnames/WWW.Shop.com.", &wish, &[]).await;
    let view = put.json();
    assert_eq!(put.status, StatusCode::ACCEPTED, "{view}");
    assert_eq!(put.headers["location"], "/v1/hostnames/www.shop.com");
    assert_eq!(
        (&view["hostname"], &view["external_id"]),
        (&"www.shop.com".into(), &"plesk:8812".into()),
        "{view}"
    );
    assert_eq!((&view["labels"]["server"], &view["auto_certificate"]), (&"web17".into(), &true.into()));
    assert_eq!(view["certificate"]["status"], "pending", "{view}");
    let id = view["certificate"]["id"].as_str().expect("a certificate").to_owned();
    let certificate = world.get_as(&one, &format!("/v1/certificates/{id}")).await.json();
    assert_eq!(certificate["names"], json!(["shop.com", "www.shop.com"]));
    assert_eq!(
        (&certificate["key"]["type"], &certificate["external_id"]),
        (&"ecdsa-p384".into(), &"plesk:8812".into())
    );
    assert_eq!(
        (&certificate["queue"]["ahead"], &certificate["queue"]["ahead_at_least"]),
        (&0.into(), &false.into())
    );
    assert!(certificate["queue"]["expected_at"].is_string(), "{certificate}");

    let (orders, events) = (world.rows("orders").await, world.rows("events").await);
    let again = send_with(&world, &one, Method::PUT, "/v1/hostnames/www.shop.com", &wish, &[]).await;
    assert_eq!((again.status, &again.json()["version"]), (StatusCode::OK, &view["version"]));
    assert_eq!(
        (world.rows("orders").await, world.rows("events").await),
        (orders, events),
        "nothing was written"
    );

    // Another set of names: what waited for the old one is over, and its certificate stays the same one.
    let wider = json!({ "external_id": "plesk:8812", "names_with": ["shop.com", "mail.shop.com"] });
    let changed = send_with(&world, &one, Method::PUT, "/v1/hostnames/www.shop.com", &wider, &[]).await;
    assert_eq!(
        (changed.status, &changed.json()["certificate"]["id"]),
        (StatusCode::ACCEPTED, &id.clone().into())
    );
    assert_eq!(world.rows("orders where stage = 'cancelled' and due_at is null").await, 1);
    assert_eq!(world.rows("orders where stage = 'accepted' and cardinality(names) = 3").await, 1);
    assert_eq!(world.rows("events where kind = 'order.cancelled'").await, 1);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn what_was_imported_is_taken_over_by_its_external_id(pool: PgPool) {
    let (world, one, _) = tenants(pool).await;
    let put = send_with(
        &world,
        &one,
        Method::PUT,
        "/v1/hostnames/imported.com",
        &json!({"external_id": "s0"}),
        &[],
    )
    .await;
    assert_eq!(put.status, StatusCode::OK, "the certificate is as it is wished already: {}", put.json());
    assert_eq!((world.rows("certificates").await, world.rows("orders").await), (2, 2));
    // And one for other names is not.
    let put =
        send_with(&world, &one, Method::PUT, "/v1/hostnames/other.com", &json!({"external_id": "s0"}), &[])
            .await;
    assert_eq!((put.status, put.problem().as_str()), (StatusCode::CONFLICT, "external-id-taken"));
    assert_eq!(world.rows("hostnames where hostname = 'other.com'").await, 0);
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_name_of_another_tenant_is_refused_without_telling_whose_it_is(pool: PgPool) {
    let (world, one, _) = tenants(pool).await;
    let foreign = send_with(&world, &one, Method::PUT, "/v1/hostnames/theirs.com", &Value::Null, &[]).await;
    assert_eq!(foreign.problem(), "hostname-owned-by-other-tenant");
    let text = foreign.json().to_string();
    assert!(!text.contains("t2") && !text.contains("ten_"), "{text}");
    let wish = json!({ "names_with": ["theirs.com"] });
    let foreign = send_with(&world, &one, Method::PUT, "/v1/hostnames/mine.com", &wish, &[]).await;
    assert_eq!(foreign.problem(), "hostname-owned-by-other-tenant");
    // Over a record that we publish, what is below a name is its owner's.
    let wish = json!({ "names": ["*.below.theirs.com"] });
    let foreign = send(&world, &one, Method::POST, "/v1/certificates", &wish).await;
    assert_eq!(foreign.problem(), "hostname-owned-by-other-tenant");
    assert_eq!(
        (world.rows("hostnames").await, world.rows("certificates").await),
        (2, 2),
        "nothing was stored"
    );
    // A tenant writes for itself; the operator says for whom.
    let wish = json!({ "tenant": "t2" });
    let other = send_with(&world, &one, Method::PUT, "/v1/hostnames/mine.com", &wish, &[]).await;
    assert_eq!(code_at(&other, "/tenant"), "other_tenant");
    let operator = world.operator.clone();
    let unnamed =
        send_with(&world, &operator, Method::PUT, "/v1/hostnames/mine.com", &Value::Null, &[]).await;
    assert_eq!(code_at(&unnamed, "/tenant"), "missing");
    let put = send_with(&world, &operator, Method::PUT, "/v1/hostnames/mine.com", &wish, &[]).await;
    assert_eq!((put.status, &put.json()["tenant"]), (StatusCode::ACCEPTED, &"t2".into()));
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn hostile_names_are_refused_each_for_its_own_reason_and_nothing_is_stored(pool: PgPool) {
    let (world, one, _) = tenants(pool).await;
    let long = format!("{}.com", "a".repeat(64));
    let longest = format!("{}com", "abcdefghi.".repeat(26));
    for (name, code) in [
        ("", "empty_name"),
        (".", "empty_name"),
        (" a.com", "white_space"),
        ("a.*.com", "misplaced_wildcard"),
        ("192.0.2.1", "ip_address"),
        ("[2001:db8::1]", "ip_address"),
        ("0x7f.1", "ip_address"),
        ("co.uk", "public_suffix"),
        ("*.co.uk", "public_suffix"),
        ("localhost", "one_label"),
        ("nas.local", "special_use"),
        ("a_b.com", "underscore"),
        ("a\r\nSet-Cookie: x.com", "bad_characters"),
        ("a\u{0}.com", "bad_characters"),
        ("a\u{202e}moc.com", "bad_characters"),
        ("a..com", "bad_label"),
        (&long, "bad_label"),
        (&longest, "too_long"),
        ("=cmd|'/c calc'!a.com", "bad_characters"),
    ] {
        let refused =
            send(&world, &one, Method::POST, "/v1/certificates", &json!({ "names": ["a.com", name] })).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name:?}: {}", refused.json());
        // A null character is refused wherever it stands in a document.
        let (pointer, told) = if name.contains('\0') { ("", "null-character") } else { ("/names/1", code) };
        assert_eq!(
            (refused.problem().as_str(), code_at(&refused, pointer).as_str()),
            ("validation-failed", told)
        );
        let path: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let put =
            send_with(&world, &one, Method::PUT, &format!("/v1/hostnames/{path}"), &Value::Null, &[]).await;
        assert!(put.status.is_client_error(), "{name:?}: {}", put.status);
        if !name.is_empty() {
            assert_eq!(code_at(&put, "?hostname"), code, "{name:?}");
        }
    }
    let wildcard = send_with(&world, &one, Method::PUT, "/v1/hostnames/*.shop.com", &Value::Null, &[]).await;
    assert_eq!(code_at(&wildcard, "?hostname"), "wildcard");
    for (field, value, pointer, code) in [
        ("external_id", json!("a\nb"), "/external_id", "bad_external_id"),
        ("labels", json!({"a b": "c"}), "/labels", "bad_label"),
        ("labels", json!({"a": "c\u{7}"}), "/labels/a", "bad_label"),
        ("challenge", json!({"type": "tls-alpn-01"}), "/challenge/type", "unknown_challenge"),
        ("names", json!(["*.a.com"]), "/challenge/type", "wildcard_needs_dns"),
        ("names", json!([]), "/names", "no_names"),
        ("names", json!(["a.com", "A.com"]), "/names", "duplicate_name"),
        ("key_days_max", json!(9000), "/key_days_max", "out-of-range"),
    ] {
        let mut wish = json!({ "names": ["a.com"], "challenge": {"type": "http-01"} });
        wish[field] = value;
        let refused = send(&world, &one, Method::POST, "/v1/certificates", &wish).await;
        assert_eq!(code_at(&refused, pointer), code, "{wish}");
    }
    assert_eq!((world.rows("hostnames").await, world.rows("certificates").await), (2, 2));
    // One that is made to be read as another is certified by CAs like any other: it is taken, and told.
    let put = send_with(&world, &one, Method::PUT, "/v1/hostnames/xn--pple-43d.com", &Value::Null, &[]).await;
    let warnings = put.json()["warnings"].clone();
    assert_eq!(put.status, StatusCode::ACCEPTED);
    assert!(
        warnings.as_array().expect("a list").iter().any(|one| one["code"] == "mixed_scripts"),
        "{warnings}"
    );
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn a_hostname_that_is_given_up_is_free_when_the_ca_has_forgotten_it(pool: PgPool) {
    let (world, one, two) = tenants(pool).await;
    let wish = json!({ "names_with": ["www.shop.com"] });
    send_with(&world, &one, Method::PUT, "/v1/hostnames/shop.com", &wish, &[]).await;
    send(&world, &one, Method::POST, "/v1/certificates", &json!({ "names": ["shop.com", "both.com"] })).await;
    let used = send_with(&world, &one, Method::DELETE, "/v1/hostnames/shop.com", &Value::Null, &[]).await;
    assert_eq!((used.status, used.problem().as_str()), (StatusCode::CONFLICT, "hostname-in-use"));
    world.execute("update certificates set deleted_at = '2026-11-21' where 'both.com' = any(names);
        update orders set stage = 'cancelled', ended_at = '2026-11-21', due_at = null, in_line = false where 'both.com' = any(names)").await;
    // The CA remembers that the account has proven it.
    world.execute(
        "insert into authorizations (authorization_id, tenant_id, account_id, order_id, url, identifier, status, origin, opened_at,
             expires_at, submit_intended_at, submitted_at, settled_at, final_at)
         select gen_random_uuid(), tenant_id, account_id, order_id, 'https://ca.test/authz/1', 'shop.com', 'valid', 'ours',
             '2026-11-20', '2026-12-20', '2026-11-20', '2026-11-20', '2026-11-20', '2026-11-20'
         from orders where 'both.com' = any(names)",
    ).await;
    let gone = send_with(&world, &one, Method::DELETE, "/v1/hostnames/shop.com", &Value::Null, &[]).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get_as(&one, "/v1/hostnames/shop.com").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.rows("orders where names @> '{shop.com}' and due_at is not null").await, 0);
    assert_eq!(
        world.rows("hostnames where hostname = 'www.shop.com'").await,
        0,
        "what came with it goes with it"
    );
    // Nobody else gets it before the CA was told to forget.
    let early = send_with(&world, &two, Method::PUT, "/v1/hostnames/shop.com", &Value::Null, &[]).await;
    assert_eq!(early.problem(), "hostname-owned-by-other-tenant");
    assert_eq!(world.rows("relinquishments where hostname = 'shop.com'").await, 1);
    let account = AccountId(Uuid::from_u128(7));
    world.store.relinquished(account, "https://ca.test/authz/1").await.expect("the database");
    let free = world.store.release_hostnames(account, crate::world::START, 10).await.expect("the database");
    assert_eq!(free, ["shop.com"]);
    let late = send_with(&world, &two, Method::PUT, "/v1/hostnames/shop.com", &Value::Null, &[]).await;
    assert_eq!(late.status, StatusCode::ACCEPTED, "{}", late.json());
}

#[sqlx::test(migrator = "lockkeeper::store::MIGRATOR")]
async fn hostnames_are_listed_by_name_and_found_by_how_they_begin(pool: PgPool) {
    let (world, one, two) = tenants(pool).await;
    for name in ["aa.com", "ab.com", "b-1.com", "b.com"] {
        let wish = json!({ "external_id": format!("x-{name}"), "labels": {"server": if name < "b" { "web1" } else { "web2" }} });
        send_with(&world, &one, Method::PUT, &format!("/v1/hostnames/{name}"), &wish, &[]).await;
    }
    let names = |list: Value| -> Vec<String> {
        list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["hostname"].as_str().expect("a name").to_owned())
            .collect()
    };
    let all = world.get_as(&one, "/v1/hostnames").await.json();
    assert_eq!(names(all), ["aa.com", "ab.com", "b-1.com", "b.com", "imported.com"]);
    let mut walked = Vec::new();
    let mut path = "/v1/hostnames?limit=2".to_owned();
    loop {
        let page = world.get_as(&one, &path).await.json();
        let next = page["next_cursor"].as_str().map(str::to_owned);
        walked.extend(names(page));
        let Some(cursor) = next else { break };
        path = format!("/v1/hostnames?limit=2&cursor={cursor}");
    }
    assert_eq!(walked, ["aa.com", "ab.com", "b-1.com", "b.com", "imported.com"]);
    for (query, expected) in [
        ("q=A", &["aa.com", "ab.com"][..]),
        ("q=b.", &["b.com"]),
        ("label=server=web2", &["b-1.com", "b.com"]),
        ("external_id=x-ab.com", &["ab.com"]),
        ("external_id=s0", &["imported.com"]),
        ("status=issuing&q=aa", &["aa.com"]),
        ("status=active", &[]),
        ("tenant=t2", &[]),
    ] {
        assert_eq!(
            names(world.get_as(&one, &format!("/v1/hostnames?{query}")).await.json()),
            expected,
            "{query}"
        );
    }
    for query in ["q=%25", "label=x", "status=fine", "colour=red", "cursor=AAAA"] {
        assert_eq!(
            world.get_as(&one, &format!("/v1/hostnames?{query}")).await.status,
            StatusCode::BAD_REQUEST,
            "{query}"
        );
    }
    assert_eq!(names(world.get_as(&two, "/v1/hostnames").await.json()), ["theirs.com"]);
    // A list says of each name what the name says of itself.
    world.execute(
        "update orders set stage = 'parked', fault_class = 'wrong_address', fault_detail = 'x', fault_hostname = 'aa.com',
             in_line = false where names @> '{aa.com}';
         update orders set stage = 'failed', fault_class = 'caa', fault_detail = 'x', ended_at = '2026-11-21', due_at = null,
             in_line = false where names @> '{ab.com}';
         update orders set due_at = '2027-01-01', in_line = false where names @> '{b.com}'",
    )
    .await;
    for one_of in world.get_as(&one, "/v1/hostnames").await.json()["data"].as_array().expect("a list") {
        let name = one_of["hostname"].as_str().expect("a name");
        let whole = world.get_as(&one, &format!("/v1/hostnames/{name}")).await.json();
        assert_eq!((&one_of["status"], &one_of["version"]), (&whole["status"], &whole["version"]), "{name}");
        assert_eq!(one_of["failure_class"], whole["fault"]["class"], "{name}");
    }
}
