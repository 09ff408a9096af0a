//! What a certificate is called in files: its first name, made fit for a path.

use issuance::identifier::Hostname;

/// More certificates with the same first name on one server are a mistake.
const NAMESAKES_MAX: u32 = 9_999;

/// A word for a path: letters, digits, dots, hyphens and underscores, not beginning with a dot.
///
/// `*.example.com` is `_wildcard.example.com`, which no host can be called; so the wildcard and the plain name never meet,
/// whichever comes first. A second certificate of the same first name is `example.com-0001`, as certbot has it.
pub(super) fn of(names: &[String], is_taken: impl Fn(&str) -> bool) -> Option<String> {
    // What a service says is no path, before it was parsed.
    let first = Hostname::parse(names.first()?).ok()?;
    let base = match first.as_str().strip_prefix("*.") {
        Some(rest) => format!("_wildcard.{rest}"),
        None => first.as_str().to_owned(),
    };
    if !is_taken(&base) {
        return Some(base);
    }
    (1..=NAMESAKES_MAX).map(|place| format!("{base}-{place:04}")).find(|name| !is_taken(name))
}

/// Whether a remembered name is one that [`of`] could have made.
pub(super) fn is_fit(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=255).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_one(name: &str) -> Option<String> {
        of(&[name.to_owned()], |_| false)
    }

    #[test]
    fn each_has_a_name_of_its_own() {
        assert_eq!(of_one("www.example.com").as_deref(), Some("www.example.com"));
        assert_eq!(of_one("*.example.com").as_deref(), Some("_wildcard.example.com"));
        let taken = ["a.com", "a.com-0001"];
        let second = of(&["a.com".to_owned()], |name| taken.contains(&name));
        assert_eq!(second.as_deref(), Some("a.com-0002"));
        assert_eq!(of(&[], |_| false), None);
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        for name in ["../../etc/passwd", "a.com/../b", "/etc/passwd", "..", ".", "", "a\0b.com", "a b.com"] {
            assert_eq!(of_one(name), None, "{name:?}");
            assert!(!is_fit(name), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_fit_for_a_path_or_no_name(text in "\\PC{0,40}") {
            if let Some(name) = of_one(&text) {
                prop_assert!(is_fit(&name), "{}", name);
            }
        }
    }
}
