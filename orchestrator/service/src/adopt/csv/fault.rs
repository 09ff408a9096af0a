//! Why a row of an import is refused, and where in the file.

use issuance::identifier::{HostnameError, IdentifiersError};

use super::{COLUMNS, ROW_BYTES_MAX};

/// A column of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    Tenant,
    ExternalId,
    Names,
    Challenge,
    Labels,
}

impl Field {
    pub(super) const ALL: [Self; 5] =
        [Self::Tenant, Self::ExternalId, Self::Names, Self::Challenge, Self::Labels];

    /// Its name in the header.
    pub fn as_str(self) -> &'static str {
        COLUMNS[self as usize]
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident, $text:literal;)+) => {
        /// What is wrong with a row, as a closed set.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FaultCode {
            $($(#[$doc])* $variant,)+
        }

        impl FaultCode {
            /// The spelling in the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

codes! {
    /// NDJSON: not one JSON object, or with a member that is none of the format's.
    NotAnObject, "not_an_object";
    RowTooLong, "row_too_long";
    ColumnCount, "column_count";
    QuoteNotClosed, "quote_not_closed";
    NotUtf8, "not_utf8";
    BadTenant, "bad_tenant";
    BadExternalId, "bad_external_id";
    /// The same tenant and external id stand in an earlier row that wishes something else.
    ExternalIdRepeated, "external_id_repeated";
    NamesMissing, "names_missing";
    TooManyNames, "too_many_names";
    NameRepeatedInRow, "name_repeated_in_row";
    NameRepeatedInFile, "name_repeated_in_file";
    NameRedundant, "name_redundant";
    NameTooLong, "name_too_long";
    PublicSuffix, "public_suffix";
    SpecialUse, "special_use";
    UnknownSuffix, "unknown_suffix";
    IpAddress, "ip_address";
    Underscore, "underscore";
    NotFullyQualified, "not_fully_qualified";
    MisplacedWildcard, "misplaced_wildcard";
    BadDnsLabel, "bad_dns_label";
    BadCharacters, "bad_characters";
    TooManyDnsLabels, "too_many_dns_labels";
    UnknownChallenge, "unknown_challenge";
    /// A challenge of RFC 8555 that this release does not answer.
    ChallengeNotOffered, "challenge_not_offered";
    BadLabel, "bad_label";
}

impl From<&HostnameError> for FaultCode {
    fn from(error: &HostnameError) -> Self {
        match error {
            HostnameError::Empty | HostnameError::OneLabel => Self::NotFullyQualified,
            HostnameError::Whitespace | HostnameError::Characters => Self::BadCharacters,
            HostnameError::Wildcard => Self::MisplacedWildcard,
            HostnameError::Address => Self::IpAddress,
            HostnameError::Underscore => Self::Underscore,
            HostnameError::Label => Self::BadDnsLabel,
            HostnameError::TooLong { .. } => Self::NameTooLong,
            HostnameError::TooManyLabels { .. } => Self::TooManyDnsLabels,
            HostnameError::PublicSuffix => Self::PublicSuffix,
            HostnameError::SpecialUse { .. } => Self::SpecialUse,
            HostnameError::UnknownSuffix { .. } => Self::UnknownSuffix,
        }
    }
}

impl From<&IdentifiersError> for FaultCode {
    fn from(error: &IdentifiersError) -> Self {
        match error {
            IdentifiersError::None => Self::NamesMissing,
            IdentifiersError::TooMany { .. } => Self::TooManyNames,
            IdentifiersError::Duplicate { .. } => Self::NameRepeatedInRow,
            IdentifiersError::Redundant { .. } => Self::NameRedundant,
        }
    }
}

/// One thing wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// From 1; the header is line 1.
    pub line: u64,
    /// The character it begins at, from 1.
    pub column: u32,
    /// `None` where the row as a whole is at fault.
    pub field: Option<Field>,
    pub code: FaultCode,
    /// What is wrong and what to write instead.
    pub detail: String,
}

impl RowFault {
    /// Where it ends nobody has looked.
    pub(in crate::adopt) fn too_long(line: u64) -> Self {
        let detail = format!("the row has more than {ROW_BYTES_MAX} bytes: split it");
        Self { line, column: 1, field: None, code: FaultCode::RowTooLong, detail }
    }
}

/// Why the file as a whole is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("the file is empty: its first line must be {}", COLUMNS.join(","))]
    Empty,
    #[error("the file holds no row: write one JSON object a line")]
    NoRows,
    #[error("the header is wrong at column {column}: the first line must be {}", COLUMNS.join(","))]
    Header { column: u32 },
    #[error("the file has more than {most} rows: split it")]
    TooManyRows { most: usize },
}
