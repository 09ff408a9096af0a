//! A file that arrives piece by piece: its rows are told as soon as their lines are whole, and nothing but the last,
//! unfinished line is kept.

use super::csv::{self, BYTE_ORDER_MARK, FileError, ROW_BYTES_MAX, Row, RowFault};
use super::ndjson;

/// How the rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Ndjson,
}

impl Format {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        }
    }
}

/// What one line holds.
#[derive(Debug)]
pub enum Read {
    Row(Box<Row>),
    /// With everything that is wrong with it.
    Refused {
        line: u64,
        faults: Vec<RowFault>,
    },
}

#[derive(Debug)]
enum Reader {
    Csv { rows: Box<csv::RowReader>, header_read: bool },
    Ndjson(ndjson::RowReader),
}

/// Reads rows out of pieces.
#[derive(Debug)]
pub struct RowStream {
    reader: Reader,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    /// The line is longer than a row may be, and is being passed over.
    skipping: bool,
    line: u64,
    rows: usize,
    rows_max: usize,
}

impl RowStream {
    /// `names_max` is the CA's. `own_tenant` is whose rows they are that do not say it, in NDJSON.
    pub fn new(format: Format, names_max: u32, own_tenant: Option<String>, rows_max: usize) -> Self {
        let reader = match format {
            Format::Csv => Reader::Csv { rows: Box::new(csv::RowReader::new(names_max)), header_read: false },
            Format::Ndjson => Reader::Ndjson(ndjson::RowReader::new(names_max, own_tenant)),
        };
        Self { reader, rest: Vec::new(), skipping: false, line: 0, rows: 0, rows_max }
    }

    /// The line that was read last.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// # Errors
    /// The file as a whole cannot be read.
    pub fn push(&mut self, mut piece: &[u8], out: &mut Vec<Read>) -> Result<(), FileError> {
        while let Some(end) = piece.iter().position(|&byte| byte == b'\n') {
            let (head, tail) = (&piece[..end], &piece[end + 1..]);
            if self.rest.is_empty() && !self.skipping {
                self.take(head, out)?;
            } else {
                self.keep(head);
                self.end_line(out)?;
            }
            piece = tail;
        }
        self.keep(piece);
        Ok(())
    }

    /// What follows the last line feed is a line too, if it is anything.
    ///
    /// # Errors
    /// As [`Self::push`]; and the file is empty.
    pub fn finish(&mut self, out: &mut Vec<Read>) -> Result<(), FileError> {
        if !self.rest.is_empty() || self.skipping {
            self.end_line(out)?;
        }
        match self.reader {
            Reader::Csv { header_read: false, .. } => Err(FileError::Empty),
            Reader::Ndjson(_) if self.rows == 0 => Err(FileError::NoRows),
            Reader::Csv { .. } | Reader::Ndjson(_) => Ok(()),
        }
    }

    fn keep(&mut self, part: &[u8]) {
        // One byte for a carriage return; one more tells that it is too long.
        if self.skipping || self.rest.len() + part.len() > ROW_BYTES_MAX + BYTE_ORDER_MARK.len() + 1 {
            self.skipping = true;
            self.rest.clear();
        } else {
            self.rest.extend_from_slice(part);
        }
    }

    fn end_line(&mut self, out: &mut Vec<Read>) -> Result<(), FileError> {
        if std::mem::take(&mut self.skipping) {
            self.line += 1;
            return self.overlong(out);
        }
        let line = std::mem::take(&mut self.rest);
        self.take(&line, out)?;
        // Its room serves the next one.
        self.rest = line;
        self.rest.clear();
        Ok(())
    }

    fn overlong(&mut self, out: &mut Vec<Read>) -> Result<(), FileError> {
        if let Reader::Csv { header_read: false, .. } = self.reader {
            return Err(FileError::Header { column: 1 });
        }
        self.count()?;
        out.push(Read::Refused { line: self.line, faults: vec![RowFault::too_long(self.line)] });
        Ok(())
    }

    fn take(&mut self, line: &[u8], out: &mut Vec<Read>) -> Result<(), FileError> {
        self.line += 1;
        let line = if self.line == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let number = self.line;
        let read = match &mut self.reader {
            Reader::Csv { rows, header_read } if !*header_read => {
                rows.check_header(line)?;
                *header_read = true;
                return Ok(());
            }
            Reader::Csv { .. } | Reader::Ndjson(_) if line.is_empty() => return Ok(()),
            Reader::Csv { rows, .. } => rows.read(number, line),
            Reader::Ndjson(rows) => rows.read(number, line),
        };
        self.count()?;
        out.push(match read {
            Ok(row) => Read::Row(Box::new(row)),
            Err(faults) => Read::Refused { line: number, faults },
        });
        Ok(())
    }

    fn count(&mut self) -> Result<(), FileError> {
        self.rows += 1;
        if self.rows > self.rows_max { Err(FileError::TooManyRows { most: self.rows_max }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::adopt::csv::{Parsed, Rows};

    const HEADER: &str = "tenant,external_id,names,challenge,labels\n";

    fn stream(file: &[u8], piece: usize) -> Result<Vec<Read>, FileError> {
        let mut rows = RowStream::new(Format::Csv, 100, None, 100);
        let mut out = Vec::new();
        for piece in file.chunks(piece) {
            rows.push(piece, &mut out)?;
        }
        rows.finish(&mut out)?;
        Ok(out)
    }

    fn told(read: &Read) -> String {
        match read {
            Read::Row(row) => format!("{row:?}"),
            Read::Refused { faults, .. } => {
                let places = faults.iter().map(|fault| (fault.line, fault.column, fault.code));
                format!("{:?}", places.collect::<Vec<_>>())
            }
        }
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(
            lines in prop::collection::vec("(t1,s[a-z]{1,9},[a-z]{1,5}\\.com( www\\.[a-z]{1,5}\\.com)?,http-01,\r?)|[ -~]{0,30}", 0..12),
            piece in 1_usize..40,
            ended in any::<bool>(),
        ) {
            let mut file = format!("\u{feff}{HEADER}{}", lines.join("\n"));
            if ended { file.push('\n'); }
            let whole: Vec<String> = stream(file.as_bytes(), file.len()).expect("a header").iter().map(told).collect();
            let pieces: Vec<String> = stream(file.as_bytes(), piece).expect("a header").iter().map(told).collect();
            prop_assert_eq!(&whole, &pieces);
            // The reader of whole files says the same of each row that does not repeat another.
            let rows = Rows::new(file.into(), 100).expect("a header").filter_map(|parsed| match parsed {
                Parsed::Row(row) => Some(format!("{row:?}")),
                Parsed::Repeat { .. } | Parsed::Refused(_) => None,
            });
            for row in rows {
                prop_assert!(whole.contains(&row), "{} is not in {:?}", row, whole);
            }
        }
    }

    #[test]
    fn a_line_without_an_end_is_never_held() {
        let mut rows = RowStream::new(Format::Csv, 100, None, 100);
        let mut out = Vec::new();
        rows.push(HEADER.as_bytes(), &mut out).expect("a header");
        for _ in 0..10_000 {
            rows.push(&[b'x'; 1_000], &mut out).expect("nothing is told before its end");
            assert!(rows.rest.len() <= ROW_BYTES_MAX + 4 && out.is_empty());
        }
        rows.push(b"\nt1,s1,a.com,http-01,\n", &mut out).expect("the next row is read");
        assert_eq!(out.len(), 2);
        assert!(
            matches!(&out[0], Read::Refused { line: 2, .. }) && matches!(&out[1], Read::Row(_)),
            "{out:?}"
        );
    }

    #[test]
    fn a_file_that_is_none_is_refused_as_a_whole() {
        assert_eq!(stream(b"", 1).map(drop), Err(FileError::Empty));
        assert_eq!(stream(b"tenant,names\n", 3).map(drop), Err(FileError::Header { column: 8 }));
        assert_eq!(stream(&vec![b'x'; 20_000], 999).map(drop), Err(FileError::Header { column: 1 }));
        let many = format!("{HEADER}{}", "x\n".repeat(101));
        assert_eq!(stream(many.as_bytes(), 50).map(drop), Err(FileError::TooManyRows { most: 100 }));
        let mut rows = RowStream::new(Format::Ndjson, 100, None, 100);
        rows.push(b"\n\r\n", &mut Vec::new()).expect("empty lines are passed over");
        assert_eq!(rows.finish(&mut Vec::new()), Err(FileError::NoRows));
    }
}
