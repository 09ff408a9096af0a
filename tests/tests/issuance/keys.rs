//! Whose key a certificate is for: the tenant's, who has sent a request, or one that is made here and kept.

use std::time::Duration;

use http::Method;
use issuance::time::Clock as _;
use lockkeeper::cli::api_client::ApiClient;
use lockkeeper::reconcile::{Reconciler as _, Revoke};
use lockkeeper_tests::world::{Plan, World, pairs};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;

const WITHIN: Duration = Duration::from_mins(1);

fn csr(key: &KeyPair, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = DistinguishedName::new();
    params.serialize_request(key).expect("a request").pem().expect("PEM")
}

/// The public keys of what was issued, in order.
async fn public_keys(world: &World, id: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let chains: Vec<String> = sqlx::query_scalar(
        "select chain_pem from issued_certificates join certificates using (certificate_id)
         where external_id = $1 order by issued_at",
    )
    .bind(id)
    .fetch_all(world.store.pool())
    .await?;
    let keys = chains.iter().map(|chain| {
        let (_, pem) = x509_parser::pem::parse_x509_pem(chain.as_bytes()).expect("PEM");
        let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(&pem.contents).expect("X.509");
        leaf.public_key().raw.to_vec()
    });
    Ok(keys.collect())
}

async fn issued(world: &World, id: &str, count: usize) -> anyhow::Result<()> {
    let there = async || Ok(public_keys(world, id).await?.len() == count);
    world.wait_until("it is issued", WITHIN, there).await
}

async fn order(api: &ApiClient, wish: Value) -> anyhow::Result<String> {
    let made: Value = api.write(Method::POST, "/v1/certificates", Some(&wish), None).await?;
    Ok(made["id"].as_str().expect("an id").to_owned())
}

async fn act(api: &ApiClient, id: &str, what: &str, wish: Option<&Value>) -> anyhow::Result<Value> {
    Ok(api.write(Method::POST, &format!("/v1/certificates/{id}/{what}"), wish, None).await?)
}

#[tokio::test]
async fn a_tenant_who_sends_a_request_keeps_the_key_through_renewals() -> anyhow::Result<()> {
    let sites = pairs("keys", 3);
    let world = World::start(Plan::new(sites)).await?;
    let app = world.service("one").await?;
    let api = world.client("one", &app)?;
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?;
    let theirs = key.subject_public_key_info();
    let request = csr(&key, &["keys-0.com", "www.keys-0.com"]);
    let id = order(&api, json!({ "tenant": "t", "external_id": "own", "csr": request })).await?;
    issued(&world, "own", 1).await?;
    act(&api, &id, "renew", None).await?;
    issued(&world, "own", 2).await?;
    assert_eq!(public_keys(&world, "own").await?, [theirs.clone(), theirs], "exactly that request, twice");
    let kept: i64 = sqlx::query_scalar(
        "select count(*) from orders where key_sealed is not null and csr_der is not null",
    )
    .fetch_one(world.store.pool())
    .await?;
    assert_eq!(kept, 0, "the key was never here");

    // Keys that are made here: another one each time, or the one before.
    let fresh =
        json!({ "tenant": "t", "external_id": "fresh", "names": ["keys-1.com"], "key_type": "ecdsa-p384" });
    let reused = json!({ "tenant": "t", "external_id": "kept", "names": ["keys-2.com"], "reuse_key": true });
    let (fresh, reused) = (order(&api, fresh).await?, order(&api, reused).await?);
    for (id, external_id) in [(&fresh, "fresh"), (&reused, "kept")] {
        issued(&world, external_id, 1).await?;
        act(&api, id, "renew", None).await?;
        issued(&world, external_id, 2).await?;
    }
    let (fresh, kept) = (public_keys(&world, "fresh").await?, public_keys(&world, "kept").await?);
    assert!(fresh[0] != fresh[1] && fresh[0].len() > 100, "P-384, and new");
    assert_eq!(kept[0], kept[1]);

    // One that others know is never kept, and its certificate is revoked at the CA.
    act(&api, &reused, "revoke", Some(&json!({ "reason": "key_compromise" }))).await?;
    issued(&world, "kept", 3).await?;
    let renewed = public_keys(&world, "kept").await?;
    assert_ne!(renewed[1], renewed[2]);
    let parts = world.reconcile_parts().await?;
    let now = world.clock.now();
    Revoke::new(parts.clone()).pass(now).await?;
    let there = async || {
        let revoked = sqlx::query_scalar(
            "select count(*) = 1 from revocations where revoked_at is not null and attempt_at is null",
        );
        Ok(revoked.fetch_one(world.store.pool()).await?)
    };
    world.wait_until("it is revoked", WITHIN, there).await?;
    let chain: String =
        sqlx::query_scalar("select chain_pem from revocations join issued_certificates using (order_id)")
            .fetch_one(world.store.pool())
            .await?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(chain.as_bytes())?;
    let again = parts.account.revoke(&pem.contents, None).await.expect_err("the CA knows");
    assert!(again.to_string().to_lowercase().contains("already"), "{again}");
    app.stop().await?;
    world.stop().await
}
