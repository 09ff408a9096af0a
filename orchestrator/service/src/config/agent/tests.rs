use std::path::Path;

use super::*;

const REQUIRED: &str = "[service]\nurl = 'https://a.com'\nkey_file = 'k'\nselector = 'server=web17'\n[certbot]\nfolder = '/etc/x'\n";

fn parse(text: &str) -> Result<AgentConfig, ConfigError> {
    AgentConfig::parse(Path::new("agent.toml"), text)
}

fn refused(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn the_example_loads_is_the_defaults_and_shows_every_key() {
    let config = parse(AGENT_EXAMPLE).expect("it loads");
    let defaults = AgentConfig {
        service: ServiceConfig {
            url: config.service.url.clone(),
            key_file: config.service.key_file.clone(),
            selector: config.service.selector.clone(),
            ..ServiceConfig::default()
        },
        certbot: config.certbot.clone(),
        ..AgentConfig::default()
    };
    assert_eq!(config, defaults);
    for (section, keys) in AgentConfig::keys() {
        let heading = format!("\n[{section}]\n");
        let start =
            AGENT_EXAMPLE.find(&heading).unwrap_or_else(|| panic!("[{section}] is not in the example"));
        let body = &AGENT_EXAMPLE[start + heading.len()..];
        let body = &body[..body.find("\n[").unwrap_or(body.len())];
        for key in keys {
            let is_shown =
                body.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
            assert!(is_shown, "[{section}] {key} is not in the example");
        }
    }
    let filled: String = AGENT_EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => rest,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let filled = parse(&filled).expect("it loads with its optional keys");
    assert!(filled.custom.combined.is_some() && filled.haproxy.folder.is_some());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let replaced = |from: &str, to: &str| refused(&REQUIRED.replace(from, to));
    assert!(replaced("selector", "selecter").starts_with("agent.toml:4:1: there is no key `selecter`"));
    assert!(replaced("server=web17", "web17").starts_with("agent.toml:4:12: [service] selector: part 1"));
    assert!(
        replaced("https://a.com", "http://a.com").starts_with("agent.toml:2:7: [service] url: private keys")
    );
    assert!(replaced("url = 'https://a.com'\n", "").starts_with("agent.toml:1:1: [service] url: missing"));
    assert!(replaced("[certbot]\nfolder = '/etc/x'\n", "").contains("nothing is written anywhere"));
    assert!(replaced("[certbot]", "[certbott]").contains("did you mean `[certbot]`"));
    let custom = |template: &str| refused(&format!("{REQUIRED}[custom]\ncert = '{template}'\n"));
    assert!(custom("/etc/ssl/cert.pem").starts_with("agent.toml:8:8: [custom] cert: write {name}"));
    assert!(custom("/etc/ssl/../{name}").contains("no dots for folders"));
    assert!(custom("{name}.pem").contains("whole path"));
    assert!(custom("/{name}/{kind}").contains("no other placeholder"));
    let mode = |mode: &str| refused(&format!("{REQUIRED}[files]\nkey_mode = '{mode}'\n"));
    assert!(mode("0755").contains("nobody executes it") && mode("rw").contains("octal"));
    assert!(refused(&format!("{REQUIRED}[probe]\naddresses = ['localhost']\n")).contains("with its port"));
}

#[test]
fn plain_http_is_for_this_machine_alone() {
    for url in ["http://127.0.0.1:8400", "http://[::1]:8400", "http://localhost", "https://a.com:8443/"] {
        assert!(ServiceUrl::try_from(url.to_owned()).is_ok(), "{url}");
    }
    for url in ["http://127.0.0.1.a.com", "ftp://a.com", "a.com", "https://a.com/v1", "https://u:p@a.com", ""]
    {
        assert!(ServiceUrl::try_from(url.to_owned()).is_err(), "{url}");
    }
}
