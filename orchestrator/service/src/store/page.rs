//! Pages by key: a list is walked by the id of its last row, so what is inserted or removed meanwhile
//! neither repeats nor hides a row.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::types::Uuid;
use utoipa::ToSchema;

pub const LIMIT_DEFAULT: u32 = 50;
pub const LIMIT_MAX: u32 = 1_000;

const CURSOR_VERSION: u8 = 1;
const FILTERS_BYTES: usize = 8;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    after: Option<Uuid>,
    /// Of a list that is walked by a text.
    after_text: Option<String>,
    /// A digest of the filters: a cursor is worth something only for the list it came from.
    filters: [u8; FILTERS_BYTES],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    #[error("limit must be between 1 and {LIMIT_MAX}")]
    Limit,
    #[error("the cursor is none that this service has made: begin again without it")]
    Cursor,
    #[error("the cursor belongs to a list with other filters: keep the filters, or begin again without it")]
    Filters,
}

/// The rows of one page, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listing<T> {
    pub data: Vec<T>,
    pub next_cursor: Option<String>,
    pub has_more: bool,
}

impl Page {
    /// `filters` is any text that is equal exactly for equal filters.
    pub fn new(limit: Option<u32>, cursor: Option<&str>, filters: &str) -> Result<Self, PageError> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(PageError::Limit);
        }
        let digest = Sha256::digest(filters.as_bytes());
        let mut page = Self { limit, after: None, after_text: None, filters: [0; FILTERS_BYTES] };
        page.filters.copy_from_slice(&digest[..FILTERS_BYTES]);
        if let Some(cursor) = cursor {
            let key = page.read_cursor(cursor)?;
            page.after = Some(Uuid::from_slice(&key).map_err(|_| PageError::Cursor)?);
        }
        Ok(page)
    }

    /// The same of a list that is walked by a text and not by ids.
    pub fn by_text(limit: Option<u32>, cursor: Option<&str>, filters: &str) -> Result<Self, PageError> {
        let mut page = Self::new(limit, None, filters)?;
        if let Some(cursor) = cursor {
            let key = page.read_cursor(cursor)?;
            page.after_text = Some(String::from_utf8(key).map_err(|_| PageError::Cursor)?);
        }
        Ok(page)
    }

    /// The first page, as large as a page can be.
    pub(super) fn largest() -> Self {
        Self { limit: LIMIT_MAX, after: None, after_text: None, filters: [0; FILTERS_BYTES] }
    }

    fn read_cursor(&self, cursor: &str) -> Result<Vec<u8>, PageError> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| PageError::Cursor)?;
        let (version, rest) = bytes.split_first().ok_or(PageError::Cursor)?;
        let (filters, key) = rest.split_at_checked(FILTERS_BYTES).ok_or(PageError::Cursor)?;
        match (*version == CURSOR_VERSION, filters == self.filters) {
            (false, _) => Err(PageError::Cursor),
            (true, false) => Err(PageError::Filters),
            (true, true) => Ok(key.to_vec()),
        }
    }

    pub(super) fn after(&self) -> Option<Uuid> {
        self.after
    }

    pub(super) fn after_text(&self) -> Option<&str> {
        self.after_text.as_deref()
    }

    /// One more than the page holds: its presence says that there is a next page.
    pub(super) fn rows_to_read(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Cuts what was read down to the page.
    pub(super) fn listing<T>(&self, rows: Vec<T>, id: impl Fn(&T) -> Uuid) -> Listing<T> {
        self.cut(rows, |row| id(row).as_bytes().to_vec())
    }

    pub(super) fn listing_by_text<T>(&self, rows: Vec<T>, text: impl Fn(&T) -> &str) -> Listing<T> {
        self.cut(rows, |row| text(row).as_bytes().to_vec())
    }

    fn cut<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> Vec<u8>) -> Listing<T> {
        let has_more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let next_cursor = rows.last().filter(|_| has_more).map(|last| {
            let cursor = [&[CURSOR_VERSION], self.filters.as_slice(), &key(last)].concat();
            URL_SAFE_NO_PAD.encode(cursor)
        });
        Listing { data: rows, next_cursor, has_more }
    }
}
