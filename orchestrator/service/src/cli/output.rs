use std::io::{self, ErrorKind, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::error::CliError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; may change from one release to the next.
    Table,
    /// For programs.
    Json,
}

/// Prints what a command found to standard output.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    pub fn format(self) -> Format {
        self.format
    }

    /// `value` as JSON, or as the table that `rows` makes of it. Tables have no colours to switch off.
    pub fn show<T: Serialize, const COLUMNS: usize>(
        self,
        value: &T,
        header: [&str; COLUMNS],
        rows: impl FnOnce(&T) -> Vec<[String; COLUMNS]>,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Json => self.json(value),
            Format::Table => print(&table(header, rows(value))),
        }
    }

    /// One JSON document.
    pub fn json<T: Serialize>(self, value: &T) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(|error| CliError::Output(error.into()))?;
        print(&text)
    }

    /// One JSON document on one line, for whoever reads the last line of much output.
    pub fn line<T: Serialize>(self, value: &T) -> Result<(), CliError> {
        print(&serde_json::to_string(value).map_err(|error| CliError::Output(error.into()))?)
    }

    /// Text as it is, whatever the format.
    pub fn text(self, text: &str) -> Result<(), CliError> {
        print(text.trim_end_matches('\n'))
    }
}

/// Columns under a header in capitals.
pub(super) fn table<const COLUMNS: usize>(header: [&str; COLUMNS], rows: Vec<[String; COLUMNS]>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.map(str::to_uppercase));
    table.add_rows(rows);
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        // Whoever reads has seen enough, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(CliError::Output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_plain_text_in_columns() {
        let rows = vec![
            ["www.example.com".to_owned(), "issued".to_owned()],
            ["a.example".to_owned(), "parked".to_owned()],
        ];
        let text = table(["hostname", "stage"], rows);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines, [["HOSTNAME", "STAGE"], ["www.example.com", "issued"], ["a.example", "parked"]]);
        assert!(!text.contains('\u{1b}'));
    }
}
