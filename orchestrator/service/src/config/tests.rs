use std::path::{Path, PathBuf};

use super::*;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(Some((Path::new("lockkeeper.toml"), text)), env)
}

fn refused(text: &str, variables: &[(&str, &str)]) -> String {
    parse(text, variables).unwrap_err().to_string()
}

#[test]
fn nothing_at_all_is_the_defaults() {
    assert_eq!(parse("", &[]).unwrap(), Config::default());
}

#[test]
fn the_example_is_the_defaults_and_shows_every_key() {
    assert_eq!(parse(EXAMPLE, &[]).unwrap(), Config::default());
    for (section, keys) in Config::keys() {
        let heading = format!("\n[{section}]\n");
        let start = EXAMPLE.find(&heading).unwrap_or_else(|| panic!("[{section}] is not in the example"));
        let body = &EXAMPLE[start + heading.len()..];
        let body = &body[..body.find("\n[").unwrap_or(body.len())];
        for key in keys {
            let shown =
                body.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
            assert!(shown, "[{section}] {key} is not in the example");
        }
    }
}

#[test]
fn the_example_with_its_optional_keys_filled_in_loads() {
    let optional = |line: &str| {
        line.starts_with("# ")
            && line[2..]
                .split_once(" = ")
                .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let filled: String = EXAMPLE
        .lines()
        .map(|line| if optional(line) { &line[2..] } else { line })
        .flat_map(|line| [line, "\n"])
        .collect();
    let config = parse(&filled, &[]).unwrap();
    assert_eq!(config.pending.max.map(std::num::NonZeroU32::get), Some(300));
    assert_eq!(config.ca.external_account().map(|eab| eab.kid.to_owned()), Some("kid-1".to_owned()));
    assert_eq!(
        config.database.url.unwrap().expose(),
        "postgres://lockkeeper:password@db.example.net/lockkeeper"
    );
}

#[test]
fn a_variable_overrides_the_file_whatever_its_type() {
    let text = "[worker]\npermits = 3\nroles = ['api']\n[http01]\nport = 81\n[ca]\nprofile = 'pebble'";
    let config = parse(
        text,
        &[
            ("LOCKKEEPER_WORKER__PERMITS", "7"),
            ("LOCKKEEPER_WORKER__ROLES", "worker, responder"),
            ("LOCKKEEPER_HTTP01__PREFLIGHT", "false"),
            ("LOCKKEEPER_ADDRESSES__ALLOW", "127.0.0.0/8,10.0.0.0/8"),
            ("LOCKKEEPER_RESOLVER__SERVERS", "127.0.0.1:5353"),
            ("LOCKKEEPER_API__LISTEN", "[::1]:9000"),
            ("LOCKKEEPER_PENDING__MAX", "20"),
            ("LOCKKEEPER_DATABASE__URL", ""),
            ("LOCKKEEPER_LOG__FORMAT", "json"),
            ("LOCKKEEPER_CA__EXTRA_ROOT", "/tmp/root.pem"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.worker.permits.get(), 7);
    assert!(config.worker.roles.contains(Role::Responder) && !config.worker.roles.contains(Role::Api));
    assert!(!config.http01.preflight);
    assert_eq!(config.http01.port.get(), 81);
    assert_eq!(config.addresses.allow.len(), 2);
    assert_eq!(config.resolver.servers, ["127.0.0.1:5353".parse().unwrap()]);
    assert_eq!(config.api.listen, "[::1]:9000".parse().unwrap());
    assert_eq!(config.pending.max.unwrap().get(), 20);
    assert_eq!(config.database.url, None);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.ca.extra_root, Some(PathBuf::from("/tmp/root.pem")));
    assert_eq!(config.ca.profile, "pebble");
}

#[test]
fn a_misspelt_key_is_placed_and_corrected() {
    assert_eq!(
        refused("[worker]\n# busy\n  permit = 3\n", &[]),
        "lockkeeper.toml:3:3: there is no key `permit` in [worker]: did you mean `permits`?"
    );
    assert_eq!(
        refused("[workers]\npermits = 3\n", &[]),
        "lockkeeper.toml:1:2: there is no section [workers]: did you mean `[worker]`?"
    );
    assert_eq!(
        refused("[log]\ncolour = 'red'\n", &[]),
        "lockkeeper.toml:2:1: there is no key `colour` in [log]"
    );
    assert_eq!(
        refused("permits = 3\n", &[]),
        "lockkeeper.toml:1:1: [permits] is a section: write its keys below the heading, or `section.key = value`"
    );
}

#[test]
fn a_misspelt_variable_is_corrected() {
    assert_eq!(
        refused("", &[("LOCKKEEPER_WORKER__PERMIT", "3")]),
        "variable LOCKKEEPER_WORKER__PERMIT: there is no key `permit` in [worker]: did you mean `LOCKKEEPER_WORKER__PERMITS`?"
    );
    assert!(
        refused("", &[("LOCKKEEPER_DATABASE_URL", "postgres://db/x")])
            .ends_with("did you mean `LOCKKEEPER_DATABASE__URL`?")
    );
    assert!(
        refused("", &[("LOCKKEEPER_DATABSE__URL", "postgres://db/x")])
            .ends_with("did you mean `LOCKKEEPER_DATABASE__…`?")
    );
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_of_our_name_do_no_harm() {
    let set = [("LOCKKEEPER_SERVICE_HOST", "10.0.0.1"), ("LOCKKEEPER_PORT_8400_TCP_ADDR", "10.0.0.1")];
    assert_eq!(parse("", &set).unwrap(), Config::default());
}

#[test]
fn a_bad_value_is_placed_and_explained() {
    for (text, message) in [
        (
            "[worker]\npermits = 0",
            "lockkeeper.toml:2:11: [worker] permits: invalid value: integer `0`, expected a nonzero u16",
        ),
        (
            "[worker]\npermits = 'x'",
            "lockkeeper.toml:2:11: [worker] permits: invalid type: string \"x\", expected a nonzero u16",
        ),
        ("[worker]\nroles = []", "name at least one of api, worker, responder"),
        (
            "[worker]\nroles = ['api', 'wrker']",
            "lockkeeper.toml:2:17: [worker] roles: unknown variant `wrker`",
        ),
        ("[api]\nlisten = 'localhost'", "lockkeeper.toml:2:10: [api] listen: invalid socket address syntax"),
        (
            "[ca]\ndirectory_url = 'http://acme.example.net/dir'",
            "plain http, which is accepted for localhost",
        ),
        ("[addresses]\nallow = ['10.1.2.3/8']", "for the block write 10.0.0.0/8"),
        (
            "[ca]\neab_kid = 'x'",
            "[ca] eab_kid, eab_hmac_file: external account binding needs both or neither",
        ),
        (
            "[pending]\nmax = 5\nrecovery_reserve = 5",
            "[pending] max, recovery_reserve: the reserve must be smaller",
        ),
        ("[worker\npermits = 3", "lockkeeper.toml:1:8: "),
    ] {
        let error = refused(text, &[]);
        assert!(error.contains(message), "{text:?} was refused with {error:?}");
    }
    let error = refused("", &[("LOCKKEEPER_WORKER__PERMITS", "many")]);
    assert!(error.starts_with("variable LOCKKEEPER_WORKER__PERMITS: [worker] permits: "), "{error}");
}

#[test]
fn a_secret_is_never_printed() {
    let config = parse("[database]\nurl = 'postgres://u:hunter2@db/x'", &[]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!refused("[database]\nurl = 'mysql://u:hunter2@db/x'", &[]).contains("hunter2"));
    assert!(!refused("", &[("LOCKKEEPER_DATABASE__URL", "u:hunter2@db/x")]).contains("hunter2"));
}

#[test]
fn a_named_file_must_exist() {
    let error =
        Config::load(Some(Path::new("/nonexistent/lockkeeper.toml")), std::iter::empty()).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
}
