use super::*;
use crate::store::viewer::Viewer;

#[test]
fn a_token_never_travels_in_the_clear_beyond_this_machine() {
    let token = Token::generate(Viewer::Operator);
    for base in
        ["http://127.0.0.1:8400", "http://localhost:8400/", "http://[::1]:8400", "https://api.host.com"]
    {
        let client = ApiClient::new(base, &token).expect(base);
        assert!(!format!("{client:?}").contains(token.reveal()));
    }
    for base in ["http://api.host.com", "http://127.0.0.1.host.com", "ftp://127.0.0.1", "127.0.0.1:8400", ""]
    {
        let refused = ApiClient::new(base, &token).expect_err(base);
        assert_eq!(refused.exit(), Exit::Usage, "{base}");
    }
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_a_refusal() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let client = ApiClient::new(&base, &Token::generate(Viewer::Operator)).expect("an address");
    let error = client.get::<serde_json::Value>("/v1/summary").await.expect_err("nobody listens");
    assert_eq!(error.exit().code(), 8);
    assert!(error.to_string().contains(&base), "{error}");
}
