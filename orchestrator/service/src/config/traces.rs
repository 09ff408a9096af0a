use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use http::Uri;
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// `[traces]`: one trace for each attempt at a certificate, sent to an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracesConfig {
    /// Where spans are sent: OTLP over HTTP, as protobuf. Absent: no traces are made.
    pub endpoint: Option<CollectorUrl>,
    /// The share of orders that are traced, from 0 to 1. The same on all replicas.
    pub sample_ratio: SampleRatio,
    /// A file with headers for the collector, one `name: value` a line: its credentials.
    pub headers_file: Option<PathBuf>,
    /// A root beside the machine's own that the collector may be known by: a PEM file.
    pub extra_root: Option<PathBuf>,
    pub service_name: String,
    /// What is said of this service beside that, as `key=value`.
    pub resource_attributes: Vec<ResourceAttribute>,
    /// Spans that wait to be sent, at the most; more are dropped.
    pub queue_spans: NonZeroU32,
    /// How long one request to the collector may take.
    pub timeout_ms: NonZeroU32,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            sample_ratio: SampleRatio::ALL,
            headers_file: None,
            extra_root: None,
            service_name: "lockkeeper".to_owned(),
            resource_attributes: Vec::new(),
            queue_spans: const { NonZeroU32::new(8_192).unwrap() },
            timeout_ms: const { NonZeroU32::new(10_000).unwrap() },
        }
    }
}

/// A share of all, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleRatio(u32);

impl SampleRatio {
    pub const ALL: Self = Self(1_000_000);

    /// From 0 to 1.
    pub fn get(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }
}

/// A number from the file, or text from a variable.
impl<'de> Deserialize<'de> for SampleRatio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Share;

        impl Visitor<'_> for Share {
            type Value = SampleRatio;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 to 1")
            }

            fn visit_f64<E: de::Error>(self, share: f64) -> Result<SampleRatio, E> {
                if (0.0..=1.0).contains(&share) {
                    Ok(SampleRatio((share * f64::from(SampleRatio::ALL.0)).round() as u32))
                } else {
                    Err(E::invalid_value(Unexpected::Float(share), &self))
                }
            }

            fn visit_i64<E: de::Error>(self, share: i64) -> Result<SampleRatio, E> {
                self.visit_f64(share as f64)
            }

            fn visit_u64<E: de::Error>(self, share: u64) -> Result<SampleRatio, E> {
                self.visit_f64(share as f64)
            }

            fn visit_str<E: de::Error>(self, share: &str) -> Result<SampleRatio, E> {
                match share.parse() {
                    Ok(share) => self.visit_f64(share),
                    Err(_) => Err(E::invalid_value(Unexpected::Str(share), &self)),
                }
            }
        }

        deserializer.deserialize_any(Share)
    }
}

/// Where a collector takes traces: `http` or `https`, with its path, and with no credentials in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CollectorUrl(Uri);

impl CollectorUrl {
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

/// What was written instead is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an http or https URL with its path and no credentials, such as http://127.0.0.1:4318/v1/traces"
)]
pub struct CollectorUrlError;

impl TryFrom<String> for CollectorUrl {
    type Error = CollectorUrlError;

    fn try_from(text: String) -> Result<Self, CollectorUrlError> {
        let uri: Uri = text.trim().parse().map_err(|_| CollectorUrlError)?;
        let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if has_scheme && is_plain && uri.path() != "/" && !uri.path().is_empty() {
            Ok(Self(uri))
        } else {
            Err(CollectorUrlError)
        }
    }
}

/// `key=value`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ResourceAttribute {
    key: String,
    value: String,
}

impl ResourceAttribute {
    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn value(&self) -> &str {
        &self.value
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write key=value, such as deployment.environment.name=production")]
pub struct ResourceAttributeError;

impl TryFrom<String> for ResourceAttribute {
    type Error = ResourceAttributeError;

    fn try_from(text: String) -> Result<Self, ResourceAttributeError> {
        let (key, value) = text.split_once('=').ok_or(ResourceAttributeError)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() {
            return Err(ResourceAttributeError);
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TracesConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_collector_is_named_by_a_whole_url_without_credentials() {
        let good =
            read("endpoint = \"https://otel.example:4318/v1/traces\"\nsample_ratio = 0.25\n").expect("good");
        assert_eq!(good.endpoint.expect("an endpoint").uri().path(), "/v1/traces");
        for bad in
            ["otel.example/v1/traces", "ftp://a/v1", "http://127.0.0.1:4318", "https://u:s3cret@a/v1/traces"]
        {
            let error = read(&format!("endpoint = {bad:?}")).expect_err(bad);
            assert!(!error.lines().last().unwrap_or_default().contains("s3cret"), "{error}");
            assert!(error.contains("write an http or https URL"), "{error}");
        }
    }

    #[test]
    fn a_share_is_a_share_and_an_attribute_has_a_value() {
        let ratio = |text: &str| read(text).map(|config| config.sample_ratio.0);
        assert_eq!((ratio("sample_ratio = 0"), ratio("sample_ratio = 0.25")), (Ok(0), Ok(250_000)));
        assert!(read("sample_ratio = 1.5").is_err());
        assert!(read("sample_ratio = -0.1").is_err());
        let read_one =
            read("resource_attributes = [\"deployment.environment.name = production\"]").expect("one");
        assert_eq!(read_one.resource_attributes[0].value(), "production");
        assert!(read("resource_attributes = [\"production\"]").is_err());
    }
}
