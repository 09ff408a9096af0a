//! The bulk import's other format: one JSON object a line (<https://github.com/ndjson/ndjson-spec>).
//!
//! ```text
//! {"tenant":"tenant-01","external_id":"site-00000","names":["shop.com","www.shop.com"],"challenge":"http-01","labels":{"rack":"4"}}
//! ```
//!
//! The members are the columns of the CSV. `challenge` is `http-01` where it is left out, `labels` may be left out, and
//! `tenant` by whoever imports for himself. A member of another name is refused, so that a misspelt one is not lost.

use std::borrow::Cow;

use issuance::identifier::NAMES_MAX;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::csv::fields::{self, FieldFault, quoted};
use super::csv::{FaultCode, Field, ROW_BYTES_MAX, Row, RowFault};
use crate::json::Object;

/// What a fault tells of the parser's complaint, which may quote the line.
const COMPLAINT_CHARS_MAX: usize = 160;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    tenant: Option<&'a RawValue>,
    #[serde(borrow)]
    external_id: &'a RawValue,
    #[serde(borrow)]
    names: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    challenge: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    labels: Option<&'a RawValue>,
}

/// Where a member stands, `null` is what it is said to be, and wrong: what is to be left out is left out.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads rows, each by itself.
#[derive(Debug)]
pub struct RowReader {
    names_max: usize,
    /// Whose row it is if it does not say so.
    own_tenant: Option<String>,
}

impl RowReader {
    /// `names_max` is the CA's; the format's own bound holds too.
    pub fn new(names_max: u32, own_tenant: Option<String>) -> Self {
        Self { names_max: usize::try_from(names_max).unwrap_or(NAMES_MAX).min(NAMES_MAX), own_tenant }
    }

    /// Line `number` of the file, without its end.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(&self, number: u64, line: &[u8]) -> Result<Row, Vec<RowFault>> {
        if line.len() > ROW_BYTES_MAX {
            return Err(vec![RowFault::too_long(number)]);
        }
        let whole = |column, code, detail| vec![RowFault { line: number, column, field: None, code, detail }];
        let text = std::str::from_utf8(line).map_err(|error| {
            let before = String::from_utf8_lossy(&line[..error.valid_up_to()]);
            let detail = "these bytes are not UTF-8: save the file as UTF-8".to_owned();
            whole(column_after(&before), FaultCode::NotUtf8, detail)
        })?;
        let Object(members): Object<Members<'_>> = serde_json::from_str(text).map_err(|error| {
            let before = text.get(..error.column().saturating_sub(1)).unwrap_or(text);
            whole(column_after(before), FaultCode::NotAnObject, complaint(&error))
        })?;
        Line { number, text }.read(&members, self)
    }
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: u64,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn read(self, members: &Members<'a>, reader: &RowReader) -> Result<Row, Vec<RowFault>> {
        let mut faults = Vec::new();
        let mut note = |field: Field, found: Vec<FieldFault>| {
            faults.extend(found.into_iter().map(|fault| RowFault {
                line: self.number,
                column: self.column(fault.offset),
                field: Some(field),
                code: fault.code,
                detail: fault.detail,
            }));
        };
        let tenant = self.tenant(members.tenant, reader).map_err(|fault| note(Field::Tenant, vec![fault]));
        let external_id = self
            .string(members.external_id, FaultCode::BadExternalId)
            .and_then(|id| {
                fields::external_id(&id)
                    .map(str::to_owned)
                    .map_err(|fault| self.at(members.external_id, fault))
            })
            .map_err(|fault| note(Field::ExternalId, vec![fault]));
        let challenge = match members.challenge {
            None => Ok(fields::Challenge::Http01),
            Some(raw) => self
                .string(raw, FaultCode::UnknownChallenge)
                .and_then(|word| fields::challenge(&word).map_err(|fault| self.at(raw, fault))),
        };
        let names = self
            .names(members.names, challenge.as_ref().ok().copied(), reader.names_max)
            .map_err(|found| note(Field::Names, found));
        let challenge = challenge.map_err(|fault| note(Field::Challenge, vec![fault]));
        let labels = match members.labels {
            None => Ok(std::collections::BTreeMap::new()),
            Some(raw) => self.labels(raw).map_err(|found| note(Field::Labels, found)),
        };
        let (Ok(tenant), Ok(external_id), Ok((names, offsets)), Ok(challenge), Ok(labels)) =
            (tenant, external_id, names, challenge, labels)
        else {
            return Err(faults);
        };
        Ok(Row {
            line: self.number,
            tenant,
            external_id,
            names,
            challenge,
            labels,
            tenant_column: members.tenant.map_or(1, |raw| self.column(self.offset(raw))),
            external_id_column: self.column(self.offset(members.external_id)),
            name_columns: offsets.into_iter().map(|offset| self.column(offset)).collect(),
        })
    }

    fn tenant(self, raw: Option<&'a RawValue>, reader: &RowReader) -> Result<String, FieldFault> {
        match (raw, &reader.own_tenant) {
            (Some(raw), _) => {
                let slug = self.string(raw, FaultCode::BadTenant)?;
                fields::tenant(&slug).map(str::to_owned).map_err(|fault| self.at(raw, fault))
            }
            (None, Some(own)) => Ok(own.clone()),
            (None, None) => {
                let detail = "the tenant is missing: say whose row it is";
                Err(FieldFault::new(0, FaultCode::BadTenant, detail))
            }
        }
    }

    fn names(
        self,
        raw: &'a RawValue,
        challenge: Option<fields::Challenge>,
        names_max: usize,
    ) -> Result<(issuance::identifier::Identifiers, Vec<usize>), Vec<FieldFault>> {
        let listed: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| {
            let detail = "names is no list: write [\"shop.com\", \"www.shop.com\"]";
            vec![FieldFault::new(self.offset(raw), FaultCode::NamesMissing, detail)]
        })?;
        let mut words = Vec::with_capacity(listed.len());
        let mut faults = Vec::new();
        for name in listed {
            match self.string(name, FaultCode::BadCharacters) {
                Ok(word) => words.push((self.offset(name), word)),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let given: Vec<(usize, &str)> = words.iter().map(|(offset, word)| (*offset, word.as_ref())).collect();
        fields::names_of(&given, challenge, names_max).map_err(|mut faults| {
            // What is wrong with all of them together is wrong with the list.
            faults
                .iter_mut()
                .filter(|fault| fault.offset == 0)
                .for_each(|fault| fault.offset = self.offset(raw));
            faults
        })
    }

    fn labels(
        self,
        raw: &'a RawValue,
    ) -> Result<std::collections::BTreeMap<String, String>, Vec<FieldFault>> {
        let pairs: Pairs = serde_json::from_str(raw.get()).map_err(|_| {
            let detail = "labels is no object of texts: write {\"rack\": \"4\"}";
            vec![FieldFault::new(self.offset(raw), FaultCode::BadLabel, detail)]
        })?;
        let at = self.offset(raw);
        let given = pairs.0.iter().map(|(key, value)| (at, key.as_str(), value.as_str()));
        fields::labels_of(given, Vec::new()).map_err(|mut faults| {
            for fault in &mut faults {
                fault.offset = at;
            }
            faults
        })
    }

    fn string(self, raw: &'a RawValue, code: FaultCode) -> Result<Cow<'a, str>, FieldFault> {
        serde_json::from_str::<Text<'a>>(raw.get()).map(|text| text.0).map_err(|_| {
            let detail = format!("{} is no text: write it in quotes", quoted(raw.get()));
            FieldFault::new(self.offset(raw), code, detail)
        })
    }

    /// A fault of the value that `raw` is.
    fn at(self, raw: &RawValue, fault: FieldFault) -> FieldFault {
        FieldFault { offset: self.offset(raw), ..fault }
    }

    /// The byte of the line at which a value of it stands.
    fn offset(self, raw: &RawValue) -> usize {
        (raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }

    fn column(self, offset: usize) -> u32 {
        column_after(self.text.get(..offset).unwrap_or(self.text))
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an object in their order, repeated ones too.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// The column, in characters from 1, of what follows `before`.
fn column_after(before: &str) -> u32 {
    u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX)
}

/// What the parser says, without its place and in one line.
fn complaint(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.split(" at line ").next().unwrap_or(&text);
    let said: String =
        said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(COMPLAINT_CHARS_MAX).collect();
    format!("{said}: write one JSON object a line, with tenant, external_id, names, challenge and labels")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where and why it is refused: column, field, code.
    #[derive(Debug, PartialEq)]
    struct Place(u32, Option<&'static str>, &'static str);

    fn read(line: &[u8]) -> Result<Row, Vec<Place>> {
        RowReader::new(100, None).read(7, line).map_err(|faults| {
            let place = |fault: &RowFault| {
                assert!(fault.line == 7 && fault.detail.len() > 10, "{fault:?}");
                Place(fault.column, fault.field.map(Field::as_str), fault.code.as_str())
            };
            faults.iter().map(place).collect()
        })
    }

    #[test]
    fn a_row_is_what_its_csv_would_be() {
        let row = read(
            br#"{"tenant":"t1","external_id":"a, \"b\"","names":["www.shop.com","SHOP.com."],"challenge":"dns-01","labels":{"rack":"4","note":"two words"}}"#,
        )
        .expect("a row");
        assert_eq!((row.tenant.as_str(), row.external_id.as_str()), ("t1", "a, \"b\""));
        assert_eq!(row.names.canonical(), "shop.com,www.shop.com");
        assert_eq!(row.name_columns(), [65, 50], "in the order of the names");
        assert_eq!(row.challenge, fields::Challenge::Dns01);
        assert_eq!(row.labels["note"], "two words");
        let short = RowReader::new(100, Some("own".to_owned()));
        let row = short.read(1, br#"{"external_id":"s1","names":["shop.com"]}"#).expect("a row");
        assert_eq!((row.tenant.as_str(), row.challenge.as_str()), ("own", "http-01"));
    }

    #[test]
    fn a_bad_row_is_named_by_column_and_reason() {
        let deep = [b"[".repeat(4_000), b"]".repeat(4_000)].concat();
        let cases: &[(&[u8], u32, Option<&str>, &str)] = &[
            (b"", 1, None, "not_an_object"),
            (b"[]", 1, None, "not_an_object"),
            (b"{\"tenant\":\"t1\"", 14, None, "not_an_object"),
            (b"{\"tenant\":\"t1\",\"external_id\":\"s1\",\"names\":[],\"name\":1}", 51, None, "not_an_object"),
            (b"{\"tenant\":\"t1\",\"external_id\":\"s1\",\"names\":[\"a.com\xff\"]}", 50, None, "not_utf8"),
            (b"{\"external_id\":\"s1\",\"names\":[\"a.com\"]}", 1, Some("tenant"), "bad_tenant"),
            (b"{\"tenant\":\"T1\",\"external_id\":\"s1\",\"names\":[\"a.com\"]}", 11, Some("tenant"), "bad_tenant"),
            (b"{\"tenant\":\"t1\",\"external_id\":1,\"names\":[\"a.com\"]}", 30, Some("external_id"), "bad_external_id"),
            (b"{\"tenant\":\"t1\",\"external_id\":\"s1\",\"names\":[]}", 43, Some("names"), "names_missing"),
            (b"{\"tenant\":\"t1\",\"external_id\":\"s1\",\"names\":\"a.com\"}", 43, Some("names"), "names_missing"),
            (b"{\"tenant\":\"t1\",\"external_id\":\"s1\",\"names\":[\"a.com\",7]}", 52, Some("names"), "bad_characters"),
            (b"{\"tenant\":\"t1\",\"external_id\":\"s1\",\"names\":[\"a.com\",\"co.uk\"]}", 52, Some("names"), "public_suffix"),
            (b"{\"tenant\":\"t1\",\"external_id\":\"s1\",\"names\":[\"a.com\"],\"challenge\":null}", 65, Some("challenge"), "unknown_challenge"),
            (b"{\"tenant\":\"t1\",\"external_id\":\"s1\",\"names\":[\"a.com\"],\"labels\":{\"a\":1}}", 62, Some("labels"), "bad_label"),
            (b"{\"tenant\":\"t1\",\"external_id\":\"s1\",\"names\":[\"a.com\"],\"labels\":{\"a\":\"1\",\"a\":\"2\"}}", 62, Some("labels"), "bad_label"),
        ];
        for &(line, column, field, code) in cases {
            let found = read(line).expect_err("it is bad");
            assert_eq!(found, [Place(column, field, code)], "{}", String::from_utf8_lossy(line));
        }
        assert_eq!(read(&deep).expect_err("it is deep")[0].2, "not_an_object");
        assert_eq!(read(&b" ".repeat(9_000)).expect_err("it is long")[0].2, "row_too_long");
    }
}
