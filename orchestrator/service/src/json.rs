//! JSON objects where objects are wanted.
//!
//! What serde derives for a struct takes a list of its members' values as well: a client that sends one has made a mistake,
//! and is told so.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A document with members: a list of their values, in whatever order they stand here, is none.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// For a member that is a document itself.
pub(crate) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(document)| document)
}

/// The same, where it may be left out.
pub(crate) fn optional_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let document = Option::<Object<T>>::deserialize(deserializer)?;
    Ok(document.map(|Object(document)| document))
}

/// For a member that is a list of documents.
pub(crate) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let documents = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(documents.into_iter().map(|Object(document)| document).collect())
}

/// The same, where it may be left out.
pub(crate) fn optional_objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let documents = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(documents.map(|list| list.into_iter().map(|Object(document)| document).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Site {
        name: String,
        #[serde(default, deserialize_with = "optional_object")]
        place: Option<Place>,
        #[serde(default, deserialize_with = "objects")]
        spares: Vec<Place>,
        #[serde(default, deserialize_with = "optional_objects")]
        sold: Option<Vec<Place>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Place {
        rack: u8,
    }

    fn read(text: &str) -> Result<Site, String> {
        serde_json::from_str::<Object<Site>>(text).map(|Object(site)| site).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_is_no_object_at_whatever_depth() {
        let site = |place| Ok(Site { name: "a".to_owned(), place, spares: Vec::new(), sold: None });
        assert_eq!(read(r#"{"name":"a","place":{"rack":4}}"#), site(Some(Place { rack: 4 })));
        assert_eq!(read(r#"{"name":"a","place":null}"#), site(None));
        assert_eq!(read(r#"{"name":"a"}"#), site(None));
        let listed =
            read(r#"{"name":"a","spares":[{"rack":1}],"sold":[{"rack":2}]}"#).expect("lists of objects");
        assert_eq!((listed.spares, listed.sold), (vec![Place { rack: 1 }], Some(vec![Place { rack: 2 }])));
        for (text, word) in [
            (r#"{"name":"a","spares":[[1]]}"#, "an object"),
            (r#"{"name":"a","sold":[{"rack":1},[2]]}"#, "an object"),
            (r#"["a",null]"#, "an object"),
            (r#"{"name":"a","place":[4]}"#, "an object"),
            (r#"{"name":"a","rack":4}"#, "unknown field"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(word), "{refused}");
        }
    }
}
