//! A raw ACME client: one request per call, nothing hidden, so that tests see what is on the wire.

use std::sync::Mutex;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rehearsal::ca::RehearsalCa;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::World;

pub(crate) const ERROR: &str = "urn:ietf:params:acme:error:";

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub(crate) fn url(&self) -> &str {
        self.header("location").expect("a location")
    }

    pub(crate) fn links(&self) -> Vec<&str> {
        self.headers.get_all("link").iter().map(|value| value.to_str().expect("text")).collect()
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    /// Asserts a problem: HTTP status, type without its prefix, and the whole detail.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, kind: &str, detail: &str) {
        let found = (self.status, self.field("type"), self.field("detail"));
        assert_eq!(found, (status, format!("{ERROR}{kind}").as_str(), detail));
    }

    #[track_caller]
    pub(crate) fn assert_ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

pub(crate) struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    base: String,
    pub(crate) key: EcdsaKeyPair,
    pub(crate) kid: Option<String>,
    nonce: Mutex<Option<String>>,
}

impl Client {
    /// A key without an account.
    pub(crate) fn new(ca: &RehearsalCa) -> Self {
        Self {
            http: HttpClient::builder(TokioExecutor::new()).build_http(),
            base: format!("http://{}", ca.address()),
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            kid: None,
            nonce: Mutex::new(None),
        }
    }

    pub(crate) async fn registered(ca: &RehearsalCa) -> Self {
        let mut client = Self::new(ca);
        let answer = client.post("/acme/new-acct", &json!({ "termsOfServiceAgreed": true })).await;
        client.kid = Some(answer.assert_ok(201).url().to_owned());
        client
    }

    pub(crate) fn url(&self, path: &str) -> String {
        if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() }
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({
            "kty": "EC",
            "crv": "P-256",
            "x": BASE64.encode(&point[1..33]),
            "y": BASE64.encode(&point[33..]),
        })
    }

    pub(crate) fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        BASE64.encode(Sha256::digest(canonical))
    }

    pub(crate) fn sign(&self, protected: &Value, payload: &str) -> String {
        let protected = BASE64.encode(protected.to_string());
        let payload = BASE64.encode(payload);
        let message = format!("{protected}.{payload}");
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).expect("signed");
        let signature = BASE64.encode(signature.as_ref());
        json!({ "protected": protected, "payload": payload, "signature": signature }).to_string()
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        url: &str,
        content_type: &str,
        body: String,
    ) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(self.url(url))
            .header("content-type", content_type)
            .body(Full::from(body))
            .expect("a request");
        let response = self.http.request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        if let Some(nonce) = parts.headers.get("replay-nonce") {
            *self.nonce.lock().expect("unpoisoned") = Some(nonce.to_str().expect("text").to_owned());
        }
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
        }
    }

    pub(crate) async fn fetch(&self, url: &str) -> Answer {
        self.request(Method::GET, url, "", String::new()).await
    }

    pub(crate) async fn fresh_nonce(&self) -> String {
        let kept = self.nonce.lock().expect("unpoisoned").take();
        if let Some(nonce) = kept {
            return nonce;
        }
        let answer = self.request(Method::HEAD, "/acme/new-nonce", "", String::new()).await;
        *self.nonce.lock().expect("unpoisoned") = None;
        answer.header("replay-nonce").expect("a nonce").to_owned()
    }

    /// Everything a protected header should have.
    pub(crate) async fn protected(&self, url: &str) -> Value {
        let mut protected =
            json!({ "alg": "ES256", "nonce": self.fresh_nonce().await, "url": self.url(url) });
        match &self.kid {
            Some(kid) => protected["kid"] = json!(kid),
            None => protected["jwk"] = self.jwk(),
        }
        protected
    }

    async fn send(&self, url: &str, payload: &str) -> Answer {
        let body = self.sign(&self.protected(url).await, payload);
        self.request(Method::POST, url, "application/jose+json", body).await
    }

    pub(crate) async fn post(&self, url: &str, payload: &Value) -> Answer {
        self.send(url, &payload.to_string()).await
    }

    /// POST-as-GET.
    pub(crate) async fn read(&self, url: &str) -> Answer {
        self.send(url, "").await
    }

    pub(crate) async fn order(&self, names: &[&str]) -> Answer {
        self.order_with(names, json!({})).await
    }

    pub(crate) async fn order_with(&self, names: &[&str], mut payload: Value) -> Answer {
        payload["identifiers"] = names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        self.post("/acme/new-order", &payload).await
    }

    pub(crate) async fn authorizations(&self, order: &Answer) -> Vec<Authorization> {
        let mut found = Vec::new();
        for url in order.body["authorizations"].as_array().expect("authorizations") {
            let url = url.as_str().expect("a URL").to_owned();
            let body = self.read(&url).await.assert_ok(200).body;
            found.push(Authorization { url, body });
        }
        found
    }

    pub(crate) async fn deactivate(&self, url: &str) -> Answer {
        self.post(url, &json!({ "status": "deactivated" })).await
    }

    pub(crate) fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint())
    }

    /// Submits the HTTP-01 challenges of an order, answered in the world or not, and waits for the verdicts.
    pub(crate) async fn submit(&self, ca: &RehearsalCa, order: &Answer, world: Option<&World>) {
        for row in self.authorizations(order).await {
            if row.body["status"] != "pending" {
                continue;
            }
            let wildcard = row.body["wildcard"] == true;
            let challenge = row.challenge(if wildcard { "dns-01" } else { "http-01" });
            if let Some(world) = world {
                let token = challenge["token"].as_str().expect("a token");
                world.serve(token, &self.key_authorization(token));
            }
            let url = challenge["url"].as_str().expect("a URL");
            assert_eq!(self.post(url, &json!({})).await.assert_ok(200).body["status"], "pending");
        }
        ca.idle().await;
    }

    /// A CSR for names, with a key of its own, in base64url.
    pub(crate) fn csr(names: &[&str]) -> Value {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).expect("names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        let csr = params.serialize_request(&key).expect("a CSR");
        json!({ "csr": BASE64.encode(csr.der()) })
    }

    /// From new-order to certificate; the order must come out `valid`.
    pub(crate) async fn issue(&self, ca: &RehearsalCa, names: &[&str]) -> Answer {
        let order = self.order(names).await.assert_ok(201);
        self.submit(ca, &order, None).await;
        let answer = self.post(order.field("finalize"), &Self::csr(names)).await.assert_ok(200);
        assert_eq!(answer.body["status"], "valid");
        answer
    }
}

#[derive(Debug)]
pub(crate) struct Authorization {
    pub(crate) url: String,
    pub(crate) body: Value,
}

impl Authorization {
    pub(crate) fn challenge(&self, kind: &str) -> &Value {
        let challenges = self.body["challenges"].as_array().expect("challenges");
        challenges.iter().find(|challenge| challenge["type"] == kind).expect("offered")
    }

    pub(crate) fn name(&self) -> &str {
        self.body["identifier"]["value"].as_str().expect("a name")
    }
}
