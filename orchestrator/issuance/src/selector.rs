//! Which certificates a server needs, by their labels: `server=web17,tier=shop`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// More say nothing that fewer could not.
const TERMS_MAX: usize = 16;
const KEY_BYTES_MAX: usize = 63;
const VALUE_BYTES_MAX: usize = 255;

/// Labels that a certificate must have, all of them. At least one: nothing is selected by accident.
///
/// As text `key=value`, separated by commas; so a value that has a comma in it cannot be selected by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector(BTreeMap<Box<str>, Box<str>>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error("the selector is empty: write key=value, as in server=web17")]
    Empty,
    #[error("part {place} of the selector is no key=value")]
    Term { place: usize },
    #[error(
        "the key in part {place} of the selector is no label key: write 1 to {KEY_BYTES_MAX} letters, digits, dots, hyphens, underscores or slashes"
    )]
    Key { place: usize },
    #[error(
        "the value in part {place} of the selector is no label value: write at most {VALUE_BYTES_MAX} bytes without control characters"
    )]
    Value { place: usize },
    #[error("the label {key} stands twice in the selector, and no certificate has two values of it")]
    Twice { key: Box<str> },
    #[error("the selector has more than {TERMS_MAX} parts")]
    TooMany,
}

impl Selector {
    /// # Errors
    /// The text is no selector; which part of it, counted from 1, the error tells.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.trim().is_empty() {
            return Err(SelectorError::Empty);
        }
        let mut terms = BTreeMap::new();
        for (index, term) in text.split(',').enumerate() {
            let place = index + 1;
            if place > TERMS_MAX {
                return Err(SelectorError::TooMany);
            }
            let (key, value) = term.split_once('=').ok_or(SelectorError::Term { place })?;
            let (key, value) = (key.trim(), value.trim());
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
            if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.chars().all(fits) {
                return Err(SelectorError::Key { place });
            }
            if value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control) {
                return Err(SelectorError::Value { place });
            }
            if terms.insert(Box::from(key), Box::from(value)).is_some() {
                return Err(SelectorError::Twice { key: key.into() });
            }
        }
        Ok(Self(terms))
    }

    /// The labels asked for, by their keys.
    pub fn terms(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether something that has these labels is selected.
    pub fn selects<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.terms().all(|(key, value)| label(key) == Some(value))
    }

    /// What both select; `None` where nothing can be both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Option<Self> {
        let mut terms = self.0.clone();
        for (key, value) in &other.0 {
            if terms.insert(key.clone(), value.clone()).is_some_and(|had| had != *value) {
                return None;
            }
        }
        Some(Self(terms))
    }
}

impl fmt::Display for Selector {
    /// By the order of the keys, so that two which select the same are the same text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, value)) in self.terms().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_selector_is_told_by_its_place() {
        assert_eq!(Selector::parse(" "), Err(SelectorError::Empty));
        assert_eq!(Selector::parse("server"), Err(SelectorError::Term { place: 1 }));
        assert_eq!(Selector::parse("server=web17,"), Err(SelectorError::Term { place: 2 }));
        assert_eq!(Selector::parse("a=1,b c=2"), Err(SelectorError::Key { place: 2 }));
        assert_eq!(Selector::parse("=1"), Err(SelectorError::Key { place: 1 }));
        assert_eq!(Selector::parse("a=1\u{7}"), Err(SelectorError::Value { place: 1 }));
        assert_eq!(Selector::parse("a=1,a=1"), Err(SelectorError::Twice { key: "a".into() }));
        let many = (0..=TERMS_MAX).map(|n| format!("k{n}=v"));
        assert_eq!(Selector::parse(&many.collect::<Vec<_>>().join(",")), Err(SelectorError::TooMany));
    }

    #[test]
    fn all_of_its_labels_are_wanted_and_others_do_not_matter() {
        let selector = Selector::parse("server=web17, tier=shop").unwrap();
        let labels = |server, tier| {
            move |key: &str| match key {
                "server" => server,
                "tier" => tier,
                _ => Some("x"),
            }
        };
        assert!(selector.selects(labels(Some("web17"), Some("shop"))));
        assert!(!selector.selects(labels(Some("web17"), None)));
        assert!(!selector.selects(labels(Some("web1"), Some("shop"))));
    }

    #[test]
    fn two_of_them_select_what_both_do() {
        let parse = |text| Selector::parse(text).unwrap();
        assert_eq!(parse("a=1").and(&parse("b=2")), Some(parse("b=2,a=1")));
        assert_eq!(parse("a=1").and(&parse("a=1,b=2")), Some(parse("a=1,b=2")));
        assert_eq!(parse("a=1").and(&parse("a=2")), None);
    }

    proptest! {
        #[test]
        fn it_comes_back_from_its_text(
            terms in proptest::collection::btree_map("[a-zA-Z0-9._/-]{1,20}", "[^,\\pC\\s]{0,20}", 1..TERMS_MAX)
        ) {
            let text: Vec<String> = terms.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let selector = Selector::parse(&text.join(",")).unwrap();
            prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector.clone()));
            prop_assert!(selector.selects(|key| terms.get(key).map(String::as_str)));
        }
    }
}
