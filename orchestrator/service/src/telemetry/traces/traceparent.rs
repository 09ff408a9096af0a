use std::fmt;
use std::str::FromStr;

use super::id::{SpanId, TraceId};

/// Where a request comes from: the header `traceparent` (W3C Trace Context §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    pub trace: TraceId,
    pub span: SpanId,
    pub sampled: bool,
}

/// Not a `traceparent`: it is passed over, as the specification wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct TraceparentError;

const SAMPLED: u8 = 1;
/// Of version 00; later ones may be followed by a dash and more.
const CHARS: usize = 55;

impl FromStr for Traceparent {
    type Err = TraceparentError;

    fn from_str(text: &str) -> Result<Self, TraceparentError> {
        let (known, rest) = text.split_at_checked(CHARS).ok_or(TraceparentError)?;
        let mut parts = known.split('-');
        let mut part = |chars: usize| {
            let part = parts.next().filter(|part| part.len() == chars).ok_or(TraceparentError)?;
            let is_hex = part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            if is_hex { Ok(part) } else { Err(TraceparentError) }
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let follows =
            if version == "00" { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
        if version == "ff" || !follows {
            return Err(TraceparentError);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| TraceparentError)?;
        let span = u64::from_str_radix(span, 16).map_err(|_| TraceparentError)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| TraceparentError)?;
        if trace == 0 || span == 0 {
            return Err(TraceparentError);
        }
        Ok(Self {
            trace: TraceId(trace.to_be_bytes()),
            span: SpanId(span.to_be_bytes()),
            sampled: flags & SAMPLED != 0,
        })
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_as_the_specification_has_it() {
        let read: Traceparent = GOOD.parse().expect("the specification's example");
        assert_eq!((read.to_string().as_str(), read.sampled), (GOOD, true));
        let later = GOOD.replacen("00", "cc", 1) + "-what-may-come";
        assert_eq!(later.parse(), Ok(read));
        let unsampled: Traceparent = GOOD.replace("-01", "-00").parse().expect("not sampled");
        assert!(!unsampled.sampled);
    }

    #[test]
    fn what_is_none_is_passed_over() {
        let bad = [
            String::new(),
            GOOD.to_uppercase(),
            GOOD.replacen("00", "ff", 1),
            format!("{GOOD}-more"),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace('-', "_"),
            format!("{}ü", &GOOD[..54]),
            "é".repeat(40),
        ];
        for text in bad {
            assert_eq!(text.parse::<Traceparent>(), Err(TraceparentError), "{text:?}");
        }
    }
}
