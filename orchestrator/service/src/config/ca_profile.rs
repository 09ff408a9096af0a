//! CA profiles: what one CA is like, as data. The built-in ones are compiled in from `deploy/ca-profiles/`.

use std::path::{Path, PathBuf};

use issuance::limit::LimitName;
use issuance::profile::CaProfile;

/// Name and text of each built-in profile.
pub const BUILT_IN: [(&str, &str); 7] = [
    ("letsencrypt", include_str!("../../../../deploy/ca-profiles/letsencrypt.toml")),
    ("letsencrypt-staging", include_str!("../../../../deploy/ca-profiles/letsencrypt-staging.toml")),
    ("zerossl", include_str!("../../../../deploy/ca-profiles/zerossl.toml")),
    ("google", include_str!("../../../../deploy/ca-profiles/google.toml")),
    ("pebble", include_str!("../../../../deploy/ca-profiles/pebble.toml")),
    ("rehearsal", include_str!("../../../../deploy/ca-profiles/rehearsal.toml")),
    ("generic", include_str!("../../../../deploy/ca-profiles/generic.toml")),
];

/// Loads the built-in profile of that name; anything with a `/` or ending in `.toml` is the path of a file.
///
/// # Errors
/// There is no such profile, or what it says makes no CA.
pub fn load(name_or_path: &str) -> Result<CaProfile, CaProfileError> {
    let is_path = name_or_path.contains('/')
        || Path::new(name_or_path).extension().is_some_and(|extension| extension == "toml");
    if is_path {
        let path = PathBuf::from(name_or_path);
        let text = std::fs::read_to_string(&path).map_err(|source| CaProfileError::Read { path, source })?;
        return parse(name_or_path, &text);
    }
    match BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        Some((name, text)) => parse(name, text),
        None => Err(CaProfileError::Unknown { name: name_or_path.to_owned() }),
    }
}

fn parse(name: &str, text: &str) -> Result<CaProfile, CaProfileError> {
    let profile: CaProfile =
        toml::from_str(text).map_err(|source| CaProfileError::Parse { name: name.to_owned(), source })?;
    let nonsense = |what| CaProfileError::Nonsense { name: name.to_owned(), what };
    if profile.pending_for_new_work() == 0 {
        return Err(nonsense("its recovery reserve leaves nothing of the pending budget".to_owned()));
    }
    if profile.names_max == 0 || profile.poll_first_ms == 0 || profile.poll_max_ms < profile.poll_first_ms {
        return Err(nonsense("names_max and poll_first_ms must be positive, poll_max_ms no less".to_owned()));
    }
    for limit in LimitName::ALL {
        let mut told = profile.limits.iter().filter(|told| told.name == limit);
        if told.next().is_some_and(|told| told.bucket().is_none()) {
            return Err(nonsense(format!("limit {} has a zero in it", limit.as_str())));
        }
        if told.next().is_some() {
            return Err(nonsense(format!("limit {} is told twice", limit.as_str())));
        }
    }
    Ok(profile)
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum CaProfileError {
    #[error(
        "no CA profile is called {name:?}: choose one of {}, or give the path of a file",
        BUILT_IN.map(|(name, _)| name).join(", ")
    )]
    Unknown { name: String },
    #[error("the CA profile {} cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the CA profile {name} is malformed")]
    Parse {
        name: String,
        #[source]
        source: toml::de::Error,
    },
    #[error("the CA profile {name} makes no sense: {what}")]
    Nonsense { name: String, what: String },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DirectoryUrl;

    #[test]
    fn every_built_in_profile_loads_under_its_own_name_and_its_limits_make_buckets() {
        for (name, _) in BUILT_IN {
            let profile = load(name).unwrap();
            assert_eq!(profile.name, name);
            assert!(profile.limits.iter().all(|limit| limit.bucket().is_some()));
            assert!(profile.directory.is_empty() || DirectoryUrl::parse(&profile.directory).is_ok());
        }
    }

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/ca-profiles");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, BUILT_IN.len());
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = load("letsencript").unwrap_err();
        assert!(error.to_string().contains("letsencrypt-staging"), "{error}");
    }

    #[test]
    fn numbers_that_make_no_ca_are_refused() {
        let (_, good) = BUILT_IN.into_iter().find(|(name, _)| *name == "generic").unwrap();
        for (from, to) in [
            ("burst = 5", "burst = 0"),
            ("recovery_reserve = 20", "recovery_reserve = 100"),
            ("name = \"failed_authorizations_per_hostname\"", "name = \"new_orders_per_account\""),
            ("poll_max_ms = 15000", "poll_max_ms = 1"),
        ] {
            assert!(good.contains(from));
            let error = parse("generic", &good.replace(from, to)).unwrap_err();
            assert!(matches!(error, CaProfileError::Nonsense { .. }), "{to}: {error}");
        }
    }

    #[test]
    fn a_profile_is_read_from_a_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ours.toml");
        std::fs::write(&path, BUILT_IN[6].1).unwrap();
        assert_eq!(load(path.to_str().unwrap()).unwrap().name, "generic");
        assert!(matches!(load("./absent.toml"), Err(CaProfileError::Read { .. })));
    }
}
