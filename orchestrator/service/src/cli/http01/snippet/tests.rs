use super::*;

const THUMBPRINT: &str = "nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";

fn url(text: &str) -> ResponderUrl {
    text.parse().expect(text)
}

fn plans() -> [Plan; 4] {
    [
        Plan::ReverseProxy(vec![url("http://10.20.0.5:8402")]),
        Plan::ReverseProxy(vec![url("http://10.20.0.5:8402"), url("http://[fd00::5]:8402")]),
        Plan::Redirect(url("http://acme.host.com")),
        Plan::Stateless(THUMBPRINT.parse().expect("a thumbprint")),
    ]
}

#[test]
fn an_address_that_could_break_out_of_a_configuration_is_none() {
    for good in ["http://acme.host.com", "https://acme.host.com/", "http://[::1]:8402", "http://10.0.0.1:80"]
    {
        assert_eq!(url(good).to_string(), good.trim_end_matches('/'));
    }
    let bad = [
        "",
        "acme.host.com",
        "10.0.0.1:8402",
        "ftp://acme.host.com",
        "http://",
        "http://acme.host.com/path",
        "http://acme.host.com/?x",
        "http://acme.host.com?x",
        "http://user@acme.host.com",
        "http://acme.host.com:",
        "http://acme.host.com:x",
        "http://acme.host.com:99999",
        "http://a;return 200",
        "http://a;b",
        "http://a{b}",
        "http://$host",
        "http://[::g]",
        "http://a\nb",
    ];
    for text in bad {
        let error = text.parse::<ResponderUrl>().expect_err(text);
        assert!(error.to_string().contains("http://host:port"), "{error}");
    }
}

#[test]
fn a_thumbprint_is_43_characters_of_base64url() {
    assert_eq!(THUMBPRINT.parse::<Thumbprint>().expect("one").to_string(), THUMBPRINT);
    for bad in ["", &THUMBPRINT[1..], &format!("{THUMBPRINT}A"), &THUMBPRINT.replace('n', "\"")] {
        assert!(bad.parse::<Thumbprint>().is_err(), "{bad}");
    }
}

#[test]
fn what_cannot_work_is_refused() {
    let several = Plan::ReverseProxy(vec![url("http://a.com"), url("http://b.com")]);
    assert_eq!(Snippet::of(WebServer::Iis, &several), Err(SnippetError::SeveralBehindIis));
    let stateless = Plan::Stateless(THUMBPRINT.parse().expect("a thumbprint"));
    assert_eq!(Snippet::of(WebServer::Iis, &stateless), Err(SnippetError::StatelessIis));
    for server in WebServer::value_variants() {
        let secure = Plan::ReverseProxy(vec![url("https://a.com")]);
        assert_eq!(Snippet::of(*server, &secure), Err(SnippetError::HttpsUpstream(url("https://a.com"))));
        let elsewhere = Plan::Redirect(url("http://a.com:8402"));
        assert_eq!(
            Snippet::of(*server, &elsewhere),
            Err(SnippetError::RedirectPort(url("http://a.com:8402")))
        );
    }
}

/// IIS does not run here, so what is said to it is at least looked at when it changes.
#[test]
fn iis_is_told_the_same_as_before() {
    let [reverse_proxy, _, redirect, _] = plans();
    assert_eq!(
        Snippet::of(WebServer::Iis, &reverse_proxy).expect("a snippet").render(),
        r#"<!-- Lockkeeper, HTTP-01: in web.config of each site, in system.webServer/rewrite/rules, ahead of its own rules. -->
<!-- Needs URL Rewrite 2, and Application Request Routing 3 with its proxy and preserveHostHeader switched on. -->
<rule name="Lockkeeper HTTP-01" stopProcessing="true">
  <match url="^\.well-known/acme-challenge/([A-Za-z0-9_-]{16,128})$" ignoreCase="false" />
  <action type="Rewrite" url="http://10.20.0.5:8402/.well-known/acme-challenge/{R:1}" appendQueryString="false" logRewrittenUrl="true" />
</rule>
"#
    );
    assert_eq!(
        Snippet::of(WebServer::Iis, &redirect).expect("a snippet").render(),
        r#"<!-- Lockkeeper, HTTP-01: in web.config of each site, in system.webServer/rewrite/rules, ahead of its own rules. -->
<!-- Needs URL Rewrite 2. -->
<rule name="Lockkeeper HTTP-01" stopProcessing="true">
  <match url="^\.well-known/acme-challenge/([A-Za-z0-9_-]{16,128})$" ignoreCase="false" />
  <action type="Redirect" url="http://acme.host.com/.well-known/acme-challenge/{R:1}" appendQueryString="false" redirectType="Found" />
</rule>
"#
    );
}

#[test]
fn each_snippet_says_where_it_belongs_and_nothing_is_left_to_fill_in() {
    for server in WebServer::value_variants() {
        for plan in plans() {
            let Ok(snippet) = Snippet::of(*server, &plan) else { continue };
            let text = snippet.render();
            assert_eq!(text.matches("Lockkeeper, HTTP-01: ").count(), snippet.parts.len(), "{text}");
            assert!(!text.contains("{{") && !text.contains("}}"), "{text}");
            let named = match &plan {
                Plan::ReverseProxy(responders) => responders.iter().map(ResponderUrl::authority).collect(),
                Plan::Redirect(responder) => vec![responder.to_string()],
                Plan::Stateless(thumbprint) => vec![thumbprint.to_string()],
            };
            assert!(named.iter().all(|one| text.contains(one)), "{text}");
        }
    }
}
