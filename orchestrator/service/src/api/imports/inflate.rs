//! `Content-Encoding: gzip` (RFC 1952), within bounds: a few kilobytes must not become gigabytes here.

use std::io::Write as _;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use bytes::Bytes;
use flate2::write::MultiGzDecoder;

use crate::api::problem::Problem;

/// A file of rows shrinks to a twentieth or so; what shrinks to less than a hundredth is none.
const RATIO_MAX: u64 = 100;
/// Below this the ratio says nothing: a short file may be one row many times.
const RATIO_FROM: u64 = 1024 * 1024;
/// Deflate makes up to 1,032 bytes of one: so much is inflated before the bounds are looked at.
const STEP: usize = 2 * 1024;

/// How a body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let value = values.next().map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
        match value.as_deref() {
            _ if values.next().is_some() => Err(Problem::encoding_unknown()),
            None | Some("" | "identity") => Ok(Self::Plain),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip),
            Some(_) => Err(Problem::encoding_unknown()),
        }
    }

    /// All of a body that has been read.
    pub(super) fn inflated(self, body: Bytes, bytes_max: usize) -> Result<Bytes, Problem> {
        if self == Self::Plain {
            return Ok(body);
        }
        let mut inflater = Inflater::new(self, bytes_max);
        let mut whole = Vec::new();
        inflater.push(&body, |piece| {
            whole.extend_from_slice(piece);
            Ok(())
        })?;
        inflater.finish(|piece| {
            whole.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(whole.into())
    }
}

/// Inflates piece by piece.
#[derive(Debug)]
pub(super) struct Inflater {
    /// `None`: it is sent as it is.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    taken: u64,
    given: u64,
    bytes_max: usize,
}

impl Inflater {
    pub(super) fn new(encoding: Encoding, bytes_max: usize) -> Self {
        let decoder = (encoding == Encoding::Gzip).then(|| MultiGzDecoder::new(Vec::new()));
        Self { decoder, taken: 0, given: 0, bytes_max }
    }

    pub(super) fn push(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        if self.decoder.is_none() {
            self.taken += piece.len() as u64;
            self.given += piece.len() as u64;
            self.check()?;
            return each(piece);
        }
        for step in piece.chunks(STEP) {
            self.taken += step.len() as u64;
            if let Some(decoder) = &mut self.decoder {
                decoder.write_all(step).map_err(|_| Problem::gzip_broken())?;
            }
            self.hand_out(&mut each)?;
        }
        Ok(())
    }

    /// Nothing follows.
    pub(super) fn finish(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        if let Some(decoder) = &mut self.decoder {
            decoder.try_finish().map_err(|_| Problem::gzip_broken())?;
        }
        self.hand_out(&mut each)
    }

    fn hand_out(&mut self, each: &mut impl FnMut(&[u8]) -> Result<(), Problem>) -> Result<(), Problem> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let inflated = std::mem::take(decoder.get_mut());
        self.given += inflated.len() as u64;
        self.check()?;
        if !inflated.is_empty() {
            each(&inflated)?;
        }
        // Its room serves the next piece.
        if let Some(decoder) = &mut self.decoder {
            *decoder.get_mut() = inflated;
            decoder.get_mut().clear();
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Problem> {
        if self.given > self.bytes_max as u64 {
            return Err(Problem::file_too_large(self.bytes_max));
        }
        if self.given > RATIO_FROM && self.given / RATIO_MAX > self.taken {
            return Err(Problem::inflates_too_much(RATIO_MAX));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn inflate(sent: &[u8], piece: usize, bytes_max: usize) -> Result<Vec<u8>, Problem> {
        let mut inflater = Inflater::new(Encoding::Gzip, bytes_max);
        let mut out = Vec::new();
        for piece in sent.chunks(piece) {
            inflater.push(piece, |piece| {
                assert!(piece.len() <= STEP * 1_040 + 1_024, "{} at once", piece.len());
                out.extend_from_slice(piece);
                Ok(())
            })?;
        }
        inflater.finish(|piece| {
            out.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn what_was_sent_comes_out_whatever_the_pieces() {
        let text: Vec<u8> =
            (0..20_000_u32).flat_map(|n| format!("t1,s{n},a{n}.com,http-01,\n").into_bytes()).collect();
        let twice = [gzip(&text[..1_000]), gzip(&text[1_000..])].concat();
        for piece in [1, 7, 4_096, 1 << 20] {
            assert_eq!(inflate(&twice, piece, 1 << 30).expect("it is whole"), text);
        }
    }

    #[test]
    fn a_bomb_is_put_out() {
        let bomb = gzip(&vec![b'x'; 64 << 20]);
        assert!(bomb.len() < 100_000);
        for (bytes_max, word) in [(1 << 30, "expands"), (1 << 20, "MiB")] {
            let refused = inflate(&bomb, 8_192, bytes_max).expect_err("it is one");
            assert!(format!("{refused:?}").contains(word), "{refused:?}");
        }
    }

    #[test]
    fn what_is_broken_is_told() {
        let whole = gzip(b"tenant,external_id,names,challenge,labels\n");
        let mut changed = whole.clone();
        let last = changed.len() - 6;
        changed[last] ^= 1;
        for broken in [&whole[..whole.len() - 4], b"tenant,external_id", &changed] {
            assert!(inflate(broken, 100, 1 << 20).is_err());
        }
    }
}
