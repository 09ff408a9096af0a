//! The bulk import's format: one row a certificate.
//!
//! ```text
//! tenant,external_id,names,challenge,labels
//! tenant-01,site-00000,shop.com www.shop.com,http-01,server=web18;rack=4
//! ```
//!
//! UTF-8 with or without a byte order mark, lines ended by LF or CRLF, fields quoted as in RFC 4180, no line
//! break inside a field. The header is required. A row that is wrong is reported with everything that is
//! wrong with it and never stops the rows after it.

mod fault;
pub(in crate::adopt) mod fields;
mod line;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use issuance::identifier::{Hostname, Identifiers, NAMES_MAX};

pub use fault::{FaultCode, Field, FileError, RowFault};
pub use fields::Challenge;
use fields::FieldFault;
use line::{Fields, Splitter, column_at};

pub const COLUMNS: [&str; 5] = ["tenant", "external_id", "names", "challenge", "labels"];

/// The most a file may have: 64 MiB, a good hundred bytes for each of half a million rows.
pub const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most a row may have; a hundred names of ordinary length fit.
pub const ROW_BYTES_MAX: usize = 8 * 1024;
pub const ROWS_MAX: usize = 1_000_000;

pub(in crate::adopt) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A good row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// From 1; the header is line 1.
    pub line: u64,
    pub tenant: String,
    pub external_id: String,
    pub names: Identifiers,
    pub challenge: Challenge,
    pub labels: BTreeMap<String, String>,
    pub(in crate::adopt) tenant_column: u32,
    pub(in crate::adopt) external_id_column: u32,
    /// In the order of `names`.
    pub(in crate::adopt) name_columns: Box<[u32]>,
}

impl Row {
    /// The character, from 1, at which the tenant stands.
    pub fn tenant_column(&self) -> u32 {
        self.tenant_column
    }

    /// The character, from 1, at which the external id stands.
    pub fn external_id_column(&self) -> u32 {
        self.external_id_column
    }

    /// The characters, from 1, at which the names stand, in the order of `names`.
    pub fn name_columns(&self) -> &[u32] {
        &self.name_columns
    }

    /// The character, from 1, at which `name` stands.
    pub fn column_of(&self, name: &Hostname) -> Option<u32> {
        self.names.iter().zip(&self.name_columns).find(|(listed, _)| *listed == name).map(|(_, at)| *at)
    }
}

/// What stands in one line that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    Row(Box<Row>),
    /// Says exactly what an earlier row said.
    Repeat {
        line: u64,
    },
    /// At least one thing is wrong.
    Refused(Vec<RowFault>),
}

/// Reads rows, each by itself: it knows nothing of the rows before it.
#[derive(Debug)]
pub struct RowReader {
    names_max: usize,
    splitter: Splitter,
}

impl RowReader {
    /// `names_max` is the CA's; the format's own bound holds too.
    pub fn new(names_max: u32) -> Self {
        let names_max = usize::try_from(names_max).unwrap_or(NAMES_MAX).min(NAMES_MAX);
        Self { names_max, splitter: Splitter::new() }
    }

    /// # Errors
    /// The line is not the header, to the letter.
    pub fn check_header(&mut self, line: &[u8]) -> Result<(), FileError> {
        check_header(&mut self.splitter, line)
    }

    /// Line `number` of the file, without its end.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(&mut self, number: u64, line: &[u8]) -> Result<Row, Vec<RowFault>> {
        let whole =
            |column, code, detail: String| vec![RowFault { line: number, column, field: None, code, detail }];
        if line.len() > ROW_BYTES_MAX {
            return Err(vec![RowFault::too_long(number)]);
        }
        let fields = self.splitter.split(line).map_err(|open| {
            let detail = "the quote that opens here is not closed on this line: close or remove it";
            whole(column_at(line, open.at), FaultCode::QuoteNotClosed, detail.to_owned())
        })?;
        if fields.len() != COLUMNS.len() {
            return Err(vec![wrong_count(number, &fields)]);
        }
        read_fields(number, &fields, self.names_max)
    }
}

/// Reads the rows of a file, one by one.
#[derive(Debug)]
pub struct Rows {
    file: Bytes,
    at: usize,
    line: u64,
    reader: RowReader,
    /// The line in which each name stands.
    names: HashMap<Hostname, u64>,
    /// By tenant and external id: the line, and a digest of what it wishes.
    wishes: HashMap<(String, String), (u64, u64)>,
}

impl Rows {
    /// Checks the header and the number of rows. `names_max` is the CA's; the format's own bound holds too.
    ///
    /// # Errors
    /// The file as a whole cannot be read; nothing of it is.
    pub fn new(file: Bytes, names_max: u32) -> Result<Self, FileError> {
        let lines = file.split(|&byte| byte == b'\n').count();
        if lines > ROWS_MAX + 2 {
            return Err(FileError::TooManyRows { most: ROWS_MAX });
        }
        let at = if file.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        let mut rows = Self {
            file,
            at,
            line: 0,
            reader: RowReader::new(names_max),
            names: HashMap::new(),
            wishes: HashMap::new(),
        };
        let header = rows.next_line().ok_or(FileError::Empty)?;
        rows.reader.check_header(&header)?;
        Ok(rows)
    }

    /// The next line without its end.
    fn next_line(&mut self) -> Option<Bytes> {
        if self.at >= self.file.len() {
            return None;
        }
        let rest = &self.file[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        let text = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]);
        let line = self.file.slice_ref(text);
        self.at += length + 1;
        self.line += 1;
        Some(line)
    }

    fn parse(&mut self, line: &[u8]) -> Result<Parsed, Vec<RowFault>> {
        let row = self.reader.read(self.line, line)?;
        self.admit(row)
    }

    /// Holds a row against the rows before it.
    fn admit(&mut self, row: Row) -> Result<Parsed, Vec<RowFault>> {
        let digest = {
            let mut hasher = DefaultHasher::new();
            (row.names.canonical(), row.challenge, &row.labels).hash(&mut hasher);
            hasher.finish()
        };
        let fault = |column, field, code, detail| RowFault {
            line: row.line,
            column,
            field: Some(field),
            code,
            detail,
        };
        let entry = match self.wishes.entry((row.tenant.clone(), row.external_id.clone())) {
            Entry::Occupied(earlier) => {
                let (line, said) = *earlier.get();
                if said == digest {
                    return Ok(Parsed::Repeat { line: row.line });
                }
                let detail = format!(
                    "{} stands in line {line} already and says something else there: remove one of the two rows",
                    row.external_id
                );
                let column = row.external_id_column;
                return Err(vec![fault(column, Field::ExternalId, FaultCode::ExternalIdRepeated, detail)]);
            }
            Entry::Vacant(entry) => entry,
        };
        let repeated: Vec<RowFault> = row
            .names
            .iter()
            .zip(&row.name_columns)
            .filter_map(|(name, column)| {
                let line = self.names.get(name)?;
                let detail = format!("{name} stands in line {line} already: remove one of them");
                Some(fault(*column, Field::Names, FaultCode::NameRepeatedInFile, detail))
            })
            .collect();
        if !repeated.is_empty() {
            return Err(repeated);
        }
        entry.insert((row.line, digest));
        self.names.extend(row.names.iter().map(|name| (name.clone(), row.line)));
        Ok(Parsed::Row(Box::new(row)))
    }
}

impl Iterator for Rows {
    type Item = Parsed;

    fn next(&mut self) -> Option<Parsed> {
        loop {
            let line = self.next_line()?;
            if !line.is_empty() {
                return Some(self.parse(&line).unwrap_or_else(Parsed::Refused));
            }
        }
    }
}

fn check_header(splitter: &mut Splitter, header: &[u8]) -> Result<(), FileError> {
    if header.len() > ROW_BYTES_MAX {
        return Err(FileError::Header { column: 1 });
    }
    let fields =
        splitter.split(header).map_err(|open| FileError::Header { column: column_at(header, open.at) })?;
    let wrong = (0..fields.len())
        .find(|&index| COLUMNS.get(index).is_none_or(|name| fields.bytes(index) != name.as_bytes()));
    match wrong {
        Some(index) => Err(FileError::Header { column: fields.column(index, 0) }),
        None if fields.len() < COLUMNS.len() => Err(FileError::Header { column: fields.end_column() }),
        None => Ok(()),
    }
}

fn wrong_count(line: u64, fields: &Fields<'_>) -> RowFault {
    let (found, expected) = (fields.len(), COLUMNS.len());
    let (column, field, remedy) = if found > expected {
        (fields.column(expected, 0), None, "quote a field that holds a comma")
    } else {
        (fields.end_column(), Some(Field::ALL[found]), "an empty field still needs its comma")
    };
    let detail = format!("the row has {found} fields instead of {expected}: {remedy}");
    RowFault { line, column, field, code: FaultCode::ColumnCount, detail }
}

fn read_fields(line: u64, fields: &Fields<'_>, names_max: usize) -> Result<Row, Vec<RowFault>> {
    let mut faults = Vec::new();
    let mut texts = [""; COLUMNS.len()];
    for field in Field::ALL {
        let index = field as usize;
        match std::str::from_utf8(fields.bytes(index)) {
            Ok(text) => texts[index] = text,
            Err(error) => faults.push(RowFault {
                line,
                column: fields.column(index, error.valid_up_to()),
                field: Some(field),
                code: FaultCode::NotUtf8,
                detail: "these bytes are not UTF-8: save the file as UTF-8".to_owned(),
            }),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut note = |field: Field, found: Vec<FieldFault>| {
        faults.extend(found.into_iter().map(|fault| RowFault {
            line,
            column: fields.column(field as usize, fault.offset),
            field: Some(field),
            code: fault.code,
            detail: fault.detail,
        }));
    };
    let [tenant, external_id, names, challenge, labels] = texts;
    let tenant = fields::tenant(tenant).map_err(|fault| note(Field::Tenant, vec![fault]));
    let external_id = fields::external_id(external_id).map_err(|fault| note(Field::ExternalId, vec![fault]));
    let challenge = fields::challenge(challenge);
    let names = fields::names(names, challenge.as_ref().ok().copied(), names_max)
        .map_err(|found| note(Field::Names, found));
    let challenge = challenge.map_err(|fault| note(Field::Challenge, vec![fault]));
    let labels = fields::labels(labels).map_err(|found| note(Field::Labels, found));
    let (Ok(tenant), Ok(external_id), Ok((names, offsets)), Ok(challenge), Ok(labels)) =
        (tenant, external_id, names, challenge, labels)
    else {
        return Err(faults);
    };
    let name_columns =
        offsets.into_iter().map(|offset| fields.column(Field::Names as usize, offset)).collect();
    Ok(Row {
        line,
        tenant: tenant.to_owned(),
        external_id: external_id.to_owned(),
        names,
        challenge,
        labels,
        tenant_column: fields.column(Field::Tenant as usize, 0),
        external_id_column: fields.column(Field::ExternalId as usize, 0),
        name_columns,
    })
}

#[cfg(test)]
mod tests;
