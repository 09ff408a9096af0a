//! One line of the file, taken apart by RFC 4180 quoting, with the place of every field in it.

use csv_core::{ReadFieldResult, Reader, ReaderBuilder, Terminator};

use super::ROW_BYTES_MAX;

/// Takes lines apart; its buffers are used again for every line.
///
/// A record never goes beyond its line: no field of the format holds a line break, and a quote that is not
/// closed must not swallow the rows after it.
#[derive(Debug)]
pub(super) struct Splitter {
    reader: Reader,
    line: Vec<u8>,
    text: Vec<u8>,
    fields: Vec<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    /// Where the field begins in the line, in bytes.
    at: usize,
    /// The unquoted field in `text`.
    start: usize,
    end: usize,
}

/// The quote that opens at this byte is not closed on its line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QuoteNotClosed {
    pub(super) at: usize,
}

impl Splitter {
    pub(super) fn new() -> Self {
        Self {
            reader: ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build(),
            line: Vec::with_capacity(ROW_BYTES_MAX + 1),
            text: vec![0; ROW_BYTES_MAX + 1],
            fields: Vec::new(),
        }
    }

    /// `line` holds no line feed and at most [`ROW_BYTES_MAX`] bytes.
    pub(super) fn split(&mut self, line: &[u8]) -> Result<Fields<'_>, QuoteNotClosed> {
        self.line.clear();
        self.line.extend_from_slice(line);
        self.line.push(b'\n');
        self.fields.clear();
        self.reader.reset();
        let (mut read, mut written) = (0, 0);
        loop {
            let (result, taken, put) = self.reader.read_field(&self.line[read..], &mut self.text[written..]);
            let span = Span { at: read, start: written, end: written + put };
            read += taken;
            written += put;
            match result {
                ReadFieldResult::Field { record_end } => {
                    self.fields.push(span);
                    if record_end {
                        return Ok(Fields { line: &self.line, text: &self.text, spans: &self.fields });
                    }
                }
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull | ReadFieldResult::End => {
                    return Err(QuoteNotClosed { at: span.at });
                }
            }
        }
    }
}

/// The fields of one line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    line: &'a [u8],
    text: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Fields<'a> {
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The unquoted bytes of field `index`, which exists.
    pub(super) fn bytes(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        &self.text[span.start..span.end]
    }

    /// The column of byte `offset` of field `index`: exact unless a doubled quote stands before it.
    pub(super) fn column(&self, index: usize, offset: usize) -> u32 {
        let at = self.spans[index].at;
        let quote = usize::from(self.line[at] == b'"' && offset > 0);
        column_at(self.line, at + quote + offset)
    }

    /// The column just behind the last character.
    pub(super) fn end_column(&self) -> u32 {
        column_at(self.line, self.line.len() - 1)
    }
}

/// The column, in characters from 1, of the byte at `offset`. Bytes that are not UTF-8 count as an editor
/// shows them: one replacement character for each broken sequence.
pub(super) fn column_at(line: &[u8], offset: usize) -> u32 {
    let before = String::from_utf8_lossy(&line[..offset.min(line.len())]);
    u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX)
}
