//! The file and the variables, laid over each other, as something serde can read section by section.
//!
//! Every value is read on its own, so an error knows the line or the variable it comes from.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::{ConfigError, Place};
use super::variable::Text;

const PREFIX: &str = "LOCKKEEPER_";

pub(super) struct Layers<'a> {
    sections: BTreeMap<String, Section<'a>>,
    /// Variables of ours by prefix but not by form: they may be slips, or somebody else's
    /// (Kubernetes sets `LOCKKEEPER_SERVICE_HOST` for a service called lockkeeper).
    shapeless: Vec<String>,
    known: Vec<(&'static str, &'static [&'static str])>,
    file: Option<(&'a Path, &'a str)>,
}

/// What was written of one section.
struct Section<'a> {
    place: Place,
    entries: BTreeMap<String, Entry<'a>>,
}

struct Entry<'a> {
    place: Place,
    value: Value<'a>,
}

enum Value<'a> {
    File(Spanned<DeValue<'a>>),
    Variable(String),
}

impl<'a> Layers<'a> {
    pub(super) fn empty() -> Self {
        Self { sections: BTreeMap::new(), shapeless: Vec::new(), known: Vec::new(), file: None }
    }

    pub(super) fn new(
        file: Option<(&'a Path, &'a str)>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self { file, ..Self::empty() };
        if let Some((path, text)) = file {
            layers.lay_file(path, text)?;
        }
        for (name, text) in env {
            layers.lay_variable(name, text);
        }
        Ok(layers)
    }

    fn lay_file(&mut self, path: &Path, text: &'a str) -> Result<(), ConfigError> {
        let place = |byte| Place::in_file(path.to_path_buf(), text, byte);
        let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            place: place(error.span().map_or(0, |span| span.start)),
            what: error.message().replace('\n', "; "),
        })?;
        for (name, value) in document.into_inner() {
            let heading = place(name.span().start);
            let name = name.into_inner().into_owned();
            let DeValue::Table(table) = value.into_inner() else {
                return Err(ConfigError::NotASection { place: heading, section: name });
            };
            let entries = table.into_iter().map(|(key, value)| {
                let place = place(key.span().start);
                (key.into_inner().into_owned(), Entry { place, value: Value::File(value) })
            });
            self.sections.insert(name, Section { place: heading, entries: entries.collect() });
        }
        Ok(())
    }

    fn lay_variable(&mut self, name: String, text: String) {
        let Some(rest) = name.strip_prefix(PREFIX) else { return };
        let Some((section, key)) = rest.split_once("__") else {
            self.shapeless.push(name);
            return;
        };
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let place = Place::Variable(name);
        self.sections
            .entry(section)
            .or_insert_with(|| Section { place: place.clone(), entries: BTreeMap::new() })
            .entries
            .insert(key, Entry { place, value: Value::Variable(text) });
    }

    /// Reads one section; what is not written has its default.
    pub(super) fn section<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, ConfigError> {
        let entries = self.sections.remove(name).map(|section| section.entries).unwrap_or_default();
        T::deserialize(SectionReader { name, entries, file: self.file, known: &mut self.known })
    }

    /// Refuses what no section has asked for.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if let Some((name, section)) = self.sections.into_iter().next() {
            let meant = closest(&name, self.known.iter().map(|(known, _)| *known));
            let did_you_mean = meant.map(|meant| match section.place {
                Place::File { .. } => format!("[{meant}]"),
                Place::Variable(_) => format!("{PREFIX}{}__…", meant.to_uppercase()),
            });
            return Err(ConfigError::UnknownSection { place: section.place, section: name, did_you_mean });
        }
        for variable in self.shapeless {
            for (section, keys) in &self.known {
                let slip = |key: &&&str| variable == format!("{PREFIX}{section}_{key}").to_uppercase();
                if let Some(key) = keys.iter().find(slip) {
                    return Err(ConfigError::UnknownSection {
                        place: Place::Variable(variable.clone()),
                        section: (*section).to_owned() + "_" + key,
                        did_you_mean: Some(variable_name(section, key)),
                    });
                }
            }
        }
        Ok(())
    }

    /// The sections read so far with the keys they know.
    pub(super) fn known(&self) -> &[(&'static str, &'static [&'static str])] {
        &self.known
    }
}

fn variable_name(section: &str, key: &str) -> String {
    format!("{PREFIX}{section}__{key}").to_uppercase()
}

/// The known word that `written` was probably meant to be.
fn closest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let distance = |word: &str| strsim::damerau_levenshtein(written, word);
    let near = known.filter(|word| distance(word) <= (word.len().max(written.len()) / 3).max(1));
    near.min_by_key(|word| distance(word))
}

struct SectionReader<'r, 'a> {
    name: &'static str,
    entries: BTreeMap<String, Entry<'a>>,
    file: Option<(&'a Path, &'a str)>,
    known: &'r mut Vec<(&'static str, &'static [&'static str])>,
}

impl<'a> Deserializer<'a> for SectionReader<'_, 'a> {
    type Error = ConfigError;

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        self.known.push((self.name, fields));
        if let Some((key, entry)) = self.entries.iter().find(|(key, _)| !fields.contains(&key.as_str())) {
            let meant = closest(key, fields.iter().copied());
            let did_you_mean = meant.map(|meant| match entry.place {
                Place::File { .. } => meant.to_owned(),
                Place::Variable(_) => variable_name(self.name, meant),
            });
            return Err(ConfigError::UnknownKey {
                place: entry.place.clone(),
                section: self.name.to_owned(),
                key: key.clone(),
                did_you_mean,
            });
        }
        visitor.visit_map(Entries {
            section: self.name,
            file: self.file,
            rest: self.entries.into_iter(),
            current: None,
        })
    }

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.deserialize_struct("section", &[], visitor)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Entries<'a> {
    section: &'static str,
    file: Option<(&'a Path, &'a str)>,
    rest: std::collections::btree_map::IntoIter<String, Entry<'a>>,
    current: Option<(String, Entry<'a>)>,
}

impl<'a> MapAccess<'a> for Entries<'a> {
    type Error = ConfigError;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, ConfigError> {
        let Some((key, entry)) = self.rest.next() else { return Ok(None) };
        let deserializer: StrDeserializer<'_, ConfigError> = key.as_str().into_deserializer();
        let read = seed.deserialize(deserializer)?;
        self.current = Some((key, entry));
        Ok(Some(read))
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, ConfigError> {
        let (key, entry) = self.current.take().expect("serde asks for a value after its key");
        let (place, what) = match entry.value {
            Value::File(value) => {
                let start = value.span().start;
                match seed.deserialize(ValueDeserializer::from(value)) {
                    Ok(read) => return Ok(read),
                    Err(error) => {
                        let byte = error.span().map_or(start, |span| span.start);
                        let place = self.file.map_or(entry.place, |(path, text)| {
                            Place::in_file(path.to_path_buf(), text, byte)
                        });
                        (place, error.message().to_owned())
                    }
                }
            }
            Value::Variable(text) => match seed.deserialize(Text::new(&text)) {
                Ok(read) => return Ok(read),
                Err(error) => (entry.place, error.to_string()),
            },
        };
        Err(ConfigError::Value { place, section: self.section, key, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_word_is_offered_and_a_strange_one_is_not() {
        let known = ["permits", "lease_seconds", "roles"];
        assert_eq!(closest("permit", known.into_iter()), Some("permits"));
        assert_eq!(closest("leaseseconds", known.into_iter()), Some("lease_seconds"));
        assert_eq!(closest("rolse", known.into_iter()), Some("roles"));
        assert_eq!(closest("colour", known.into_iter()), None);
    }
}
