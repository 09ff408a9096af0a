//! The dashboard's pages, asked for as a browser does: signed in, one after the other.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

const NAME: &str = "bench";
const PASSWORD: &str = "a few words do well";

/// A browser that is signed in.
#[derive(Debug)]
pub struct Pages {
    base: String,
    cookie: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Pages {
    /// Lets an owner sign in, with the operator's token from that file.
    pub async fn open(api: SocketAddr, token: &Path) -> Result<Self> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut pages = Self { base: format!("http://{api}"), cookie: String::new(), client };
        let token = std::fs::read_to_string(token)?;
        let user = serde_json::json!({ "name": NAME, "role": "owner", "password": PASSWORD }).to_string();
        let made = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/v1/users", pages.base))
            .header("authorization", format!("Bearer {}", token.trim()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(user))?;
        let made = pages.client.request(made).await?;
        ensure!(made.status() == StatusCode::CREATED, "nobody may sign in: {}", made.status());
        let form = format!("name={NAME}&password={}", PASSWORD.replace(' ', "+"));
        let form = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/admin/sign-in", pages.base))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(form))?;
        let entered = pages.client.request(form).await?;
        let cookie = entered.headers().get(SET_COOKIE).context("not signed in")?.to_str()?;
        cookie.split(';').next().unwrap_or_default().clone_into(&mut pages.cookie);
        Ok(pages)
    }

    /// How long the page takes, in milliseconds, to its last byte; sorted. A search leads on to another page, which counts.
    pub async fn milliseconds(&self, path: &str, times: usize) -> Result<Vec<f64>> {
        let mut took = Vec::with_capacity(times);
        for _ in 0..times {
            let began = Instant::now();
            let (mut status, found) = self.ask(path).await?;
            if let Some(found) = found.filter(|found| !found.starts_with("/admin/sign-in")) {
                (status, _) = self.ask(&found).await?;
            }
            took.push(began.elapsed().as_secs_f64() * 1e3);
            ensure!(status == StatusCode::OK, "{path}: {status}");
        }
        took.sort_by(f64::total_cmp);
        Ok(took)
    }

    /// What is answered, and where it leads on to, if anywhere.
    async fn ask(&self, path: &str) -> Result<(StatusCode, Option<String>)> {
        let request = Request::builder().uri(format!("{}{path}", self.base)).header(COOKIE, &self.cookie);
        let response = self.client.request(request.body(Full::default())?).await?;
        let status = response.status();
        let found = response.headers().get(LOCATION).and_then(|found| found.to_str().ok()).map(str::to_owned);
        response.into_body().collect().await?;
        Ok((status, found))
    }
}
